//! Which stream takes the events, and what it costs to know.

use std::time::Duration;

use domain::config::PendingConfig;
use domain::fakes::active_stream;
use domain::lifecycle::Status;
use domain::limits::{CONFIG_CACHE_TTL, MISSING_CACHE_TTL};
use insta::assert_snapshot;
use serde_json::json;

use crate::bench::{Bench, EVENTS, INGEST, RAW_STREAM, ROUTES, TRUCK, batch_of, shown, stream_in};

#[tokio::test]
async fn a_warm_ingest_request_makes_exactly_one_aws_call() {
    let bench = Bench::new();
    for path in ROUTES {
        bench.post(path, TRUCK).await;
        let (store_calls, puts, key_loads) = bench.aws_calls();
        let answer = bench.post(path, &batch_of(100)).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(bench.aws_calls(), (store_calls, puts + 1, key_loads), "{path}");
    }
}

#[tokio::test]
async fn a_cold_request_looks_up_the_stream_and_the_keys_once() {
    let bench = Bench::new();
    assert_eq!(bench.aws_calls(), (0, 0, 0));
    bench.post(EVENTS, TRUCK).await;
    assert_eq!(bench.aws_calls(), (1, 1, 1));
}

#[tokio::test]
async fn a_request_that_puts_nothing_makes_no_aws_call_when_warm() {
    let bench = Bench::new();
    bench.post(EVENTS, TRUCK).await;
    let before = bench.aws_calls();
    for body in ["[]", "{}", "not json", "[1,2]"] {
        bench.post(EVENTS, body).await;
        assert_eq!(bench.aws_calls(), before, "{body}");
    }
}

#[tokio::test]
async fn a_stream_is_looked_up_again_after_its_time() {
    let bench = Bench::new();
    bench.post(EVENTS, TRUCK).await;
    bench.system.advance(CONFIG_CACHE_TTL - Duration::from_millis(1));
    bench.post(EVENTS, TRUCK).await;
    assert_eq!(bench.store.calls(), 1);
    bench.system.advance(Duration::from_millis(1));
    bench.post(EVENTS, TRUCK).await;
    assert_eq!(bench.store.calls(), 2);
}

#[tokio::test]
async fn a_stream_that_was_missing_is_found_after_its_time() {
    let bench = Bench::new();
    let path = "/ingest/bus-positions";
    assert_eq!(bench.post(path, TRUCK).await.status, 404);
    bench.store.insert(active_stream("bus-positions", "1", "waste"));
    assert_eq!(bench.post(path, TRUCK).await.status, 404, "remembered as missing");
    bench.system.advance(MISSING_CACHE_TTL);
    assert_eq!(bench.post(path, TRUCK).await.status, 200);
}

#[tokio::test]
async fn the_newest_version_takes_events_that_name_none() {
    let bench = Bench::new();
    for version in ["2", "10", "1.1"] {
        bench.store.insert(active_stream("refuse-trucks", version, "waste"));
    }
    assert_eq!(bench.post(INGEST, TRUCK).await.status, 200);
    assert_eq!(bench.stored("dp.green.refuse-trucks.raw.10.json"), [TRUCK]);
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200);
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK], "a named version stays that version");
}

#[tokio::test]
async fn a_newer_version_takes_over_after_the_cache_time() {
    let bench = Bench::new();
    bench.post(INGEST, TRUCK).await;
    bench.store.insert(active_stream("refuse-trucks", "2", "waste"));
    bench.post(INGEST, TRUCK).await;
    assert_eq!(bench.stored(RAW_STREAM).len(), 2);
    bench.system.advance(CONFIG_CACHE_TTL);
    bench.post(INGEST, TRUCK).await;
    assert_eq!(bench.stored("dp.green.refuse-trucks.raw.2.json"), [TRUCK]);
}

#[tokio::test]
async fn a_version_that_does_not_work_does_not_stop_the_one_that_does() {
    for status in [Status::CreateInProgress, Status::OperationFailed, Status::DeleteInProgress, Status::Inactive] {
        let bench = Bench::new();
        let mut newest = active_stream("refuse-trucks", "2", "waste");
        newest.stack.status = status;
        bench.store.insert(newest);
        assert_eq!(bench.post(INGEST, TRUCK).await.status, 200, "{status:?}");
        assert_eq!(bench.stored(RAW_STREAM), [TRUCK], "{status:?}");
        assert_ne!(bench.post("/ingest/refuse-trucks/2", TRUCK).await.status, 200, "{status:?}: a named version stays that version");
        assert_eq!(bench.stored(RAW_STREAM), [TRUCK], "{status:?}");
    }
}

