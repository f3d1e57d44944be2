//! What a stream's `input` asks of its events: a JSON Schema, ids, and partition keys.

use std::collections::BTreeSet;

use domain::fakes::PutFault;
use domain::limits::MAX_EVENTS_PER_REQUEST;
use http_edge::testing::Answer;
use serde_json::{Value, json};

use crate::bench::{Bench, DATA, EVENTS, INGEST, RAW_STREAM, ROUTES, fates, lasting, original, pointers, with_header};
use crate::encodings;

/// The most that Lambda gives back, in bytes (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
const LAMBDA_ANSWER_BYTES: usize = 6 * 1024 * 1024;

const GOOD: &str = r#"{"truck":"rubbish 17","litres":240}"#;
const BAD: &str = r#"{"litres":"many","at":"soon"}"#;

/// The function with a stream that has this `input` section.
fn bench(input: Value) -> Bench {
    let bench = Bench::new();
    bench.declare(input);
    bench
}

fn truck_schema() -> Value {
    json!({
        "type": "object",
        "required": ["truck"],
        "properties": {"litres": {"type": "integer", "minimum": 0}, "at": {"type": "string", "format": "date-time"}},
    })
}

/// The partition keys of what was put, in order.
fn partition_keys(bench: &Bench) -> Vec<String> {
    bench.publisher.stored(RAW_STREAM).into_iter().map(|(_, key)| key).collect()
}

/// What Lambda has to give back for an answer: the body is a string in it.
fn lambda_bytes(answer: &Answer) -> usize {
    json!(answer.body.to_string()).to_string().len()
}

