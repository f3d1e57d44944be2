//! The routes, a file for each kind of thing.

pub mod documents;
pub mod ready;
pub mod sinks;
pub mod streams;

use axum::Router;
use axum::routing::{get, post};
use domain::lifecycle::Status;
use domain::limits::RETRY_AFTER_STACK;
use domain::provision::ChangeFault;
use domain::record::StreamRecord;
use http_edge::stream::no_such_stream;
use http_edge::{FunctionName, Problem};

use crate::context::Context;

/// The function's router, whole.
pub fn app(context: Context) -> Router {
    let (authenticator, system) = (context.authenticator.clone(), context.system.clone());
    let routes = Router::new()
        .route("/ready", get(ready::get_ready))
        .route("/streams", get(streams::list_streams))
        .route("/streams/lint", post(documents::lint_document))
        .route("/streams/schema.json", get(documents::get_schema))
        .route("/streams/{id}", get(streams::get_stream).post(streams::create_first_version).delete(streams::delete_stream))
        .route("/streams/{id}/{version}", get(streams::get_version).post(streams::create_version).delete(streams::delete_version))
        .route("/streams/{id}/{version}/sinks", get(sinks::list_sinks).post(sinks::enable_sink))
        .route("/streams/{id}/{version}/sinks/{type}", get(sinks::get_sink).delete(sinks::disable_sink))
        .with_state(context);
    http_edge::serve(FunctionName::ManageStreams, routes, authenticator, system)
}

/// Brings a stream that was just loaded up to date with CloudFormation. One whose deletion turns out to be over is gone.
async fn current(context: &Context, record: StreamRecord) -> Result<StreamRecord, Problem> {
    context.provisioning().reconcile(record).await?.ok_or_else(no_such_stream)
}

/// Why a change was not made, for the caller.
fn change_problem(fault: ChangeFault) -> Problem {
    let detail = fault.to_string();
    match fault {
        // The same words whether it is the caller's or somebody else's.
        ChangeFault::Exists(_) | ChangeFault::SinkExists(_) => Problem::conflict(detail),
        ChangeFault::NoSuchSink(_) => Problem::not_found(detail),
        // Names them, so that the caller knows what to disable first.
        ChangeFault::HasSinks(_) => Problem::conflict(detail),
        // A failed stream does not mend by itself.
        ChangeFault::NotActive(Status::OperationFailed) => Problem::conflict(detail),
        // Waiting helps.
        ChangeFault::Busy { .. } | ChangeFault::NotActive(_) => Problem::conflict(detail).with_retry_after(RETRY_AFTER_STACK),
        // Reading again and deciding anew helps.
        ChangeFault::Conflict => Problem::conflict(detail),
        ChangeFault::Store(fault) => fault.into(),
    }
}

/// This function's part of the OpenAPI document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    ready::get_ready,
    documents::lint_document,
    documents::get_schema,
    streams::list_streams,
    streams::create_first_version,
    streams::get_stream,
    streams::delete_stream,
    streams::create_version,
    streams::get_version,
    streams::delete_version,
    sinks::list_sinks,
    sinks::enable_sink,
    sinks::get_sink,
    sinks::disable_sink,
))]
pub struct ApiDoc;
