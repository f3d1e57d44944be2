//! From outcomes to an answer. The dialect decides codes and shapes, nothing else.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use domain::ingest::{Batch, EventResult, InputLimit, Intake, Receipt};
use domain::limits::RETRY_AFTER;
use domain::outcome::{EventFault, Outcome, RetryReason, Tally};
use domain::rate_lease::Quota;
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_edge::problem::FieldError;
use http_edge::{Measures, Problem};
use serde::Serialize;
use serde_json::json;
use telemetry::Unit;

/// Bytes that the faults of one request are told in, about. Beyond them each event has one, cut short: an answer must fit the 6 MB that
/// Lambda gives back (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
const MAX_TOLD: usize = 512 * 1024;

/// Characters of a fault beyond [`MAX_TOLD`].
const MAX_TOLD_SHORT: usize = 80;

/// How a client expects to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// 202, and the request's id.
    Amperity,
    /// `{"success": true}`, with `results` for a batch.
    Moose,
    /// `{"results": […]}`, always.
    Okdata,
}

/// A request that is answered.
pub struct Answered<'a> {
    /// The stream.
    pub intake: &'a Intake,
    /// Its events.
    pub batch: &'a Batch<'a>,
    /// What became of them.
    pub receipt: Receipt,
    /// Whether nothing was written.
    pub is_dry_run: bool,
    /// The size of its body, decoded.
    pub body_bytes: usize,
    /// Names it.
    pub request_id: &'a str,
}

/// The answer to `POST /stream/v0/data/…`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AcceptedOut {
    /// Names the request, in the logs too.
    request_id: String,
    /// Whether nothing was written.
    #[serde(skip_serializing_if = "is_false")]
    dry_run: bool,
}

/// The answer to `POST …/events`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventsOut {
    /// One result an event, in order.
    results: Vec<ResultOut>,
    /// Whether nothing was written.
    #[serde(skip_serializing_if = "is_false")]
    dry_run: bool,
}

/// The answer to `POST /ingest/…`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct IngestOut {
    /// Whether every event was accepted.
    success: bool,
    /// One result an event, in order; left out for a single event.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<ResultOut>>,
    /// Whether nothing was written.
    #[serde(skip_serializing_if = "is_false")]
    dry_run: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// What became of one event.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ResultOut {
    /// Its place in the request, from 0.
    index: usize,
    /// What names it, where the stream's `event_id` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Its fate.
    status: ResultStatus,
    /// Why it was not accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

/// The fate of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResultStatus {
    /// Durable in Kinesis.
    Accepted,
    /// The same as another event of the request, which is durable.
    Duplicate,
    /// Will never be accepted as it is, and is kept as a dead letter.
    DeadLetter,
    /// Will never be accepted as it is, and is not kept.
    Rejected,
    /// May be sent again.
    Retry,
}

