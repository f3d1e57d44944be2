//! Streams: change in place.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use domain::access::Caller;
use domain::declaration::{Declaration, Draft};
use domain::document::StreamDocument;
use domain::provision::ChangeFault;
use domain::record::StreamRecord;
use http_edge::stream::no_such_stream;
use http_edge::{AuthorizedStream, DocumentBody, Problem, ProblemBody};

use crate::context::Context;
use crate::entity_tag::IfMatch;
use crate::flags::Chilled;
use crate::routes::checks::{Whose, checked, declaration};
use crate::routes::refusal::Refusal;
use crate::routes::{answer, current};
use crate::views::{LintingErrors, StreamOut};

/// A stream as the caller found it, and what the caller thought it was.
pub(super) struct Found {
    pub(super) record: StreamRecord,
    pub(super) if_match: IfMatch,
}

impl Found {
    /// Brings the stream up to date and checks that it is what the caller thinks it is.
    pub(super) async fn new(context: &Context, record: StreamRecord, if_match: IfMatch) -> Result<Self, Problem> {
        let record = current(context, record).await?;
        if_match.check(&record)?;
        Ok(Self { record, if_match })
    }
}

/// Gives the newest version of a stream another document, whole.
///
/// What runs goes on until the new config can take its place. One that changes the stack (labels, `buffer.kinesis`) is `pending` while the
/// status is `UPDATE_IN_PROGRESS`; every other one runs at once. An update that fails leaves the old config running, and `reason` says why.
#[utoipa::path(
    put,
    path = "/streams/{id}",
    tag = "streams",
    params(
        ("id", description = "The stream's id"),
        ("chilled" = Option<bool>, Query, description = "Lets lint errors pass, except for those that make the stream impossible"),
        ("If-Match" = Option<String>, Header, description = "Change only the stream that has this `ETag`"),
    ),
    request_body(content = StreamDocument, description = "The stream document, whole; what is left out gets its default"),
    responses(
        (status = 200, description = "The stream as it stands", body = StreamOut),
        (status = 400, description = "Faults in the document, or a field that cannot change in place", body = LintingErrors),
        (status = 409, description = "A stack operation runs, the stream has failed, a sink fixes the field, CloudFormation refuses, or another change was first", body = ProblemBody),
        (status = 412, description = "The stream is not the one that `If-Match` names", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 413, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn put_stream(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    AuthorizedStream(record): AuthorizedStream,
    if_match: IfMatch,
    Chilled(leniency): Chilled,
    DocumentBody(body): DocumentBody,
) -> Result<Response, Refusal> {
    let found = Found::new(&context, record, if_match).await?;
    let declared = declaration(&context, Whose::of(&found.record), &body, leniency).await?;
    change(&context, &caller, found, declared).await
}

/// Gives a version of a stream another document, whole, as `/streams/{id}` does for the newest.
#[utoipa::path(
    put,
    path = "/streams/{id}/{version}",
    tag = "streams",
    params(
        ("id", description = "The stream's id"),
        ("version", description = "The stream's version"),
        ("chilled" = Option<bool>, Query, description = "Lets lint errors pass, except for those that make the stream impossible"),
        ("If-Match" = Option<String>, Header, description = "Change only the stream that has this `ETag`"),
    ),
    request_body(content = StreamDocument, description = "The stream document, whole; what is left out gets its default"),
    responses(
        (status = 200, description = "The stream as it stands", body = StreamOut),
        (status = 400, description = "Faults in the document, or a field that cannot change in place", body = LintingErrors),
        (status = 409, description = "As for `/streams/{id}`", body = ProblemBody),
        (status = 412, description = "The stream is not the one that `If-Match` names", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 413, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn put_version(
    context: State<Context>,
    caller: Extension<Caller>,
    stream: AuthorizedStream,
    if_match: IfMatch,
    chilled: Chilled,
    body: DocumentBody,
) -> Result<Response, Refusal> {
    put_stream(context, caller, stream, if_match, chilled, body).await
}

/// Changes a part of the newest version's document.
///
/// The patch is merged into the document as it was posted: objects member by member, arrays and scalars whole; `null` resets a field to its
/// default. The result is checked and applied exactly as a `PUT` of it; places of faults are those of the patch.
#[utoipa::path(
    patch,
    path = "/streams/{id}",
    tag = "streams",
    params(
        ("id", description = "The stream's id"),
        ("chilled" = Option<bool>, Query, description = "Lets lint errors pass, except for those that make the stream impossible"),
        ("If-Match" = Option<String>, Header, description = "Change only the stream that has this `ETag`"),
    ),
    request_body(
        content((serde_json::Value = "application/json"), (serde_json::Value = "application/merge-patch+json"), (serde_json::Value = "application/yaml")),
        description = "An object with the members to change",
        example = json!({"buffer": {"kinesis": {"retention_hours": 48}}}),
    ),
    responses(
        (status = 200, description = "The stream as it stands", body = StreamOut),
        (status = 400, description = "Faults in the merged document, or a field that cannot change in place", body = LintingErrors),
        (status = 409, description = "As for `PUT`", body = ProblemBody),
        (status = 412, description = "The stream is not the one that `If-Match` names", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 413, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn patch_stream(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    AuthorizedStream(record): AuthorizedStream,
    if_match: IfMatch,
    Chilled(leniency): Chilled,
    DocumentBody(body): DocumentBody,
) -> Result<Response, Refusal> {
    let found = Found::new(&context, record, if_match).await?;
    let draft = Draft::patch(&found.record.posted, &body, leniency);
    let declared = checked(&context, Whose::of(&found.record), draft).await?;
    change(&context, &caller, found, declared).await
}

/// Changes a part of a version's document, as `/streams/{id}` does for the newest.
#[utoipa::path(
    patch,
    path = "/streams/{id}/{version}",
    tag = "streams",
    params(
        ("id", description = "The stream's id"),
        ("version", description = "The stream's version"),
        ("chilled" = Option<bool>, Query, description = "Lets lint errors pass, except for those that make the stream impossible"),
        ("If-Match" = Option<String>, Header, description = "Change only the stream that has this `ETag`"),
    ),
    request_body(
        content((serde_json::Value = "application/json"), (serde_json::Value = "application/merge-patch+json"), (serde_json::Value = "application/yaml")),
        description = "An object with the members to change",
        example = json!({"buffer": {"kinesis": {"retention_hours": 48}}}),
    ),
    responses(
        (status = 200, description = "The stream as it stands", body = StreamOut),
        (status = 400, description = "Faults in the merged document, or a field that cannot change in place", body = LintingErrors),
        (status = 409, description = "As for `PUT`", body = ProblemBody),
        (status = 412, description = "The stream is not the one that `If-Match` names", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 413, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn patch_version(
    context: State<Context>,
    caller: Extension<Caller>,
    stream: AuthorizedStream,
    if_match: IfMatch,
    chilled: Chilled,
    body: DocumentBody,
) -> Result<Response, Refusal> {
    patch_stream(context, caller, stream, if_match, chilled, body).await
}

/// Changes the stream that was found, if it still is that stream.
pub(super) async fn change(context: &Context, caller: &Caller, found: Found, declared: Declaration) -> Result<Response, Refusal> {
    let Found { record, if_match } = found;
    let key = record.key.clone();
    match context.provisioning().update_stream(caller, record, declared).await {
        Ok(record) => Ok(answer(context, &record)),
        // Another writer was first. With a condition, the caller learns whether it was the config that changed.
        Err(ChangeFault::Conflict) if if_match.is_given() => {
            let now = context.streams.load(&caller.reach(), &key.id, Some(&key.version)).await?;
            if_match.check(&now.ok_or_else(no_such_stream)?)?;
            Err(ChangeFault::Conflict.into())
        }
        Err(fault) => Err(fault.into()),
    }
}
