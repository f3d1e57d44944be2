//! The routes: one core, and a dialect for each ancestor whose clients may come.

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::post;
use domain::idempotency::{Fingerprint, IdempotencyKey};
use domain::ingest::{self, Batch, BodyFault, Door, Form};
use domain::lifecycle::Status;
use domain::limits::RETRY_AFTER_STACK;
use domain::record::StreamRecord;
use http::StatusCode;
use http_edge::problem::rendered;
use http_edge::stream::no_such_stream;
use http_edge::{FunctionName, Problem, SentEvents};

use crate::api_doc::{SendingHeaders, SendingOptions, SendingProblems};
use crate::context::Context;
use crate::cors::{cors, preflight};
use crate::repeat::{self, Turn};
use crate::request::Sending;
use crate::results::{AcceptedOut, Answered, Dialect, EventsOut, IngestOut, is_final, respond};

/// The function's router, whole.
pub fn app(context: Context) -> Router {
    let (authenticator, system, intakes) = (context.authenticator.clone(), context.system.clone(), context.intakes.clone());
    let routes = Router::new()
        .route("/streams/{id}/{version}/events", post(post_events).options(preflight))
        .route("/ingest/{id}", post(post_ingest).options(preflight))
        .route("/ingest/{id}/{version}", post(post_ingest_version).options(preflight))
        .route("/stream/v0/data/{id}", post(post_data).options(preflight))
        .with_state(context);
    http_edge::serve(FunctionName::IngestEvents, routes, authenticator, system).layer(from_fn_with_state(intakes, cors))
}

/// Sends events to a version of a stream.
///
/// The body is a JSON array of objects, one object, or one a line; or CloudEvents. For a stream with `input.format: xml` it is one XML
/// document, which is not read here. Every event has a result, in order.
#[utoipa::path(
    post,
    path = "/streams/{id}/{version}/events",
    tag = "events",
    params(
        ("id", description = "The stream's id"),
        ("version", description = "The stream's version"),
        SendingOptions,
        SendingHeaders,
    ),
    request_body(
        content(
            (Vec<serde_json::Value> = "application/json"),
            (String = "application/x-ndjson"),
            (serde_json::Value = "application/cloudevents+json"),
            (Vec<serde_json::Value> = "application/cloudevents-batch+json"),
            (String = "application/xml"),
        ),
        description = "An array of JSON objects, or one; one a line (NDJSON); CloudEvents; or one XML document",
    ),
    responses(
        (status = 200, description = "Every event is durable in Kinesis", body = EventsOut),
        (status = 207, description = "Some events were accepted; the results say which", body = EventsOut),
        SendingProblems,
    ),
    security(("token" = ["ingest"])),
)]
pub async fn post_events(State(context): State<Context>, request: Sending) -> Result<Response, Problem> {
    ingest(&context, request, Dialect::Okdata).await
}

/// Sends events to the newest `ACTIVE` version of a stream, or else to the newest.
///
/// The body is one JSON object, an array of them, or one a line; or CloudEvents; or one XML document for a stream with `input.format: xml`.
#[utoipa::path(
    post,
    path = "/ingest/{id}",
    tag = "events",
    params(
        ("id", description = "The stream's id"),
        SendingOptions,
        SendingHeaders,
    ),
    request_body(
        content(
            (serde_json::Value = "application/json"),
            (String = "application/x-ndjson"),
            (serde_json::Value = "application/cloudevents+json"),
            (Vec<serde_json::Value> = "application/cloudevents-batch+json"),
            (String = "application/xml"),
        ),
        description = "One JSON object, or an array of them; one a line (NDJSON); CloudEvents; or one XML document",
    ),
    responses(
        (status = 200, description = "Every event is durable in Kinesis", body = IngestOut),
        (status = 207, description = "Some events were accepted; the results say which", body = IngestOut),
        SendingProblems,
    ),
    security(("token" = ["ingest"])),
)]
pub async fn post_ingest(State(context): State<Context>, request: Sending) -> Result<Response, Problem> {
    ingest(&context, request, Dialect::Moose).await
}

/// Sends events to a version of a stream, as `/ingest/{id}` does to the newest `ACTIVE` one.
#[utoipa::path(
    post,
    path = "/ingest/{id}/{version}",
    tag = "events",
    params(
        ("id", description = "The stream's id"),
        ("version", description = "The stream's version"),
        SendingOptions,
        SendingHeaders,
    ),
    request_body(
        content(
            (serde_json::Value = "application/json"),
            (String = "application/x-ndjson"),
            (serde_json::Value = "application/cloudevents+json"),
            (Vec<serde_json::Value> = "application/cloudevents-batch+json"),
            (String = "application/xml"),
        ),
        description = "One JSON object, or an array of them; one a line (NDJSON); CloudEvents; or one XML document",
    ),
    responses(
        (status = 200, description = "Every event is durable in Kinesis", body = IngestOut),
        (status = 207, description = "Some events were accepted; the results say which", body = IngestOut),
        SendingProblems,
    ),
    security(("token" = ["ingest"])),
)]
pub async fn post_ingest_version(State(context): State<Context>, request: Sending) -> Result<Response, Problem> {
    ingest(&context, request, Dialect::Moose).await
}

