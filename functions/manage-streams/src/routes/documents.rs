//! Stream documents on their own: checked without a stream, and described for editors.

use axum::Json;
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use domain::declaration::{Declaration, Leniency, stream_schema};
use domain::document::StreamDocument;
use http::{StatusCode, header};
use http_edge::query::parameters;
use http_edge::{DocumentBody, ProblemBody};

use crate::views::LintingErrors;

/// Checks a stream document and creates nothing.
#[utoipa::path(
    post,
    path = "/streams/lint",
    tag = "streams",
    params(("chilled" = Option<bool>, Query, description = "`true` lets lint errors pass that do not make the stream impossible")),
    request_body(content = StreamDocument, description = "The stream document, JSON or YAML"),
    responses(
        (status = 200, description = "Nothing is wrong with it: an empty list", body = LintingErrors),
        (status = 400, description = "Everything that is wrong with it", body = LintingErrors),
        (status = "default", description = "401, 403, 413, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn lint_document(RawQuery(query): RawQuery, DocumentBody(body): DocumentBody) -> Response {
    match Declaration::parse(&body, leniency(query.as_deref())) {
        Ok(_) => Json(LintingErrors { linting_errors: Vec::new() }).into_response(),
        Err(faults) => refused(faults),
    }
}

/// Gives the JSON Schema of stream documents, for editors.
#[utoipa::path(
    get,
    path = "/streams/schema.json",
    tag = "streams",
    responses(
        (status = 200, description = "The JSON Schema (2020-12) of stream documents", body = serde_json::Value, content_type = "application/schema+json"),
        (status = "default", description = "503", body = ProblemBody),
    ),
    security(()),
)]
pub async fn get_schema() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/schema+json"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, stream_schema().to_string()).into_response()
}

/// `?chilled=true`, and nothing else, lets lint errors pass.
pub(crate) fn leniency(query: Option<&str>) -> Leniency {
    let is_chilled = parameters(query.unwrap_or_default()).iter().any(|(name, value)| name == "chilled" && value == "true");
    if is_chilled { Leniency::Chilled } else { Leniency::Strict }
}

/// Bento's shape, on every route that takes a document.
pub(crate) fn refused(faults: Vec<String>) -> Response {
    (StatusCode::BAD_REQUEST, Json(LintingErrors { linting_errors: faults })).into_response()
}
