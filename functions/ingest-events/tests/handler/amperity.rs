//! Amperity's route: one event a request, and an answer for each row of its table of statuses.

use std::sync::Arc;

use domain::access::Scope;
use domain::fakes::{PutFault, active_stream};
use domain::lifecycle::Status;
use domain::limits::{DEFAULT_MAX_EVENT_BYTES, MAX_BODY_BYTES};
use http_edge::testing::{Answer, event, send};
use serde_json::json;

use crate::bench::{Bench, BrokenPublisher, DATA, RAW_STREAM, TRUCK, event_of, lasting, original, pointers, stream_in, with_header};

/// The same route, with the stream's id in place of its name for ingest.
const DATA_BY_ID: &str = "/stream/v0/data/refuse-trucks";

/// Checks that an answer is a problem of this status, and after how many seconds it asks to try again, if it does.
fn assert_problem(answer: &Answer, status: u16, retry_after: Option<&str>) {
    assert_eq!((answer.status, answer.header("retry-after")), (status, retry_after), "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.body["status"], status);
    assert_eq!(answer.body["request_id"].as_str(), answer.header("x-request-id"));
}

#[tokio::test]
async fn an_event_is_202_and_the_answer_names_its_request() {
    let bench = Bench::new();
    let answer = bench.send(&with_header(bench.request(DATA, TRUCK), "x-request-id", "truck-17")).await;
    assert_eq!((answer.status, answer.header("content-type")), (202, Some("application/json")));
    assert_eq!(answer.body, json!({"request_id": "truck-17"}));
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK]);
}

#[tokio::test]
async fn a_stream_is_found_by_its_name_for_ingest_and_by_its_id() {
    let bench = Bench::new();
    let mut newer = active_stream("refuse-trucks", "2", "waste");
    newer.ingest_id = "is-22222222".parse().unwrap();
    bench.store.insert(newer);
    assert_eq!(bench.post(DATA, TRUCK).await.status, 202);
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK], "the name is one version's");
    assert_eq!(bench.post(DATA_BY_ID, TRUCK).await.status, 202);
    assert_eq!(bench.post("/stream/v0/data/is-22222222", TRUCK).await.status, 202);
    assert_eq!(bench.stored("dp.green.refuse-trucks.raw.2.json"), [TRUCK, TRUCK], "the id is the newest's");
}

#[tokio::test]
async fn a_stream_may_be_called_like_a_name_for_ingest() {
    let bench = Bench::new();
    let mut record = active_stream("is-00000001", "1", "waste");
    record.ingest_id = "is-11111111".parse().unwrap();
    bench.store.insert(record);
    assert_eq!(bench.post("/stream/v0/data/is-00000001", TRUCK).await.status, 202);
    assert_eq!(bench.stored("dp.green.is-00000001.raw.1.json"), [TRUCK]);
}

#[tokio::test]
async fn a_foreign_stream_is_404_like_a_missing_one() {
    let bench = Bench::new();
    let other = bench.issuer.token("transport", &[Scope::Ingest]);
    for path in [DATA, DATA_BY_ID] {
        let answer = bench.send(&event("POST", path, Some(&other), Some(TRUCK))).await;
        assert_problem(&answer, 404, None);
        assert_eq!(answer.body["detail"], "there is no such stream", "{path}");
    }
    for path in ["/stream/v0/data/is-99999999", "/stream/v0/data/no-such-stream", "/stream/v0/data/A"] {
        let answer = bench.post(path, TRUCK).await;
        assert_problem(&answer, 404, None);
        assert_eq!(answer.body["detail"], "there is no such stream", "{path}");
    }
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_body_that_is_not_one_json_value_is_400_and_nothing_of_it_is_kept() {
    let bench = Bench::new();
    let broken =
        ["{\"truck\":".to_owned(), format!("{TRUCK} {TRUCK}"), format!("{TRUCK}\n{TRUCK}"), format!("{TRUCK}]"), "truck".to_owned()];
    for body in broken {
        let answer = bench.post(DATA, &body).await;
        assert_problem(&answer, 400, None);
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.starts_with("body is not JSON: ") && detail.contains(" at line "), "{body}: {detail}");
    }
    for nothing in ["", " \n"] {
        let answer = bench.post(DATA, nothing).await;
        assert_problem(&answer, 400, None);
        assert_eq!(answer.body["detail"], "expected a JSON object or an array of them, got nothing");
    }
    assert!(bench.publisher.calls().is_empty() && bench.kept_letters().is_empty());
}

