//! The routes. Those of events stand here, with their parameters and answers.

mod dead_letters;
mod redrive;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use domain::history::{HistoryFault, HistoryQuery, HistoryReader, Page, ParameterFault};
use domain::ids::StreamKey;
use domain::lifecycle::Status;
use domain::limits::RETRY_AFTER_STACK;
use http_edge::problem::pointer;
use http_edge::query::parameters;
use http_edge::{AuthorizedStream, FunctionName, InvocationDeadline, Measures, Problem, ProblemBody};
use serde::Serialize;
use serde_json::value::RawValue;
use telemetry::Unit;

use crate::context::Context;

/// The function's router, whole.
pub fn app(context: Context) -> Router {
    let (authenticator, system) = (context.authenticator.clone(), context.system.clone());
    let routes = Router::new()
        .route("/streams/{id}/{version}/events", get(get_events))
        .route("/streams/{id}/{version}/dead-letters", get(dead_letters::list_letters))
        .route("/streams/{id}/{version}/dead-letters/redrive", post(redrive::redrive_letters))
        .route("/streams/{id}/{version}/dead-letters/{letter_id}", get(dead_letters::get_letter))
        .with_state(context);
    http_edge::serve(FunctionName::QueryHistory, routes, authenticator, system)
}

/// A page of events.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventsPage {
    /// The events, sorted by time.
    #[schema(value_type = Vec<serde_json::Value>)]
    values: Vec<Box<RawValue>>,
    /// The page's number.
    #[schema(minimum = 1)]
    page: u32,
    /// How many pages there are; 0 for an empty range.
    total_pages: usize,
}

/// Returns the events of a range of time, page by page, sorted by time.
///
/// The time of an event is what its field `input.timestamp` says, or else when its S3 object was written. Events are there once the S3
/// sink has written them, a minute later by default.
#[utoipa::path(
    get,
    path = "/streams/{id}/{version}/events",
    tag = "events",
    params(
        ("id", description = "The stream's id"),
        ("version", description = "The stream's version"),
        ("from_date" = String, Query, description = "The first day (`2018-02-01`, in UTC) or moment (RFC 3339) of the range"),
        ("to_date" = String, Query, description = "The last day of the range, or the first moment behind it"),
        ("page" = Option<u32>, Query, description = "The page wanted; 1 by default", minimum = 1),
        ("page_size" = Option<u32>, Query, description = "Events on a page; 10 by default", minimum = 1, maximum = 10_000),
    ),
    responses(
        (status = 200, description = "A page, empty when nothing lies there", body = EventsPage),
        (status = 400, description = "Parameters are missing or wrong, or ask for more than one answer holds", body = ProblemBody),
        (status = 401, description = "No valid token", body = ProblemBody),
        (status = 403, description = "The token lacks the scope `read`", body = ProblemBody),
        (status = 404, description = "No such stream", body = ProblemBody),
        (status = 409, description = "The stream has no active sink to read from; says which to enable", body = ProblemBody),
        (status = 503, description = "The objects cannot be read just now", body = ProblemBody),
    ),
    security(("token" = ["read"])),
)]
pub async fn get_events(
    State(context): State<Context>,
    AuthorizedStream(record): AuthorizedStream,
    InvocationDeadline(deadline): InvocationDeadline,
    RawQuery(raw_query): RawQuery,
) -> Result<Response, Problem> {
    let query = HistoryQuery::parse(&parameters(raw_query.as_deref().unwrap_or_default())).map_err(parameter_problem)?;
    let (objects, system, limits) = (context.objects.as_ref(), context.system.as_ref(), context.limits);
    let reader = HistoryReader { objects, system, deadline, limits };
    let page = reader.read(&record, &query).await.map_err(|fault| history_problem(fault, &record.key))?;
    Ok(respond(page, &record.key))
}

fn respond(page: Page, key: &StreamKey) -> Response {
    let effort = page.effort;
    if effort.skipped_lines > 0 {
        let (id, version, skipped) = (key.id.as_str(), key.version.as_str(), effort.skipped_lines);
        tracing::warn!(stream.id = id, stream.version = version, history.skipped_lines = skipped, "stored lines are no events with a time");
    }
    let measures = Measures {
        metrics: vec![
            ("history.objects", Unit::Count, effort.objects),
            ("history.matches", Unit::Count, effort.matches),
            ("history.values", Unit::Count, page.values.len()),
            ("history.skipped_lines", Unit::Count, effort.skipped_lines),
        ],
        fields: vec![
            ("stream.id", key.id.to_string()),
            ("stream.version", key.version.to_string()),
            ("history.was_reread", effort.was_reread.to_string()),
        ],
    };
    let mut response = Json(EventsPage { values: page.values, page: page.page, total_pages: page.total_pages }).into_response();
    response.extensions_mut().insert(measures);
    response
}

fn parameter_problem(faults: Vec<ParameterFault>) -> Problem {
    let problem = Problem::bad_request("the query parameters are not valid");
    faults.into_iter().fold(problem, |problem, fault| problem.with_error(pointer(&fault.parameter), fault.detail))
}

fn history_problem(fault: HistoryFault, key: &StreamKey) -> Problem {
    let detail = fault.to_string();
    match fault {
        // Only the caller can decide that the stream's events should be kept.
        HistoryFault::NoSink => {
            let how = format!(r#"POST /streams/{}/{}/sinks with {{"type": "s3"}} enables it"#, key.id, key.version);
            Problem::conflict(format!("{detail}; {how}"))
        }
        // Passes by itself.
        HistoryFault::SinkNotActive(Status::CreateInProgress) => Problem::conflict(detail).with_retry_after(RETRY_AFTER_STACK),
        // Does not.
        HistoryFault::SinkNotActive(_) => Problem::conflict(detail),
        // The same question will never be answered; a smaller one will.
        HistoryFault::TooManyEvents { .. } | HistoryFault::TooManyObjects | HistoryFault::OutOfTime => Problem::bad_request(detail),
        HistoryFault::PageTooLarge { .. } => Problem::bad_request("the page is too large for one answer").with_error("/page_size", detail),
        // Says nothing of the question: it may be asked again.
        HistoryFault::Store(fault) => fault.into(),
    }
}

/// This function's part of the OpenAPI document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(get_events, dead_letters::list_letters, dead_letters::get_letter, redrive::redrive_letters))]
pub struct ApiDoc;
