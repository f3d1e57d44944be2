//! The way of an event from a request's body to its stream.

mod body;
mod door;

use std::borrow::Cow;

use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::field_path::FieldPath;
use crate::input::{Input, TimestampFormat};
use crate::json_text;
use crate::outcome::EventFault;

pub use body::{Batch, BodyFault, Event, split};
pub use door::Door;

/// Where a stream takes its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance<'s> {
    /// The raw Kinesis stream, as they come.
    Raw(&'s str),
    /// The processed Kinesis stream, as a pipeline without processors would have written them.
    Processed(&'s str),
}

impl<'s> Entrance<'s> {
    fn stream(self) -> &'s str {
        match self {
            Entrance::Raw(stream) | Entrance::Processed(stream) => stream,
        }
    }

    /// What is written of an event that was found good.
    fn data(self, event: Event<'_>) -> Cow<'_, [u8]> {
        match (self, event) {
            (Entrance::Processed(_), Event::Json(text)) => json_text::line(text).into(),
            // No stream has a document at its processed entrance: XML needs a pipeline.
            (Entrance::Raw(_), _) | (Entrance::Processed(_), Event::Xml(_)) => event.bytes().into(),
        }
    }
}

/// Decides whether a stream takes an event.
///
/// # Errors
/// The first fault found.
pub fn check_event(event: Event<'_>, input: &Input) -> Result<(), EventFault> {
    match event {
        Event::Json(text) => check_json(text, input),
        Event::Xml(document) => check_size(document.len(), input),
    }
}

fn check_json(event: &str, input: &Input) -> Result<(), EventFault> {
    if let Some(kind) = kind_unless_object(event) {
        return Err(EventFault::NotAnObject(kind));
    }
    check_size(event.len(), input)?;
    json_text::check(event)?;
    match &input.timestamp {
        Some(path) => check_timestamp(event, path, input.timestamp_format),
        None => Ok(()),
    }
}

fn check_size(bytes: usize, input: &Input) -> Result<(), EventFault> {
    if bytes > input.max_event_bytes as usize { Err(EventFault::TooLarge { limit: input.max_event_bytes, got: bytes }) } else { Ok(()) }
}

fn kind_unless_object(event: &str) -> Option<&'static str> {
    match event.as_bytes().first() {
        Some(b'{') => None,
        Some(b'[') => Some("an array"),
        Some(b'"') => Some("a string"),
        Some(b't' | b'f') => Some("a boolean"),
        Some(b'n') => Some("null"),
        _ => Some("a number"),
    }
}

/// Checks that an event carries its time where it should.
///
/// # Errors
/// It is missing, or written otherwise.
pub(crate) fn check_timestamp(event: &str, path: &FieldPath, format: TimestampFormat) -> Result<(), EventFault> {
    let fault = |missing| EventFault::Timestamp { path: path.clone(), format, missing };
    let found = path.find(event).ok_or_else(|| fault(true))?;
    match event_time(found, format) {
        Some(_) => Ok(()),
        None => Err(fault(false)),
    }
}

