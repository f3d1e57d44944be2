//! What the routes have in common in the OpenAPI document.

use http_edge::ProblemBody;

/// What may stand behind the path.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SendingOptions {
    /// Only says what would become of the events; nothing is written.
    pub dry_run: Option<bool>,
}

/// The headers that change what happens.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
pub struct SendingHeaders {
    /// Names the request for 24 hours: sent again, it is given its first answer.
    #[param(rename = "Idempotency-Key", nullable = false)]
    pub idempotency_key: Option<String>,
    /// `gzip` or `zstd`.
    #[param(rename = "Content-Encoding", nullable = false)]
    pub content_encoding: Option<String>,
}

/// Every answer that says that no event was accepted, or that this is not known.
#[derive(Debug, utoipa::IntoResponses)]
pub enum SendingProblems {
    /// No event can be accepted as it is.
    #[response(status = 400)]
    BadRequest(ProblemBody),
    /// No valid token.
    #[response(status = 401)]
    Unauthorized(ProblemBody),
    /// The token lacks the scope `ingest`.
    #[response(status = 403)]
    Forbidden(ProblemBody),
    /// No such stream.
    #[response(status = 404)]
    NotFound(ProblemBody),
    /// The stream has failed, or a request with this key is being worked on.
    #[response(status = 409)]
    Conflict(ProblemBody),
    /// The body, or the one event in it, is too large: at `/stream/v0/data` above 254 KiB, unless the stream's document says otherwise.
    #[response(status = 413)]
    TooLarge(ProblemBody),
    /// Not what the stream takes: JSON, or XML where its `input.format` is `xml`
    #[response(status = 415)]
    UnsupportedMediaType(ProblemBody),
    /// The key was used for another request.
    #[response(status = 422)]
    OtherRequest(ProblemBody),
    /// Kinesis, or the stream's rate limit, takes no more just now; `Retry-After` says when to try again.
    #[response(status = 429)]
    TooMany(ProblemBody),
    /// A bug of ours; it may be tried again.
    #[response(status = 500)]
    Bug(ProblemBody),
    /// The stream is still being created, or Kinesis does not answer.
    #[response(status = 503)]
    Unavailable(ProblemBody),
    /// No answer in time; the events may have been written.
    #[response(status = 504)]
    TimedOut(ProblemBody),
}
