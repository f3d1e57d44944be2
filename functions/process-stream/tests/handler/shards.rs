//! Whole shards, driven as AWS would: nothing is lost, nothing blocks, order per key holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::fakes::{FakeDeadLetters, FakePublisher, FakeStore, PutFault, active_stream, resource};
use domain::resource::ResourceKind;
use domain::system::System;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::bench::{Bench, DEAD_LETTERS};
use crate::poller::{Mapping, Outcome, ShardRecord};

/// As in `infra/stacks/stream.yaml`.
const MAPPING: Mapping = Mapping { batch_size: 500, maximum_retry_attempts: 1_000, maximum_record_age: Duration::from_secs(23 * 3_600) };

/// What one event of a shard is made of.
#[derive(Debug, Clone, Copy)]
struct Made {
    key: u8,
    is_poison: bool,
}

fn shard(made: &[Made], bench: &Bench) -> Vec<ShardRecord> {
    let record = |(n, made): (usize, &Made)| ShardRecord {
        sequence_number: format!("4959{n:06}"),
        partition_key: format!("key-{}", made.key),
        data: if made.is_poison {
            format!("poison {n}").into_bytes()
        } else {
            json!({"n": n, "time": "2018-02-07T01:26:13Z"}).to_string().into_bytes()
        },
        arrived_at: bench.system.now(),
    };
    made.iter().enumerate().map(record).collect()
}

/// Drains a shard; of some invocations the answer is lost, though they did their work.
async fn drain(bench: &Bench, mapping: Mapping, shard: &[ShardRecord], lost_answers: &[bool]) -> Outcome {
    let mut lost = lost_answers.iter();
    let function = async |event: Value| {
        let answer = bench.send(&event).await.ok();
        if lost.next() == Some(&true) { None } else { answer }
    };
    mapping.drain(shard, &bench.system, function).await
}

/// The numbers of the events on the processed stream, in their order.
fn forwarded(bench: &Bench) -> Vec<(usize, String)> {
    let number = |line: &str| serde_json::from_str::<Value>(line).unwrap()["n"].as_u64().unwrap() as usize;
    bench.forwarded().iter().map(|(line, key)| (number(line), key.clone())).collect()
}

fn letters(bench: &Bench) -> BTreeSet<Vec<u8>> {
    bench.letters.stored(DEAD_LETTERS).iter().map(|letter| BASE64_STANDARD.decode(&letter.original_base64).unwrap()).collect()
}

#[tokio::test]
async fn poison_records_block_nothing_and_cost_no_retry() {
    let bench = Bench::new();
    let made: Vec<Made> = (0..1_200).map(|n| Made { key: (n % 7) as u8, is_poison: n % 100 == 13 }).collect();
    let outcome = drain(&bench, MAPPING, &shard(&made, &bench), &[]).await;
    assert_eq!((outcome.invocations, outcome.failure_destination.len()), (3, 0));
    assert_eq!((forwarded(&bench).len(), letters(&bench).len()), (1_188, 12));
    let counters = bench.stats().counters;
    assert_eq!((counters.received, counters.forwarded, counters.dead_lettered), (1_200, 1_188, 12));
}

