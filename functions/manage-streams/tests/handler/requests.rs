//! What every request gets: a route, or a plain refusal.

use domain::access::Scope;
use insta::assert_snapshot;

use crate::bench::{Bench, S3, SINKS, STREAM, own_routes};

#[tokio::test]
async fn every_route_of_the_table_is_routed() {
    let routes = own_routes("refuse-trucks", "1");
    assert_eq!(routes.len(), 30);
    for (method, path, _) in routes {
        let bench = Bench::with_sink().await;
        let admin = bench.token("operations", Scope::Admin);
        let url = if path.starts_with("/resources") { format!("{path}?owner=waste") } else { path.clone() };
        let answer = bench.call_as(Some(&admin), method, &url, Some("{}")).await;
        assert!(![404, 405].contains(&answer.status) && answer.status < 500, "{method} {path}: {} {}", answer.status, answer.body);
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_problem_with_or_without_a_token() {
    let bench = Bench::with_stream().await;
    let answer = bench.get("/nowhere").await;
    assert_snapshot!(answer.shown(), @r#"
    404
    content-type: application/problem+json

    detail: "there is no such route"
    request_id: [request id]
    status: 404
    title: "Not Found"
    type: "urn:millrace:problem:not-found"
    "#);
    for path in ["/", "/streams/", "/ready/", "/streams/refuse-trucks/1/", "/streams/refuse-trucks/1/sinks/s3/x", "/openapi"] {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"] {
            assert_eq!(bench.call_as(None, method, path, None).await.shown(), answer.shown(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_names_the_right_ones() {
    let bench = Bench::with_stream().await;
    assert_snapshot!(bench.call_as(None, "QUERY", STREAM, Some("{}")).await.shown(), @r#"
    405
    content-type: application/problem+json
    allow: POST, GET, PUT, PATCH, DELETE

    detail: "expected one of: POST, GET, PUT, PATCH, DELETE"
    request_id: [request id]
    status: 405
    title: "Method Not Allowed"
    type: "urn:millrace:problem:method-not-allowed"
    "#);
    for method in ["PUT", "PATCH"] {
        for (path, allow) in [("/ready", "GET"), ("/streams", "GET, POST"), (SINKS, "GET, POST"), (S3, "GET, DELETE")] {
            let answer = bench.call(method, path, Some("{}")).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method} {path}");
        }
    }
    assert_eq!(bench.call("DELETE", "/streams", None).await.status, 405);
}

#[tokio::test]
async fn a_wrong_method_on_another_functions_path_names_that_paths_methods() {
    let bench = Bench::with_stream().await;
    for method in ["DELETE", "PUT"] {
        let answer = bench.call(method, "/streams/refuse-trucks/1/events", None).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS, GET")), "{method}");
        let answer = bench.call(method, "/ingest/refuse-trucks", None).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")), "{method}");
    }
}

#[tokio::test]
async fn head_is_answered_like_get() {
    let bench = Bench::with_sink().await;
    for (method, path, scope) in own_routes("refuse-trucks", "1") {
        if method == "GET" {
            assert_eq!(bench.call("HEAD", &path, None).await.status, 200, "{path}");
            let expected = if scope.is_some() { 401 } else { 200 };
            assert_eq!(bench.call_as(None, "HEAD", &path, None).await.status, expected, "{path}");
            let ingest = bench.token("waste", Scope::Ingest);
            let expected = if scope.is_some() { 403 } else { 200 };
            assert_eq!(bench.call_as(Some(&ingest), "HEAD", &path, None).await.status, expected, "{path}");
        }
    }
}
