//! Stream documents: read from JSON or YAML, refused with everything that is wrong, checked alone.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::bench::{Bench, NEWEST, STREAM, key};

#[tokio::test]
async fn a_bad_document_is_answered_with_everything_that_is_wrong_with_it() {
    let bench = Bench::new();
    let document =
        "nope: 1\ninput: {max_event_bytes: 0}\nbuffer:\n  kinesis:\n    shards: 501\n    retention_hours: 1\nmetadata: {'aws:x': '1'}\n";
    assert_snapshot!(bench.post(STREAM, document).await.shown(), @r#"
    400
    content-type: application/json

    linting_errors:
      "(1,1) field nope not recognised, did you mean name?"
      "(2,26) expected 1 to 716800, got 0"
      "(5,13) expected 1 to 500, got 501"
      "(6,22) expected 24 to 8760, got 1"
      "(7,21) expected another label: created_by and those that start with aws: or millrace: are taken"
    "#);
    assert_eq!(bench.post(NEWEST, document).await.shown(), bench.post(STREAM, document).await.shown());
    assert!(bench.store.stored(&key("refuse-trucks", "1")).is_none());
    assert_eq!(bench.stacks_asked_for(), 0);
}

#[tokio::test]
async fn a_document_is_json_or_yaml_whatever_it_is_said_to_be() {
    for (path, body) in [
        (STREAM, "name: Refuse trucks\ninput:\n  timestamp: $.time\n"),
        (STREAM, r#"{"name": "Refuse trucks", "input": {"timestamp": "$.time"}}"#),
    ] {
        let bench = Bench::new();
        let answer = bench.post(path, body).await;
        assert_eq!((answer.status, &answer.body["config"]), (201, &json!({"name": "Refuse trucks", "input": {"timestamp": "$.time"}})));
    }
}

#[tokio::test]
async fn a_fault_of_form_names_its_line_and_column() {
    let bench = Bench::new();
    for (body, place) in [
        ("{\n  \"name\": \"Refuse trucks\",\n  \"nope\": 1\n}", "(3,3) "),
        ("{\"name\": 7}", "(1,10) "),
        ("{\n\"name\": \"a\"\n\"b\"", "(3,"),
        ("not a document", "(1,1) "),
        ("{} {}", "(1,4) "),
        ("a: [1", "(2,1) "),
        (r#"{"input":["$.time"]}"#, "(1,10) "),
        ("[]", "(1,1) "),
    ] {
        let answer = bench.post(STREAM, body).await;
        let first = answer.body["linting_errors"][0].as_str().unwrap_or_default();
        assert!(answer.status == 400 && first.starts_with(place), "{body:?}: {first:?}");
    }
}

#[tokio::test]
async fn chilled_lets_unknown_fields_pass_and_says_so_exactly() {
    let bench = Bench::new();
    let document = "name: a\nnope: {x: 1}\n";
    for query in ["", "?chilled=1", "?chilled=TRUE", "?chilled"] {
        assert_eq!(bench.post(&format!("{STREAM}{query}"), document).await.status, 400, "{query}");
    }
    let answer = bench.post(&format!("{STREAM}?chilled=true"), document).await;
    assert_eq!((answer.status, &answer.body["config"]), (201, &json!({"name": "a", "nope": {"x": 1}})));
    let impossible = bench.post("/streams/bus-positions?chilled=true", "buffer: {kinesis: {shards: 0}}").await;
    assert_eq!((impossible.status, impossible.body), (400, json!({"linting_errors": ["(1,28) expected 1 to 500, got 0"]})));
}

#[tokio::test]
async fn a_document_is_checked_alone_and_nothing_is_made() {
    let bench = Bench::new();
    let good = bench.post("/streams/lint", "name: a\n").await;
    assert_eq!((good.status, good.body), (200, json!({"linting_errors": []})));
    let bad = bench.post("/streams/lint", "nope: 1\n").await;
    assert_eq!((bad.status, bad.body["linting_errors"].as_array().map(Vec::len)), (400, Some(1)));
    assert_eq!(bench.post("/streams/lint?chilled=true", "nope: 1\n").await.status, 200);
    assert_eq!((bench.store.calls(), bench.stacks_asked_for()), (0, 0));
}

#[tokio::test]
async fn the_schema_of_documents_is_open_to_editors() {
    let bench = Bench::new();
    let answer = bench.call_as(None, "GET", "/streams/schema.json", None).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/schema+json")));
    assert_eq!(answer.body["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let fields: Vec<&String> = answer.body["properties"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["access_rights", "buffer", "description", "input", "metadata", "name", "output"]);
    assert_ne!(answer.body["properties"]["name"]["description"], Value::Null);
}

#[tokio::test]
async fn an_id_that_stands_in_the_way_of_a_route_is_refused() {
    let bench = Bench::new();
    let answer = bench.post("/streams/lint/1", "{}").await;
    assert_eq!((answer.status, &answer.body["errors"][0]["pointer"]), (400, &json!("/id")));
    assert_eq!(bench.store.calls(), 0);
}
