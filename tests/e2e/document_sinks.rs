//! Sinks that a stream's document declares: they come and go with `output`.

use serde_json::{Value, json};

use crate::harness::{Client, id_in};

const ALWAYS: &str = "from_date=2000-01-01&to_date=2100-01-01";

impl Client {
    /// Creates a stream whose document declares an S3 sink, and waits until both work.
    async fn create_stream_with_output(&self, name: &str) -> String {
        let path = self.create_stream(name, &json!({"output": {"s3": {"compression": "none"}}})).await;
        self.wait_active(&format!("{path}/sinks/s3")).await;
        path
    }

    async fn config(&self, path: &str) -> Value {
        self.get(path).await.expect(200).json()["config"].clone()
    }
}

#[tokio::test]
async fn a_sink_comes_with_the_document_and_goes_with_a_patch() {
    let client = Client::new();
    let stream = client.create_stream_with_output("document-sink").await;
    let sink = format!("{stream}/sinks/s3");
    assert_eq!(client.get(&sink).await.expect(200).json()["config"]["compression"], "none");
    client.post(&format!("{stream}/sinks"), &json!({"type": "s3"})).await.expect_problem(409);
    client.post(&format!("{stream}/events"), &json!({"n": 1})).await.expect(200);
    client.wait_for_history(&stream, ALWAYS, 1).await;

    client.patch(&stream, &json!({"output": {"s3": null}})).await.expect(200);
    assert_eq!(client.config(&stream).await["output"]["s3"], Value::Null);
    client.wait_gone(&sink).await;
    assert_eq!(client.get(&format!("{stream}/sinks")).await.expect(200).json(), json!([]));
    assert_eq!(client.get(&stream).await.expect(200).json()["status"], "ACTIVE");
    client.get(&format!("{stream}/events?{ALWAYS}")).await.expect_problem(409);
    // What it wrote stays, and is found when there is a sink again.
    client.patch(&stream, &json!({"output": {"s3": {}}})).await.expect(200);
    client.wait_active(&sink).await;
    client.wait_for_history(&stream, ALWAYS, 1).await;
}

#[tokio::test]
async fn a_sink_that_is_enabled_stands_in_the_document_and_goes_when_it_does_not() {
    let client = Client::new();
    let stream = client.create_stream("enabled-sink", &json!({"name": "Glass"})).await;
    let sink = format!("{stream}/sinks/s3");
    client.post(&format!("{stream}/sinks"), &json!({"type": "s3", "config": {"compression": "none"}})).await.expect(201);
    client.wait_active(&sink).await;
    let config = client.config(&stream).await;
    assert_eq!([&config["name"], &config["output"]["s3"]["compression"]], [&json!("Glass"), &json!("none")], "{config}");

    client.put(&stream, &json!({"name": "Glass"})).await.expect(200);
    client.wait_gone(&sink).await;
    assert_eq!(client.config(&stream).await, json!({"name": "Glass"}));
}

#[tokio::test]
async fn a_stream_that_is_deleted_by_its_id_takes_its_sinks_along() {
    let client = Client::new();
    let stream = client.create_stream_with_output("cascade-id").await;
    let deleted = client.delete(&format!("/streams/{}", id_in(&stream))).await.expect(200).json();
    assert_eq!(deleted["status"], "DELETE_IN_PROGRESS");
    client.wait_gone(&stream).await;
    client.get(&format!("{stream}/sinks")).await.expect_problem(404);
}

#[tokio::test]
async fn a_version_with_a_sink_is_deleted_only_when_that_is_said() {
    let client = Client::new();
    let stream = client.create_stream_with_output("cascade").await;
    let refused = client.delete(&stream).await.expect_problem(409);
    assert!(refused["detail"].as_str().unwrap().contains("s3"), "the sink in the way is named: {refused}");
    client.delete(&format!("{stream}?cascade=false")).await.expect_problem(409);
    client.delete(&format!("{stream}?cascade=perhaps")).await.expect_problem(400);
    assert_eq!(client.get(&stream).await.expect(200).json()["status"], "ACTIVE");

    client.delete(&format!("{stream}?cascade=true")).await.expect(200);
    client.wait_gone(&stream).await;
}