#[tokio::test]
async fn with_no_version_that_works_the_newest_answers() {
    for (status, answered) in [(Status::CreateInProgress, 503), (Status::OperationFailed, 409), (Status::DeleteInProgress, 404)] {
        let bench = Bench::new();
        bench.store.insert(stream_in(Status::Inactive));
        let mut newest = active_stream("refuse-trucks", "2", "waste");
        newest.stack.status = status;
        bench.store.insert(newest);
        assert_eq!(bench.post(INGEST, TRUCK).await.status, answered, "{status:?}");
        assert!(bench.publisher.calls().is_empty(), "{status:?}");
    }
}

#[tokio::test]
async fn a_stream_that_is_being_created_asks_to_wait() {
    let bench = Bench::new();
    bench.store.insert(stream_in(Status::CreateInProgress));
    assert_snapshot!(shown(&bench.post(EVENTS, TRUCK).await), @r#"
    503
    content-type: application/problem+json
    retry-after: 5

    detail: "the stream is still being created"
    request_id: [request id]
    status: 503
    title: "Service Unavailable"
    type: "urn:millrace:problem:service-unavailable"
    "#);
    assert!(bench.publisher.calls().is_empty());
    bench.store.insert(stream_in(Status::Active));
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200, "at once, not after a cache time");
}

#[tokio::test]
async fn a_stream_that_is_being_updated_takes_events() {
    let bench = Bench::new();
    bench.store.insert(stream_in(Status::UpdateInProgress));
    for path in ROUTES {
        assert_eq!(bench.post(path, TRUCK).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_config_that_is_pending_has_no_say_yet() {
    let bench = Bench::new();
    let mut record = stream_in(Status::UpdateInProgress);
    let mut document = record.document.clone();
    (document.input.timestamp, document.input.max_event_bytes) = (None, 10);
    record.pending = Some(PendingConfig {
        number: 2,
        posted: json!({}),
        document,
        resources: record.resources.clone(),
        sinks: Default::default(),
        accepted_at: record.updated_at,
        accepted_by: "tester".into(),
    });
    bench.store.insert(record);
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200);
    assert_eq!(bench.post(EVENTS, "{}").await.status, 400, "the running config wants a time");
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK]);
}

#[tokio::test]
async fn a_stream_that_is_being_deleted_is_missing() {
    let bench = Bench::new();
    let missing = bench.post("/ingest/no-such-stream", TRUCK).await;
    for status in [Status::DeleteInProgress, Status::Inactive] {
        bench.store.insert(stream_in(status));
        for path in ROUTES {
            assert_eq!(shown(&bench.post(path, TRUCK).await), shown(&missing), "{path} {status:?}");
        }
    }
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_stream_that_failed_is_a_conflict() {
    let bench = Bench::new();
    bench.store.insert(stream_in(Status::OperationFailed));
    assert_snapshot!(shown(&bench.post(EVENTS, TRUCK).await), @r#"
    409
    content-type: application/problem+json

    detail: "the stream is OPERATION_FAILED and takes no events"
    request_id: [request id]
    status: 409
    title: "Conflict"
    type: "urn:millrace:problem:conflict"
    "#);
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_table_that_does_not_answer_is_503_and_its_reason_stays_inside() {
    let bench = Bench::new();
    bench.store.fail_next(1);
    assert_snapshot!(shown(&bench.post(EVENTS, TRUCK).await), @r#"
    503
    content-type: application/problem+json
    retry-after: 1

    detail: "a service that this request needs does not answer; try again"
    request_id: [request id]
    status: 503
    title: "Service Unavailable"
    type: "urn:millrace:problem:service-unavailable"
    "#);
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200, "a failure is not remembered");
}

#[tokio::test]
async fn a_warm_request_outlives_an_outage_of_the_table() {
    let bench = Bench::new();
    bench.post(EVENTS, TRUCK).await;
    bench.store.fail_next(usize::MAX);
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200);
}
