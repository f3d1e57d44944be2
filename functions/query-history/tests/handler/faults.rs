//! What stands in the way of a page.

use domain::fake_objects::ReadFault;
use domain::fakes::active_stream;
use domain::history::HistoryLimits;
use domain::lifecycle::Status;
use serde_json::json;

use crate::bench::{Bench, problem, shown, stream_with_sink, truck};

const READS_OBJECTS: &str = "history is read from the objects of the sink s3, which is";

#[tokio::test]
async fn a_stream_without_a_sink_is_409_that_says_which_to_enable() {
    let bench = Bench::with_trucks();
    bench.store.insert(active_stream("refuse-trucks", "1", "waste"));
    let detail = format!("{READS_OBJECTS} not enabled; POST /streams/refuse-trucks/1/sinks with {{\"type\": \"s3\"}} enables it");
    assert_eq!(shown(&bench.page(1, 10).await), problem(409, "Conflict", &detail));
}

#[tokio::test]
async fn a_sink_that_is_not_active_is_409_that_says_its_status() {
    let bench = Bench::with_trucks();
    for (status, retry_after) in [(Status::CreateInProgress, Some("5")), (Status::DeleteInProgress, None), (Status::OperationFailed, None)]
    {
        bench.store.insert(stream_with_sink(status));
        let mut expected = problem(409, "Conflict", &format!("{READS_OBJECTS} {}; expected ACTIVE", status.as_str()));
        if let Some(seconds) = retry_after {
            expected["retry-after"] = seconds.into();
        }
        assert_eq!(shown(&bench.page(1, 10).await), expected);
    }
    bench.store.insert(stream_with_sink(Status::Active));
    assert_eq!(bench.page(1, 10).await.status, 200, "at once, not after a cache time");
}

#[tokio::test]
async fn bad_parameters_are_named_before_a_missing_sink() {
    let bench = Bench::new();
    bench.store.insert(active_stream("refuse-trucks", "1", "waste"));
    assert_eq!(bench.get("").await.status, 400);
}

#[tokio::test]
async fn a_range_that_matches_too_much_asks_for_a_narrower_one() {
    let bench = Bench::with_limits(HistoryLimits { matches: 2, ..HistoryLimits::default() });
    bench.put("a", &[truck(0), truck(1), truck(2)]);
    let detail = "expected a range of at most 2 events; ask for a narrower one";
    assert_eq!(shown(&bench.page(1, 1).await), problem(400, "Bad Request", detail));
    assert_eq!(bench.get("from_date=2018-02-07T12:00:01Z&to_date=2018-02-07").await.status, 200);
}

#[tokio::test]
async fn events_in_too_many_objects_ask_for_a_narrower_range() {
    let bench = Bench::with_limits(HistoryLimits { key_bytes: 100, ..HistoryLimits::default() });
    bench.put("a", &[truck(0)]);
    bench.put("b", &[truck(1)]);
    let detail = "the range holds events in too many objects; ask for a narrower one";
    assert_eq!(shown(&bench.page(1, 1).await), problem(400, "Bad Request", detail));
}

#[tokio::test]
async fn a_page_that_is_too_large_asks_for_a_smaller_one() {
    let bench = Bench::with_limits(HistoryLimits { page_bytes: 150, ..HistoryLimits::default() });
    bench.put("a", &[truck(0), truck(1), truck(2)]);
    let mut expected = problem(400, "Bad Request", "the page is too large for one answer");
    expected["body"]["errors"] = json!([
        {"pointer": "/page_size", "detail": "expected a page of at most 150 bytes, got 180; ask for a smaller page_size"}
    ]);
    assert_eq!(shown(&bench.page(1, 3).await), expected);
    assert_eq!(bench.page(1, 2).await.status, 200);
}

#[tokio::test]
async fn a_bucket_that_does_not_answer_is_503_and_its_reason_stays_inside() {
    let mut expected = problem(503, "Service Unavailable", "a service that this request needs does not answer; try again");
    expected["retry-after"] = "1".into();
    for fault in [ReadFault::Unavailable, ReadFault::BreaksAfter(1)] {
        let bench = Bench::with_trucks();
        bench.objects.script([ReadFault::Ok, fault]);
        assert_eq!(shown(&bench.page(1, 10).await), expected, "{fault:?}");
        assert_eq!(bench.page(1, 10).await.status, 200);
    }
}

#[tokio::test]
async fn a_table_that_does_not_answer_is_503() {
    let bench = Bench::with_trucks();
    bench.store.fail_next(1);
    assert_eq!(bench.page(1, 10).await.status, 503);
    assert_eq!(bench.page(1, 10).await.status, 200);
}