/// Reads an event's time from its field.
pub fn event_time(field: &RawValue, format: TimestampFormat) -> Option<OffsetDateTime> {
    match format {
        TimestampFormat::Rfc3339 => {
            let text: Cow<'_, str> = serde_json::from_str(field.get()).ok()?;
            OffsetDateTime::parse(&text, &Rfc3339).ok()
        }
        TimestampFormat::EpochSeconds => {
            let seconds: f64 = serde_json::from_str(field.get()).ok()?;
            // Four-digit years only, as in RFC 3339.
            let is_in_range = (0.0..253_402_300_800.0).contains(&seconds);
            is_in_range.then(|| OffsetDateTime::from_unix_timestamp_nanos((seconds * 1e9) as i128).ok()).flatten()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::{DeadLetter, DeadLetters};
    use crate::fakes::{
        FakeDeadLetters, FakeGates, FakePublisher, FakeSystem, PutFault, active_stream, active_stream_without_raw, block_on,
    };
    use crate::input::{Format, OnInvalid};
    use crate::json_text::TextFault;
    use crate::outcome::{Outcome, RetryReason};
    use crate::process::{Pipeline, RawRecord, Route};
    use crate::publish::Deadline;
    use crate::record::StreamRecord;
    use crate::system::System;
    use proptest::prelude::*;

    fn timed(format: TimestampFormat) -> Input {
        Input { timestamp: Some("$.time".parse().unwrap()), timestamp_format: format, ..Input::default() }
    }

    /// A stream that takes such events, and keeps none that is bad.
    fn stream(input: &Input, has_raw: bool) -> StreamRecord {
        let make = if has_raw { active_stream } else { active_stream_without_raw };
        let mut record = make("refuse-trucks", "1", "waste");
        record.document.input = Input { on_invalid: OnInvalid::Reject, ..input.clone() };
        record
    }

    fn accept(record: &StreamRecord, body: &[u8], publisher: &FakePublisher, letters: &FakeDeadLetters) -> Vec<Outcome> {
        let system = FakeSystem::new();
        let deadline = deadline(&system);
        let door = Door { record, publisher, dead_letters: letters, system: &system, deadline, request_id: "request-1" };
        block_on(door.accept(&split(body, record.document.input.format).unwrap()))
    }

    fn accept_text(body: &str, input: &Input, publisher: &FakePublisher) -> Vec<Outcome> {
        accept(&stream(input, true), body.as_bytes(), publisher, &FakeDeadLetters::default())
    }

    fn deadline(system: &FakeSystem) -> Deadline {
        Deadline::before_invocation_end(system.now() + std::time::Duration::from_secs(30))
    }

    /// What reaches the processed stream by way of the raw one.
    fn processed(raw: &[String], letters: &FakeDeadLetters) -> Vec<String> {
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
        assert!(
            matches!(outcomes[..], [Outcome::Retry(_), Outcome::Retry(_), Outcome::Rejected(EventFault::TooLarge { .. })]),
            "{outcomes:?}"
        );
        let outcomes = accept(&record, body, &publisher, &letters);
        assert!(
            matches!(&outcomes[..2], [Outcome::DeadLetter(EventFault::Timestamp { .. }), second] if *second == Outcome::DeadLetter(bad()))
        );
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
        let body = format!("[5{}]", ",{}".repeat(1_200));
        let (letters, deadline) = (SlowLetters(&system), deadline(&system));
        let door =
            Door { record: &record, publisher: &publisher, dead_letters: &letters, system: &system, deadline, request_id: "request-1" };
        let outcomes = block_on(door.accept(&split(body.as_bytes(), Format::Json).unwrap()));
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
        assert_eq!(check_json(&of(100), &input), Ok(()));
        assert_eq!(check_json(&of(101), &input), Err(EventFault::TooLarge { limit: 100, got: 101 }));
    }

    #[test]
    fn an_event_without_a_readable_time_is_rejected_when_the_stream_has_a_timestamp() {
        let rfc3339 = timed(TimestampFormat::Rfc3339);
        for good in [r#"{"time":"2018-02-07T01:26:13.840Z"}"#, r#"{"time":"2018-02-07T01:26:13+01:00"}"#] {
            assert_eq!(check_json(good, &rfc3339), Ok(()), "{good}");
        }
        for bad in ["{}", r#"{"time":1517966773}"#, r#"{"time":null}"#, r#"{"time":"2018-02-31T00:00:00Z"}"#, r#"{"time":"2018-02-07"}"#] {
            assert!(matches!(check_json(bad, &rfc3339), Err(EventFault::Timestamp { .. })), "{bad}");
        }
        let epoch = timed(TimestampFormat::EpochSeconds);
        for good in [r#"{"time":1517966773}"#, r#"{"time":1517966773.84}"#, r#"{"time":0}"#] {
            assert_eq!(check_json(good, &epoch), Ok(()), "{good}");
        }
        for bad in [r#"{"time":"1517966773"}"#, r#"{"time":-1}"#, r#"{"time":1517966773840000}"#, "{}"] {
            assert!(matches!(check_json(bad, &epoch), Err(EventFault::Timestamp { .. })), "{bad}");
        }
        let message = check_json("{}", &rfc3339).unwrap_err();
        assert_eq!(message.to_string(), "field $.time is missing; expected an RFC 3339 time");
        assert_eq!(message.pointer(), "/time");
    }

    proptest! {
        /// Whatever Kinesis does, outcomes keep order and count, and what was accepted is stored once acknowledged.
        #[test]
        fn outcomes_keep_order_and_count_under_any_faults(
            kinds in prop::collection::vec(any::<bool>(), 0..1_200),
            script in prop::collection::vec(PutFault::any(), 0..12),
        ) {
            let events: Vec<String> = kinds.iter().enumerate().map(|(n, good)| if *good { format!("{{\"n\":{n}}}") } else { n.to_string() }).collect();
            let publisher = FakePublisher::with_script(script);
            let outcomes = accept_text(&format!("[{}]", events.join(",")), &Input::default(), &publisher);
            prop_assert_eq!(outcomes.len(), events.len());
            let stored: std::collections::HashSet<String> = publisher.stored("dp.green.refuse-trucks.raw.1.json").into_iter().map(|(data, _)| data).collect();
            for (index, outcome) in outcomes.iter().enumerate() {
                match outcome {
                    Outcome::Accepted => prop_assert!(stored.contains(&events[index])),
                    Outcome::Rejected(_) | Outcome::DeadLetter(_) => prop_assert!(!kinds[index]),
                    // After a time-out the event may be stored all the same.
                    Outcome::Retry(RetryReason::TimedOut) => prop_assert!(kinds[index]),
                    Outcome::Retry(_) => prop_assert!(kinds[index]),
                }
            }
        }

        /// Without a raw stream, the processed one holds what it would hold with one, and no event is accepted that would be a dead letter.
        #[test]
        fn ingest_writes_what_the_pipeline_would_have_written(
            events in prop::collection::vec(
                prop_oneof![
                    r#"\{ ?("a[ é]?" ?: ?(1\.0|\[ ?\]|"\\ud83d(\\ude00)?"| true|12345678901234567890123)\n?)?\}"#,
                    r#" ?(5|null|\[ ?\]|"x y")"#,
                    (50..80_usize).prop_map(|levels| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels))),
                ],
                0..20,
            ),
        ) {
            let body = format!("[{}]", events.join(","));
            let (by_raw, direct) = (FakePublisher::default(), FakePublisher::default());
            let letters = FakeDeadLetters::default();
            let accepted = accept(&stream(&Input::default(), true), body.as_bytes(), &by_raw, &letters);
            prop_assert_eq!(accept(&stream(&Input::default(), false), body.as_bytes(), &direct, &letters), accepted);
            let data = |publisher: &FakePublisher, stream| publisher.stored(stream).into_iter().map(|(data, _)| data).collect::<Vec<_>>();
            prop_assert_eq!(data(&direct, "dp.green.refuse-trucks.processed.1.json"), processed(&data(&by_raw, "dp.green.refuse-trucks.raw.1.json"), &letters));
            prop_assert!(letters.stored(&active_stream("refuse-trucks", "1", "waste").route().dead_letter_stream).is_empty());
        }

        #[test]
        fn any_bytes_as_a_body_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(batch) = split(&body, Format::Json) {
                for event in batch.events {
                    let _ = check_event(event, &timed(TimestampFormat::Rfc3339));
                    let _ = check_event(event, &timed(TimestampFormat::EpochSeconds));
                }
            }
        }
    }
}