/// Answers a request whose events have met their fates.
pub fn respond(dialect: Dialect, answered: Answered<'_>) -> Response {
    let Answered { intake, batch, receipt, is_dry_run, body_bytes, request_id } = answered;
    let tally = Tally::of(receipt.results.iter().map(|result| &result.outcome));
    let wait = retry_after(&receipt);
    let results = results_out(receipt.results, batch.is_single);
    let is_nothing_taken = tally.accepted + tally.duplicate == 0 && tally.received() > 0;
    let mut response = if is_nothing_taken {
        let problem = nothing_accepted(results, batch.is_single, is_dry_run, wait);
        let problem = if is_dry_run { problem.with_member("dry_run", json!(true)) } else { problem };
        quota_headers(intake.limit.as_ref(), receipt.quota.as_ref())
            .fold(problem, |problem, (name, value)| problem.with_header(name, value))
            .into_response()
    } else {
        let is_whole = tally.accepted + tally.duplicate == tally.received();
        let mut response = taken(dialect, is_whole, batch.is_single, told(results), is_dry_run, request_id);
        if tally.retry > 0 {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        response.headers_mut().extend(quota_headers(intake.limit.as_ref(), receipt.quota.as_ref()));
        response
    };
    let key = &intake.record.key;
    response.extensions_mut().insert(Measures {
        metrics: vec![
            ("events.received", Unit::Count, tally.received()),
            ("events.accepted", Unit::Count, tally.accepted),
            ("events.duplicate", Unit::Count, tally.duplicate),
            ("events.dead_lettered", Unit::Count, tally.dead_letter),
            ("events.rejected", Unit::Count, tally.rejected),
            ("events.retry", Unit::Count, tally.retry),
            ("body.size_bytes", Unit::Bytes, body_bytes),
        ],
        fields: vec![("stream.id", key.id.to_string()), ("stream.version", key.version.to_string())],
    });
    response
}

/// Whether an answer stands, for whoever sends the request again: events were taken, or none ever will be.
pub fn is_final(receipt: &Receipt) -> bool {
    let tally = Tally::of(receipt.results.iter().map(|result| &result.outcome));
    tally.retry == 0 || tally.accepted + tally.duplicate > 0
}

/// The answer when at least one event was taken.
fn taken(dialect: Dialect, is_whole: bool, is_single: bool, results: Vec<ResultOut>, dry_run: bool, request_id: &str) -> Response {
    let status = if is_whole { StatusCode::OK } else { StatusCode::MULTI_STATUS };
    match dialect {
        Dialect::Amperity => (StatusCode::ACCEPTED, Json(AcceptedOut { request_id: request_id.to_owned(), dry_run })).into_response(),
        Dialect::Moose => {
            let results = (!is_single).then_some(results);
            (status, Json(IngestOut { success: is_whole, results, dry_run })).into_response()
        }
        Dialect::Okdata => (status, Json(EventsOut { results, dry_run })).into_response(),
    }
}

/// How long to wait before events are sent again: until the rate limit has room, where that is why.
fn retry_after(receipt: &Receipt) -> Duration {
    let is_limited = receipt.results.iter().any(|result| result.outcome == Outcome::RateLimited);
    match &receipt.quota {
        Some(quota) if is_limited => Duration::from_secs(whole_seconds(quota.resets_in)).max(RETRY_AFTER),
        _ => RETRY_AFTER,
    }
}

/// `RateLimit-Policy` and `RateLimit`, as <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/> has them.
fn quota_headers(limit: Option<&InputLimit>, quota: Option<&Quota>) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let values = limit.zip(quota).map(|(limit, quota)| {
        let (id, window) = (&limit.id, whole_seconds(quota.interval));
        let policy = format!("\"{id}\";q={};w={window}", quota.count);
        let left = format!("\"{id}\";r={};t={}", quota.remaining, whole_seconds(quota.resets_in));
        [(HeaderName::from_static("ratelimit-policy"), policy), (HeaderName::from_static("ratelimit"), left)]
    });
    values.into_iter().flatten().filter_map(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?)))
}

/// Rounded up, so that nobody comes back too early.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// None is good: each has to be mended, or to be sent again.
fn nothing_accepted(results: Vec<(ResultOut, Outcome)>, is_single: bool, is_dry_run: bool, wait: Duration) -> Problem {
    let is_retry = |outcome: &Outcome| matches!(outcome, Outcome::RateLimited | Outcome::Retry(_));
    let mut problem = if results.iter().any(|(_, outcome)| is_retry(outcome)) {
        retry_problem(&results).with_retry_after(wait)
    } else {
        rejected_problem(&results, is_single, is_dry_run)
    };
    let results = told(results);
    if !is_single {
        return problem.with_member("results", json!(results));
    }
    for error in results.into_iter().flat_map(|result| result.errors) {
        problem = problem.with_error(error.pointer, error.detail);
    }
    problem
}

fn rejected_problem(results: &[(ResultOut, Outcome)], is_single: bool, is_dry_run: bool) -> Problem {
    let shown = |fault: &EventFault| match fault {
        EventFault::Rules(faults) => format!("it breaks {} of the stream's rules", faults.len()),
        other => other.to_string(),
    };
    match results.first().map(|(_, outcome)| outcome) {
        Some(Outcome::Rejected(fault @ EventFault::TooLarge { .. })) if is_single => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, fault.to_string())
        }
        Some(Outcome::DeadLetter(fault)) if is_single => {
            let kept = if is_dry_run { "would be kept" } else { "is kept" };
            let detail = format!("the event is not valid, and {kept} as a dead letter: {}", shown(fault));
            Problem::bad_request(detail).with_member("dead_letter", json!(true))
        }
        Some(Outcome::Rejected(fault)) if is_single => Problem::bad_request(format!("the event is not valid: {}", shown(fault))),
        _ => Problem::bad_request("no event is valid"),
    }
}

