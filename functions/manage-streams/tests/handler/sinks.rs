//! Sinks: listed, enabled, shown, disabled, and everything that stands against it.

use domain::fakes::active_stream;
use domain::provision::ProvisionFault;
use insta::assert_snapshot;
use serde_json::json;

use crate::bench::{Bench, DOCUMENT, S3, S3_SINK, SINKS, STREAM};

#[tokio::test]
async fn a_sink_is_enabled_listed_shown_and_disabled() {
    let bench = Bench::with_stream().await;
    assert_eq!(bench.get(SINKS).await.body, json!([]));
    assert_snapshot!(bench.post(SINKS, S3_SINK).await.shown(), @r#"
    201
    content-type: application/json

    config: {"buffering":{},"compression":"gzip"}
    status: "CREATE_IN_PROGRESS"
    type: "s3"
    updated_at: "2026-01-01T00:00:02Z"
    updated_by: "tester"
    "#);
    assert_eq!(bench.get(S3).await.body["status"], "CREATE_IN_PROGRESS");
    bench.finish_stacks();
    assert_eq!(bench.get(S3).await.body["status"], "ACTIVE");
    assert_snapshot!(bench.get(SINKS).await.shown(), @r#"
    200
    content-type: application/json

    [{"config":{"buffering":{},"compression":"gzip"},"status":"ACTIVE","type":"s3","updated_at":"2026-01-01T00:00:02Z","updated_by":"tester"}]
    "#);
    assert_eq!(bench.get(STREAM).await.body["sinks"], bench.get(SINKS).await.body);

    let answer = bench.delete(S3).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("DELETE_IN_PROGRESS")));
    assert_eq!(bench.get(S3).await.status, 200, "while its deletion runs");
    bench.finish_stacks();
    assert_eq!(bench.get(S3).await.status, 404);
    assert_eq!(bench.get(SINKS).await.body, json!([]));
    assert_eq!(bench.get(STREAM).await.body["status"], "ACTIVE", "its stream stays");
    assert_eq!(bench.post(SINKS, S3_SINK).await.status, 201, "and takes it again");
}

