//! Batches whose events meet gates, fork and fail.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use serde::Deserialize;

use super::tests::{ARRIVED, route};
use super::*;
use crate::dedupe::{Mark, SeenKey};
use crate::duration_text::DurationText;
use crate::fakes::{FakeDeadLetters, FakeGates, FakePublisher, FakeSeenKeys, FakeSystem, PutFault, block_on};
use crate::resource_config::LocalRateLimit;
use crate::stats::Counters;

/// Does to an event what it says.
struct Obedient {
    store: KeyStore,
    limit: Option<LocalRateLimit>,
}

/// What an event says.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Order {
    /// Its key, if it has one.
    key: Option<u8>,
    /// How many events it becomes.
    records: usize,
    /// Whether it fails behind the gate.
    fails: bool,
}

impl Processors for Obedient {
    fn run(&self, event: &[u8], counts: &mut [ProcessorCounters]) -> Passage<Left> {
        let order: Order = serde_json::from_slice(event).unwrap();
        let text = std::str::from_utf8(event).unwrap();
        let mut gates = Vec::new();
        if let Some(count) = counts.get_mut(0) {
            count.received += 1;
            count.sent += 1;
        }
        if let Some(key) = order.key {
            let mark = Mark { key: SeenKey::new("is-00000001", "$.key", &key.to_string()), window: Duration::from_secs(600) };
            gates.push(Gate { before: None, processor: 0, question: Question::Dedupe(mark, self.store) });
        }
        if let Some(limit) = self.limit {
            gates.push(Gate { before: gates.len().checked_sub(1), processor: 1, question: Question::RateLimit("mine".into(), limit) });
        }
        let gate = gates.len().checked_sub(1);
        let mut branches: Vec<Branch<Left>> =
            (0..order.records).map(|nth| Branch { gate, end: Ok(Left::Json(format!("{{\"nth\":{nth},\"of\":{text}}}"))) }).collect();
        if order.fails {
            branches.push(Branch { gate, end: Err(Failure::at("pipeline.processors[2].mapping", "mapping", "told to")) });
        }
        Passage { gates, branches }
    }
}

/// Everything around a batch.
#[derive(Default)]
struct Bench {
    publisher: FakePublisher,
    letters: FakeDeadLetters,
    gates: FakeGates,
    system: FakeSystem,
}

