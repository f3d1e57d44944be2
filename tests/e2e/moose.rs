//! The routes of Moose's clients: events that are valid, that are not, in batches, and to a version; and what lies on the raw stream then.

use serde_json::{Value, json};

use crate::harness::{Client, from_base64, id_in, unique_id};

const VALID: &str = r#"{ "id": "event1", "userId": "user1", "timestamp": "2023-05-10T15:30:00Z" }"#;

/// A user did something, at a time, on a device.
fn document(on_invalid: &str) -> Value {
    let schema = json!({
        "type": "object",
        "required": ["id", "userId", "timestamp"],
        "properties": {
            "id": {"type": "string"},
            "userId": {"type": "string"},
            "timestamp": {"type": "string", "format": "date-time"},
            "properties": {
                "type": "object",
                "properties": {"device": {"type": "string"}, "version": {"type": "integer"}},
            },
        },
    });
    json!({"input": {"schema": schema, "on_invalid": on_invalid}})
}

/// An event that is valid but for these members.
fn with(changes: &Value) -> String {
    let mut event: Value = serde_json::from_str(VALID).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        event[name] = value.clone();
    }
    event.to_string()
}

/// Where an answer finds faults, in order of the places.
fn pointers(errors: &Value) -> Vec<&str> {
    let errors = errors.as_array().unwrap_or_else(|| panic!("no errors in {errors}"));
    assert!(errors.iter().all(|error| error["detail"].as_str().is_some_and(|detail| !detail.is_empty())), "{errors:?}");
    let mut pointers: Vec<&str> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    pointers
}

