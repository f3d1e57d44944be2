//! Trials: what a stream's pipeline would do with events.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::lifecycle::Status;
use domain::limits::MAX_PAGE_BYTES;
use domain::resource::resources_of;
use domain::store::StoreFault;
use http::{StatusCode, header};
use http_edge::{AuthorizedStream, DocumentBody, Problem, ProblemBody};
use pipeline::run::Compiled;
use pipeline::trial::{Trial, TrialLimits, events_in, try_out};
use serde::Serialize;

use crate::context::Context;
use crate::routes::current;

/// Events in one trial. Ours: people read the answer.
const MAX_TRIAL_EVENTS: usize = 1_000;

/// What a trial may take: less than the time of a request, and what one answer holds.
const MOST: TrialLimits = TrialLimits { time: Duration::from_secs(10), bytes: MAX_PAGE_BYTES };

/// What would become of events.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TrialsOut {
    /// One for each event, in their order.
    results: Vec<Trial>,
}

/// Says what a stream's pipeline would do with events, and writes nothing.
///
/// The events are taken as they would lie on the raw stream: what ingest checks is not checked (a dry run of ingest
/// does that). The processors run as they are declared now;
/// what they would remember of earlier events is not looked up, so that only duplicates among these events are found (their status says so;
/// their processors are shown as for any event), and rate limits have room. Events of XML streams are shown as JSON.
#[utoipa::path(
    post,
    path = "/streams/{id}/{version}/test",
    tag = "streams",
    params(("id", description = "The stream's id"), ("version", description = "The stream's version")),
    request_body(content = serde_json::Value, description = "One JSON object, an array of them, or one a line; an XML document for a stream of XML"),
    responses(
        (status = 200, description = "What would become of each event, and what each processor did", body = TrialsOut),
        (status = 400, description = "No events can be read, too many, or more than one answer holds", body = ProblemBody),
        (status = 409, description = "The stream has no pipeline (`buffer.raw: false`)", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 413, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn test_pipeline(
    State(context): State<Context>,
    AuthorizedStream(record): AuthorizedStream,
    DocumentBody(text): DocumentBody,
) -> Result<Response, Problem> {
    let record = current(&context, record).await?;
    if record.resources.raw_stream.is_none() && record.stack.status != Status::Inactive {
        return Err(Problem::conflict("the stream has no pipeline: buffer.raw is false"));
    }
    let route = record.route();
    let events = events_in(&text, route.format).map_err(Problem::bad_request)?;
    if events.is_empty() || events.len() > MAX_TRIAL_EVENTS {
        return Err(Problem::bad_request(format!("expected 1 to {MAX_TRIAL_EVENTS} events, got {}", events.len())));
    }
    let resources = resources_of(context.resources.as_ref(), &route).await?;
    let compiled = Compiled::new(&route, &resources).map_err(StoreFault::new)?;
    let bytes: Vec<&[u8]> = events.iter().map(|event| event.as_bytes()).collect();
    let results = try_out(compiled.as_ref(), &route, &bytes, MOST).map_err(|fault| Problem::bad_request(fault.to_string()))?;
    let answer = serde_json::to_string(&TrialsOut { results }).unwrap_or_default();
    if answer.len() > MAX_PAGE_BYTES {
        let detail = format!("expected events whose answer has at most {MAX_PAGE_BYTES} bytes, got {}; send fewer", answer.len());
        return Err(Problem::bad_request(detail));
    }
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], answer).into_response())
}
