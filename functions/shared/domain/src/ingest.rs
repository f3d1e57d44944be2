//! The way of an event from a request's body to its stream.

mod body;
mod door;
mod intake;
mod rules;

use std::borrow::Cow;

use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cloud_event;
use crate::field_path::FieldPath;
use crate::input::{Input, TimestampFormat};
use crate::json_text;
use crate::outcome::EventFault;

pub use body::{Batch, BodyFault, Event, Form, Malformed, split};
pub use door::{Door, EventResult, Receipt};
pub use intake::{InputLimit, Intake, Intakes, PreparedIntakes, StreamAddress};
pub use rules::{CompileRules, EventReading, EventRules, RuleFault};

/// Where a stream takes its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance<'s> {
    /// The raw Kinesis stream, as they come.
    Raw(&'s str),
    /// The processed Kinesis stream, as a pipeline without processors would have written them.
    Processed(&'s str),
}

impl<'s> Entrance<'s> {
    fn stream(self) -> &'s str {
        match self {
            Entrance::Raw(stream) | Entrance::Processed(stream) => stream,
        }
    }

    /// What is written of an event that was found good.
    fn data(self, event: Event<'_>) -> Cow<'_, [u8]> {
        match (self, event) {
            (Entrance::Processed(_), Event::Json(text) | Event::CloudEvent(text)) => json_text::line(text).into(),
            // No stream has a document at its processed entrance: XML needs a pipeline. And what is no JSON is never written.
            (Entrance::Raw(_), _) | (Entrance::Processed(_), Event::Xml(_) | Event::Malformed(_)) => event.bytes().into(),
        }
    }
}

/// Finds everything that is wrong with an event, and what names it.
pub fn check(event: Event<'_>, input: &Input, rules: Option<&dyn EventRules>) -> (Result<(), EventFault>, EventReading) {
    if let Err(fault) = check_form(event, input) {
        return (Err(fault), EventReading::default());
    }
    let (Event::Json(text) | Event::CloudEvent(text)) = event else { return (Ok(()), EventReading::default()) };
    let mut reading = rules.map(|rules| rules.read(event)).unwrap_or_default();
    let mut faults = std::mem::take(&mut reading.faults);
    let timed = input.timestamp.as_ref().map_or(Ok(()), |path| check_timestamp(text, path, input.timestamp_format));
    let checked = match timed {
        timed if faults.is_empty() => timed,
        Ok(()) => Err(EventFault::Rules(faults)),
        Err(untimed) => {
            faults.extend(untimed.details());
            Err(EventFault::Rules(faults))
        }
    };
    (checked, reading)
}

/// Decides whether an event has the form that a stream takes, whatever its fields say.
fn check_form(event: Event<'_>, input: &Input) -> Result<(), EventFault> {
    match event {
        Event::Json(text) => check_json(text, input),
        Event::CloudEvent(text) => {
            check_json(text, input)?;
            Ok(cloud_event::check(text)?)
        }
        Event::Xml(document) => check_size(document.len(), input),
        Event::Malformed(line) => {
            check_size(line.len(), input)?;
            match serde_json::from_slice::<&RawValue>(line) {
                Err(error) => Err(EventFault::Malformed(error.into())),
                Ok(value) => check_json(value.get(), input),
            }
        }
    }
}

fn check_json(event: &str, input: &Input) -> Result<(), EventFault> {
    if let Some(kind) = kind_unless_object(event) {
        return Err(EventFault::NotAnObject(kind));
    }
    check_size(event.len(), input)?;
    Ok(json_text::check(event)?)
}

fn check_size(bytes: usize, input: &Input) -> Result<(), EventFault> {
    if bytes > input.max_event_bytes as usize { Err(EventFault::TooLarge { limit: input.max_event_bytes, got: bytes }) } else { Ok(()) }
}

fn kind_unless_object(event: &str) -> Option<&'static str> {
    match event.as_bytes().first() {
        Some(b'{') => None,
        Some(b'[') => Some("an array"),
        Some(b'"') => Some("a string"),
        Some(b't' | b'f') => Some("a boolean"),
        Some(b'n') => Some("null"),
        _ => Some("a number"),
    }
}

/// Checks that an event carries its time where it should.
///
/// # Errors
/// It is missing, or written otherwise.
pub(crate) fn check_timestamp(event: &str, path: &FieldPath, format: TimestampFormat) -> Result<(), EventFault> {
    let fault = |missing| EventFault::Timestamp { path: path.clone(), format, missing };
    let found = path.find(event).ok_or_else(|| fault(true))?;
    match event_time(found, format) {
        Some(_) => Ok(()),
        None => Err(fault(false)),
    }
}

/// Reads an event's time from its field.
pub fn event_time(field: &RawValue, format: TimestampFormat) -> Option<OffsetDateTime> {
    match format {
        TimestampFormat::Rfc3339 => {
            let text: Cow<'_, str> = serde_json::from_str(field.get()).ok()?;
            OffsetDateTime::parse(&text, &Rfc3339).ok()
        }
        TimestampFormat::EpochSeconds => {
            let seconds: f64 = serde_json::from_str(field.get()).ok()?;
            // Four-digit years only, as in RFC 3339.
            let is_in_range = (0.0..253_402_300_800.0).contains(&seconds);
            is_in_range.then(|| OffsetDateTime::from_unix_timestamp_nanos((seconds * 1e9) as i128).ok()).flatten()
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
