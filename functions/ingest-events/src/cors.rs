//! Lets web pages send events, as `input.cors_origins` of each stream says (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! Tokens travel in `Authorization`, never in cookies, so no answer allows credentials.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::access::Reach;
use domain::ingest::{Intake, Intakes, StreamAddress};
use domain::input::Origin;
use futures::future::join;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_edge::route_table;
use percent_encoding::percent_decode_str;

use crate::request;

/// The headers of an answer that a page may read.
const EXPOSED_HEADERS: &str = "retry-after, ratelimit, ratelimit-policy, x-request-id, idempotent-replayed";

/// The headers of a request that are read here, besides those of CloudEvents, which begin with `ce-`.
const READ_HEADERS: [&str; 7] =
    ["authorization", "content-type", "content-encoding", "idempotency-key", "x-request-id", "x-amperity-tenant", "traceparent"];

/// How long a browser may remember a preflight, in seconds: as long as Chromium does at most
/// (<https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Access-Control-Max-Age>).
const MAX_AGE_SECONDS: &str = "7200";

/// What the answer to a preflight depends on.
const PREFLIGHT_VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

/// Lets a page of an origin that the stream names read the answer, whatever it is.
///
/// Goes around everything else, errors and all: without these headers a page cannot even tell a 401 from a broken network. A request that
/// names no origin passes untouched.
pub async fn cors(State(intakes): State<Arc<dyn Intakes>>, request: Request, next: Next) -> Response {
    // What a preflight is told, its own route says.
    let is_preflight = *request.method() == Method::OPTIONS;
    let origin = request.headers().get(header::ORIGIN).filter(|_| !is_preflight).cloned();
    let Some(origin) = origin else { return next.run(request).await };
    let uri = request.uri().clone();
    // Side by side: a table that does not answer is waited for once.
    let (allowed, mut response) = join(allowed_origin(intakes.as_ref(), uri.path(), &origin), next.run(request)).await;
    if let Some(allowed) = allowed {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

/// Tells a browser whether a page may send. A stream that is missing is answered like one that does not name the page's origin.
pub async fn preflight(State(intakes): State<Arc<dyn Intakes>>, uri: Uri, request: HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let is_preflight = request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let Some(origin) = request.get(header::ORIGIN).filter(|_| is_preflight) else {
        if let Some(Ok(allow)) = route_table::allow(uri.path()).map(HeaderValue::try_from) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        return response;
    };
    let allowed = allowed_origin(intakes.as_ref(), uri.path(), origin).await;
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static(PREFLIGHT_VARY));
    if let Some(allowed) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS));
        if let Some(names) = allowed_headers(&request) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
    }
    response
}

/// What `Access-Control-Allow-Origin` says to a page of this origin, if the stream of the path allows it.
async fn allowed_origin(intakes: &dyn Intakes, path: &str, origin: &HeaderValue) -> Option<HeaderValue> {
    let intake = find(intakes, path).await?;
    let origins = &intake.record.document.input.cors_origins;
    let is_named = |text: &[u8]| origins.iter().map(Origin::as_str).any(|named| named.as_bytes() == text);
    if is_named("*".as_bytes()) {
        return Some(HeaderValue::from_static("*"));
    }
    is_named(origin.as_bytes()).then(|| origin.clone())
}

/// Finds the stream that a path is about, for everybody: a preflight has no token.
///
/// A store that does not answer finds nothing; its fault is told where the events are taken.
async fn find(intakes: &dyn Intakes, path: &str) -> Option<Arc<Intake>> {
    for address in addresses(path) {
        let found = intakes.find(&Reach::Everyone, &address).await.ok()?;
        if found.is_some() {
            return found;
        }
    }
    None
}

/// What a path of ingest may mean, the likelier first.
///
/// For a version that is missing the stream speaks, so that a page can read the 404.
fn addresses(path: &str) -> Vec<StreamAddress> {
    let segments: Vec<Cow<'_, str>> = path.split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy()).collect();
    let segments: Vec<&str> = segments.iter().map(Cow::as_ref).collect();
    match segments[..] {
        ["", "ingest", id] | ["", "stream", "v0", "data", id] => request::addresses(id, None),
        ["", "ingest", id, version] | ["", "streams", id, version, "events"] => {
            let mut addresses = request::addresses(id, Some(version));
            addresses.extend(request::addresses(id, None));
            addresses
        }
        _ => Vec::new(),
    }
}

/// Those of the headers that a page wants to send that are read here, if there are any.
fn allowed_headers(request: &HeaderMap) -> Option<HeaderValue> {
    let lists = request.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter().filter_map(|list| list.to_str().ok());
    let names = lists.flat_map(|list| list.split(',')).map(|name| name.trim().to_ascii_lowercase());
    let read: Vec<String> = names.filter(|name| is_read(name)).collect();
    if read.is_empty() { None } else { HeaderValue::try_from(read.join(", ")).ok() }
}

/// Returns whether a header, named in lower case, is read here.
fn is_read(name: &str) -> bool {
    let is_attribute = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    READ_HEADERS.contains(&name) || name.strip_prefix("ce-").is_some_and(is_attribute)
}
