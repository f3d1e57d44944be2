//! A stream with a rate limit, which all instances share.

use std::time::Duration;

use domain::access::Scope;
use domain::fakes::{PutFault, active_stream, resource};
use domain::limits::CONFIG_CACHE_TTL;
use domain::rate_lease::Window;
use domain::resource::ResourceKind;
use domain::system::System;
use http_edge::testing::{Answer, event, send};
use serde_json::json;

use crate::bench::{Bench, DATA, EVENTS, INGEST, RAW_STREAM, ROUTES, TRUCK, batch_of, fates, lasting, pointers, with_header};

const NO_ROOM: &str = "the stream's rate limit has no room just now";

/// The function with a stream that takes so many events in ten seconds.
fn bench(count: u32) -> Bench {
    with_limit(Bench::new(), count)
}

fn with_limit(bench: Bench, count: u32) -> Bench {
    let text = format!("local: {{count: {count}, interval: 10s}}");
    bench.store.insert_resource(resource("waste", ResourceKind::RateLimit, "slow", &text));
    bench.declare(json!({"timestamp": "$.time", "rate_limit": "slow"}));
    bench
}

/// What an answer says of the limit: the policy, and what is left.
fn told(answer: &Answer) -> (Option<&str>, Option<&str>) {
    (answer.header("ratelimit-policy"), answer.header("ratelimit"))
}

/// The same with so many events left, and so many seconds until there are more; of three in ten seconds.
fn left_of_three(left: &str) -> (Option<&'static str>, Option<&str>) {
    (Some("\"slow\";q=3;w=10"), Some(left))
}

#[tokio::test]
async fn every_answer_says_what_the_limit_has_left() {
    let bench = bench(3);
    assert_eq!(told(&bench.post(EVENTS, TRUCK).await), left_of_three("\"slow\";r=2;t=10"));
    bench.system.advance(Duration::from_secs(4));
    let one = bench.post(DATA, TRUCK).await;
    assert_eq!((one.status, told(&one)), (202, left_of_three("\"slow\";r=1;t=6")));
    bench.system.advance(Duration::from_millis(3_500));
    assert_eq!(told(&bench.post(INGEST, "{}").await), left_of_three("\"slow\";r=1;t=3"), "a problem says it, too, and rounds up");
    assert_eq!(told(&bench.post(INGEST, TRUCK).await), left_of_three("\"slow\";r=0;t=3"));
    bench.system.advance(Duration::from_millis(2_500));
    assert_eq!(told(&bench.post(INGEST, TRUCK).await), left_of_three("\"slow\";r=2;t=10"), "a new window");
}

#[tokio::test]
async fn a_stream_without_a_limit_says_nothing_of_one() {
    let bench = Bench::new();
    assert_eq!(told(&bench.post(EVENTS, TRUCK).await), (None, None));
    bench.declare(json!({"rate_limit": "gone"}));
    bench.system.advance(CONFIG_CACHE_TTL);
    assert_eq!(told(&bench.post(EVENTS, TRUCK).await), (None, None), "nor one whose limit is gone");
    assert!(bench.leases.calls().is_empty());
}

#[tokio::test]
async fn one_event_too_many_is_429_until_the_next_window() {
    for (path, good) in [(EVENTS, 200), (INGEST, 200), (DATA, 202)] {
        let bench = bench(3);
        for _ in 0..3 {
            assert_eq!(bench.post(path, TRUCK).await.status, good, "{path}");
        }
        bench.system.advance(Duration::from_millis(2_500));
        let answer = bench.post(path, TRUCK).await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("8")), "{path}");
        assert_eq!(told(&answer), left_of_three("\"slow\";r=0;t=8"), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.body["detail"], format!("{NO_ROOM}; nothing was accepted, send again what can be"));
        assert_eq!(answer.body["errors"], json!([{"pointer": "", "detail": NO_ROOM}]), "{path}");
        assert_eq!(bench.publisher.calls().len(), 3, "{path}");
        bench.system.advance(Duration::from_millis(7_500));
        assert_eq!(bench.post(path, TRUCK).await.status, good, "{path}");
    }
}

#[tokio::test]
async fn the_first_events_of_a_batch_are_taken_and_the_others_may_be_sent_again() {
    for path in ROUTES {
        let bench = bench(3);
        let answer = bench.post(path, &batch_of(5)).await;
        assert_eq!((answer.status, answer.header("retry-after")), (207, Some("10")), "{path}");
        assert_eq!(fates(&answer), ["accepted", "accepted", "accepted", "retry", "retry"], "{path}");
        assert_eq!(answer.body["results"][3]["errors"], json!([{"pointer": "/3", "detail": NO_ROOM}]), "{path}");
        assert_eq!(told(&answer), left_of_three("\"slow\";r=0;t=10"), "{path}");
        assert_eq!(bench.stored(RAW_STREAM).len(), 3, "{path}");
        let again = bench.post(path, &batch_of(2)).await;
        assert_eq!((again.status, fates(&again)), (429, vec!["retry", "retry"]), "{path}");
        assert_eq!(bench.leases.calls(), [5], "{path}: a window that is used up is not asked about");
    }
}

#[tokio::test]
async fn a_partial_batch_is_no_success_on_ingest() {
    let bench = bench(3);
    assert_eq!(bench.post(INGEST, &batch_of(4)).await.body["success"], false);
}

