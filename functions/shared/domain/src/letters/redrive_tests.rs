//! What becomes of letters that are put back.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::tests::{NOON, PREFIX, Ticking, folder, line, stream};
use super::*;
use crate::dead_letter::{DeadLetter, LetterId};
use crate::fake_objects::{FakeObjects, ReadFault};
use crate::fakes::{FakeMarks, FakeRawStreams, MarkCall, MarkFault, PutFault, block_on, dead_letter};
use crate::input::Format;
use crate::limits::PUT_ATTEMPTS;
use crate::record::StreamRecord;
use crate::store::StoreFault;
use crate::system::System;

pub(super) const RAW: &str = "dp.green.refuse-trucks.raw.1.json";

/// Everything that a redrive works with.
pub(super) struct Bench {
    record: StreamRecord,
    pub(super) objects: FakeObjects,
    pub(super) marks: FakeMarks,
    pub(super) raw: FakeRawStreams,
    pub(super) system: Ticking,
    pub(super) limits: LetterLimits,
}

impl Bench {
    pub(super) fn new(letters: &[DeadLetter]) -> Self {
        let objects = FakeObjects::default();
        let lines: Vec<String> = letters.iter().map(line).collect();
        objects.put(&format!("{}a", folder(NOON)), NOON, lines.join("\n"));
        Self::over(objects)
    }

    pub(super) fn over(objects: FakeObjects) -> Self {
        let (marks, raw, system) = (FakeMarks::default(), FakeRawStreams::default(), Ticking::new(Duration::ZERO));
        // Every letter has stopped by then.
        system.inner.advance(Duration::from_secs(16 * 3_600));
        Self { record: stream(), objects, marks, raw, system, limits: LetterLimits::default() }
    }

    pub(super) fn redrive(&self, fields: &RedriveFields) -> Result<RedriveOutcome, StoreFault> {
        self.redrive_within(29, false, fields)
    }

    pub(super) fn redrive_within(&self, seconds: u64, is_dry_run: bool, fields: &RedriveFields) -> Result<RedriveOutcome, StoreFault> {
        let Self { record, objects, marks, raw, system, limits } = self;
        let redriver =
            Redriver { objects, marks, raw, rules: None, system, deadline: system.deadline(seconds), limits: *limits, is_dry_run };
        let request = RedriveRequest::read(fields, PREFIX).unwrap();
        block_on(redriver.redrive(record, RAW, &request))
    }

    pub(super) fn put_back(&self) -> Vec<String> {
        self.raw.stored(RAW).into_iter().map(|(data, _)| data).collect()
    }
}

pub(super) fn all() -> RedriveFields {
    RedriveFields { reason: Some("undecodable".to_owned()), ..RedriveFields::default() }
}

fn forced() -> RedriveFields {
    RedriveFields { force: true, ..all() }
}

pub(super) fn by_ids(ids: &[&LetterId]) -> RedriveFields {
    RedriveFields { ids: Some(ids.iter().map(|id| id.to_string()).collect()), ..RedriveFields::default() }
}

fn counts(outcome: &RedriveOutcome) -> (usize, usize, usize) {
    (outcome.redriven, outcome.skipped, outcome.failed)
}

pub(super) fn letter(event: &str) -> DeadLetter {
    dead_letter(NOON, event, &format!("event {event}"))
}

