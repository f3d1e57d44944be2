//! Requests that are sent again under one `Idempotency-Key`.

use std::sync::Arc;
use std::time::Duration;

use domain::access::Scope;
use domain::fakes::{FakePublisher, KeyCall, KeyFault, PutFault, active_stream};
use domain::idempotency::ANSWER_KEPT_FOR;
use domain::limits::IDEMPOTENCY_CLAIM_TIME;
use domain::outcome::RetryReason;
use domain::publish::{EventPublisher, PutResult, Record};
use http_edge::testing::{Answer, event, send};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::bench::{Bench, BrokenPublisher, DATA, EVENTS, INGEST, INGEST_VERSION, RAW_STREAM, TRUCK, fates, lasting, with_header};

const KEY: &str = "truck-17/2018-02-07";
const NO_TIME: &str = r#"{"truck":"rubbish 18"}"#;

fn keyed(request: Value, key: &str) -> Value {
    with_header(request, "idempotency-key", key)
}

/// Posts a body under the key.
async fn post(bench: &Bench, path: &str, body: &str) -> Answer {
    bench.send(&keyed(bench.request(path, body), KEY)).await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

/// Checks that an answer is the first one, given again.
fn assert_again(again: &Answer, first: &Answer) {
    assert!(!is_replayed(first) && is_replayed(again), "{}", again.body);
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    for name in ["content-type", "retry-after"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"), "each request has an id of its own");
}

#[tokio::test]
async fn the_same_request_is_answered_the_same_on_every_route_and_put_once() {
    for (path, status) in [(EVENTS, 200), (INGEST, 200), (INGEST_VERSION, 200), (DATA, 202)] {
        let bench = Bench::new();
        let first = post(&bench, path, TRUCK).await;
        assert_eq!(first.status, status, "{path}");
        assert_again(&post(&bench, path, TRUCK).await, &first);
        assert_again(&post(&bench, path, TRUCK).await, &first);
        assert_eq!(bench.stored(RAW_STREAM), [TRUCK], "{path}");
        assert_eq!(bench.answers.calls(), [KeyCall::Claim, KeyCall::Keep, KeyCall::Claim, KeyCall::Claim], "{path}");
    }
}

#[tokio::test]
async fn a_request_without_a_key_costs_nothing_and_is_put_every_time() {
    let bench = Bench::new();
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200);
    assert_eq!(bench.post(EVENTS, TRUCK).await.status, 200);
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK, TRUCK]);
    assert!(bench.answers.calls().is_empty());
}

#[tokio::test]
async fn a_key_that_was_used_for_another_request_is_422() {
    let bench = Bench::new();
    assert_eq!(post(&bench, EVENTS, TRUCK).await.status, 200);
    let others =
        [(EVENTS, format!("{TRUCK} ")), (EVENTS, format!("[{TRUCK}]")), (INGEST_VERSION, TRUCK.to_owned()), (DATA, TRUCK.to_owned())];
    for (path, body) in others {
        let answer = post(&bench, path, &body).await;
        assert_eq!((answer.status, answer.header("retry-after")), (422, None), "{path} {body}");
        let detail = "this Idempotency-Key was used for another request; expected the same body, or a new key";
        assert_eq!(answer.body["detail"], detail);
    }
    let lines = with_header(keyed(bench.request(EVENTS, TRUCK), KEY), "content-type", "application/x-ndjson");
    assert_eq!(bench.send(&lines).await.status, 422, "the same bytes, and something else");
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK]);
}

#[tokio::test]
async fn a_key_is_a_streams_own() {
    let bench = Bench::new();
    bench.store.insert(active_stream("refuse-trucks", "2", "waste"));
    bench.store.insert(active_stream("bus-positions", "1", "waste"));
    for path in [EVENTS, "/streams/refuse-trucks/2/events", "/streams/bus-positions/1/events"] {
        let answer = post(&bench, path, TRUCK).await;
        assert_eq!((answer.status, is_replayed(&answer)), (200, false), "{path}");
    }
    assert_eq!((bench.publisher.calls().len(), bench.answers.count()), (3, 3));
}

#[tokio::test]
async fn a_key_is_the_same_with_and_without_quotes() {
    let bench = Bench::new();
    assert_eq!(bench.send(&keyed(bench.request(EVENTS, TRUCK), "\"a-1\"")).await.status, 200);
    assert!(is_replayed(&bench.send(&keyed(bench.request(EVENTS, TRUCK), "a-1")).await));
}

