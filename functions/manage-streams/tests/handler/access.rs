//! Who may manage, and what the others are told.

use domain::access::Scope;
use domain::fakes::active_stream;
use insta::assert_snapshot;
use serde_json::json;

use crate::bench::{Bench, S3_SINK, STREAM, own_routes};

#[tokio::test]
async fn every_route_that_needs_a_token_is_401_without_a_good_one() {
    let bench = Bench::with_stream().await;
    let answer = bench.call_as(None, "GET", STREAM, None).await;
    assert_snapshot!(answer.shown(), @r#"
    401
    content-type: application/problem+json
    www-authenticate: Bearer realm="millrace"

    detail: "expected a valid bearer token"
    request_id: [request id]
    status: 401
    title: "Unauthorized"
    type: "urn:millrace:problem:unauthorized"
    "#);
    let calls = bench.store.calls();
    for id in ["refuse-trucks", "no-such-stream", "Bad"] {
        for (method, path, _) in own_routes(id, "1").into_iter().filter(|(_, _, scope)| scope.is_some()) {
            for token in [None, Some("no.real.token"), Some("")] {
                let refused = bench.call_as(token, method, &path, Some("{}")).await;
                assert_eq!(refused.shown(), answer.shown(), "{method} {path}");
            }
        }
    }
    assert_eq!(bench.store.calls(), calls, "nobody is told what exists");
}

#[tokio::test]
async fn every_route_that_needs_a_token_is_403_with_one_that_only_sends_or_reads_events() {
    let bench = Bench::with_sink().await;
    let read = bench.token("waste", Scope::Read);
    assert_snapshot!(bench.call_as(Some(&read), "GET", STREAM, None).await.shown(), @r#"
    403
    content-type: application/problem+json

    detail: "expected a token with scope manage"
    request_id: [request id]
    status: 403
    title: "Forbidden"
    type: "urn:millrace:problem:forbidden"
    "#);
    let calls = bench.store.calls();
    for scopes in [&[Scope::Ingest][..], &[Scope::Read], &[Scope::Ingest, Scope::Read]] {
        let token = bench.issuer.token("waste", scopes);
        let needs_another = |scope: &Option<Scope>| scope.is_some_and(|scope| !scopes.contains(&scope));
        for (method, path, _) in own_routes("refuse-trucks", "1").into_iter().filter(|(_, _, scope)| needs_another(scope)) {
            assert_eq!(bench.call_as(Some(&token), method, &path, Some("{}")).await.status, 403, "{method} {path}");
        }
    }
    assert_eq!(bench.store.calls(), calls);
}

#[tokio::test]
async fn a_foreign_stream_is_answered_like_a_missing_one_on_every_route() {
    let bench = Bench::new();
    bench.store.insert(active_stream("bus-positions", "1", "transport"));
    let missing = bench.get("/streams/no-such-stream/1").await;
    assert_snapshot!(missing.shown(), @r#"
    404
    content-type: application/problem+json

    detail: "there is no such stream"
    request_id: [request id]
    status: 404
    title: "Not Found"
    type: "urn:millrace:problem:not-found"
    "#);
    let foreign = own_routes("bus-positions", "1").into_iter();
    let creates = |method: &str, path: &str| method == "POST" && ["/streams/bus-positions", "/streams/bus-positions/1"].contains(&path);
    let is_a_streams = |path: &str| path.starts_with("/streams/bus-positions");
    let mut tried = 0;
    for (method, path, _) in foreign.filter(|(method, path, _)| is_a_streams(path) && !creates(method, path)) {
        for body in [Some(S3_SINK), Some("not json"), None] {
            let answer = bench.call(method, &path, body).await;
            assert_eq!(answer.shown(), missing.shown(), "{method} {path} {body:?}");
            let names = |headers: &http::HeaderMap| headers.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&answer.headers), names(&missing.headers), "{method} {path}");
        }
        tried += 1;
    }
    assert_eq!(tried, 19);
    for path in ["/streams/bus-positions/1/sinks/ftp", "/streams/bus-positions/2", "/streams/Bus-Positions", "/streams/bus-positions/x"] {
        assert_eq!(bench.get(path).await.shown(), missing.shown(), "{path}");
    }
}

#[tokio::test]
async fn an_admin_manages_everyones_streams() {
    let bench = Bench::with_sink().await;
    let admin = bench.token("operations", Scope::Admin);
    let answer = bench.call_as(Some(&admin), "GET", STREAM, None).await;
    assert_eq!((answer.status, &answer.body["owner"]), (200, &json!("waste")));
    let s3 = format!("{STREAM}/sinks/s3");
    assert_eq!(bench.call_as(Some(&admin), "DELETE", &s3, None).await.status, 200);
    bench.finish_stacks();
    assert_eq!(bench.call_as(Some(&admin), "DELETE", STREAM, None).await.status, 200);
    assert_eq!(bench.get(STREAM).await.body["owner"], "waste");
}

#[tokio::test]
async fn a_change_says_who_made_it() {
    let bench = Bench::with_stream().await;
    let mut claims = json!(bench.issuer.claims("waste", &[Scope::Manage], bench.system.as_ref()));
    claims["sub"] = json!("kari@example.org");
    let kari = bench.issuer.sign(&claims);
    bench.call_as(Some(&kari), "POST", &format!("{STREAM}/sinks"), Some(S3_SINK)).await;
    let stream = bench.get(STREAM).await.body;
    assert_eq!((&stream["created_by"], &stream["updated_by"]), (&json!("tester"), &json!("kari@example.org")));
    assert_eq!(stream["sinks"][0]["updated_by"], "kari@example.org");
}
