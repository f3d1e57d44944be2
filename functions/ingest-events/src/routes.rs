//! The routes: one core, and a dialect for each ancestor whose clients may come.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use domain::ingest::{self, BodyFault, Door};
use domain::lifecycle::Status;
use domain::limits::RETRY_AFTER_STACK;
use domain::publish::Deadline;
use domain::record::StreamRecord;
use http::StatusCode;
use http_edge::stream::no_such_stream;
use http_edge::{AuthorizedStream, EventBody, FunctionName, InvocationDeadline, Problem, ProblemBody, RequestId};

use crate::context::Context;
use crate::results::{Dialect, EventsOut, IngestOut, respond};

/// The function's router, whole.
pub fn app(context: Context) -> Router {
    let (authenticator, system) = (context.authenticator.clone(), context.system.clone());
    let routes = Router::new()
        .route("/streams/{id}/{version}/events", post(post_events))
        .route("/ingest/{id}", post(post_ingest))
        .route("/ingest/{id}/{version}", post(post_ingest_version))
        .with_state(context);
    http_edge::serve(FunctionName::IngestEvents, routes, authenticator, system)
}

/// Sends events to a version of a stream.
///
/// The body is a JSON array of objects, or one object; for a stream with `input.format: xml` it is one XML document, which is not read here.
/// Every event has a result, in order.
#[utoipa::path(
    post,
    path = "/streams/{id}/{version}/events",
    tag = "events",
    params(("id", description = "The stream's id"), ("version", description = "The stream's version")),
    request_body(
        content((Vec<serde_json::Value> = "application/json"), (String = "application/xml")),
        description = "An array of JSON objects, or one object; or one XML document",
    ),
    responses(
        (status = 200, description = "Every event is durable in Kinesis", body = EventsOut),
        (status = 207, description = "Some events were accepted; the results say which", body = EventsOut),
        (status = 400, description = "No event can be accepted as it is", body = ProblemBody),
        (status = 401, description = "No valid token", body = ProblemBody),
        (status = 403, description = "The token lacks the scope `ingest`", body = ProblemBody),
        (status = 404, description = "No such stream", body = ProblemBody),
        (status = 409, description = "The stream has failed", body = ProblemBody),
        (status = 413, description = "The body, or the one event in it, is too large", body = ProblemBody),
        (status = 415, description = "Not what the stream takes: JSON, or XML where its `input.format` is `xml`", body = ProblemBody),
        (status = 429, description = "Kinesis takes no more just now; `Retry-After` says when to try again", body = ProblemBody),
        (status = 503, description = "The stream is still being created, or Kinesis does not answer", body = ProblemBody),
        (status = 504, description = "No answer in time; the events may have been written", body = ProblemBody),
    ),
    security(("token" = ["ingest"])),
)]
pub async fn post_events(
    State(context): State<Context>,
    AuthorizedStream(record): AuthorizedStream,
    InvocationDeadline(deadline): InvocationDeadline,
    RequestId(request_id): RequestId,
    body: EventBody,
) -> Result<Response, Problem> {
    ingest(&context, &record, (&request_id, deadline), body, Dialect::Okdata).await
}

