//! Streams that name resources.

use serde_json::json;

use crate::bench::{Bench, STREAM};

const NAMING: &str = "access_rights: public\ninput:\n  timestamp: $.time\n  rate_limit: slow\npipeline:\n  processors:\n    - dedupe: {key: $.id, cache: seen}\n    - resource: speed\nmetadata: {team: waste}\nbuffer: {kinesis: {shards: 2}}\n";

async fn with_resources() -> Bench {
    let bench = Bench::with_stream().await;
    for (path, config) in [
        ("/resources/rate_limit/slow", "local: {count: 10, interval: 1s}"),
        ("/resources/cache/seen", "memory: {ttl: 1h}"),
        ("/resources/processor/speed", "mapping: .speed = 1"),
    ] {
        let answer = bench.post(path, config).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    bench
}

#[tokio::test]
async fn what_is_not_there_is_a_fault_where_it_is_named() {
    let bench = Bench::with_stream().await;
    let expected = json!({"linting_errors": [
        "(4,15) rate_limit slow does not exist",
        "(7,34) cache seen does not exist",
        "(8,17) processor speed does not exist",
    ]});
    for (method, path) in [("POST", "/streams/lint"), ("POST", "/streams/bus-positions"), ("PUT", STREAM), ("PATCH", STREAM)] {
        let answer = bench.call(method, path, Some(NAMING)).await;
        assert_eq!((answer.status, &answer.body), (400, &expected), "{method} {path}");
    }
    let set = bench.post("/streams", "bus-positions: {input: {rate_limit: slow}}").await;
    assert_eq!(set.body, json!({"linting_errors": ["(1,37) bus-positions: rate_limit slow does not exist"]}));
}

#[tokio::test]
async fn a_resource_that_a_stream_names_stays_until_it_names_it_no_more() {
    let bench = with_resources().await;
    assert_eq!(bench.call("PUT", STREAM, Some(NAMING)).await.status, 200);
    let shown = bench.get("/resources/cache/seen").await;
    assert_eq!(shown.body["used_by"], json!(["/streams/refuse-trucks/1"]));
    for path in ["/resources/rate_limit/slow", "/resources/cache/seen", "/resources/processor/speed"] {
        let answer = bench.delete(path).await;
        assert_eq!((answer.status, &answer.body["used_by"]), (409, &json!(["/streams/refuse-trucks/1"])), "{path}");
    }
    assert_eq!(bench.call("PATCH", STREAM, Some("pipeline: null")).await.status, 200);
    assert_eq!(bench.delete("/resources/cache/seen").await.status, 204);
    assert_eq!(bench.delete("/resources/rate_limit/slow").await.status, 409);
    bench.delete(STREAM).await;
    bench.finish_stacks();
    bench.get(STREAM).await;
    assert_eq!(bench.delete("/resources/rate_limit/slow").await.status, 204, "the stream is gone");
}

#[tokio::test]
async fn a_section_that_is_a_resource_counts_as_if_it_stood_in_the_document() {
    let bench = with_resources().await;
    assert_eq!(bench.post("/resources/input/gateway", "max_event_bytes: 1000\nrate_limit: slow\n").await.status, 200);
    assert_eq!(bench.post("/resources/output/archive", "s3: {compression: none}\n").await.status, 200);
    let document = "input: {resource: gateway}\noutput: {resource: archive}\n";
    assert_eq!(bench.post("/streams/bus-positions/1", document).await.status, 201);
    bench.finish_stacks();
    bench.get("/streams/bus-positions/1").await;
    bench.finish_stacks();
    let stream = bench.get("/streams/bus-positions/1").await.body;
    assert_eq!(stream["config"], json!({"input": {"resource": "gateway"}, "output": {"resource": "archive"}}), "as posted");
    assert_eq!((&stream["sinks"][0]["status"], &stream["sinks"][0]["config"]["compression"]), (&json!("ACTIVE"), &json!("none")));
    let whole = bench.get("/streams/bus-positions/1?defaults=true").await.body;
    assert_eq!(whole["config"]["input"]["max_event_bytes"], 1000);
    let disabled = bench.delete("/streams/bus-positions/1/sinks/s3").await;
    assert_eq!(disabled.status, 409, "the sinks are the resource's: {}", disabled.body);
    let limit = bench.get("/resources/rate_limit/slow").await.body;
    assert_eq!(limit["used_by"], json!(["/streams/bus-positions/1", "/resources/input/gateway"]));
}

#[tokio::test]
async fn streams_follow_when_their_section_changes() {
    let bench = Bench::with_stream().await;
    bench.post("/resources/output/archive", "s3: {compression: none}\n").await;
    bench.make("/streams/bus-positions/1", "output: {resource: archive}\n").await;
    bench.finish_stacks();
    bench.get("/streams/bus-positions/1").await;
    assert_eq!(bench.post("/resources/output/archive", "s3: {compression: gzip}\n").await.status, 200);
    let following = bench.get("/streams/bus-positions/1").await.body;
    assert_eq!((&following["config_version"], &following["sinks"][0]["status"]), (&json!(2), &json!("UPDATE_IN_PROGRESS")));
    let busy = bench.post("/resources/output/archive", "s3: {compression: none}\n").await;
    assert_eq!(busy.status, 409, "{}", busy.body);
    assert_eq!(busy.body["detail"], "stream bus-positions/1 cannot follow: sink s3 is UPDATE_IN_PROGRESS");
    assert_eq!(bench.get("/resources/output/archive").await.body["config"], json!({"s3": {"compression": "gzip"}}));
    bench.finish_stacks();
    let followed = bench.get("/streams/bus-positions/1").await.body;
    assert_eq!((&followed["sinks"][0]["status"], &followed["sinks"][0]["config"]["compression"]), (&json!("ACTIVE"), &json!("gzip")));
}

#[tokio::test]
async fn a_section_that_would_make_a_stream_impossible_is_refused() {
    let bench = Bench::with_stream().await;
    bench.post("/resources/output/archive", "{}").await;
    bench.make("/streams/bus-positions/1", "input: {timestamp: $.time}\noutput: {resource: archive}\n").await;
    let answer = bench.post("/resources/output/archive", "s3: {buffering: {size_mb: 5}}").await;
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.body["detail"].as_str().unwrap().starts_with("stream bus-positions/1 cannot follow: (1,1) "), "{}", answer.body);
    assert_eq!(bench.get("/resources/output/archive").await.body["config"], json!({}));
}

#[tokio::test]
async fn programs_of_resources_are_checked() {
    let bench = Bench::with_stream().await;
    let answer = bench.post("/resources/processor/speed", "mapping: .a = nope()").await;
    assert_eq!((answer.status, &answer.body), (400, &json!({"linting_errors": ["(1,15) function nope is not known"]})));
    let answer = bench.post("/resources/input/gateway", "rate_limit: slow").await;
    assert_eq!(answer.body, json!({"linting_errors": ["(1,1) rate_limit slow does not exist"]}));
}
