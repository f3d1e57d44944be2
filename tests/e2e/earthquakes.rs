//! The whole way of real events: HTTP, Kinesis, the pipeline, S3, the history.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::Client;

const EARTHQUAKES: &str = include_str!("../fixtures/earthquakes.ndjson");
const COUNT: usize = 300;
const BATCH: usize = 100;
const RANGE: &str = "from_date=2018-01-31&to_date=2018-02-07";

#[tokio::test]
async fn every_earthquake_that_was_accepted_is_in_the_history() {
    let client = Client::new();
    let document = json!({"name": "Earthquakes", "access_rights": "public", "input": {"timestamp": "$.time"}});
    let stream = client.create_stream_with_sink("earthquakes", &document).await;
    let sent: Vec<Value> = EARTHQUAKES.lines().take(COUNT).map(|line| serde_json::from_str(line).unwrap()).collect();
    for batch in sent.chunks(BATCH) {
        let answer = client.post(&format!("{stream}/events"), &json!(batch)).await.expect(200);
        let results = answer.json()["results"].as_array().cloned().unwrap();
        assert_eq!(results.len(), batch.len());
        assert!(results.iter().all(|result| result["status"] == "accepted"), "{results:?}");
    }
    client.wait_for_history(&stream, RANGE, COUNT).await;

    let mut found = Vec::new();
    let mut total_pages = 1;
    let mut number = 1;
    while number <= total_pages {
        let page = client.get(&format!("{stream}/events?{RANGE}&page_size={BATCH}&page={number}")).await.expect(200).json();
        total_pages = page["total_pages"].as_u64().unwrap();
        found.extend(page["values"].as_array().cloned().unwrap());
        number += 1;
    }
    let times: Vec<&str> = found.iter().map(|event| event["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "sorted by event time");
    // At least once: the same event twice is no fault, a missing or changed one is.
    assert_eq!(by_id(&found), by_id(&sent));
    assert_eq!(by_id(&found).len(), COUNT);
}

fn by_id(events: &[Value]) -> BTreeMap<&str, &Value> {
    events.iter().map(|event| (event["id"].as_str().unwrap(), event)).collect()
}