#[tokio::test]
async fn every_fault_of_an_event_is_told_with_its_place() {
    let bench = bench(json!({"schema": truck_schema()}));
    for path in ROUTES.into_iter().chain([DATA]) {
        let answer = bench.post(path, BAD).await;
        assert_eq!((answer.status, &answer.body["dead_letter"]), (400, &json!(true)), "{path}");
        assert_eq!(pointers(&answer.body["errors"]), ["/at", "/litres", "/truck"], "{path}");
        let detail = "the event is not valid, and is kept as a dead letter: it breaks 3 of the stream's rules";
        assert_eq!(answer.body["detail"], detail, "{path}");
        let detail_at = |pointer: &str| {
            let errors = answer.body["errors"].as_array().unwrap();
            errors.iter().find(|error| error["pointer"] == pointer).unwrap()["detail"].as_str().unwrap()
        };
        assert_eq!(detail_at("/litres"), "expected integer value, got string");
        assert_eq!(detail_at("/at"), "expected a date-time, got \"soon\"");
        assert!(detail_at("/truck").contains("truck"), "the member that is missing is named");
    }
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn an_event_of_a_batch_has_its_faults_at_its_index_and_harms_no_other() {
    let bench = bench(json!({"schema": truck_schema()}));
    let answer = bench.post(INGEST, &format!("[{GOOD},{BAD},{GOOD}]")).await;
    assert_eq!((answer.status, fates(&answer)), (207, vec!["accepted", "dead_letter", "accepted"]));
    assert_eq!(pointers(&answer.body["results"][1]["errors"]), ["/1/at", "/1/litres", "/1/truck"]);
    assert_eq!(bench.stored(RAW_STREAM), [GOOD, GOOD]);
}

#[tokio::test]
async fn an_event_that_breaks_the_schema_is_kept_with_the_code_schema() {
    let bench = bench(json!({"schema": truck_schema()}));
    bench.post(EVENTS, &format!("[{GOOD},{BAD}]")).await;
    let letters = bench.kept_letters();
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((letter.source.as_str(), letter.reason.code.as_str()), ("ingest", "schema"));
    assert_eq!(original(letter), BAD.as_bytes());
    for place in ["/at: ", "/litres: ", "/truck: "] {
        assert!(letter.reason.detail.contains(place), "{}", letter.reason.detail);
    }
}

#[tokio::test]
async fn a_document_can_have_them_refused_and_not_kept() {
    let bench = bench(json!({"schema": {"required": ["truck"]}, "on_invalid": "reject"}));
    let alone = bench.post(EVENTS, "{}").await;
    assert_eq!((alone.status, alone.body.get("dead_letter")), (400, None));
    assert_eq!(alone.body["detail"], "the event is not valid: it breaks 1 of the stream's rules");
    assert_eq!(pointers(&alone.body["errors"]), ["/truck"]);
    assert_eq!(fates(&bench.post(EVENTS, &format!("[{{}},{GOOD}]")).await), ["rejected", "accepted"]);
    assert!(bench.kept_letters().is_empty());
}

#[tokio::test]
async fn a_missing_member_is_named_wherever_it_should_stand() {
    let inner = json!({"required": ["a/b", "c~d"]});
    let bench = bench(json!({"schema": {"properties": {"truck": inner}, "required": ["truck"]}}));
    let missing = |answer: &Answer| pointers(&answer.body["errors"]).join(" ");
    assert_eq!(missing(&bench.post(EVENTS, "{}").await), "/truck");
    assert_eq!(missing(&bench.post(EVENTS, r#"{"truck":{}}"#).await), "/truck/a~1b /truck/c~0d");
    assert_eq!(bench.post(EVENTS, r#"{"truck":{"a/b":1,"c~d":null}}"#).await.status, 200);
}

#[tokio::test]
async fn formats_are_held() {
    let property = |format: &str| json!({"format": format});
    let formats = ["date-time", "date", "email", "uuid", "ipv4", "ipv6"];
    let properties: serde_json::Map<String, Value> = formats.iter().map(|format| ((*format).to_owned(), property(format))).collect();
    let bench = bench(json!({"schema": {"properties": properties}}));
    let good = json!({
        "date-time": "2024-02-29T15:30:00.5+01:00", "date": "2024-02-29", "email": "a@b.example",
        "uuid": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "ipv4": "203.0.113.7", "ipv6": "2001:db8::1",
    });
    assert_eq!(bench.post(EVENTS, &good.to_string()).await.status, 200);
    for (format, bad) in formats.into_iter().zip(["2023-02-29T15:30:00Z", "2023-02-29", "nobody", "1", "203.0.113.256", "2001:db8::g"]) {
        let answer = bench.post(EVENTS, &json!({format: bad}).to_string()).await;
        assert_eq!((answer.status, pointers(&answer.body["errors"])), (400, vec![format!("/{format}").as_str()]), "{format}");
    }
}

#[tokio::test]
async fn the_streams_time_and_its_schema_are_told_together() {
    let bench = bench(json!({"schema": {"required": ["truck"]}, "timestamp": "$.time"}));
    let answer = bench.post(EVENTS, "{}").await;
    assert_eq!(pointers(&answer.body["errors"]), ["/time", "/truck"]);
    let untimed = bench.post(EVENTS, GOOD).await;
    assert_eq!(pointers(&untimed.body["errors"]), ["/time"]);
    let codes: Vec<String> = bench.kept_letters().into_iter().map(|letter| letter.reason.code).collect();
    assert_eq!(codes, ["schema", "timestamp"]);
}

#[tokio::test]
async fn the_schema_is_for_the_data_of_a_cloud_event() {
    let bench = bench(json!({"schema": truck_schema(), "event_id": "$.id", "partition_key": "$.subject"}));
    let head = r#""specversion":"1.0","source":"/trucks","type":"emptied","subject":"north""#;
    let batch = format!(r#"[{{{head},"id":"1","data":{GOOD}}},{{{head},"id":"2","data":{BAD}}},{{{head},"id":"3"}}]"#);
    let request = with_header(bench.request(EVENTS, &batch), "content-type", "application/cloudevents-batch+json");
    let answer = bench.send(&request).await;
    assert_eq!((answer.status, fates(&answer)), (207, vec!["accepted", "dead_letter", "dead_letter"]));
    assert_eq!(pointers(&answer.body["results"][1]["errors"]), ["/1/data/at", "/1/data/litres", "/1/data/truck"]);
    assert_eq!(pointers(&answer.body["results"][2]["errors"]), ["/2"]);
    assert_eq!([&answer.body["results"][0]["id"], &answer.body["results"][1]["id"]], ["1", "2"]);
    assert_eq!(partition_keys(&bench), ["north"]);
}

#[tokio::test]
async fn results_name_their_events_and_a_twin_is_a_duplicate() {
    let bench = bench(json!({"schema": {"properties": {"n": {"type": "integer"}}}, "event_id": "$.id"}));
    let batch = r#"[{"id":"a"},{"id":7},{"id":"a","n":2},{},{"id":"b","n":"x"},{"id":"b"},{"id":null},{"id":""}]"#;
    let answer = bench.post(EVENTS, batch).await;
    let expected = ["accepted", "accepted", "duplicate", "accepted", "dead_letter", "accepted", "accepted", "accepted"];
    assert_eq!((answer.status, fates(&answer)), (207, expected.to_vec()));
    let ids: Vec<Option<&str>> = (0..8_usize).map(|index| answer.body["results"][index]["id"].as_str()).collect();
    assert_eq!(ids, [Some("a"), Some("7"), Some("a"), None, Some("b"), Some("b"), None, None]);
    assert_eq!(bench.stored(RAW_STREAM), [r#"{"id":"a"}"#, r#"{"id":7}"#, "{}", r#"{"id":"b"}"#, r#"{"id":null}"#, r#"{"id":""}"#]);
}

#[tokio::test]
async fn a_batch_of_one_event_and_its_twin_is_a_success() {
    let bench = bench(json!({"event_id": "$.id"}));
    let answer = bench.post(INGEST, r#"[{"id":"a"},{"id":"a"}]"#).await;
    assert_eq!((answer.status, &answer.body["success"]), (200, &json!(true)));
    assert_eq!(fates(&answer), ["accepted", "duplicate"]);
    assert_eq!(bench.post(EVENTS, r#"{"id":"a"}"#).await.status, 200, "another request is another matter");
    assert_eq!(bench.stored(RAW_STREAM).len(), 2);
}

#[tokio::test]
async fn the_twin_of_an_event_that_was_not_taken_is_sent_again_with_it() {
    let bench = Bench::with_script(lasting(PutFault::Throttle));
    bench.declare(json!({"event_id": "$.id"}));
    let answer = bench.post(EVENTS, r#"[{"id":"a"},{"id":"a"}]"#).await;
    assert_eq!((answer.status, fates(&answer)), (429, vec!["retry", "retry"]));
}

#[tokio::test]
async fn a_partition_key_is_the_events_own() {
    let bench = bench(json!({"partition_key": "$.truck.id"}));
    let (long, too_long) = ("\u{e9}".repeat(256), "\u{e9}".repeat(257));
    let ids = [json!("17"), json!(18.0), json!(true), json!(long), json!(too_long)];
    let batch: Vec<Value> = ids.into_iter().map(|id| json!({"truck": {"id": id}})).collect();
    assert_eq!(bench.post(EVENTS, &json!(batch).to_string()).await.status, 200);
    // The SHA-256 of what Kinesis would not take.
    let digest = "db33c4ce9e8a72562c8f24aa67b7abbabdb848426e8ddfff4ee08f6ae04d1b17";
    assert_eq!(partition_keys(&bench), ["17", "18.0", "true", long.as_str(), digest]);
}

#[tokio::test]
async fn an_event_without_its_partition_key_has_a_random_one() {
    let bench = bench(json!({"partition_key": "$.truck"}));
    let answer = bench.post(EVENTS, r#"[{},{"truck":null},{"truck":""},{"Truck":"17"}]"#).await;
    assert_eq!(fates(&answer), ["accepted"; 4]);
    let keys: BTreeSet<String> = partition_keys(&bench).into_iter().collect();
    assert!(keys.len() == 4 && keys.iter().all(|key| key.len() == 16), "{keys:?}");
}

#[tokio::test]
async fn a_warm_request_with_rules_makes_exactly_one_aws_call() {
    let bench = bench(json!({"schema": truck_schema(), "partition_key": "$.truck", "event_id": "$.tags[0].id"}));
    for path in ROUTES.into_iter().chain([DATA]) {
        bench.post(path, GOOD).await;
        let (store_calls, puts, key_loads) = bench.aws_calls();
        assert!(bench.post(path, GOOD).await.status < 300, "{path}");
        assert_eq!(bench.aws_calls(), (store_calls, puts + 1, key_loads), "{path}");
        assert_eq!(bench.post(path, BAD).await.status, 400, "{path}");
        assert_eq!(bench.aws_calls(), (store_calls, puts + 1, key_loads), "{path}: only its dead letter is written");
    }
    assert!(bench.leases.calls().is_empty() && bench.answers.calls().is_empty());
}

#[tokio::test]
async fn a_dry_run_says_what_would_become_of_every_event_and_writes_nothing() {
    let bench = bench(json!({"schema": truck_schema(), "event_id": "$.truck"}));
    let batch = format!("[{GOOD},{BAD},{GOOD}]");
    let dry = bench.post(&format!("{EVENTS}?dry_run=true"), &batch).await;
    assert_eq!((dry.status, &dry.body["dry_run"], fates(&dry)), (207, &json!(true), vec!["accepted", "dead_letter", "duplicate"]));
    assert!(bench.publisher.calls().is_empty() && bench.kept_letters().is_empty());
    for query in ["maybe", "", "TRUE"] {
        let answer = bench.post(&format!("{EVENTS}?dry_run={query}"), &batch).await;
        assert_eq!((answer.status, pointers(&answer.body["errors"])), (400, vec!["/dry_run"]), "{query:?}");
    }
    let wet = bench.post(&format!("{EVENTS}?dry_run=false"), &batch).await;
    assert_eq!((wet.body.get("dry_run"), &wet.body["results"]), (None, &dry.body["results"]));
    assert_eq!((bench.stored(RAW_STREAM).len(), bench.kept_letters().len()), (1, 1));
}

#[tokio::test]
async fn the_faults_of_many_events_are_told_short_enough_for_lambda() {
    let names: Vec<String> = (0..25).map(|n| format!("{n:02}{}", "x".repeat(98))).collect();
    let bench = bench(json!({"schema": {"required": names}}));
    let answer = bench.post(EVENTS, &format!("[{}]", vec!["{}"; MAX_EVENTS_PER_REQUEST].join(","))).await;
    assert_eq!((answer.status, fates(&answer)), (400, vec!["dead_letter"; MAX_EVENTS_PER_REQUEST]));
    let errors = |index: usize| answer.body["results"][index]["errors"].as_array().unwrap();
    assert_eq!((errors(0).len(), errors(MAX_EVENTS_PER_REQUEST - 1).len()), (20, 1), "of the first much is told, of each something");
    assert!(lambda_bytes(&answer) < LAMBDA_ANSWER_BYTES, "{}", lambda_bytes(&answer));
    assert_eq!(bench.kept_letters().len(), MAX_EVENTS_PER_REQUEST);
}

#[tokio::test]
async fn places_with_long_names_are_told_short_enough_for_lambda() {
    let bench = bench(json!({"schema": {"additionalProperties": {"type": "integer"}}}));
    let event = format!(r#"{{"{}":"x"}}"#, "y".repeat(3_000));
    let batch = format!("[{}]", vec![event; MAX_EVENTS_PER_REQUEST].join(","));
    let answer = bench.send(&encodings::request(&bench, EVENTS, "gzip", &encodings::gzip(batch.as_bytes()))).await;
    assert_eq!(answer.status, 400);
    assert!(lambda_bytes(&answer) < LAMBDA_ANSWER_BYTES, "{}", lambda_bytes(&answer));
}

#[tokio::test]
async fn events_with_long_ids_are_answered_short_enough_for_lambda() {
    let bench = bench(json!({"event_id": "$.id"}));
    let event = |n: usize| format!(r#"{{"id":"{}{n}"}}"#, r"\u0001".repeat(250));
    let batch: Vec<String> = (0..MAX_EVENTS_PER_REQUEST).map(event).collect();
    let body = encodings::gzip(format!("[{}]", batch.join(",")).as_bytes());
    let answer = bench.send(&encodings::request(&bench, EVENTS, "gzip", &body)).await;
    assert_eq!(answer.status, 200);
    assert!(lambda_bytes(&answer) < LAMBDA_ANSWER_BYTES, "{}", lambda_bytes(&answer));
}