#[tokio::test]
async fn a_sinks_type_is_read_whatever_its_case() {
    let bench = Bench::with_stream().await;
    assert_eq!(bench.post(SINKS, r#"{"type":"S3"}"#).await.body["type"], "s3");
    assert_eq!(bench.get(&format!("{SINKS}/S3")).await.status, 200);
}

#[tokio::test]
async fn a_sinks_settings_reach_its_stack_and_are_shown() {
    let bench = Bench::new();
    bench.make(STREAM, "{}").await;
    let config = json!({"compression": "none", "buffering": {"interval_seconds": 0, "size_mb": 128}});
    let answer = bench.post(SINKS, &json!({"type": "s3", "config": config}).to_string()).await;
    assert_eq!((answer.status, &answer.body["config"]), (201, &config));
    let request = &bench.stacks.requests()[1];
    let parameter = |name: &str| request.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    let sent = ["Compression", "IntervalSeconds", "SizeMb", "PartitionQuery"].map(parameter);
    assert_eq!(sent, [Some("UNCOMPRESSED"), Some("0"), Some("128"), Some("")]);
}

#[tokio::test]
async fn an_unknown_type_is_a_bad_request() {
    let bench = Bench::with_stream().await;
    assert_snapshot!(bench.post(SINKS, r#"{"type":"ftp"}"#).await.shown(), @r#"
    400
    content-type: application/problem+json

    detail: "expected a sink type of: s3; got \"ftp\""
    errors:
      {"detail":"expected a sink type of: s3; got \"ftp\"","pointer":"/type"}
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    for method in ["GET", "DELETE"] {
        let answer = bench.call(method, &format!("{SINKS}/ftp"), None).await;
        assert_eq!(answer.shown(), bench.post(SINKS, r#"{"type":"ftp"}"#).await.shown());
        let answer = bench.call(method, &format!("{SINKS}/%ff"), None).await;
        assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/problem+json")), "names nothing that can exist");
    }
    assert_eq!(bench.stacks_asked_for(), 1);
}

#[tokio::test]
async fn a_body_that_is_no_sink_is_a_bad_request() {
    let bench = Bench::with_stream().await;
    assert_snapshot!(bench.post(SINKS, r#"{"type":"s3","nope":1}"#).await.shown(), @r#"
    400
    content-type: application/problem+json

    detail: "body is no sink: unknown field `nope`, expected `type` or `config` at line 1 column 19"
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    for body in [
        "",
        "not json",
        "[]",
        r#"["s3"]"#,
        "{}",
        r#"{"type":3}"#,
        r#"{"type":"s3","config":{"compression":"zip"}}"#,
        r#"{"type":"s3","config":{"buffering":{"size_mb":-1}}}"#,
        r#"{"type":"s3","config":{"nope":1}}"#,
        r#"{"type":"s3","config":["none"]}"#,
        r#"{"type":"s3","config":{"buffering":[900]}}"#,
    ] {
        assert_eq!(bench.post(SINKS, body).await.status, 400, "{body}");
    }
    assert_eq!(bench.stacks_asked_for(), 1);
}

#[tokio::test]
async fn every_setting_out_of_range_is_pointed_at() {
    let bench = Bench::with_stream().await;
    let body = r#"{"type":"s3","config":{"buffering":{"interval_seconds":901,"size_mb":5}}}"#;
    assert_snapshot!(bench.post(SINKS, body).await.shown(), @r#"
    400
    content-type: application/problem+json

    detail: "the sink's config has values out of range"
    errors:
      {"detail":"expected 60 to 900, got 901","pointer":"/config/buffering/interval_seconds"}
      {"detail":"expected 64 to 128, got 5","pointer":"/config/buffering/size_mb"}
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    let answer = bench.post(SINKS, r#"{"type":"s3","config":{"buffering":{"interval_seconds":59,"size_mb":64}}}"#).await;
    assert_eq!(answer.body["errors"][0]["pointer"], "/config/buffering/interval_seconds");
    assert_eq!(bench.stacks_asked_for(), 1);
}

#[tokio::test]
async fn a_sink_that_exists_is_a_conflict() {
    let bench = Bench::with_sink().await;
    assert_snapshot!(bench.post(SINKS, S3_SINK).await.shown(), @r#"
    409
    content-type: application/problem+json

    detail: "sink s3 already exists"
    request_id: [request id]
    status: 409
    title: "Conflict"
    type: "urn:millrace:problem:conflict"
    "#);
    bench.delete(S3).await;
    assert_eq!(bench.post(SINKS, S3_SINK).await.status, 409, "while its deletion runs, too");
    assert_eq!(bench.stacks_asked_for(), 2);
}

#[tokio::test]
async fn a_stream_that_is_not_active_takes_no_sink_yet() {
    let bench = Bench::new();
    bench.post(STREAM, DOCUMENT).await;
    assert_snapshot!(bench.post(SINKS, S3_SINK).await.shown(), @r#"
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
    assert_eq!(bench.post(SINKS, S3_SINK).await.status, 201, "without a read in between");

    let bench = Bench::new();
    bench.post(STREAM, DOCUMENT).await;
    bench.fail_stacks("no");
    let answer = bench.post(SINKS, S3_SINK).await;
    assert_eq!((answer.status, &answer.body["detail"]), (409, &json!("the stream is OPERATION_FAILED; expected ACTIVE")));
    assert_eq!(answer.header("retry-after"), None, "waiting does not help");
}

#[tokio::test]
async fn a_missing_sink_is_404() {
    let bench = Bench::with_stream().await;
    assert_snapshot!(bench.get(S3).await.shown(), @r#"
    404
    content-type: application/problem+json

    detail: "sink s3 does not exist"
    request_id: [request id]
    status: 404
    title: "Not Found"
    type: "urn:millrace:problem:not-found"
    "#);
    assert_eq!(bench.delete(S3).await.shown(), bench.get(S3).await.shown());
}

#[tokio::test]
async fn a_sink_that_is_being_created_is_not_disabled_yet() {
    let bench = Bench::with_stream().await;
    bench.post(SINKS, S3_SINK).await;
    assert_snapshot!(bench.delete(S3).await.shown(), @r#"
    409
    content-type: application/problem+json
    retry-after: 5

    detail: "sink s3 is CREATE_IN_PROGRESS"
    request_id: [request id]
    status: 409
    title: "Conflict"
    type: "urn:millrace:problem:conflict"
    "#);
    bench.finish_stacks();
    assert_eq!(bench.delete(S3).await.status, 200, "without a read in between");
}

#[tokio::test]
async fn a_sink_that_fails_shows_its_reason_and_can_be_disabled_and_enabled_again() {
    let bench = Bench::with_stream().await;
    bench.post(SINKS, S3_SINK).await;
    bench.fail_stacks("DeliveryStream: limit exceeded");
    let answer = bench.get(S3).await;
    assert_eq!((&answer.body["status"], &answer.body["reason"]), (&json!("OPERATION_FAILED"), &json!("DeliveryStream: limit exceeded")));
    assert_eq!(bench.get(STREAM).await.body["status"], "ACTIVE", "its stream works on");
    assert_eq!(bench.delete(S3).await.status, 200);
    bench.finish_stacks();
    bench.make(SINKS, S3_SINK).await;
    assert_eq!(bench.get(S3).await.body["status"], "ACTIVE");
}

#[tokio::test]
async fn a_sink_that_is_refused_fails_in_cloudformations_words() {
    let bench = Bench::with_script([ProvisionFault::Refused("AccessDenied: no".into())]);
    bench.store.insert(active_stream("refuse-trucks", "1", "waste"));
    let answer = bench.post(SINKS, S3_SINK).await;
    assert_eq!(
        (answer.status, &answer.body["status"], &answer.body["reason"]),
        (201, &json!("OPERATION_FAILED"), &json!("AccessDenied: no"))
    );
    assert_eq!(bench.get(S3).await.body["reason"], "AccessDenied: no");
}
