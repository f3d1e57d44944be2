//! What happens around every request: its id, its caller, its log line, and the last form of its errors.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use domain::access::Caller;
use domain::publish::Deadline;
use domain::system::System;
use futures::FutureExt;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use telemetry::{InvocationLine, Unit};
use time::OffsetDateTime;

use crate::authenticate::Authenticator;
use crate::problem::Problem;
use crate::route_table::{self, FunctionName};

/// The header that names a request.
const X_REQUEST_ID: &str = "x-request-id";

/// The header by which Amperity's clients name their tenant.
const X_AMPERITY_TENANT: &str = "x-amperity-tenant";

/// How long an invocation may take when Lambda does not say.
const DEFAULT_TIMEOUT: time::Duration = time::Duration::seconds(29);

/// Measurements that a handler adds to its request's log line, as a response extension.
#[derive(Debug, Clone, Default)]
pub struct Measures {
    /// Name, unit, value.
    pub metrics: Vec<(&'static str, Unit, usize)>,
    /// Fields to search by.
    pub fields: Vec<(&'static str, String)>,
}

/// When the request's work must be done.
#[derive(Debug, Clone, Copy)]
pub struct InvocationDeadline(pub Deadline);

impl<S: Send + Sync> FromRequestParts<S> for InvocationDeadline {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().copied().ok_or_else(|| Problem::internal("request without a deadline"))
    }
}

/// What names the request, in its answer, its log line and whatever it leaves behind.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::internal("request without an id"))
    }
}

#[derive(Clone)]
struct Edge {
    function: FunctionName,
    authenticator: Arc<Authenticator>,
    system: Arc<dyn System>,
}

/// Wraps a function's routes with everything that all functions share.
pub fn serve(function: FunctionName, routes: Router, authenticator: Arc<Authenticator>, system: Arc<dyn System>) -> Router {
    let edge = Edge { function, authenticator, system };
    routes
        .route_layer(from_fn_with_state(edge.clone(), require_scope))
        .fallback(unrouted)
        .method_not_allowed_fallback(unrouted)
        .layer(from_fn_with_state(edge, around))
}

async fn unrouted(request: Request) -> Problem {
    route_table::unrouted(request.uri().path())
}

/// Lets a request pass when its token allows what the route table asks.
async fn require_scope(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().and_then(|path| route_table::find(path.as_str(), request.method()));
    // What the table does not know is not served, whatever a router says; a wrong method needs no token to be told so.
    let Some(route) = route else { return route_table::unrouted(request.uri().path()).into_response() };
    let authorization = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let authenticated = edge.authenticator.authenticate(authorization).await;
    let authenticated = authenticated.and_then(|caller| require_tenant(request.headers(), caller));
    match (route.scope, authenticated) {
        (Some(scope), Ok(caller)) if !caller.may(scope) => {
            Problem::new(StatusCode::FORBIDDEN, format!("expected a token with scope {}", scope.as_str())).into_response()
        }
        (_, Ok(caller)) => {
            let named = CallerFields::new(&caller);
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            response.extensions_mut().insert(named);
            response
        }
        (Some(_), Err(problem)) => problem.into_response(),
        (None, Err(_)) => next.run(request).await,
    }
}

/// Who called, for the log line.
#[derive(Debug, Clone)]
struct CallerFields(Vec<(&'static str, String)>);

impl CallerFields {
    fn new(caller: &Caller) -> Self {
        let mut fields = vec![("caller.owner", caller.owner.to_string())];
        fields.extend(caller.api_key.as_ref().map(|id| ("api_key.id", id.to_string())));
        Self(fields)
    }
}

/// Amperity's clients may say which tenant they mean; it must be the token's.
fn require_tenant(headers: &HeaderMap, caller: Caller) -> Result<Caller, Problem> {
    let is_own = headers.get_all(X_AMPERITY_TENANT).iter().all(|tenant| tenant.as_bytes() == caller.owner.as_str().as_bytes());
    if is_own { Ok(caller) } else { Err(Problem::unauthorized("X-Amperity-Tenant is not the token's owner")) }
}

/// Names the request, bounds it, runs it, logs it, and gives its errors their form.
async fn around(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let started = edge.system.now();
    let context = request.extensions().get::<lambda_http::Context>();
    let request_id = request_id(request.headers(), context, edge.system.as_ref());
    let invocation_id = context.map(|context| context.request_id.clone()).unwrap_or_default();
    let invocation_end = context.and_then(invocation_end).unwrap_or(started + DEFAULT_TIMEOUT);
    request.extensions_mut().insert(InvocationDeadline(Deadline::before_invocation_end(invocation_end)));
    request.extensions_mut().insert(RequestId(request_id.clone()));
    let method = request.method().clone();
    let path = request.uri().path().to_owned();

    let outcome = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = outcome.unwrap_or_else(|_| Problem::internal("a handler panicked").into_response());
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| plain_refusal(&response));
    let measures = response.extensions_mut().remove::<Measures>().unwrap_or_default();

    let mut line = InvocationLine::new(edge.function.as_str());
    line.field("http.method", method.as_str()).field("http.path", path).field("request.id", request_id.as_str());
    line.field("invocation.id", invocation_id);
    line.field("http.status", response.status().as_u16());
    if let Some(cause) = problem.as_ref().and_then(Problem::cause) {
        line.field("error", cause);
    }
    let caller = response.extensions_mut().remove::<CallerFields>();
    for (name, value) in caller.into_iter().flat_map(|caller| caller.0).chain(measures.fields) {
        line.field(name, value);
    }
    for (name, unit, value) in measures.metrics {
        line.metric(name, unit, value);
    }
    let finished = edge.system.now();
    line.metric("duration_ms", Unit::Milliseconds, (finished - started).as_seconds_f64() * 1_000.0);
    line.metric("server_errors", Unit::Count, u8::from(response.status().is_server_error()));
    line.emit(finished);

    if let Some(problem) = problem {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.into_response_with(&request_id);
        if let (Some(allow), false) = (allow, response.headers().contains_key(header::ALLOW)) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}

/// What axum itself refuses in plain text (a path that is not UTF-8, say) gets the form of every error.
fn plain_refusal(response: &Response) -> Option<Problem> {
    let content_type = response.headers().get(header::CONTENT_TYPE)?;
    let status = response.status();
    if !content_type.as_bytes().starts_with(b"text/plain") {
        return None;
    }
    if status.is_server_error() {
        return Some(Problem::internal("axum could not serve the request"));
    }
    status.is_client_error().then(|| Problem::new(status, "the request cannot be read"))
}

/// The caller's own request id when it is a plain one, else the invocation's.
fn request_id(headers: &HeaderMap, context: Option<&lambda_http::Context>, system: &dyn System) -> String {
    let given = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_plain =
        |text: &&str| (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    match (given.filter(is_plain), context) {
        (Some(given), _) => given.to_owned(),
        (None, Some(context)) if !context.request_id.is_empty() => context.request_id.clone(),
        _ => format!("{:016x}{:016x}", system.random(), system.random()),
    }
}

fn invocation_end(context: &lambda_http::Context) -> Option<OffsetDateTime> {
    let milliseconds = i128::from(context.deadline);
    OffsetDateTime::from_unix_timestamp_nanos(milliseconds * 1_000_000).ok().filter(|end| end.unix_timestamp() > 0)
}

/// The caller, where the route is open to everybody and a token only says more.
pub fn caller_if_any(extensions: &http::Extensions) -> Option<&Caller> {
    extensions.get::<Caller>()
}
