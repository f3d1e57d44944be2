//! Who may manage keys, and what the others are told.

use domain::access::Scope;
use domain::fakes::api_key;
use domain::token::Grant;
use serde_json::{Value, json};

use crate::bench::{Bench, KEYS};

/// Every route that needs a token, for the key of this id.
fn routes(id: &str) -> Vec<(&'static str, String, Option<Value>)> {
    vec![
        ("GET", KEYS.to_owned(), None),
        ("POST", KEYS.to_owned(), Some(json!({"name": "a", "scopes": ["read"]}))),
        ("POST", format!("{KEYS}/{id}/tokens"), Some(json!({"expires_in_days": 1}))),
        ("POST", format!("{KEYS}/{id}/rotate"), None),
        ("DELETE", format!("{KEYS}/{id}"), None),
    ]
}

#[tokio::test]
async fn a_foreign_key_is_answered_like_a_missing_one() {
    let bench = Bench::new().await;
    let foreign = api_key("transport", &[Scope::Manage]);
    bench.keys.insert(foreign.clone());
    for (method, path, body) in routes(foreign.id.as_str()).into_iter().skip(2) {
        let missing = bench.call(method, &path.replace(foreign.id.as_str(), "ak-ZZZZZZZZZZ"), body.as_ref()).await;
        let answer = bench.call(method, &path, body.as_ref()).await;
        assert_eq!((answer.status, answer.shown()), (404, missing.shown()), "{method} {path}");
        let malformed = bench.call(method, &path.replace(foreign.id.as_str(), "nope"), body.as_ref()).await;
        assert_eq!(malformed.shown(), missing.shown());
    }
    assert_eq!(bench.keys.stored(&foreign.id), Some(foreign), "nothing happened to it");
    assert_eq!(bench.call("GET", KEYS, None).await.body, json!([]));
}

#[tokio::test]
async fn only_a_manager_manages_keys() {
    let bench = Bench::new().await;
    let id = bench.make_key(&["ingest"]).await;
    for scope in [Scope::Ingest, Scope::Read] {
        let token = bench.token("waste", scope);
        for (method, path, body) in routes(id.as_str()) {
            assert_eq!(bench.call_as(&token, method, &path, body.as_ref()).await.status, 403, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_limited_to_streams_cannot_free_itself() {
    let bench = Bench::new().await;
    let id = bench.make_key(&["ingest"]).await;
    let streams = Some(vec!["*".parse().unwrap()]);
    let grant = Grant { owner: "waste".parse().unwrap(), subject: "kari".into(), scopes: vec![Scope::Manage], streams, key: None };
    let token = bench.issuer().sign(&bench.issuer().claims_for(&grant, bench.system.as_ref()));
    for (method, path, body) in routes(id.as_str()) {
        let answer = bench.call_as(&token, method, &path, body.as_ref()).await;
        assert_eq!(answer.status, 403, "{method} {path}");
        assert_eq!(answer.body["detail"], "a token that is limited to streams cannot manage api keys");
    }
    assert!(bench.keys.stored(&id).is_some());
}

#[tokio::test]
async fn only_an_admin_makes_keys_for_another_owner() {
    let bench = Bench::new().await;
    let wanted = json!({"name": "a", "scopes": ["ingest"], "owner": "transport"});
    let refused = bench.call("POST", KEYS, Some(&wanted)).await;
    assert_eq!((refused.status, &refused.body["detail"]), (403, &json!("only an admin may act for another owner")));
    assert_eq!(bench.call("GET", "/api-keys?owner=transport", None).await.status, 403);
    assert_eq!(bench.call("GET", "/api-keys?owner=waste", None).await.status, 200);
    assert_eq!(bench.call("GET", "/api-keys?owner=a%23b", None).await.status, 400);
    assert_eq!(bench.call("GET", "/api-keys?owner=waste&owner=waste", None).await.status, 400);

    let admin = bench.token("operations", Scope::Admin);
    let made = bench.call_as(&admin, "POST", KEYS, Some(&wanted)).await;
    assert_eq!((made.status, &made.body["owner"]), (201, &json!("transport")));
    assert_eq!(bench.call_as(&admin, "GET", KEYS, None).await.body, json!([]));
    assert_eq!(bench.call_as(&admin, "GET", "/api-keys?owner=transport", None).await.body, json!([made.body]));
    let key = format!("{KEYS}/{}", made.body["id"].as_str().unwrap());
    assert_eq!(bench.call_as(&admin, "POST", &format!("{key}/tokens"), Some(&json!({"expires_in_days": 1}))).await.status, 201);
    assert_eq!(bench.call_as(&admin, "DELETE", &key, None).await.status, 204);
}

#[tokio::test]
async fn a_tenant_that_is_named_must_be_the_token_s() {
    let bench = Bench::new().await;
    let token = bench.token("waste", Scope::Manage);
    for (tenant, status) in [("waste", 200), ("transport", 401), ("Waste", 401), ("", 401)] {
        let mut event = http_edge::testing::event("GET", KEYS, Some(&token), None);
        event["headers"]["x-amperity-tenant"] = json!(tenant);
        assert_eq!(bench.send(&event).await.status, status, "{tenant:?}");
    }
}