#[tokio::test]
async fn events_that_are_not_put_do_not_count() {
    let bench = bench(3);
    bench.declare(json!({"rate_limit": "slow", "event_id": "$.id"}));
    let answer = bench.post(EVENTS, r#"[7,{"id":"a"},"x",{"id":"a"},{"id":"b"},null]"#).await;
    assert_eq!(fates(&answer), ["dead_letter", "accepted", "dead_letter", "duplicate", "accepted", "dead_letter"]);
    assert_eq!(bench.leases.calls(), [2]);
    assert_eq!(told(&answer), left_of_three("\"slow\";r=1;t=10"));
    assert_eq!(bench.post(EVENTS, "[1,2]").await.status, 400);
    assert_eq!(bench.leases.calls(), [2], "and nothing is asked for nothing");
}

#[tokio::test]
async fn the_twin_of_an_event_that_has_no_room_has_none_either() {
    let bench = bench(1);
    bench.declare(json!({"rate_limit": "slow", "event_id": "$.id"}));
    let answer = bench.post(EVENTS, r#"[{"id":"a"},{"id":"b"},{"id":"b"},{"id":"a"}]"#).await;
    assert_eq!((answer.status, fates(&answer)), (207, vec!["accepted", "retry", "retry", "duplicate"]));
}

#[tokio::test]
async fn a_dry_run_takes_nothing() {
    let bench = bench(3);
    let path = format!("{EVENTS}?dry_run=true");
    let answer = bench.post(&path, &batch_of(5)).await;
    assert_eq!((answer.status, fates(&answer)), (200, vec!["accepted"; 5]));
    assert_eq!(told(&answer), left_of_three("\"slow\";r=3;t=10"));
    assert!(bench.leases.calls().is_empty() && bench.publisher.calls().is_empty());
    assert_eq!(bench.post(EVENTS, &batch_of(2)).await.status, 200);
    assert_eq!(told(&bench.post(&path, TRUCK).await), left_of_three("\"slow\";r=1;t=10"));
    assert_eq!(bench.leases.calls(), [2]);
}

#[tokio::test]
async fn a_store_that_is_away_lets_events_through_and_is_left_alone_for_a_while() {
    let bench = bench(3);
    bench.leases.fail_next(usize::MAX);
    let answer = bench.post(EVENTS, &batch_of(5)).await;
    assert_eq!((answer.status, fates(&answer)), (200, vec!["accepted"; 5]));
    assert_eq!(told(&answer), left_of_three("\"slow\";r=3;t=10"));
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200);
    assert_eq!(bench.leases.calls(), [5], "not asked again at once");
    bench.system.advance(Duration::from_secs(1));
    bench.leases.fail_next(0);
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200);
    assert_eq!(bench.leases.calls(), [5, 1]);
    assert_eq!(bench.stored(RAW_STREAM).len(), 7);
}

#[tokio::test]
async fn a_warm_request_asks_nothing_while_its_lease_lasts() {
    let bench = bench(1_000);
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200);
    assert_eq!(bench.aws_calls(), (2, 1, 1), "the stream and its limit");
    assert_eq!(bench.leases.calls(), [50], "a twentieth of the window");
    for _ in 1..50 {
        assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200);
    }
    assert_eq!((bench.aws_calls(), bench.leases.calls()), ((2, 50, 1), vec![50]));
    assert_eq!(bench.post(EVENTS, &batch_of(120)).await.status, 200);
    assert_eq!((bench.aws_calls(), bench.leases.calls()), ((2, 51, 1), vec![50, 120]), "one lease for a batch, however large");
}

#[tokio::test]
async fn instances_and_streams_share_a_limit() {
    let bench = bench(3);
    let other_instance = bench.instance_with(bench.publisher.clone());
    let mut other_stream = active_stream("bus-positions", "1", "waste");
    other_stream.document.input.rate_limit = Some("slow".parse().unwrap());
    bench.store.insert(other_stream);
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200);
    assert_eq!(bench.post("/ingest/bus-positions", TRUCK).await.status, 200);
    let answer = send(&other_instance, &bench.request(EVENTS, &batch_of(2))).await;
    assert_eq!((answer.status, fates(&answer)), (207, vec!["accepted", "retry"]));
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 429);
    let window = Window::around(bench.system.now(), Duration::from_secs(10));
    assert!(bench.leases.given("waste#slow", window) >= 3);
}

#[tokio::test]
async fn an_owners_limit_is_its_own() {
    let bench = bench(1);
    bench.store.insert_resource(resource("transport", ResourceKind::RateLimit, "slow", "local: {count: 1, interval: 10s}"));
    let mut foreign = active_stream("bus-positions", "1", "transport");
    foreign.document.input.rate_limit = Some("slow".parse().unwrap());
    bench.store.insert(foreign);
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200);
    let token = bench.issuer.token("transport", &[Scope::Ingest]);
    let request = event("POST", "/ingest/bus-positions", Some(&token), Some(TRUCK));
    assert_eq!(bench.send(&request).await.status, 200);
}

#[tokio::test]
async fn a_limit_that_has_no_room_gives_the_idempotency_key_back() {
    let bench = bench(1);
    let keyed = || with_header(bench.request(EVENTS, r#"{"time":"2018-02-07T01:26:13Z"}"#), "idempotency-key", "truck-17");
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200);
    assert_eq!(bench.send(&keyed()).await.status, 429);
    bench.system.advance(Duration::from_secs(10));
    let answer = bench.send(&keyed()).await;
    assert_eq!((answer.status, answer.header("idempotent-replayed")), (200, None));
}

#[tokio::test]
async fn a_throttling_kinesis_is_told_apart_from_the_limit() {
    let bench = with_limit(Bench::with_script(lasting(PutFault::Throttle)), 3);
    let answer = bench.post(EVENTS, TRUCK).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    assert_eq!(told(&answer), left_of_three("\"slow\";r=2;t=10"));
    assert_eq!(answer.body["errors"][0]["detail"], "the stream takes no more just now");
    assert_eq!(pointers(&answer.body["errors"]), [""]);
}
