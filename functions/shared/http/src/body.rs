//! Request bodies: read whole, within the limit, and only in a form that is understood.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use domain::limits::MAX_BODY_BYTES;
use http::{HeaderMap, StatusCode, header};

use crate::problem::Problem;

/// A body that is said to be JSON.
#[derive(Debug)]
pub struct JsonBody(pub Bytes);

/// A body that is read by its content, whatever type it is said to be.
#[derive(Debug)]
pub struct DocumentBody(pub String);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        check_media_type(request.headers())?;
        check_encoding(request.headers())?;
        Ok(Self(read(request).await?))
    }
}

impl<S: Send + Sync> FromRequest<S> for DocumentBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        check_encoding(request.headers())?;
        let bytes = read(request).await?;
        let text = String::from_utf8(bytes.into())
            .map_err(|error| Problem::bad_request(format!("body is not UTF-8 at byte {}", error.utf8_error().valid_up_to())))?;
        Ok(Self(text))
    }
}

async fn read(request: Request) -> Result<Bytes, Problem> {
    let body = to_bytes(request.into_body(), MAX_BODY_BYTES).await;
    body.map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("expected a body of at most {MAX_BODY_BYTES} bytes")))
}

/// JSON, or nothing said at all.
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let (media_type, parameters) = text.split_once(';').unwrap_or((&text, ""));
    let charset = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("charset="));
    let is_utf8 = charset.is_none_or(|charset| charset.trim_matches('"') == "utf-8");
    if media_type.trim() == "application/json" && is_utf8 {
        return Ok(());
    }
    Err(unsupported(format!("expected content-type application/json in UTF-8, got {text:?}")))
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(()) };
    let encoding = value.to_str().unwrap_or("unreadable");
    if encoding.eq_ignore_ascii_case("identity") {
        return Ok(());
    }
    Err(unsupported(format!("expected no content-encoding, got {encoding:?}")))
}

fn unsupported(detail: String) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
}
