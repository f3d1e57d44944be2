//! Requests that are sent again under one `Idempotency-Key`: answered like the first, and done once.

use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::{Answer, Client, call_aws, id_in, unique_id};

const JSON: (&str, &str) = ("content-type", "application/json");

impl Client {
    async fn post_once(&self, path: &str, key: &str, body: &str) -> Answer {
        self.post_bytes(path, &[JSON, ("idempotency-key", key)], body).await
    }
}

#[track_caller]
fn expect_fresh(answer: Answer, status: u16) -> Answer {
    let answer = answer.expect(status);
    assert!(!answer.headers.contains_key("idempotent-replayed"), "{}", answer.text);
    answer
}

/// Checks that an answer is the first one once more.
#[track_caller]
fn expect_again(answer: Answer, first: &Answer) {
    let answer = answer.expect(first.status);
    assert_eq!((answer.header("idempotent-replayed"), &answer.text), ("true", &first.text));
    assert_eq!(answer.header("content-type"), first.header("content-type"));
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_answered_again_and_done_once_on_every_route() {
    let client = Client::new();
    let stream = client.create_stream("once", &json!({})).await;
    let (id, data) = (id_in(&stream).to_owned(), client.data_path(&stream).await);
    let routes = [(format!("{stream}/events"), 200), (format!("/ingest/{id}"), 200), (format!("/ingest/{id}/1"), 200), (data, 202)];
    let mut expected = Vec::new();
    for (n, (path, status)) in routes.iter().enumerate() {
        let (key, body) = (unique_id("key"), format!("{{\"n\":{n}}}"));
        let first = expect_fresh(client.post_once(path, &key, &body).await, *status);
        for _ in 0..2 {
            expect_again(client.post_once(path, &key, &body).await, &first);
        }
        expected.push(body);
    }
    assert_eq!(client.raw_texts(&stream).await, expected);
}

#[tokio::test]
async fn a_key_is_the_same_with_and_without_its_quotes_and_another_key_is_another_request() {
    let client = Client::new();
    let stream = client.create_stream("once-keys", &json!({})).await;
    let events = format!("{stream}/events");
    let first = expect_fresh(client.post_once(&events, "\"a-key\"", "[{\"n\":1}]").await, 200);
    expect_again(client.post_once(&events, "a-key", "[{\"n\":1}]").await, &first);
    expect_fresh(client.post_once(&events, "b-key", "[{\"n\":1}]").await, 200);
    expect_fresh(client.post_text(&events, "[{\"n\":1}]").await, 200);
    assert_eq!(client.raw_records(&stream).await.len(), 3);
}

#[tokio::test]
async fn another_body_under_a_key_that_was_used_is_422() {
    let client = Client::new();
    let stream = client.create_stream("once-other", &json!({})).await;
    let events = format!("{stream}/events");
    let first = expect_fresh(client.post_once(&events, "k", "{\"n\":1}").await, 200);
    client.post_once(&events, "k", "{\"n\":2}").await.expect_problem(422);
    expect_again(client.post_once(&events, "k", "{\"n\":1}").await, &first);
    assert_eq!(client.raw_texts(&stream).await, ["{\"n\":1}"]);
}

#[tokio::test]
async fn a_dry_run_uses_no_key_up() {
    let client = Client::new();
    let stream = client.create_stream("once-dry", &json!({})).await;
    let events = format!("{stream}/events");
    expect_fresh(client.post_once(&format!("{events}?dry_run=true"), "k", "{\"n\":1}").await, 200);
    expect_fresh(client.post_once(&events, "k", "{\"n\":2}").await, 200);
    assert_eq!(client.raw_texts(&stream).await, ["{\"n\":2}"]);
}

#[tokio::test]
async fn the_same_key_on_another_stream_is_another_request() {
    let client = Client::new();
    let (one, two) = (client.create_stream("once-one", &json!({})).await, client.create_stream("once-two", &json!({})).await);
    expect_fresh(client.post_once(&format!("{one}/events"), "k", "{\"n\":1}").await, 200);
    expect_fresh(client.post_once(&format!("{two}/events"), "k", "{\"n\":2}").await, 200);
    assert_eq!(client.raw_texts(&one).await, ["{\"n\":1}"]);
    assert_eq!(client.raw_texts(&two).await, ["{\"n\":2}"]);
}

#[tokio::test]
async fn a_malformed_key_is_400_and_nothing_is_put() {
    let client = Client::new();
    let stream = client.create_stream("once-malformed", &json!({})).await;
    for key in ["a b", "a\\b", "\"a", &"k".repeat(256)] {
        client.post_once(&format!("{stream}/events"), key, "{\"n\":1}").await.expect_problem(400);
    }
    assert_eq!(client.raw_records(&stream).await, []);
}

#[tokio::test]
async fn a_mixed_batch_is_answered_again_and_its_bad_event_kept_once() {
    let client = Client::new();
    let stream = client.create_stream("once-mixed", &json!({})).await;
    let events = format!("{stream}/events");
    let body = "[{\"n\":1},5]";
    let first = expect_fresh(client.post_once(&events, "k", body).await, 207);
    expect_again(client.post_once(&events, "k", body).await, &first);
    assert_eq!(client.raw_texts(&stream).await, ["{\"n\":1}"]);
    client.wait_for_dead_letters(&stream, 1).await;

    let refused = expect_fresh(client.post_once(&events, "bad", "5").await, 400);
    expect_again(client.post_once(&events, "bad", "5").await, &refused);
    client.wait_for_dead_letters(&stream, 2).await;
}

#[tokio::test]
async fn of_the_same_request_sent_at_once_by_many_one_is_done() {
    let client = Client::new();
    let stream = client.create_stream("once-race", &json!({})).await;
    let events = format!("{stream}/events");
    let mut race = JoinSet::new();
    for _ in 0..8 {
        let (client, events) = (client.clone(), events.clone());
        race.spawn(async move { client.post_once(&events, "k", "[{\"n\":1},{\"n\":2}]").await });
    }
    let answers = race.join_all().await;
    let done = answers.iter().filter(|answer| answer.status == 200 && !answer.headers.contains_key("idempotent-replayed")).count();
    assert_eq!(done, 1);
    for answer in answers.into_iter().filter(|answer| answer.status != 200) {
        answer.expect_retry(409);
    }
    assert_eq!(client.raw_texts(&stream).await, ["{\"n\":1}", "{\"n\":2}"]);
}

#[tokio::test]
async fn an_answer_that_asks_to_come_back_is_not_remembered() {
    let client = Client::new();
    let stream = client.create_stream("once-outage", &json!({})).await;
    let events = format!("{stream}/events");
    let raw_stream = client.get(&stream).await.expect(200).json()["raw_stream"].clone();
    call_aws("Kinesis_20131202.DeleteStream", &json!({"StreamName": raw_stream})).await;
    for _ in 0..2 {
        let refused = expect_fresh(client.post_once(&events, "k", "{\"n\":1}").await, 503);
        refused.expect_retry(503);
    }
    call_aws("Kinesis_20131202.CreateStream", &json!({"StreamName": raw_stream, "ShardCount": 1})).await;
    let first = expect_fresh(client.post_once(&events, "k", "{\"n\":1}").await, 200);
    expect_again(client.post_once(&events, "k", "{\"n\":1}").await, &first);
    assert_eq!(client.raw_texts(&stream).await, ["{\"n\":1}"]);
}

#[tokio::test]
async fn a_request_over_the_rate_limit_is_not_remembered() {
    let client = Client::new();
    let limit = unique_id("once");
    // No window of this length ends while this runs but by chance, and then nothing is refused and nothing is to be seen.
    client.post(&format!("/resources/rate_limit/{limit}"), &json!({"local": {"count": 1, "interval": "600s"}})).await.expect(200);
    let stream = client.create_stream("once-limit", &json!({"input": {"rate_limit": limit}})).await;
    let events = format!("{stream}/events");
    expect_fresh(client.post_once(&events, "first", "{\"n\":1}").await, 200);
    for _ in 0..2 {
        let answer = client.post_once(&events, "second", "{\"n\":2}").await;
        assert!(answer.status != 429 || !answer.headers.contains_key("idempotent-replayed"), "{}", answer.text);
    }
}
