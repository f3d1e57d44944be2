//! The routes: API keys, their tokens, and the public keys.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use domain::api_key::ApiKey;
use domain::ids::ApiKeyId;
use domain::store::WriteFault;
use http::{StatusCode, header};
use http_edge::{ActingOwner, DocumentBody, FunctionName, Measures, Problem, ProblemBody};

use crate::authorized_key::{AuthorizedKey, KeyManager};
use crate::context::Context;
use crate::views::{ApiKeyIn, ApiKeyOut, JwkSet, RotationIn, TokenIn, TokenOut};

/// API keys of one owner: their list fits one answer (6 MB), whatever their names and patterns. Ours.
pub const MAX_KEYS_PER_OWNER: usize = 500;

/// The function's router, whole.
pub fn app(context: Context) -> Router {
    let (authenticator, system) = (context.authenticator.clone(), context.system.clone());
    let routes = Router::new()
        .route("/api-keys", get(list_keys).post(create_key))
        .route("/api-keys/{id}", delete(revoke_key))
        .route("/api-keys/{id}/tokens", post(issue_token))
        .route("/api-keys/{id}/rotate", post(rotate_key))
        .route("/.well-known/jwks.json", get(get_jwks))
        .with_state(context);
    http_edge::serve(FunctionName::ManageKeys, routes, authenticator, system)
}

