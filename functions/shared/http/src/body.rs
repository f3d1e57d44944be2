//! Request bodies: read whole, within the limit, and only in a form that is understood.

use std::convert::Infallible;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use domain::input::Format;
use domain::limits::MAX_BODY_BYTES;
use http::{HeaderMap, StatusCode, header};

use crate::problem::Problem;

/// A body of events, not read before somebody says what it should be.
#[derive(Debug)]
pub struct EventBody(Request);

/// A body that is read by its content, whatever type it is said to be.
#[derive(Debug)]
pub struct DocumentBody(pub String);

impl<S: Send + Sync> FromRequest<S> for EventBody {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        Ok(Self(request))
    }
}

impl EventBody {
    /// Reads the body of a stream that takes this format.
    ///
    /// # Errors
    /// 415 when it is said to be something else, 413 when it is too large.
    pub async fn read(self, format: Format) -> Result<Bytes, Problem> {
        let headers = self.0.headers();
        check_media_type(headers, format)?;
        check_encoding(headers)?;
        read(self.0).await
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

/// In UTF-8, or no encoding said. JSON need not be said at all.
fn check_media_type(headers: &HeaderMap, format: Format) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return match format {
            Format::Json => Ok(()),
            Format::Xml => Err(unsupported(format!("expected content-type {}, got none", expected_of(format)))),
        };
    };
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let (media_type, parameters) = text.split_once(';').unwrap_or((&text, ""));
    let charset = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("charset="));
    let is_utf8 = charset.is_none_or(|charset| charset.trim_matches('"') == "utf-8");
    if is_of(format, media_type.trim()) && is_utf8 {
        return Ok(());
    }
    Err(unsupported(format!("expected content-type {}, got {text:?}", expected_of(format))))
}

fn is_of(format: Format, media_type: &str) -> bool {
    match format {
        Format::Json => media_type == "application/json",
        // RFC 7303.
        Format::Xml => matches!(media_type, "application/xml" | "text/xml") || media_type.ends_with("+xml"),
    }
}

fn expected_of(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json in UTF-8",
        Format::Xml => "application/xml, text/xml or one that ends in +xml, in UTF-8",
    }
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
