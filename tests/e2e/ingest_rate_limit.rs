//! Rate limits of a stream's input: told in every answer, shared by all instances, and never a lost event.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Answer, Client, id_in, unique_id};

const COUNT: u64 = 5;

/// Seconds: so long that a window seldom ends while a test runs.
const INTERVAL: u64 = 600;

/// A stream and the limit that it is under.
struct Limited {
    stream: String,
    limit: String,
}

/// Declares a limit of five events.
async fn declare_limit(client: &Client, name: &str) -> String {
    let limit = unique_id(name);
    let config = json!({"local": {"count": COUNT, "interval": format!("{INTERVAL}s")}});
    client.post(&format!("/resources/rate_limit/{limit}"), &config).await.expect(200);
    limit
}

async fn declare_stream(client: &Client, name: &str) -> Limited {
    let limit = declare_limit(client, name).await;
    let stream = client.create_stream(name, &json!({"input": {"rate_limit": limit}})).await;
    Limited { stream, limit }
}

/// Looks at answers that fell into one window: at others when a window ended in their midst.
async fn within_a_window<T>(mut look: impl AsyncFnMut() -> T) -> T {
    loop {
        let before = window();
        let seen = look().await;
        if window() == before {
            return seen;
        }
    }
}

/// The number of the window that is now.
fn window() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / INTERVAL
}

/// What an answer says is left, and the seconds until there is more.
fn quota_of(answer: &Answer, limit: &str) -> (u64, u64) {
    assert_eq!(answer.header("ratelimit-policy"), format!("\"{limit}\";q={COUNT};w={INTERVAL}"));
    let told = answer.header("ratelimit");
    let told = told.strip_prefix(&format!("\"{limit}\";r=")).unwrap_or_else(|| panic!("{told}"));
    let (left, seconds) = told.split_once(";t=").unwrap();
    (left.parse().unwrap(), seconds.parse().unwrap())
}

fn event(n: u64) -> Value {
    json!({"n": n})
}

fn texts(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|n| event(n).to_string()).collect()
}

#[tokio::test]
async fn every_answer_tells_what_is_left_and_beyond_it_is_429() {
    let client = Client::new();
    let (limited, answers, raw) = within_a_window(async || {
        let limited = declare_stream(&client, "rate").await;
        let mut answers = Vec::new();
        for n in 0..COUNT + 2 {
            answers.push(client.post(&format!("{}/events", limited.stream), &event(n)).await);
        }
        let raw = client.raw_texts(&limited.stream).await;
        (limited, answers, raw)
    })
    .await;
    for (n, answer) in (0..).zip(answers) {
        let (left, seconds) = quota_of(&answer, &limited.limit);
        assert_eq!(left, COUNT.saturating_sub(n + 1));
        assert!(seconds <= INTERVAL, "{seconds}");
        if n < COUNT {
            answer.expect(200);
        } else {
            let pause: u64 = answer.header("retry-after").parse().unwrap();
            assert!(pause <= INTERVAL, "{pause}");
            answer.expect_retry(429);
        }
    }
    assert_eq!(raw, texts(0..COUNT));
}

#[tokio::test]
async fn the_first_events_of_a_batch_over_the_limit_are_accepted_and_the_rest_may_come_again() {
    let client = Client::new();
    let (answer, none, raw) = within_a_window(async || {
        let limited = declare_stream(&client, "rate-batch").await;
        let batch: Vec<Value> = (0..COUNT + 3).map(event).collect();
        let answer = client.post(&format!("{}/events", limited.stream), &json!(batch)).await;
        let none = client.post(&format!("/ingest/{}", id_in(&limited.stream)), &json!([event(9)])).await;
        (answer, none, client.raw_texts(&limited.stream).await)
    })
    .await;
    assert!(answer.header("retry-after").parse::<u64>().is_ok());
    let results = answer.expect(207).json()["results"].clone();
    let statuses: Vec<&Value> = results.as_array().unwrap().iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, ["accepted", "accepted", "accepted", "accepted", "accepted", "retry", "retry", "retry"]);
    assert_eq!(results[5]["errors"][0]["pointer"], "/5", "{results}");
    assert_eq!(none.expect_retry(429)["results"][0]["status"], "retry");
    assert_eq!(raw, texts(0..COUNT));
}

#[tokio::test]
async fn callers_at_once_share_one_limit_whichever_instance_serves_them() {
    let client = Client::new();
    let (statuses, raw) = within_a_window(async || {
        let limited = declare_stream(&client, "rate-shared").await;
        let mut callers = JoinSet::new();
        for n in 0..COUNT * 4 {
            let (client, path) = (client.clone(), format!("/ingest/{}", id_in(&limited.stream)));
            callers.spawn(async move { client.post(&path, &event(n)).await.status });
        }
        let mut statuses = callers.join_all().await;
        statuses.sort_unstable();
        (statuses, client.raw_records(&limited.stream).await.len())
    })
    .await;
    assert_eq!(statuses, [vec![200; 5], vec![429; 15]].concat());
    assert_eq!(raw, 5);
}

#[tokio::test]
async fn streams_that_name_one_limit_share_it() {
    let client = Client::new();
    let (statuses, raw) = within_a_window(async || {
        let first = declare_stream(&client, "rate-two").await;
        let second = client.create_stream("rate-two", &json!({"input": {"rate_limit": first.limit}})).await;
        let mut statuses = Vec::new();
        for n in 0..4 {
            for stream in [&first.stream, &second] {
                statuses.push(client.post(&format!("{stream}/events"), &event(n)).await.status);
            }
        }
        let raw = [client.raw_texts(&first.stream).await, client.raw_texts(&second).await];
        (statuses, raw)
    })
    .await;
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
    assert_eq!(raw, [texts(0..3), texts(0..2)]);
}

#[tokio::test]
async fn what_is_not_put_does_not_count() {
    let client = Client::new();
    let (limited, invalid, answer) = within_a_window(async || {
        let limited = declare_stream(&client, "rate-invalid").await;
        let events = format!("{}/events", limited.stream);
        let invalid = client.post(&events, &json!([1, 2, 3])).await;
        client.post(&format!("{events}?dry_run=true"), &json!([event(0), event(1)])).await.expect(200);
        (limited, invalid, client.post(&events, &json!([event(0), 4])).await)
    })
    .await;
    invalid.expect(400);
    assert_eq!(quota_of(&answer, &limited.limit).0, COUNT - 1);
    answer.expect(207);
}

#[tokio::test]
async fn a_stream_without_a_limit_tells_of_none() {
    let client = Client::new();
    let stream = client.create_stream("rate-none", &json!({})).await;
    let answer = client.post(&format!("{stream}/events"), &event(1)).await.expect(200);
    assert!(!answer.headers.contains_key("ratelimit") && !answer.headers.contains_key("ratelimit-policy"));
}
