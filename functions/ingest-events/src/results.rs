//! From outcomes to an answer. The dialect decides codes and shapes, nothing else.

use axum::Json;
use axum::response::{IntoResponse, Response};
use domain::ingest::Batch;
use domain::limits::RETRY_AFTER;
use domain::outcome::{EventFault, Outcome, RetryReason, Tally};
use domain::record::StreamRecord;
use http::{HeaderValue, StatusCode, header};
use http_edge::problem::FieldError;
use http_edge::{Measures, Problem};
use serde::Serialize;
use serde_json::json;
use telemetry::Unit;

/// How a client expects to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `{"results": […]}`, always.
    Okdata,
    /// `{"success": true}`, with `results` for a batch.
    Moose,
}

/// The answer to `POST …/events`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventsOut {
    /// One result an event, in order.
    results: Vec<ResultOut>,
}

/// The answer to `POST /ingest/…`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct IngestOut {
    /// Whether every event was accepted.
    success: bool,
    /// One result an event, in order; left out for a single event.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<ResultOut>>,
}

/// What became of one event.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ResultOut {
    /// Its place in the request, from 0.
    index: usize,
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
    /// Will never be accepted as it is, and is kept as a dead letter.
    DeadLetter,
    /// Will never be accepted as it is, and is not kept.
    Rejected,
    /// May be sent again.
    Retry,
}

/// Answers a request whose events have met their fates.
pub fn respond(dialect: Dialect, record: &StreamRecord, batch: &Batch<'_>, outcomes: &[Outcome], body_bytes: usize) -> Response {
    let tally = Tally::of(outcomes);
    let results: Vec<ResultOut> = outcomes.iter().enumerate().map(|(index, outcome)| result_out(index, outcome, batch.is_single)).collect();
    let mut response = if tally.accepted == 0 && tally.received() > 0 {
        nothing_accepted(batch, outcomes, results).into_response()
    } else {
        let all_accepted = tally.accepted == tally.received();
        let status = if all_accepted { StatusCode::OK } else { StatusCode::MULTI_STATUS };
        let mut response = match dialect {
            Dialect::Okdata => (status, Json(EventsOut { results })).into_response(),
            Dialect::Moose => {
                let results = (!batch.is_single).then_some(results);
                (status, Json(IngestOut { success: all_accepted, results })).into_response()
            }
        };
        if tally.retry > 0 {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
        }
        response
    };
    response.extensions_mut().insert(Measures {
        metrics: vec![
            ("events.received", Unit::Count, tally.received()),
            ("events.accepted", Unit::Count, tally.accepted),
            ("events.dead_lettered", Unit::Count, tally.dead_letter),
            ("events.rejected", Unit::Count, tally.rejected),
            ("events.retry", Unit::Count, tally.retry),
            ("body.size_bytes", Unit::Bytes, body_bytes),
        ],
        fields: vec![("stream.id", record.key.id.to_string()), ("stream.version", record.key.version.to_string())],
    });
    response
}

/// None is good: each has to be mended, or to be sent again.
fn nothing_accepted(batch: &Batch<'_>, outcomes: &[Outcome], results: Vec<ResultOut>) -> Problem {
    let mut problem = match outcomes.iter().find_map(retry_reason) {
        Some(_) => retry_problem(outcomes),
        None => rejected_problem(batch, outcomes),
    };
    if !batch.is_single {
        return problem.with_member("results", json!(results));
    }
    for error in results.into_iter().flat_map(|result| result.errors) {
        problem = problem.with_error(error.pointer, error.detail);
    }
    problem
}

fn rejected_problem(batch: &Batch<'_>, outcomes: &[Outcome]) -> Problem {
    match outcomes.first() {
        Some(Outcome::Rejected(fault @ EventFault::TooLarge { .. })) if batch.is_single => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, fault.to_string())
        }
        Some(Outcome::DeadLetter(fault)) if batch.is_single => {
            let detail = format!("the event is not valid, and is kept as a dead letter: {fault}");
            Problem::bad_request(detail).with_member("dead_letter", json!(true))
        }
        Some(Outcome::Rejected(fault)) if batch.is_single => Problem::bad_request(format!("the event is not valid: {fault}")),
        _ => Problem::bad_request("no event is valid"),
    }
}

/// A time-out says most, since it alone leaves open what was written; then an outage; then throttling.
fn retry_problem(outcomes: &[Outcome]) -> Problem {
    let has = |wanted: RetryReason| outcomes.iter().filter_map(retry_reason).any(|reason| reason == wanted);
    let (status, detail) = if has(RetryReason::TimedOut) {
        (
            StatusCode::GATEWAY_TIMEOUT,
            "the stream did not answer in time; the events may have been written, and sending them again may duplicate them",
        )
    } else if has(RetryReason::Unavailable) {
        (StatusCode::SERVICE_UNAVAILABLE, "the stream does not take events just now; send them again, which may duplicate some")
    } else {
        (StatusCode::TOO_MANY_REQUESTS, "the stream takes no more just now; nothing was accepted, send again what can be")
    };
    Problem::new(status, detail).with_retry_after(RETRY_AFTER)
}

fn retry_reason(outcome: &Outcome) -> Option<RetryReason> {
    match outcome {
        Outcome::Retry(reason) => Some(*reason),
        Outcome::Accepted | Outcome::DeadLetter(_) | Outcome::Rejected(_) => None,
    }
}

fn result_out(index: usize, outcome: &Outcome, is_single: bool) -> ResultOut {
    let place = |within: String| if is_single { within } else { format!("/{index}{within}") };
    let (status, errors) = match outcome {
        Outcome::Accepted => (ResultStatus::Accepted, Vec::new()),
        Outcome::Retry(reason) => {
            let detail = match reason {
                RetryReason::Throttled => "the stream takes no more just now",
                RetryReason::Unavailable => "the stream did not take it",
                RetryReason::TimedOut => "the stream did not answer in time; it may have been written",
            };
            (ResultStatus::Retry, vec![FieldError { pointer: place(String::new()), detail: detail.to_owned() }])
        }
        Outcome::DeadLetter(fault) | Outcome::Rejected(fault) => {
            let is_kept = matches!(outcome, Outcome::DeadLetter(_));
            let status = if is_kept { ResultStatus::DeadLetter } else { ResultStatus::Rejected };
            (status, vec![FieldError { pointer: place(fault.pointer()), detail: fault.to_string() }])
        }
    };
    ResultOut { index, status, errors }
}
