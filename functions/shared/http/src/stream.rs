//! The stream that a caller may touch.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use domain::access::Caller;
use domain::ids::{StreamId, StreamPattern, Version};
use domain::record::StreamRecord;
use domain::store::StreamReader;
use http::StatusCode;
use http::request::Parts;

use crate::problem::Problem;

/// A stream that exists and that the caller may touch, named by the path's `{id}` and, if it has one, `{version}` (else the newest).
#[derive(Debug)]
pub struct AuthorizedStream(pub StreamRecord);

impl<S> FromRequestParts<S> for AuthorizedStream
where
    S: Send + Sync,
    Arc<dyn StreamReader>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let (id, version) = path_ids(parts).await?;
        let caller = parts.extensions.get::<Caller>().ok_or_else(|| Problem::unauthorized("route without authentication"))?;
        require_touch(caller, &id)?;
        let reader = Arc::<dyn StreamReader>::from_ref(state);
        let found = reader.load(&caller.reach(), &id, version.as_ref()).await?;
        found.map(Self).ok_or_else(no_such_stream)
    }
}

/// The one answer for a stream that is missing and for one that is somebody else's.
pub fn no_such_stream() -> Problem {
    Problem::not_found("there is no such stream")
}

/// Refuses a token that is limited to other streams. It is told before anything is looked up, so it learns nothing.
///
/// # Errors
/// 403, with the token's own patterns.
pub fn require_touch(caller: &Caller, id: &StreamId) -> Result<(), Problem> {
    if caller.may_touch(id) {
        return Ok(());
    }
    let patterns: Vec<&str> = caller.streams.iter().flatten().map(StreamPattern::as_str).collect();
    Err(Problem::new(StatusCode::FORBIDDEN, format!("the token is limited to streams: {}", patterns.join(", "))))
}

/// The path's ids. One that breaks its pattern names no stream that can exist.
async fn path_ids(parts: &mut Parts) -> Result<(StreamId, Option<Version>), Problem> {
    // What is not UTF-8 names nothing that can exist either.
    let parameters = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| no_such_stream())?;
    let value = |name: &str| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
    let id = value("id").unwrap_or_default().parse().map_err(|_| no_such_stream())?;
    let version = value("version").map(str::parse).transpose().map_err(|_| no_such_stream())?;
    Ok((id, version))
}
