//! `CloudEvents` 1.0, structured, batched and binary: what lies on the raw stream is the structured form.

use serde_json::{Value, json};

use crate::harness::{Client, from_base64, id_in};

const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json");
const BATCHED: (&str, &str) = ("content-type", "application/cloudevents-batch+json");
const JSON: (&str, &str) = ("content-type", "application/json");

/// The attributes that every event has, as headers.
const HEADERS: [(&str, &str); 4] =
    [("ce-specversion", "1.0"), ("ce-id", "lift-1"), ("ce-source", "/cranes/7"), ("ce-type", "no.example.lifted")];

/// The same as members, and white space of the sender's own.
fn structured(id: &str, more: &str) -> String {
    format!("{{ \"specversion\":\"1.0\", \"id\":\"{id}\",\n \"source\":\"/cranes/7\", \"type\":\"no.example.lifted\"{more} }}")
}

fn with<'h>(more: &[(&'h str, &'h str)]) -> Vec<(&'h str, &'h str)> {
    [&HEADERS[..], more].concat()
}

/// What a binary event with this data becomes.
fn envelope(more: &Value) -> Value {
    let mut event = json!({"specversion": "1.0", "id": "lift-1", "source": "/cranes/7", "type": "no.example.lifted"});
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn parsed(texts: &[String]) -> Vec<Value> {
    texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

#[tokio::test]
async fn an_event_in_structured_form_is_taken_in_every_dialect_and_keeps_its_bytes() {
    let client = Client::new();
    let stream = client.create_stream("ce-structured", &json!({})).await;
    let event = structured("lift-1", ", \"time\":\"2018-04-05T17:31:00Z\", \"crane\":\"north\", \"data\": {\"tonnes\": 4.0}");
    let headers = [("content-type", "application/cloudevents+json; charset=UTF-8")];
    let answer = client.post_bytes(&format!("{stream}/events"), &headers, format!("{event}\n")).await.expect(200);
    assert_eq!(answer.json(), json!({"results": [{"index": 0, "status": "accepted"}]}));
    let answer = client.post_bytes(&format!("/ingest/{}", id_in(&stream)), &headers, event.clone()).await.expect(200);
    assert_eq!(answer.json(), json!({"success": true}));
    client.post_bytes(&client.data_path(&stream).await, &headers, event.clone()).await.expect(202);
    assert_eq!(client.raw_texts(&stream).await, [event.clone(), event.clone(), event]);
}

#[tokio::test]
async fn a_batch_of_events_has_a_result_each() {
    let client = Client::new();
    let stream = client.create_stream("ce-batch", &json!({})).await;
    let events = [structured("1", ""), structured("2", ", \"data_base64\": \"AAH/\""), structured("3", ", \"data\": \"text\"")];
    let batch = format!("[ {} ]", events.join(" , "));
    let accepted: Vec<Value> = (0..3).map(|index| json!({"index": index, "status": "accepted"})).collect();
    let answer = client.post_bytes(&format!("{stream}/events"), &[BATCHED], batch.clone()).await.expect(200);
    assert_eq!(answer.json(), json!({"results": accepted}));
    let answer = client.post_bytes(&format!("/ingest/{}/1", id_in(&stream)), &[BATCHED], batch).await.expect(200);
    assert_eq!(answer.json(), json!({"success": true, "results": accepted}));
    let empty = client.post_bytes(&format!("{stream}/events"), &[BATCHED], "[]").await.expect(200);
    assert_eq!(empty.json(), json!({"results": []}));
    assert_eq!(client.raw_texts(&stream).await, [&events[..], &events].concat());
}

#[tokio::test]
async fn an_event_in_binary_form_is_taken_in_every_dialect_and_put_in_its_structured_form() {
    let client = Client::new();
    let stream = client.create_stream("ce-binary", &json!({})).await;
    let data = "{ \"tonnes\": 4.0,\n \"by\": \"\\u00e6\" }";
    let subject = "Gr%C3%BCnerl%C3%B8kka%20%25";
    let headers = with(&[JSON, ("ce-time", "2018-04-05T17:31:00Z"), ("ce-subject", subject), ("ce-crane", "north")]);
    let paths = [(format!("{stream}/events"), 200), (format!("/ingest/{}", id_in(&stream)), 200), (client.data_path(&stream).await, 202)];
    for (path, status) in paths {
        client.post_bytes(&path, &headers, data).await.expect(status);
    }
    let expected = envelope(&json!({
        "time": "2018-04-05T17:31:00Z",
        "subject": "Grünerløkka %",
        "crane": "north",
        "datacontenttype": "application/json",
        "data": {"tonnes": 4.0, "by": "æ"},
    }));
    let raw = client.raw_texts(&stream).await;
    assert_eq!(parsed(&raw), [expected.clone(), expected.clone(), expected]);
    assert!(raw.iter().all(|event| event.contains(data)), "the data keeps its bytes: {}", raw[0]);
}

#[tokio::test]
async fn data_of_any_type_is_kept_in_the_structured_form() {
    let client = Client::new();
    let stream = client.create_stream("ce-data", &json!({})).await;
    let events = format!("{stream}/events");
    client.post_bytes(&events, &with(&[("content-type", "application/octet-stream")]), b"\x00\x01\xff").await.expect(200);
    client.post_bytes(&events, &with(&[("content-type", "text/plain")]), "two\nlines").await.expect(200);
    client.post_bytes(&events, &with(&[]), "").await.expect(200);
    let expected = [
        envelope(&json!({"datacontenttype": "application/octet-stream", "data_base64": "AAH/"})),
        envelope(&json!({"datacontenttype": "text/plain", "data": "two\nlines"})),
        envelope(&json!({})),
    ];
    assert_eq!(parsed(&client.raw_texts(&stream).await), expected);
}

#[tokio::test]
async fn an_event_that_is_no_cloud_event_is_named_attribute_by_attribute() {
    let client = Client::new();
    let stream = client.create_stream("ce-faults", &json!({})).await;
    let events = format!("{stream}/events");
    let without = |member: &str| {
        let mut event = envelope(&json!({}));
        event.as_object_mut().unwrap().remove(member);
        event.to_string()
    };
    let cases = [
        (without("specversion"), "/specversion"),
        (envelope(&json!({"specversion": "0.3"})).to_string(), "/specversion"),
        (without("id"), "/id"),
        (without("source"), "/source"),
        (without("type"), "/type"),
        (envelope(&json!({"id": 7})).to_string(), "/id"),
        (envelope(&json!({"time": "soon"})).to_string(), "/time"),
        (envelope(&json!({"Crane": "north"})).to_string(), "/Crane"),
        (envelope(&json!({"data_base64": "?"})).to_string(), "/data_base64"),
    ];
    for (event, pointer) in &cases {
        let problem = client.post_bytes(&events, &[STRUCTURED], event.clone()).await.expect_problem(400);
        assert_eq!([&problem["errors"][0]["pointer"], &problem["dead_letter"]], [&json!(pointer), &json!(true)], "{event}: {problem}");
    }
    let good = structured("1", "");
    let batch = format!("[{good}, {}, 5]", without("type"));
    let results = client.post_bytes(&events, &[BATCHED], batch).await.expect(207).json()["results"].clone();
    let fates = [&results[0]["status"], &results[1]["status"], &results[2]["status"]];
    assert_eq!(fates, ["accepted", "dead_letter", "dead_letter"], "{results}");
    assert_eq!([&results[1]["errors"][0]["pointer"], &results[2]["errors"][0]["pointer"]], ["/1/type", "/2"], "{results}");

    let other_version = [("ce-specversion", "0.3"), ("ce-id", "1"), ("ce-source", "/"), ("ce-type", "t"), JSON];
    let problem = client.post_bytes(&events, &other_version, "{}").await.expect_problem(400);
    assert_eq!(problem["errors"][0]["pointer"], "/specversion", "{problem}");
    client.post_bytes(&events, &with(&[JSON]), "{\"half\":").await.expect_problem(400);
    client.post_bytes(&events, &[STRUCTURED], "{\"half\":").await.expect_problem(400);
    client.post_bytes(&events, &[BATCHED], good.clone()).await.expect_problem(400);
    assert_eq!(client.raw_texts(&stream).await, [good]);
    let letters = client.wait_for_dead_letters(&stream, cases.len() + 3).await;
    let of_this_kind = letters.iter().filter(|letter| letter["reason"]["code"] == "cloud_event").count();
    assert!(of_this_kind >= cases.len() + 2, "{letters:?}");
}

#[tokio::test]
async fn a_stream_s_schema_is_for_the_data_and_its_paths_see_the_envelope() {
    let client = Client::new();
    let document = json!({"input": {
        "schema": {"type": "object", "required": ["tonnes"], "properties": {"tonnes": {"type": "number", "maximum": 10}}},
        "partition_key": "$.subject",
        "event_id": "$.id",
        "timestamp": "$.time",
    }});
    let stream = client.create_stream("ce-schema", &document).await;
    let events = format!("{stream}/events");
    let event = |id: &str, tonnes: u32| {
        let more = json!({"id": id, "subject": "north", "time": "2018-04-05T17:31:00Z", "data": {"tonnes": tonnes}});
        envelope(&more).to_string()
    };
    let good = event("a", 4);
    let batch = format!("[{good}, {}, {good}]", event("b", 40));
    let results = client.post_bytes(&events, &[BATCHED], batch).await.expect(207).json()["results"].clone();
    let named = [0_usize, 1, 2].map(|index| [&results[index]["id"], &results[index]["status"]]);
    assert_eq!(named, [["a", "accepted"], ["b", "dead_letter"], ["a", "duplicate"]], "{results}");
    assert_eq!(results[1]["errors"][0]["pointer"], "/1/data/tonnes", "{results}");

    let headers = with(&[JSON, ("ce-subject", "north"), ("ce-time", "2018-04-05T17:31:00Z")]);
    let answer = client.post_bytes(&events, &headers, "{\"tonnes\":5}").await.expect(200).json();
    assert_eq!(answer["results"][0]["id"], "lift-1");
    let problem = client.post_bytes(&events, &headers, "{\"tonnes\":\"5\"}").await.expect_problem(400);
    assert_eq!(problem["errors"][0]["pointer"], "/data/tonnes", "{problem}");

    let records = client.raw_records(&stream).await;
    assert!(records.iter().all(|record| record.partition_key == "north"), "{records:?}");
    let ids: Vec<Value> = records.iter().map(|record| serde_json::from_slice::<Value>(&record.data).unwrap()["id"].clone()).collect();
    assert_eq!(ids, ["a", "lift-1"]);
    let letters = client.wait_for_dead_letters(&stream, 2).await;
    for letter in letters {
        let kept: Value = serde_json::from_slice(&from_base64(&letter["original_base64"])).unwrap();
        assert_eq!((&letter["reason"]["code"], &kept["specversion"]), (&json!("schema"), &json!("1.0")), "in its structured form");
    }
}
