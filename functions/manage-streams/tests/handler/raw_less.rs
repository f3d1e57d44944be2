//! Streams that have no raw stream.

use http_edge::testing::Answer;
use serde_json::{Value, json};

use crate::bench::{Bench, NEWEST, S3_SINK, SINKS, STREAM};

const RAW_LESS: &str = r#"{"buffer":{"raw":false}}"#;

async fn bench() -> Bench {
    let bench = Bench::new();
    bench.make(STREAM, RAW_LESS).await;
    bench
}

fn faults(answer: &Answer) -> &Value {
    assert_eq!(answer.status, 400, "{}", answer.body);
    &answer.body["linting_errors"]
}

#[tokio::test]
async fn a_stream_without_a_raw_one_shows_none_and_its_stack_has_none() {
    let bench = Bench::new();
    let created = bench.post(STREAM, RAW_LESS).await;
    assert_eq!((created.status, created.body.get("raw_stream")), (201, None));
    assert_eq!(created.body["processed_stream"], "dp.red.refuse-trucks.processed.1.json");
    let asked = bench.stacks.requests();
    let parameter = |name: &str| asked[0].parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    assert_eq!(parameter("RawStreamName"), Some(""));
    assert_eq!(parameter("ProcessedStreamName"), Some("dp.red.refuse-trucks.processed.1.json"));
    bench.finish_stacks();
    assert_eq!(bench.get(STREAM).await.body.get("raw_stream"), None);
}

#[tokio::test]
async fn okdata_says_create_raw_where_streams_are_made() {
    for (path, status) in [(NEWEST, 200), (STREAM, 201)] {
        let bench = Bench::new();
        let answer = bench.post(path, r#"{"create_raw":false}"#).await;
        assert_eq!((answer.status, answer.body.get("raw_stream")), (status, None), "{path}");
        assert_eq!(answer.body["config"], json!({"buffer": {"raw": false}}), "{path}");

        let bench = Bench::new();
        let answer = bench.post(path, r#"{"create_raw":true}"#).await;
        assert_eq!((answer.status, &answer.body["raw_stream"]), (status, &json!("dp.red.refuse-trucks.raw.1.json")), "{path}");

        let bench = Bench::new();
        let both = bench.post(path, r#"{"create_raw":false,"buffer":{"raw":false}}"#).await;
        assert_eq!(*faults(&both), json!(["(1,2) create_raw is another name for buffer.raw: expected one of them, got both"]), "{path}");
        let other = bench.post(path, r#"{"create_raw":false,"updated_by":"me"}"#).await;
        assert_eq!(*faults(&other), json!(["(1,21) field updated_by not recognised"]), "{path}");
        assert_eq!(bench.stacks_asked_for(), 0, "{path}");
    }
}

#[tokio::test]
async fn create_raw_is_unknown_elsewhere() {
    let bench = bench().await;
    let unknown = json!(["(1,2) field create_raw not recognised"]);
    assert_eq!(*faults(&bench.put(STREAM, r#"{"create_raw":false}"#).await), unknown);
    assert_eq!(*faults(&bench.patch(STREAM, r#"{"create_raw":false}"#).await), unknown);
    assert_eq!(*faults(&bench.post("/streams/lint", r#"{"create_raw":false}"#).await), unknown);
}

#[tokio::test]
async fn a_raw_stream_neither_comes_nor_goes_in_place() {
    let why = "events that wait in a raw stream would be lost with it; declare another version of the stream instead";
    let without = bench().await;
    let answer = without.put(STREAM, "{}").await;
    assert_eq!(*faults(&answer), json!([format!("buffer.raw: false cannot become true: {why}")]));
    let with = Bench::new();
    with.make(STREAM, "{}").await;
    let answer = with.patch(STREAM, RAW_LESS).await;
    assert_eq!(*faults(&answer), json!([format!("buffer.raw: true cannot become false: {why}")]));
    for bench in [without, with] {
        assert!(bench.stacks.updates().is_empty());
    }
}

#[tokio::test]
async fn everything_else_changes_in_place() {
    let bench = bench().await;
    let renamed = bench.patch(STREAM, r#"{"name":"Trucks"}"#).await;
    assert_eq!((renamed.status, &renamed.body["config_version"]), (200, &json!(2)));
    assert_eq!(bench.patch(STREAM, r#"{"buffer":{"kinesis":{"shards":2}}}"#).await.status, 200);
    bench.finish_stacks();
    assert_eq!(bench.get(STREAM).await.body["config_version"], 3);
    assert_eq!(bench.stacks.updates().len(), 1);
    bench.make(SINKS, S3_SINK).await;
    let processors = bench.patch(STREAM, r#"{"pipeline":{"processors":[{"flatten":{}}]}}"#).await;
    assert!(faults(&processors)[0].as_str().unwrap().ends_with("buffer.raw: false leaves no place for a pipeline"), "{}", processors.body);
}

#[tokio::test]
async fn there_is_no_pipeline_to_pause_or_resume() {
    let bench = bench().await;
    for verb in ["pause", "resume"] {
        let answer = bench.post(&format!("{STREAM}/{verb}"), "").await;
        assert_eq!((answer.status, &answer.body["detail"]), (409, &json!("the stream has no pipeline")), "{verb}");
        assert_eq!(answer.header("retry-after"), None, "{verb}");
    }
}

#[tokio::test]
async fn it_is_removed_like_any_other() {
    let bench = bench().await;
    assert_eq!(bench.delete(STREAM).await.status, 200);
    bench.finish_stacks();
    assert_eq!(bench.get(STREAM).await.status, 404);
}
