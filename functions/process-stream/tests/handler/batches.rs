//! Batches from Lambda's Kinesis mapping: a recorded one in, the answer out.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::fakes::{FakeDeadLetters, PutFault, StatsFault, active_stream};
use domain::limits::{CONFIG_CACHE_TTL, PUT_ATTEMPTS, STATS_TIME};
use domain::store::StreamWriter;
use domain::system::System;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::bench::{Bench, DEAD_LETTERS};

/// The batch's records become these lines, each with its partition key.
const LINES: [(&str, &str); 3] = [
    ("{\"time\":\"2018-02-07T01:26:13.840Z\",\"truck\":\"rubbish 17\",\"litres\":240.0}\n", "3f1c0d54a6b7"),
    ("{\"time\":\"2018-02-07T01:26:14Z\",\"truck\":\"rubbish 18\",\"litres\":120}\n", "a90be1f2c377"),
    ("{\"time\":\"2018-02-07T01:26:15Z\",\"truck\":\"glass 3 \\u00f8\",\"litres\":60}\n", "07c4de5b88aa"),
];

/// Three records of `refuse-trucks/1`, as Lambda hands them over.
pub(crate) fn batch() -> Value {
    serde_json::from_str(include_str!("fixtures/kinesis-batch.json")).unwrap()
}

/// The same batch, with other bytes in one record.
pub(crate) fn batch_with(index: usize, data: &[u8]) -> Value {
    let mut batch = batch();
    batch["Records"][index]["kinesis"]["data"] = json!(BASE64_STANDARD.encode(data));
    batch
}

fn sequence_number(index: usize) -> String {
    batch()["Records"][index]["kinesis"]["sequenceNumber"].as_str().unwrap().to_owned()
}

/// What Lambda reads as: done up to this record, send it and all after it again.
fn again_from(index: usize) -> Value {
    json!({"batchItemFailures": [{"itemIdentifier": sequence_number(index)}]})
}

pub(crate) fn all_done() -> Value {
    json!({"batchItemFailures": []})
}

fn owned(lines: &[(&str, &str)]) -> Vec<(String, String)> {
    lines.iter().map(|(line, key)| ((*line).to_owned(), (*key).to_owned())).collect()
}

#[tokio::test]
async fn each_event_becomes_one_line_with_its_partition_key() {
    let bench = Bench::new();
    assert_eq!(bench.send(&batch()).await.unwrap(), all_done());
    assert_eq!(bench.forwarded(), owned(&LINES));
    assert_eq!(bench.publisher.calls().len(), 1);
    assert!(bench.letters.stored(DEAD_LETTERS).is_empty());
}

