//! A pipeline that is paused: events are taken and wait, and none is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, unique_id};
use crate::stats::wait_for_stats;

const ALWAYS: &str = "from_date=2000-01-01&to_date=2100-01-01";

/// Long enough for a pipeline that runs to take an event.
const A_WHILE: Duration = Duration::from_secs(3);

impl Client {
    /// Pauses or resumes a stream.
    async fn turn(&self, stream: &str, verb: &str) -> Answer {
        self.send(self.request(Method::POST, &format!("{stream}/{verb}"))).await
    }

    async fn received(&self, stream: &str) -> Value {
        self.get(&format!("{stream}/stats")).await.expect(200).json()["input"]["received"].clone()
    }
}

#[tokio::test]
async fn what_is_sent_while_a_stream_is_paused_waits_and_arrives_when_it_is_resumed() {
    let client = Client::new();
    let stream = client.create_stream_with_sink("pause", &json!({})).await;
    let events = format!("{stream}/events");
    client.post(&events, &json!({"n": 0})).await.expect(200);
    wait_for_stats(&client, &stream, 1).await;

    let version = client.get(&stream).await.expect(200).json()["config_version"].clone();
    client.turn(&stream, "pause").await.expect(200);
    let paused = client.wait_updated(&stream).await.json();
    assert_eq!([&paused["paused"], &paused["active"], &paused["config_version"]], [&json!(true), &json!(false), &version], "{paused}");
    assert_eq!(client.turn(&stream, "pause").await.expect(200).json()["status"], "ACTIVE", "it is paused already");

    for n in 1..=3 {
        client.post(&events, &json!([{"n": n}, {"n": n + 10}])).await.expect(200);
    }
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(client.received(&stream).await, 1, "nothing is processed meanwhile");

    client.turn(&stream, "resume").await.expect(200);
    let resumed = client.wait_updated(&stream).await.json();
    assert_eq!([&resumed["paused"], &resumed["active"], &resumed["config_version"]], [&json!(false), &json!(true), &version]);
    wait_for_stats(&client, &stream, 7).await;
    client.wait_for_history(&stream, ALWAYS, 7).await;
    let history = client.get(&format!("{events}?{ALWAYS}&page_size=10000")).await.expect(200);
    let arrived: BTreeSet<u64> = history.raw_events().iter().map(|event| event["n"].get().parse().unwrap()).collect();
    assert_eq!(arrived, BTreeSet::from([0, 1, 2, 3, 11, 12, 13]));
}

#[tokio::test]
async fn only_an_active_stream_of_ones_own_is_paused() {
    let client = Client::new();
    let stream = format!("/streams/{}/1", unique_id("pause-early"));
    client.turn(&stream, "pause").await.expect_problem(404);
    client.post(&stream, &json!({})).await.expect(201);
    client.turn(&stream, "pause").await.expect_problem(409);
    client.wait_active(&stream).await;
    Client::of_another_owner().turn(&stream, "pause").await.expect_problem(404);
    assert_eq!(client.turn(&stream, "resume").await.expect(200).json()["paused"], false, "it runs already");
}
