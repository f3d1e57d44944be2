//! Streams that get another document: what runs at once, what waits for the stack, and what is refused before anything happens.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::bench::{Bench, DOCUMENT, NEWEST, RENAMED, RETAINED, S3_SINK, SINKS, STREAM, key, outcome};

fn parsed(document: &str) -> Value {
    serde_json::from_str(document).unwrap()
}

#[tokio::test]
async fn a_document_that_needs_nothing_of_the_stack_runs_at_once() {
    for path in [STREAM, NEWEST] {
        let bench = Bench::with_stream().await;
        let answer = bench.put(path, RENAMED).await;
        assert_eq!(answer.header("etag"), Some("\"2\""));
        insta::allow_duplicates! {
            assert_snapshot!(answer.shown(), @r#"
            200
            content-type: application/json

            access_rights: "public"
            active: true
            confidentiality: "green"
            config: {"access_rights":"public","buffer":{"kinesis":{"shards":2}},"input":{"max_event_bytes":1000,"timestamp":"$.time"},"metadata":{"team":"waste"},"name":"Trucks"}
            config_version: 2
            created_at: "2026-01-01T00:00:00Z"
            created_by: "tester"
            id: "refuse-trucks"
            ingest_id: "is-gbbofKUG"
            owner: "waste"
            paused: false
            processed_stream: "dp.green.refuse-trucks.processed.1.json"
            raw_stream: "dp.green.refuse-trucks.raw.1.json"
            sinks: []
            status: "ACTIVE"
            updated_at: "2026-01-01T00:00:02Z"
            updated_by: "tester"
            uptime: 0.0
            uptime_str: "0s"
            version: "1"
            "#);
        }
        assert_eq!(bench.get(STREAM).await.body, answer.body);
        assert!(bench.stacks.updates().is_empty());
        let stored = bench.store.stored(&key("refuse-trucks", "1")).unwrap();
        assert_eq!(stored.document.input.max_event_bytes, 1_000, "ingest goes by it");
    }
}

#[tokio::test]
async fn what_needs_the_stack_is_pending_until_the_stack_is_ready() {
    let bench = Bench::with_stream().await;
    let answer = bench.put(STREAM, RETAINED).await;
    assert_eq!(answer.header("etag"), Some("\"2\""), "the tag is the pending config's");
    assert_snapshot!(answer.shown(), @r#"
    200
    content-type: application/json

    access_rights: "public"
    active: true
    confidentiality: "green"
    config: {"access_rights":"public","buffer":{"kinesis":{"shards":2}},"input":{"timestamp":"$.time"},"metadata":{"team":"waste"},"name":"Refuse trucks"}
    config_version: 1
    created_at: "2026-01-01T00:00:00Z"
    created_by: "tester"
    id: "refuse-trucks"
    ingest_id: "is-gbbofKUG"
    owner: "waste"
    paused: false
    pending: {"config":{"access_rights":"public","buffer":{"kinesis":{"retention_hours":48,"shards":2}},"input":{"timestamp":"$.time"},"metadata":{"team":"waste"},"name":"Refuse trucks"},"config_version":2}
    processed_stream: "dp.green.refuse-trucks.processed.1.json"
    raw_stream: "dp.green.refuse-trucks.raw.1.json"
    sinks: []
    status: "UPDATE_IN_PROGRESS"
    updated_at: "2026-01-01T00:00:02Z"
    updated_by: "tester"
    uptime: 0.0
    uptime_str: "0s"
    version: "1"
    "#);
    bench.system.advance(domain::limits::RECONCILE_AFTER);
    let meanwhile = bench.get(STREAM).await;
    assert_eq!(outcome(&meanwhile), ("UPDATE_IN_PROGRESS", 1, None));
    assert_eq!((&meanwhile.body["config"], &meanwhile.body["active"]), (&parsed(DOCUMENT), &json!(true)), "what ran runs on");
    assert_eq!(meanwhile.body["pending"], json!({"config": parsed(RETAINED), "config_version": 2}));

    bench.finish_stacks();
    let after = bench.get(STREAM).await;
    assert_eq!(outcome(&after), ("ACTIVE", 2, None));
    assert_eq!((&after.body["config"], &after.body["pending"]), (&parsed(RETAINED), &Value::Null));
    assert_eq!(after.header("etag"), Some("\"2\""));
    assert_eq!(bench.get("/streams").await.body["refuse-trucks"]["status"], "ACTIVE");
}

#[tokio::test]
async fn capacity_and_labels_reach_the_stack_by_one_update() {
    let cases = [
        (json!({"buffer": {"kinesis": {"shards": 4}}}), ("ShardCount", "4")),
        (json!({"buffer": {"kinesis": {"retention_hours": 8_760}}}), ("RetentionHours", "8760")),
        (json!({"buffer": {"kinesis": {"shards": null, "mode": "on_demand"}}}), ("StreamMode", "ON_DEMAND")),
        (json!({"metadata": {"team": "water"}}), ("team", "water")),
        (json!({"metadata": {"place": "Sørumsand 2"}}), ("place", "Sørumsand 2")),
    ];
    for (patch, (name, value)) in cases {
        let bench = Bench::with_stream().await;
        let answer = bench.patch(NEWEST, &patch.to_string()).await;
        assert_eq!(outcome(&answer), ("UPDATE_IN_PROGRESS", 1, None), "{patch}");
        let updates = bench.stacks.updates();
        assert_eq!(updates.len(), 1, "{patch}");
        let parameters = updates[0].parameters.iter().map(|(name, value)| (*name, value.as_str()));
        let tags = updates[0].tags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        assert!(parameters.chain(tags).any(|asked| asked == (name, value)), "{patch}: {:?}", updates[0]);
        bench.finish_stacks();
        assert_eq!(outcome(&bench.get(STREAM).await), ("ACTIVE", 2, None), "{patch}");
    }
}

#[tokio::test]
async fn the_same_document_again_changes_nothing() {
    let bench = Bench::with_stream().await;
    let before = bench.get(STREAM).await;
    let yaml =
        "name: Refuse trucks\nmetadata: {team: waste}\naccess_rights: public\ninput: {timestamp: $.time}\nbuffer: {kinesis: {shards: 2}}\n";
    for same in [DOCUMENT, yaml] {
        let answer = bench.put(STREAM, same).await;
        assert_eq!((answer.status, answer.header("etag"), &answer.body), (200, Some("\"1\""), &before.body), "{same}");
    }
    assert!(bench.stacks.updates().is_empty());
    assert_eq!(bench.get(&format!("{STREAM}/versions")).await.body.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_document_with_faults_is_answered_with_all_of_them_and_harms_nothing() {
    let bench = Bench::with_stream().await;
    let before = bench.store.stored(&key("refuse-trucks", "1"));
    let document = "nope: 1\naccess_rights: public\ninput: {timestamp: time, max_event_bytes: 0}\nbuffer: {kinesis: {shard: 3}}\n";
    assert_snapshot!(bench.put(STREAM, document).await.shown(), @r#"
    400
    content-type: application/json

    linting_errors:
      "(1,1) field nope not recognised, did you mean name?"
      "(3,20) expected a path of member names such as $.time or $['odd name'].time, got \"time\""
      "(3,43) expected 1 to 716800, got 0"
      "(4,20) field shard not recognised, did you mean shards?"
    "#);
    assert_eq!(bench.put(NEWEST, document).await.shown(), bench.put(STREAM, document).await.shown());
    for malformed in ["not a document", "{\"name\":", "[]", "name: a\nname: b\n"] {
        let answer = bench.put(STREAM, malformed).await;
        assert_eq!((answer.status, answer.body["linting_errors"].as_array().map(Vec::len)), (400, Some(1)), "{malformed}");
    }
    assert_eq!(bench.store.stored(&key("refuse-trucks", "1")), before);
    assert!(bench.stacks.updates().is_empty());
}

#[tokio::test]
async fn chilled_lets_unknown_fields_pass_and_nothing_that_makes_the_stream_impossible() {
    let bench = Bench::with_stream().await;
    let document = r#"{"access_rights":"public","input":{"timestamp":"$.time"},"metadata":{"team":"waste"},"buffer":{"kinesis":{"shards":2}},"nope":1}"#;
    assert_eq!(bench.put(STREAM, document).await.status, 400);
    let answer = bench.put(&format!("{STREAM}?chilled=true"), document).await;
    assert_eq!((outcome(&answer), &answer.body["config"]), (("ACTIVE", 2, None), &parsed(document)));
    let impossible = bench.put(&format!("{STREAM}?chilled=true"), r#"{"access_rights":"public","nope":1,"name":7}"#).await;
    assert_eq!((impossible.status, &impossible.body["linting_errors"]), (400, &json!(["(1,43) expected string value, got integer"])));
    let unclear = bench.put(&format!("{STREAM}?chilled=yes"), document).await;
    assert_eq!((unclear.status, &unclear.body["errors"][0]["pointer"]), (400, &json!("/chilled")));
}

#[tokio::test]
async fn access_rights_do_not_change_in_place() {
    let bench = Bench::with_stream().await;
    let before = bench.store.stored(&key("refuse-trucks", "1"));
    let answer = bench.put(STREAM, r#"{"access_rights":"restricted","input":{"timestamp":"$.time"}}"#).await;
    assert_snapshot!(answer.shown(), @r#"
    400
    content-type: application/json

    linting_errors:
      "access_rights: \"public\" cannot become \"restricted\": it stands in the name of every resource; declare another version of the stream instead"
    "#);
    assert_eq!(bench.put(&format!("{STREAM}?chilled=true"), "{}").await.status, 400, "nor by being left out");
    assert_eq!(bench.store.stored(&key("refuse-trucks", "1")), before);
    assert!(bench.stacks.updates().is_empty());
}

#[tokio::test]
async fn the_event_time_does_not_change_under_a_sink_that_partitions_by_it() {
    let bench = Bench::with_sink().await;
    let before = bench.store.stored(&key("refuse-trucks", "1"));
    let document = |path: &str| {
        format!(
            r#"{{"access_rights":"public","metadata":{{"team":"waste"}},"input":{{"timestamp":"{path}"}},"buffer":{{"kinesis":{{"shards":2}}}},"output":{{"s3":{{}}}}}}"#
        )
    };
    assert_snapshot!(bench.put(STREAM, &document("$.at")).await.shown(), @r#"
    409
    content-type: application/problem+json

    detail: "input.timestamp is fixed while the stream has a sink s3, whose objects are partitioned by it: disable the sink, change the stream, and enable it again"
    request_id: [request id]
    status: 409
    title: "Conflict"
    type: "urn:millrace:problem:conflict"
    "#);
    assert_eq!(bench.store.stored(&key("refuse-trucks", "1")), before);
    assert_eq!(bench.put(STREAM, &document("$.time")).await.status, 200, "everything else does");

    let bench = Bench::with_stream().await;
    assert_eq!(outcome(&bench.patch(STREAM, "input: {timestamp: $.at}").await), ("ACTIVE", 2, None), "without a sink it does, too");
}

#[tokio::test]
async fn nothing_else_starts_while_an_update_runs() {
    let bench = Bench::with_stream().await;
    bench.put(STREAM, RETAINED).await;
    let answer = bench.put(STREAM, RENAMED).await;
    assert_snapshot!(answer.shown(), @r#"
    409
    content-type: application/problem+json
    retry-after: 5

    detail: "stream is UPDATE_IN_PROGRESS"
    request_id: [request id]
    status: 409
    title: "Conflict"
    type: "urn:millrace:problem:conflict"
    "#);
    let rollback = format!("{STREAM}/rollback/1");
    for (method, path, body) in [
        ("PUT", NEWEST, RETAINED),
        ("PATCH", STREAM, "{}"),
        ("PATCH", NEWEST, r#"{"name":"b"}"#),
        ("POST", rollback.as_str(), ""),
        ("DELETE", STREAM, ""),
        ("POST", SINKS, S3_SINK),
    ] {
        let refused = bench.call(method, path, Some(body)).await;
        assert_eq!((refused.status, refused.header("retry-after")), (409, Some("5")), "{method} {path}");
    }
    assert_eq!(bench.stacks.updates().len(), 1);
    bench.finish_stacks();
    assert_eq!(outcome(&bench.put(STREAM, RENAMED).await).0, "UPDATE_IN_PROGRESS", "without a read in between");
}

#[tokio::test]
async fn no_update_starts_while_anything_else_runs() {
    let bench = Bench::new();
    let busy = async |status: &str| {
        for (method, body) in [("PUT", RETAINED), ("PATCH", r#"{"name":"b"}"#)] {
            let answer = bench.call(method, STREAM, Some(body)).await;
            assert_eq!((answer.status, answer.header("retry-after")), (409, Some("5")), "{method}");
            assert_eq!(answer.body["detail"], status, "{method}");
        }
    };
    bench.post(STREAM, DOCUMENT).await;
    busy("stream is CREATE_IN_PROGRESS").await;
    bench.finish_stacks();
    bench.post(SINKS, S3_SINK).await;
    busy("sink s3 is CREATE_IN_PROGRESS").await;
    bench.finish_stacks();
    bench.delete(&format!("{SINKS}/s3")).await;
    busy("sink s3 is DELETE_IN_PROGRESS").await;
    bench.finish_stacks();
    bench.get(STREAM).await;
    bench.delete(STREAM).await;
    busy("stream is DELETE_IN_PROGRESS").await;
    assert!(bench.stacks.updates().is_empty());
}

#[tokio::test]
async fn a_stream_that_failed_takes_no_update_and_waiting_does_not_help() {
    let bench = Bench::new();
    bench.post(STREAM, DOCUMENT).await;
    bench.fail_stacks("RawDataStream: limit exceeded");
    let answer = bench.put(STREAM, RENAMED).await;
    assert_snapshot!(answer.shown(), @r#"
    409
    content-type: application/problem+json

    detail: "the stream is OPERATION_FAILED; expected ACTIVE"
    request_id: [request id]
    status: 409
    title: "Conflict"
    type: "urn:millrace:problem:conflict"
    "#);
    assert_eq!(bench.patch(NEWEST, r#"{"name":"b"}"#).await.shown(), answer.shown());
}

#[tokio::test]
async fn a_missing_version_is_not_made_by_a_put() {
    let bench = Bench::with_stream().await;
    for path in ["/streams/refuse-trucks/2", "/streams/glass-bins", "/streams/glass-bins/1"] {
        for method in ["PUT", "PATCH"] {
            assert_eq!(bench.call(method, path, Some("{}")).await.status, 404, "{method} {path}");
        }
    }
    assert_eq!(bench.stacks_asked_for(), 1);
}

#[tokio::test]
async fn a_version_is_changed_by_its_own_path_and_the_newest_by_the_id() {
    let bench = Bench::with_stream().await;
    bench.make("/streams/refuse-trucks/2", "{}").await;
    assert_eq!(bench.patch(NEWEST, r#"{"name":"second"}"#).await.body["version"], "2");
    assert_eq!(bench.patch(STREAM, r#"{"name":"first"}"#).await.body["version"], "1");
    assert_eq!(bench.get(STREAM).await.body["config"]["name"], "first");
    assert_eq!(bench.get(NEWEST).await.body["config"]["name"], "second");
}
