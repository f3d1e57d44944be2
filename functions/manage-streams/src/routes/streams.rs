//! Streams: declare, show, remove.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::{Extension, Json};
use domain::access::Caller;
use domain::declaration::{Draft, Leniency};
use domain::document::StreamDocument;
use domain::ids::{InvalidId, Owner, StreamId, StreamKey, Version};
use domain::record::StreamRecord;
use http::{HeaderValue, StatusCode, header};
use http_edge::stream::require_touch;
use http_edge::{ActingOwner, AuthorizedStream, DocumentBody, Problem, ProblemBody};

use crate::context::Context;
use crate::entity_tag::IfMatch;
use crate::flags::{Cascade, Chilled, WithDefaults};
use crate::routes::checks::{Whose, checked};
use crate::routes::refusal::Refusal;
use crate::routes::updates::Found;
use crate::routes::{answer, current};
use crate::views::{LintingErrors, StreamOut, StreamSummary, with_defaults};

/// Lists the caller's streams.
///
/// The newest version of a stream stands under its id, older ones under `id/version`.
#[utoipa::path(
    get,
    path = "/streams",
    tag = "streams",
    params(("owner" = Option<String>, Query, description = "An admin may name another owner")),
    responses(
        (status = 200, description = "The caller's streams", body = BTreeMap<String, StreamSummary>),
        (status = "default", description = "400, 401, 403, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn list_streams(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    ActingOwner(owner): ActingOwner,
) -> Result<Json<BTreeMap<String, StreamSummary>>, Problem> {
    let mut newest: BTreeMap<StreamId, Version> = BTreeMap::new();
    let mut records = Vec::new();
    let listed = context.streams.list(&owner).await?.into_iter().filter(|record| caller.may_touch(&record.key.id));
    for record in listed {
        if let Some(record) = context.provisioning().reconcile(record).await? {
            let version = newest.entry(record.key.id.clone()).or_insert_with(|| record.key.version.clone());
            if record.key.version > *version {
                *version = record.key.version.clone();
            }
            records.push(record);
        }
    }
    let now = context.system.now();
    let name = |record: &StreamRecord| match newest.get(&record.key.id) {
        Some(version) if *version == record.key.version => record.key.id.to_string(),
        _ => record.key.to_string(),
    };
    Ok(Json(records.iter().map(|record| (name(record), StreamSummary::new(record, now))).collect()))
}

/// Declares a stream: creates its version `1`.
///
/// okdata's `create_raw` is taken for `buffer.raw`.
#[utoipa::path(
    post,
    path = "/streams/{id}",
    tag = "streams",
    params(
        ("id", description = "The stream's id", example = "refuse-trucks"),
        ("owner" = Option<String>, Query, description = "An admin may name another owner"),
        ("chilled" = Option<bool>, Query, description = "Lets lint errors pass, except for those that make the stream impossible"),
    ),
    request_body(content = StreamDocument, description = "The stream document, JSON or YAML; `{}` is a valid one"),
    responses(
        (status = 200, description = "Its stack is being created", body = StreamOut),
        (status = 400, description = "A bad id (problem+json), or faults in the document", body = LintingErrors),
        (status = 409, description = "The stream exists, or its id belongs to someone else", body = ProblemBody),
        (status = "default", description = "401, 403, 413, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn create_first_version(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    ActingOwner(owner): ActingOwner,
    Path(id): Path<String>,
    Chilled(leniency): Chilled,
    DocumentBody(body): DocumentBody,
) -> Result<Response, Refusal> {
    let id = new_id(&id)?;
    require_touch(&caller, &id)?;
    if let Some(existing) = existing(&context, &caller, &id, None).await? {
        return Err(Problem::conflict(format!("stream {} already exists", existing.key)).into());
    }
    let key = StreamKey { id, version: Version::first() };
    create(&context, &caller, Wanted { owner, key, document: &body, leniency }, StatusCode::OK).await
}

/// Declares a version of a stream.
///
/// okdata's `create_raw` is taken for `buffer.raw`.
#[utoipa::path(
    post,
    path = "/streams/{id}/{version}",
    tag = "streams",
    params(
        ("id", description = "The stream's id", example = "refuse-trucks"),
        ("version", description = "One to three numbers", example = "1"),
        ("owner" = Option<String>, Query, description = "An admin may name another owner"),
        ("chilled" = Option<bool>, Query, description = "Lets lint errors pass, except for those that make the stream impossible"),
    ),
    request_body(content = StreamDocument, description = "The stream document, JSON or YAML; `{}` is a valid one"),
    responses(
        (status = 201, description = "Its stack is being created", body = StreamOut),
        (status = 400, description = "A bad id or version (problem+json), or faults in the document", body = LintingErrors),
        (status = 409, description = "The stream exists, or its id belongs to someone else", body = ProblemBody),
        (status = "default", description = "401, 403, 413, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn create_version(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    ActingOwner(owner): ActingOwner,
    Path((id, version)): Path<(String, String)>,
    Chilled(leniency): Chilled,
    DocumentBody(body): DocumentBody,
) -> Result<Response, Refusal> {
    let id = new_id(&id)?;
    require_touch(&caller, &id)?;
    let version: Version = version.parse().map_err(|error| bad_id("/version", &error))?;
    if let Some(existing) = existing(&context, &caller, &id, Some(&version)).await? {
        return Err(Problem::conflict(format!("stream {} already exists", existing.key)).into());
    }
    let key = StreamKey { id, version };
    create(&context, &caller, Wanted { owner, key, document: &body, leniency }, StatusCode::CREATED).await
}

/// What holds the place of a new stream. One whose deletion is over does not, though no news of it may have come.
async fn existing(context: &Context, caller: &Caller, id: &StreamId, version: Option<&Version>) -> Result<Option<StreamRecord>, Problem> {
    match context.streams.load(&caller.reach(), id, version).await? {
        Some(record) => Ok(context.provisioning().reconcile(record).await?),
        None => Ok(None),
    }
}

/// A stream that somebody wants.
struct Wanted<'b> {
    owner: Owner,
    key: StreamKey,
    document: &'b str,
    leniency: Leniency,
}

async fn create(context: &Context, caller: &Caller, wanted: Wanted<'_>, success: StatusCode) -> Result<Response, Refusal> {
    let draft = Draft::parse_new(wanted.document, wanted.leniency);
    let declared = checked(context, Whose { owner: &wanted.owner, stream: Some(&wanted.key) }, draft).await?;
    let record = context.provisioning().create_stream(caller, wanted.owner, wanted.key, declared).await?;
    let mut response = answer(context, &record);
    *response.status_mut() = success;
    if let Ok(location) = HeaderValue::from_str(&format!("/streams/{}", record.key)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// An id that a new stream may have.
fn new_id(text: &str) -> Result<StreamId, Problem> {
    let id: StreamId = text.parse().map_err(|error| bad_id("/id", &error))?;
    check_reserved(&id).map_err(|detail| Problem::bad_request(detail.clone()).with_error("/id", detail))?;
    Ok(id)
}

/// Refuses an id that stands in the way of a route.
pub(super) fn check_reserved(id: &StreamId) -> Result<(), String> {
    match id.reserved() {
        None => Ok(()),
        Some(route) => Err(format!("stream id \"{id}\" stands for a route, {route}; choose another")),
    }
}

fn bad_id(pointer: &str, error: &InvalidId) -> Problem {
    Problem::bad_request(error.to_string()).with_error(pointer, error.to_string())
}

/// Shows the newest version of a stream.
#[utoipa::path(
    get,
    path = "/streams/{id}",
    tag = "streams",
    params(
        ("id", description = "The stream's id"),
        ("defaults" = Option<bool>, Query, description = "Shows `config` with every default filled in"),
    ),
    responses(
        (status = 200, description = "The stream; its `ETag` can stand in `If-Match`", body = StreamOut),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn get_stream(
    State(context): State<Context>,
    AuthorizedStream(record): AuthorizedStream,
    WithDefaults(is_whole): WithDefaults,
) -> Result<Response, Problem> {
    let record = current(&context, record).await?;
    Ok(answer(&context, &if is_whole { with_defaults(record) } else { record }))
}

/// Shows a version of a stream.
#[utoipa::path(
    get,
    path = "/streams/{id}/{version}",
    tag = "streams",
    params(
        ("id", description = "The stream's id"),
        ("version", description = "The stream's version"),
        ("defaults" = Option<bool>, Query, description = "Shows `config` with every default filled in"),
    ),
    responses(
        (status = 200, description = "The stream; while its deletion runs, too. Its `ETag` can stand in `If-Match`", body = StreamOut),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn get_version(context: State<Context>, stream: AuthorizedStream, defaults: WithDefaults) -> Result<Response, Problem> {
    get_stream(context, stream, defaults).await
}

/// Removes the newest version of a stream with its sinks. Data that they wrote stays.
#[utoipa::path(
    delete,
    path = "/streams/{id}",
    tag = "streams",
    params(
        ("id", description = "The stream's id"),
        ("If-Match" = Option<String>, Header, description = "Remove only the stream that has this `ETag`"),
    ),
    responses(
        (status = 200, description = "Its stacks are being deleted, the stream's own after those of its sinks", body = StreamOut),
        (status = 409, description = "A stack operation runs", body = ProblemBody),
        (status = 412, description = "The stream is not the one that `If-Match` names", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn delete_stream(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    AuthorizedStream(record): AuthorizedStream,
    if_match: IfMatch,
) -> Result<Json<StreamOut>, Refusal> {
    let found = Found::new(&context, record, if_match).await?;
    delete(&context, &caller, found, true).await
}

/// Removes a version of a stream. Data that its sinks wrote stays.
#[utoipa::path(
    delete,
    path = "/streams/{id}/{version}",
    tag = "streams",
    params(
        ("id", description = "The stream's id"),
        ("version", description = "The stream's version"),
        ("cascade" = Option<bool>, Query, description = "Removes its sinks, too"),
        ("If-Match" = Option<String>, Header, description = "Remove only the stream that has this `ETag`"),
    ),
    responses(
        (status = 200, description = "Its stacks are being deleted, the stream's own after those of its sinks", body = StreamOut),
        (status = 409, description = "It has sinks and is not to take them with it, or a stack operation runs", body = ProblemBody),
        (status = 412, description = "The stream is not the one that `If-Match` names", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn delete_version(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    AuthorizedStream(record): AuthorizedStream,
    if_match: IfMatch,
    Cascade(cascade): Cascade,
) -> Result<Json<StreamOut>, Refusal> {
    let found = Found::new(&context, record, if_match).await?;
    delete(&context, &caller, found, cascade).await
}

async fn delete(context: &Context, caller: &Caller, found: Found, cascade: bool) -> Result<Json<StreamOut>, Refusal> {
    let deleted = context.provisioning().delete_stream(caller, found.record, cascade).await?;
    Ok(Json(StreamOut::new(&deleted, context.system.now())))
}
