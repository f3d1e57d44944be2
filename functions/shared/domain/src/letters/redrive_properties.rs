//! What holds of letters that are put back, whatever fails.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::redrive_tests::{Bench, RAW, all, by_ids, letter, of};
use super::tests::store;
use super::*;
use crate::dead_letter::{DeadLetter, LetterId};
use crate::fake_objects::{FakeObjects, ReadFault};
use crate::fakes::{MarkCall, MarkFault, PutFault};

fn any_mark_fault() -> impl Strategy<Value = MarkFault> {
    prop_oneof![4 => Just(MarkFault::Ok), 1 => Just(MarkFault::Fail), 1 => Just(MarkFault::FailAfterWrite), 1 => Just(MarkFault::WriteTwice)]
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
        for round in 0..50 {
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
            if failed == 0 && round >= 5 {
                break;
            }
        }
        let mut times: HashMap<String, usize> = HashMap::new();
        bench.put_back().into_iter().for_each(|data| *times.entry(data).or_default() += 1);
        prop_assert_eq!(times.len(), letters.len(), "once nothing fails any more, all are there");
        prop_assert!(is_timed_out || times.values().all(|times| *times == 1), "{:?}", times);
    }

    /// Whatever fails: of each key, a request puts back the first letters in their order, and none behind one that it did not.
    #[test]
    fn order_per_key_holds_over_a_whole_request(
        keys in prop::collection::vec(0_u8..4, 1..40),
        puts in prop::collection::vec(PutFault::any(), 0..20),
        claims in prop::collection::vec(any_mark_fault(), 0..40),
        batch in 1_usize..10,
    ) {
        let letters: Vec<DeadLetter> = keys.iter().enumerate().map(|(n, key)| of(&n.to_string(), &format!("key-{key}"))).collect();
        let mut bench = Bench::new(&letters);
        bench.limits.batch = batch;
        bench.raw.script(puts);
        bench.marks.script(MarkCall::Claim, claims);
        let outcome = bench.redrive(&all()).unwrap();
        prop_assert_eq!(outcome.redriven + outcome.skipped + outcome.failed, letters.len());
        for key in 0..4 {
            let key = format!("key-{key}");
            let all_stored = bench.raw.stored(RAW);
            let of_key = all_stored.into_iter().filter(|(_, stored_key)| *stored_key == key);
            let mut stored: Vec<String> = of_key.map(|(data, _)| data).collect();
            // A put that timed out may have been written each time.
            stored.dedup();
            let letters_of_key = letters.iter().enumerate().filter(|(_, letter)| letter.partition_key == key);
            let expected: Vec<String> = letters_of_key.map(|(n, _)| format!("event {n}")).collect();
            prop_assert!(expected.starts_with(&stored), "{:?} of {:?}", stored, expected);
        }
    }
}