impl Bench {
    fn run(&self, processors: &dyn Processors, data: &[String]) -> BatchReport {
        let numbers: Vec<String> = (0..data.len()).map(|n| n.to_string()).collect();
        let record = |(data, number): (&'_ String, &'_ String)| (data.clone(), number.clone());
        let owned: Vec<(String, String)> = data.iter().zip(&numbers).map(record).collect();
        let records: Vec<RawRecord<'_>> = owned
            .iter()
            .map(|(data, number)| RawRecord { data: data.as_bytes(), partition_key: "key", sequence_number: number, arrived_at: ARRIVED })
            .collect();
        let pipeline = Pipeline {
            processors: Some(processors),
            gatekeeper: self.gates.keeper(),
            publisher: &self.publisher,
            dead_letters: &self.letters,
            system: &self.system,
        };
        let deadline = Deadline::before_invocation_end(self.system.now() + Duration::from_secs(32));
        let route = Route { processors: serde_json::from_str(r#"[{"filter": "true"}]"#).unwrap(), ..route() };
        block_on(pipeline.process_batch(&route, &records, "request-1", deadline))
    }
}

const IN_TABLE: Obedient = Obedient { store: KeyStore::Table, limit: None };

fn events(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Forwarded, filtered, deduplicated, dead-lettered, and the first that must come again.
fn fates(report: &BatchReport) -> (u64, u64, u64, u64, Option<usize>) {
    let Counters { forwarded, filtered, deduplicated, dead_lettered, .. } = report.stats.counters;
    (forwarded, filtered, deduplicated, dead_lettered, report.resume_at)
}

#[test]
fn a_duplicate_is_dropped_within_a_batch_and_between_batches() {
    for processors in [IN_TABLE, Obedient { store: KeyStore::Memory, limit: None }] {
        let bench = Bench::default();
        let batch = events(&[r#"{"key":1,"records":1}"#, r#"{"key":1,"records":1}"#, r#"{"key":2,"records":2}"#, r#"{"records":1}"#]);
        let report = bench.run(&processors, &batch);
        assert_eq!(fates(&report), (3, 0, 1, 0, None));
        let counts = report.stats.processors[0];
        assert_eq!((counts.received, counts.sent), (4, 3), "the duplicate is taken out of what was sent");
        assert_eq!(fates(&bench.run(&processors, &batch)), (1, 0, 3, 0, None));
        assert_eq!(bench.publisher.stored("processed").len(), 5);
    }
}

#[test]
fn the_table_is_asked_and_told_once_a_chunk() {
    let bench = Bench::default();
    bench.run(&IN_TABLE, &events(&[r#"{"key":1,"records":1}"#, r#"{"key":1,"records":1}"#, r#"{"key":2,"records":1}"#]));
    assert_eq!(bench.gates.table.calls(), [2, 2]);
    bench.run(&IN_TABLE, &events(&[r#"{"records":1}"#]));
    assert_eq!(bench.gates.table.calls().len(), 2, "without keys it is not asked");
}

#[test]
fn an_event_that_fails_is_not_remembered_and_a_duplicate_that_would_fail_is_dropped() {
    let bench = Bench::default();
    let report = bench.run(&IN_TABLE, &events(&[r#"{"key":1,"fails":true}"#, r#"{"key":1,"records":1}"#, r#"{"key":1,"fails":true}"#]));
    assert_eq!(fates(&report), (1, 0, 1, 1, None));
    let letter = &bench.letters.stored("dead")[0];
    assert_eq!((letter.id.event(), letter.path.as_deref()), ("0", Some("pipeline.processors[2].mapping")));
    assert_eq!(report.stats.last_error.unwrap().detail, "pipeline.processors[2].mapping: told to");
}

#[test]
fn an_event_that_was_not_forwarded_is_not_remembered() {
    let bench = Bench { publisher: FakePublisher::with_script(vec![PutFault::Throttle; 5]), ..Bench::default() };
    let batch = events(&[r#"{"key":1,"records":1}"#]);
    assert_eq!(fates(&bench.run(&IN_TABLE, &batch)), (0, 0, 0, 0, Some(0)));
    assert_eq!(bench.gates.table.count(), 0);
    assert_eq!(fates(&bench.run(&IN_TABLE, &batch)), (1, 0, 0, 0, None));
}

#[test]
fn a_table_that_does_not_answer_stops_the_batch_at_the_first_event_that_needs_it() {
    let gates = FakeGates { table: FakeSeenKeys::with_script([false]), ..FakeGates::default() };
    let bench = Bench { gates, ..Bench::default() };
    let batch = events(&[r#"{"records":1}"#, r#"{"key":1,"records":1}"#, r#"{"records":1}"#]);
    let report = bench.run(&IN_TABLE, &batch);
    assert_eq!(fates(&report), (1, 0, 0, 0, Some(1)));
    assert_eq!(report.stats.last_error.unwrap().code, "unavailable");
}

#[test]
fn a_key_that_cannot_be_remembered_is_counted_and_stops_nothing() {
    let gates = FakeGates { table: FakeSeenKeys::with_script([true, false]), ..FakeGates::default() };
    let bench = Bench { gates, ..Bench::default() };
    let report = bench.run(&IN_TABLE, &events(&[r#"{"key":1,"records":1}"#]));
    assert_eq!((fates(&report), report.keys_forgotten), ((1, 0, 0, 0, None), 1));
}

#[test]
fn a_rate_limit_makes_events_wait_and_beyond_the_deadline_come_again() {
    let limit = LocalRateLimit { count: 2, interval: DurationText::of_seconds(10) };
    let processors = Obedient { store: KeyStore::Table, limit: Some(limit) };
    let bench = Bench::default();
    let report = bench.run(&processors, &events(&[r#"{"records":1}"#; 20]));
    // Two at once, and two more after each ten seconds, of thirty less five.
    assert_eq!(fates(&report), (6, 0, 0, 0, Some(6)));
    assert_eq!(bench.publisher.calls().iter().map(Vec::len).collect::<Vec<_>>(), [1; 6], "those before do not wait");
    assert_eq!(report.stats.last_error.unwrap().code, "rate_limited");
    bench.system.advance(Duration::from_secs(10));
    let duplicates = [r#"{"key":1,"records":1}"#, r#"{"key":1,"records":1}"#, r#"{"key":2,"records":1}"#];
    let before = bench.system.now();
    assert_eq!(fates(&bench.run(&processors, &events(&duplicates))), (2, 0, 1, 0, None));
    assert_eq!(bench.system.now(), before, "a duplicate takes no room");
}

/// Gives what it was made with, whatever the event.
struct Given(Passage<Left>);

impl Processors for Given {
    fn run(&self, _: &[u8], _: &mut [ProcessorCounters]) -> Passage<Left> {
        self.0.clone()
    }
}

fn dedupe(before: Option<usize>, processor: usize, key: &str, store: KeyStore) -> Gate {
    let mark = Mark { key: SeenKey::new("is-00000001", "$.key", key), window: Duration::from_secs(600) };
    Gate { before, processor, question: Question::Dedupe(mark, store) }
}

fn left(gate: usize) -> Branch<Left> {
    Branch { gate: Some(gate), end: Ok(Left::Json("{}".to_owned())) }
}

#[test]
fn two_processors_may_ask_for_the_same_key() {
    let gates = vec![dedupe(None, 0, "a", KeyStore::Memory), dedupe(Some(0), 1, "a", KeyStore::Table)];
    let bench = Bench::default();
    let given = Given(Passage { gates, branches: vec![left(1)] });
    assert_eq!(fates(&bench.run(&given, &events(&["{}", "{}"]))), (1, 0, 1, 0, None));
    assert_eq!(fates(&Bench { gates: bench.gates, ..Bench::default() }.run(&given, &events(&["{}"]))), (0, 0, 1, 0, None));
}

#[test]
fn only_what_leads_to_a_record_is_remembered() {
    let bench = Bench::default();
    let gates = vec![dedupe(None, 0, "filtered", KeyStore::Table), dedupe(None, 0, "kept", KeyStore::Table)];
    bench.run(&Given(Passage { gates, branches: vec![left(1)] }), &events(&["{}"]));
    assert_eq!(bench.gates.table.count(), 1);
    let gates = vec![dedupe(None, 0, "filtered", KeyStore::Table)];
    assert_eq!(fates(&bench.run(&Given(Passage { gates, branches: vec![left(0)] }), &events(&["{}"]))), (1, 0, 0, 0, None));
}

#[test]
fn of_twins_in_one_event_the_one_that_goes_on_counts() {
    let gates = vec![dedupe(None, 0, "a", KeyStore::Table), dedupe(None, 0, "a", KeyStore::Table)];
    let bench = Bench::default();
    assert_eq!(fates(&bench.run(&Given(Passage { gates, branches: vec![left(1)] }), &events(&["{}"]))), (1, 0, 0, 0, None));
}

proptest! {
    /// Whatever fails on the way: every record has one fate, the first event of a key and every event without one gets through or is a
    /// dead letter, nothing but duplicates is dropped, and events of one key keep their order.
    #[test]
    fn nothing_but_duplicates_is_dropped_under_any_faults(
        orders in prop::collection::vec((prop::option::of(0_u8..6), 0_usize..3, prop::bool::weighted(0.2)), 1..60),
        script in prop::collection::vec(PutFault::any(), 0..20),
        letter_faults in 0_usize..4,
        table_script in prop::collection::vec(any::<bool>(), 0..20),
    ) {
        let data: Vec<String> = orders.iter().enumerate().map(|(n, (key, records, fails))| {
            serde_json::json!({"key": key, "records": records, "fails": fails, "n": n}).to_string()
        }).collect();
        let bench = Bench {
            publisher: FakePublisher::with_script(script),
            letters: FakeDeadLetters::failing(letter_faults),
            gates: FakeGates { table: FakeSeenKeys::with_script(table_script), ..FakeGates::default() },
            system: FakeSystem::new(),
        };
        let (mut from, mut counted) = (0, Counters::default());
        for _ in 0..200 {
            let report = bench.run(&IN_TABLE, &data[from..]);
            counted.add(&report.stats.counters);
            from = report.resume_at.map_or(data.len(), |index| from + index);
            if from == data.len() { break }
        }
        prop_assert_eq!(from, data.len(), "the batch ends once the faults do");
        let Counters { received, forwarded, filtered, deduplicated, dead_lettered, .. } = counted;
        prop_assert_eq!(received, data.len() as u64);
        prop_assert_eq!(received, forwarded + filtered + deduplicated + dead_lettered);

        let stored = bench.publisher.stored("processed");
        let mut places: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        let mut firsts = Vec::new();
        for (line, _) in &stored {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let (n, nth) = (record["of"]["n"].as_u64().unwrap() as usize, record["nth"].as_u64().unwrap() as usize);
            if places.entry(n).or_default().insert(nth) && nth == 0 { firsts.push(n) }
        }
        prop_assert!(firsts.is_sorted(), "order: {:?}", firsts);
        let letters: BTreeSet<String> = bench.letters.stored("dead").into_iter().map(|letter| letter.original_base64).collect();
        let mut keys: BTreeSet<u8> = BTreeSet::new();
        for (n, (key, records, fails)) in orders.iter().enumerate() {
            let was_seen = key.is_some_and(|key| keys.contains(&key));
            let whole: BTreeSet<usize> = (0..*records).collect();
            let is_whole = places.get(&n).cloned().unwrap_or_default() == whole;
            if *fails {
                prop_assert!(was_seen || letters.contains(&BASE64_STANDARD.encode(&data[n])), "{} is no dead letter", n);
            } else {
                prop_assert!(was_seen || is_whole, "lost {}", n);
                if *records > 0 { keys.extend(key) }
            }
        }
    }
}
