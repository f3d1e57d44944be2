//! The function on fakes, and one stream `refuse-trucks/1` of the owner `waste`, with an event time at `$.time` and an S3 sink.

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use domain::access::Scope;
use domain::fake_objects::{FakeObjects, with_s3_sink};
use domain::fakes::{FakeMarks, FakeRawStreams, FakeStore, FakeSystem, active_stream};
use domain::history::HistoryLimits;
use domain::letters::LetterLimits;
use domain::lifecycle::Status;
use domain::record::StreamRecord;
use http_edge::testing::{Answer, TestIssuer, event, send};
use lambda_http::request::LambdaRequest;
use query_history::context::Context;
use query_history::routes;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;
use tower::ServiceExt;

/// The route of events.
pub(crate) const EVENTS: &str = "/streams/refuse-trucks/1/events";
/// When objects were written.
pub(crate) const WRITTEN: OffsetDateTime = datetime!(2018-02-08 00:05 UTC);
/// The objects of one hour of the stream.
pub(crate) const HOUR: &str = "processed/green/refuse-trucks/version=1/year=2018/month=02/day=07/hour=12/";

/// The function and everything behind it.
pub(crate) struct Bench {
    pub(crate) issuer: TestIssuer,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) objects: Arc<FakeObjects>,
    pub(crate) system: Arc<FakeSystem>,
    pub(crate) marks: Arc<FakeMarks>,
    pub(crate) raw_streams: Arc<FakeRawStreams>,
    router: Router,
}

impl Bench {
    /// Nothing is stored yet.
    pub(crate) fn new() -> Self {
        Self::with_limits(HistoryLimits::default())
    }

    /// A query may hold and read so much.
    pub(crate) fn with_limits(limits: HistoryLimits) -> Self {
        Self::with_all_limits(limits, LetterLimits::default())
    }

    /// The same for dead letters.
    pub(crate) fn with_letter_limits(letter_limits: LetterLimits) -> Self {
        Self::with_all_limits(HistoryLimits::default(), letter_limits)
    }

    fn with_all_limits(limits: HistoryLimits, letter_limits: LetterLimits) -> Self {
        let issuer = TestIssuer::default();
        let store = Arc::new(FakeStore::default());
        store.insert(stream_with_sink(Status::Active));
        let objects = Arc::new(FakeObjects::default());
        let system = Arc::new(FakeSystem::new());
        let (marks, raw_streams) = (Arc::new(FakeMarks::default()), Arc::new(FakeRawStreams::default()));
        let context = Context {
            streams: store.clone(),
            objects: objects.clone(),
            limits,
            marks: marks.clone(),
            raw_streams: raw_streams.clone(),
            letter_limits,
            authenticator: issuer.authenticator(system.clone()),
            system: system.clone(),
        };
        Self { issuer, store, objects, system, marks, raw_streams, router: routes::app(context) }
    }

    /// Five trucks within four seconds, in two objects, neither of them in order.
    pub(crate) fn with_trucks() -> Self {
        let bench = Self::new();
        bench.put("a", &[truck(3), truck(0)]);
        bench.put("b", &[truck(2), truck(1), truck(4)]);
        bench
    }

    /// Stores an object.
    pub(crate) fn put(&self, name: &str, lines: &[String]) {
        self.objects.put(&format!("{HOUR}{name}"), WRITTEN, lines.join("\n"));
    }

    /// The recorded event of a `GET` with a token that may read.
    pub(crate) fn request(&self, query: &str) -> Value {
        event("GET", &format!("{EVENTS}?{query}"), Some(&self.issuer.token("waste", &[Scope::Read])), None)
    }

    /// Asks with a token that may read.
    pub(crate) async fn get(&self, query: &str) -> Answer {
        self.send(&self.request(query)).await
    }

    /// Asks for one page of the trucks' day.
    pub(crate) async fn page(&self, page: u32, page_size: usize) -> Answer {
        self.get(&format!("from_date=2018-02-07&to_date=2018-02-07&page={page}&page_size={page_size}")).await
    }

    /// The bytes of an answer's body.
    #[allow(clippy::unwrap_used, reason = "a request that cannot be sent is a broken test")]
    pub(crate) async fn body(&self, query: &str) -> String {
        let request: LambdaRequest = serde_json::from_value(self.request(query)).unwrap();
        let request: lambda_http::Request = request.into();
        let response = self.router.clone().oneshot(request).await.unwrap();
        String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().into()).unwrap()
    }

    /// Sends any recorded event.
    pub(crate) async fn send(&self, event: &Value) -> Answer {
        send(&self.router, event).await
    }
}

/// The stream, its sink in this status.
pub(crate) fn stream_with_sink(status: Status) -> StreamRecord {
    with_s3_sink(active_stream("refuse-trucks", "1", "waste"), status)
}

/// An event of this second of the hour.
pub(crate) fn truck(second: u32) -> String {
    format!(r#"{{"time":"2018-02-07T12:00:{second:02}Z","truck":"rubbish {second}"}}"#)
}

/// What a client sees of an answer: the status, the headers that are contract, and the body. The request id, which differs from run to
/// run, is the same in header and body and stands as `[request id]`.
pub(crate) fn shown(answer: &Answer) -> Value {
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
    let request_id = header("x-request-id");
    assert!(request_id.is_some_and(|id| !id.is_empty()), "every answer names its request");
    let mut shown = json!({"status": answer.status, "body": answer.body});
    if let Some(id) = shown["body"].get_mut("request_id") {
        assert_eq!(id.as_str(), request_id);
        *id = json!("[request id]");
    }
    for name in ["content-type", "retry-after", "allow", "www-authenticate"] {
        if let Some(value) = header(name) {
            shown[name] = json!(value);
        }
    }
    shown
}

/// A problem as a client sees it.
pub(crate) fn problem(status: u16, title: &str, detail: &str) -> Value {
    let kind = format!("urn:millrace:problem:{}", title.to_lowercase().replace(' ', "-"));
    let body = json!({"type": kind, "title": title, "status": status, "detail": detail, "request_id": "[request id]"});
    json!({"status": status, "content-type": "application/problem+json", "body": body})
}
