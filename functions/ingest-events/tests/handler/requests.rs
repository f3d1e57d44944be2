//! What every request gets: a route or a plain refusal, and a name.

use http_edge::testing::event;
use insta::assert_snapshot;
use serde_json::json;

use crate::bench::{Bench, EVENTS, INGEST, INGEST_VERSION, TRUCK, shown};

#[tokio::test]
async fn a_wrong_method_is_405_and_names_the_right_ones() {
    let bench = Bench::new();
    assert_snapshot!(shown(&bench.send(&event("PUT", INGEST, None, Some(TRUCK))).await), @r#"
    405
    content-type: application/problem+json
    allow: POST, OPTIONS

    detail: "expected one of: POST, OPTIONS"
    request_id: [request id]
    status: 405
    title: "Method Not Allowed"
    type: "urn:millrace:problem:method-not-allowed"
    "#);
    // Reading events is another function's route; the path has it all the same.
    assert_snapshot!(shown(&bench.send(&event("DELETE", EVENTS, None, None)).await), @r#"
    405
    content-type: application/problem+json
    allow: POST, OPTIONS, GET

    detail: "expected one of: POST, OPTIONS, GET"
    request_id: [request id]
    status: 405
    title: "Method Not Allowed"
    type: "urn:millrace:problem:method-not-allowed"
    "#);
    for method in ["GET", "HEAD", "PATCH", "DELETE"] {
        let answer = bench.send(&event(method, INGEST_VERSION, None, None)).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.headers["allow"], "POST, OPTIONS", "{method}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_problem_too() {
    let bench = Bench::new();
    assert_snapshot!(shown(&bench.post("/nowhere", TRUCK).await), @r#"
    404
    content-type: application/problem+json

    detail: "there is no such route"
    request_id: [request id]
    status: 404
    title: "Not Found"
    type: "urn:millrace:problem:not-found"
    "#);
    for path in ["/", "/ingest", "/ingest/", "/ingest/refuse-trucks/1/2", "/streams/refuse-trucks/1/events/7"] {
        assert_eq!(bench.post(path, TRUCK).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_plain_request_id_is_echoed_in_header_and_body() {
    let bench = Bench::new();
    let longest = "x".repeat(128);
    for given in ["truck-17", "2018-02-07T01:26:13_0.840", longest.as_str()] {
        for (path, status) in [(EVENTS, 200), ("/ingest/no-such-stream", 404)] {
            let mut request = bench.request(path, TRUCK);
            request["headers"]["x-request-id"] = json!(given);
            let answer = bench.send(&request).await;
            assert_eq!(answer.status, status);
            assert_eq!(answer.headers["x-request-id"], given);
            if status != 200 {
                assert_eq!(answer.body["request_id"], given);
            }
        }
    }
}

#[tokio::test]
async fn a_request_id_that_is_not_plain_is_replaced() {
    let bench = Bench::new();
    let too_long = "x".repeat(129);
    for given in ["", "two words", "<script>", "a\"b", "Ø", "a/b", too_long.as_str()] {
        let mut request = bench.request(EVENTS, "not json");
        request["headers"]["x-request-id"] = json!(given);
        let answer = bench.send(&request).await;
        let id = answer.headers["x-request-id"].to_str().unwrap_or_default();
        assert!(id != given && id.len() == 32, "{given:?} became {id:?}");
        assert_eq!(answer.body["request_id"], id);
    }
}

#[tokio::test]
async fn requests_without_an_id_get_different_ones() {
    let bench = Bench::new();
    let (one, other) = (bench.post(EVENTS, TRUCK).await, bench.post(EVENTS, TRUCK).await);
    assert_ne!(one.headers["x-request-id"], other.headers["x-request-id"]);
}
