//! From a request's body to the events in it.

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::cloud_event;
use crate::input::Format;
use crate::limits::MAX_EVENTS_PER_REQUEST;

/// What a body is, as its sender said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON value, or an array of events.
    Json,
    /// One event a line (NDJSON).
    JsonLines,
    /// One XML document.
    Xml,
    /// One CloudEvent in its structured form.
    CloudEvent,
    /// An array of CloudEvents in their structured form.
    CloudEvents,
}

/// The events of one request, each its own bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch<'b> {
    /// The events, in order.
    pub events: Vec<Event<'b>>,
    /// Whether the body was one event alone rather than several, or none.
    pub is_single: bool,
}

/// One event, as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'b> {
    /// Well-formed JSON.
    Json(&'b str),
    /// Well-formed JSON that is said to be a CloudEvent in its structured form.
    CloudEvent(&'b str),
    /// What is said to be an XML document. Nobody has looked.
    Xml(&'b [u8]),
    /// A line that is no JSON.
    Malformed(&'b [u8]),
}

impl<'b> Event<'b> {
    /// Reads an event that was kept under its media type; `None` when this is no event of the format.
    pub fn kept(bytes: &'b [u8], content_type: &str, format: Format) -> Option<Self> {
        let json = |event: fn(&'b str) -> Self| {
            serde_json::from_slice::<&RawValue>(bytes).map_or(Event::Malformed(bytes), |value| event(value.get()))
        };
        match format {
            Format::Json if content_type == cloud_event::JSON => Some(json(Event::CloudEvent)),
            Format::Json if content_type == Format::Json.content_type() => Some(json(Event::Json)),
            Format::Xml if content_type == Format::Xml.content_type() => Some(Event::Xml(bytes)),
            Format::Json | Format::Xml => None,
        }
    }

    /// The event's own bytes.
    pub fn bytes(self) -> &'b [u8] {
        match self {
            Event::Json(text) | Event::CloudEvent(text) => text.as_bytes(),
            Event::Xml(bytes) | Event::Malformed(bytes) => bytes,
        }
    }

    /// The media type of the event's own bytes.
    pub fn content_type(self) -> &'static str {
        match self {
            Event::Json(_) | Event::Malformed(_) => Format::Json.content_type(),
            Event::CloudEvent(_) => cloud_event::JSON,
            Event::Xml(_) => Format::Xml.content_type(),
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
    #[error("expected {0}, got nothing")]
    Empty(&'static str),
    /// Not JSON.
    #[error("body is not JSON: {0}")]
    Malformed(Malformed),
    /// More events than a request may hold.
    #[error("expected at most {MAX_EVENTS_PER_REQUEST} events, got {0}")]
    TooMany(usize),
}

/// Why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at line {line} column {column}")]
pub struct Malformed {
    /// What is wrong.
    pub message: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(before, _)| before).to_owned();
        Self { message, line: error.line(), column: error.column() }
    }
}

/// Reads a body of this form. A byte order mark at its beginning is no part of it.
///
/// # Errors
/// See [`BodyFault`].
pub fn split(body: &[u8], form: Form) -> Result<Batch<'_>, BodyFault> {
    let unmarked = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    match form {
        // Whoever reads the document later reads the mark as well.
        Form::Xml if unmarked.trim_ascii().is_empty() => Err(BodyFault::Empty("an XML document")),
        Form::Xml => Ok(Batch { events: vec![Event::Xml(body)], is_single: true }),
        Form::JsonLines => split_lines(unmarked),
        Form::Json => split_json(unmarked, form, Event::Json),
        Form::CloudEvent | Form::CloudEvents => split_json(unmarked, form, Event::CloudEvent),
    }
}

/// Reads one JSON value, or an array of them. What the events are is checked one by one, later.
fn split_json<'b>(body: &'b [u8], form: Form, event: fn(&'b str) -> Event<'b>) -> Result<Batch<'b>, BodyFault> {
    let text = std::str::from_utf8(body).map_err(|error| BodyFault::NotUtf8 { at: error.valid_up_to() })?;
    let is_array = match text.trim_start().as_bytes().first() {
        None => return Err(BodyFault::Empty(expected_of(form))),
        Some(first) => *first == b'[',
    };
    let is_batch = match form {
        Form::CloudEvent => false,
        Form::CloudEvents => true,
        Form::Json | Form::JsonLines | Form::Xml => is_array,
    };
    let malformed = |error: serde_json::Error| BodyFault::Malformed(error.into());
    if !is_batch {
        let value: &RawValue = serde_json::from_str(text).map_err(malformed)?;
        return Ok(Batch { events: vec![event(value.get())], is_single: true });
    }
    let Values { first, count } = serde_json::from_str(text).map_err(malformed)?;
    if count > MAX_EVENTS_PER_REQUEST {
        return Err(BodyFault::TooMany(count));
    }
    Ok(Batch { events: first.into_iter().map(|value| event(value.get())).collect(), is_single: false })
}

