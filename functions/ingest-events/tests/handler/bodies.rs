//! Bodies from which no events can be read. Nothing of them is put.

use domain::limits::{MAX_BODY_BYTES, MAX_EVENTS_PER_REQUEST};
use insta::assert_snapshot;
use serde_json::json;

use crate::bench::{Bench, EVENTS, INGEST, RAW_STREAM, ROUTES, TRUCK, batch_of, shown, with_header};

/// A body of one good event, and white space up to this many bytes.
fn padded_to(bytes: usize) -> String {
    format!("{TRUCK}{}", " ".repeat(bytes - TRUCK.len()))
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_nothing_of_it_is_put() {
    let bench = Bench::new();
    assert_snapshot!(shown(&bench.post(EVENTS, &padded_to(MAX_BODY_BYTES + 1)).await), @r#"
    413
    content-type: application/problem+json

    detail: "expected a body of at most 4194304 bytes"
    request_id: [request id]
    status: 413
    title: "Payload Too Large"
    type: "urn:millrace:problem:payload-too-large"
    "#);
    assert!(bench.publisher.calls().is_empty());
    assert_eq!(bench.post(EVENTS, &padded_to(MAX_BODY_BYTES)).await.status, 200, "exactly the limit");
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK]);
}

#[tokio::test]
async fn one_event_too_many_is_413_and_none_is_put() {
    let bench = Bench::new();
    assert_snapshot!(shown(&bench.post(EVENTS, &batch_of(MAX_EVENTS_PER_REQUEST + 1)).await), @r#"
    413
    content-type: application/problem+json

    detail: "expected at most 5000 events, got 5001"
    request_id: [request id]
    status: 413
    title: "Payload Too Large"
    type: "urn:millrace:problem:payload-too-large"
    "#);
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_malformed_body_is_a_bad_request_that_says_where() {
    let bench = Bench::new();
    let answer = bench.post(EVENTS, "[{\"truck\": \"rubbish 17\"},\n {\"truck\" \"rubbish 18\"}]").await;
    assert_snapshot!(shown(&answer), @r#"
    400
    content-type: application/problem+json

    detail: "body is not JSON: expected `:` at line 2 column 11"
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    assert_snapshot!(shown(&bench.post(INGEST, "{\"truck\": ").await), @r#"
    400
    content-type: application/problem+json

    detail: "body is not JSON: EOF while parsing a value at line 1 column 10"
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    for body in ["[", "[1,]", "{'truck':17}", "{} {}", "{}\n{}", "[] []"] {
        let answer = bench.post(EVENTS, body).await;
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        assert!(answer.status == 400 && detail.contains(" at line "), "{body:?}: {detail}");
    }
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_request_without_a_body_is_a_bad_request() {
    let bench = Bench::new();
    let mut request = bench.request(EVENTS, "");
    request.as_object_mut().map(|event| event.remove("body"));
    assert_snapshot!(shown(&bench.send(&request).await), @r#"
    400
    content-type: application/problem+json

    detail: "expected a JSON object or an array of them, got nothing"
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    let missing = bench.send(&request).await;
    for body in ["", " \n"] {
        assert_eq!(shown(&bench.post(EVENTS, body).await), shown(&missing), "{body:?}");
    }
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_a_bad_request_that_says_where() {
    let bench = Bench::new();
    // {"a":"\xff"}
    let mut request = bench.request(EVENTS, "eyJhIjoi/yJ9");
    request["isBase64Encoded"] = json!(true);
    assert_snapshot!(shown(&bench.send(&request).await), @r#"
    400
    content-type: application/problem+json

    detail: "body is not UTF-8 at byte 6"
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_body_that_api_gateway_encoded_is_decoded() {
    let bench = Bench::new();
    // {"time":"2018-02-07T01:26:13Z"}
    let mut request = bench.request(EVENTS, "eyJ0aW1lIjoiMjAxOC0wMi0wN1QwMToyNjoxM1oifQ==");
    request["isBase64Encoded"] = json!(true);
    assert_eq!(bench.send(&request).await.status, 200);
    assert_eq!(bench.stored(RAW_STREAM), [r#"{"time":"2018-02-07T01:26:13Z"}"#]);
}

#[tokio::test]
async fn a_media_type_other_than_json_in_utf_8_is_415() {
    let bench = Bench::new();
    let answer = bench.send(&with_header(bench.request(EVENTS, TRUCK), "content-type", "text/plain")).await;
    assert_snapshot!(shown(&answer), @r#"
    415
    content-type: application/problem+json

    detail: "expected content-type application/json (or one that ends in +json), application/x-ndjson or application/octet-stream, in UTF-8, got \"text/plain\""
    request_id: [request id]
    status: 415
    title: "Unsupported Media Type"
    type: "urn:millrace:problem:unsupported-media-type"
    "#);
    let refused = ["application/xml", "application/json; charset=latin1", "application/jsonp"];
    for content_type in refused {
        for path in ROUTES {
            let answer = bench.send(&with_header(bench.request(path, TRUCK), "content-type", content_type)).await;
            assert_eq!(answer.status, 415, "{path} {content_type}");
        }
    }
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_charset_is_found_whatever_its_case() {
    let bench = Bench::new();
    let answer = bench.send(&with_header(bench.request(EVENTS, TRUCK), "content-type", "application/json; Charset=latin1")).await;
    assert_eq!(answer.status, 415);
}

#[tokio::test]
async fn json_is_taken_however_it_is_declared() {
    let bench = Bench::new();
    for content_type in ["application/json; charset=utf-8", "application/json;charset=\"UTF-8\"", "Application/JSON"] {
        let answer = bench.send(&with_header(bench.request(EVENTS, TRUCK), "content-type", content_type)).await;
        assert_eq!(answer.status, 200, "{content_type}");
    }
    let encoded = with_header(bench.request(EVENTS, TRUCK), "content-encoding", "identity");
    assert_eq!(bench.send(&encoded).await.status, 200);
}

#[tokio::test]
async fn json_is_taken_without_a_content_type() {
    let bench = Bench::new();
    for path in ROUTES {
        let mut request = bench.request(path, TRUCK);
        request["headers"].as_object_mut().map(|headers| headers.remove("content-type"));
        assert_eq!(bench.send(&request).await.status, 200, "{path}");
    }
}
