//! A batch of 1,000 events from Lambda's JSON to `PutRecords`, which takes everything at once: events a second on one core.
//!
//! Beside it stands the same mapping written by hand over `serde_json`, with the event type of `aws_lambda_events`: the limit for a stream
//! that rebuilds its events.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark stops at what it did not expect")]

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

use aws_lambda_events::event::kinesis::KinesisEvent;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::fakes::{FakeDeadLetters, FakeGates, FakeSystem, active_stream};
use domain::outcome::RetryReason;
use domain::process::{Pipeline, RawRecord, Route};
use domain::publish::{Deadline, EventPublisher, PutResult, Record};
use domain::system::System;
use pipeline::Resources;
use pipeline::run::Compiled;
use process_stream::event::KinesisBatch;
use process_stream::handler::raw_records;
use serde_json::{Value, json};

const EVENTS: usize = 1_000;

const MAPPING: &str = ".speed_ms = to_float!(.kmh) / 3.6\n.truck = upcase!(.truck)\ndel(.internal)";

/// Takes everything at once.
struct Taker;

#[async_trait::async_trait]
impl EventPublisher for Taker {
    async fn put(&self, _: &str, records: &[Record<'_>]) -> Result<Vec<PutResult>, RetryReason> {
        for record in records {
            // What the SDK does with it: the bytes become a blob of its own.
            black_box((record.data.to_vec(), record.partition_key.to_owned()));
        }
        Ok(vec![Ok(()); records.len()])
    }
}

fn event(n: usize) -> String {
    format!(
        r#"{{"id":"4f8e-{n:06}","time":"2018-02-07T01:26:13.840Z","truck":"rubbish {n}","kmh":{}.5,"litres":240.25,"internal":"x","at":{{"lat":59.9139,"lon":10.7522}}}}"#,
        n % 90
    )
}

fn xml(n: usize) -> String {
    let (id, time, kmh) = (format!("4f8e-{n:06}"), "2018-02-07T01:26:13.840Z", n % 90);
    format!(
        "<truck><record><id>{id}</id><time>{time}</time><name>rubbish {n}</name><kmh>{kmh}</kmh><at><lat>59.9139</lat><lon>10.7522</lon></at></record></truck>"
    )
}

/// A batch as Lambda hands it over.
fn payload(events: impl Iterator<Item = String>) -> Vec<u8> {
    let record = |(n, event): (usize, String)| {
        json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": format!("{n:016x}"),
                "sequenceNumber": format!("49590338271490256608559692538361571095921575989136{n:06}"),
                "data": BASE64_STANDARD.encode(event),
                "approximateArrivalTimestamp": 1_767_225_598.107,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": format!("shardId-000000000000:49590338271490256608559692538361571095921575989136{n:06}"),
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::000000000000:role/mr-millrace-process-stream",
            "awsRegion": "eu-west-1",
            "eventSourceARN": "arn:aws:kinesis:eu-west-1:000000000000:stream/dp.green.refuse-trucks.raw.1.json",
        })
    };
    json!({"Records": events.enumerate().map(record).collect::<Vec<_>>()}).to_string().into_bytes()
}

fn route(format: &str, processors: Value) -> Route {
    let mut record = active_stream("refuse-trucks", "1", "waste");
    record.document.input.format = serde_json::from_value(json!(format)).unwrap();
    record.document.pipeline.processors = serde_json::from_value(processors).unwrap();
    record.route()
}

/// Waits for what never has to.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

/// Ours.
fn process(payload: &[u8], route: &Route, compiled: Option<&Compiled>, system: &FakeSystem) -> u64 {
    let batch: KinesisBatch = serde_json::from_slice(payload).unwrap();
    let records: Vec<RawRecord<'_>> = raw_records(&batch.records);
    let (letters, gates) = (FakeDeadLetters::default(), FakeGates::default());
    let pipeline = Pipeline {
        processors: compiled.map(|compiled| compiled as _),
        gatekeeper: gates.keeper(),
        publisher: &Taker,
        dead_letters: &letters,
        system,
    };
    let deadline = Deadline::before_invocation_end(system.now() + std::time::Duration::from_secs(60));
    ready(pipeline.process_batch(route, &records, "request", deadline)).stats.counters.forwarded
}

/// By hand.
fn by_hand(payload: &[u8]) -> u64 {
    let batch: KinesisEvent = serde_json::from_slice(payload).unwrap();
    let mut lines = Vec::with_capacity(batch.records.len());
    for record in &batch.records {
        let Ok(Value::Object(mut event)) = serde_json::from_slice(&record.kinesis.data.0) else { panic!("an object") };
        let speed = event["kmh"].as_f64().unwrap() / 3.6;
        event.insert("speed_ms".to_owned(), json!(speed));
        let truck = event["truck"].as_str().unwrap().to_uppercase();
        event.insert("truck".to_owned(), Value::String(truck));
        event.remove("internal");
        let mut line = serde_json::to_vec(&event).unwrap();
        line.push(b'\n');
        lines.push(line);
    }
    let key = |nth: usize| batch.records[nth].kinesis.partition_key.as_str();
    let records: Vec<Record<'_>> = lines.iter().enumerate().map(|(nth, data)| Record { data, partition_key: key(nth) }).collect();
    ready(Taker.put("processed", &records)).unwrap().len() as u64
}

fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch of 1,000");
    group.throughput(Throughput::Elements(EVENTS as u64));
    let (json_payload, xml_payload) = (payload((0..EVENTS).map(event)), payload((0..EVENTS).map(xml)));
    let schema =
        json!({"required": ["id", "time", "kmh"], "properties": {"kmh": {"type": "number", "minimum": 0}, "truck": {"type": "string"}}});
    let system = Arc::new(FakeSystem::new());
    for (name, format, processors) in [
        ("pass through", "json", json!([])),
        ("mapping of three statements", "json", json!([{"mapping": MAPPING}])),
        ("mapping and validate", "json", json!([{"mapping": MAPPING}, {"validate": {"schema": schema}}])),
        ("xml to cbor", "xml", json!([])),
    ] {
        let route = route(format, processors);
        let compiled = Compiled::new(&route, &Resources::new()).unwrap();
        let payload = if format == "xml" { &xml_payload } else { &json_payload };
        assert_eq!(process(payload, &route, compiled.as_ref(), &system), EVENTS as u64);
        group.bench_function(name, |bencher| bencher.iter(|| process(black_box(payload), &route, compiled.as_ref(), &system)));
    }
    assert_eq!(by_hand(&json_payload), EVENTS as u64);
    group.bench_function("mapping of three statements, by hand", |bencher| bencher.iter(|| by_hand(black_box(&json_payload))));
    group.bench_function("batch taken in, by hand", |bencher| {
        bencher.iter(|| serde_json::from_slice::<KinesisEvent>(black_box(&json_payload)).unwrap().records.len());
    });
    group.bench_function("batch taken in", |bencher| {
        bencher.iter(|| serde_json::from_slice::<KinesisBatch>(black_box(&json_payload)).unwrap().records.len());
    });
    group.finish();
}

criterion_group!(benches, batches);
criterion_main!(benches);