#[test]
fn letters_are_put_back_once_as_they_were() {
    let bench = Bench::new(&[letter("1"), letter("2")]);
    let outcome = bench.redrive(&all()).unwrap();
    assert_eq!((counts(&outcome), outcome.next, outcome.not_found), ((2, 0, 0), None, vec![]));
    let pair = |data: &str, key: &str| (data.to_owned(), key.to_owned());
    assert_eq!(bench.raw.stored(RAW), [pair("event 1", "key-1"), pair("event 2", "key-2")]);
    let marks = bench.marks.stored(&stream().ingest_id, &letter("1").id);
    assert_eq!((marks.redriven_at, marks.claimed_until), (Some(bench.system.inner.now()), None));

    assert_eq!(counts(&bench.redrive(&all()).unwrap()), (0, 2, 0));
    assert_eq!(counts(&bench.redrive(&forced()).unwrap()), (2, 0, 0));
    assert_eq!(bench.put_back(), ["event 1", "event 2", "event 1", "event 2"]);
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let bench = Bench::new(&[letter("1"), letter("2"), letter("1")]);
    bench.redrive(&by_ids(&[&letter("1").id])).unwrap();
    let writes = bench.marks.writes();
    assert_eq!(counts(&bench.redrive_within(29, true, &all()).unwrap()), (1, 2, 0));
    assert_eq!(counts(&bench.redrive_within(29, true, &forced()).unwrap()), (2, 1, 0));
    assert_eq!((bench.marks.writes(), bench.put_back()), (writes, vec!["event 1".to_owned()]));
}

#[test]
fn a_letter_that_lies_there_twice_is_put_back_once() {
    for batch in [1, 2, 500] {
        for fields in [all(), forced()] {
            let mut bench = Bench::new(&[letter("1"), letter("1"), letter("2"), letter("1")]);
            bench.limits.batch = batch;
            assert_eq!(counts(&bench.redrive(&fields).unwrap()), (2, 2, 0));
            assert_eq!(bench.put_back(), ["event 1", "event 2"]);
        }
    }
}

#[test]
fn ids_that_no_letter_has_are_named() {
    let bench = Bench::new(&[letter("1"), letter("2"), letter("2")]);
    let outcome = bench.redrive(&by_ids(&[&letter("9").id, &letter("2").id])).unwrap();
    assert_eq!((counts(&outcome), outcome.not_found, outcome.next), ((1, 0, 0), vec![letter("9").id], None));
    assert_eq!(bench.put_back(), ["event 2"]);
}

#[test]
fn a_letter_that_another_request_has_in_hand_is_skipped_until_the_claim_runs_out() {
    let bench = Bench::new(&[letter("1")]);
    let now = bench.system.now();
    let claim = Claim { now, until: now + Duration::from_secs(60), again: false, token: 1 };
    assert!(block_on(bench.marks.claim(&stream().ingest_id, &letter("1").id, claim)).unwrap());
    for fields in [all(), forced()] {
        assert_eq!(counts(&bench.redrive(&fields).unwrap()), (0, 1, 0));
    }
    bench.system.inner.advance(Duration::from_secs(61));
    assert_eq!(counts(&bench.redrive(&all()).unwrap()), (1, 0, 0));
}

#[test]
fn a_claim_that_is_written_and_tried_again_is_a_claim() {
    for fields in [all(), forced()] {
        let bench = Bench::new(&[letter("1"), letter("2")]);
        bench.marks.script(MarkCall::Claim, [MarkFault::WriteTwice]);
        bench.marks.script(MarkCall::Mark, [MarkFault::WriteTwice]);
        assert_eq!(counts(&bench.redrive(&fields).unwrap()), (2, 0, 0));
        assert_eq!(bench.put_back(), ["event 1", "event 2"]);
        assert_eq!(counts(&bench.redrive(&all()).unwrap()), (0, 2, 0));
    }
}

#[test]
fn a_claim_is_given_up_by_who_has_it_alone() {
    let bench = Bench::new(&[letter("1")]);
    let (stream, id, now) = (stream().ingest_id, letter("1").id, bench.system.now());
    let claim_of = |token, at: time::OffsetDateTime| Claim { now: at, until: at + Duration::from_secs(60), again: false, token };
    let (first, second) = (claim_of(1, now), claim_of(2, now + Duration::from_secs(61)));
    assert!(block_on(bench.marks.claim(&stream, &id, first)).unwrap());
    assert!(block_on(bench.marks.claim(&stream, &id, second)).unwrap(), "the first has run out");
    block_on(bench.marks.release(&stream, &id, first)).unwrap();
    assert_eq!(bench.marks.stored(&stream, &id).claimed_until, Some(second.until));
    block_on(bench.marks.release(&stream, &id, second)).unwrap();
    assert_eq!(bench.marks.stored(&stream, &id).claimed_until, None);
}