#[tokio::test]
async fn a_poison_record_becomes_a_dead_letter_and_its_neighbours_go_on() {
    let bench = Bench::new();
    assert_eq!(bench.send(&batch_with(1, b"not json\xff")).await.unwrap(), all_done());
    assert_eq!(bench.forwarded(), owned(&[LINES[0], LINES[2]]));
    let letters = bench.letters.stored(DEAD_LETTERS);
    assert_eq!(BASE64_STANDARD.decode(&letters[0].original_base64).unwrap(), b"not json\xff");
    assert_snapshot!(serde_json::to_string_pretty(&letters).unwrap(), @r#"
    [
      {
        "id": "dl-1767225598321-49590338271490256608559692538361571095921575989136587411",
        "stream": "refuse-trucks/1",
        "source": "pipeline",
        "reason": {
          "code": "undecodable",
          "detail": "not UTF-8 at byte 8"
        },
        "first_time": "2025-12-31T23:59:58.321Z",
        "time": "2026-01-01T00:00:00Z",
        "attempts": 1,
        "request_id": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "content_type": "application/json",
        "partition_key": "a90be1f2c377",
        "original_base64": "bm90IGpzb27/"
      }
    ]
    "#);
}

#[tokio::test]
async fn every_kind_of_poison_is_kept_with_its_reason() {
    for (data, code, detail) in [
        (&b""[..], "undecodable", "not JSON: "),
        (b"{\"truck\":", "undecodable", "not JSON: "),
        (b"[1,2]", "undecodable", "not a JSON object"),
        (b"{} {}", "undecodable", "not JSON: "),
        (b"\x1f\x8b\x08", "undecodable", "not UTF-8 at byte 1"),
    ] {
        let bench = Bench::new();
        assert_eq!(bench.send(&batch_with(0, data)).await.unwrap(), all_done(), "{data:?}");
        let letter = &bench.letters.stored(DEAD_LETTERS)[0];
        assert_eq!((letter.reason.code.as_str(), letter.id.event()), (code, sequence_number(0).as_str()));
        assert!(letter.reason.detail.starts_with(detail), "{data:?}: {}", letter.reason.detail);
        assert_eq!(bench.forwarded(), owned(&LINES[1..]), "{data:?}");
    }
}

#[tokio::test]
async fn a_record_that_fails_for_a_moment_is_sent_again_at_once() {
    let bench = Bench::with_faults([PutFault::PartialFailure(vec![1]), PutFault::Throttle], FakeDeadLetters::default());
    assert_eq!(bench.send(&batch()).await.unwrap(), all_done());
    let mut forwarded = bench.forwarded();
    forwarded.sort();
    forwarded.dedup();
    let mut expected = owned(&LINES);
    expected.sort();
    assert_eq!(forwarded, expected);
}

#[tokio::test]
async fn a_fault_that_stays_is_answered_with_the_first_record_that_must_come_again() {
    let mut script = vec![PutFault::PartialFailure(vec![1])];
    script.resize(PUT_ATTEMPTS as usize, PutFault::Throttle);
    let bench = Bench::with_faults(script, FakeDeadLetters::default());
    let answer = bench.send(&batch()).await.unwrap();
    assert_eq!(answer, again_from(1));
    assert_snapshot!(answer, @r#"{"batchItemFailures":[{"itemIdentifier":"49590338271490256608559692538361571095921575989136587411"}]}"#);

    // Lambda sends the batch again from there.
    let mut rest = batch();
    rest["Records"].as_array_mut().unwrap().remove(0);
    assert_eq!(bench.send(&rest).await.unwrap(), all_done());
    assert!(owned(&LINES).iter().all(|line| bench.forwarded().contains(line)), "nothing is lost");
}

#[tokio::test]
async fn a_kinesis_that_takes_nothing_gives_the_whole_batch_back() {
    for fault in [PutFault::Throttle, PutFault::Unavailable] {
        let bench = Bench::with_faults(vec![fault; PUT_ATTEMPTS as usize], FakeDeadLetters::default());
        assert_eq!(bench.send(&batch()).await.unwrap(), again_from(0));
        assert!(bench.forwarded().is_empty());
    }
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_kept_comes_again_with_all_after_it() {
    let bench = Bench::with_faults([], FakeDeadLetters::failing(1));
    let batch = batch_with(1, b"not json");
    assert_eq!(bench.send(&batch).await.unwrap(), again_from(1));
    assert_eq!(bench.forwarded(), owned(&LINES[..1]), "what comes again is not sent twice");
    assert!(bench.letters.stored(DEAD_LETTERS).is_empty());

    let mut rest = batch;
    rest["Records"].as_array_mut().unwrap().remove(0);
    assert_eq!(bench.send(&rest).await.unwrap(), all_done());
    assert_eq!(bench.letters.stored(DEAD_LETTERS).len(), 1);
    assert_eq!(bench.forwarded(), owned(&[LINES[0], LINES[2]]));
}

#[tokio::test]
async fn with_nearly_no_time_left_nothing_is_begun() {
    let bench = Bench::new();
    assert_eq!(bench.send_with(&batch(), Duration::from_millis(1_999)).await.unwrap(), again_from(0));
    assert!(bench.publisher.calls().is_empty());
    assert_eq!(bench.send(&batch()).await.unwrap(), all_done());
}

#[tokio::test]
async fn a_batch_without_records_is_done() {
    assert_eq!(Bench::new().send(&json!({"Records": []})).await.unwrap(), all_done());
}

#[tokio::test]
async fn a_stream_that_nobody_knows_is_an_error_and_nothing_is_sent() {
    let bench = Bench::new();
    let mut batch = batch();
    for record in batch["Records"].as_array_mut().unwrap() {
        record["eventSourceARN"] = json!("arn:aws:kinesis:eu-west-1:000000000000:stream/dp.green.no-such-stream.raw.1.json");
    }
    let error = bench.send(&batch).await.unwrap_err();
    assert_eq!(error.to_string(), "no stream is known for dp.green.no-such-stream.raw.1.json");
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_table_that_does_not_answer_is_an_error_and_is_asked_again() {
    let bench = Bench::new();
    bench.store.fail_next(1);
    assert!(bench.send(&batch()).await.is_err());
    assert_eq!(bench.send(&batch()).await.unwrap(), all_done());
}

#[tokio::test]
async fn a_route_is_looked_up_once_for_many_batches() {
    let bench = Bench::new();
    for _ in 0..5 {
        bench.send(&batch()).await.unwrap();
    }
    bench.store.fail_next(1);
    bench.system.advance(CONFIG_CACHE_TTL - Duration::from_millis(1));
    bench.send(&batch()).await.unwrap();
    assert_eq!(bench.store.calls(), 1);
    bench.store.fail_next(0);
    bench.system.advance(Duration::from_millis(1));
    bench.send(&batch()).await.unwrap();
    assert_eq!(bench.store.calls(), 2);
}

#[tokio::test]
async fn a_route_that_was_missing_is_looked_up_at_once() {
    let bench = Bench::new();
    let mut batch = batch();
    for record in batch["Records"].as_array_mut().unwrap() {
        record["eventSourceARN"] = json!("arn:aws:kinesis:eu-west-1:000000000000:stream/dp.green.glass-bins.raw.1.json");
    }
    assert!(bench.send(&batch).await.is_err());
    bench.store.insert(active_stream("glass-bins", "1", "waste"));
    assert_eq!(bench.send(&batch).await.unwrap(), all_done());
    assert_eq!(bench.publisher.stored("dp.green.glass-bins.processed.1.json").len(), 3);
}

#[tokio::test]
async fn a_batch_is_added_to_its_streams_stats_with_one_write() {
    let bench = Bench::new();
    bench.send(&batch_with(1, b"not json")).await.unwrap();
    assert_eq!(bench.store.stats.writes(), 1);
    let stats = bench.stats();
    let counters = stats.counters;
    assert_eq!((counters.received, counters.forwarded, counters.filtered, counters.dead_lettered), (3, 2, 0, 1));
    assert_eq!((counters.sent, counters.letters_sent), (2, 1));
    let bytes: usize = bench.forwarded().iter().map(|(line, _)| line.len()).sum();
    assert_eq!(counters.sent_bytes, bytes as u64);
    assert_eq!(stats.last_error.map(|error| error.code), Some("undecodable".to_owned()));
    assert_eq!(stats.iterator_age, Some(Duration::from_millis(1_230)), "the last record's");
    assert_eq!(stats.last_event_at, Some(bench.system.now() - Duration::from_millis(1_230)));
    assert_eq!((stats.latency.total(), stats.updated_at), (3, Some(bench.system.now())));
}

#[tokio::test]
async fn what_comes_again_is_counted_when_it_is_done() {
    let mut script = vec![PutFault::PartialFailure(vec![1])];
    script.resize(PUT_ATTEMPTS as usize, PutFault::Throttle);
    let bench = Bench::with_faults(script, FakeDeadLetters::default());
    assert_eq!(bench.send(&batch()).await.unwrap(), again_from(1));
    assert_eq!((bench.stats().counters.received, bench.stats().counters.forwarded), (1, 1));
    assert_eq!(bench.stats().last_error.map(|error| error.code), Some("throttled".to_owned()));

    let mut rest = batch();
    rest["Records"].as_array_mut().unwrap().remove(0);
    assert_eq!(bench.send(&rest).await.unwrap(), all_done());
    let counters = bench.stats().counters;
    assert_eq!((counters.received, counters.forwarded), (3, 3));
    assert_eq!(counters.sent, bench.forwarded().len() as u64, "one of them twice");
}

#[tokio::test]
async fn stats_that_cannot_be_written_harm_no_batch_and_are_not_tried_again() {
    for fault in [StatsFault::Fail, StatsFault::Hang] {
        let bench = Bench::new();
        bench.store.stats.fail_next([fault]);
        let before = bench.system.now();
        assert_eq!(bench.send(&batch()).await.unwrap(), all_done(), "{fault:?}");
        assert!(bench.system.now() - before <= STATS_TIME, "{fault:?}");
        assert_eq!((bench.store.stats.writes(), bench.stats().counters.received), (1, 0), "{fault:?}");
        bench.send(&batch()).await.unwrap();
        assert_eq!(bench.stats().counters.received, 3, "{fault:?}");
    }
}

#[tokio::test]
async fn a_batch_that_has_used_up_its_time_is_not_counted() {
    let bench = Bench::new();
    bench.send_with(&batch(), Duration::from_millis(1_999)).await.unwrap();
    assert_eq!(bench.store.stats.writes(), 0);
}

#[tokio::test]
async fn a_stream_that_was_removed_meanwhile_gets_no_new_stats() {
    let bench = Bench::new();
    bench.send(&batch()).await.unwrap();
    let record = active_stream("refuse-trucks", "1", "waste");
    bench.store.remove(&record).await.unwrap();
    assert_eq!(bench.send(&batch()).await.unwrap(), all_done(), "its route is remembered");
    assert_eq!(bench.store.stats.stored(&record.ingest_id), None);
}
