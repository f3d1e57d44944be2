//! Streams that are removed, and what keeps them.

use domain::provision::ProvisionFault;
use insta::assert_snapshot;
use serde_json::json;

use crate::bench::{Bench, DOCUMENT, NEWEST, S3, S3_SINK, SINKS, STREAM};

#[tokio::test]
async fn a_stream_is_shown_while_its_deletion_runs_and_then_missing() {
    for path in [STREAM, NEWEST] {
        let bench = Bench::with_stream().await;
        let answer = bench.delete(path).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("DELETE_IN_PROGRESS")));
        let answer = bench.get(path).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("DELETE_IN_PROGRESS")));
        bench.finish_stacks();
        assert_eq!(bench.get(path).await.status, 404);
        assert_eq!(bench.delete(path).await.status, 404);
    }
}

#[tokio::test]
async fn a_stack_that_cloudformation_forgot_is_gone() {
    let bench = Bench::with_stream().await;
    bench.delete(STREAM).await;
    bench.finish_stacks();
    bench.stacks.forget_deleted();
    assert_eq!(bench.get(STREAM).await.status, 404);
}

#[tokio::test]
async fn a_deletion_that_runs_is_not_begun_anew() {
    let bench = Bench::with_stream().await;
    bench.delete(STREAM).await;
    let answer = bench.delete(STREAM).await;
    assert_eq!((answer.status, answer.header("retry-after")), (409, Some("5")));
    assert_eq!(answer.body["detail"], "stream is DELETE_IN_PROGRESS");
    bench.finish_stacks();
    assert_eq!(bench.delete(STREAM).await.status, 404);
}

#[tokio::test]
async fn a_stream_with_a_sink_is_not_deleted_and_the_sink_is_named() {
    let bench = Bench::with_sink().await;
    assert_snapshot!(bench.delete(STREAM).await.shown(), @r#"
    409
    content-type: application/problem+json

    detail: "the stream has active features: s3"
    request_id: [request id]
    status: 409
    title: "Conflict"
    type: "urn:millrace:problem:conflict"
    "#);
    assert_eq!(bench.get(STREAM).await.body["status"], "ACTIVE");
    bench.delete(S3).await;
    assert_eq!(bench.delete(STREAM).await.status, 409, "while the sink's deletion runs, too");
    bench.finish_stacks();
    assert_eq!(bench.delete(STREAM).await.status, 200);
}

#[tokio::test]
async fn a_stream_that_is_being_created_is_not_deleted_yet() {
    let bench = Bench::new();
    bench.post(STREAM, DOCUMENT).await;
    assert_snapshot!(bench.delete(STREAM).await.shown(), @r#"
    409
    content-type: application/problem+json
    retry-after: 5

    detail: "stream is CREATE_IN_PROGRESS"
    request_id: [request id]
    status: 409
    title: "Conflict"
    type: "urn:millrace:problem:conflict"
    "#);
    bench.finish_stacks();
    assert_eq!(bench.delete(STREAM).await.status, 200);
}

#[tokio::test]
async fn a_deletion_that_fails_shows_its_reason_and_can_be_tried_again() {
    let bench = Bench::with_stream().await;
    bench.delete(STREAM).await;
    bench.fail_stacks("RawStream: access denied");
    let answer = bench.get(STREAM).await;
    assert_eq!((&answer.body["status"], &answer.body["reason"]), (&json!("OPERATION_FAILED"), &json!("RawStream: access denied")));
    assert_eq!(bench.delete(STREAM).await.status, 200);
    bench.finish_stacks();
    assert_eq!(bench.get(STREAM).await.status, 404);
}

#[tokio::test]
async fn a_stream_whose_stack_was_refused_is_deleted_though_there_is_no_stack() {
    let bench = Bench::with_script([ProvisionFault::Refused("template is wrong".into())]);
    bench.post(STREAM, DOCUMENT).await;
    assert_eq!(bench.delete(STREAM).await.status, 200);
    bench.finish_stacks();
    assert_eq!(bench.get(STREAM).await.status, 404);
    assert_eq!(bench.post(STREAM, DOCUMENT).await.status, 201);
}

#[tokio::test]
async fn a_deleted_stream_takes_no_sinks() {
    let bench = Bench::with_stream().await;
    bench.delete(STREAM).await;
    assert_eq!(bench.post(SINKS, S3_SINK).await.status, 409);
    assert_eq!(bench.stacks_asked_for(), 1);
}

#[tokio::test]
async fn a_stream_goes_with_its_sinks_by_cascade_or_by_its_id_alone() {
    for path in [NEWEST.to_owned(), format!("{STREAM}?cascade=true")] {
        let bench = Bench::with_sink().await;
        let answer = bench.delete(&path).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("DELETE_IN_PROGRESS")));
        assert_eq!(answer.body["sinks"][0]["status"], "DELETE_IN_PROGRESS");
        bench.finish_stacks();
        assert_eq!(bench.get(STREAM).await.body["sinks"], json!([]), "first the sink");
        bench.finish_stacks();
        assert_eq!(bench.get(STREAM).await.status, 404, "then the stream");
    }
    let bench = Bench::with_sink().await;
    assert_eq!(bench.delete(&format!("{STREAM}?cascade=false")).await.status, 409);
    assert_eq!(bench.delete(&format!("{STREAM}?cascade=please")).await.status, 400);
}
