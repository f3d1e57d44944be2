//! API keys: made, used, rotated, revoked.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Client, id_in, poll, unique_id};

/// Makes an API key and returns its path, `/api-keys/{id}`.
async fn make_key(client: &Client, wanted: &Value) -> String {
    let made = client.post("/api-keys", wanted).await.expect(201);
    let path = format!("/api-keys/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(made.header("location"), path);
    path
}

/// Makes a token with an API key, and who speaks with it.
async fn bearer(client: &Client, key: &str) -> Client {
    let made = client.post(&format!("{key}/tokens"), &json!({"expires_in_days": 1})).await.expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    Client::with_token(made.json()["token"].as_str().unwrap())
}

#[tokio::test]
async fn a_key_is_made_used_rotated_and_revoked() {
    let owner = Client::of_another_owner();
    let stream = owner.create_stream("keys", &json!({})).await;
    let events = format!("{stream}/events");
    let name = unique_id("gateway");
    let key = make_key(&owner, &json!({"name": name, "scopes": ["ingest"]})).await;

    let old = bearer(&owner, &key).await;
    old.post(&events, &json!([{"n": 1}])).await.expect(200);
    old.get(&stream).await.expect_problem(403);
    old.get(&format!("{events}?from_date=2018-02-01&to_date=2018-02-07")).await.expect_problem(403);
    old.get("/api-keys").await.expect_problem(403);

    let rotated = owner.post(&format!("{key}/rotate"), &json!({"grace_seconds": 3})).await.expect(200).json();
    assert!(rotated["old_tokens_valid_until"].is_string(), "{rotated}");
    let new = bearer(&owner, &key).await;
    new.post(&events, &json!([{"n": 2}])).await.expect(200);
    poll(async || match old.post(&events, &json!([{"n": 3}])).await.status {
        401 => Ok(()),
        status => Err(format!("the old token is answered with {status}")),
    })
    .await;
    new.post(&events, &json!([{"n": 4}])).await.expect(200);

    let listed = owner.get("/api-keys").await.expect(200);
    assert!(listed.text.contains(&name) && !listed.text.contains("eyJ"), "no token is kept: {}", listed.text);
    owner.delete(&key).await.expect(204);
    let revoked_at = Instant::now();
    owner.post(&format!("{key}/tokens"), &json!({"expires_in_days": 1})).await.expect_problem(404);
    poll(async || match new.post(&events, &json!([{"n": 5}])).await.status {
        401 => Ok(()),
        status => Err(format!("the revoked key's token is answered with {status}")),
    })
    .await;
    assert!(revoked_at.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_key_that_is_limited_to_streams_reaches_no_other() {
    let owner = Client::of_another_owner();
    let (own, other) = (owner.create_stream("limited", &json!({})).await, owner.create_stream("elsewhere", &json!({})).await);
    let wanted = json!({"name": "a", "scopes": ["manage", "ingest", "read"], "streams": [format!("{}*", &id_in(&own)[..12])]});
    let limited = bearer(&owner, &make_key(&owner, &wanted).await).await;
    limited.post(&format!("{own}/events"), &json!([{}])).await.expect(200);
    limited.get(&own).await.expect(200);
    for path in [other.clone(), format!("/streams/{}/1", unique_id("missing"))] {
        let refused = limited.get(&path).await.expect_problem(403);
        assert!(refused["detail"].as_str().unwrap().contains("limited to streams"), "{refused}");
        limited.post(&format!("{path}/events"), &json!([{}])).await.expect_problem(403);
        limited.post(&path, &json!({})).await.expect_problem(403);
    }
    let listed = limited.get("/streams").await.expect(200).json();
    assert!(listed.as_object().unwrap().keys().all(|name| name.starts_with("e2e-limited-")), "{listed}");
    limited.get("/api-keys").await.expect_problem(403);
}

#[tokio::test]
async fn a_foreign_key_is_answered_like_a_missing_one() {
    let (owner, other) = (Client::new(), Client::of_another_owner());
    let key = make_key(&owner, &json!({"name": "a", "scopes": ["read"]})).await;
    for (method, path, body) in [
        (Method::POST, format!("{key}/tokens"), json!({"expires_in_days": 1})),
        (Method::POST, format!("{key}/rotate"), json!({})),
        (Method::DELETE, key.clone(), Value::Null),
    ] {
        let send = async |path: &str| {
            let answer = other.send(other.request(method.clone(), path).body(body.to_string())).await;
            answer.expect_problem(404)["detail"].clone()
        };
        assert_eq!(send(&path).await, send(&path.replace(&key, "/api-keys/ak-0000000000")).await, "{method} {path}");
    }
    owner.delete(&key).await.expect(204);
}

#[tokio::test]
async fn an_admin_acts_for_another_owner_and_nobody_else_does() {
    let (admin, other) = (Client::new(), Client::of_another_owner());
    let id = unique_id("acting");
    admin.post(&format!("/streams/{id}/1?owner=other"), &json!({})).await.expect(201);
    other.wait_active(&format!("/streams/{id}/1")).await;
    assert_eq!(admin.get("/streams?owner=other").await.expect(200).json()[&id]["version"], "1");
    let key = make_key(&admin, &json!({"name": "a", "scopes": ["ingest"], "owner": "other"})).await;
    bearer(&admin, &key).await.post(&format!("/ingest/{id}"), &json!({"n": 1})).await.expect(200);
    other.delete(&key).await.expect(204);

    other.get("/streams?owner=default").await.expect_problem(403);
    other.post("/api-keys", &json!({"name": "a", "scopes": ["ingest"], "owner": "default"})).await.expect_problem(403);
    other.post(&format!("/streams/{}/1?owner=default", unique_id("acting")), &json!({})).await.expect_problem(403);
}

#[tokio::test]
async fn what_is_wrong_with_a_key_is_named_field_by_field() {
    let problem = Client::new().post("/api-keys", &json!({"scopes": ["admin"], "nope": 1})).await.expect_problem(400);
    let pointers: Vec<&str> = problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/name", "/scopes", "/nope"]);
}

#[tokio::test]
async fn a_tenant_that_is_named_must_be_the_token_s() {
    let client = Client::new();
    let named = async |tenant: &str| client.send(client.request(Method::GET, "/streams").header("x-amperity-tenant", tenant)).await;
    named("default").await.expect(200);
    named("other").await.expect_problem(401);
}

#[tokio::test]
async fn the_public_keys_verify_the_tokens() {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
    let published = Client::with_authorization(None).get("/.well-known/jwks.json").await.expect(200);
    let keys: JwkSet = serde_json::from_str(&published.text).unwrap();
    let token = crate::harness::token();
    let kid = decode_header(&token).unwrap().kid.unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&["millrace"]);
    let claims = decode::<Value>(&token, &DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap(), &validation).unwrap().claims;
    assert_eq!(claims["owner"], "default");
}
