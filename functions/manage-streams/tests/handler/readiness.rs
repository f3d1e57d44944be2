//! Readiness: open to everybody, and says more to those who show who they are.

use std::time::Duration;

use domain::access::Scope;
use domain::fakes::active_stream;
use domain::lifecycle::Status;
use domain::token::Grant;
use insta::assert_snapshot;
use serde_json::json;

use crate::bench::{Bench, S3_SINK, SINKS, STREAM};

/// A failed stream of each of two owners.
fn with_faulty_streams() -> Bench {
    let bench = Bench::new();
    for (id, owner) in [("refuse-trucks", "waste"), ("bus-positions", "transport")] {
        let mut record = active_stream(id, "1", owner);
        record.stack.status = Status::OperationFailed;
        record.stack.reason = Some(format!("{owner} ran out of shards"));
        bench.store.insert(record);
    }
    bench
}

#[tokio::test]
async fn no_streams_and_working_ones_are_ready() {
    let bench = Bench::new();
    assert_snapshot!(bench.call_as(None, "GET", "/ready", None).await.shown(), @r#"
    200
    content-type: application/json

    status: "ready"
    "#);
    for bench in [Bench::with_stream().await, Bench::with_sink().await] {
        for token in [None, Some("no.real.token")] {
            assert_eq!(bench.call_as(token, "GET", "/ready", None).await.status, 200, "{token:?}");
        }
        assert_eq!(bench.get("/ready").await.status, 200);
    }
}

#[tokio::test]
async fn a_stream_that_is_being_made_is_no_fault() {
    let bench = Bench::new();
    bench.post(STREAM, "{}").await;
    assert_eq!(bench.get("/ready").await.status, 200);
}

#[tokio::test]
async fn a_failed_stream_is_503_and_named_to_nobody_without_a_token() {
    let bench = with_faulty_streams();
    let answer = bench.call_as(None, "GET", "/ready", None).await;
    assert_snapshot!(answer.shown(), @r#"
    503
    content-type: application/problem+json

    detail: "a stream or sink has failed"
    request_id: [request id]
    status: 503
    title: "Service Unavailable"
    type: "urn:millrace:problem:service-unavailable"
    "#);
    assert_eq!(bench.call_as(Some("no.real.token"), "GET", "/ready", None).await.shown(), answer.shown());
}

#[tokio::test]
async fn a_caller_is_told_of_its_own_faulty_streams_only() {
    let bench = with_faulty_streams();
    assert_snapshot!(bench.get("/ready").await.shown(), @r#"
    503
    content-type: application/problem+json

    detail: "a stream or sink has failed"
    faulty:
      {"id":"refuse-trucks","part":"stream","reason":"waste ran out of shards","version":"1"}
    request_id: [request id]
    status: 503
    title: "Service Unavailable"
    type: "urn:millrace:problem:service-unavailable"
    "#);
    let named = async |owner: &str, scope: Scope| {
        let answer = bench.call_as(Some(&bench.token(owner, scope)), "GET", "/ready", None).await;
        assert_eq!(answer.status, 503);
        let faulty = answer.body["faulty"].as_array().unwrap();
        faulty.iter().map(|fault| fault["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(named("waste", Scope::Ingest).await, ["refuse-trucks"], "any token says who calls");
    assert_eq!(named("transport", Scope::Manage).await, ["bus-positions"]);
    assert_eq!(named("water", Scope::Manage).await, [""; 0]);
    assert_eq!(named("operations", Scope::Admin).await, ["bus-positions", "refuse-trucks"]);
}

#[tokio::test]
async fn a_failed_sink_is_named_as_the_part_that_failed() {
    let bench = Bench::with_stream().await;
    bench.post(SINKS, S3_SINK).await;
    bench.fail_stacks("DeliveryStream: limit exceeded");
    bench.get(STREAM).await;
    let fault = json!({"id": "refuse-trucks", "version": "1", "part": "sink s3", "reason": "DeliveryStream: limit exceeded"});
    assert_eq!(bench.get("/ready").await.body["faulty"], json!([fault]));
}

#[tokio::test]
async fn the_table_is_asked_at_most_once_in_five_seconds() {
    let bench = with_faulty_streams();
    for _ in 0..3 {
        assert_eq!(bench.call_as(None, "GET", "/ready", None).await.status, 503);
        assert_eq!(bench.get("/ready").await.status, 503);
    }
    assert_eq!(bench.store.calls(), 1);
    bench.system.advance(Duration::from_millis(4_999));
    bench.get("/ready").await;
    assert_eq!(bench.store.calls(), 1);
    bench.system.advance(Duration::from_millis(1));
    bench.get("/ready").await;
    assert_eq!(bench.store.calls(), 2);
}

#[tokio::test]
async fn a_token_that_is_limited_to_streams_hears_of_those_alone() {
    let bench = with_faulty_streams();
    let named = async |pattern: &str| {
        let streams = Some(vec![pattern.parse().unwrap()]);
        let grant = Grant { owner: "waste".parse().unwrap(), subject: "kari".into(), scopes: vec![Scope::Read], streams, key: None };
        let token = bench.issuer.sign(&bench.issuer.claims_for(&grant, bench.system.as_ref()));
        bench.call_as(Some(&token), "GET", "/ready", None).await.body["faulty"].as_array().map(Vec::len)
    };
    assert_eq!((named("refuse-*").await, named("glass-*").await), (Some(1), Some(0)));
}
