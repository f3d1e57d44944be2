//! Any bytes as a request's body, on every way in: they are decoded, split, checked and put on fakes of AWS.
//!
//! `make fuzz` runs it. The first byte of an input chooses what the body is said to be, the second how it is encoded.

#![no_main]

use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::extract::FromRequest;
use domain::fakes::{FakeDeadLetters, FakePublisher, FakeRateLeases, FakeSystem, active_stream, block_on};
use domain::ingest::{Door, Intake, split};
use domain::input::{Format, Input};
use domain::outcome::Outcome;
use domain::publish::Deadline;
use domain::rate_lease::SharedRateLimiter;
use domain::system::System;
use http::Request;
use http_edge::EventBody;
use libfuzzer_sys::fuzz_target;

/// What bodies are said to be; the last stands for a CloudEvent whose attributes are headers.
const MEDIA_TYPES: [&str; 6] = [
    "application/json",
    "application/x-ndjson",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/octet-stream",
    "text/plain",
];

/// A stream with a rule of every kind.
static INTAKE: LazyLock<Intake> = LazyLock::new(|| {
    let input: Input = serde_json::from_value(serde_json::json!({
        "schema": {"properties": {"n": {"type": "integer", "maximum": 9}, "at": {"format": "date-time"}}, "required": ["n"]},
        "partition_key": "$.n",
        "event_id": "$..id",
        "timestamp": "$.time",
    }))
    .expect("an input");
    let rules = rules::event_rules::compile(&input).expect("rules");
    let mut record = active_stream("refuse-trucks", "1", "waste");
    record.document.input = input;
    Intake { record, rules, limit: None }
});

fuzz_target!(|input: &[u8]| {
    let [media_type, encoding, body @ ..] = input else { return };
    let media_type = MEDIA_TYPES[usize::from(*media_type) % MEDIA_TYPES.len()];
    let mut request = Request::post("/").header("content-type", media_type);
    if media_type == "text/plain" {
        request = request.header("ce-specversion", "1.0").header("ce-id", "1").header("ce-source", "/fuzz").header("ce-type", "fuzzed");
    }
    request = match encoding % 3 {
        0 => request,
        1 => request.header("content-encoding", "gzip"),
        _ => request.header("content-encoding", "zstd"),
    };
    let request = request.body(Body::from(body.to_vec())).expect("a request");
    let Ok(sent) = block_on(EventBody::from_request(request, &()));
    let Ok(sent) = block_on(sent.read(Format::Json)) else { return };
    let Ok(batch) = split(&sent.body, sent.form) else { return };

    let (publisher, letters, system) = (FakePublisher::default(), FakeDeadLetters::default(), FakeSystem::new());
    let limiter = SharedRateLimiter::new(Arc::new(FakeRateLeases::default()));
    let deadline = Deadline::before_invocation_end(system.now() + std::time::Duration::from_secs(30));
    let door = Door {
        intake: &INTAKE,
        publisher: &publisher,
        dead_letters: &letters,
        limiter: &limiter,
        system: &system,
        deadline,
        request_id: "fuzz",
        is_dry_run: false,
    };
    let receipt = block_on(door.accept(&batch));
    assert_eq!(receipt.results.len(), batch.events.len(), "one result an event");
    let stored = publisher.stored("dp.green.refuse-trucks.raw.1.json");
    let accepted = receipt.results.iter().zip(&batch.events).filter(|(result, _)| result.outcome == Outcome::Accepted);
    let accepted: Vec<&[u8]> = accepted.map(|(_, event)| event.bytes()).collect();
    assert_eq!(stored.iter().map(|(data, _)| data.as_bytes()).collect::<Vec<_>>(), accepted, "what is accepted is there, byte for byte");
    let kept = receipt.results.iter().filter(|result| matches!(result.outcome, Outcome::DeadLetter(_))).count();
    assert_eq!(letters.stored(&INTAKE.record.resources.dead_letter_stream).len(), kept, "and so is what was kept");
});
