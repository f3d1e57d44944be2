//! Stats: what was counted, by whom it can be read, and when it begins again.

use std::time::Duration;

use domain::access::Scope;
use domain::dead_letter::Reason;
use domain::fakes::active_stream;
use domain::stats::{BatchStats, Counters, LastError, StatsWriter};
use domain::system::System;
use insta::assert_snapshot;
use serde_json::json;

use crate::bench::{Bench, DOCUMENT, S3_SINK, SINKS, STREAM, key};

const STATS: &str = "/streams/refuse-trucks/1/stats";

/// A batch of three events, one of them bad, that the pipeline does two seconds after they arrived.
async fn process_batch(bench: &Bench) {
    let (arrived_at, now) = (bench.system.now(), bench.system.now() + Duration::from_secs(2));
    let mut batch = BatchStats::begun(arrived_at);
    (0..3).for_each(|_| batch.count_event(100, arrived_at, now));
    batch.counters = Counters { forwarded: 2, dead_lettered: 1, sent: 2, sent_bytes: 180, letters_sent: 1, ..batch.counters };
    batch.last_error = Some(LastError::new(now, &Reason { code: "undecodable".into(), detail: "not a JSON object".into() }));
    batch.end(Some(arrived_at), now);
    let record = bench.store.stored(&key("refuse-trucks", "1")).unwrap();
    bench.store.add_batch(&record.ingest_id, &batch).await.unwrap();
}

#[tokio::test]
async fn a_new_stream_has_done_nothing() {
    let bench = Bench::with_stream().await;
    assert_snapshot!(bench.get(STATS).await.shown(), @r#"
    200
    content-type: application/json

    input: {"last_event_at":null,"received":0,"received_bytes":0}
    output: {"dead_letters":{"sent":0},"processed":{"sent":0,"sent_bytes":0},"sinks":{}}
    pipeline: {"dead_lettered":0,"deduplicated":0,"filtered":0,"forwarded":0,"iterator_age_ms":null,"last_error":null,"latency_ms":{"max":null,"p50":null,"p90":null,"p99":null},"processors":{}}
    since: "2026-01-01T00:00:00Z"
    updated_at: null
    "#);
}

#[tokio::test]
async fn what_was_counted_is_shown_with_the_sinks() {
    let bench = Bench::with_sink().await;
    process_batch(&bench).await;
    let answer = bench.get(STATS).await;
    assert_snapshot!(answer.shown(), @r#"
    200
    content-type: application/json

    input: {"last_event_at":"2026-01-01T00:00:04Z","received":3,"received_bytes":300}
    output: {"dead_letters":{"sent":1},"processed":{"sent":2,"sent_bytes":180},"sinks":{"s3":{"status":"ACTIVE"}}}
    pipeline: {"dead_lettered":1,"deduplicated":0,"filtered":0,"forwarded":2,"iterator_age_ms":2000,"last_error":{"at":"2026-01-01T00:00:06Z","code":"undecodable","detail":"not a JSON object"},"latency_ms":{"max":1919,"p50":1919,"p90":1919,"p99":1919},"processors":{}}
    since: "2026-01-01T00:00:00Z"
    updated_at: "2026-01-01T00:00:06Z"
    "#);
    assert_eq!(bench.get("/streams/refuse-trucks/stats").await.body, answer.body, "of the newest version");
}

#[tokio::test]
async fn counters_go_on_through_changes_and_begin_again_with_a_new_stream() {
    let bench = Bench::with_stream().await;
    process_batch(&bench).await;
    let changed = DOCUMENT.replace("Refuse trucks", "Trucks");
    assert_eq!(bench.call("PUT", STREAM, Some(&changed)).await.status, 200);
    bench.finish_stacks();
    bench.make(SINKS, S3_SINK).await;
    process_batch(&bench).await;
    assert_eq!(bench.get(STATS).await.body["input"]["received"], 6);

    bench.delete(&format!("{SINKS}/s3")).await;
    bench.finish_stacks();
    bench.get(STREAM).await;
    assert_eq!(bench.delete(STREAM).await.status, 200);
    assert_eq!(bench.get(STATS).await.body["input"]["received"], 6, "while its deletion runs");
    bench.finish_stacks();
    assert_eq!(bench.get(STATS).await.status, 404);
    bench.make(STREAM, DOCUMENT).await;
    let body = bench.get(STATS).await.body;
    assert_eq!(body["input"], json!({"received": 0, "received_bytes": 0, "last_event_at": null}));
    assert_ne!(body["since"], "2026-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_stream_from_before_there_were_stats_says_that_it_is_not_counted() {
    let bench = Bench::new();
    let record = active_stream("refuse-trucks", "1", "waste");
    bench.store.insert(record.clone());
    bench.store.stats.forget(&record.ingest_id);
    let answer = bench.get(STATS).await;
    assert_eq!((answer.status, &answer.body["since"], &answer.body["input"]["received"]), (200, &json!(null), &json!(0)));
}

#[tokio::test]
async fn a_failed_sink_is_shown_with_its_reason() {
    let bench = Bench::with_stream().await;
    bench.post(SINKS, S3_SINK).await;
    bench.fail_stacks("DeliveryStream: quota exceeded");
    let sinks = bench.get(STATS).await.body["output"]["sinks"].clone();
    assert_eq!(sinks, json!({"s3": {"status": "OPERATION_FAILED", "reason": "DeliveryStream: quota exceeded"}}));
}

#[tokio::test]
async fn whoever_may_read_may_read_stats_and_whoever_manages_may_not() {
    let bench = Bench::with_stream().await;
    for (scope, expected) in [(Scope::Read, 200), (Scope::Admin, 200), (Scope::Manage, 403), (Scope::Ingest, 403)] {
        let token = bench.token("waste", scope);
        assert_eq!(bench.call_as(Some(&token), "GET", STATS, None).await.status, expected, "{scope:?}");
    }
}

#[tokio::test]
async fn a_stats_table_that_does_not_answer_is_503() {
    let bench = Bench::with_stream().await;
    bench.store.fail_after(1);
    assert_eq!(bench.get(STATS).await.status, 503);
    assert_eq!(bench.get(STATS).await.status, 200);
}
