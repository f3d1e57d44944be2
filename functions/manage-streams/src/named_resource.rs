//! The resource that a request is about, and who may manage resources.

use axum::extract::{FromRequestParts, RawPathParams};
use domain::access::Caller;
use domain::ids::Owner;
use domain::resource::{Resource, ResourceKey, ResourceKind, UnknownResourceKind};
use http::StatusCode;
use http::request::Parts;
use http_edge::{ActingOwner, Problem};

use crate::context::Context;

/// Who may manage resources, and whose: a caller that is not limited to some streams, since resources are shared with the others.
#[derive(Debug)]
pub struct ResourceManager {
    /// Who calls.
    pub caller: Caller,
    /// Whose resources: the caller's own, or those of the owner that an admin names with `?owner=`.
    pub owner: Owner,
}

impl<S: Send + Sync> FromRequestParts<S> for ResourceManager {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(|| Problem::unauthorized("route without authentication"))?;
        if caller.streams.is_some() {
            return Err(Problem::new(StatusCode::FORBIDDEN, "a token that is limited to streams cannot manage resources"));
        }
        let ActingOwner(owner) = ActingOwner::from_request_parts(parts, state).await?;
        Ok(Self { caller, owner })
    }
}

/// The name of a resource, which need not exist: the path's `{type}` and `{id}`.
#[derive(Debug)]
pub struct NamedResource {
    /// Who asks, and for whom.
    pub manager: ResourceManager,
    /// Which resource.
    pub key: ResourceKey,
}

impl<S: Send + Sync> FromRequestParts<S> for NamedResource {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let manager = ResourceManager::from_request_parts(parts, state).await?;
        let path = ResourcePath::of(parts).await?;
        let kind = path.kind()?;
        let id = path.id.parse().map_err(|error: domain::ids::InvalidId| {
            let detail = error.to_string();
            Problem::bad_request(detail.clone()).with_error("/id", detail)
        })?;
        Ok(Self { manager, key: ResourceKey { kind, id } })
    }
}

/// A resource that exists and that the caller may touch.
#[derive(Debug)]
pub struct AuthorizedResource(pub Resource);

impl FromRequestParts<Context> for AuthorizedResource {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Problem> {
        let manager = ResourceManager::from_request_parts(parts, context).await?;
        let path = ResourcePath::of(parts).await?;
        let kind = path.kind()?;
        // An id that breaks its pattern names no resource that can exist.
        let id = path.id.parse().map_err(|_| no_such_resource())?;
        let found = context.resources.load_resource(&manager.owner, &ResourceKey { kind, id }).await?;
        found.map(Self).ok_or_else(no_such_resource)
    }
}

/// The one answer for a resource that is missing and for one that is somebody else's.
pub fn no_such_resource() -> Problem {
    Problem::not_found("there is no such resource")
}

struct ResourcePath {
    kind: String,
    id: String,
}

impl ResourcePath {
    async fn of(parts: &mut Parts) -> Result<Self, Problem> {
        // What is not UTF-8 names nothing that can exist.
        let parameters = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| no_such_resource())?;
        let value = |name: &str| parameters.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value).to_owned();
        Ok(Self { kind: value("type"), id: value("id") })
    }

    fn kind(&self) -> Result<ResourceKind, Problem> {
        self.kind.parse().map_err(|error: UnknownResourceKind| {
            let detail = error.to_string();
            Problem::bad_request(detail.clone()).with_error("/type", detail)
        })
    }
}
