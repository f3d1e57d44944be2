//! Requests that cannot be understood, are too large, or miss every route.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Client, id_in, shared_stream, unique_id};

#[tokio::test]
async fn a_malformed_body_is_refused_with_its_position() {
    let client = Client::new();
    let stream = shared_stream().await;
    for path in [format!("{stream}/events"), format!("/ingest/{}", id_in(stream))] {
        let problem = client.post_text(&path, "[{\"a\": 1},\n {\"b\" 2}]").await.expect_problem(400);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("line 2 column 7"), "{detail}");
        client.post_text(&path, "").await.expect_problem(400);
        for body in ["[{}", "{} {}", "{'a': 1}", "[{},]"] {
            let problem = client.post_text(&path, body).await.expect_problem(400);
            assert!(problem["detail"].as_str().unwrap().contains("line 1 column"), "{body:?} {problem}");
        }
    }
}

#[tokio::test]
async fn what_is_over_a_limit_is_refused_whole() {
    let client = Client::new();
    let events = format!("{}/events", shared_stream().await);
    let event_of = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));

    let too_long = format!("[{}]", vec![event_of(64 * 1024); 65].join(","));
    assert!(too_long.len() > 4 * 1024 * 1024);
    client.post_text(&events, &too_long).await.expect_problem(413);
    client.post_text(&events, &format!("[{}]", vec!["{}"; 5_001].join(","))).await.expect_problem(413);

    let largest = 254 * 1024;
    client.post_text(&events, &event_of(largest + 1)).await.expect_problem(413);
    client.post_text(&events, &event_of(largest)).await.expect(200);
    let answer = client.post_text(&events, &format!("[{{}},{}]", event_of(largest + 1))).await.expect(207);
    assert_eq!(answer.json()["results"][1]["status"], "rejected");
}

#[tokio::test]
async fn an_unknown_media_type_is_refused() {
    let client = Client::new();
    let events = format!("{}/events", shared_stream().await);
    for media_type in ["text/plain", "text/xml", "application/x-www-form-urlencoded", "application/json; charset=latin-1"] {
        let request = client.request(Method::POST, &events).header("content-type", media_type).body("[{}]");
        let problem = client.send(request).await.expect_problem(415);
        assert!(problem["detail"].as_str().unwrap().contains("application/json"), "{media_type}: {problem}");
    }
    let request = client.request(Method::POST, &events).header("content-type", "application/json").header("content-encoding", "br");
    client.send(request.body("[{}]")).await.expect_problem(415);
    let request = client.request(Method::POST, &events).header("content-type", "application/json; charset=UTF-8").body("[{}]");
    client.send(request).await.expect(200);
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let client = Client::new();
    let stream = shared_stream().await;
    let id = id_in(stream);
    let cases = [
        (Method::PUT, format!("{stream}/events"), "GET, OPTIONS, POST"),
        (Method::GET, format!("/ingest/{id}"), "OPTIONS, POST"),
        (Method::DELETE, "/streams".to_owned(), "GET, POST"),
        (Method::PATCH, format!("{stream}/sinks"), "GET, POST"),
        (Method::PUT, format!("{stream}/versions"), "GET"),
        (Method::GET, format!("{stream}/rollback/1"), "POST"),
        (Method::POST, "/ready".to_owned(), "GET"),
    ];
    for (method, path, expected) in cases {
        let answer = client.send(client.request(method.clone(), &path)).await.expect(405);
        let mut allowed: Vec<&str> = answer.header("allow").split(',').map(str::trim).filter(|allowed| *allowed != "HEAD").collect();
        allowed.sort_unstable();
        assert_eq!(allowed.join(", "), expected, "{method} {path}");
        answer.expect_problem(405);
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_problem_too() {
    let client = Client::new();
    for path in ["/", "/nope", "/streams/abc/1/events/extra", "/ingest", "/ingest/a/b/c/d"] {
        client.get(path).await.expect_problem(404);
        client.post(path, &json!({})).await.expect_problem(404);
    }
}

#[tokio::test]
async fn a_request_is_named_by_its_caller_or_by_us() {
    let client = Client::new();
    let events = format!("{}/events", shared_stream().await);
    let named = |method: Method, path: &str| client.request(method, path).header("x-request-id", "trace-42:a");
    let request = named(Method::POST, &events).header("content-type", "application/json").body("[{}]");
    let sent = client.send(request).await.expect(200);
    assert_eq!(sent.header("x-request-id"), "trace-42:a");
    for path in ["/ready".to_owned(), format!("/streams/{}", unique_id("missing")), "/nope".to_owned()] {
        let answer = client.send(named(Method::GET, &path)).await;
        assert_eq!(answer.header("x-request-id"), "trace-42:a", "{path}");
    }

    let (one, another) = (client.get("/ready").await, client.get("/ready").await);
    assert!(!one.header("x-request-id").is_empty());
    assert_ne!(one.header("x-request-id"), another.header("x-request-id"));
    let strange = client.send(client.request(Method::GET, "/ready").header("x-request-id", "a b\tc")).await.expect(200);
    assert_ne!(strange.header("x-request-id"), "a b\tc", "only plain names are taken over");
}
