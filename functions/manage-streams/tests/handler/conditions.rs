//! `ETag` and `If-Match`: a change that was decided on an old config is not made.

use domain::limits::RECONCILE_AFTER;
use insta::assert_snapshot;
use serde_json::json;

use crate::bench::{Bench, DOCUMENT, NEWEST, RENAMED, RETAINED, STREAM, key, outcome};

/// Everything that changes a stream, with a body that it takes.
const CHANGES: [(&str, &str, &str); 7] = [
    ("PUT", STREAM, RENAMED),
    ("PUT", NEWEST, RENAMED),
    ("PATCH", STREAM, r#"{"name":"b"}"#),
    ("PATCH", NEWEST, r#"{"name":"b"}"#),
    ("POST", "/streams/refuse-trucks/1/rollback/1", ""),
    ("DELETE", STREAM, ""),
    ("DELETE", NEWEST, ""),
];

#[tokio::test]
async fn every_answer_about_a_stream_has_its_tag() {
    let bench = Bench::new();
    assert_eq!(bench.post(STREAM, DOCUMENT).await.header("etag"), Some("\"1\""));
    bench.finish_stacks();
    for path in [STREAM, NEWEST] {
        assert_eq!(bench.get(path).await.header("etag"), Some("\"1\""), "{path}");
        assert_eq!(bench.call("HEAD", path, None).await.header("etag"), Some("\"1\""), "{path}");
    }
}

#[tokio::test]
async fn a_status_does_not_change_the_tag() {
    let bench = Bench::with_stream().await;
    bench.put(STREAM, RETAINED).await;
    assert_eq!(bench.get(STREAM).await.header("etag"), Some("\"2\""), "UPDATE_IN_PROGRESS");
    bench.finish_stacks();
    assert_eq!(bench.get(STREAM).await.header("etag"), Some("\"2\""), "ACTIVE");
}

#[tokio::test]
async fn a_change_under_a_tag_that_names_the_config_is_made() {
    for tags in ["\"1\"", "*", "\"7\", \"1\"", "W/\"1\",\"1\""] {
        for (method, path, body) in CHANGES {
            let bench = Bench::with_stream().await;
            let answer = bench.call_with(("if-match", tags), method, path, Some(body)).await;
            assert_eq!(answer.status, 200, "{method} {path} {tags}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_change_under_a_stale_tag_is_412_and_names_the_tag_that_would_do() {
    let bench = Bench::with_stream().await;
    let answer = bench.call_with(("if-match", "\"7\""), "PUT", STREAM, Some(RENAMED)).await;
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_snapshot!(answer.shown(), @r#"
    412
    content-type: application/problem+json

    detail: "the stream's config is \"1\", which If-Match does not name"
    request_id: [request id]
    status: 412
    title: "Precondition Failed"
    type: "urn:millrace:problem:precondition-failed"
    "#);
    let before = bench.store.stored(&key("refuse-trucks", "1"));
    for tags in ["\"7\"", "W/\"1\"", "1", "", "\"17\", \"7\"", "\"é\""] {
        for (method, path, body) in CHANGES {
            let refused = bench.call_with(("if-match", tags), method, path, Some(body)).await;
            assert_eq!((refused.shown(), refused.header("etag")), (answer.shown(), Some("\"1\"")), "{method} {path} {tags}");
        }
    }
    assert_eq!(bench.store.stored(&key("refuse-trucks", "1")), before);
}

#[tokio::test]
async fn a_stale_tag_comes_before_what_is_wrong_with_the_document() {
    let bench = Bench::with_stream().await;
    assert_eq!(bench.call_with(("if-match", "\"7\""), "PUT", STREAM, Some("nope: 1")).await.status, 412);
    assert_eq!(bench.call_with(("if-match", "\"1\""), "PUT", STREAM, Some("nope: 1")).await.status, 400);
    assert_eq!(bench.call_with(("if-match", "*"), "PUT", "/streams/refuse-trucks/2", Some("{}")).await.status, 404);
}

#[tokio::test]
async fn the_tag_of_a_pending_config_counts_and_goes_when_its_update_fails() {
    let bench = Bench::with_stream().await;
    bench.call_with(("if-match", "\"1\""), "PUT", STREAM, Some(RETAINED)).await;
    assert_eq!(bench.call_with(("if-match", "\"1\""), "PUT", STREAM, Some(RENAMED)).await.status, 412, "decided on what is replaced");
    assert_eq!(bench.call_with(("if-match", "\"2\""), "PUT", STREAM, Some(RENAMED)).await.status, 409, "up to date, but too early");
    bench.fail_stacks("RawDataStream: limit exceeded");
    assert_eq!(bench.call_with(("if-match", "\"2\""), "PUT", STREAM, Some(RENAMED)).await.status, 412, "there is no such config");
    let answer = bench.call_with(("if-match", "\"1\""), "PUT", STREAM, Some(RENAMED)).await;
    assert_eq!((outcome(&answer), answer.header("etag")), (("ACTIVE", 3, None), Some("\"3\"")));
}

#[tokio::test]
async fn a_stream_that_was_made_anew_never_has_an_old_ones_tag() {
    let bench = Bench::with_stream().await;
    bench.put(STREAM, RENAMED).await;
    bench.delete(STREAM).await;
    bench.finish_stacks();
    let answer = bench.post(STREAM, DOCUMENT).await;
    assert_eq!((answer.status, answer.header("etag"), &answer.body["config_version"]), (201, Some("\"3\""), &json!(3)));
    bench.finish_stacks();
    bench.system.advance(RECONCILE_AFTER);
    for old in ["\"1\"", "\"2\""] {
        assert_eq!(bench.call_with(("if-match", old), "DELETE", STREAM, None).await.status, 412, "{old}");
    }
    assert_eq!(outcome(&bench.get(STREAM).await), ("ACTIVE", 3, None));
}

#[tokio::test]
async fn another_writer_who_left_the_config_alone_is_a_conflict_even_under_the_right_tag() {
    let bench = Bench::with_stream().await;
    bench.store.conflict_next(1);
    let answer = bench.call_with(("if-match", "\"1\""), "PUT", STREAM, Some(RENAMED)).await;
    assert_eq!((answer.status, &answer.body["detail"]), (409, &json!("another change was made at the same time")));
    assert_eq!(bench.call_with(("if-match", "\"1\""), "PUT", STREAM, Some(RENAMED)).await.status, 200);
}
