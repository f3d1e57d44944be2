//! Errors as a contract: `application/problem+json` (RFC 9457), few kinds, and never an internal word in a body.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use domain::limits::RETRY_AFTER;
use domain::store::StoreFault;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

/// The body of every error.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ProblemBody {
    /// Names the kind of problem; stable.
    #[serde(rename = "type")]
    #[schema(example = "urn:millrace:problem:not-found")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was expected and what was got.
    pub detail: String,
    /// Names the request, in the logs too.
    pub request_id: String,
    /// Each fault, where several can be named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// What else a kind of problem has to say.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Map<String, Value>,
}

/// One fault and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// An RFC 6901 pointer into the body (a batch's index counts from 0), or `/` and the name of a parameter.
    pub pointer: String,
    /// What was expected and what was got.
    pub detail: String,
}

/// Points to a member of the top level by its name (RFC 6901, 3).
pub fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// An error on its way to the caller. The edge turns it into a body, since it knows the request id.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
    extra: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<str>>,
}

impl Problem {
    /// A problem of this status; what is wrong in words for the caller.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), errors: Vec::new(), extra: Map::new(), headers: Vec::new(), cause: None }
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401: no token, or none that is valid. Says the same whatever is wrong with it; the reason goes to the log.
    pub fn unauthorized(reason: impl Into<String>) -> Self {
        let challenge = HeaderValue::from_static("Bearer realm=\"millrace\"");
        let problem = Self::new(StatusCode::UNAUTHORIZED, "expected a valid bearer token");
        problem.with_header(header::WWW_AUTHENTICATE, challenge).with_cause(reason)
    }

    /// 404: there is no such thing, or none that the caller may see.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 409: not in the state that things are in.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 500: a bug of ours. The cause goes to the log only.
    pub fn internal(cause: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong on our side");
        problem.with_cause(cause).with_retry_after(RETRY_AFTER)
    }

    /// 503: something that we need does not answer. The cause goes to the log only.
    pub fn unavailable(cause: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "a service that this request needs does not answer; try again");
        problem.with_cause(cause).with_retry_after(RETRY_AFTER)
    }

    /// Adds a fault and where it stands.
    #[must_use]
    pub fn with_error(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Adds a member to the body (RFC 9457 extension).
    #[must_use]
    pub fn with_member(mut self, name: &str, value: Value) -> Self {
        self.extra.insert(name.to_owned(), value);
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)))
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn with_cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into().into_boxed_str());
        self
    }

    /// Why, for the log alone.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Makes the response, body and all.
    pub fn into_response_with(self, request_id: &str) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = ProblemBody {
            kind: format!("urn:millrace:problem:{}", title.to_ascii_lowercase().replace(' ', "-")),
            title: title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            request_id: request_id.to_owned(),
            errors: self.errors,
            extra: self.extra,
        };
        let json = serde_json::to_string(&body).unwrap_or_default();
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, content_type, json).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}

/// Gives a response that stands for a problem its body now, where somebody wants to read it before the edge does.
pub fn rendered(mut response: Response, request_id: &str) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let mut rendered = problem.into_response_with(request_id);
    rendered.extensions_mut().extend(std::mem::take(response.extensions_mut()));
    rendered
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreFault> for Problem {
    fn from(fault: StoreFault) -> Self {
        Problem::unavailable(fault.chain())
    }
}
