//! Who may send events, and what the others are told.

use domain::access::Scope;
use domain::fakes::active_stream;
use http_edge::testing::event;
use insta::assert_snapshot;
use serde_json::json;

use crate::bench::{Bench, EVENTS, INGEST, RAW_STREAM, ROUTES, TRUCK, shown};

#[tokio::test]
async fn a_request_without_a_token_is_401_with_a_challenge() {
    let bench = Bench::new();
    let answer = bench.send(&event("POST", EVENTS, None, Some(TRUCK))).await;
    assert_snapshot!(shown(&answer), @r#"
    401
    content-type: application/problem+json
    www-authenticate: Bearer realm="millrace"

    detail: "expected a valid bearer token"
    request_id: [request id]
    status: 401
    title: "Unauthorized"
    type: "urn:millrace:problem:unauthorized"
    "#);
    for path in ROUTES.into_iter().chain(["/streams/no-such-stream/1/events", "/ingest/no-such-stream"]) {
        assert_eq!(shown(&bench.send(&event("POST", path, None, Some(TRUCK))).await), shown(&answer), "{path}");
        assert_eq!(shown(&bench.send(&event("POST", path, Some("no.real.token"), Some(TRUCK))).await), shown(&answer), "{path}");
    }
    assert_eq!(bench.store.calls(), 0, "nobody is told what exists");
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn an_expired_token_is_401() {
    let bench = Bench::new();
    let request = bench.request(EVENTS, TRUCK);
    assert_eq!(bench.send(&request).await.status, 200);
    bench.system.advance(std::time::Duration::from_secs(2 * 24 * 60 * 60));
    assert_eq!(bench.send(&request).await.status, 401);
}

#[tokio::test]
async fn a_token_that_may_not_send_is_403() {
    let bench = Bench::new();
    for scopes in [vec![Scope::Manage], vec![Scope::Read], vec![Scope::Manage, Scope::Read]] {
        let token = bench.issuer.token("waste", &scopes);
        for path in ROUTES {
            assert_eq!(bench.send(&event("POST", path, Some(&token), Some(TRUCK))).await.status, 403, "{path} {scopes:?}");
        }
    }
    let token = bench.issuer.token("waste", &[Scope::Manage]);
    assert_snapshot!(shown(&bench.send(&event("POST", EVENTS, Some(&token), Some(TRUCK))).await), @r#"
    403
    content-type: application/problem+json

    detail: "expected a token with scope ingest"
    request_id: [request id]
    status: 403
    title: "Forbidden"
    type: "urn:millrace:problem:forbidden"
    "#);
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn an_admin_may_send_to_everyones_streams() {
    let bench = Bench::new();
    let token = bench.issuer.token("operations", &[Scope::Admin]);
    for path in ROUTES {
        assert_eq!(bench.send(&event("POST", path, Some(&token), Some(TRUCK))).await.status, 200, "{path}");
    }
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK; 3]);
}

#[tokio::test]
async fn a_foreign_stream_is_answered_like_a_missing_one() {
    let bench = Bench::new();
    bench.store.insert(active_stream("bus-positions", "1", "transport"));
    let missing = bench.post("/streams/no-such-stream/1/events", TRUCK).await;
    assert_snapshot!(shown(&missing), @r#"
    404
    content-type: application/problem+json

    detail: "there is no such stream"
    request_id: [request id]
    status: 404
    title: "Not Found"
    type: "urn:millrace:problem:not-found"
    "#);
    for path in ["/streams/bus-positions/1/events", "/ingest/bus-positions", "/ingest/bus-positions/1"] {
        let foreign = bench.post(path, TRUCK).await;
        assert_eq!(shown(&foreign), shown(&missing), "{path}");
        let names = |answer: &http_edge::testing::Answer| answer.headers.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&foreign), names(&missing), "{path}");
    }
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn one_callers_memory_does_not_open_a_stream_to_another() {
    let bench = Bench::new();
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200);
    let other = bench.issuer.token("transport", &[Scope::Ingest]);
    assert_eq!(bench.send(&event("POST", EVENTS, Some(&other), Some(TRUCK))).await.status, 404);
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200, "and closes it to nobody");
}

#[tokio::test]
async fn an_id_that_names_nothing_is_missing() {
    let bench = Bench::new();
    let missing = bench.post("/ingest/no-such-stream", TRUCK).await;
    let others = [
        "/streams/refuse-trucks/2/events",
        "/ingest/refuse-trucks/2",
        "/streams/refuse-trucks/latest/events",
        "/streams/refuse-trucks/1.2.3.4/events",
        "/ingest/Refuse-Trucks",
        "/ingest/a",
        "/ingest/refuse%2Ftrucks",
    ];
    for path in others {
        assert_eq!(shown(&bench.post(path, TRUCK).await), shown(&missing), "{path}");
    }
}

#[tokio::test]
async fn an_id_that_is_not_utf_8_is_missing() {
    let bench = Bench::new();
    let missing = bench.post("/ingest/no-such-stream", TRUCK).await;
    assert_eq!(shown(&bench.post("/ingest/%ff%fe%fd", TRUCK).await), shown(&missing));
}

#[tokio::test]
async fn a_foreign_stream_is_missing_whatever_is_sent_to_it() {
    let bench = Bench::new();
    bench.store.insert(active_stream("bus-positions", "1", "transport"));
    let mut request = bench.request("/ingest/bus-positions", "not json");
    assert_eq!(bench.send(&request).await.status, 404);
    request["headers"]["content-type"] = json!("text/plain");
    assert_eq!(bench.send(&request).await.status, 404);
    request["rawPath"] = json!(INGEST);
    assert_eq!(bench.send(&request).await.status, 415, "as the caller's own stream shows");
}
