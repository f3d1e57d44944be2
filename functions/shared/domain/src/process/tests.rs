//! Batches against fakes of everything around them.

use super::*;
use crate::fakes::{FakeDeadLetters, FakeGates, FakePublisher, FakeSystem, PutFault, block_on};
use crate::stats::Counters;
use proptest::prelude::*;
use std::time::Duration;
use time::macros::datetime;

/// Three seconds before the fake clock's start.
pub(super) const ARRIVED: OffsetDateTime = datetime!(2025-12-31 23:59:57 UTC);

/// Records read, forwarded and dead-lettered, and the first that must come again.
fn fates(report: &BatchReport) -> (usize, u64, u64, Option<usize>) {
    (report.read, report.stats.counters.forwarded, report.stats.counters.dead_lettered, report.resume_at)
}

pub(super) fn route() -> Route {
    Route {
        processed_stream: "processed".into(),
        dead_letter_stream: "dead".into(),
        stream: None,
        ingest_id: None,
        owner: None,
        format: Format::Json,
        event_id: None,
        processors: Vec::new(),
        timestamp: None,
    }
}

fn run(data: &[String], publisher: &FakePublisher, letters: &FakeDeadLetters, seconds_left: u64) -> BatchReport {
    let numbers: Vec<String> = (0..data.len()).map(|n| n.to_string()).collect();
    let records: Vec<RawRecord<'_>> = data
        .iter()
        .zip(&numbers)
        .map(|(data, number)| RawRecord { data: data.as_bytes(), partition_key: number, sequence_number: number, arrived_at: ARRIVED })
        .collect();
    let system = FakeSystem::new();
    let deadline = Deadline::before_invocation_end(system.now() + Duration::from_secs(seconds_left));
    let gates = FakeGates::default();
    let pipeline = Pipeline { processors: None, gatekeeper: gates.keeper(), publisher, dead_letters: letters, system: &system };
    block_on(pipeline.process_batch(&route(), &records, "request-1", deadline))
}

