//! The pipeline of a stream: stop it where it is, and let it go on from there.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use domain::access::Caller;
use http_edge::{AuthorizedStream, ProblemBody};

use crate::context::Context;
use crate::routes::refusal::Refusal;
use crate::routes::{answer, current};
use crate::views::StreamOut;

/// Pauses a version of a stream.
///
/// Its mappings are disabled: events are still taken in and wait in the raw stream, as long as that keeps them
/// (`buffer.kinesis.retention_hours`). Sinks finish what was processed before.
#[utoipa::path(
    post,
    path = "/streams/{id}/{version}/pause",
    tag = "streams",
    params(("id", description = "The stream's id"), ("version", description = "The stream's version")),
    responses(
        (status = 200, description = "Its stack is being updated, or it was paused already", body = StreamOut),
        (status = 409, description = "A stack operation runs, or the stream is not `ACTIVE` or has no pipeline", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn pause_stream(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    AuthorizedStream(record): AuthorizedStream,
) -> Result<Response, Refusal> {
    let record = current(&context, record).await?;
    let paused = context.provisioning().set_paused(&caller, record, true).await?;
    Ok(answer(&context, &paused))
}

/// Resumes a version of a stream: it goes on where it was.
#[utoipa::path(
    post,
    path = "/streams/{id}/{version}/resume",
    tag = "streams",
    params(("id", description = "The stream's id"), ("version", description = "The stream's version")),
    responses(
        (status = 200, description = "Its stack is being updated, or it was not paused", body = StreamOut),
        (status = 409, description = "A stack operation runs, or the stream is not `ACTIVE` or has no pipeline", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn resume_stream(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    AuthorizedStream(record): AuthorizedStream,
) -> Result<Response, Refusal> {
    let record = current(&context, record).await?;
    let resumed = context.provisioning().set_paused(&caller, record, false).await?;
    Ok(answer(&context, &resumed))
}
