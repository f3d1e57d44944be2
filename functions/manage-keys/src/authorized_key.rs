//! Who may manage keys, and which.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, Path};
use domain::access::Caller;
use domain::api_key::{ApiKey, ApiKeyStore};
use domain::ids::ApiKeyId;
use http::StatusCode;
use http::request::Parts;
use http_edge::Problem;

use crate::context::Context;

/// Who may manage keys: a caller that is not limited to some streams, or it could give itself the others.
#[derive(Debug)]
pub struct KeyManager(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for KeyManager {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().ok_or_else(|| Problem::unauthorized("route without authentication"))?;
        if caller.streams.is_some() {
            return Err(Problem::new(StatusCode::FORBIDDEN, "a token that is limited to streams cannot manage api keys"));
        }
        Ok(Self(caller.clone()))
    }
}

/// An API key that exists and that the caller may touch, named by the path's `{id}`.
#[derive(Debug)]
pub struct AuthorizedKey(pub ApiKey);

impl<S> FromRequestParts<S> for AuthorizedKey
where
    S: Send + Sync,
    Arc<dyn ApiKeyStore>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let KeyManager(caller) = KeyManager::from_request_parts(parts, state).await?;
        let path = Path::<BTreeMap<String, String>>::from_request_parts(parts, state).await;
        let id = path.ok().and_then(|Path(path)| path.get("id")?.parse::<ApiKeyId>().ok());
        // An id that breaks its pattern names no key that can exist.
        let found = match id {
            Some(id) => Arc::<dyn ApiKeyStore>::from_ref(state).load_key(&caller.reach(), &id).await?,
            None => None,
        };
        found.map(Self).ok_or_else(|| Problem::not_found("there is no such api key"))
    }
}

impl FromRef<Context> for Arc<dyn ApiKeyStore> {
    fn from_ref(context: &Context) -> Self {
        context.keys.clone()
    }
}