#[test]
fn letters_that_are_not_what_the_stream_takes_now_fail_and_stop_no_other() {
    let typed = |event: &str, content_type: &str| DeadLetter {
        partition_key: "key".to_owned(),
        content_type: content_type.to_owned(),
        ..letter(event)
    };
    let letters = [typed("1", "application/xml"), typed("2", "application/json"), typed("3", "text/plain")];
    for (format, expected) in [(Format::Json, "event 2"), (Format::Xml, "event 1")] {
        let mut bench = Bench::new(&letters);
        bench.record.document.input.format = format;
        assert_eq!(counts(&bench.redrive_within(29, true, &all()).unwrap()), (1, 0, 2));
        assert_eq!(counts(&bench.redrive(&all()).unwrap()), (1, 0, 2));
        assert_eq!(bench.put_back(), [expected]);
    }
}

/// A letter of this partition key.
pub(super) fn of(event: &str, key: &str) -> DeadLetter {
    DeadLetter { partition_key: key.to_owned(), ..letter(event) }
}

#[test]
fn behind_a_letter_that_fails_no_other_of_its_key_goes_in_the_same_request() {
    let letters = [of("a1", "a"), of("b1", "b"), of("a2", "a"), of("b2", "b"), of("a3", "a")];
    for batch in [1, 2, 3, 500] {
        let mut bench = Bench::new(&letters);
        bench.limits.batch = batch;
        bench.marks.script(MarkCall::Claim, [MarkFault::Fail]);
        assert_eq!(counts(&bench.redrive(&all()).unwrap()), (2, 0, 3), "batches of {batch}");
        assert_eq!(bench.put_back(), ["event b1", "event b2"]);
        for event in ["a1", "a2", "a3"] {
            assert_eq!(bench.marks.stored(&stream().ingest_id, &letter(event).id), Marks::default(), "given up");
        }
        assert_eq!(counts(&bench.redrive(&all()).unwrap()), (3, 2, 0));
        assert_eq!(bench.put_back()[2..], ["event a1", "event a2", "event a3"]);
    }
    let mut bench = Bench::new(&letters);
    bench.limits.batch = 2;
    bench.raw.script(vec![PutFault::PartialFailure(vec![0]); PUT_ATTEMPTS as usize]);
    assert_eq!(counts(&bench.redrive(&all()).unwrap()), (2, 0, 3));
    assert_eq!(bench.put_back(), ["event b1", "event b2"]);
    assert_eq!(counts(&bench.redrive(&all()).unwrap()), (3, 2, 0));
}

#[test]
fn letters_of_one_key_go_one_after_another_and_stop_behind_a_failure() {
    let letters = [of("a1", "a"), of("a2", "a"), of("b1", "b"), of("a3", "a"), of("b2", "b")];
    let bench = Bench::new(&letters);
    assert_eq!(counts(&bench.redrive(&all()).unwrap()), (5, 0, 0));
    assert_eq!(bench.raw.calls(), [2, 2, 1]);
    assert_eq!(bench.put_back(), ["event a1", "event b1", "event a2", "event b2", "event a3"]);

    let bench = Bench::new(&letters);
    bench.raw.script(vec![PutFault::PartialFailure(vec![0]); PUT_ATTEMPTS as usize]);
    assert_eq!(counts(&bench.redrive(&all()).unwrap()), (2, 0, 3));
    assert_eq!((bench.put_back(), bench.raw.calls()), (vec!["event b1".to_owned(), "event b2".to_owned()], vec![2, 1, 1, 1, 1, 1]));
    assert_eq!(counts(&bench.redrive(&all()).unwrap()), (3, 2, 0), "what failed was given up, and is free at once");
}

