//! The configs that a stream had: list them, and go back to one.

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use axum::{Extension, Json};
use domain::access::Caller;
use domain::config::ConfigPage;
use domain::declaration::Leniency;
use http_edge::query::parameters;
use http_edge::{AuthorizedStream, Problem, ProblemBody};

use crate::context::Context;
use crate::entity_tag::IfMatch;
use crate::routes::checks::{Whose, declaration};
use crate::routes::current;
use crate::routes::refusal::Refusal;
use crate::routes::updates::{Found, change};
use crate::views::{ConfigOut, LintingErrors, StreamOut};

/// Configs on one page.
const PAGE: usize = 100;

/// Lists the configs that a stream had, the newest first, at most 100.
///
/// Each was accepted once; one that is neither `current` nor `pending` was replaced, or its update failed. A stream that was made anew
/// under an old name still has the old one's.
#[utoipa::path(
    get,
    path = "/streams/{id}/{version}/versions",
    tag = "streams",
    params(
        ("id", description = "The stream's id"),
        ("version", description = "The stream's version"),
        ("before" = Option<u32>, Query, description = "Only those with a lower `n`: the last one of the page before"),
    ),
    responses(
        (status = 200, description = "The stream's configs", body = Vec<ConfigOut>),
        (status = "default", description = "400, 401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn list_configs(
    State(context): State<Context>,
    AuthorizedStream(record): AuthorizedStream,
    RawQuery(raw_query): RawQuery,
) -> Result<Json<Vec<ConfigOut>>, Problem> {
    let before = before(raw_query.as_deref().unwrap_or_default())?;
    let record = current(&context, record).await?;
    let configs = context.streams.list_configs(&record.owner, &record.key, ConfigPage { before, limit: PAGE }).await?;
    Ok(Json(configs.iter().map(|config| ConfigOut::new(config, &record)).collect()))
}

fn before(raw_query: &str) -> Result<Option<u32>, Problem> {
    let parameters = parameters(raw_query);
    let Some((_, text)) = parameters.iter().find(|(name, _)| name == "before") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let detail = format!("before: expected the n of a config, got {:?}", text.chars().take(100).collect::<String>());
        Problem::bad_request(detail.clone()).with_error("/before", detail)
    })
}

/// Goes back to a config that the stream had: it becomes a new config, as if it was posted again. Lint errors that it was accepted with
/// pass.
#[utoipa::path(
    post,
    path = "/streams/{id}/{version}/rollback/{n}",
    tag = "streams",
    params(
        ("id", description = "The stream's id"),
        ("version", description = "The stream's version"),
        ("n", description = "The config's number, from the list"),
        ("If-Match" = Option<String>, Header, description = "Change only the stream that has this `ETag`"),
    ),
    responses(
        (status = 200, description = "The stream as it stands", body = StreamOut),
        (status = 400, description = "The config has become impossible, or differs in a field that cannot change in place", body = LintingErrors),
        (status = 404, description = "There is no such stream or config", body = ProblemBody),
        (status = 409, description = "As for `PUT`", body = ProblemBody),
        (status = 412, description = "The stream is not the one that `If-Match` names", body = ProblemBody),
        (status = "default", description = "401, 403, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn roll_back(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    AuthorizedStream(record): AuthorizedStream,
    if_match: IfMatch,
    Path((_id, _version, number)): Path<(String, String, String)>,
) -> Result<Response, Refusal> {
    let no_such_config = || Problem::not_found("the stream has had no such config");
    let number: u32 = number.parse().map_err(|_| no_such_config())?;
    let found = Found::new(&context, record, if_match).await?;
    let config = context.streams.load_config(&found.record.owner, &found.record.key, number).await?;
    let config = config.ok_or_else(no_such_config)?;
    let text = format!("{:#}", config.posted);
    let declared = declaration(&context, Whose::of(&found.record), &text, Leniency::Chilled).await?;
    change(&context, &caller, found, declared).await
}
