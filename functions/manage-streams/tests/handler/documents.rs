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
    assert_eq!(fields, ["access_rights", "buffer", "description", "input", "metadata", "name", "output", "pipeline", "subscribable"]);
    assert_ne!(answer.body["properties"]["name"]["description"], Value::Null);
}

#[tokio::test]
async fn an_id_that_stands_in_the_way_of_a_route_is_refused() {
    let bench = Bench::new();
    let answer = bench.post("/streams/lint/1", "{}").await;
    assert_eq!((answer.status, &answer.body["errors"][0]["pointer"]), (400, &json!("/id")));
    assert_eq!(bench.store.calls(), 0);
}

/// A document with a fault of every kind of check.
const FAULTY: &str = r#"input:
  schema: {properties: {kmh: {type: numbr}}}
pipeline:
  processors:
    - mapping: |
        .speed = to_float(.kmh)
        .host = get_hostname!()
    - filter: .speed > 0
output:
  elasticsearch: {}
"#;

#[tokio::test]
async fn programs_schemas_and_sections_are_checked_on_every_route_that_takes_a_document() {
    let bench = Bench::with_stream().await;
    let answer = bench.post("/streams/lint?chilled=true", FAULTY).await;
    assert_snapshot!(answer.shown(), @r#"
    400
    content-type: application/json

    linting_errors:
      "(2,37) expected a type of: array, boolean, integer, null, number, object, string, or a list of them; got \"numbr\""
      "(6,18) vrl error 103: unhandled fallible assignment; this expression is fallible because at least one argument's type cannot be verified to be valid; or change this to an infallible assignment: .speed, err = to_float(.kmh)"
      "(7,17) function get_hostname is not available: it tells about the machine that happens to run it"
      "(10,3) output.elasticsearch is not available yet"
    "#);
    let shown = answer.shown();
    assert_eq!(bench.post("/streams/lint", FAULTY).await.shown(), shown);
    assert_eq!(bench.post("/streams/bus-positions", FAULTY).await.shown(), shown);
    assert_eq!(bench.post("/streams/bus-positions/2", FAULTY).await.shown(), shown);
    for method in ["PUT", "PATCH"] {
        assert_eq!(bench.call(method, STREAM, Some(FAULTY)).await.shown(), shown, "{method}");
        assert_eq!(bench.call(method, NEWEST, Some(FAULTY)).await.shown(), shown, "{method}");
    }
}

#[tokio::test]
async fn an_update_with_a_bad_program_leaves_the_running_config_alone() {
    let bench = Bench::with_stream().await;
    let was = r#"{"pipeline": {"processors": [{"mapping": ".a = 1"}]}}"#;
    assert_eq!(bench.call("PATCH", STREAM, Some(was)).await.status, 200);
    let patched = bench.call("PATCH", STREAM, Some(r#"{"pipeline": {"processors": [{"mapping": "nope()"}]}}"#)).await;
    assert_eq!(patched.body, json!({"linting_errors": ["(1,43) function nope is not known"]}));
    assert_eq!(bench.get(STREAM).await.body["config"]["pipeline"], json!({"processors": [{"mapping": ".a = 1"}]}));
}

#[tokio::test]
async fn too_much_of_a_document_is_refused_before_its_programs_are_compiled() {
    let bench = Bench::new();
    let many: Vec<String> = (0..20).map(|_| format!(r#"{{"mapping": "{}"}}"#, "#".repeat(16_000))).collect();
    let answer = bench.post("/streams/lint", &format!(r#"{{"pipeline": {{"processors": [{}]}}}}"#, many.join(","))).await;
    assert_eq!(answer.body["linting_errors"].as_array().map(Vec::len), Some(1));
    assert!(answer.body["linting_errors"][0].as_str().unwrap_or_default().starts_with("(1,1) expected at most 81920 bytes as JSON"));
}