#[tokio::test]
async fn a_header_that_is_no_key_is_400_and_nothing_is_put() {
    let bench = Bench::new();
    let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
    for key in ["", "\"\"", "two words", "a\"b", "a\\b", "\"a", "\u{d8}", too_long.as_str()] {
        let answer = bench.send(&keyed(bench.request(EVENTS, TRUCK), key)).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["pointer"]), (400, &json!("/Idempotency-Key")), "{key:?}");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.starts_with("Idempotency-Key: expected 1 to 255 visible ASCII characters"), "{key:?}: {detail}");
    }
    assert!(bench.publisher.calls().is_empty() && bench.answers.calls().is_empty());
    assert_eq!(bench.send(&keyed(bench.request(EVENTS, TRUCK), &longest)).await.status, 200);
}

/// Takes events only when it is told to.
#[derive(Default)]
struct GatedPublisher {
    behind: FakePublisher,
    reached: Notify,
    opened: Notify,
}

#[async_trait::async_trait]
impl EventPublisher for GatedPublisher {
    async fn put(&self, stream: &str, records: &[Record<'_>]) -> Result<Vec<PutResult>, RetryReason> {
        self.reached.notify_one();
        self.opened.notified().await;
        self.behind.put(stream, records).await
    }
}

#[tokio::test]
async fn a_request_that_is_still_being_worked_on_is_409_and_answered_later() {
    let bench = Bench::new();
    let gate = Arc::new(GatedPublisher::default());
    let instance = bench.instance_with(gate.clone());
    let request = keyed(bench.request(EVENTS, TRUCK), KEY);
    let meanwhile = async {
        gate.reached.notified().await;
        let answer = send(&instance, &request).await;
        gate.opened.notify_one();
        answer
    };
    let (first, second) = tokio::join!(send(&instance, &request), meanwhile);
    assert_eq!((second.status, second.header("retry-after")), (409, Some("1")));
    assert_eq!(second.body["detail"], "a request with this Idempotency-Key is still being worked on");
    assert_eq!(first.status, 200);
    assert_again(&send(&instance, &request).await, &first);
    assert_eq!(gate.behind.calls().len(), 1);
}

#[tokio::test]
async fn what_comes_to_nothing_gives_the_key_back() {
    for (fault, status) in [(PutFault::Throttle, 429), (PutFault::Unavailable, 503), (PutFault::TimeoutAfterWrite, 504)] {
        for (path, good) in [(EVENTS, 200), (DATA, 202)] {
            let bench = Bench::with_script(lasting(fault.clone()));
            let refused = post(&bench, path, TRUCK).await;
            assert_eq!((refused.status, refused.header("retry-after")), (status, Some("1")), "{path} {fault:?}");
            assert_eq!(bench.answers.calls(), [KeyCall::Claim, KeyCall::Release], "{path} {fault:?}");
            assert_eq!(bench.answers.count(), 0);
            let answer = post(&bench, path, TRUCK).await;
            assert_eq!((answer.status, is_replayed(&answer)), (good, false), "{path} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_given_back_changes_no_answer() {
    let bench = Bench::with_script(lasting(PutFault::Throttle));
    bench.answers.follow([KeyFault::Ok, KeyFault::Fail]);
    assert_eq!(post(&bench, EVENTS, TRUCK).await.status, 429);
    assert_eq!(post(&bench, EVENTS, TRUCK).await.status, 409, "until the claim has run out");
    bench.system.advance(IDEMPOTENCY_CLAIM_TIME);
    assert_eq!(post(&bench, EVENTS, TRUCK).await.status, 200);
}

#[tokio::test]
async fn without_the_store_of_keys_nothing_is_put_or_kept() {
    let bench = Bench::new();
    for body in [TRUCK, NO_TIME] {
        bench.answers.follow([KeyFault::Fail]);
        let answer = post(&bench, EVENTS, body).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        assert!(!answer.body.to_string().contains("scripted"), "its reason stays inside");
    }
    assert!(bench.publisher.calls().is_empty() && bench.kept_letters().is_empty());
    assert_eq!(post(&bench, EVENTS, TRUCK).await.status, 200);
}

#[tokio::test]
async fn an_answer_that_cannot_be_kept_is_given_all_the_same() {
    let bench = Bench::new();
    bench.answers.follow([KeyFault::Ok, KeyFault::Fail]);
    let first = post(&bench, EVENTS, TRUCK).await;
    assert_eq!((first.status, fates(&first)), (200, vec!["accepted"]));
    assert_eq!(post(&bench, EVENTS, TRUCK).await.status, 409, "until the claim has run out");
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK]);
}

#[tokio::test]
async fn an_answer_that_was_kept_unheard_is_given_again() {
    let bench = Bench::new();
    bench.answers.follow([KeyFault::Ok, KeyFault::FailAfterWrite]);
    let first = post(&bench, EVENTS, TRUCK).await;
    assert_eq!(first.status, 200);
    assert_again(&post(&bench, EVENTS, TRUCK).await, &first);
}

#[tokio::test]
async fn a_bug_keeps_the_key_until_its_claim_has_run_out() {
    let bench = Bench::new();
    let broken = bench.instance_with(Arc::new(BrokenPublisher));
    assert_eq!(send(&broken, &keyed(bench.request(EVENTS, TRUCK), KEY)).await.status, 500);
    bench.system.advance(IDEMPOTENCY_CLAIM_TIME - Duration::from_millis(1));
    assert_eq!(post(&bench, EVENTS, TRUCK).await.status, 409);
    bench.system.advance(Duration::from_millis(1));
    assert_eq!(post(&bench, EVENTS, TRUCK).await.status, 200);
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day() {
    let bench = Bench::new();
    // A token lives a day as well.
    let request_now = |body: &'static str| {
        let token = bench.issuer.sign(&bench.issuer.claims("waste", &[Scope::Ingest], &*bench.system));
        keyed(event("POST", EVENTS, Some(&token), Some(body)), KEY)
    };
    let first = bench.send(&request_now(TRUCK)).await;
    bench.system.advance(ANSWER_KEPT_FOR - Duration::from_secs(1));
    assert_again(&bench.send(&request_now(TRUCK)).await, &first);
    bench.system.advance(Duration::from_secs(1));
    let other = bench.send(&request_now("[]")).await;
    assert_eq!((other.status, is_replayed(&other)), (200, false), "the key is anybody's again");
}

#[tokio::test]
async fn a_dry_run_leaves_the_key_alone() {
    let bench = Bench::new();
    let path = format!("{EVENTS}?dry_run=true");
    assert_eq!(post(&bench, &path, TRUCK).await.status, 200);
    assert!(bench.answers.calls().is_empty());
    let first = post(&bench, EVENTS, TRUCK).await;
    assert_eq!((first.status, is_replayed(&first)), (200, false));
    let dry = post(&bench, &path, "[]").await;
    assert_eq!((dry.status, &dry.body["dry_run"]), (200, &json!(true)), "another body, too");
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK]);
}