fn texts(data: &[&str]) -> Vec<String> {
    data.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn each_event_becomes_one_line() {
    let publisher = FakePublisher::default();
    let report = run(&texts(&["{ \"a\" : 1.0 }", "{\n\"b\":\n2}"]), &publisher, &FakeDeadLetters::default(), 30);
    assert_eq!(fates(&report), (2, 2, 0, None));
    assert_eq!(publisher.calls(), [["{\"a\":1.0}\n", "{\"b\":2}\n"]]);
}

#[test]
fn a_poison_record_becomes_a_dead_letter_and_blocks_nothing() {
    let publisher = FakePublisher::default();
    let letters = FakeDeadLetters::default();
    let report = run(&texts(&["{}", "not json", "[1]", "{\"b\":2}"]), &publisher, &letters, 30);
    assert_eq!(fates(&report), (4, 2, 2, None));
    let kept = letters.stored("dead");
    assert_eq!(kept[0].id.to_string(), "dl-1767225597000-1");
    assert_eq!(kept[0].original_base64, "bm90IGpzb24=");
    assert_eq!(kept[0].reason.code, "undecodable");
    assert_eq!(kept[1].reason.detail, "not a JSON object");
    assert_eq!(kept[1].request_id, "request-1");
}

#[test]
fn an_event_without_the_time_by_which_sinks_partition_goes_no_further() {
    let (publisher, letters, system, gates) =
        (FakePublisher::default(), FakeDeadLetters::default(), FakeSystem::new(), FakeGates::default());
    let timestamp = Some(EventTime { path: "$.time".parse().unwrap(), format: TimestampFormat::Rfc3339 });
    let record = |data, sequence_number| RawRecord { data, partition_key: "key", sequence_number, arrived_at: ARRIVED };
    let records = [record(br#"{"time":"2026-01-01T00:00:00Z"}"#, "1"), record(b"{}", "2")];
    let pipeline =
        Pipeline { processors: None, gatekeeper: gates.keeper(), publisher: &publisher, dead_letters: &letters, system: &system };
    let deadline = Deadline::before_invocation_end(system.now() + Duration::from_secs(30));
    let report = block_on(pipeline.process_batch(&Route { timestamp, ..route() }, &records, "request-1", deadline));
    assert_eq!(fates(&report), (2, 1, 1, None));
    assert_eq!(letters.stored("dead")[0].reason.code, "timestamp");
}

#[test]
fn a_transient_fault_reports_the_first_record_that_must_come_again() {
    let publisher = FakePublisher::with_script(vec![
        PutFault::PartialFailure(vec![1]),
        PutFault::Throttle,
        PutFault::Throttle,
        PutFault::Throttle,
        PutFault::Throttle,
    ]);
    let report = run(&texts(&["{}", "{\"b\":1}", "{\"c\":1}"]), &publisher, &FakeDeadLetters::default(), 30);
    assert_eq!(fates(&report), (3, 1, 0, Some(1)));
}

#[test]
fn a_dead_letter_that_cannot_be_kept_comes_again() {
    let letters = FakeDeadLetters::failing(1);
    let publisher = FakePublisher::default();
    let report = run(&texts(&["{}", "bad", "{\"c\":1}"]), &publisher, &letters, 30);
    assert_eq!(fates(&report), (3, 1, 0, Some(1)));
    assert_eq!(publisher.calls(), [["{}\n"]], "what comes again is not sent twice");
}

#[test]
fn a_batch_stops_before_its_time_is_up() {
    let publisher = FakePublisher::default();
    let report = run(&texts(&["{}"]), &publisher, &FakeDeadLetters::default(), 1);
    assert_eq!(fates(&report), (1, 0, 0, Some(0)));
    assert!(publisher.calls().is_empty());
}

#[test]
fn what_is_done_is_counted_once_and_what_was_written_as_often_as_it_was() {
    let letters = FakeDeadLetters::default();
    let publisher = FakePublisher::with_script(vec![
        PutFault::PartialFailure(vec![1]),
        PutFault::Throttle,
        PutFault::Throttle,
        PutFault::Throttle,
        PutFault::Throttle,
    ]);
    let data = texts(&["{ \"a\": 1 }", "bad", "{\"b\":1}", "{\"c\":1}", "worse"]);
    let first = run(&data, &publisher, &letters, 30);
    assert_eq!((fates(&first), first.stats.latency.total()), ((5, 1, 1, Some(2)), 2));
    let counters = first.stats.counters;
    assert_eq!((counters.received, counters.received_bytes), (2, 13), "the other three come again");
    assert_eq!((counters.sent, counters.sent_bytes, counters.letters_sent), (2, 16, 2), "c and the second letter will be there twice");
    let error = first.stats.last_error.unwrap();
    assert_eq!(
        (error.code.as_str(), error.detail.as_str()),
        ("throttled", "the processed stream is at its limit; the rest of the batch comes again")
    );

    let second = run(&data[2..], &publisher, &letters, 30);
    assert_eq!(fates(&second), (3, 2, 1, None));
    assert_eq!(counters.received + second.stats.counters.received, 5);
    assert_eq!(second.stats.last_error.map(|error| error.code), Some("undecodable".to_owned()));
}

#[test]
fn latency_is_taken_from_arrival_and_the_age_from_the_newest_record() {
    let report = run(&texts(&["{}", "bad"]), &FakePublisher::default(), &FakeDeadLetters::default(), 30);
    assert_eq!(report.stats.latency.buckets().map(|(_, count)| count).collect::<Vec<_>>(), [2]);
    let p50 = report.stats.latency.quantile(500).unwrap();
    assert!(p50.abs_diff(3_000) <= 375, "{p50}");
    assert_eq!((report.stats.iterator_age, report.stats.last_event_at), (Duration::from_secs(3), Some(ARRIVED)));
}

#[test]
fn a_dead_letter_that_is_not_kept_is_the_last_error() {
    let report = run(&texts(&["{}", "bad"]), &FakePublisher::default(), &FakeDeadLetters::failing(1), 30);
    assert_eq!((report.stats.counters.letters_sent, report.stats.counters.received), (0, 1));
    let detail = report.stats.last_error.unwrap().detail;
    assert_eq!(detail, "the delivery stream for dead letters did not take a record; the rest of the batch comes again");
}

proptest! {
    /// Redelivering from `resume_at` until the batch is done loses nothing, whatever fails on the way.
    #[test]
    fn nothing_is_lost_under_any_faults(
        kinds in prop::collection::vec(any::<bool>(), 1..700),
        script in prop::collection::vec(PutFault::any(), 0..20),
        letter_faults in 0_usize..4,
    ) {
        let data: Vec<String> = kinds.iter().enumerate().map(|(n, good)| if *good { format!("{{\"n\":{n}}}") } else { format!("bad-{n}") }).collect();
        let publisher = FakePublisher::with_script(script);
        let letters = FakeDeadLetters::failing(letter_faults);
        let mut from = 0;
        let mut counted = Counters::default();
        for _ in 0..100 {
            let report = run(&data[from..], &publisher, &letters, 30);
            counted.add(&report.stats.counters);
            match report.resume_at {
                Some(index) => from += index,
                None => { from = data.len(); break }
            }
        }
        prop_assert_eq!(from, data.len(), "the batch ends once the faults do");
        let good = kinds.iter().filter(|good| **good).count() as u64;
        prop_assert_eq!((counted.received, counted.forwarded, counted.dead_lettered), (data.len() as u64, good, data.len() as u64 - good));
        prop_assert!(counted.sent >= good && counted.sent <= publisher.stored("processed").len() as u64);
        prop_assert_eq!(counted.letters_sent, letters.stored("dead").len() as u64);
        let forwarded: std::collections::HashSet<String> = publisher.stored("processed").into_iter().map(|(data, _)| data).collect();
        let kept: std::collections::HashSet<String> = letters.stored("dead").into_iter().map(|letter| letter.original_base64).collect();
        for (text, good) in data.iter().zip(&kinds) {
            let is_safe = if *good { forwarded.contains(&format!("{text}\n")) } else { kept.contains(&BASE64_STANDARD.encode(text)) };
            prop_assert!(is_safe, "lost {}", text);
        }
    }
}
