//! From a request's body to the events in it.

use serde_json::value::RawValue;

use crate::input::Format;
use crate::limits::MAX_EVENTS_PER_REQUEST;

/// The events of one request, each its own bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch<'b> {
    /// The events, in order.
    pub events: Vec<Event<'b>>,
    /// Whether the body was one event alone rather than an array.
    pub is_single: bool,
}

/// One event, as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'b> {
    /// Well-formed JSON.
    Json(&'b str),
    /// What is said to be an XML document. Nobody has looked.
    Xml(&'b [u8]),
}

impl<'b> Event<'b> {
    /// The event's own bytes.
    pub fn bytes(self) -> &'b [u8] {
        match self {
            Event::Json(text) => text.as_bytes(),
            Event::Xml(document) => document,
        }
    }
}

/// A body from which no events can be read; nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// Bytes that are not UTF-8.
    #[error("body is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// The first byte that is not.
        at: usize,
    },
    /// Nothing at all.
    #[error("expected {}, got nothing", expected_of(*.0))]
    Empty(Format),
    /// Not JSON.
    #[error("body is not JSON: {message} at line {line} column {column}")]
    Malformed {
        /// What is wrong.
        message: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// More events than a request may hold.
    #[error("expected at most {MAX_EVENTS_PER_REQUEST} events, got {0}")]
    TooMany(usize),
}

/// Reads a body of a stream that takes this format.
///
/// # Errors
/// See [`BodyFault`].
pub fn split(body: &[u8], format: Format) -> Result<Batch<'_>, BodyFault> {
    match format {
        Format::Json => split_json(body),
        Format::Xml if body.trim_ascii().is_empty() => Err(BodyFault::Empty(format)),
        Format::Xml => Ok(Batch { events: vec![Event::Xml(body)], is_single: true }),
    }
}

/// Reads one JSON value, or an array of them. What the events are is checked one by one, later.
fn split_json(body: &[u8]) -> Result<Batch<'_>, BodyFault> {
    let text = std::str::from_utf8(body).map_err(|error| BodyFault::NotUtf8 { at: error.valid_up_to() })?;
    if text.trim().is_empty() {
        return Err(BodyFault::Empty(Format::Json));
    }
    let is_single = !text.trim_start().starts_with('[');
    let events: Vec<&RawValue> =
        if is_single { vec![serde_json::from_str(text).map_err(malformed)?] } else { serde_json::from_str(text).map_err(malformed)? };
    if events.len() > MAX_EVENTS_PER_REQUEST {
        return Err(BodyFault::TooMany(events.len()));
    }
    Ok(Batch { events: events.into_iter().map(|event| Event::Json(event.get())).collect(), is_single })
}

fn expected_of(format: Format) -> &'static str {
    match format {
        Format::Json => "a JSON object or an array of them",
        Format::Xml => "an XML document",
    }
}

fn malformed(error: serde_json::Error) -> BodyFault {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(before, _)| before).to_owned();
    BodyFault::Malformed { message, line: error.line(), column: error.column() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_json_body(body: &[u8]) -> Result<Batch<'_>, BodyFault> {
        split(body, Format::Json)
    }

    fn texts<'b>(batch: &Batch<'b>) -> Vec<&'b str> {
        batch.events.iter().map(|event| std::str::from_utf8(event.bytes()).unwrap()).collect()
    }

    #[test]
    fn events_keep_their_own_bytes() {
        let batch = split_json_body(b" [ {\"a\" : 1.0} , {\"b\":12345678901234567890123} ] ").unwrap();
        assert_eq!(texts(&batch), [r#"{"a" : 1.0}"#, r#"{"b":12345678901234567890123}"#]);
        assert!(!batch.is_single);
        assert!(split_json_body(b"{}").unwrap().is_single);
        assert_eq!(split_json_body(b"[]").unwrap().events.len(), 0);
    }

    #[test]
    fn a_malformed_body_is_refused_with_its_position() {
        let fault = split_json_body(b"[{\"a\": 1},\n {\"b\" 2}]").unwrap_err();
        assert_eq!(fault.to_string(), "body is not JSON: expected `:` at line 2 column 7");
        for body in ["{} {}", "{}\n{}", "[1,]", "{'a':1}"] {
            assert!(matches!(split_json_body(body.as_bytes()), Err(BodyFault::Malformed { .. })), "{body}");
        }
        assert_eq!(
            [split_json_body(b""), split_json_body(b" \n")],
            [Err(BodyFault::Empty(Format::Json)), Err(BodyFault::Empty(Format::Json))]
        );
        assert_eq!(split_json_body(b"{\"a\":\"\xff\"}"), Err(BodyFault::NotUtf8 { at: 6 }));
    }

    #[test]
    fn one_event_too_many_is_refused() {
        let of = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
        assert_eq!(split_json_body(of(MAX_EVENTS_PER_REQUEST).as_bytes()).unwrap().events.len(), MAX_EVENTS_PER_REQUEST);
        assert_eq!(split_json_body(of(MAX_EVENTS_PER_REQUEST + 1).as_bytes()), Err(BodyFault::TooMany(MAX_EVENTS_PER_REQUEST + 1)));
    }

    #[test]
    fn an_xml_document_is_one_event_and_is_not_looked_at() {
        for body in [&b" <a/>\n"[..], b"{}", b"<a>\xff"] {
            assert_eq!(split(body, Format::Xml), Ok(Batch { events: vec![Event::Xml(body)], is_single: true }));
        }
        for nothing in [&b""[..], b" \r\n\t"] {
            assert_eq!(split(nothing, Format::Xml).unwrap_err().to_string(), "expected an XML document, got nothing");
        }
    }
}
