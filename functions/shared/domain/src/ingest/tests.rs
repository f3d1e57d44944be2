//! The door, with everything behind it scripted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::dead_letter::{DeadLetter, DeadLetters};
use crate::duration_text::DurationText;
use crate::fakes::{
    FakeDeadLetters, FakeGates, FakePublisher, FakeRateLeases, FakeSystem, PutFault, active_stream, active_stream_without_raw, block_on,
};
use crate::input::{Format, OnInvalid};
use crate::json_text::TextFault;
use crate::outcome::{Outcome, RetryReason};
use crate::process::{Pipeline, RawRecord, Route};
use crate::publish::{Deadline, EventPublisher, PutResult, Record};
use crate::rate_lease::SharedRateLimiter;
use crate::record::StreamRecord;
use crate::resource_config::LocalRateLimit;
use crate::system::System;

pub(super) fn timed(format: TimestampFormat) -> Input {
    Input { timestamp: Some("$.time".parse().unwrap()), timestamp_format: format, ..Input::default() }
}

/// A stream that takes such events, and keeps none that is bad.
pub(super) fn stream(input: &Input, has_raw: bool) -> StreamRecord {
    let make = if has_raw { active_stream } else { active_stream_without_raw };
    let mut record = make("refuse-trucks", "1", "waste");
    record.document.input = Input { on_invalid: OnInvalid::Reject, ..input.clone() };
    record
}

fn form(record: &StreamRecord) -> Form {
    if record.document.input.format == Format::Xml { Form::Xml } else { Form::Json }
}

pub(super) fn accept(record: &StreamRecord, body: &[u8], publisher: &FakePublisher, letters: &FakeDeadLetters) -> Vec<Outcome> {
    let intake = Intake { record: record.clone(), rules: None, limit: None };
    outcomes(&accept_at(&intake, &split(body, form(record)).unwrap(), publisher, letters))
}

pub(super) fn outcomes(receipt: &Receipt) -> Vec<Outcome> {
    receipt.results.iter().map(|result| result.outcome.clone()).collect()
}

pub(super) fn accept_at(intake: &Intake, batch: &Batch<'_>, publisher: &dyn EventPublisher, letters: &dyn DeadLetters) -> Receipt {
    accept_as(intake, batch, publisher, letters, &limiter(), false)
}

fn accept_as(
    intake: &Intake,
    batch: &Batch<'_>,
    publisher: &dyn EventPublisher,
    dead_letters: &dyn DeadLetters,
    limiter: &SharedRateLimiter,
    is_dry_run: bool,
) -> Receipt {
    let system = FakeSystem::new();
    let deadline = deadline(&system);
    let door = Door { intake, publisher, dead_letters, limiter, system: &system, deadline, request_id: "request-1", is_dry_run };
    block_on(door.accept(batch))
}

fn limiter() -> SharedRateLimiter {
    SharedRateLimiter::new(Arc::new(FakeRateLeases::default()))
}

fn check(event: &str, input: &Input) -> Result<(), EventFault> {
    check_form(Event::Json(event), input)?;
    input.timestamp.as_ref().map_or(Ok(()), |path| check_timestamp(event, path, input.timestamp_format))
}

pub(super) fn accept_text(body: &str, input: &Input, publisher: &FakePublisher) -> Vec<Outcome> {
    accept(&stream(input, true), body.as_bytes(), publisher, &FakeDeadLetters::default())
}

fn deadline(system: &FakeSystem) -> Deadline {
    Deadline::before_invocation_end(system.now() + std::time::Duration::from_secs(30))
}

/// What reaches the processed stream by way of the raw one.
pub(super) fn processed(raw: &[String], letters: &FakeDeadLetters) -> Vec<String> {
    let (publisher, system) = (FakePublisher::default(), FakeSystem::new());
    let record = |data| RawRecord { data, partition_key: "key", sequence_number: "1", arrived_at: system.now() };
    let records: Vec<RawRecord<'_>> = raw.iter().map(|data| record(data.as_bytes())).collect();
    let gates = FakeGates::default();
    let gatekeeper = gates.keeper();
    let pipeline = Pipeline { processors: None, gatekeeper, publisher: &publisher, dead_letters: letters, system: &system };
    let route = Route { timestamp: None, ..active_stream("refuse-trucks", "1", "waste").route() };
    let report = block_on(pipeline.process_batch(&route, &records, "request-1", deadline(&system)));
    assert_eq!(report.resume_at, None);
    publisher.stored(&route.processed_stream).into_iter().map(|(data, _)| data).collect()
}

