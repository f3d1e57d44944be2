//! What a request to send events brings, whatever its dialect.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use domain::access::Caller;
use domain::idempotency::parse_key;
use domain::ids::StreamId;
use domain::ingest::{Intake, Intakes, StreamAddress};
use domain::publish::Deadline;
use http::request::Parts;
use http_edge::query::switch;
use http_edge::stream::{no_such_stream, require_touch};
use http_edge::{EventBody, InvocationDeadline, Problem, RequestId};

use crate::context::Context;

/// The header that names a request among those that may be the same one again.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A request to send events, its body not read yet.
pub struct Sending {
    /// The stream, which exists and which the caller may touch.
    pub intake: Arc<Intake>,
    /// Until when it may be tried.
    pub deadline: Deadline,
    /// Names the request.
    pub request_id: String,
    /// Whether only to say what would become of the events.
    pub is_dry_run: bool,
    /// What the client calls the request, if it may send it again.
    pub key: Option<String>,
    /// The body.
    pub body: EventBody,
}

impl FromRequest<Context> for Sending {
    type Rejection = Problem;

    async fn from_request(request: Request, context: &Context) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let intake = authorized_intake(&mut parts, context.intakes.as_ref()).await?;
        let InvocationDeadline(deadline) = InvocationDeadline::from_request_parts(&mut parts, context).await?;
        let RequestId(request_id) = RequestId::from_request_parts(&mut parts, context).await?;
        let is_dry_run = switch(parts.uri.query().unwrap_or_default(), "dry_run")?;
        let key = idempotency_key(&parts)?;
        let Ok(body) = EventBody::from_request(Request::from_parts(parts, body), context).await;
        Ok(Self { intake, deadline, request_id, is_dry_run, key, body })
    }
}

/// Finds the stream of a path: by `{id}` alone, by `{id}` and `{version}`, or by its name for ingest in place of `{id}`.
async fn authorized_intake(parts: &mut Parts, intakes: &dyn Intakes) -> Result<Arc<Intake>, Problem> {
    // What is not UTF-8 names nothing that can exist.
    let named = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| no_such_stream())?;
    let value = |name: &str| named.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
    let addresses = addresses(value("id").unwrap_or_default(), value("version"));
    let caller = parts.extensions.get::<Caller>().ok_or_else(|| Problem::unauthorized("route without authentication"))?;
    for address in addresses {
        if let StreamAddress::Newest(id) | StreamAddress::Version(id, _) = &address {
            require_touch(caller, id)?;
        }
        if let Some(intake) = intakes.find(&caller.reach(), &address).await? {
            require_touch(caller, &intake.record.key.id)?;
            return Ok(intake);
        }
    }
    Err(no_such_stream())
}

/// What a path may mean, likeliest first. What breaks every pattern names no stream that can exist.
pub(crate) fn addresses(id: &str, version: Option<&str>) -> Vec<StreamAddress> {
    let stream = id.parse::<StreamId>();
    match version {
        Some(version) => {
            stream.ok().zip(version.parse().ok()).map(|(id, version)| StreamAddress::Version(id, version)).into_iter().collect()
        }
        // A stream may be called like a name for ingest.
        None => id.parse().ok().map(StreamAddress::IngestId).into_iter().chain(stream.ok().map(StreamAddress::Newest)).collect(),
    }
}

fn idempotency_key(parts: &Parts) -> Result<Option<String>, Problem> {
    let problem = |detail: String| Problem::bad_request(format!("Idempotency-Key: {detail}")).with_error("/Idempotency-Key", detail);
    let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).into_iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let text = String::from_utf8_lossy(value.as_bytes());
            parse_key(&text).map(|key| Some(key.to_owned())).map_err(|fault| problem(fault.to_string()))
        }
        (Some(_), Some(_)) => Err(problem("expected it once".to_owned())),
    }
}
