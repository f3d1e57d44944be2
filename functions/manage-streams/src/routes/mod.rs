//! The routes, a file for each kind of thing.

pub mod checks;
pub mod collection;
pub mod configs;
pub mod documents;
mod followers;
pub mod pause;
pub mod ready;
pub mod refusal;
pub mod resources;
pub mod sinks;
pub mod stats;
pub mod streams;
pub mod trial;
pub mod updates;

use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use domain::record::StreamRecord;
use domain::resource_config::{CacheDocument, RateLimitDocument};
use http::header;
use http_edge::stream::no_such_stream;
use http_edge::{FunctionName, Problem};

use crate::context::Context;
use crate::entity_tag::entity_tag;
use crate::views::StreamOut;

/// The function's router, whole.
pub fn app(context: Context) -> Router {
    let (authenticator, system) = (context.authenticator.clone(), context.system.clone());
    let routes = Router::new()
        .route("/ready", get(ready::get_ready))
        .route("/streams", get(streams::list_streams).post(collection::set_streams))
        .route("/streams/lint", post(documents::lint_document))
        .route("/streams/schema.json", get(documents::get_schema))
        .route(
            "/streams/{id}",
            get(streams::get_stream)
                .post(streams::create_first_version)
                .put(updates::put_stream)
                .patch(updates::patch_stream)
                .delete(streams::delete_stream),
        )
        .route(
            "/streams/{id}/{version}",
            get(streams::get_version)
                .post(streams::create_version)
                .put(updates::put_version)
                .patch(updates::patch_version)
                .delete(streams::delete_version),
        )
        .route("/streams/{id}/stats", get(stats::get_newest_stats))
        .route("/streams/{id}/{version}/stats", get(stats::get_stats))
        .route("/streams/{id}/{version}/test", post(trial::test_pipeline))
        .route("/streams/{id}/{version}/versions", get(configs::list_configs))
        .route("/streams/{id}/{version}/rollback/{n}", post(configs::roll_back))
        .route("/streams/{id}/{version}/pause", post(pause::pause_stream))
        .route("/streams/{id}/{version}/resume", post(pause::resume_stream))
        .route("/streams/{id}/{version}/sinks", get(sinks::list_sinks).post(sinks::enable_sink))
        .route("/streams/{id}/{version}/sinks/{type}", get(sinks::get_sink).delete(sinks::disable_sink))
        .route("/resources", get(resources::list_resources))
        .route("/resources/{type}/{id}", get(resources::get_resource).post(resources::put_resource).delete(resources::delete_resource))
        .with_state(context);
    http_edge::serve(FunctionName::ManageStreams, routes, authenticator, system)
}

/// Brings a stream that was just loaded up to date with CloudFormation. One whose deletion turns out to be over is gone.
async fn current(context: &Context, record: StreamRecord) -> Result<StreamRecord, Problem> {
    context.provisioning().reconcile(record).await?.ok_or_else(no_such_stream)
}

/// A stream as it stands, and what to name in `If-Match`.
fn answer(context: &Context, record: &StreamRecord) -> Response {
    ([(header::ETAG, entity_tag(record))], Json(StreamOut::new(record, context.system.now()))).into_response()
}

/// This function's part of the OpenAPI document.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        ready::get_ready,
        documents::lint_document,
        documents::get_schema,
        streams::list_streams,
        streams::create_first_version,
        streams::get_stream,
        updates::put_stream,
        updates::patch_stream,
        streams::delete_stream,
        streams::create_version,
        streams::get_version,
        updates::put_version,
        updates::patch_version,
        streams::delete_version,
        stats::get_newest_stats,
        stats::get_stats,
        trial::test_pipeline,
        configs::list_configs,
        collection::set_streams,
        configs::roll_back,
        pause::pause_stream,
        pause::resume_stream,
        sinks::list_sinks,
        sinks::enable_sink,
        sinks::get_sink,
        sinks::disable_sink,
        resources::list_resources,
        resources::put_resource,
        resources::get_resource,
        resources::delete_resource,
    ),
    components(schemas(CacheDocument, RateLimitDocument))
)]
pub struct ApiDoc;
