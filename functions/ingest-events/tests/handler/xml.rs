//! A stream that takes XML.

use domain::fakes::active_stream;
use domain::input::{Format, Input};
use domain::lifecycle::Status;
use domain::limits::DEFAULT_MAX_EVENT_BYTES;
use http_edge::testing::Answer;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::bench::{Bench, EVENTS, INGEST, RAW_STREAM, ROUTES, TRUCK, shown};

const DOCUMENT: &str = "<?xml version=\"1.0\"?>\r\n<trucks>\n <record id='17'/> <record/>\n</trucks>\n";

fn bench() -> Bench {
    let bench = Bench::new();
    let mut record = active_stream("refuse-trucks", "1", "waste");
    record.document.input = Input { format: Format::Xml, ..Input::default() };
    bench.store.insert(record);
    bench
}

fn typed(mut request: Value, content_type: &str) -> Value {
    request["headers"]["content-type"] = json!(content_type);
    request
}

async fn post(bench: &Bench, path: &str, content_type: &str, body: &str) -> Answer {
    bench.send(&typed(bench.request(path, body), content_type)).await
}

#[tokio::test]
async fn a_document_is_one_event_that_keeps_its_own_bytes() {
    let bench = bench();
    assert_snapshot!(shown(&post(&bench, EVENTS, "application/xml", DOCUMENT).await), @r#"
    200
    content-type: application/json

    results:
      {"index":0,"status":"accepted"}
    "#);
    assert_snapshot!(shown(&post(&bench, INGEST, "text/xml; charset=UTF-8", DOCUMENT).await), @r#"
    200
    content-type: application/json

    success: true
    "#);
    for content_type in ["application/atom+xml", "Application/XML;charset=\"utf-8\""] {
        assert_eq!(post(&bench, EVENTS, content_type, DOCUMENT).await.status, 200, "{content_type}");
    }
    assert_eq!(bench.stored(RAW_STREAM), [DOCUMENT; 4]);
}

#[tokio::test]
async fn a_document_is_not_read_when_it_is_taken_in() {
    let bench = bench();
    for body in ["<a>", "{}", "text"] {
        assert_eq!(post(&bench, EVENTS, "application/xml", body).await.status, 200, "{body}");
    }
    // "<a>\xff</a>"
    let mut request = typed(bench.request(EVENTS, "PGE+/zwvYT4="), "application/xml");
    request["isBase64Encoded"] = json!(true);
    assert_eq!(bench.send(&request).await.status, 200);
    assert_eq!(bench.stored(RAW_STREAM).len(), 4);
}

#[tokio::test]
async fn nothing_is_no_document() {
    let bench = bench();
    assert_snapshot!(shown(&post(&bench, EVENTS, "application/xml", " \r\n").await), @r#"
    400
    content-type: application/problem+json

    detail: "expected an XML document, got nothing"
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    assert_eq!(post(&bench, INGEST, "application/xml", "").await.status, 400);
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_document_over_the_limit_is_413() {
    let bench = bench();
    let limit = DEFAULT_MAX_EVENT_BYTES as usize;
    let of = |bytes: usize| format!("<a>{}</a>", "x".repeat(bytes - 7));
    assert_eq!(post(&bench, EVENTS, "text/xml", &of(limit)).await.status, 200, "exactly the limit");
    assert_snapshot!(shown(&post(&bench, EVENTS, "text/xml", &of(limit + 1)).await), @r#"
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
    assert_eq!(bench.stored(RAW_STREAM).len(), 1);
}

#[tokio::test]
async fn what_is_not_said_to_be_xml_is_415_and_names_what_is_expected() {
    let bench = bench();
    assert_snapshot!(shown(&post(&bench, EVENTS, "application/json", TRUCK).await), @r#"
    415
    content-type: application/problem+json

    detail: "expected content-type application/xml, text/xml, one that ends in +xml, or application/octet-stream, in UTF-8, got \"application/json\""
    request_id: [request id]
    status: 415
    title: "Unsupported Media Type"
    type: "urn:millrace:problem:unsupported-media-type"
    "#);
    let mut silent = bench.request(EVENTS, DOCUMENT);
    silent["headers"].as_object_mut().map(|headers| headers.remove("content-type"));
    let answer = bench.send(&silent).await;
    let detail = "expected content-type application/xml, text/xml, one that ends in +xml, or application/octet-stream, in UTF-8, got none";
    assert_eq!((answer.status, &answer.body["detail"]), (415, &json!(detail)));
    for content_type in ["application/xml; charset=iso-8859-1", "application/xmlx", "text/html", "+xml/a", ""] {
        for path in ROUTES {
            assert_eq!(post(&bench, path, content_type, DOCUMENT).await.status, 415, "{path} {content_type}");
        }
    }
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn xml_for_a_stream_of_json_is_415_and_names_what_is_expected() {
    let bench = Bench::new();
    let answer = post(&bench, EVENTS, "application/xml", DOCUMENT).await;
    let detail = "expected content-type application/json (or one that ends in +json), application/x-ndjson or application/octet-stream, in UTF-8, got \"application/xml\"";
    assert_eq!((answer.status, &answer.body["detail"]), (415, &json!(detail)));
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_wrong_type_is_said_before_a_wrong_status() {
    let bench = bench();
    let mut record = active_stream("refuse-trucks", "1", "waste");
    record.document.input.format = Format::Xml;
    record.stack.status = Status::CreateInProgress;
    bench.store.insert(record);
    assert_eq!(post(&bench, EVENTS, "application/json", TRUCK).await.status, 415);
    assert_eq!(post(&bench, EVENTS, "application/xml", DOCUMENT).await.status, 503);
}
