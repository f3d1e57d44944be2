//! Who may call, and what others get to see: nothing.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, id_in, shared_stream, token, unique_id};

/// Every route that is not open to everybody, with a body where one is needed.
const ROUTES: &[(&str, &str, &str)] = &[
    ("POST", "/stream/v0/data/{id}", "{}"),
    ("POST", "/ingest/{id}", "{}"),
    ("POST", "/ingest/{id}/1", "{}"),
    ("POST", "/streams/{id}/1/events", "[{}]"),
    ("GET", "/streams/{id}/1/events?from_date=2018-02-01&to_date=2018-02-07", ""),
    ("GET", "/api-keys", ""),
    ("POST", "/api-keys", r#"{"name": "a", "scopes": ["read"]}"#),
    ("DELETE", "/api-keys/ak-0000000000", ""),
    ("POST", "/api-keys/ak-0000000000/tokens", r#"{"expires_in_days": 1}"#),
    ("POST", "/api-keys/ak-0000000000/rotate", ""),
    ("GET", "/streams", ""),
    ("POST", "/streams/lint", "{}"),
    ("POST", "/streams/{id}", "{}"),
    ("GET", "/streams/{id}", ""),
    ("DELETE", "/streams/{id}", ""),
    ("POST", "/streams/{id}/1", "{}"),
    ("GET", "/streams/{id}/1", ""),
    ("DELETE", "/streams/{id}/1", ""),
    ("PUT", "/streams/{id}", "{}"),
    ("PATCH", "/streams/{id}", "{}"),
    ("PUT", "/streams/{id}/1", "{}"),
    ("PATCH", "/streams/{id}/1", "{}"),
    ("GET", "/streams/{id}/1/versions", ""),
    ("POST", "/streams/{id}/1/rollback/1", ""),
    ("GET", "/streams/{id}/1/sinks", ""),
    ("POST", "/streams/{id}/1/sinks", r#"{"type": "s3"}"#),
    ("GET", "/streams/{id}/1/sinks/s3", ""),
    ("DELETE", "/streams/{id}/1/sinks/s3", ""),
];

async fn call(client: &Client, method: &str, path: &str, body: &str) -> Answer {
    let request = client.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
    let request = if body.is_empty() { request } else { request.header("content-type", "application/json").body(body.to_owned()) };
    client.send(request).await
}

/// Another letter at one place.
fn tampered(text: &str, at: usize) -> String {
    let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

#[tokio::test]
async fn every_route_asks_for_a_token() {
    let client = Client::with_authorization(None);
    let id = unique_id("nobody");
    for (method, path, body) in ROUTES {
        let answer = call(&client, method, &path.replace("{id}", &id), body).await.expect(401);
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{method} {path}");
        answer.expect_problem(401);
    }
    Client::new().get(&format!("/streams/{id}")).await.expect_problem(404);
}

#[tokio::test]
async fn a_bad_token_is_refused_by_every_function_in_the_same_words() {
    let good = token();
    let (first_dot, last_dot) = (good.find('.').unwrap(), good.rfind('.').unwrap());
    let none = format!("eyJhbGciOiJub25lIn0{}.", &good[first_dot..last_dot]);
    let bad = [
        "Bearer".to_owned(),
        "Bearer garbage".to_owned(),
        format!("Basic {good}"),
        format!("Bearer {}", tampered(&good, (first_dot + last_dot) / 2)),
        format!("Bearer {}", tampered(&good, (last_dot + good.len()) / 2)),
        format!("Bearer {}", &good[..last_dot]),
        format!("Bearer {none}"),
    ];
    let stream = shared_stream().await;
    let mut bodies = Vec::new();
    for authorization in bad {
        let client = Client::with_authorization(Some(authorization));
        let events = format!("{stream}/events");
        let range = format!("{events}?from_date=2018-02-01&to_date=2018-02-07");
        for answer in [
            client.get("/streams").await,
            client.get("/api-keys").await,
            client.get(&range).await,
            client.post(&events, &json!([{}])).await,
        ] {
            let answer = answer.expect(401);
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
            bodies.push(without_request_id(answer.expect_problem(401)));
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[tokio::test]
async fn a_foreign_stream_is_answered_like_a_missing_one() {
    let (owner, other) = (Client::new(), Client::of_another_owner());
    let stream = owner.create_stream_with_sink("foreign", &json!({"access_rights": "public"})).await;
    let missing = unique_id("missing");
    let is_creation = |method: &str, path: &str| method == "POST" && ["/streams/{id}", "/streams/{id}/1"].contains(&path);
    for (method, path, body) in ROUTES {
        if !path.contains("{id}") || is_creation(method, path) {
            continue;
        }
        let foreign = call(&other, method, &path.replace("{id}", id_in(&stream)), body).await.expect_problem(404);
        let absent = call(&other, method, &path.replace("{id}", &missing), body).await.expect_problem(404);
        assert_eq!(without_request_id(foreign), without_request_id(absent), "{method} {path}");
    }
    let listed = other.get("/streams").await.expect(200).json();
    assert_eq!(listed[id_in(&stream)], Value::Null);

    assert_eq!(owner.get(&stream).await.expect(200).json()["status"], "ACTIVE", "nothing happened to it");
    assert_eq!(owner.get(&format!("{stream}/sinks/s3")).await.expect(200).json()["status"], "ACTIVE");
}

#[tokio::test]
async fn a_taken_id_is_a_conflict_for_another_owner() {
    let (owner, other) = (Client::new(), Client::of_another_owner());
    let id = unique_id("taken");
    owner.post(&format!("/streams/{id}/2"), &json!({})).await.expect(201);
    for path in [format!("/streams/{id}"), format!("/streams/{id}/1"), format!("/streams/{id}/2")] {
        let problem = other.post(&path, &json!({})).await.expect_problem(409);
        assert!(!problem.to_string().contains("default"), "nothing says whose it is: {problem}");
        other.get(&path).await.expect_problem(404);
    }
    owner.post(&format!("/streams/{id}/1"), &json!({})).await.expect(201);
}

#[tokio::test]
async fn owners_live_side_by_side() {
    let (default, other) = (Client::new(), Client::of_another_owner());
    let stream = other.create_stream("side-by-side", &json!({})).await;
    let id = id_in(&stream);
    other.post(&format!("{stream}/events"), &json!([{"n": 1}])).await.expect(200);
    assert_eq!(other.get("/streams").await.expect(200).json()[id]["version"], "1");
    assert_eq!(default.get("/streams").await.expect(200).json()[id], Value::Null, "a list holds the caller's own");
    default.get(&stream).await.expect(200);
}

fn without_request_id(mut problem: Value) -> Value {
    problem.as_object_mut().unwrap().remove("request_id");
    problem
}
