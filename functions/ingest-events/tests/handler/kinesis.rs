//! What a client is told when Kinesis does not take everything.

use domain::fakes::PutFault;
use domain::limits::{MAX_RECORDS_PER_PUT, PUT_ATTEMPTS};
use insta::assert_snapshot;

use crate::bench::{Bench, EVENTS, INGEST, INGEST_VERSION, RAW_STREAM, ROUTES, TRUCK, batch_of, shown};

/// The same fault until the function gives up.
fn every_time(fault: PutFault) -> Vec<PutFault> {
    vec![fault; PUT_ATTEMPTS as usize]
}

fn trucks(numbers: &[u32]) -> Vec<String> {
    numbers.iter().map(|n| format!(r#"{{"time":"2018-02-07T01:26:13Z","truck":{n}}}"#)).collect()
}

fn body(events: &[String]) -> String {
    format!("[{}]", events.join(","))
}

#[tokio::test]
async fn a_throttled_record_is_retried_and_its_neighbours_are_not() {
    let bench = Bench::with_script([PutFault::PartialFailure(vec![1, 3]), PutFault::PartialFailure(vec![1])]);
    let events = trucks(&[0, 1, 2, 3]);
    let answer = bench.post(EVENTS, &body(&events)).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("retry-after"));
    assert_eq!(bench.publisher.calls(), [events.clone(), trucks(&[1, 3]), trucks(&[3])]);
    assert_eq!(bench.stored(RAW_STREAM), trucks(&[0, 2, 1, 3]));
}

#[tokio::test]
async fn events_that_stay_throttled_are_429_with_results() {
    let bench = Bench::with_script(every_time(PutFault::Throttle));
    assert_snapshot!(shown(&bench.post(EVENTS, &body(&trucks(&[0, 1]))).await), @r#"
    429
    content-type: application/problem+json
    retry-after: 1

    detail: "the stream takes no more just now; nothing was accepted, send again what can be"
    request_id: [request id]
    results:
      {"errors":[{"detail":"the stream takes no more just now","pointer":"/0"}],"index":0,"status":"retry"}
      {"errors":[{"detail":"the stream takes no more just now","pointer":"/1"}],"index":1,"status":"retry"}
    status: 429
    title: "Too Many Requests"
    type: "urn:millrace:problem:too-many-requests"
    "#);
    assert_eq!(bench.publisher.calls(), vec![trucks(&[0, 1]); PUT_ATTEMPTS as usize]);
}

#[tokio::test]
async fn one_event_that_stays_throttled_is_429() {
    let bench = Bench::with_script(every_time(PutFault::Throttle).into_iter().chain(every_time(PutFault::Throttle)));
    let answer = bench.post(INGEST, TRUCK).await;
    assert_snapshot!(shown(&answer), @r#"
    429
    content-type: application/problem+json
    retry-after: 1

    detail: "the stream takes no more just now; nothing was accepted, send again what can be"
    errors:
      {"detail":"the stream takes no more just now","pointer":""}
    request_id: [request id]
    status: 429
    title: "Too Many Requests"
    type: "urn:millrace:problem:too-many-requests"
    "#);
    assert_eq!(shown(&bench.post(EVENTS, TRUCK).await), shown(&answer), "in both dialects");
    assert_eq!(bench.post(INGEST, TRUCK).await.status, 200, "once Kinesis takes it again");
}

#[tokio::test]
async fn a_kinesis_that_does_not_work_is_503() {
    let bench = Bench::with_script(every_time(PutFault::Unavailable));
    assert_snapshot!(shown(&bench.post(EVENTS, &body(&trucks(&[0]))).await), @r#"
    503
    content-type: application/problem+json
    retry-after: 1

    detail: "the stream does not take events just now; send them again, which may duplicate some"
    request_id: [request id]
    results:
      {"errors":[{"detail":"the stream did not take it","pointer":"/0"}],"index":0,"status":"retry"}
    status: 503
    title: "Service Unavailable"
    type: "urn:millrace:problem:service-unavailable"
    "#);
    assert_eq!(bench.publisher.calls().len(), PUT_ATTEMPTS as usize);
}

#[tokio::test]
async fn a_kinesis_that_does_not_answer_is_504_and_says_that_events_may_be_there() {
    let bench = Bench::with_script(every_time(PutFault::TimeoutAfterWrite));
    assert_snapshot!(shown(&bench.post(EVENTS, TRUCK).await), @r#"
    504
    content-type: application/problem+json
    retry-after: 1

    detail: "the stream did not answer in time; the events may have been written, and sending them again may duplicate them"
    errors:
      {"detail":"the stream did not answer in time; it may have been written","pointer":""}
    request_id: [request id]
    status: 504
    title: "Gateway Timeout"
    type: "urn:millrace:problem:gateway-timeout"
    "#);
    assert!(!bench.stored(RAW_STREAM).is_empty());
}

#[tokio::test]
async fn a_time_out_is_not_forgotten_when_throttling_follows() {
    let throttled = every_time(PutFault::Throttle).into_iter().skip(1);
    let bench = Bench::with_script([PutFault::TimeoutAfterWrite].into_iter().chain(throttled));
    let answer = bench.post(EVENTS, TRUCK).await;
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK], "it was written, though nobody heard so");
    assert_eq!(answer.status, 504, "{}", shown(&answer));
}

#[tokio::test]
async fn a_fault_that_passes_is_not_seen() {
    for fault in [PutFault::Throttle, PutFault::Unavailable, PutFault::TimeoutAfterWrite] {
        let bench = Bench::with_script([fault.clone()]);
        assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200, "{fault:?}");
        assert_eq!(bench.publisher.calls().len(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn a_batch_that_is_partly_throttled_says_which_events_to_send_again() {
    let script = [PutFault::PartialFailure(vec![1])].into_iter().chain(vec![PutFault::PartialFailure(vec![0]); 4]);
    let bench = Bench::with_script(script);
    assert_snapshot!(shown(&bench.post(EVENTS, &body(&trucks(&[0, 1, 2]))).await), @r#"
    207
    content-type: application/json
    retry-after: 1

    results:
      {"index":0,"status":"accepted"}
      {"errors":[{"detail":"the stream takes no more just now","pointer":"/1"}],"index":1,"status":"retry"}
      {"index":2,"status":"accepted"}
    "#);
    assert_eq!(bench.stored(RAW_STREAM), trucks(&[0, 2]));
}

#[tokio::test]
async fn a_partly_throttled_batch_is_no_success_on_ingest() {
    for path in [INGEST, INGEST_VERSION] {
        let bench = Bench::with_script([PutFault::PartialFailure(vec![0])].into_iter().chain(every_time(PutFault::Throttle)));
        let answer = bench.post(path, &body(&trucks(&[0, 1]))).await;
        assert_eq!((answer.status, &answer.body["success"]), (207, &serde_json::json!(false)), "{path}");
        assert_eq!(answer.headers["retry-after"], "1", "{path}");
        assert_eq!(answer.body["results"][0]["status"], "retry", "{path}");
        assert_eq!(answer.body["results"][1]["status"], "accepted", "{path}");
    }
}

#[tokio::test]
async fn a_bad_event_beside_a_throttled_one_keeps_its_reason() {
    let bench = Bench::with_script(every_time(PutFault::Throttle));
    let batch = format!("[{TRUCK},{{}}]");
    assert_snapshot!(shown(&bench.post(INGEST, &batch).await), @r#"
    429
    content-type: application/problem+json
    retry-after: 1

    detail: "the stream takes no more just now; nothing was accepted, send again what can be"
    request_id: [request id]
    results:
      {"errors":[{"detail":"the stream takes no more just now","pointer":"/0"}],"index":0,"status":"retry"}
      {"errors":[{"detail":"field $.time is missing; expected an RFC 3339 time","pointer":"/1/time"}],"index":1,"status":"dead_letter"}
    status: 429
    title: "Too Many Requests"
    type: "urn:millrace:problem:too-many-requests"
    "#);
}

#[tokio::test]
async fn nothing_accepted_and_something_to_retry_is_never_207() {
    for (fault, status) in [(PutFault::Throttle, 429), (PutFault::Unavailable, 503), (PutFault::TimeoutAfterWrite, 504)] {
        for path in ROUTES {
            let bench = Bench::with_script(every_time(fault.clone()));
            let answer = bench.post(path, &format!("[{{}},{TRUCK}]")).await;
            assert_eq!(answer.status, status, "{path} {fault:?}");
            assert_eq!(answer.headers["retry-after"], "1", "{path} {fault:?}");
            let fate = |index: usize| answer.body["results"][index]["status"].clone();
            assert_eq!([fate(0), fate(1)], ["dead_letter", "retry"], "{path} {fault:?}");
            assert_eq!(answer.body.get("errors"), None, "{path} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_fault_in_one_call_leaves_the_other_calls_of_a_batch_alone() {
    let bench = Bench::with_script(every_time(PutFault::Throttle));
    let answer = bench.post(EVENTS, &batch_of(MAX_RECORDS_PER_PUT + 2)).await;
    assert_eq!(answer.status, 207);
    let statuses = |from: usize| (from..from + 2).map(|index| answer.body["results"][index]["status"].clone()).collect::<Vec<_>>();
    assert_eq!(statuses(MAX_RECORDS_PER_PUT - 2), ["retry", "retry"]);
    assert_eq!(statuses(MAX_RECORDS_PER_PUT), ["accepted", "accepted"]);
    assert_eq!(bench.stored(RAW_STREAM).len(), 2);
}
