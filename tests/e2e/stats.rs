//! Stats: what a stream says that it has done.

use serde_json::{Value, json};

use crate::harness::{Client, id_in, poll, unique_id};

/// Waits until this many events are counted, and returns the stats.
pub(crate) async fn wait_for_stats(client: &Client, stream: &str, received: u64) -> Value {
    poll(async || {
        let stats = client.get(&format!("{stream}/stats")).await.expect(200);
        let counted = stats.json()["input"]["received"].as_u64().unwrap_or_else(|| panic!("nothing is counted: {}", stats.text));
        if counted >= received { Ok(stats.json()) } else { Err(stats.text) }
    })
    .await
}

#[tokio::test]
async fn every_event_that_is_stored_is_counted_and_none_that_is_refused() {
    let client = Client::new();
    let stream = client.create_stream_with_sink("stats", &json!({})).await;
    let fresh = client.get(&format!("{stream}/stats")).await.expect(200).json();
    assert_eq!([&fresh["input"]["received"], &fresh["pipeline"]["latency_ms"]["p50"]], [&json!(0), &Value::Null], "{fresh}");
    assert!(fresh["since"].is_string() && fresh["updated_at"].is_null(), "{fresh}");

    let good: Vec<Value> = (0..40).map(|n| json!({"n": n})).collect();
    client.post(&format!("{stream}/events"), &json!(good)).await.expect(200);
    client.post(&format!("{stream}/events"), &json!([{"n": 40}, "bad", [], {"n": 41}])).await.expect(207);
    client.post(&format!("{stream}/events"), &json!("bad")).await.expect(400);

    let stats = wait_for_stats(&client, &stream, 42).await;
    let number = |pointer: &str| stats.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {stats}"));
    let received = number("/input/received");
    assert_eq!(received, 42, "{stats}");
    assert_eq!((number("/pipeline/forwarded"), number("/pipeline/filtered"), number("/pipeline/dead_lettered")), (42, 0, 0), "{stats}");
    assert_eq!((number("/output/processed/sent"), number("/output/dead_letters/sent")), (42, 0), "{stats}");
    // `{"n":0}` to `{"n":41}`; each is a line on the processed stream.
    assert_eq!((number("/input/received_bytes"), number("/output/processed/sent_bytes")), (10 * 7 + 32 * 8, 10 * 8 + 32 * 9), "{stats}");
    let latency = ["p50", "p90", "p99", "max"].map(|name| number(&format!("/pipeline/latency_ms/{name}")));
    assert!(latency.is_sorted() && latency[3] < 60_000, "{stats}");
    assert!(number("/pipeline/iterator_age_ms") < 60_000, "{stats}");
    assert!(stats["input"]["last_event_at"].is_string() && stats["updated_at"].is_string(), "{stats}");
    assert_eq!([&stats["pipeline"]["last_error"], &stats["output"]["sinks"]], [&Value::Null, &json!({"s3": {"status": "ACTIVE"}})]);

    let newest = client.get(&format!("/streams/{}/stats", id_in(&stream))).await.expect(200).json();
    assert_eq!(newest["input"], stats["input"]);
}

#[tokio::test]
async fn a_stream_that_is_changed_counts_on_and_one_that_is_made_again_begins_at_zero() {
    let client = Client::new();
    let stream = client.create_stream("stats-life", &json!({})).await;
    client.post(&format!("{stream}/events"), &json!({"n": 1})).await.expect(200);
    wait_for_stats(&client, &stream, 1).await;

    let request = client.request(reqwest::Method::PUT, &stream).header("content-type", "application/json");
    client.send(request.body(json!({"name": "Counts on"}).to_string())).await.expect(200);
    poll(async || {
        let read = client.get(&stream).await.expect(200);
        if read.json()["status"] == "ACTIVE" { Ok(()) } else { Err(read.text) }
    })
    .await;
    client.post(&format!("{stream}/events"), &json!({"n": 2})).await.expect(200);
    let counted = wait_for_stats(&client, &stream, 2).await;

    client.delete(&stream).await.expect(200);
    client.wait_gone(&stream).await;
    client.get(&format!("{stream}/stats")).await.expect_problem(404);
    client.post(&stream, &json!({})).await.expect(201);
    client.wait_active(&stream).await;
    let anew = client.get(&format!("{stream}/stats")).await.expect(200).json();
    assert_eq!(anew["input"]["received"], 0, "{anew}");
    assert_ne!(anew["since"], counted["since"]);
}

#[tokio::test]
async fn stats_of_others_and_of_nothing_are_404() {
    let client = Client::new();
    client.get(&format!("/streams/{}/stats", unique_id("missing"))).await.expect_problem(404);
    let stream = client.create_stream("stats-own", &json!({})).await;
    Client::of_another_owner().get(&format!("{stream}/stats")).await.expect_problem(404);
    Client::with_authorization(None).get(&format!("{stream}/stats")).await.expect_problem(401);
}
