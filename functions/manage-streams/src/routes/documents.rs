//! Stream documents on their own: checked without a stream, and described for editors.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::declaration::stream_schema;
use domain::document::StreamDocument;
use http::header;
use http_edge::{ActingOwner, DocumentBody, ProblemBody};

use crate::context::Context;
use crate::flags::Chilled;
use crate::routes::checks::{Whose, declaration};
use crate::routes::refusal::Refusal;
use crate::views::LintingErrors;

/// Checks a stream document and creates nothing.
#[utoipa::path(
    post,
    path = "/streams/lint",
    tag = "streams",
    params(
        ("owner" = Option<String>, Query, description = "An admin may name another owner, whose resources the document names"),
        ("chilled" = Option<bool>, Query, description = "Lets lint errors pass, except for those that make the stream impossible"),
    ),
    request_body(content = StreamDocument, description = "The stream document, JSON or YAML"),
    responses(
        (status = 200, description = "Nothing is wrong with it: an empty list", body = LintingErrors),
        (status = 400, description = "Everything that is wrong with it", body = LintingErrors),
        (status = "default", description = "401, 403, 413, 503", body = ProblemBody),
    ),
    security(("token" = ["manage"])),
)]
pub async fn lint_document(
    State(context): State<Context>,
    ActingOwner(owner): ActingOwner,
    Chilled(leniency): Chilled,
    DocumentBody(body): DocumentBody,
) -> Result<Json<LintingErrors>, Refusal> {
    declaration(&context, Whose { owner: &owner, stream: None }, &body, leniency).await?;
    Ok(Json(LintingErrors { linting_errors: Vec::new() }))
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
