//! The S3 sink: enabled, read, listed, disabled.

use serde_json::json;

use crate::harness::{Client, shared_stream, unique_id};

#[tokio::test]
async fn a_sink_is_enabled_disabled_and_enabled_again() {
    let client = Client::new();
    let stream = client.create_stream("sink", &json!({})).await;
    let (sinks, sink) = (format!("{stream}/sinks"), format!("{stream}/sinks/s3"));
    assert_eq!(client.get(&sinks).await.expect(200).json(), json!([]));
    client.get(&sink).await.expect_problem(404);
    client.delete(&sink).await.expect_problem(404);

    let enabled = client.post(&sinks, &json!({"type": "s3"})).await.expect(201).json();
    assert_eq!([&enabled["type"], &enabled["status"]], [&json!("s3"), &json!("CREATE_IN_PROGRESS")]);
    client.post(&sinks, &json!({"type": "s3"})).await.expect_problem(409);
    client.wait_active(&sink).await;
    assert_eq!(client.get(&sink).await.expect(200).json()["type"], "s3");
    let listed = client.get(&sinks).await.expect(200).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!([&listed[0]["type"], &listed[0]["status"]], [&json!("s3"), &json!("ACTIVE")]);
    client.post(&sinks, &json!({"type": "S3"})).await.expect_problem(409);

    let refused = client.delete(&stream).await.expect_problem(409);
    assert!(refused["detail"].as_str().unwrap().contains("s3"), "the sink in the way is named: {refused}");

    client.delete(&sink).await.expect(200);
    client.wait_gone(&sink).await;
    assert_eq!(client.get(&sinks).await.expect(200).json(), json!([]));

    client.post(&sinks, &json!({"type": "s3"})).await.expect(201);
    client.wait_active(&sink).await;
    assert_eq!(client.get(&stream).await.expect(200).json()["status"], "ACTIVE");
}

#[tokio::test]
async fn a_sink_needs_an_active_stream() {
    let client = Client::new();
    let stream = format!("/streams/{}/1", unique_id("early-sink"));
    let sinks = format!("{stream}/sinks");
    client.post(&stream, &json!({})).await.expect(201);
    // Nobody has read the stream since, so it still counts as being created.
    let problem = client.post(&sinks, &json!({"type": "s3"})).await.expect_problem(409);
    assert!(problem["detail"].as_str().unwrap().contains("CREATE_IN_PROGRESS"), "{problem}");
    assert_eq!(client.get(&sinks).await.expect(200).json(), json!([]));
}

#[tokio::test]
async fn an_unknown_type_of_sink_is_refused() {
    let client = Client::new();
    let sinks = format!("{}/sinks", shared_stream().await);
    let problem = client.post(&sinks, &json!({"type": "kafka"})).await.expect_problem(400);
    assert!(problem.to_string().contains("kafka"), "{problem}");
    client.post(&sinks, &json!({})).await.expect_problem(400);
    client.post(&sinks, &json!({"type": "s3", "nope": 1})).await.expect_problem(400);
    client.post_text(&sinks, "{\"type\": ").await.expect_problem(400);
    assert_eq!(client.get(&sinks).await.expect(200).json(), json!([]));
}

#[tokio::test]
async fn a_missing_stream_has_no_sinks() {
    let client = Client::new();
    let sinks = format!("/streams/{}/1/sinks", unique_id("missing"));
    client.get(&sinks).await.expect_problem(404);
    client.post(&sinks, &json!({"type": "s3"})).await.expect_problem(404);
    client.get(&format!("{sinks}/s3")).await.expect_problem(404);
    client.delete(&format!("{sinks}/s3")).await.expect_problem(404);
}
