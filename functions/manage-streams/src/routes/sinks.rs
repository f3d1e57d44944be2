//! Sinks: enable, show, disable.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use domain::access::Caller;
use domain::document::array_for_object;
use domain::record::{SinkKind, StreamRecord};
use http::StatusCode;
use http_edge::{AuthorizedStream, DocumentBody, Problem, ProblemBody};

use crate::context::Context;
use crate::routes::current;
use crate::routes::refusal::Refusal;
use crate::views::{SinkIn, SinkOut};

/// Lists a stream's sinks.
#[utoipa::path(
    get,
    path = "/streams/{id}/{version}/sinks",
    tag = "sinks",
    params(("id", description = "The stream's id"), ("version", description = "The stream's version")),
    responses(
        (status = 200, description = "The stream's sinks", body = Vec<SinkOut>),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn list_sinks(State(context): State<Context>, AuthorizedStream(record): AuthorizedStream) -> Result<Json<Vec<SinkOut>>, Problem> {
    let record = current(&context, record).await?;
    Ok(Json(record.sinks.iter().map(|(kind, sink)| SinkOut::new(*kind, sink)).collect()))
}

/// Enables a sink of a stream that is `ACTIVE`. It takes the events from then on.
#[utoipa::path(
    post,
    path = "/streams/{id}/{version}/sinks",
    tag = "sinks",
    params(("id", description = "The stream's id"), ("version", description = "The stream's version")),
    request_body(content = SinkIn, example = json!({"type": "s3"})),
    responses(
        (status = 201, description = "Its stack is being created", body = SinkOut),
        (status = 400, description = "An unknown type, or a setting out of range", body = ProblemBody),
        (status = 409, description = "The sink exists, or the stream is not `ACTIVE`", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn enable_sink(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    AuthorizedStream(record): AuthorizedStream,
    DocumentBody(body): DocumentBody,
) -> Result<Response, Refusal> {
    let sink: SinkIn = serde_json::from_str(&body).map_err(|error| Problem::bad_request(format!("body is no sink: {error}")))?;
    if let Some(pointer) = array_for_object(&body, &["", "/config", "/config/buffering"]) {
        let problem = Problem::bad_request("body is no sink: expected an object, got an array");
        return Err(problem.with_error(pointer, "expected an object").into());
    }
    let kind = kind_of(&sink.kind)?;
    let faults = sink.config.faults(record.is_partitioned_by_event_time());
    if !faults.is_empty() {
        let problem = Problem::bad_request("the sink's config has values out of range");
        return Err(faults.into_iter().fold(problem, |problem, (pointer, detail)| problem.with_error(pointer, detail)).into());
    }
    let record = current(&context, record).await?;
    let enabled = context.provisioning().enable_sink(&caller, record, kind, sink.config).await?;
    let view = one_sink(&enabled, kind)?;
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// Shows a sink.
#[utoipa::path(
    get,
    path = "/streams/{id}/{version}/sinks/{type}",
    tag = "sinks",
    params(("id", description = "The stream's id"), ("version", description = "The stream's version"), ("type", description = "s3")),
    responses(
        (status = 200, description = "The sink", body = SinkOut),
        (status = 400, description = "An unknown type", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn get_sink(
    State(context): State<Context>,
    AuthorizedStream(record): AuthorizedStream,
    Path((_id, _version, kind)): Path<(String, String, String)>,
) -> Result<Json<SinkOut>, Problem> {
    let kind = kind_of(&kind)?;
    let record = current(&context, record).await?;
    Ok(Json(one_sink(&record, kind)?))
}

/// Disables a sink. Data that it wrote stays.
#[utoipa::path(
    delete,
    path = "/streams/{id}/{version}/sinks/{type}",
    tag = "sinks",
    params(("id", description = "The stream's id"), ("version", description = "The stream's version"), ("type", description = "s3")),
    responses(
        (status = 200, description = "Its stack is being deleted", body = SinkOut),
        (status = 400, description = "An unknown type", body = ProblemBody),
        (status = 409, description = "A stack operation runs", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn disable_sink(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    AuthorizedStream(record): AuthorizedStream,
    Path((_id, _version, kind)): Path<(String, String, String)>,
) -> Result<Json<SinkOut>, Refusal> {
    let kind = kind_of(&kind)?;
    let record = current(&context, record).await?;
    let disabled = context.provisioning().disable_sink(&caller, record, kind).await?;
    Ok(Json(one_sink(&disabled, kind)?))
}

fn kind_of(text: &str) -> Result<SinkKind, Problem> {
    text.parse()
        .map_err(|error: domain::record::UnknownSinkKind| Problem::bad_request(error.to_string()).with_error("/type", error.to_string()))
}

fn one_sink(record: &StreamRecord, kind: SinkKind) -> Result<SinkOut, Problem> {
    let sink = record.sinks.get(&kind).ok_or_else(|| Problem::not_found(format!("sink {kind} does not exist")))?;
    Ok(SinkOut::new(kind, sink))
}
