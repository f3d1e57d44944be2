//! What holds whatever is sent, and whatever fails.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;

use super::tests::*;
use super::*;
use crate::fakes::{FakeDeadLetters, FakePublisher, PutFault, active_stream};
use crate::input::OnInvalid;
use crate::outcome::{Outcome, RetryReason};
use crate::resource_config::LocalRateLimit;

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
        let stored: HashSet<String> = publisher.stored("dp.green.refuse-trucks.raw.1.json").into_iter().map(|(data, _)| data).collect();
        for (index, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Outcome::Accepted => prop_assert!(stored.contains(&events[index])),
                Outcome::Rejected(_) | Outcome::DeadLetter(_) => prop_assert!(!kinds[index]),
                Outcome::Duplicate | Outcome::RateLimited => prop_assert!(false, "there is nothing to say so"),
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

    /// Whatever Kinesis and the place for letters do, every event has one result at its place, with its id, and each result is true.
    #[test]
    fn every_event_has_one_true_result(
        kinds in prop::collection::vec((0_u8..4, 0_u32..400), 0..1_200),
        count in 0_u32..1_500,
        puts in prop::collection::vec(PutFault::any(), 0..8),
        letters in 0_usize..2,
        on_invalid in prop_oneof![Just(OnInvalid::DeadLetter), Just(OnInvalid::Reject)],
    ) {
        let events: Vec<String> = kinds.iter().enumerate().map(|(n, (kind, id))| match kind {
            0 => n.to_string(),
            1 => format!(r#"{{"n":{n},"bad":true}}"#),
            2 => format!(r#"{{"n":{n},"id":"{id}"}}"#),
            _ => format!(r#"{{"n":{n}}}"#),
        }).collect();
        let mut record = stream(&Input::default(), true);
        record.document.input.on_invalid = on_invalid;
        let limit = (count > 0).then(|| InputLimit {
            name: "waste#slow".into(),
            id: "slow".parse().unwrap(),
            limit: LocalRateLimit { count, ..LocalRateLimit::default() },
        });
        let intake = Intake { record, rules: Some(Arc::new(TestRules)), limit };
        let (publisher, letters) = (FakePublisher::with_script(puts), FakeDeadLetters::failing(letters));
        let body = format!("[{}]", events.join(","));
        let receipt = accept_at(&intake, &split(body.as_bytes(), Form::Json).unwrap(), &publisher, &letters);
        prop_assert_eq!(receipt.results.len(), events.len());
        let stored: Vec<String> = publisher.stored("dp.green.refuse-trucks.raw.1.json").into_iter().map(|(data, _)| data).collect();
        let is_stored: HashSet<&String> = stored.iter().collect();
        let kept: Vec<String> = letters.stored(&intake.record.resources.dead_letter_stream).iter().map(|letter| letter.original_base64.clone()).collect();
        let mut first_of: HashMap<&str, usize> = HashMap::new();
        let mut written = 0;
        for (place, result) in receipt.results.iter().enumerate() {
            let has_id = kinds[place].0 == 2;
            prop_assert_eq!(result.id.is_some(), has_id);
            if let Some(id) = result.id.as_deref() {
                first_of.entry(id).or_insert(place);
            }
            let first = result.id.as_deref().map_or(place, |id| first_of[id]);
            let is_bad = kinds[place].0 < 2;
            match &result.outcome {
                Outcome::Accepted => {
                    written += 1;
                    prop_assert!(!is_bad && first == place && is_stored.contains(&events[place]));
                }
                Outcome::Duplicate => prop_assert!(first < place && receipt.results[first].outcome == Outcome::Accepted && !is_stored.contains(&events[place])),
                Outcome::DeadLetter(_) => prop_assert!(is_bad && on_invalid == OnInvalid::DeadLetter && kept.contains(&BASE64_STANDARD.encode(&events[place]))),
                Outcome::Rejected(_) => prop_assert!(is_bad && on_invalid == OnInvalid::Reject),
                Outcome::RateLimited => prop_assert!(!is_bad && intake.limit.is_some() && !is_stored.contains(&events[place])),
                Outcome::Retry(_) => prop_assert!(on_invalid == OnInvalid::DeadLetter || !is_bad),
            }
        }
        prop_assert!(count == 0 || written <= count as usize);
    }

    #[test]
    fn any_bytes_as_a_body_never_panic(body in prop::collection::vec(any::<u8>(), 0..200), epoch in any::<bool>()) {
        let format = if epoch { TimestampFormat::EpochSeconds } else { TimestampFormat::Rfc3339 };
        let intake = Intake { record: stream(&timed(format), true), rules: None, limit: None };
        for form in [Form::Json, Form::JsonLines, Form::Xml, Form::CloudEvent, Form::CloudEvents] {
            if let Ok(batch) = split(&body, form) {
                let receipt = accept_at(&intake, &batch, &FakePublisher::default(), &FakeDeadLetters::default());
                prop_assert_eq!(receipt.results.len(), batch.events.len());
            }
        }
    }
}
