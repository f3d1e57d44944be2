//! What a stream's document asks of events: a schema, a partition key, an id; a request that is only tried; and the order of a key.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use crate::harness::{Client, Record, id_in, kinesis_records, poll};

const TRUCKS: [&str; 5] = ["rubbish 17", "glass 3", "paper 8", "søppel 1", "bulky 22"];

fn statuses(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|result| result["status"].as_str().unwrap()).collect()
}

fn pointers(errors: &Value) -> BTreeSet<&str> {
    errors.as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_fault_of_an_event_is_told_at_once_with_its_place() {
    let client = Client::new();
    let schema = json!({
        "type": "object",
        "properties": {
            "time": {"type": "string", "format": "date-time"},
            "mail": {"type": "string", "format": "email"},
            "level": {"type": "integer", "minimum": 0, "maximum": 255},
            "stops": {"type": "array", "items": {"type": "object", "properties": {"bins": {"type": "integer"}}}},
            "a/b": {"enum": ["x", "y"]},
        },
    });
    let stream = client.create_stream("rules-schema", &json!({"input": {"schema": schema}})).await;
    let events = format!("{stream}/events");
    let good = [
        json!({"time": "2018-02-07T01:26:13.840+01:00", "mail": "kari@example.org", "level": 255, "stops": [{"bins": 1}], "a/b": "x"}),
        json!({"level": 0}),
        json!({}),
    ];
    client.post(&events, &json!(good)).await.expect(200);
    let bad = json!({"time": "2018-02-07", "mail": "kari", "level": 256, "stops": [{"bins": 1}, {"bins": "two"}], "a/b": "z"});
    let places = ["/a~1b", "/level", "/mail", "/stops/1/bins", "/time"];
    let problem = client.post(&events, &bad).await.expect_problem(400);
    assert_eq!(pointers(&problem["errors"]), BTreeSet::from(places), "{problem}");
    let answer = client.post(&events, &json!([{"level": -1}, good[1], bad])).await.expect(207).json();
    assert_eq!(statuses(&answer), ["dead_letter", "accepted", "dead_letter"]);
    assert_eq!(pointers(&answer["results"][0]["errors"]), BTreeSet::from(["/0/level"]));
    let places = places.map(|pointer| format!("/2{pointer}"));
    assert_eq!(pointers(&answer["results"][2]["errors"]), places.iter().map(String::as_str).collect::<BTreeSet<_>>());

    let [first, second, third] = good.map(|event| event.to_string());
    assert_eq!(client.raw_texts(&stream).await, [first, second.clone(), third, second]);
    let letters = client.wait_for_dead_letters(&stream, 3).await;
    assert!(letters.iter().all(|letter| letter["reason"]["code"] == "schema"), "{letters:?}");
}

#[tokio::test]
async fn the_partition_key_is_the_text_of_its_value() {
    let client = Client::new();
    let stream = client.create_stream("rules-key", &json!({"input": {"partition_key": "$.vehicle.id"}})).await;
    let longest = "æ".repeat(256);
    let longer = "æ".repeat(257);
    let values = [json!("rubbish 17"), json!(17), json!(true), json!(longest), json!(longer), Value::Null, json!("")];
    let mut batch: Vec<Value> = values.iter().map(|value| json!({"vehicle": {"id": value}})).collect();
    batch.push(json!({"vehicle": "none"}));
    client.post(&format!("{stream}/events"), &json!(batch)).await.expect(200);

    let records = client.raw_records(&stream).await;
    let sent: Vec<String> = batch.iter().map(Value::to_string).collect();
    assert_eq!(records.iter().map(Record::text).collect::<Vec<_>>(), sent);
    let keys: Vec<&str> = records.iter().map(|record| record.partition_key.as_str()).collect();
    let digest: String = Sha256::digest(longer.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(keys[..5], ["rubbish 17", "17", "true", longest.as_str(), digest.as_str()]);
    let random: BTreeSet<&str> = keys[5..].iter().copied().collect();
    assert!(random.len() == 3 && !random.contains(""), "each of its own: {random:?}");
}

#[tokio::test]
async fn an_event_without_a_rule_for_its_key_goes_to_any_shard() {
    let client = Client::new();
    let stream = client.create_stream("rules-any", &json!({"buffer": {"kinesis": {"shards": 2}}})).await;
    let batch: Vec<Value> = (0..50).map(|n| json!({"n": n})).collect();
    client.post(&format!("{stream}/events"), &json!(batch)).await.expect(200);
    let records = client.raw_records(&stream).await;
    let keys: BTreeSet<&str> = records.iter().map(|record| record.partition_key.as_str()).collect();
    assert_eq!((records.len(), keys.len()), (50, 50));
}

#[tokio::test]
async fn an_event_is_named_by_its_id_and_put_once_in_a_request() {
    let client = Client::new();
    let stream = client.create_stream("rules-id", &json!({"input": {"event_id": "$.id"}})).await;
    let events = format!("{stream}/events");
    let batch = json!([{"id": "a", "n": 1}, {"id": 7}, {"id": "a", "n": 2}, {"n": 3}, {"n": 3}, {"id": 7}]);
    let answer = client.post(&events, &batch).await.expect(200).json();
    let expected = json!([
        {"index": 0, "id": "a", "status": "accepted"},
        {"index": 1, "id": "7", "status": "accepted"},
        {"index": 2, "id": "a", "status": "duplicate"},
        {"index": 3, "status": "accepted"},
        {"index": 4, "status": "accepted"},
        {"index": 5, "id": "7", "status": "duplicate"},
    ]);
    assert_eq!(answer, json!({"results": expected}));
    let answer = client.post(&format!("/ingest/{}", id_in(&stream)), &json!([{"id": "a"}, {"id": "a"}])).await.expect(200).json();
    assert_eq!((&answer["success"], statuses(&answer)), (&json!(true), vec!["accepted", "duplicate"]), "another request");
    let sent = [json!({"id": "a", "n": 1}), json!({"id": 7}), json!({"n": 3}), json!({"n": 3}), json!({"id": "a"})];
    assert_eq!(client.raw_texts(&stream).await, sent.map(|event| event.to_string()));
}

#[tokio::test]
async fn a_dry_run_answers_the_same_and_writes_nothing() {
    let client = Client::new();
    let document = json!({"input": {"event_id": "$.id", "schema": {"properties": {"n": {"type": "integer"}}}}});
    let stream = client.create_stream("rules-dry", &document).await;
    let data = client.data_path(&stream).await;
    let ingest = format!("/ingest/{}", id_in(&stream));
    let batch = "[{\"id\":1,\"n\":1},{\"id\":2,\"n\":\"one\"},{\"id\":1},5]";
    let cases = [
        (format!("{stream}/events"), "{\"n\":1}", 200),
        (format!("{stream}/events"), "[{\"n\":1},{\"n\":2}]", 200),
        (format!("{stream}/events"), batch, 207),
        (format!("{stream}/events"), "[5]", 400),
        (ingest.clone(), "{\"n\":1}", 200),
        (ingest.clone(), batch, 207),
        (format!("{ingest}/1"), "{\"n\":\"one\"}", 400),
        (data.clone(), "{\"n\":1}", 202),
        (data, "{\"n\":\"one\"}", 400),
    ];
    let mut tried = Vec::new();
    for (path, body, status) in &cases {
        tried.push(client.post_text(&format!("{path}?dry_run=true"), body).await.expect(*status).json());
    }
    assert_eq!(client.raw_records(&stream).await, []);

    for ((path, body, status), tried) in cases.iter().zip(tried) {
        let mut expected = without_request_id(client.post_text(path, body).await.expect(*status).json());
        expected["dry_run"] = json!(true);
        if let Some(detail) = expected.get("detail").and_then(Value::as_str).map(|detail| detail.replace("is kept", "would be kept")) {
            expected["detail"] = json!(detail);
        }
        assert_eq!(without_request_id(tried), expected, "{path} {body}");
    }
    assert_eq!(client.raw_records(&stream).await.len(), 7);
    // If those that were only tried were kept as well, there would be more.
    client.wait_for_dead_letters(&stream, 7).await;
}

fn without_request_id(mut answer: Value) -> Value {
    answer.as_object_mut().unwrap().remove("request_id");
    answer
}

#[tokio::test]
async fn the_events_of_a_key_stay_in_order_from_request_to_request() {
    let client = Client::new();
    let document = json!({
        "input": {"partition_key": "$.truck"},
        "buffer": {"kinesis": {"shards": 2}},
        "pipeline": {"processors": [{"mapping": ".seen = true"}]},
    });
    let stream = client.create_stream("rules-order", &document).await;
    let (requests, batch) = (20_usize, 3);
    let mut drivers = JoinSet::new();
    for truck in TRUCKS {
        let (client, events) = (client.clone(), format!("{stream}/events"));
        drivers.spawn(async move {
            for request in 0..requests {
                let sent: Vec<Value> = (0..batch).map(|n| json!({"truck": truck, "n": request * batch + n})).collect();
                client.post(&events, &json!(sent)).await.expect(200);
            }
        });
    }
    drivers.join_all().await;
    expect_order(&client, &stream, requests * batch).await;
}

#[tokio::test]
async fn the_events_of_a_key_stay_in_order_within_one_large_request() {
    let client = Client::new();
    let document = json!({"input": {"partition_key": "$.truck"}, "buffer": {"kinesis": {"shards": 2}}});
    let stream = client.create_stream("rules-large", &document).await;
    let count = 300;
    let sent: Vec<Value> = (0..count).flat_map(|n| TRUCKS.map(|truck| json!({"truck": truck, "n": n}))).collect();
    client.post(&format!("{stream}/events"), &json!(sent)).await.expect(200);
    expect_order(&client, &stream, count).await;
}

/// Checks that every truck's events are on the raw and on the processed stream, each once and in order.
async fn expect_order(client: &Client, stream: &str, count: usize) {
    let expected: BTreeMap<String, Vec<u64>> = TRUCKS.iter().map(|truck| ((*truck).to_owned(), (0..count as u64).collect())).collect();
    let raw = client.raw_records(stream).await;
    assert!(raw.iter().all(|record| TRUCKS.contains(&record.partition_key.as_str())), "the key decides the shard");
    assert_eq!(by_truck(&raw), expected);
    let name = client.get(stream).await.expect(200).json()["processed_stream"].as_str().unwrap().to_owned();
    let processed = poll(async || {
        let records = kinesis_records(&name).await;
        if records.len() >= raw.len() { Ok(records) } else { Err(format!("{} of {} events", records.len(), raw.len())) }
    })
    .await;
    assert_eq!(by_truck(&processed), expected);
}

/// The numbers of each truck's events, in the order in which they lie there.
fn by_truck(records: &[Record]) -> BTreeMap<String, Vec<u64>> {
    let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for record in records {
        let event: Value = serde_json::from_slice(&record.data).unwrap();
        numbers.entry(event["truck"].as_str().unwrap().to_owned()).or_default().push(event["n"].as_u64().unwrap());
    }
    numbers
}