#[tokio::test]
async fn what_can_never_be_kept_goes_to_the_failure_destination_and_the_shard_goes_on() {
    let bench = Bench::with_faults([], FakeDeadLetters::failing(usize::MAX));
    let mapping = Mapping { batch_size: 10, maximum_retry_attempts: 3, ..MAPPING };
    let made: Vec<Made> = (0..30).map(|n| Made { key: 0, is_poison: n == 12 }).collect();
    let shard = shard(&made, &bench);
    let outcome = drain(&bench, mapping, &shard, &[]).await;
    assert_eq!(outcome.failure_destination, [shard[12].clone()]);
    let numbers: Vec<usize> = forwarded(&bench).into_iter().map(|(n, _)| n).collect();
    assert_eq!(numbers, (0..30).filter(|n| *n != 12).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_table_that_is_away_for_a_while_delays_the_shard_and_loses_nothing() {
    let bench = Bench::new();
    bench.store.fail_next(40);
    let made = vec![Made { key: 1, is_poison: false }; 20];
    let outcome = drain(&bench, MAPPING, &shard(&made, &bench), &[]).await;
    assert!(outcome.failure_destination.is_empty());
    assert_eq!(forwarded(&bench).len(), 20);
}

/// Any fault of a publisher.
fn any_put_fault() -> impl Strategy<Value = PutFault> {
    prop_oneof![
        Just(PutFault::Ok),
        prop::collection::vec(0_usize..80, 0..20).prop_map(PutFault::PartialFailure),
        Just(PutFault::Throttle),
        Just(PutFault::Unavailable),
        Just(PutFault::TimeoutAfterWrite),
    ]
}

fn any_made() -> impl Strategy<Value = Made> {
    (0_u8..5, prop::bool::weighted(0.1)).prop_map(|(key, is_poison)| Made { key, is_poison })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the publisher, the dead-letter store, the table and Lambda itself do for a while: every good event is on the processed
    /// stream, every bad one is a dead letter, nothing is given up, and of each key what comes first came first.
    #[test]
    fn a_shard_loses_nothing_and_keeps_order_under_any_faults(
        made in prop::collection::vec(any_made(), 1..150),
        script in prop::collection::vec(any_put_fault(), 0..30),
        letter_faults in 0_usize..6,
        table_faults in 0_usize..4,
        lost_answers in prop::collection::vec(any::<bool>(), 0..12),
        batch_size in 1_usize..80,
    ) {
        let bench = Bench::with_faults(script, FakeDeadLetters::failing(letter_faults));
        bench.store.fail_next(table_faults);
        let shard = shard(&made, &bench);
        let outcome = tokio::runtime::Builder::new_current_thread().build().unwrap()
            .block_on(drain(&bench, Mapping { batch_size, ..MAPPING }, &shard, &lost_answers));
        prop_assert!(outcome.failure_destination.is_empty());

        let mut firsts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (n, key) in forwarded(&bench) {
            prop_assert_eq!(&key, &shard[n].partition_key);
            if seen.insert(n) { firsts.entry(key).or_default().push(n) }
        }
        prop_assert!(firsts.values().all(|numbers| numbers.is_sorted()), "{:?}", firsts);
        let letters = letters(&bench);
        for (n, made) in made.iter().enumerate() {
            let is_safe = if made.is_poison { letters.contains(&shard[n].data) } else { seen.contains(&n) };
            prop_assert!(is_safe, "lost {}", n);
        }
    }

    /// With `dedupe`, the first event of each key is forwarded, and none twice, as long as the table remembers and no answer is lost.
    #[test]
    fn a_key_is_forwarded_once_however_often_its_events_come(
        ids in prop::collection::vec(0_u8..20, 1..120),
        faults in prop::collection::vec(any::<bool>(), 0..6),
        batch_size in 1_usize..50,
    ) {
        let store = FakeStore::default();
        store.seen.follow(faults.iter().flat_map(|fails| [!fails, true]));
        let mut record = active_stream("refuse-trucks", "1", "waste");
        record.document.pipeline.processors = serde_json::from_value(json!([{"dedupe": {"key": "$.id", "cache": "seen"}}])).unwrap();
        store.insert(record);
        store.insert_resource(resource("waste", ResourceKind::Cache, "seen", "dynamodb: {ttl: 1h}"));
        let bench = Bench::of(store, FakePublisher::default(), FakeDeadLetters::default());
        let shard: Vec<ShardRecord> = ids.iter().enumerate().map(|(n, id)| ShardRecord {
            sequence_number: format!("4959{n:06}"),
            partition_key: id.to_string(),
            data: json!({"id": id, "n": n, "time": "2018-02-07T01:26:13Z"}).to_string().into_bytes(),
            arrived_at: bench.system.now(),
        }).collect();
        tokio::runtime::Builder::new_current_thread().build().unwrap()
            .block_on(drain(&bench, Mapping { batch_size, ..MAPPING }, &shard, &[]));
        let numbers: Vec<usize> = forwarded(&bench).into_iter().map(|(n, _)| n).collect();
        let distinct: BTreeSet<u8> = numbers.iter().map(|n| ids[*n]).collect();
        // A key that was forwarded and could not be remembered may come once more.
        prop_assert_eq!(distinct, ids.iter().copied().collect::<BTreeSet<u8>>());
        if faults.iter().all(|fails| !fails) {
            prop_assert_eq!(numbers.len(), ids.iter().collect::<BTreeSet<_>>().len());
        }
        let counters = bench.stats().counters;
        prop_assert_eq!(counters.received, counters.forwarded + counters.deduplicated);
    }
}
