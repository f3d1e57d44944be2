//! The function on fakes, and one stream `refuse-trucks/1` of the owner `waste`, which wants an event time at `$.time`.

use std::sync::Arc;

use axum::Router;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::access::Scope;
use domain::dead_letter::DeadLetter;
use domain::fakes::{
    FakeApiKeys, FakeDeadLetters, FakeIdempotencyKeys, FakePublisher, FakeRateLeases, FakeStore, FakeSystem, FakeVerificationKeys,
    PutFault, active_stream,
};
use domain::ingest::PreparedIntakes;
use domain::lifecycle::Status;
use domain::limits::PUT_ATTEMPTS;
use domain::outcome::RetryReason;
use domain::publish::{EventPublisher, PutResult, Record};
use domain::rate_lease::SharedRateLimiter;
use domain::record::StreamRecord;
use http_edge::Authenticator;
use http_edge::testing::{Answer, TestIssuer, event, send};
use ingest_events::context::Context;
use ingest_events::routes;
use serde_json::{Value, json};

/// okdata's route.
pub(crate) const EVENTS: &str = "/streams/refuse-trucks/1/events";
/// Moose's route to the newest version.
pub(crate) const INGEST: &str = "/ingest/refuse-trucks";
/// Moose's route to one version.
pub(crate) const INGEST_VERSION: &str = "/ingest/refuse-trucks/1";
/// Amperity's route.
pub(crate) const DATA: &str = "/stream/v0/data/is-00000000";
/// Every route that takes batches.
pub(crate) const ROUTES: [&str; 3] = [EVENTS, INGEST, INGEST_VERSION];
/// Where the stream's events go.
pub(crate) const RAW_STREAM: &str = "dp.green.refuse-trucks.raw.1.json";
/// An event that the stream takes.
pub(crate) const TRUCK: &str = r#"{"time":"2018-02-07T01:26:13.840Z","truck":"rubbish 17","litres":240}"#;

/// The function and everything behind it.
pub(crate) struct Bench {
    pub(crate) issuer: TestIssuer,
    pub(crate) keys: Arc<FakeVerificationKeys>,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) publisher: Arc<FakePublisher>,
    pub(crate) letters: Arc<FakeDeadLetters>,
    pub(crate) leases: Arc<FakeRateLeases>,
    pub(crate) answers: Arc<FakeIdempotencyKeys>,
    pub(crate) system: Arc<FakeSystem>,
    router: Router,
}

impl Bench {
    /// Kinesis works.
    pub(crate) fn new() -> Self {
        Self::with_script([])
    }

    /// Kinesis fails by the script, one fault a call; then it works.
    pub(crate) fn with_script(script: impl IntoIterator<Item = PutFault>) -> Self {
        let issuer = TestIssuer::default();
        let keys = Arc::new(FakeVerificationKeys::new(vec![issuer.public_key()]));
        let store = Arc::new(FakeStore::default());
        store.insert(active_stream("refuse-trucks", "1", "waste"));
        let publisher = Arc::new(FakePublisher::with_script(script));
        let letters = Arc::new(FakeDeadLetters::default());
        let (leases, answers) = (Arc::new(FakeRateLeases::default()), Arc::new(FakeIdempotencyKeys::default()));
        let system = Arc::new(FakeSystem::new());
        let context = Context {
            intakes: Arc::new(PreparedIntakes::new(store.clone(), store.clone(), rules::event_rules::compile, system.clone())),
            publisher: publisher.clone(),
            dead_letters: letters.clone(),
            limiter: Arc::new(SharedRateLimiter::new(leases.clone())),
            keys: answers.clone(),
            authenticator: Arc::new(Authenticator::new(issuer.trust(keys.clone(), Arc::new(FakeApiKeys::default())), system.clone())),
            system: system.clone(),
        };
        Self { issuer, keys, store, publisher, letters, leases, answers, system, router: routes::app(context) }
    }

    /// The recorded event of a `POST` with a token that may send events.
    pub(crate) fn request(&self, path: &str, body: &str) -> Value {
        event("POST", path, Some(&self.issuer.token("waste", &[Scope::Ingest])), Some(body))
    }

