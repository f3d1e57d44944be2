//! Tokens of an API key: made, shown once, rotated, revoked.

use std::time::Duration;

use domain::api_key::MAX_RETIRING;
use domain::limits::API_KEY_CACHE_TTL;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::bench::{Bench, KEYS};

#[tokio::test]
async fn a_token_says_what_its_key_allows() {
    let bench = Bench::new().await;
    let wanted = json!({"name": "truck gateway", "scopes": ["ingest"], "streams": ["refuse-*"]});
    let id = bench.call("POST", KEYS, Some(&wanted)).await.body["id"].as_str().unwrap().to_owned();
    let made = bench.call("POST", &format!("{KEYS}/{id}/tokens"), Some(&json!({"expires_in_days": 3}))).await;
    assert_eq!((made.status, made.header("cache-control")), (201, Some("no-store")));
    assert_eq!(made.body["expires_at"], "2026-01-04T00:00:00Z");
    let members: Vec<&String> = made.body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["expires_at", "token"]);
    let said = claims(made.body["token"].as_str().unwrap());
    assert_eq!((&said["owner"], &said["scope"], &said["streams"]), (&json!("waste"), &json!("ingest"), &json!(["refuse-*"])));
    assert_eq!((&said["sub"], &said["key"]), (&json!(id), &json!({"id": id, "generation": 0})));
}

#[tokio::test]
async fn the_days_of_a_token_are_checked() {
    let bench = Bench::new().await;
    let path = format!("{KEYS}/{}/tokens", bench.make_key(&["ingest"]).await);
    let signed = || bench.vault.calls().iter().filter(|call| **call == "sign").count();
    let signed_before = signed();
    let answer = bench.call("POST", &path, Some(&json!({"expires_in_days": 366, "for": "ever"}))).await;
    assert_snapshot!(answer.shown(), @r#"
    400
    content-type: application/problem+json

    detail: "the body has fields that cannot be used"
    errors:
      {"detail":"expected 1 to 365, got 366","pointer":"/expires_in_days"}
      {"detail":"unknown field","pointer":"/for"}
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    for days in [json!(0), json!(-1), json!("3"), json!(1.5), Value::Null, json!(1_u64 << 40)] {
        assert_eq!(bench.call("POST", &path, Some(&json!({"expires_in_days": days}))).await.status, 400, "{days}");
    }
    assert_eq!(bench.call("POST", &path, Some(&json!({}))).await.status, 400);
    assert_eq!(signed(), signed_before);
    for days in [1, 365] {
        assert_eq!(bench.call("POST", &path, Some(&json!({"expires_in_days": days}))).await.status, 201, "{days}");
    }
}

#[tokio::test]
async fn a_token_works_until_its_key_is_revoked() {
    let bench = Bench::new().await;
    let id = bench.make_key(&["manage"]).await;
    let token = bench.make_token(&id).await;
    assert_eq!(bench.list_with(&token).await, 200);
    assert_eq!(bench.call("DELETE", &format!("{KEYS}/{id}"), None).await.status, 204);
    bench.system.advance(API_KEY_CACHE_TTL);
    let refused = bench.call_as(&token, "GET", KEYS, None).await;
    assert_eq!((refused.status, &refused.body["detail"]), (401, &json!("expected a valid bearer token")));
}

#[tokio::test]
async fn a_token_works_until_its_days_are_over() {
    let bench = Bench::new().await;
    let id = bench.make_key(&["manage"]).await;
    let token = bench.make_token(&id).await;
    bench.system.advance(Duration::from_secs(3 * 24 * 60 * 60 - 1));
    assert_eq!(bench.list_with(&token).await, 200);
    bench.system.advance(Duration::from_secs(60));
    assert_eq!(bench.list_with(&token).await, 401);
}

#[tokio::test]
async fn old_tokens_end_after_a_rotation_s_grace_and_new_ones_work_at_once() {
    let bench = Bench::new().await;
    let id = bench.make_key(&["manage"]).await;
    let old = bench.make_token(&id).await;
    assert_eq!(bench.list_with(&old).await, 200);
    let rotated = bench.call("POST", &format!("{KEYS}/{id}/rotate"), Some(&json!({"grace_seconds": 600}))).await;
    assert_eq!((rotated.status, &rotated.body["old_tokens_valid_until"]), (200, &json!("2026-01-01T00:10:00Z")));
    let new = bench.make_token(&id).await;
    assert_eq!((bench.list_with(&old).await, bench.list_with(&new).await), (200, 200));
    bench.system.advance(Duration::from_secs(600));
    assert_eq!((bench.list_with(&old).await, bench.list_with(&new).await), (401, 200));
    let listed = bench.call("GET", KEYS, None).await.body;
    assert_eq!(listed[0]["old_tokens_valid_until"], Value::Null, "none is left");
}

#[tokio::test]
async fn a_rotation_without_a_body_leaves_a_day() {
    let bench = Bench::new().await;
    let path = format!("{KEYS}/{}/rotate", bench.make_key(&["ingest"]).await);
    assert_eq!(bench.call("POST", &path, None).await.body["old_tokens_valid_until"], "2026-01-02T00:00:00Z");
}

#[tokio::test]
async fn a_rotation_without_grace_ends_old_tokens_within_the_cache_time() {
    let bench = Bench::new().await;
    let id = bench.make_key(&["manage"]).await;
    let old = bench.make_token(&id).await;
    assert_eq!(bench.list_with(&old).await, 200);
    assert_eq!(bench.call("POST", &format!("{KEYS}/{id}/rotate"), Some(&json!({"grace_seconds": 0}))).await.status, 200);
    bench.system.advance(API_KEY_CACHE_TTL);
    assert_eq!(bench.list_with(&old).await, 401);
}

#[tokio::test]
async fn a_grace_has_its_bounds_and_rotations_do_too() {
    let bench = Bench::new().await;
    let path = format!("{KEYS}/{}/rotate", bench.make_key(&["ingest"]).await);
    for grace in [json!(2_592_001), json!(-1), json!("1h"), json!(1.5)] {
        let answer = bench.call("POST", &path, Some(&json!({"grace_seconds": grace}))).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["pointer"]), (400, &json!("/grace_seconds")), "{grace}");
    }
    for _ in 0..MAX_RETIRING {
        assert_eq!(bench.call("POST", &path, Some(&json!({"grace_seconds": 2_592_000}))).await.status, 200);
    }
    assert_eq!(bench.call("POST", &path, None).await.status, 409);
}

#[tokio::test]
async fn a_vault_that_fails_gives_no_token() {
    let bench = Bench::new().await;
    let path = format!("{KEYS}/{}/tokens", bench.make_key(&["ingest"]).await);
    for failing in ["public key", "publish", "sign"] {
        bench.vault.fail(Some(failing));
        let answer = bench.call("POST", &path, Some(&json!({"expires_in_days": 1}))).await;
        assert_eq!(answer.status, 503, "{failing}");
    }
}

fn claims(token: &str) -> Value {
    use base64::Engine;
    let body = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap()
}
