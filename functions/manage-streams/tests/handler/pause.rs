//! Pause and resume.

use domain::provision::ProvisionFault;
use serde_json::json;

use crate::bench::{Bench, SINKS, STREAM};

#[tokio::test]
async fn a_stream_pauses_and_resumes_by_an_update_of_its_stack() {
    let bench = Bench::with_stream().await;
    let pause = format!("{STREAM}/pause");
    let answer = bench.post(&pause, "").await;
    assert_eq!((answer.status, &answer.body["status"], &answer.body["paused"]), (200, &json!("UPDATE_IN_PROGRESS"), &json!(false)));
    assert!(answer.body.get("pending").is_none(), "it is no other config");
    assert_eq!(bench.post(&pause, "").await.status, 409, "while that runs");
    bench.finish_stacks();
    let paused = bench.get(STREAM).await.body;
    assert_eq!(
        [&paused["status"], &paused["paused"], &paused["active"], &paused["config_version"]],
        [&json!("ACTIVE"), &json!(true), &json!(false), &json!(1)]
    );
    assert_eq!(bench.post(&pause, "").await.status, 200, "again");
    assert_eq!(bench.stacks.updates().len(), 1);

    bench.post(&format!("{STREAM}/resume"), "").await;
    bench.finish_stacks();
    let resumed = bench.get(STREAM).await.body;
    assert_eq!([&resumed["paused"], &resumed["active"]], [&json!(false), &json!(true)]);
}

#[tokio::test]
async fn what_cloudformation_refuses_leaves_the_stream_as_it_was() {
    let bench = Bench::with_stream().await;
    bench.stacks.fail_next(ProvisionFault::Refused("AccessDenied: no".into()));
    let answer = bench.post(&format!("{STREAM}/pause"), "").await;
    assert_eq!(answer.status, 409);
    assert_eq!(bench.get(STREAM).await.body["paused"], false);
}

#[tokio::test]
async fn a_stream_that_is_not_ready_is_not_paused() {
    let bench = Bench::new();
    bench.post(STREAM, "{}").await;
    assert_eq!(bench.post(&format!("{STREAM}/pause"), "").await.status, 409);
    let bench = Bench::with_stream().await;
    bench.post(SINKS, r#"{"type":"s3"}"#).await;
    assert_eq!(bench.post(&format!("{STREAM}/pause"), "").await.status, 409, "a sink is coming");
    assert_eq!(bench.post("/streams/nobody-s/1/resume", "").await.status, 404);
}