#[test]
fn a_bad_event_is_rejected_and_its_neighbours_are_not() {
    let publisher = FakePublisher::default();
    let outcomes =
        accept_text(r#"[{"a":1}, 5, {"b":2}, null, "x", ["{\"lone\":\"\ud800\"}"], {"c":"\ud800"}]"#, &Input::default(), &publisher);
    assert_eq!(
        outcomes,
        [
            Outcome::Accepted,
            Outcome::Rejected(EventFault::NotAnObject("a number")),
            Outcome::Accepted,
            Outcome::Rejected(EventFault::NotAnObject("null")),
            Outcome::Rejected(EventFault::NotAnObject("a string")),
            Outcome::Rejected(EventFault::NotAnObject("an array")),
            Outcome::Rejected(EventFault::Text(TextFault::LoneSurrogate)),
        ]
    );
    assert_eq!(publisher.calls(), [[r#"{"a":1}"#, r#"{"b":2}"#]]);
}

#[test]
fn a_bad_event_becomes_a_dead_letter_when_the_document_says_so() {
    let (publisher, letters) = (FakePublisher::default(), FakeDeadLetters::failing(1));
    let mut record = stream(&Input { max_event_bytes: 20, ..timed(TimestampFormat::Rfc3339) }, true);
    record.document.input.on_invalid = OnInvalid::DeadLetter;
    let body = br#"[{"time":"soon"}, 5, {"time":"2026-01-01T00:00:00Z"}]"#;
    let bad = || EventFault::NotAnObject("a number");
    let outcomes = accept(&record, body, &publisher, &letters);
    assert!(matches!(outcomes[..], [Outcome::Retry(_), Outcome::Retry(_), Outcome::Rejected(EventFault::TooLarge { .. })]), "{outcomes:?}");
    let outcomes = accept(&record, body, &publisher, &letters);
    assert!(matches!(&outcomes[..2], [Outcome::DeadLetter(EventFault::Timestamp { .. }), second] if *second == Outcome::DeadLetter(bad())));
    let kept = letters.stored(&record.resources.dead_letter_stream);
    assert_eq!(
        (kept.len(), kept[1].source.as_str(), kept[1].reason.code.as_str(), kept[1].original_base64.as_str()),
        (2, "ingest", "not_an_object", "NQ==")
    );
    assert_eq!((kept[0].stream.as_str(), kept[0].request_id.as_str()), ("refuse-trucks/1", "request-1"));
    assert_ne!(kept[0].id, kept[1].id);
    // No letter can hold it.
    let huge = format!("[{:?}]", "x".repeat(crate::limits::MAX_EVENT_BYTES as usize));
    assert_eq!(accept(&record, huge.as_bytes(), &publisher, &letters), [Outcome::Rejected(EventFault::NotAnObject("a string"))]);
}

/// Takes its time, and says no.
struct SlowLetters<'s>(&'s FakeSystem);

#[async_trait::async_trait]
impl DeadLetters for SlowLetters<'_> {
    async fn put(&self, _stream: &str, _letters: &[DeadLetter], _deadline: Deadline) -> Result<(), RetryReason> {
        self.0.advance(std::time::Duration::from_secs(60));
        Err(RetryReason::Unavailable)
    }
}

#[test]
fn a_place_for_letters_that_is_away_holds_no_good_event_up() {
    let (publisher, system) = (FakePublisher::default(), FakeSystem::new());
    let mut record = stream(&Input::default(), true);
    record.document.input.on_invalid = OnInvalid::DeadLetter;
    let intake = Intake { record, rules: None, limit: None };
    let body = format!("[5{}]", ",{}".repeat(1_200));
    let (letters, deadline, limiter) = (SlowLetters(&system), deadline(&system), limiter());
    let door = Door {
        intake: &intake,
        publisher: &publisher,
        dead_letters: &letters,
        limiter: &limiter,
        system: &system,
        deadline,
        request_id: "request-1",
        is_dry_run: false,
    };
    let outcomes = outcomes(&block_on(door.accept(&split(body.as_bytes(), Form::Json).unwrap())));
    assert_eq!(outcomes[0], Outcome::Retry(RetryReason::Unavailable));
    assert!(outcomes[1..].iter().all(|outcome| *outcome == Outcome::Accepted));
}

#[test]
fn a_document_is_put_as_it_came_up_to_the_limit() {
    let publisher = FakePublisher::default();
    let record = stream(&Input { format: Format::Xml, max_event_bytes: 6, ..Input::default() }, true);
    let outcomes = |body: &[u8]| accept(&record, body, &publisher, &FakeDeadLetters::default());
    assert_eq!(outcomes(b" <a/>\n"), [Outcome::Accepted]);
    assert_eq!(outcomes(b" <a/> \n"), [Outcome::Rejected(EventFault::TooLarge { limit: 6, got: 7 })]);
    assert_eq!(publisher.calls(), [[" <a/>\n"]]);
}

#[test]
fn a_stream_without_a_raw_one_takes_events_at_its_processed_one() {
    let raw = active_stream("refuse-trucks", "1", "waste");
    assert_eq!(raw.entrance(), Entrance::Raw("dp.green.refuse-trucks.raw.1.json"));
    let without = active_stream_without_raw("refuse-trucks", "1", "waste");
    assert_eq!(without.entrance(), Entrance::Processed("dp.green.refuse-trucks.processed.1.json"));
}

#[test]
fn the_size_limit_is_that_of_the_events_own_bytes_at_every_entrance() {
    let input = Input { max_event_bytes: 9, ..Input::default() };
    for has_raw in [true, false] {
        let body = br#"[{ "a": 12}, {"a":12 }, {"a":123}]"#;
        let outcomes = accept(&stream(&input, has_raw), body, &FakePublisher::default(), &FakeDeadLetters::default());
        let too_large = Outcome::Rejected(EventFault::TooLarge { limit: 9, got: 10 });
        assert_eq!(outcomes, [too_large.clone(), Outcome::Accepted, Outcome::Accepted], "{has_raw}");
    }
}

#[test]
fn the_size_limit_holds_to_the_byte() {
    let of = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    let input = Input { max_event_bytes: 100, ..Input::default() };
    assert_eq!(check(&of(100), &input), Ok(()));
    assert_eq!(check(&of(101), &input), Err(EventFault::TooLarge { limit: 100, got: 101 }));
}

#[test]
fn an_event_without_a_readable_time_is_rejected_when_the_stream_has_a_timestamp() {
    let rfc3339 = timed(TimestampFormat::Rfc3339);
    for good in [r#"{"time":"2018-02-07T01:26:13.840Z"}"#, r#"{"time":"2018-02-07T01:26:13+01:00"}"#] {
        assert_eq!(check(good, &rfc3339), Ok(()), "{good}");
    }
    for bad in ["{}", r#"{"time":1517966773}"#, r#"{"time":null}"#, r#"{"time":"2018-02-31T00:00:00Z"}"#, r#"{"time":"2018-02-07"}"#] {
        assert!(matches!(check(bad, &rfc3339), Err(EventFault::Timestamp { .. })), "{bad}");
    }
    let epoch = timed(TimestampFormat::EpochSeconds);
    for good in [r#"{"time":1517966773}"#, r#"{"time":1517966773.84}"#, r#"{"time":0}"#] {
        assert_eq!(check(good, &epoch), Ok(()), "{good}");
    }
    for bad in [r#"{"time":"1517966773"}"#, r#"{"time":-1}"#, r#"{"time":1517966773840000}"#, "{}"] {
        assert!(matches!(check(bad, &epoch), Err(EventFault::Timestamp { .. })), "{bad}");
    }
    let message = check("{}", &rfc3339).unwrap_err();
    assert_eq!(message.to_string(), "field $.time is missing; expected an RFC 3339 time");
    assert_eq!(message.details()[0].pointer, "/time");
}

/// Names an event by `id`, decides its shard by `n`, and finds fault with `bad`.
pub(super) struct TestRules;

impl EventRules for TestRules {
    fn read(&self, event: Event<'_>) -> EventReading {
        let value: serde_json::Value = serde_json::from_slice(event.bytes()).unwrap();
        let faults = value.get("bad").map(|_| RuleFault { pointer: "/bad".into(), detail: "expected nothing".into() });
        EventReading {
            faults: faults.into_iter().collect(),
            partition_key: value["n"].as_u64().map(|n| n.to_string()),
            id: value["id"].as_str().map(str::to_owned),
        }
    }
}

fn ruled() -> Intake {
    Intake { record: stream(&Input::default(), true), rules: Some(Arc::new(TestRules)), limit: None }
}

#[test]
fn an_event_of_the_same_id_is_put_once_and_shares_the_fate_of_the_first() {
    let body = br#"[{"id":"a","n":7},{"id":"b"},{"id":"a","n":8},{"id":"","n":9}]"#;
    let batch = split(body, Form::Json).unwrap();
    let publisher = FakePublisher::default();
    let receipt = accept_at(&ruled(), &batch, &publisher, &FakeDeadLetters::default());
    assert_eq!(outcomes(&receipt), [Outcome::Accepted, Outcome::Accepted, Outcome::Duplicate, Outcome::Accepted]);
    let ids: Vec<Option<&str>> = receipt.results.iter().map(|result| result.id.as_deref()).collect();
    assert_eq!(ids, [Some("a"), Some("b"), Some("a"), None]);
    let stored = publisher.stored("dp.green.refuse-trucks.raw.1.json");
    assert_eq!(
        stored.iter().map(|(data, _)| data.as_str()).collect::<Vec<_>>(),
        [r#"{"id":"a","n":7}"#, r#"{"id":"b"}"#, r#"{"id":"","n":9}"#]
    );
    assert_eq!((stored[0].1.as_str(), stored[1].1.len(), stored[2].1.as_str()), ("7", 16, "9"), "or a random key");

    let throttled = FakePublisher::with_script(vec![PutFault::Throttle; 9]);
    let receipt = accept_at(&ruled(), &batch, &throttled, &FakeDeadLetters::default());
    assert_eq!(outcomes(&receipt), vec![Outcome::Retry(RetryReason::Throttled); 4]);
}

#[test]
fn every_fault_of_an_event_is_told_its_time_among_them() {
    let mut intake = ruled();
    intake.record.document.input = Input { on_invalid: OnInvalid::Reject, ..timed(TimestampFormat::Rfc3339) };
    let receipt = accept_at(&intake, &split(br#"{"bad":1}"#, Form::Json).unwrap(), &FakePublisher::default(), &FakeDeadLetters::default());
    let [Outcome::Rejected(fault)] = &outcomes(&receipt)[..] else { panic!("{receipt:?}") };
    assert_eq!(fault.code(), "schema");
    assert_eq!(fault.to_string(), "/bad: expected nothing; /time: field $.time is missing; expected an RFC 3339 time");
}

#[test]
fn a_rate_limit_lets_the_first_good_events_in_and_a_dry_run_takes_nothing_of_it() {
    let mut intake = ruled();
    let limit = LocalRateLimit { count: 3, interval: DurationText::of_seconds(60) };
    intake.limit = Some(InputLimit { name: "waste#slow".into(), id: "slow".parse().unwrap(), limit });
    let limiter = limiter();
    let accept = |is_dry_run| {
        let (publisher, letters) = (FakePublisher::default(), FakeDeadLetters::default());
        let receipt =
            accept_as(&intake, &split(br#"[{},5,{},{"bad":1}]"#, Form::Json).unwrap(), &publisher, &letters, &limiter, is_dry_run);
        let codes = receipt.results.iter().map(|result| match &result.outcome {
            Outcome::Accepted => "accepted",
            Outcome::Rejected(_) => "rejected",
            Outcome::RateLimited => "limited",
            other => panic!("{other:?}"),
        });
        (codes.collect::<Vec<_>>(), receipt.quota.unwrap().remaining, publisher.calls().len())
    };
    assert_eq!(accept(true), (vec!["accepted", "rejected", "accepted", "rejected"], 3, 0));
    assert_eq!(accept(false), (vec!["accepted", "rejected", "accepted", "rejected"], 1, 1));
    assert_eq!(accept(false), (vec!["accepted", "rejected", "limited", "rejected"], 0, 1));
    assert_eq!(accept(false), (vec!["limited", "rejected", "limited", "rejected"], 0, 0), "no call for nothing");
}

#[test]
fn calls_go_at_once_unless_a_key_needs_its_order() {
    let body = format!("[{}]", vec!["{}"; 1_200].join(","));
    let batch = split(body.as_bytes(), Form::Json).unwrap();
    for (partition_key, most) in [(None, 3), (Some(serde_json::from_value(serde_json::json!("$.n")).unwrap()), 1)] {
        let publisher = CountingPublisher::default();
        let intake = Intake { record: stream(&Input { partition_key, ..Input::default() }, true), rules: None, limit: None };
        let receipt = accept_at(&intake, &batch, &publisher, &FakeDeadLetters::default());
        assert!(outcomes(&receipt).iter().all(|outcome| *outcome == Outcome::Accepted));
        assert_eq!(publisher.most.load(Ordering::Relaxed), most);
    }
}

/// Lets other futures go on.
async fn yield_once() {
    let mut has_yielded = false;
    std::future::poll_fn(move |context| {
        if std::mem::replace(&mut has_yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Knows how many calls there were at once at most.
#[derive(Default)]
struct CountingPublisher {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait::async_trait]
impl EventPublisher for CountingPublisher {
    async fn put(&self, _stream: &str, records: &[Record<'_>]) -> Result<Vec<PutResult>, RetryReason> {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        yield_once().await;
        self.now.fetch_sub(1, Ordering::Relaxed);
        Ok(vec![Ok(()); records.len()])
    }
}