/// Sends one event, as clients of Amperity's Streaming Ingest API do.
///
/// The body is one JSON object; or one XML document for a stream with `input.format: xml`, which is not read here.
#[utoipa::path(
    post,
    path = "/stream/v0/data/{id}",
    tag = "events",
    params(
        ("id", description = "The stream's name for ingest, such as `is-AbCDefGH`, or its id"),
        SendingOptions,
        SendingHeaders,
    ),
    request_body(
        content(
            (serde_json::Value = "application/json"),
            (serde_json::Value = "application/cloudevents+json"),
            (String = "application/xml"),
        ),
        description = "One JSON object, or one XML document",
    ),
    responses(
        (status = 202, description = "The event is durable in Kinesis", body = AcceptedOut),
        SendingProblems,
    ),
    security(("token" = ["ingest"])),
)]
pub async fn post_data(State(context): State<Context>, request: Sending) -> Result<Response, Problem> {
    ingest(&context, request, Dialect::Amperity).await
}

async fn ingest(context: &Context, request: Sending, dialect: Dialect) -> Result<Response, Problem> {
    let Sending { intake, deadline, request_id, is_dry_run, key, body } = request;
    let record = &intake.record;
    let sent = body.read(record.document.input.format).await?;
    check_status(record)?;
    let batch = split(&sent, dialect, record)?;
    let hold = match key.filter(|_| !is_dry_run) {
        None => None,
        Some(key) => {
            let key = IdempotencyKey::new(&record.owner, &record.key, &record.ingest_id, &key);
            let fingerprint = fingerprint(dialect, &sent);
            match repeat::claim(context.keys.as_ref(), context.system.as_ref(), deadline, (key, &fingerprint)).await? {
                Turn::First(hold) => Some(hold),
                Turn::Again(response) => return Ok(response),
            }
        }
    };
    let door = Door {
        intake: &intake,
        publisher: context.publisher.as_ref(),
        dead_letters: context.dead_letters.as_ref(),
        limiter: &context.limiter,
        system: context.system.as_ref(),
        deadline: deadline.within_budget(context.system.now()),
        request_id: &request_id,
        is_dry_run,
    };
    let receipt = door.accept(&batch).await;
    let is_final = is_final(&receipt);
    let body_bytes = sent.body.len();
    let answered = Answered { intake: &intake, batch: &batch, receipt, is_dry_run, body_bytes, request_id: &request_id };
    let response = respond(dialect, answered);
    match hold {
        None => Ok(response),
        Some(hold) if is_final => hold.keep(rendered(response, &request_id)).await,
        Some(hold) => {
            hold.release().await;
            Ok(response)
        }
    }
}

/// Reads the events of a body as its form and the dialect say.
fn split<'b>(sent: &'b SentEvents, dialect: Dialect, record: &StreamRecord) -> Result<Batch<'b>, Problem> {
    let input = &record.document.input;
    if dialect == Dialect::Amperity {
        if matches!(sent.form, Form::JsonLines | Form::CloudEvents) {
            let detail = "expected one JSON object or one XML document; batches are taken by /ingest and /streams";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        if sent.body.len() > input.max_event_bytes as usize {
            let detail = format!("expected at most {} bytes, got {}", input.max_event_bytes, sent.body.len());
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
    }
    let batch = ingest::split(&sent.body, sent.form).map_err(body_problem)?;
    if dialect == Dialect::Amperity && !batch.is_single {
        return Err(Problem::bad_request("expected one JSON object, got an array"));
    }
    Ok(batch)
}

/// What makes a request the same as another: the dialect, since it decides the answer, and what was sent.
fn fingerprint(dialect: Dialect, sent: &SentEvents) -> Fingerprint {
    Fingerprint::of(&[format!("{dialect:?} {:?}", sent.form).as_bytes(), &sent.body])
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
        BodyFault::Empty(_) | BodyFault::NotUtf8 { .. } | BodyFault::Malformed(_) => Problem::bad_request(fault.to_string()),
        BodyFault::TooMany(_) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, fault.to_string()),
    }
}

/// This function's part of the OpenAPI document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(post_data, post_events, post_ingest, post_ingest_version))]
pub struct ApiDoc;
