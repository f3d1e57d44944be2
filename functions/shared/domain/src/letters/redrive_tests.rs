//! What becomes of letters that are put back.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;

use super::tests::{NOON, PREFIX, Ticking, folder, line, store, stream};
use super::*;
use crate::dead_letter::{DeadLetter, LetterId};
use crate::fake_objects::{FakeObjects, ReadFault};
use crate::fakes::{FakeMarks, FakeRawStreams, MarkCall, MarkFault, PutFault, block_on, dead_letter};
use crate::limits::PUT_ATTEMPTS;
use crate::store::StoreFault;
use crate::system::System;

const RAW: &str = "dp.green.refuse-trucks.raw.1.json";

/// Everything that a redrive works with.
struct Bench {
    objects: FakeObjects,
    marks: FakeMarks,
    raw: FakeRawStreams,
    system: Ticking,
    limits: LetterLimits,
}

impl Bench {
    fn new(letters: &[DeadLetter]) -> Self {
        let objects = FakeObjects::default();
        let lines: Vec<String> = letters.iter().map(line).collect();
        objects.put(&format!("{}a", folder(NOON)), NOON, lines.join("\n"));
        Self::over(objects)
    }

    fn over(objects: FakeObjects) -> Self {
        let (marks, raw, system) = (FakeMarks::default(), FakeRawStreams::default(), Ticking::new(Duration::ZERO));
        Self { objects, marks, raw, system, limits: LetterLimits::default() }
    }

    fn redrive(&self, fields: &RedriveFields) -> Result<RedriveOutcome, StoreFault> {
        self.redrive_within(29, false, fields)
    }

    fn redrive_within(&self, seconds: u64, is_dry_run: bool, fields: &RedriveFields) -> Result<RedriveOutcome, StoreFault> {
        let Self { objects, marks, raw, system, limits } = self;
        let redriver = Redriver { objects, marks, raw, system, deadline: system.deadline(seconds), limits: *limits, is_dry_run };
        let request = RedriveRequest::read(fields, PREFIX).unwrap();
        block_on(redriver.redrive(&stream(), RAW, &request))
    }

    fn put_back(&self) -> Vec<String> {
        self.raw.stored(RAW).into_iter().map(|(data, _)| data).collect()
    }
}

fn all() -> RedriveFields {
    RedriveFields { reason: Some("undecodable".to_owned()), ..RedriveFields::default() }
}

fn forced() -> RedriveFields {
    RedriveFields { force: true, ..all() }
}

fn by_ids(ids: &[&LetterId]) -> RedriveFields {
    RedriveFields { ids: Some(ids.iter().map(|id| id.to_string()).collect()), ..RedriveFields::default() }
}

fn counts(outcome: &RedriveOutcome) -> (usize, usize, usize) {
    (outcome.redriven, outcome.skipped, outcome.failed)
}

fn letter(event: &str) -> DeadLetter {
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
    let claim = Claim { now, until: now + Duration::from_secs(60), again: false };
    assert!(block_on(bench.marks.claim(&stream().ingest_id, &letter("1").id, claim)).unwrap());
    for fields in [all(), forced()] {
        assert_eq!(counts(&bench.redrive(&fields).unwrap()), (0, 1, 0));
    }
    bench.system.inner.advance(Duration::from_secs(61));
    assert_eq!(counts(&bench.redrive(&all()).unwrap()), (1, 0, 0));
}

#[test]
fn letters_of_one_key_go_one_after_another_and_stop_behind_a_failure() {
    let of = |event: &str, key: &str| DeadLetter { partition_key: key.to_owned(), ..letter(event) };
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
fn nothing_is_begun_without_the_time_to_end_it() {
    let bench = Bench::new(&[letter("1")]);
    let outcome = bench.redrive_within(7, false, &all()).unwrap();
    assert_eq!((counts(&outcome), bench.marks.writes()), ((0, 0, 0), 0));
    let next = RedriveFields { cursor: outcome.next.map(|next| next.to_text()), ..all() };
    assert_eq!(counts(&bench.redrive(&next).unwrap()), (1, 0, 0));
}

fn any_mark_fault() -> impl Strategy<Value = MarkFault> {
    prop_oneof![4 => Just(MarkFault::Ok), 1 => Just(MarkFault::Fail), 1 => Just(MarkFault::FailAfterWrite)]
}

proptest! {
    /// Whatever fails: every letter has one outcome, one that counts as put back is on the raw stream, and without a crash behind a put none
    /// is there twice.
    #[test]
    fn every_letter_has_one_true_outcome(
        places in prop::collection::vec((0_u8..3, 0_u8..4), 1..40),
        wants_ids in any::<bool>(),
        missing in 0_usize..4,
        puts in prop::collection::vec(PutFault::any(), 0..20),
        faults in prop::collection::vec(prop::collection::vec(any_mark_fault(), 0..10), 3),
        reads in prop::collection::vec(prop_oneof![4 => Just(ReadFault::Ok), 1 => Just(ReadFault::Unavailable), 1 => (0_usize..4).prop_map(ReadFault::BreaksAfter)], 0..10),
        batch in 1_usize..10,
        redrive in 1_usize..30,
        tick_ms in prop_oneof![Just(0_u64), 100_u64..500],
    ) {
        let objects = FakeObjects::with_listings_of(3);
        let letters = store(&places, &objects);
        let mut bench = Bench::over(objects);
        bench.limits = LetterLimits { batch, redrive, objects_at_once: 2, ..bench.limits };
        bench.system.tick = Duration::from_millis(tick_ms);
        let is_timed_out = puts.contains(&PutFault::TimeoutAfterWrite);
        bench.raw.script(puts);
        for (call, script) in [MarkCall::Load, MarkCall::Claim, MarkCall::Release].into_iter().zip(faults) {
            bench.marks.script(call, script);
        }
        bench.objects.script(reads);
        let absent: Vec<LetterId> = (0..missing).map(|n| letter(&format!("absent{n}")).id).collect();
        let ids: Vec<&LetterId> = letters.iter().map(|letter| &letter.id).chain(&absent).collect();
        let base = if wants_ids { by_ids(&ids) } else { all() };

        // Several redrives from the start, each to its end: what failed is tried again once claims have run out.
        for round in 0..6 {
            let (mut redriven, mut skipped, mut failed, mut not_found) = (0, 0, 0, Vec::new());
            let before = bench.put_back().len();
            let mut fields = base.clone();
            for request in 0.. {
                prop_assert!(request < 300, "the end is reached");
                let Ok(outcome) = bench.redrive_within(10, false, &fields) else { continue };
                redriven += outcome.redriven;
                skipped += outcome.skipped;
                failed += outcome.failed;
                not_found.extend(outcome.not_found);
                match outcome.next {
                    Some(next) => fields.cursor = Some(next.to_text()),
                    None => break,
                }
            }
            prop_assert_eq!(redriven + skipped + failed, letters.len(), "round {}", round);
            let expected = if wants_ids { absent.len() } else { 0 };
            prop_assert_eq!(not_found.len(), expected);
            prop_assert!(bench.put_back().len() - before >= redriven, "counted as put back but not there");
            bench.system.inner.advance(Duration::from_secs(61));
        }
        let mut times: HashMap<String, usize> = HashMap::new();
        bench.put_back().into_iter().for_each(|data| *times.entry(data).or_default() += 1);
        prop_assert_eq!(times.len(), letters.len(), "once nothing fails any more, all are there");
        prop_assert!(is_timed_out || times.values().all(|times| *times == 1), "{:?}", times);
    }
}