#[tokio::test]
async fn an_array_is_400_however_many_events_it_has() {
    let bench = Bench::new();
    for body in ["[]".to_owned(), format!("[{TRUCK}]"), format!("[{TRUCK},{TRUCK}]")] {
        let answer = bench.post(DATA, &body).await;
        assert_problem(&answer, 400, None);
        assert_eq!(answer.body["detail"], "expected one JSON object, got an array", "{body}");
    }
    assert!(bench.publisher.calls().is_empty() && bench.kept_letters().is_empty());
}

#[tokio::test]
async fn an_event_that_is_not_valid_is_400_with_its_faults_and_is_kept() {
    let bench = Bench::new();
    let answer = bench.post(DATA, r#"{"truck":"rubbish 18"}"#).await;
    assert_problem(&answer, 400, None);
    assert_eq!(pointers(&answer.body["errors"]), ["/time"]);
    assert_eq!(answer.body["dead_letter"], true);
    assert_problem(&bench.post(DATA, "42").await, 400, None);
    let letters = bench.kept_letters();
    let originals: Vec<Vec<u8>> = letters.iter().map(original).collect();
    assert_eq!(originals, [&br#"{"truck":"rubbish 18"}"#[..], b"42"]);
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_request_without_a_valid_token_is_401() {
    let bench = Bench::new();
    let foreign_tenant = with_header(bench.request(DATA, TRUCK), "x-amperity-tenant", "transport");
    let requests = [
        event("POST", DATA, None, Some(TRUCK)),
        event("POST", DATA, Some("no.real.token"), Some(TRUCK)),
        event("POST", "/stream/v0/data/is-99999999", None, Some(TRUCK)),
        foreign_tenant,
    ];
    for request in requests {
        let answer = bench.send(&request).await;
        assert_problem(&answer, 401, None);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"millrace\""));
    }
    assert!(bench.publisher.calls().is_empty());
    let own_tenant = with_header(bench.request(DATA, TRUCK), "x-amperity-tenant", "waste");
    assert_eq!(bench.send(&own_tenant).await.status, 202);
}

#[tokio::test]
async fn a_token_that_may_not_send_is_403() {
    let bench = Bench::new();
    let token = bench.issuer.token("waste", &[Scope::Manage, Scope::Read]);
    assert_problem(&bench.send(&event("POST", DATA, Some(&token), Some(TRUCK))).await, 403, None);
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_body_over_254_kib_is_413() {
    let bench = Bench::new();
    let limit = DEFAULT_MAX_EVENT_BYTES as usize;
    assert_eq!(limit, 254 * 1024);
    assert_eq!(bench.post(DATA, &event_of(limit)).await.status, 202, "exactly the limit");
    let padded = format!("{TRUCK}{}", " ".repeat(limit + 1 - TRUCK.len()));
    for body in [event_of(limit + 1), padded] {
        let answer = bench.post(DATA, &body).await;
        assert_problem(&answer, 413, None);
        assert_eq!(answer.body["detail"], "expected at most 260096 bytes, got 260097");
    }
    assert_problem(&bench.post(DATA, &" ".repeat(MAX_BODY_BYTES + 1)).await, 413, None);
    assert_eq!(bench.publisher.calls().len(), 1);
    assert!(bench.kept_letters().is_empty());
}

#[tokio::test]
async fn what_kinesis_does_not_take_is_429_503_or_504_and_may_be_tried_again() {
    for (fault, status) in [(PutFault::Throttle, 429), (PutFault::Unavailable, 503), (PutFault::TimeoutAfterWrite, 504)] {
        let bench = Bench::with_script(lasting(fault.clone()));
        let answer = bench.post(DATA, TRUCK).await;
        assert_problem(&answer, status, Some("1"));
        assert_eq!(pointers(&answer.body["errors"]), [""], "{fault:?}");
        assert_eq!(bench.post(DATA, TRUCK).await.status, 202, "{fault:?}: as soon as it is over");
    }
}

#[tokio::test]
async fn a_bug_is_500_says_nothing_of_itself_and_may_be_tried_again() {
    let bench = Bench::new();
    let broken = bench.instance_with(Arc::new(BrokenPublisher));
    let answer = send(&broken, &bench.request(DATA, TRUCK)).await;
    assert_problem(&answer, 500, Some("1"));
    assert_eq!(answer.body["type"], "urn:millrace:problem:internal-server-error");
    assert_eq!(answer.body["detail"], "something went wrong on our side");
    assert!(!answer.body.to_string().contains(BrokenPublisher::LAST_WORDS));
    let batch = send(&broken, &bench.request(DATA, "[]")).await;
    assert_eq!(batch.status, 400, "the instance lives on");
}

#[tokio::test]
async fn a_stream_or_a_table_that_is_not_there_yet_is_503() {
    let bench = Bench::new();
    bench.store.fail_next(1);
    assert_problem(&bench.post(DATA, TRUCK).await, 503, Some("1"));
    bench.store.insert(stream_in(Status::CreateInProgress));
    assert_problem(&bench.post(DATA, TRUCK).await, 503, Some("5"));
    assert!(bench.publisher.calls().is_empty());
    bench.store.insert(stream_in(Status::Active));
    assert_eq!(bench.post(DATA, TRUCK).await.status, 202);
}

#[tokio::test]
async fn batches_are_415_and_led_to_the_other_routes() {
    let bench = Bench::new();
    for content_type in ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/cloudevents-batch+json"] {
        let answer = bench.send(&with_header(bench.request(DATA, TRUCK), "content-type", content_type)).await;
        assert_problem(&answer, 415, None);
        let detail = "expected one JSON object or one XML document; batches are taken by /ingest and /streams";
        assert_eq!(answer.body["detail"], detail, "{content_type}");
    }
    assert_eq!(bench.send(&with_header(bench.request(DATA, TRUCK), "content-type", "text/plain")).await.status, 415);
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn an_xml_document_is_taken_unread() {
    let bench = Bench::new();
    bench.declare(json!({"format": "xml"}));
    let documents = ["<?xml version=\"1.0\"?>\r\n<truck id='17'/>\n", "<a>", "{}"];
    for document in documents {
        let answer = bench.send(&with_header(bench.request(DATA, document), "content-type", "application/xml")).await;
        assert_eq!(answer.status, 202, "{document}");
        assert_eq!(answer.body["request_id"].as_str(), answer.header("x-request-id"));
    }
    assert_eq!(bench.stored(RAW_STREAM), documents);
    assert_problem(&bench.post(DATA, TRUCK).await, 415, None);
    let large = format!("<a>{}</a>", "x".repeat(DEFAULT_MAX_EVENT_BYTES as usize));
    assert_problem(&bench.send(&with_header(bench.request(DATA, &large), "content-type", "text/xml")).await, 413, None);
}

#[tokio::test]
async fn a_dry_run_says_what_would_become_of_the_event_and_writes_nothing() {
    let bench = Bench::new();
    let path = format!("{DATA}?dry_run=true");
    let answer = bench.post(&path, TRUCK).await;
    assert_eq!((answer.status, &answer.body["dry_run"]), (202, &json!(true)));
    let refused = bench.post(&path, "{}").await;
    assert_problem(&refused, 400, None);
    assert_eq!((&refused.body["dry_run"], pointers(&refused.body["errors"])), (&json!(true), vec!["/time"]));
    assert!(bench.publisher.calls().is_empty() && bench.kept_letters().is_empty());
}