/// Lists the caller's API keys.
#[utoipa::path(
    get,
    path = "/api-keys",
    tag = "api keys",
    params(("owner" = Option<String>, Query, description = "An admin may name another owner")),
    responses(
        (status = 200, description = "The owner's keys", body = Vec<ApiKeyOut>),
        (status = "default", description = "400, 401, 403, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn list_keys(
    State(context): State<Context>,
    _: KeyManager,
    ActingOwner(owner): ActingOwner,
) -> Result<Json<Vec<ApiKeyOut>>, Problem> {
    let now = context.system.now();
    let mut keys = context.keys.list_keys(&owner).await?;
    keys.sort_by(|one, other| one.created_at.cmp(&other.created_at).then_with(|| one.id.cmp(&other.id)));
    Ok(Json(keys.iter().map(|key| ApiKeyOut::new(key, now)).collect()))
}

/// Makes an API key. It holds no secret: tokens are made with it.
#[utoipa::path(
    post,
    path = "/api-keys",
    tag = "api keys",
    request_body(content = ApiKeyIn),
    responses(
        (status = 201, description = "The key", body = ApiKeyOut),
        (status = 400, description = "Fields that are missing, unknown or unusable, each named", body = ProblemBody),
        (status = 409, description = "The owner has too many keys", body = ProblemBody),
        (status = "default", description = "401, 403, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn create_key(
    State(context): State<Context>,
    KeyManager(caller): KeyManager,
    DocumentBody(body): DocumentBody,
) -> Result<Response, Problem> {
    let ApiKeyIn { name, scopes, streams, owner } = ApiKeyIn::parse(&body)?;
    let owner = caller.acting_for(owner)?;
    if context.keys.list_keys(&owner).await?.len() >= MAX_KEYS_PER_OWNER {
        return Err(Problem::conflict(format!("the owner has {MAX_KEYS_PER_OWNER} api keys; delete some first")));
    }
    let now = context.system.now();
    let key = ApiKey {
        id: ApiKeyId::from_random(context.system.random()),
        owner,
        name,
        scopes,
        streams,
        generation: 0,
        retiring: BTreeMap::new(),
        created_at: now,
        created_by: caller.subject.clone(),
        updated_at: now,
        updated_by: caller.subject,
        revision: 1,
    };
    // Its id is new by chance alone; that it is taken is as good as impossible, and worth another try.
    context.keys.create_key(&key).await.map_err(|fault| match fault {
        WriteFault::Conflict => Problem::unavailable("the id of a new api key was taken"),
        WriteFault::Store(fault) => fault.into(),
    })?;
    let location = format!("/api-keys/{}", key.id);
    let response = (StatusCode::CREATED, [(header::LOCATION, location)], Json(ApiKeyOut::new(&key, now))).into_response();
    Ok(noted(response, &key, &[]))
}

/// Revokes an API key. Its tokens are refused everywhere within a minute.
#[utoipa::path(
    delete,
    path = "/api-keys/{id}",
    tag = "api keys",
    params(("id", description = "The key's id")),
    responses(
        (status = 204, description = "The key is gone"),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn revoke_key(State(context): State<Context>, AuthorizedKey(key): AuthorizedKey) -> Result<Response, Problem> {
    context.keys.remove_key(&key).await?;
    Ok(noted(StatusCode::NO_CONTENT.into_response(), &key, &[]))
}

/// Makes a token with an API key. It is shown this once and kept nowhere.
#[utoipa::path(
    post,
    path = "/api-keys/{id}/tokens",
    tag = "api keys",
    params(("id", description = "The key's id")),
    request_body(content = TokenIn),
    responses(
        (status = 201, description = "The token", body = TokenOut),
        (status = 400, description = "Fields that are missing, unknown or unusable, each named", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn issue_token(
    State(context): State<Context>,
    AuthorizedKey(key): AuthorizedKey,
    DocumentBody(body): DocumentBody,
) -> Result<Response, Problem> {
    let TokenIn { expires_in_days } = TokenIn::parse(&body)?;
    let issued = context.tokens.issue(&key.grant(), expires_in_days).await?;
    let token_id = ("token.id", issued.id.clone());
    let response = (StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(issued)).into_response();
    Ok(noted(response, &key, &[token_id]))
}

/// Rotates an API key: tokens that were made before end after a grace; new ones are made with the same key.
#[utoipa::path(
    post,
    path = "/api-keys/{id}/rotate",
    tag = "api keys",
    params(("id", description = "The key's id")),
    request_body(content = Option<RotationIn>, description = "May be left out"),
    responses(
        (status = 200, description = "The key, with the time when its old tokens end", body = ApiKeyOut),
        (status = 400, description = "Fields that are unknown or unusable, each named", body = ProblemBody),
        (status = 409, description = "Somebody else rotated it just now, or it was rotated too often", body = ProblemBody),
        (status = "default", description = "401, 403, 404, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn rotate_key(
    State(context): State<Context>,
    KeyManager(caller): KeyManager,
    AuthorizedKey(key): AuthorizedKey,
    DocumentBody(body): DocumentBody,
) -> Result<Response, Problem> {
    let RotationIn { grace_seconds } = RotationIn::parse(&body)?;
    let now = context.system.now();
    let rotated = key.rotated(grace_seconds, now, &caller.subject).map_err(|refused| Problem::conflict(refused.to_string()))?;
    context.keys.replace_key(&key, &rotated).await.map_err(write_problem)?;
    Ok(noted(Json(ApiKeyOut::new(&rotated, now)).into_response(), &key, &[]))
}

/// Gives the public keys that verify this deployment's tokens.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "api keys",
    responses(
        (status = 200, description = "The public keys (RFC 7517)", body = JwkSet),
        (status = "default", description = "503", body = ProblemBody),
    ),
    security(()),
)]
pub async fn get_jwks(State(context): State<Context>) -> Result<Response, Problem> {
    let keys = context.authenticator.own_keys().await?;
    Ok(([(header::CACHE_CONTROL, "public, max-age=60")], Json(JwkSet::new(keys))).into_response())
}

fn write_problem(fault: WriteFault) -> Problem {
    match fault {
        // Reading again and deciding anew helps.
        WriteFault::Conflict => Problem::conflict("somebody else changed the api key just now"),
        WriteFault::Store(fault) => fault.into(),
    }
}

/// Says in the log which key this was about.
fn noted(mut response: Response, key: &ApiKey, more: &[(&'static str, String)]) -> Response {
    let mut fields = vec![("api_key.id", key.id.to_string()), ("api_key.owner", key.owner.to_string())];
    fields.extend_from_slice(more);
    response.extensions_mut().insert(Measures { metrics: Vec::new(), fields });
    response
}

/// This function's part of the OpenAPI document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(list_keys, create_key, revoke_key, issue_token, rotate_key, get_jwks))]
pub struct ApiDoc;
