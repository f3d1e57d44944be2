//! Processors: what a document says is what happens to events.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Client, poll, unique_id};

#[tokio::test]
async fn events_go_through_the_processors_and_follow_when_they_change() {
    let client = Client::new();
    let document = json!({
        "input": {"timestamp": "$.time"},
        "pipeline": {"processors": [
            {"mapping": ".text = upcase!(.text)"},
            {"filter": ".text != \"SECRET\""},
            {"validate": {"schema": {"required": ["n"]}}},
            {"flatten": {}},
        ]},
    });
    let stream = client.create_stream_with_sink("processors", &document).await;
    let time = "2026-01-05T08:00:00Z";
    let events = json!([
        {"time": time, "text": "hello", "n": 1, "a": {"b": 2}},
        {"time": time, "text": "secret", "n": 2},
        {"time": time, "text": "no number"},
        {"time": time, "text": 7, "n": 4},
        {"time": time, "text": "world", "n": 5},
    ]);
    client.post(&format!("{stream}/events"), &events).await.expect(200);
    let mut values = Vec::new();
    poll(async || {
        let answer = client.get(&format!("{stream}/events?from_date=2026-01-05&to_date=2026-01-05")).await.expect(200).json();
        values = answer["values"].as_array().unwrap().clone();
        if values.len() == 2 { Ok(()) } else { Err(format!("{} events", values.len())) }
    })
    .await;
    values.sort_by_key(|value| value["n"].as_i64());
    assert_eq!(values, [json!({"time": time, "text": "HELLO", "n": 1, "a_b": 2}), json!({"time": time, "text": "WORLD", "n": 5})]);

    let mut stats = json!(null);
    poll(async || {
        stats = client.get(&format!("{stream}/stats")).await.expect(200).json();
        if stats["input"]["received"] == 5 { Ok(()) } else { Err(stats.to_string()) }
    })
    .await;
    let pipeline = &stats["pipeline"];
    assert_eq!([&pipeline["forwarded"], &pipeline["filtered"], &pipeline["dead_lettered"]], [&json!(2), &json!(1), &json!(2)]);
    assert_eq!(pipeline["processors"]["0.mapping"], json!({"received": 5, "sent": 4, "failed": 1}));
    assert_eq!(pipeline["processors"]["1.filter"], json!({"received": 4, "sent": 3, "failed": 0}));
    assert_eq!(pipeline["processors"]["2.validate"], json!({"received": 3, "sent": 2, "failed": 1}));

    client.send(client.request(Method::PATCH, &stream).body(r#"{"pipeline": null}"#)).await.expect(200);
    let plain = json!({"time": "2026-01-06T08:00:00Z", "text": "plain", "n": 6});
    poll(async || {
        client.post(&format!("{stream}/events"), &plain).await.expect(200);
        let answer =
            client.get(&format!("{stream}/events?from_date=2026-01-06&to_date=2026-01-06&page_size=10000")).await.expect(200).json();
        let is_plain = answer["values"].as_array().unwrap().contains(&plain);
        if is_plain { Ok(()) } else { Err("the mapping still runs".to_owned()) }
    })
    .await;

    // A processor that streams share, and that they follow when it changes.
    let shared = format!("/resources/processor/{}", unique_id("shared"));
    let name = shared.rsplit('/').next().unwrap();
    client.post(&shared, &json!({"mapping": ".from = \"first\""})).await.expect(200);
    let patch = json!({"pipeline": {"processors": [{"resource": name}]}});
    client.send(client.request(Method::PATCH, &stream).body(patch.to_string())).await.expect(200);
    client.delete(&shared).await.expect_problem(409);
    for (nth, from) in ["first", "second"].into_iter().enumerate() {
        client.post(&shared, &json!({"mapping": format!(".from = {from:?}")})).await.expect(200);
        let day = format!("2026-02-0{}", nth + 1);
        poll(async || {
            client.post(&format!("{stream}/events"), &json!({"time": format!("{day}T08:00:00Z"), "n": 7})).await.expect(200);
            let answer = client.get(&format!("{stream}/events?from_date={day}&to_date={day}&page_size=10000")).await.expect(200).json();
            let has_come = answer["values"].as_array().unwrap().iter().any(|value| value["from"] == from);
            if has_come { Ok(()) } else { Err(format!("nothing from the {from} one")) }
        })
        .await;
    }
}