/// Sends events to the newest `ACTIVE` version of a stream, or else to the newest.
///
/// The body is one JSON object or an array of them, or one XML document for a stream with `input.format: xml`.
#[utoipa::path(
    post,
    path = "/ingest/{id}",
    tag = "events",
    params(("id", description = "The stream's id")),
    request_body(
        content((serde_json::Value = "application/json"), (String = "application/xml")),
        description = "One JSON object, or an array of them; or one XML document",
    ),
    responses(
        (status = 200, description = "Every event is durable in Kinesis", body = IngestOut),
        (status = 207, description = "Some events were accepted; the results say which", body = IngestOut),
        (status = 400, description = "No event can be accepted as it is", body = ProblemBody),
        (status = 401, description = "No valid token", body = ProblemBody),
        (status = 403, description = "The token lacks the scope `ingest`", body = ProblemBody),
        (status = 404, description = "No such stream", body = ProblemBody),
        (status = 409, description = "The stream has failed", body = ProblemBody),
        (status = 413, description = "The body, or the one event in it, is too large", body = ProblemBody),
        (status = 415, description = "Not what the stream takes: JSON, or XML where its `input.format` is `xml`", body = ProblemBody),
        (status = 429, description = "Kinesis takes no more just now; `Retry-After` says when to try again", body = ProblemBody),
        (status = 503, description = "The stream is still being created, or Kinesis does not answer", body = ProblemBody),
        (status = 504, description = "No answer in time; the events may have been written", body = ProblemBody),
    ),
    security(("token" = ["ingest"])),
)]
pub async fn post_ingest(
    State(context): State<Context>,
    AuthorizedStream(record): AuthorizedStream,
    InvocationDeadline(deadline): InvocationDeadline,
    RequestId(request_id): RequestId,
    body: EventBody,
) -> Result<Response, Problem> {
    ingest(&context, &record, (&request_id, deadline), body, Dialect::Moose).await
}

/// Sends events to a version of a stream, as `/ingest/{id}` does to the newest `ACTIVE` one.
#[utoipa::path(
    post,
    path = "/ingest/{id}/{version}",
    tag = "events",
    params(("id", description = "The stream's id"), ("version", description = "The stream's version")),
    request_body(
        content((serde_json::Value = "application/json"), (String = "application/xml")),
        description = "One JSON object, or an array of them; or one XML document",
    ),
    responses(
        (status = 200, description = "Every event is durable in Kinesis", body = IngestOut),
        (status = 207, description = "Some events were accepted; the results say which", body = IngestOut),
        (status = "default", description = "As for `/ingest/{id}`", body = ProblemBody),
    ),
    security(("token" = ["ingest"])),
)]
pub async fn post_ingest_version(
    context: State<Context>,
    stream: AuthorizedStream,
    deadline: InvocationDeadline,
    request_id: RequestId,
    body: EventBody,
) -> Result<Response, Problem> {
    post_ingest(context, stream, deadline, request_id, body).await
}

async fn ingest(
    context: &Context,
    record: &StreamRecord,
    (request_id, deadline): (&str, Deadline),
    body: EventBody,
    dialect: Dialect,
) -> Result<Response, Problem> {
    let input = &record.document.input;
    let body = body.read(input.format).await?;
    check_status(record)?;
    let batch = ingest::split(&body, input.format).map_err(body_problem)?;
    let within_budget = deadline.within_budget(context.system.now());
    let door = Door {
        record,
        publisher: context.publisher.as_ref(),
        dead_letters: context.dead_letters.as_ref(),
        system: context.system.as_ref(),
        deadline: within_budget,
        request_id,
    };
    let outcomes = door.accept(&batch).await;
    Ok(respond(dialect, record, &batch, &outcomes, body.len()))
}

fn check_status(record: &StreamRecord) -> Result<(), Problem> {
    match record.stack.status {
        // An update harms nothing that runs.
        Status::Active | Status::UpdateInProgress => Ok(()),
        Status::CreateInProgress => {
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the stream is still being created");
            Err(problem.with_retry_after(RETRY_AFTER_STACK))
        }
        // A stream on its way out takes nothing that would be lost with it.
        Status::DeleteInProgress | Status::Inactive => Err(no_such_stream()),
        Status::OperationFailed => Err(Problem::conflict("the stream is OPERATION_FAILED and takes no events")),
    }
}

fn body_problem(fault: BodyFault) -> Problem {
    match fault {
        BodyFault::Empty(_) | BodyFault::NotUtf8 { .. } | BodyFault::Malformed { .. } => Problem::bad_request(fault.to_string()),
        BodyFault::TooMany(_) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, fault.to_string()),
    }
}

/// This function's part of the OpenAPI document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(post_events, post_ingest, post_ingest_version))]
pub struct ApiDoc;
