//! Stats: what a stream has done.

use axum::Json;
use axum::extract::State;
use http_edge::{AuthorizedStream, Problem, ProblemBody};

use crate::context::Context;
use crate::routes::current;
use crate::stats_view::StatsOut;

/// Counts what the newest version of a stream has done.
#[utoipa::path(
    get,
    path = "/streams/{id}/stats",
    tag = "streams",
    params(("id", description = "The stream's id")),
    responses(
        (status = 200, description = "What was counted since the stream was made", body = StatsOut),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["read"])),
)]
pub async fn get_newest_stats(
    State(context): State<Context>,
    AuthorizedStream(record): AuthorizedStream,
) -> Result<Json<StatsOut>, Problem> {
    let record = current(&context, record).await?;
    let stats = context.stats.load_stats(&record.ingest_id).await?;
    Ok(Json(StatsOut::new(&record, stats.as_ref())))
}

/// Counts what a version of a stream has done.
///
/// Counters go on through updates of the stream and its sinks; a stream that is deleted and made again begins at zero. Events are counted
/// when the pipeline is done with them, a second or two after ingest. Each batch is counted by one write that is never repeated, so a write
/// that fails is missing, and a batch whose end Lambda did not see is counted twice. A stream without a raw stream (`buffer.raw: false`) has
/// no pipeline that would count: its counters stay zero.
#[utoipa::path(
    get,
    path = "/streams/{id}/{version}/stats",
    tag = "streams",
    params(("id", description = "The stream's id"), ("version", description = "The stream's version")),
    responses(
        (status = 200, description = "What was counted since the stream was made", body = StatsOut),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["read"])),
)]
pub async fn get_stats(context: State<Context>, stream: AuthorizedStream) -> Result<Json<StatsOut>, Problem> {
    get_newest_stats(context, stream).await
}