/// A time-out says most, since it alone leaves open what was written; then an outage; then throttling.
fn retry_problem(results: &[(ResultOut, Outcome)]) -> Problem {
    let has = |reason: RetryReason| results.iter().any(|(_, outcome)| *outcome == Outcome::Retry(reason));
    let (status, detail) = if has(RetryReason::TimedOut) {
        (
            StatusCode::GATEWAY_TIMEOUT,
            "the stream did not answer in time; the events may have been written, and sending them again may duplicate them",
        )
    } else if has(RetryReason::Unavailable) {
        (StatusCode::SERVICE_UNAVAILABLE, "the stream does not take events just now; send them again, which may duplicate some")
    } else if has(RetryReason::Throttled) {
        (StatusCode::TOO_MANY_REQUESTS, "the stream takes no more just now; nothing was accepted, send again what can be")
    } else {
        (StatusCode::TOO_MANY_REQUESTS, "the stream's rate limit has no room just now; nothing was accepted, send again what can be")
    };
    Problem::new(status, detail)
}

fn told(results: Vec<(ResultOut, Outcome)>) -> Vec<ResultOut> {
    results.into_iter().map(|(result, _)| result).collect()
}

fn results_out(results: Vec<EventResult>, is_single: bool) -> Vec<(ResultOut, Outcome)> {
    let mut room = MAX_TOLD;
    let out = |(index, EventResult { id, outcome }): (usize, EventResult)| {
        let (status, mut errors) = fate(&outcome, || if is_single { String::new() } else { format!("/{index}") });
        let size: usize = errors.iter().map(|error| told_bytes(&error.pointer) + told_bytes(&error.detail)).sum();
        if size > room {
            errors.truncate(1);
            errors.iter_mut().for_each(cut_short);
        }
        room = room.saturating_sub(size);
        (ResultOut { index, id, status, errors }, outcome)
    };
    results.into_iter().enumerate().map(out).collect()
}

/// The bytes of a text in what Lambda gives back, where it is escaped twice: as JSON, and in the JSON of the whole answer.
fn told_bytes(text: &str) -> usize {
    let of = |byte: u8| match byte {
        b'"' | b'\\' => 4,
        byte if byte.is_ascii_control() => 7,
        _ => 1,
    };
    text.bytes().map(of).sum()
}

fn cut_short(error: &mut FieldError) {
    let plain = |letter: char| if letter.is_control() || matches!(letter, '"' | '\\') { '?' } else { letter };
    let cut = |text: &str| text.chars().take(MAX_TOLD_SHORT).map(plain).collect();
    (error.pointer, error.detail) = (cut(&error.pointer), cut(&error.detail));
}

fn fate(outcome: &Outcome, place: impl Fn() -> String) -> (ResultStatus, Vec<FieldError>) {
    let told = |fault: &EventFault| {
        let place = place();
        let details = fault.details().into_iter();
        details.map(|fault| FieldError { pointer: format!("{place}{}", fault.pointer), detail: fault.detail }).collect()
    };
    match outcome {
        Outcome::Accepted => (ResultStatus::Accepted, Vec::new()),
        Outcome::Duplicate => (ResultStatus::Duplicate, Vec::new()),
        Outcome::DeadLetter(fault) => (ResultStatus::DeadLetter, told(fault)),
        Outcome::Rejected(fault) => (ResultStatus::Rejected, told(fault)),
        Outcome::RateLimited => (ResultStatus::Retry, told_why(place(), "the stream's rate limit has no room just now")),
        Outcome::Retry(RetryReason::Throttled) => (ResultStatus::Retry, told_why(place(), "the stream takes no more just now")),
        Outcome::Retry(RetryReason::Unavailable) => (ResultStatus::Retry, told_why(place(), "the stream did not take it")),
        Outcome::Retry(RetryReason::TimedOut) => {
            (ResultStatus::Retry, told_why(place(), "the stream did not answer in time; it may have been written"))
        }
    }
}

fn told_why(place: String, detail: &str) -> Vec<FieldError> {
    vec![FieldError { pointer: place, detail: detail.to_owned() }]
}
