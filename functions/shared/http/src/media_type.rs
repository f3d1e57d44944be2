//! What a body of events is said to be.

use domain::cloud_event;
use domain::ingest::Form;
use domain::input::Format;
use http::{HeaderMap, StatusCode, header};

use crate::problem::Problem;

/// The header that every CloudEvent in binary mode has
/// (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>).
const CE_SPECVERSION: &str = "ce-specversion";

/// What a body is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// Events of this form.
    Form(Form),
    /// The data of a CloudEvent, whose attributes are headers.
    CloudEventData,
}

impl Said {
    /// Reads what the headers of a request say, for a stream that takes this format.
    ///
    /// # Errors
    /// 415 when the stream does not take it. In UTF-8, or no encoding said; JSON need not be said at all.
    pub(crate) fn of(headers: &HeaderMap, format: Format) -> Result<Self, Problem> {
        let media_type = MediaType::of(headers);
        let is_binary_event =
            headers.contains_key(CE_SPECVERSION) && ![cloud_event::JSON, cloud_event::JSON_BATCH].contains(&media_type.name.as_str());
        if is_binary_event && format == Format::Json {
            return Ok(Self::CloudEventData);
        }
        match media_type.form(format) {
            Some(form) if !is_binary_event && media_type.is_utf8() => Ok(Self::Form(form)),
            _ => Err(unsupported(format!("expected content-type {}, got {}", expected_of(format), media_type.shown()))),
        }
    }
}

/// A media type as far as it matters here.
struct MediaType {
    /// In lower case, without parameters; empty when none was said.
    name: String,
    charset: Option<String>,
    /// As it was said.
    text: String,
}

impl MediaType {
    fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            return Self { name: String::new(), charset: None, text: String::new() };
        };
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let lower = text.to_ascii_lowercase();
        let (name, parameters) = lower.split_once(';').unwrap_or((&lower, ""));
        let charset = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("charset="));
        Self { name: name.trim().to_owned(), charset: charset.map(|charset| charset.trim_matches('"').to_owned()), text }
    }

    fn is_utf8(&self) -> bool {
        // ASCII is UTF-8.
        matches!(self.charset.as_deref(), None | Some("utf-8" | "utf8" | "us-ascii"))
    }

    fn form(&self, format: Format) -> Option<Form> {
        let form = match (format, self.name.as_str()) {
            // What API Gateway passes on as it came, compressed or not.
            (Format::Xml, "application/octet-stream" | "application/xml" | "text/xml") => Form::Xml,
            // RFC 7303.
            (Format::Xml, name) if name.ends_with("+xml") => Form::Xml,
            (Format::Xml, _) => return None,
            (Format::Json, "application/x-ndjson" | "application/ndjson" | "application/jsonl") => Form::JsonLines,
            (Format::Json, cloud_event::JSON) => Form::CloudEvent,
            (Format::Json, cloud_event::JSON_BATCH) => Form::CloudEvents,
            (Format::Json, "" | "application/octet-stream" | "application/json" | "text/json") => Form::Json,
            // RFC 6839, 3.1.
            (Format::Json, name) if name.ends_with("+json") => Form::Json,
            (Format::Json, _) => return None,
        };
        Some(form)
    }

    fn shown(&self) -> String {
        if self.text.is_empty() { "none".to_owned() } else { format!("{:?}", self.text.chars().take(100).collect::<String>()) }
    }
}

fn expected_of(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json (or one that ends in +json), application/x-ndjson or application/octet-stream, in UTF-8",
        Format::Xml => "application/xml, text/xml, one that ends in +xml, or application/octet-stream, in UTF-8",
    }
}

/// 415, and why.
pub(crate) fn unsupported(detail: String) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(content_type: &str, format: Format) -> Option<Form> {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        }
        match Said::of(&headers, format) {
            Ok(Said::Form(form)) => Some(form),
            Ok(Said::CloudEventData) => panic!("{content_type}"),
            Err(problem) => {
                assert_eq!(problem.status(), 415);
                None
            }
        }
    }

    #[test]
    fn the_media_type_says_what_a_body_is() {
        for (content_type, form) in [
            ("", Some(Form::Json)),
            ("application/json", Some(Form::Json)),
            ("Application/JSON; charset=UTF-8", Some(Form::Json)),
            ("application/json;charset=\"utf-8\"", Some(Form::Json)),
            ("application/json; charset=us-ascii", Some(Form::Json)),
            ("application/json; charset=iso-8859-1", None),
            ("application/vnd.api+json", Some(Form::Json)),
            ("application/octet-stream", Some(Form::Json)),
            ("application/x-ndjson", Some(Form::JsonLines)),
            ("application/jsonl", Some(Form::JsonLines)),
            ("application/cloudevents+json; charset=utf-8", Some(Form::CloudEvent)),
            ("application/cloudevents-batch+json", Some(Form::CloudEvents)),
            ("application/cloudevents+avro", None),
            ("application/xml", None),
            ("text/plain", None),
            ("application/jsonp", None),
        ] {
            assert_eq!(said(content_type, Format::Json), form, "{content_type}");
        }
        for (content_type, form) in [
            ("", None),
            ("application/xml", Some(Form::Xml)),
            ("text/xml; charset=utf-8", Some(Form::Xml)),
            ("application/soap+xml", Some(Form::Xml)),
            ("application/octet-stream", Some(Form::Xml)),
            ("text/xml; charset=utf-16", None),
            ("application/json", None),
        ] {
            assert_eq!(said(content_type, Format::Xml), form, "{content_type}");
        }
    }

    #[test]
    fn a_header_makes_a_body_the_data_of_a_cloud_event() {
        let mut headers = HeaderMap::new();
        headers.insert(CE_SPECVERSION, "1.0".parse().unwrap());
        assert_eq!(Said::of(&headers, Format::Json).ok(), Some(Said::CloudEventData));
        headers.insert(header::CONTENT_TYPE, "image/png".parse().unwrap());
        assert_eq!(Said::of(&headers, Format::Json).ok(), Some(Said::CloudEventData));
        headers.insert(header::CONTENT_TYPE, "application/cloudevents+json".parse().unwrap());
        assert_eq!(Said::of(&headers, Format::Json).ok(), Some(Said::Form(Form::CloudEvent)), "the structured form says it itself");
        headers.insert(header::CONTENT_TYPE, "application/xml".parse().unwrap());
        assert!(Said::of(&headers, Format::Xml).is_err());
    }
}
