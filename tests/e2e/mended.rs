//! Ten thousand real events, one in a hundred of them spoilt on purpose: every good one goes through once, every bad one is kept with its
//! reason, and once the mapping is mended, all of them are there.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Client, poll};

const EARTHQUAKES: &str = include_str!("../fixtures/earthquakes.ndjson");
const COUNT: usize = 10_000;
const SPOILT_EVERY: usize = 100;
const BATCH: usize = 500;

/// The events lie in every second month of one year, a copy of the file each, so that no question has to read all objects.
const MONTHS: [&str; 6] = ["01", "03", "05", "07", "09", "11"];

fn document(mapping: &str) -> Value {
    json!({
        "input": {"timestamp": "$.time"},
        "pipeline": {"processors": [{"mapping": mapping}]},
        "output": {"s3": {"compression": "none"}},
    })
}

/// The n-th event; one in a hundred says its magnitude in words.
fn event(n: usize, lines: &[&str]) -> Value {
    let mut event: Value = serde_json::from_str(lines[n % lines.len()]).unwrap();
    let month = MONTHS[n / lines.len()];
    let day = n % 28 + 1;
    event["id"] = json!(format!("{n:05}"));
    event["time"] = json!(format!("2019-{month}-{day:02}T08:00:00Z"));
    if is_spoilt(n) {
        event["mag"] = json!("strong");
    }
    event
}

fn is_spoilt(n: usize) -> bool {
    n % SPOILT_EVERY == 13
}

/// How often each event is in the history.
async fn found(client: &Client, stream: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for month in MONTHS {
        let range = format!("from_date=2019-{month}-01&to_date=2019-{month}-28");
        let page = client.get(&format!("{stream}/events?{range}&page_size=10000")).await.expect(200);
        for event in page.raw_events() {
            let id: String = serde_json::from_str(event["id"].get()).unwrap();
            assert!(event.contains_key("felt_as"), "{id} was not mapped");
            *found.entry(id).or_default() += 1;
        }
    }
    found
}

#[tokio::test]
async fn ten_thousand_events_go_through_and_the_bad_ones_are_mended() {
    let client = Client::new();
    let stream = client.create_stream("mended", &document(".felt_as = to_float!(.mag) * 2.0")).await;
    client.wait_active(&format!("{stream}/sinks/s3")).await;
    let lines: Vec<&str> = EARTHQUAKES.lines().collect();
    let events: Vec<Value> = (0..COUNT).map(|n| event(n, &lines)).collect();
    for batch in events.chunks(BATCH) {
        client.post(&format!("{stream}/events"), &json!(batch)).await.expect(200);
    }

    let spoilt: BTreeSet<String> = (0..COUNT).filter(|n| is_spoilt(*n)).map(|n| format!("{n:05}")).collect();
    let mut stats = Value::Null;
    poll(async || {
        stats = client.get(&format!("{stream}/stats")).await.expect(200).json();
        if stats["input"]["received"] == COUNT { Ok(()) } else { Err(stats["input"].to_string()) }
    })
    .await;
    let pipeline = &stats["pipeline"];
    assert_eq!([&pipeline["forwarded"], &pipeline["dead_lettered"]], [&json!(COUNT - spoilt.len()), &json!(spoilt.len())]);
    let good = poll(async || {
        let found = found(&client, &stream).await;
        if found.len() == COUNT - spoilt.len() { Ok(found) } else { Err(format!("{} good events", found.len())) }
    })
    .await;
    assert!(good.values().all(|times| *times == 1), "every good one once");

    let letters = poll(async || {
        let page = client.get(&format!("{stream}/dead-letters?page_size=1000")).await.expect(200).json();
        let letters = page["values"].as_array().unwrap().clone();
        if letters.len() == spoilt.len() { Ok(letters) } else { Err(format!("{} letters", letters.len())) }
    })
    .await;
    let kept: BTreeSet<String> = letters
        .iter()
        .map(|letter| {
            assert_eq!((&letter["reason"]["code"], &letter["path"]), (&json!("mapping"), &json!("pipeline.processors[0].mapping")));
            let original = BASE64_STANDARD.decode(letter["original_base64"].as_str().unwrap()).unwrap();
            let event: Value = serde_json::from_slice(&original).unwrap();
            assert_eq!(event["mag"], "strong");
            event["id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(kept, spoilt);

    let mended = document(".felt_as = (to_float(.mag) ?? 6.0) * 2.0");
    client.send(client.request(Method::PUT, &stream).body(mended.to_string())).await.expect(200);
    client.wait_for_mapping(&stream, &json!({"id": "probe", "time": "2018-01-31T08:00:00Z", "mag": "strong"}), "2018-01-31").await;
    let ids: Vec<&Value> = letters.iter().map(|letter| &letter["id"]).collect();
    let redriven = client.post(&format!("{stream}/dead-letters/redrive"), &json!({"ids": ids})).await.expect(200).json();
    assert_eq!(redriven["redriven"], json!(spoilt.len()), "{redriven}");
    let all = poll(async || {
        let found = found(&client, &stream).await;
        if found.len() == COUNT { Ok(found) } else { Err(format!("{} events", found.len())) }
    })
    .await;
    assert_eq!(all.values().sum::<usize>(), COUNT, "each of them once");
}

impl Client {
    /// Sends an event that only the mended mapping lets through until one is in the history of its day.
    async fn wait_for_mapping(&self, stream: &str, probe: &Value, day: &str) {
        poll(async || {
            self.post(&format!("{stream}/events"), probe).await.expect(200);
            let page = self.get(&format!("{stream}/events?from_date={day}&to_date={day}")).await.expect(200);
            if page.raw_events().is_empty() { Err("the old mapping still runs".to_owned()) } else { Ok(()) }
        })
        .await;
    }
}
