//! Patches: a part of a document changes, and the rest stays as it was posted.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::bench::{Bench, DOCUMENT, NEWEST, STREAM, key, outcome};

fn merged(patch: &Value) -> Value {
    let mut document: Value = serde_json::from_str(DOCUMENT).unwrap();
    for (name, value) in patch.as_object().unwrap() {
        document[name] = value.clone();
    }
    document
}

#[tokio::test]
async fn objects_are_merged_member_by_member_and_the_rest_stays() {
    for path in [STREAM, NEWEST] {
        for patch in [r#"{"buffer":{"kinesis":{"retention_hours":48}}}"#, "buffer:\n  kinesis: {retention_hours: 48}\n"] {
            let bench = Bench::with_stream().await;
            let answer = bench.patch(path, patch).await;
            assert_eq!(outcome(&answer), ("UPDATE_IN_PROGRESS", 1, None), "{patch}");
            let expected = merged(&json!({"buffer": {"kinesis": {"shards": 2, "retention_hours": 48}}}));
            assert_eq!(answer.body["pending"]["config"], expected, "{patch}");
        }
    }
}

#[tokio::test]
async fn null_resets_a_field_to_its_default() {
    let bench = Bench::with_stream().await;
    let answer = bench.patch(STREAM, "name: null\ninput: {timestamp: null, max_event_bytes: null}\n").await;
    assert_eq!(outcome(&answer), ("ACTIVE", 2, None));
    let expected = json!({"access_rights": "public", "metadata": {"team": "waste"}, "input": {}, "buffer": {"kinesis": {"shards": 2}}});
    assert_eq!(answer.body["config"], expected);
    let answer = bench.patch(STREAM, r#"{"buffer":null}"#).await;
    assert_eq!(outcome(&answer).0, "UPDATE_IN_PROGRESS");
    assert_eq!(answer.body["pending"]["config"], json!({"access_rights": "public", "metadata": {"team": "waste"}, "input": {}}));
    bench.finish_stacks();
    assert_eq!(bench.get(&format!("{STREAM}?defaults=true")).await.body["config"]["buffer"]["kinesis"]["shards"], 1);
}

#[tokio::test]
async fn lists_and_scalars_are_replaced_whole() {
    let bench = Bench::new();
    assert_eq!(bench.post(&format!("{STREAM}?chilled=true"), r#"{"list":[1,{"a":1}],"name":"a"}"#).await.status, 201);
    bench.finish_stacks();
    let answer = bench.patch(&format!("{STREAM}?chilled=true"), r#"{"list":[{"b":null}],"name":"b"}"#).await;
    assert_eq!((outcome(&answer), &answer.body["config"]), (("ACTIVE", 2, None), &json!({"list": [{"b": null}], "name": "b"})));
    let object = bench.patch(&format!("{STREAM}?chilled=true"), r#"{"list":{"b":null,"c":1}}"#).await;
    assert_eq!(object.body["config"]["list"], json!({"c": 1}));
}

#[tokio::test]
async fn a_merge_patch_is_a_patch_whatever_its_media_type() {
    for media_type in ["application/merge-patch+json", "application/json", "application/yaml", "text/plain"] {
        let bench = Bench::with_stream().await;
        let answer = bench.call_with(("content-type", media_type), "PATCH", STREAM, Some(r#"{"name":"b"}"#)).await;
        assert_eq!((outcome(&answer), &answer.body["config"]["name"]), (("ACTIVE", 2, None), &json!("b")), "{media_type}");
    }
}

#[tokio::test]
async fn a_patch_that_changes_nothing_gets_no_number() {
    let bench = Bench::with_stream().await;
    let before = bench.store.stored(&key("refuse-trucks", "1"));
    for patch in ["", " \n", "{}", r#"{"name":"Refuse trucks"}"#, r#"{"description":null}"#, r#"{"metadata":{}}"#, "# nothing\n"] {
        let answer = bench.patch(STREAM, patch).await;
        assert_eq!((outcome(&answer), answer.header("etag")), (("ACTIVE", 1, None), Some("\"1\"")), "{patch:?}");
    }
    assert_eq!(bench.store.stored(&key("refuse-trucks", "1")), before);
}

#[tokio::test]
async fn faults_are_named_by_their_places_in_the_patch() {
    let bench = Bench::with_stream().await;
    let before = bench.store.stored(&key("refuse-trucks", "1"));
    let patch = "name: 7\nbuffer:\n  kinesis:\n    mode: on_demand\n    shard: 3\ninput: {max_event_bytes: 0}\n";
    assert_snapshot!(bench.patch(STREAM, patch).await.shown(), @r#"
    400
    content-type: application/json

    linting_errors:
      "(1,7) expected string value, got integer"
      "(5,5) field shard not recognised, did you mean shards?"
      "(6,26) expected 1 to 716800, got 0"
    "#);
    // What was there before stands at the beginning of the patch.
    let answer = bench.patch(STREAM, "name: b\nbuffer: {kinesis: {mode: on_demand}}\n").await;
    assert_eq!((answer.status, &answer.body["linting_errors"]), (400, &json!(["(1,1) expected shards only with mode provisioned"])));
    for (malformed, place) in [("[]", "(1,1) "), ("7", "(1,1) "), ("{\"name\":", "(2,1) "), ("a: [1", "(2,1) ")] {
        let answer = bench.patch(STREAM, malformed).await;
        let first = answer.body["linting_errors"][0].as_str().unwrap_or_default();
        assert!(answer.status == 400 && first.starts_with(place), "{malformed}: {first}");
    }
    assert_eq!(bench.store.stored(&key("refuse-trucks", "1")), before);
}

#[tokio::test]
async fn a_field_that_is_given_twice_is_a_fault_of_a_patch_too() {
    let bench = Bench::with_stream().await;
    for (patch, fault) in [
        ("name: b\nname: c\n", "(2,1) field name is given twice"),
        ("name: null\nname: c\n", "(2,1) field name is given twice"),
        ("input:\n  max_event_bytes: 1\n  max_event_bytes: null\n", "(3,3) field max_event_bytes is given twice"),
    ] {
        let answer = bench.patch(STREAM, patch).await;
        assert_eq!((answer.status, &answer.body["linting_errors"]), (400, &json!([fault])), "{patch}");
    }
    assert_eq!(bench.get(STREAM).await.body["config_version"], 1);
}

#[tokio::test]
async fn a_patch_is_checked_as_the_whole_document_would_be() {
    let bench = Bench::with_stream().await;
    for patch in [r#"{"access_rights":null}"#, r#"{"access_rights":"restricted"}"#] {
        let answer = bench.patch(STREAM, patch).await;
        let first = answer.body["linting_errors"][0].as_str().unwrap_or_default();
        assert!(answer.status == 400 && first.starts_with("access_rights: \"public\" cannot become "), "{patch}: {first}");
    }
    let bench = Bench::new();
    bench.post(&format!("{STREAM}?chilled=true"), r#"{"nope":1}"#).await;
    bench.finish_stacks();
    let answer = bench.patch(STREAM, r#"{"name":"b"}"#).await;
    assert_eq!((answer.status, &answer.body["linting_errors"]), (400, &json!(["(1,1) field nope not recognised, did you mean name?"])));
    assert_eq!(bench.patch(&format!("{STREAM}?chilled=true"), r#"{"name":"b"}"#).await.status, 200);
    assert_eq!(bench.patch(STREAM, r#"{"nope":null}"#).await.body["config"], json!({"name": "b"}), "and a patch can mend it");
}
