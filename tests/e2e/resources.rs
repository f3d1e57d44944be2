//! Resources: added, changed, listed, removed, and nobody else's.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Client, unique_id};

#[tokio::test]
async fn a_resource_is_added_changed_listed_and_removed() {
    let client = Client::new();
    let id = unique_id("limit");
    let path = format!("/resources/rate_limit/{id}");
    client.get(&path).await.expect_problem(404);

    let added = client.post_text(&path, "local:\n  count: 500\n  interval: 1s\n").await.expect(200);
    assert_eq!(added.json()["config"], json!({"local": {"count": 500, "interval": "1s"}}));
    let read = client.get(&path).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (added.json(), added.header("etag")));
    let changed = client.post(&path, &json!({"local": {"count": 1}})).await.expect(200);
    assert_ne!(changed.header("etag"), added.header("etag"));
    assert_eq!(client.get(&path).await.expect(200).json()["config"], json!({"local": {"count": 1}}));

    let listed = client.get("/resources").await.expect(200).json();
    assert_eq!(listed["rate_limit"][&id]["in_use"], false, "{listed}");
    assert!(["cache", "input", "output", "processor"].iter().all(|kind| listed[kind].is_object()), "{listed}");

    client.delete(&path).await.expect(204);
    client.get(&path).await.expect_problem(404);
    client.delete(&path).await.expect_problem(404);
    assert_eq!(client.get("/resources").await.expect(200).json()["rate_limit"][&id], Value::Null);
    client.post(&path, &json!({"local": {}})).await.expect(200);
    client.delete(&path).await.expect(204);
}

#[tokio::test]
async fn every_type_of_resource_is_kept_as_it_was_posted() {
    let client = Client::new();
    for (kind, config) in [
        ("cache", json!({"dynamodb": {"ttl": "10m"}})),
        ("input", json!({"timestamp": "$.time"})),
        ("output", json!({"s3": {"compression": "none"}})),
        ("processor", json!({"mapping": ".a = 1"})),
        ("rate_limit", json!({"local": {}})),
    ] {
        let path = format!("/resources/{kind}/{}", unique_id("kept"));
        client.post(&path, &config).await.expect(200);
        assert_eq!(client.get(&path).await.expect(200).json()["config"], config, "{kind}");
        client.delete(&path).await.expect(204);
    }
}

#[tokio::test]
async fn a_resource_with_faults_is_refused_with_their_places() {
    let client = Client::new();
    let path = format!("/resources/cache/{}", unique_id("lint"));
    let refused = client.post_text(&path, "memory:\n  ttl: soon\n  nope: 1\n").await.expect(400);
    assert_eq!(refused.header("content-type"), "application/json");
    let errors = refused.json()["linting_errors"].clone();
    let starts = |index: usize, place: &str| errors[index].as_str().is_some_and(|error| error.starts_with(place));
    assert!(starts(0, "(2,8) ") && starts(1, "(3,3) "), "{errors}");
    client.get(&path).await.expect_problem(404);
    client.post_text(&format!("{path}?chilled=true"), "memory: {nope: 1}\n").await.expect(200);
    client.delete(&path).await.expect(204);
    client.post("/resources/buffer/mine", &json!({})).await.expect_problem(400);
}

#[tokio::test]
async fn a_resource_changes_only_for_whoever_knows_it() {
    let client = Client::new();
    let path = format!("/resources/cache/{}", unique_id("tag"));
    let old = client.post(&path, &json!({"memory": {}})).await.expect(200).header("etag").to_owned();
    let new = client.post(&path, &json!({"dynamodb": {}})).await.expect(200).header("etag").to_owned();
    let with = async |method: Method, tag: &str| {
        client.send(client.request(method, &path).header("if-match", tag).body(r#"{"memory": {"ttl": "1m"}}"#)).await
    };
    with(Method::POST, &old).await.expect_problem(412);
    with(Method::DELETE, &old).await.expect_problem(412);
    let tag = with(Method::POST, &new).await.expect(200).header("etag").to_owned();
    with(Method::DELETE, &tag).await.expect(204);
}

#[tokio::test]
async fn a_foreign_resource_is_answered_like_a_missing_one_and_a_limited_token_is_refused() {
    let (admin, other) = (Client::new(), Client::of_another_owner());
    let path = format!("/resources/cache/{}", unique_id("foreign"));
    admin.post(&path, &json!({"memory": {}})).await.expect(200);
    other.get(&path).await.expect_problem(404);
    other.delete(&path).await.expect_problem(404);
    other.get(&format!("{path}?owner=default")).await.expect_problem(403);
    admin.get(&format!("{path}?owner=other")).await.expect_problem(404);
    admin.delete(&path).await.expect(204);

    let key = other.post("/api-keys", &json!({"name": "a", "scopes": ["manage"], "streams": ["e2e-*"]})).await.expect(201);
    let key = format!("/api-keys/{}", key.json()["id"].as_str().unwrap());
    let token = other.post(&format!("{key}/tokens"), &json!({"expires_in_days": 1})).await.expect(201).json();
    let limited = Client::with_token(token["token"].as_str().unwrap());
    limited.get("/resources").await.expect_problem(403);
    limited.post(&path, &json!({"memory": {}})).await.expect_problem(403);
    other.delete(&key).await.expect(204);
}
