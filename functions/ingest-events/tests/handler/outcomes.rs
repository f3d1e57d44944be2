//! What a client reads about its events, in both dialects.

use domain::fakes::active_stream;
use domain::input::OnInvalid;
use domain::limits::{DEFAULT_MAX_EVENT_BYTES, MAX_EVENTS_PER_REQUEST, MAX_RECORDS_PER_PUT};
use insta::assert_snapshot;
use serde_json::json;

use crate::bench::{Bench, EVENTS, INGEST, INGEST_VERSION, RAW_STREAM, ROUTES, TRUCK, batch_of, event_of, shown};

const NO_TIME: &str = r#"{"truck":"rubbish 18"}"#;
const BAD_TIME: &str = r#"{"time":"yesterday","truck":"rubbish 19"}"#;

#[tokio::test]
async fn one_event_is_accepted_on_every_route() {
    let bench = Bench::new();
    assert_snapshot!(shown(&bench.post(EVENTS, TRUCK).await), @r#"
    200
    content-type: application/json

    results:
      {"index":0,"status":"accepted"}
    "#);
    assert_snapshot!(shown(&bench.post(INGEST, TRUCK).await), @r#"
    200
    content-type: application/json

    success: true
    "#);
    assert_snapshot!(shown(&bench.post(INGEST_VERSION, TRUCK).await), @r#"
    200
    content-type: application/json

    success: true
    "#);
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK; 3]);
}

#[tokio::test]
async fn a_batch_is_answered_event_by_event_on_every_route() {
    let bench = Bench::new();
    let batch = batch_of(2);
    assert_snapshot!(shown(&bench.post(EVENTS, &batch).await), @r#"
    200
    content-type: application/json

    results:
      {"index":0,"status":"accepted"}
      {"index":1,"status":"accepted"}
    "#);
    assert_snapshot!(shown(&bench.post(INGEST, &batch).await), @r#"
    200
    content-type: application/json

    results:
      {"index":0,"status":"accepted"}
      {"index":1,"status":"accepted"}
    success: true
    "#);
    assert_snapshot!(shown(&bench.post(INGEST_VERSION, &batch).await), @r#"
    200
    content-type: application/json

    results:
      {"index":0,"status":"accepted"}
      {"index":1,"status":"accepted"}
    success: true
    "#);
    assert_eq!(bench.stored(RAW_STREAM).len(), 6);
}

#[tokio::test]
async fn an_empty_batch_is_accepted_and_nothing_is_put() {
    let bench = Bench::new();
    assert_snapshot!(shown(&bench.post(EVENTS, "[]").await), @r#"
    200
    content-type: application/json

    results: []
    "#);
    assert_snapshot!(shown(&bench.post(INGEST, " [ ] ").await), @r#"
    200
    content-type: application/json

    results: []
    success: true
    "#);
    assert_snapshot!(shown(&bench.post(INGEST_VERSION, "[]").await), @r#"
    200
    content-type: application/json

    results: []
    success: true
    "#);
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_batch_of_one_is_still_a_batch() {
    let bench = Bench::new();
    assert_snapshot!(shown(&bench.post(INGEST, &format!("[{TRUCK}]")).await), @r#"
    200
    content-type: application/json

    results:
      {"index":0,"status":"accepted"}
    success: true
    "#);
}

#[tokio::test]
async fn events_keep_their_own_bytes() {
    let bench = Bench::new();
    let events =
        [r#"{ "time" : "2018-02-07T01:26:13Z", "big": 12345678901234567890123 }"#, r#"{"time":"2018-02-07T01:26:13Z","a":1.0,"a":"Ø"}"#];
    assert_eq!(bench.post(EVENTS, &format!(" [ {} ,\n {} ] ", events[0], events[1])).await.status, 200);
    assert_eq!(bench.stored(RAW_STREAM), events);
}

#[tokio::test]
async fn a_bad_event_in_a_batch_is_named_by_index_and_its_neighbours_are_accepted() {
    let bench = Bench::new();
    let batch = format!(r#"[{TRUCK},{NO_TIME},{BAD_TIME},7,{TRUCK}]"#);
    assert_snapshot!(shown(&bench.post(EVENTS, &batch).await), @r#"
    207
    content-type: application/json

    results:
      {"index":0,"status":"accepted"}
      {"errors":[{"detail":"field $.time is missing; expected an RFC 3339 time","pointer":"/1/time"}],"index":1,"status":"dead_letter"}
      {"errors":[{"detail":"field $.time is not an RFC 3339 time","pointer":"/2/time"}],"index":2,"status":"dead_letter"}
      {"errors":[{"detail":"expected a JSON object, got a number","pointer":"/3"}],"index":3,"status":"dead_letter"}
      {"index":4,"status":"accepted"}
    "#);
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK, TRUCK]);
    let letters = bench.letters.stored("mr-test-dead-letters-refuse-trucks-1");
    let kept: Vec<(&str, &str)> = letters.iter().map(|letter| (letter.source.as_str(), letter.reason.code.as_str())).collect();
    assert_eq!(kept, [("ingest", "timestamp"), ("ingest", "timestamp"), ("ingest", "not_an_object")]);
    assert!(letters.iter().all(|letter| !letter.request_id.is_empty()));
}

#[tokio::test]
async fn a_document_can_have_bad_events_refused_and_not_kept() {
    let bench = Bench::new();
    let mut record = active_stream("refuse-trucks", "1", "waste");
    record.document.input.on_invalid = OnInvalid::Reject;
    bench.store.insert(record);
    let answer = bench.post(EVENTS, &format!("[{TRUCK},{NO_TIME}]")).await;
    assert_eq!((answer.status, &answer.body["results"][1]["status"]), (207, &json!("rejected")));
    let alone = bench.post(EVENTS, NO_TIME).await;
    assert_eq!((alone.status, alone.body.get("dead_letter")), (400, None));
    assert!(bench.letters.stored("mr-test-dead-letters-refuse-trucks-1").is_empty());
}

#[tokio::test]
async fn a_mixed_batch_is_no_success_on_ingest() {
    let bench = Bench::new();
    let batch = format!("[{NO_TIME},{TRUCK}]");
    assert_snapshot!(shown(&bench.post(INGEST, &batch).await), @r#"
    207
    content-type: application/json

    results:
      {"errors":[{"detail":"field $.time is missing; expected an RFC 3339 time","pointer":"/0/time"}],"index":0,"status":"dead_letter"}
      {"index":1,"status":"accepted"}
    success: false
    "#);
    assert_eq!(bench.post(INGEST_VERSION, &batch).await.status, 207);
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK, TRUCK]);
}

#[tokio::test]
async fn a_batch_without_a_valid_event_is_a_bad_request_with_results() {
    let bench = Bench::new();
    let batch = format!("[null,{BAD_TIME}]");
    let answer = bench.post(EVENTS, &batch).await;
    assert_snapshot!(shown(&answer), @r#"
    400
    content-type: application/problem+json

    detail: "no event is valid"
    request_id: [request id]
    results:
      {"errors":[{"detail":"expected a JSON object, got null","pointer":"/0"}],"index":0,"status":"dead_letter"}
      {"errors":[{"detail":"field $.time is not an RFC 3339 time","pointer":"/1/time"}],"index":1,"status":"dead_letter"}
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    for path in [INGEST, INGEST_VERSION] {
        assert_eq!(shown(&bench.post(path, &batch).await), shown(&answer), "{path}");
    }
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn one_invalid_event_alone_is_a_bad_request_with_errors() {
    let bench = Bench::new();
    let answer = bench.post(EVENTS, NO_TIME).await;
    assert_snapshot!(shown(&answer), @r#"
    400
    content-type: application/problem+json

    dead_letter: true
    detail: "the event is not valid, and is kept as a dead letter: field $.time is missing; expected an RFC 3339 time"
    errors:
      {"detail":"field $.time is missing; expected an RFC 3339 time","pointer":"/time"}
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    for path in [INGEST, INGEST_VERSION] {
        assert_eq!(shown(&bench.post(path, NO_TIME).await), shown(&answer), "{path}");
    }
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_value_that_is_no_object_is_a_bad_request() {
    let bench = Bench::new();
    assert_snapshot!(shown(&bench.post(EVENTS, "42").await), @r#"
    400
    content-type: application/problem+json

    dead_letter: true
    detail: "the event is not valid, and is kept as a dead letter: expected a JSON object, got a number"
    errors:
      {"detail":"expected a JSON object, got a number","pointer":""}
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    for body in ["\"text\"", "null", "true", "-1.5"] {
        assert_eq!(bench.post(INGEST, body).await.status, 400, "{body}");
    }
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn json_that_not_every_reader_takes_is_not_accepted() {
    let bench = Bench::new();
    let deep = format!(r#"{{"time":"2018-02-07T01:26:13Z","a":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    let lone_surrogate = r#"{"time":"2018-02-07T01:26:13Z","a":"\ud83d"}"#;
    assert_snapshot!(shown(&bench.post(EVENTS, &format!("[{deep},{lone_surrogate}]")).await), @r#"
    400
    content-type: application/problem+json

    detail: "no event is valid"
    request_id: [request id]
    results:
      {"errors":[{"detail":"nested deeper than 64 levels","pointer":"/0"}],"index":0,"status":"dead_letter"}
      {"errors":[{"detail":"has an unpaired surrogate escape in a string","pointer":"/1"}],"index":1,"status":"dead_letter"}
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
}

#[tokio::test]
async fn an_event_that_is_too_large_alone_is_413() {
    let bench = Bench::new();
    let limit = DEFAULT_MAX_EVENT_BYTES as usize;
    for path in ROUTES {
        assert_eq!(bench.post(path, &event_of(limit)).await.status, 200, "{path}: exactly the limit");
    }
    assert_snapshot!(shown(&bench.post(EVENTS, &event_of(limit + 1)).await), @r#"
    413
    content-type: application/problem+json

    detail: "expected at most 260096 bytes, got 260097"
    errors:
      {"detail":"expected at most 260096 bytes, got 260097","pointer":""}
    request_id: [request id]
    status: 413
    title: "Payload Too Large"
    type: "urn:millrace:problem:payload-too-large"
    "#);
    assert_eq!(bench.post(INGEST, &event_of(limit + 1)).await.status, 413);
    assert_eq!(bench.publisher.calls().len(), ROUTES.len());
}

#[tokio::test]
async fn an_event_that_is_too_large_in_a_batch_is_rejected_by_index() {
    let bench = Bench::new();
    let too_large = event_of(DEFAULT_MAX_EVENT_BYTES as usize + 1);
    assert_snapshot!(shown(&bench.post(EVENTS, &format!("[{TRUCK},{too_large}]")).await), @r#"
    207
    content-type: application/json

    results:
      {"index":0,"status":"accepted"}
      {"errors":[{"detail":"expected at most 260096 bytes, got 260097","pointer":"/1"}],"index":1,"status":"rejected"}
    "#);
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK]);
}

#[tokio::test]
async fn the_largest_batch_is_put_in_full_calls_and_has_one_result_an_event_in_order() {
    let bench = Bench::new();
    let answer = bench.post(EVENTS, &batch_of(MAX_EVENTS_PER_REQUEST)).await;
    assert_eq!(answer.status, 200);
    let results = answer.body["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert_eq!(results.len(), MAX_EVENTS_PER_REQUEST);
    assert!(results.iter().enumerate().all(|(index, result)| result["index"] == index && result["status"] == "accepted"));
    let sizes: Vec<usize> = bench.publisher.calls().iter().map(Vec::len).collect();
    assert_eq!(sizes, [MAX_RECORDS_PER_PUT; MAX_EVENTS_PER_REQUEST / MAX_RECORDS_PER_PUT]);
}

#[tokio::test]
async fn every_event_has_a_partition_key_of_its_own() {
    let bench = Bench::new();
    bench.post(EVENTS, &batch_of(100)).await;
    let keys: std::collections::BTreeSet<String> = bench.publisher.stored(RAW_STREAM).into_iter().map(|(_, key)| key).collect();
    assert_eq!(keys.len(), 100);
}