fn statuses(answer: &Value) -> Vec<&str> {
    let results = answer["results"].as_array().unwrap_or_else(|| panic!("no results in {answer}"));
    assert!(results.iter().enumerate().all(|(index, result)| result["index"] == index), "{results:?}");
    results.iter().map(|result| result["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_valid_event_is_a_success_and_lies_on_the_raw_stream_as_it_was_sent() {
    let client = Client::new();
    let stream = client.create_stream("moose-valid", &document("dead_letter")).await;
    let detailed = with(&json!({"properties": {"device": "phone", "version": 2}}));
    for event in [VALID, &detailed] {
        let answer = client.post_text(&format!("/ingest/{}", id_in(&stream)), &format!("\n {event} \n")).await.expect(200);
        assert_eq!(answer.json(), json!({"success": true}));
    }
    assert_eq!(client.raw_texts(&stream).await, [VALID, &detailed]);
}

#[tokio::test]
async fn an_invalid_event_is_named_field_by_field_and_kept_as_a_dead_letter() {
    let client = Client::new();
    let stream = client.create_stream("moose-invalid", &document("dead_letter")).await;
    let path = format!("/ingest/{}", id_in(&stream));
    let cases = [
        (json!({"userId": 7}), vec!["/userId"]),
        (json!({"timestamp": "soon"}), vec!["/timestamp"]),
        (json!({"timestamp": null}), vec!["/timestamp"]),
        (json!({"properties": {"device": "phone", "version": "two"}}), vec!["/properties/version"]),
        (
            json!({"id": 1, "timestamp": "2023-02-30T15:30:00Z", "properties": {"version": 1.5}}),
            vec!["/id", "/properties/version", "/timestamp"],
        ),
    ];
    let mut sent = Vec::new();
    for (changes, expected) in cases {
        let event = with(&changes);
        let problem = client.post_text(&path, &event).await.expect_problem(400);
        assert_eq!(pointers(&problem["errors"]), expected, "{event}: {problem}");
        assert_eq!(problem["dead_letter"], true, "{problem}");
        sent.push(event);
    }
    let without_user = r#"{"id": "event1", "timestamp": "2023-05-10T15:30:00Z"}"#;
    let problem = client.post_text(&path, without_user).await.expect_problem(400);
    let error = problem["errors"][0].to_string();
    assert!(error.contains("userId"), "what is missing is named: {problem}");
    sent.push(without_user.to_owned());

    let letters = client.wait_for_dead_letters(&stream, sent.len()).await;
    let mut kept: Vec<String> = letters.iter().map(|letter| String::from_utf8(from_base64(&letter["original_base64"])).unwrap()).collect();
    kept.sort_unstable();
    sent.sort_unstable();
    assert_eq!(kept, sent, "each as it was sent");
    for letter in &letters {
        assert_eq!([&letter["reason"]["code"], &letter["source"]], ["schema", "ingest"], "{letter}");
    }
    assert_eq!(client.raw_records(&stream).await, []);
}

#[tokio::test]
async fn an_invalid_event_of_a_stream_that_keeps_none_is_refused_alone() {
    let client = Client::new();
    let stream = client.create_stream("moose-reject", &document("reject")).await;
    let path = format!("/ingest/{}", id_in(&stream));
    let problem = client.post_text(&path, "{}").await.expect_problem(400);
    assert_eq!(problem.get("dead_letter"), None, "{problem}");
    let mixed = client.post_text(&path, &format!("[{VALID}, {{}}]")).await.expect(207).json();
    assert_eq!(statuses(&mixed), ["accepted", "rejected"]);
    assert_eq!(client.raw_texts(&stream).await, [VALID]);
    assert_eq!(client.get(&format!("{stream}/dead-letters")).await.expect(200).json(), json!({"values": []}));
}

#[tokio::test]
async fn a_batch_of_valid_events_is_a_success_with_a_result_each() {
    let client = Client::new();
    let stream = client.create_stream("moose-batch", &document("dead_letter")).await;
    let events: Vec<String> = (0..3).map(|n| with(&json!({"id": format!("event{n}")}))).collect();
    let answer = client.post_text(&format!("/ingest/{}", id_in(&stream)), &format!("[ {} ]", events.join(" ,\n"))).await.expect(200).json();
    assert_eq!((&answer["success"], statuses(&answer)), (&json!(true), vec!["accepted"; 3]));
    assert_eq!(client.raw_texts(&stream).await, events, "in order");
}

#[tokio::test]
async fn a_mixed_batch_is_no_success_and_only_its_valid_events_are_put() {
    let client = Client::new();
    let stream = client.create_stream("moose-mixed", &document("dead_letter")).await;
    let (late, nameless) = (with(&json!({"timestamp": "soon"})), with(&json!({"id": null, "properties": []})));
    let second = with(&json!({"id": "event2"}));
    let batch = format!("[{VALID}, {late}, {second}, {nameless}, 7]");
    let answer = client.post_text(&format!("/ingest/{}", id_in(&stream)), &batch).await.expect(207).json();
    assert_eq!(answer["success"], false);
    assert_eq!(statuses(&answer), ["accepted", "dead_letter", "accepted", "dead_letter", "dead_letter"]);
    let results = &answer["results"];
    assert_eq!(pointers(&results[1]["errors"]), ["/1/timestamp"]);
    assert_eq!(pointers(&results[3]["errors"]), ["/3/id", "/3/properties"]);
    assert_eq!(pointers(&results[4]["errors"]), ["/4"]);
    assert_eq!(client.raw_texts(&stream).await, [VALID, &second]);
    client.wait_for_dead_letters(&stream, 3).await;
}

#[tokio::test]
async fn a_batch_without_a_valid_event_is_400_with_a_result_each() {
    let client = Client::new();
    let stream = client.create_stream("moose-none", &document("dead_letter")).await;
    let batch = format!("[{}, {{}}]", with(&json!({"userId": false})));
    let problem = client.post_text(&format!("/ingest/{}", id_in(&stream)), &batch).await.expect_problem(400);
    assert_eq!(statuses(&problem), ["dead_letter", "dead_letter"]);
    assert_eq!(pointers(&problem["results"][0]["errors"]), ["/0/userId"]);
    assert_eq!(client.raw_records(&stream).await, []);
}

#[tokio::test]
async fn each_version_takes_what_its_own_schema_allows() {
    let client = Client::new();
    let id = unique_id("moose-versions");
    let (first, second) = (format!("/streams/{id}/1"), format!("/streams/{id}/2"));
    let wants = |member: &str| json!({"input": {"schema": {"required": [member]}, "on_invalid": "reject"}});
    client.post(&first, &wants("old")).await.expect(201);
    client.post(&second, &wants("new")).await.expect(201);
    client.wait_active(&first).await;
    client.wait_active(&second).await;

    let (old, new) = (r#"{"old": 1}"#, r#"{"new": 1}"#);
    for (path, good, bad) in
        [(format!("/ingest/{id}/1"), old, new), (format!("/ingest/{id}/2"), new, old), (format!("/ingest/{id}"), new, old)]
    {
        assert_eq!(client.post_text(&path, good).await.expect(200).json(), json!({"success": true}), "{path}");
        client.post_text(&path, bad).await.expect_problem(400);
    }
    client.post_text(&format!("/ingest/{id}/3"), new).await.expect_problem(404);
    assert_eq!(client.raw_texts(&first).await, [old]);
    assert_eq!(client.raw_texts(&second).await, [new, new]);
}