#[test]
fn a_letter_that_kinesis_would_refuse_harms_no_other() {
    let letters = [
        DeadLetter { partition_key: String::new(), ..letter("1") },
        DeadLetter { partition_key: "å".repeat(257), ..letter("2") },
        DeadLetter { original_base64: "?".to_owned(), ..letter("3") },
        DeadLetter { original_base64: BASE64_STANDARD.encode(vec![0; 1024 * 1024]), ..letter("4") },
        DeadLetter { partition_key: "å".repeat(256), ..letter("5") },
    ];
    let bench = Bench::new(&letters);
    assert_eq!(counts(&bench.redrive(&all()).unwrap()), (1, 0, 4));
    assert_eq!(bench.put_back(), ["event 5"]);
}

#[test]
fn attempts_add_up_over_redrives() {
    let bench = Bench::new(&[DeadLetter { attempts: 2, ..letter("77") }]);
    bench.redrive(&all()).unwrap();
    // It stops again, under the sequence number that it got.
    let later = NOON + Duration::from_secs(3_600);
    let again = dead_letter(later, "1", "event 77");
    bench.objects.put(&format!("{}b", folder(later)), later, line(&again));
    let before = bench.marks.stored(&stream().ingest_id, &again.id).before.unwrap();
    assert_eq!(before, TriedBefore { first_time: NOON, attempts: 2 });
    assert_eq!(counts(&bench.redrive(&all()).unwrap()), (1, 1, 0));
    let third = dead_letter(later, "2", "event 77");
    let before = bench.marks.stored(&stream().ingest_id, &third.id).before.unwrap();
    assert_eq!(before, TriedBefore { first_time: NOON, attempts: 3 });
}

#[test]
fn a_mark_that_cannot_be_written_is_told_and_the_letter_was_put_back_all_the_same() {
    let bench = Bench::new(&[letter("1"), letter("2")]);
    bench.marks.script(MarkCall::Mark, [MarkFault::Ok, MarkFault::Fail]);
    let outcome = bench.redrive(&all()).unwrap();
    assert_eq!((counts(&outcome), outcome.unmarked, outcome.fault.is_some()), ((2, 0, 0), 1, true));
    assert_eq!(counts(&bench.redrive(&all()).unwrap()), (0, 2, 0), "its claim still stands");
}

#[test]
fn a_fault_before_anything_was_done_fails_the_request_and_a_later_one_ends_it() {
    let mut bench = Bench::new(&[letter("1"), letter("2")]);
    bench.objects.put(&format!("{}b", folder(NOON)), NOON, line(&letter("3")));
    bench.limits = LetterLimits { batch: 2, objects_at_once: 1, ..bench.limits };
    bench.objects.script([ReadFault::Unavailable]);
    assert!(bench.redrive(&all()).is_err());
    bench.marks.script(MarkCall::Load, [MarkFault::Fail]);
    assert!(bench.redrive(&all()).is_err());
    bench.objects.script([ReadFault::Ok, ReadFault::Unavailable]);
    let outcome = bench.redrive(&all()).unwrap();
    assert_eq!((counts(&outcome), outcome.fault.is_some()), ((2, 0, 0), true));
    let next = RedriveFields { cursor: outcome.next.map(|next| next.to_text()), ..all() };
    bench.marks.script(MarkCall::Load, [MarkFault::Fail]);
    assert!(bench.redrive(&next).is_err());
    assert_eq!(counts(&bench.redrive(&next).unwrap()), (1, 0, 0));
}

#[test]
fn a_redrive_takes_so_many_letters_in_hand_and_says_where_to_go_on() {
    let letters: Vec<DeadLetter> = (0..7).map(|n| letter(&n.to_string())).collect();
    let mut bench = Bench::new(&letters);
    bench.limits = LetterLimits { redrive: 5, batch: 2, ..bench.limits };
    let outcome = bench.redrive(&all()).unwrap();
    assert_eq!(counts(&outcome), (5, 0, 0));
    let next = RedriveFields { cursor: outcome.next.map(|next| next.to_text()), ..all() };
    let outcome = bench.redrive(&next).unwrap();
    assert_eq!((counts(&outcome), outcome.next), ((2, 0, 0), None));
}