    /// Posts a body with a token that may send events.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(&self.request(path, body)).await
    }

    /// Sends any recorded event.
    pub(crate) async fn send(&self, event: &Value) -> Answer {
        send(&self.router, event).await
    }

    /// How often AWS was called: the table, Kinesis, the signing keys.
    pub(crate) fn aws_calls(&self) -> (usize, usize, usize) {
        (self.store.calls(), self.publisher.calls().len(), self.keys.loads())
    }

    /// The events on a raw stream, without their partition keys.
    pub(crate) fn stored(&self, raw_stream: &str) -> Vec<String> {
        self.publisher.stored(raw_stream).into_iter().map(|(data, _)| data).collect()
    }
}

/// The stream, in another status.
pub(crate) fn stream_in(status: Status) -> StreamRecord {
    let mut record = active_stream("refuse-trucks", "1", "waste");
    record.stack.status = status;
    record
}

/// An event of exactly this many bytes.
pub(crate) fn event_of(bytes: usize) -> String {
    let (head, tail) = (r#"{"time":"2018-02-07T01:26:13Z","x":""#, r#""}"#);
    format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len()))
}

/// An array of this many events.
pub(crate) fn batch_of(count: usize) -> String {
    let events: Vec<String> = (0..count).map(|n| format!(r#"{{"time":"2018-02-07T01:26:13Z","n":{n}}}"#)).collect();
    format!("[{}]", events.join(","))
}

/// What a client sees of an answer.
pub(crate) fn shown(answer: &Answer) -> String {
    answer.shown()
}

impl Bench {
    /// Gives the stream this `input` section in place of its own.
    pub(crate) fn declare(&self, input: Value) {
        let mut record = active_stream("refuse-trucks", "1", "waste");
        record.document.input = serde_json::from_value(input).unwrap();
        self.store.insert(record);
    }

    /// Another instance of the function, with this publisher, on the same table.
    pub(crate) fn instance_with(&self, publisher: Arc<dyn EventPublisher>) -> Router {
        let (store, system) = (self.store.clone(), self.system.clone());
        let trust = self.issuer.trust(self.keys.clone(), Arc::new(FakeApiKeys::default()));
        routes::app(Context {
            intakes: Arc::new(PreparedIntakes::new(store.clone(), store, rules::event_rules::compile, system.clone())),
            publisher,
            dead_letters: self.letters.clone(),
            limiter: Arc::new(SharedRateLimiter::new(self.leases.clone())),
            keys: self.answers.clone(),
            authenticator: Arc::new(Authenticator::new(trust, system.clone())),
            system,
        })
    }

    /// The recorded event of a `POST` whose body API Gateway takes for bytes, as it does with every body that is encoded.
    pub(crate) fn request_of_bytes(&self, path: &str, body: &[u8]) -> Value {
        let mut request = self.request(path, &BASE64_STANDARD.encode(body));
        request["isBase64Encoded"] = json!(true);
        with_header(request, "content-length", &body.len().to_string())
    }

    /// The stream's dead letters.
    pub(crate) fn kept_letters(&self) -> Vec<DeadLetter> {
        self.letters.stored("mr-test-dead-letters-refuse-trucks-1")
    }
}

/// A publisher with a bug.
pub(crate) struct BrokenPublisher;

impl BrokenPublisher {
    /// What it says when it panics.
    pub(crate) const LAST_WORDS: &str = "shard map is poisoned";
}

#[async_trait::async_trait]
impl EventPublisher for BrokenPublisher {
    async fn put(&self, _: &str, _: &[Record<'_>]) -> Result<Vec<PutResult>, RetryReason> {
        panic!("{}", Self::LAST_WORDS)
    }
}

/// A fault that lasts until the function gives one call up.
pub(crate) fn lasting(fault: PutFault) -> Vec<PutFault> {
    vec![fault; PUT_ATTEMPTS as usize]
}

/// The same request with a header.
pub(crate) fn with_header(mut request: Value, name: &str, value: &str) -> Value {
    request["headers"][name] = json!(value);
    request
}

/// What became of each event of a batch.
pub(crate) fn fates(answer: &Answer) -> Vec<&str> {
    let results = answer.body["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    results.iter().map(|result| result["status"].as_str().unwrap_or_default()).collect()
}

/// Where these faults stand, in alphabetical order.
pub(crate) fn pointers(faults: &Value) -> Vec<&str> {
    let faults = faults.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut pointers: Vec<&str> = faults.iter().map(|fault| fault["pointer"].as_str().unwrap_or_default()).collect();
    pointers.sort_unstable();
    pointers
}

/// The bytes of the event that a dead letter keeps.
pub(crate) fn original(letter: &DeadLetter) -> Vec<u8> {
    BASE64_STANDARD.decode(&letter.original_base64).unwrap()
}