/// An array's values, as many of them as a request may hold; the others are only counted, since millions of small ones fit a body.
struct Values<'b> {
    first: Vec<&'b RawValue>,
    count: usize,
}

impl<'de> Deserialize<'de> for Values<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Taking;

        impl<'de> Visitor<'de> for Taking {
            type Value = Values<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
                let mut first = Vec::new();
                while first.len() < MAX_EVENTS_PER_REQUEST {
                    match values.next_element()? {
                        Some(value) => first.push(value),
                        None => return Ok(Values { count: first.len(), first }),
                    }
                }
                let mut count = first.len();
                while values.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Values { first, count })
            }
        }

        deserializer.deserialize_seq(Taking)
    }
}

/// Reads one event a line. Empty lines are none, and a line that is not JSON harms no other.
fn split_lines(body: &[u8]) -> Result<Batch<'_>, BodyFault> {
    let lines = || body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let count = lines().count();
    if count > MAX_EVENTS_PER_REQUEST {
        return Err(BodyFault::TooMany(count));
    }
    Ok(Batch { events: lines().map(event_on).collect(), is_single: false })
}

fn event_on(line: &[u8]) -> Event<'_> {
    serde_json::from_slice::<&RawValue>(line).map_or(Event::Malformed(line), |value| Event::Json(value.get()))
}

fn expected_of(form: Form) -> &'static str {
    match form {
        Form::Json => "a JSON object or an array of them",
        Form::JsonLines => "one JSON object a line",
        Form::Xml => "an XML document",
        Form::CloudEvent => "a CloudEvent",
        Form::CloudEvents => "an array of CloudEvents",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_json_body(body: &[u8]) -> Result<Batch<'_>, BodyFault> {
        split(body, Form::Json)
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
            assert!(matches!(split_json_body(body.as_bytes()), Err(BodyFault::Malformed(_))), "{body}");
        }
        assert_eq!(
            [split_json_body(b""), split_json_body(b" \n")],
            [Err(BodyFault::Empty("a JSON object or an array of them")), Err(BodyFault::Empty("a JSON object or an array of them"))]
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
            assert_eq!(split(body, Form::Xml), Ok(Batch { events: vec![Event::Xml(body)], is_single: true }));
        }
        for nothing in [&b""[..], b" \r\n\t"] {
            assert_eq!(split(nothing, Form::Xml).unwrap_err().to_string(), "expected an XML document, got nothing");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_body() {
        assert_eq!(texts(&split_json_body(b"\xEF\xBB\xBF {}").unwrap()), ["{}"]);
        assert_eq!(texts(&split(b"\xEF\xBB\xBF{}\n{}", Form::JsonLines).unwrap()), ["{}", "{}"]);
        assert!(matches!(split(b"\xEF\xBB\xBF", Form::Xml), Err(BodyFault::Empty(_))));
    }

    #[test]
    fn lines_are_events_and_a_bad_one_harms_no_other() {
        let body = b"{\"a\": 1}\r\n\n \n{\"b\" 2}\n{\"c\":\"\xff\"}\n{} {}\n  {\"d\":4}";
        let batch = split(body, Form::JsonLines).unwrap();
        assert_eq!(
            batch.events,
            [
                Event::Json("{\"a\": 1}"),
                Event::Malformed(b"{\"b\" 2}"),
                Event::Malformed(b"{\"c\":\"\xff\"}"),
                Event::Malformed(b"{} {}"),
                Event::Json("{\"d\":4}"),
            ]
        );
        assert!(!batch.is_single);
        assert_eq!(split(b"\n\n", Form::JsonLines).unwrap().events, []);
        let of = |count: usize| "{}\n".repeat(count);
        assert_eq!(split(of(MAX_EVENTS_PER_REQUEST).as_bytes(), Form::JsonLines).unwrap().events.len(), MAX_EVENTS_PER_REQUEST);
        let over = of(MAX_EVENTS_PER_REQUEST + 1);
        assert_eq!(split(over.as_bytes(), Form::JsonLines), Err(BodyFault::TooMany(MAX_EVENTS_PER_REQUEST + 1)));
    }

    #[test]
    fn cloud_events_come_one_by_one_or_in_an_array() {
        assert_eq!(split(b"{}", Form::CloudEvent).unwrap().events, [Event::CloudEvent("{}")]);
        assert_eq!(split(b"[{}]", Form::CloudEvent).unwrap().events, [Event::CloudEvent("[{}]")], "which is no event");
        assert_eq!(split(b"[{},{}]", Form::CloudEvents).unwrap().events, [Event::CloudEvent("{}"); 2]);
        assert!(matches!(split(b"{}", Form::CloudEvents), Err(BodyFault::Malformed(_))));
    }
}