#[test]
fn a_redrive_does_not_go_after_letters_that_stop_while_it_runs() {
    let mut bench = Bench::new(&[letter("1"), letter("2")]);
    bench.limits = LetterLimits { redrive: 1, ..bench.limits };
    let mut fields = all();
    let mut redriven = 0;
    for round in 1.. {
        assert!(round < 10, "the end is reached");
        let outcome = bench.redrive(&fields).unwrap();
        redriven += outcome.redriven;
        // Nothing was mended: each stops again.
        bench.system.inner.advance(Duration::from_secs(1));
        let again = bench.system.now();
        bench.objects.put(&format!("{}{round}", folder(again)), again, line(&dead_letter(again, &format!("again{round}"), "event")));
        let Some(next) = outcome.next else { break };
        fields.cursor = Some(next.to_text());
    }
    assert_eq!((redriven, bench.put_back()), (2, vec!["event 1".to_owned(), "event 2".to_owned()]));
}

#[test]
fn letters_that_there_is_no_time_for_are_left_to_the_next_request() {
    let objects = FakeObjects::default();
    for event in ["1", "2", "3"] {
        objects.put(&format!("{}{event}", folder(NOON)), NOON, line(&letter(event)));
    }
    let mut bench = Bench::over(objects);
    bench.limits.batch = 1;
    bench.system.tick = Duration::from_millis(400);
    let mut fields = all();
    let mut requests = 0;
    loop {
        let outcome = bench.redrive_within(10, false, &fields).unwrap();
        assert_eq!((outcome.skipped, outcome.failed), (0, 0));
        assert!(outcome.redriven > 0, "every request gets further");
        requests += 1;
        let Some(next) = outcome.next else { break };
        fields.cursor = Some(next.to_text());
    }
    assert!(requests > 1);
    assert_eq!(bench.put_back(), ["event 1", "event 2", "event 3"]);
}

#[test]
fn an_object_that_is_read_in_parts_has_each_bad_line_counted_once() {
    let objects = FakeObjects::default();
    let lines = [line(&letter("1")), "bad".to_owned(), line(&letter("2")), "bad".to_owned(), line(&letter("3")), "bad".to_owned()];
    objects.put(&format!("{}a", folder(NOON)), NOON, lines.join("\n"));
    let mut bench = Bench::over(objects);
    bench.limits.batch = 1;
    let outcome = bench.redrive(&all()).unwrap();
    assert_eq!((counts(&outcome), outcome.effort), ((3, 0, 0), LetterEffort { objects: 1, skipped_lines: 3 }));
    assert_eq!(bench.objects.reads().len(), 3);
}

#[test]
fn nothing_is_begun_without_the_time_to_end_it() {
    let bench = Bench::new(&[letter("1")]);
    let outcome = bench.redrive_within(7, false, &all()).unwrap();
    assert_eq!((counts(&outcome), bench.marks.writes()), ((0, 0, 0), 0));
    let next = RedriveFields { cursor: outcome.next.map(|next| next.to_text()), ..all() };
    assert_eq!(counts(&bench.redrive(&next).unwrap()), (1, 0, 0));
}

#[test]
fn what_ingest_kept_is_put_back_once_it_is_valid() {
    let kept = |event: &str, content_type: &str, original: &str| DeadLetter {
        source: "ingest".to_owned(),
        content_type: content_type.to_owned(),
        ..dead_letter(NOON, event, original)
    };
    let cloud_event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2026-01-01T00:00:00Z"}"#;
    let bench = Bench::new(&[
        kept("1", "application/json", r#"{"time":"soon"}"#),
        kept("2", "application/json", r#"{"time":"2026-01-01T00:00:00Z"}"#),
        kept("3", "application/json", "nonsense"),
        kept("4", "application/cloudevents+json", cloud_event),
        kept("5", "application/cloudevents+json", r#"{"time":"2026-01-01T00:00:00Z"}"#),
        dead_letter(NOON, "6", "nonsense"),
    ]);
    let outcome = bench.redrive(&all()).unwrap();
    assert_eq!((outcome.redriven, outcome.failed), (3, 3));
    assert_eq!(bench.put_back(), [r#"{"time":"2026-01-01T00:00:00Z"}"#, cloud_event, "nonsense"], "the pipeline looks for itself");
}