#[tokio::test]
async fn a_problem_with_dead_letters_is_given_again_and_no_letter_is_written_twice() {
    for (body, path) in [(NO_TIME, EVENTS), (NO_TIME, DATA), ("[7,{}]", INGEST)] {
        let bench = Bench::new();
        let first = post(&bench, path, body).await;
        assert_eq!((first.status, first.header("content-type")), (400, Some("application/problem+json")), "{path}");
        let letters = bench.kept_letters();
        assert!(!letters.is_empty(), "{path}");
        assert_again(&post(&bench, path, body).await, &first);
        assert_eq!(bench.kept_letters(), letters, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_uses_up_no_key() {
    let bench = Bench::new();
    assert_eq!(post(&bench, EVENTS, "not json").await.status, 400);
    assert!(bench.answers.calls().is_empty());
    assert_eq!(post(&bench, EVENTS, TRUCK).await.status, 200);
}

#[tokio::test]
async fn a_batch_that_was_partly_taken_is_answered_the_same_again() {
    let script = [PutFault::PartialFailure(vec![1])].into_iter().chain(vec![PutFault::PartialFailure(vec![0]); 4]);
    let bench = Bench::with_script(script);
    let batch = format!("[{TRUCK},{TRUCK},{NO_TIME}]");
    let first = post(&bench, EVENTS, &batch).await;
    assert_eq!((first.status, first.header("retry-after")), (207, Some("1")));
    assert_eq!(fates(&first), ["accepted", "retry", "dead_letter"]);
    let puts = bench.publisher.calls().len();
    assert_again(&post(&bench, EVENTS, &batch).await, &first);
    assert_eq!((bench.publisher.calls().len(), bench.kept_letters().len()), (puts, 1));
}
