//! Request bodies: read whole, within the limit, and only in a form that is understood.

use std::convert::Infallible;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use domain::cloud_event;
use domain::ingest::Form;
use domain::input::Format;
use domain::limits::{MAX_BODY_BYTES, MAX_DECODED_BYTES, MAX_EVENT_BYTES};
use http::{HeaderMap, StatusCode, header};

use crate::content_encoding::ContentEncoding;
use crate::media_type::{Said, unsupported};
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

/// A body of events, whole and decoded.
#[derive(Debug)]
pub struct SentEvents {
    /// What it is, as its sender said.
    pub form: Form,
    /// The body. A CloudEvent in binary mode is in its structured form here.
    pub body: Bytes,
}

impl EventBody {
    /// Reads the body of a stream that takes this format.
    ///
    /// # Errors
    /// 415 when it is said to be something else, 413 when it is too large, 400 when it cannot be decoded.
    pub async fn read(self, format: Format) -> Result<SentEvents, Problem> {
        let said = Said::of(self.0.headers(), format)?;
        let encoding = ContentEncoding::of(self.0.headers())?;
        let (parts, body) = self.0.into_parts();
        let body = encoding.decode(read(body).await?, MAX_DECODED_BYTES)?;
        match said {
            Said::Form(form) => Ok(SentEvents { form, body }),
            // What is larger is no event of any stream, and grows once more on its way into JSON.
            Said::CloudEventData if body.len() > MAX_EVENT_BYTES as usize => {
                let detail = format!("expected data of at most {MAX_EVENT_BYTES} bytes, got {}", body.len());
                Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
            }
            Said::CloudEventData => Ok(SentEvents { form: Form::CloudEvent, body: structured(&parts.headers, &body)?.into() }),
        }
    }
}

/// The structured form of a CloudEvent whose attributes are headers.
fn structured(headers: &HeaderMap, data: &[u8]) -> Result<String, Problem> {
    let attributes = headers.iter().filter_map(|(name, value)| Some((name.as_str().strip_prefix("ce-")?, value.as_bytes())));
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    cloud_event::from_binary(attributes, content_type, data).map_err(|fault| Problem::bad_request(fault.to_string()))
}

impl<S: Send + Sync> FromRequest<S> for DocumentBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if ContentEncoding::of(request.headers())? != ContentEncoding::Identity {
            return Err(unsupported("expected no content-encoding".to_owned()));
        }
        let bytes = read(request.into_body()).await?;
        let text = String::from_utf8(bytes.into())
            .map_err(|error| Problem::bad_request(format!("body is not UTF-8 at byte {}", error.utf8_error().valid_up_to())))?;
        Ok(Self(text))
    }
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    let body = to_bytes(body, MAX_BODY_BYTES).await;
    body.map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("expected a body of at most {MAX_BODY_BYTES} bytes")))
}
