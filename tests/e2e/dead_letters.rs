//! Events that could not go on: read with their reasons, and sent on their way again.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::harness::{Client, poll};

const DAY: &str = "from_date=2026-01-05&to_date=2026-01-05";

fn event(n: u32, kmh: Value) -> Value {
    json!({"time": "2026-01-05T08:00:00Z", "n": n, "kmh": kmh})
}

fn document(mapping: &str) -> Value {
    json!({"input": {"timestamp": "$.time"}, "pipeline": {"processors": [{"mapping": mapping}]}, "output": {"s3": {}}})
}

impl Client {
    async fn wait_for_letters(&self, stream: &str, count: usize) -> Vec<Value> {
        poll(async || {
            let page = self.get(&format!("{stream}/dead-letters?reason=mapping")).await.expect(200).json();
            let letters = page["values"].as_array().unwrap().clone();
            if letters.len() == count { Ok(letters) } else { Err(page.to_string()) }
        })
        .await
    }

    async fn redrive(&self, stream: &str, query: &str, body: &Value) -> Value {
        self.post(&format!("{stream}/dead-letters/redrive{query}"), body).await.expect(200).json()
    }

    /// The numbers of the events of the day, in order.
    async fn numbers(&self, stream: &str) -> Vec<u64> {
        let page = self.get(&format!("{stream}/events?{DAY}&page_size=1000")).await.expect(200).json();
        let mut numbers: Vec<u64> = page["values"].as_array().unwrap().iter().map(|event| event["n"].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }
}

fn original(letter: &Value) -> Value {
    serde_json::from_slice(&BASE64_STANDARD.decode(letter["original_base64"].as_str().unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn dead_letters_are_read_and_put_back_once_a_mapping_is_mended() {
    let client = Client::new();
    let stream = client.create_stream("letters", &document(".speed_ms = float!(.kmh) / 3.6")).await;
    client.wait_active(&format!("{stream}/sinks/s3")).await;
    let none = client.get(&format!("{stream}/dead-letters")).await.expect(200).json();
    assert_eq!(none, json!({"values": []}));
    let events = [event(1, json!(36.0)), event(2, json!("fast")), event(3, json!(72.0)), event(4, json!("slow")), event(5, json!(null))];
    client.post(&format!("{stream}/events"), &json!(events)).await.expect(200);

    let letters = client.wait_for_letters(&stream, 3).await;
    let mut stopped: Vec<u64> = letters.iter().map(|letter| original(letter)["n"].as_u64().unwrap()).collect();
    stopped.sort_unstable();
    assert_eq!(stopped, [2, 4, 5]);
    for letter in &letters {
        assert_eq!(
            [&letter["source"], &letter["path"], &letter["attempts"], &letter["redriven_at"]],
            [&json!("pipeline"), &json!("pipeline.processors[0].mapping"), &json!(1), &Value::Null],
            "{letter}"
        );
        assert_eq!(format!("/streams/{}", letter["stream"].as_str().unwrap()), stream);
        assert!(letter["reason"]["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{letter}");
        let alone = client.get(&format!("{stream}/dead-letters/{}", letter["id"].as_str().unwrap())).await.expect(200).json();
        assert_eq!(alone, *letter);
    }
    let first = client.get(&format!("{stream}/dead-letters?page_size=1")).await.expect(200).json();
    let rest = format!("{stream}/dead-letters?page_size=5&cursor={}", first["next_cursor"].as_str().unwrap());
    let rest = client.get(&rest).await.expect(200).json();
    assert_eq!([&first["values"][0], &rest["values"][0], &rest["values"][1]], [&letters[0], &letters[1], &letters[2]]);

    // Nothing was mended: what is put back stops again, and has been tried twice.
    let id = &letters[0]["id"];
    assert_eq!(client.redrive(&stream, "", &json!({"ids": [id]})).await, json!({"redriven": 1, "skipped": 0, "failed": 0}));
    let four = client.wait_for_letters(&stream, 4).await;
    let put_back = four.iter().find(|letter| letter["id"] == *id).unwrap();
    assert!(put_back["redriven_at"].is_string(), "{put_back}");
    let again: Vec<&Value> = four.iter().filter(|letter| letter["attempts"] == 2).collect();
    assert_eq!(again.len(), 1, "{four:?}");
    assert_eq!(original(again[0]), original(put_back));
    assert_eq!([&again[0]["first_time"], &again[0]["redriven_at"]], [&put_back["first_time"], &Value::Null]);

    let plan = client.redrive(&stream, "?dry_run=true", &json!({"reason": "mapping"})).await;
    assert_eq!(plan, json!({"redriven": 3, "skipped": 1, "failed": 0, "dry_run": true}));
    client.put(&stream, &document(".speed_ms = (to_float(.kmh) ?? 0.0) / 3.6")).await.expect(200);
    client.wait_updated(&stream).await;
    // The pipeline goes on for a while with what it remembers of the stream.
    poll(async || {
        client.post(&format!("{stream}/events"), &json!({"time": "2026-02-01T08:00:00Z", "n": 0, "kmh": "fast"})).await.expect(200);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let page = client.get(&format!("{stream}/events?from_date=2026-02-01&to_date=2026-02-01")).await.expect(200).json();
        if page["values"] == json!([]) { Err("the old mapping still runs".to_owned()) } else { Ok(()) }
    })
    .await;

    let open: Vec<&Value> = four.iter().filter(|letter| letter["redriven_at"].is_null()).map(|letter| &letter["id"]).collect();
    let mut ids = json!({"ids": open});
    assert_eq!(client.redrive(&stream, "", &ids).await, json!({"redriven": 3, "skipped": 0, "failed": 0}));
    client.wait_for_history(&stream, DAY, 5).await;
    assert_eq!(client.numbers(&stream).await, [1, 2, 3, 4, 5], "each once");
    assert_eq!(client.redrive(&stream, "", &ids).await, json!({"redriven": 0, "skipped": 3, "failed": 0}));
    ids["force"] = json!(true);
    assert_eq!(client.redrive(&stream, "", &ids).await, json!({"redriven": 3, "skipped": 0, "failed": 0}));
    client.wait_for_history(&stream, DAY, 8).await;
    let missing = client.redrive(&stream, "", &json!({"ids": ["dl-1-1"]})).await;
    assert_eq!(missing, json!({"redriven": 0, "skipped": 0, "failed": 0, "not_found": ["dl-1-1"]}));
    let problem = client.post(&format!("{stream}/dead-letters/redrive"), &json!({})).await.expect_problem(400);
    assert_eq!(problem["errors"][0]["detail"], "expected at least one of ids, reason, from, to");
}

#[tokio::test]
async fn a_stream_without_a_raw_stream_takes_no_letters_back() {
    let client = Client::new();
    let stream = client.create_stream("letters-raw-less", &json!({"buffer": {"raw": false}})).await;
    client.post(&format!("{stream}/dead-letters/redrive"), &json!({"from": "2020-01-01"})).await.expect_problem(409);
    client.get(&format!("{stream}/dead-letters/dl-1-1")).await.expect_problem(404);
    client.get(&format!("{stream}/dead-letters?cursor=x")).await.expect_problem(400);
    Client::of_another_owner().get(&format!("{stream}/dead-letters")).await.expect_problem(404);
}

#[tokio::test]
async fn an_event_that_ingest_refuses_is_kept_unless_the_document_says_no() {
    let client = Client::new();
    let document = json!({"input": {"timestamp": "$.time"}});
    let stream = client.create_stream("refused", &document).await;
    let answer = client.post(&format!("{stream}/events"), &json!([event(1, json!(1)), {"n": 2}])).await.expect(207).json();
    assert_eq!(answer["results"][1]["status"], "dead_letter");
    let alone = client.post(&format!("{stream}/events"), &json!({"n": 3})).await.expect_problem(400);
    assert_eq!(alone["dead_letter"], true);
    let letters = poll(async || {
        let page = client.get(&format!("{stream}/dead-letters?reason=timestamp")).await.expect(200).json();
        let letters = page["values"].as_array().unwrap().clone();
        if letters.len() == 2 { Ok(letters) } else { Err(page.to_string()) }
    })
    .await;
    let mut kept: Vec<Value> = letters.iter().map(original).collect();
    kept.sort_by_key(|event| event["n"].as_u64());
    assert_eq!(kept, [json!({"n": 2}), json!({"n": 3})]);
    assert!(letters.iter().all(|letter| letter["source"] == "ingest"), "{letters:?}");

    let document = json!({"input": {"timestamp": "$.time", "on_invalid": "reject"}});
    let stream = client.create_stream("rejected", &document).await;
    let answer = client.post(&format!("{stream}/events"), &json!([event(1, json!(1)), {"n": 2}])).await.expect(207).json();
    assert_eq!(answer["results"][1]["status"], "rejected");
}
