//! What becomes of an event at the door: every event gets exactly one outcome.

use crate::cloud_event::CloudEventFault;
use crate::field_path::FieldPath;
use crate::ingest::{Malformed, RuleFault};
use crate::input::TimestampFormat;
use crate::json_text::TextFault;

/// The fate of one event of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Durable in Kinesis.
    Accepted,
    /// Another event of the request has its id, and is durable.
    Duplicate,
    /// Will never be accepted as it is, and is kept as a dead letter.
    DeadLetter(EventFault),
    /// Will never be accepted as it is, and is not kept.
    Rejected(EventFault),
    /// Not accepted now, since the stream's rate limit has no room; the same event may be sent again.
    RateLimited,
    /// Not accepted now; the same event may be sent again.
    Retry(RetryReason),
}

/// Why an event cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventFault {
    /// Not JSON.
    #[error("expected JSON: {} at column {}", .0.message, .0.column)]
    Malformed(Malformed),
    /// Not a JSON object.
    #[error("expected a JSON object, got {0}")]
    NotAnObject(&'static str),
    /// Larger than the stream takes.
    #[error("expected at most {limit} bytes, got {got}")]
    TooLarge {
        /// The stream's limit, in bytes.
        limit: u32,
        /// The event's size, in bytes.
        got: usize,
    },
    /// Well-formed, but not readable everywhere.
    #[error("{0}")]
    Text(#[from] TextFault),
    /// Not a CloudEvent, though it is said to be one.
    #[error("{0}")]
    CloudEvent(#[from] CloudEventFault),
    /// It breaks rules of the stream's document.
    #[error("{}", rules_message(.0))]
    Rules(Vec<RuleFault>),
    /// The stream's timestamp field is missing or is no time.
    #[error("{}", timestamp_message(.path, *.format, *.missing))]
    Timestamp {
        /// Where the time should stand.
        path: FieldPath,
        /// How it should be written.
        format: TimestampFormat,
        /// Whether there is nothing at all.
        missing: bool,
    },
}

fn timestamp_message(path: &FieldPath, format: TimestampFormat, missing: bool) -> String {
    let expected = match format {
        TimestampFormat::Rfc3339 => "an RFC 3339 time",
        TimestampFormat::EpochSeconds => "a number of seconds since 1970",
    };
    if missing { format!("field {path} is missing; expected {expected}") } else { format!("field {path} is not {expected}") }
}

fn rules_message(faults: &[RuleFault]) -> String {
    let texts: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.detail)).collect();
    texts.join("; ")
}

impl EventFault {
    /// Names the kind of fault, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            EventFault::Malformed(_) => "not_json",
            EventFault::NotAnObject(_) => "not_an_object",
            EventFault::TooLarge { .. } => "too_large",
            EventFault::Text(_) => "unreadable",
            EventFault::CloudEvent(_) => "cloud_event",
            EventFault::Rules(_) => "schema",
            EventFault::Timestamp { .. } => "timestamp",
        }
    }

    /// Everything that is wrong, each with its RFC 6901 pointer within the event.
    pub fn details(&self) -> Vec<RuleFault> {
        let pointer = match self {
            EventFault::Rules(faults) => return faults.clone(),
            EventFault::Malformed(_) | EventFault::NotAnObject(_) | EventFault::TooLarge { .. } | EventFault::Text(_) => String::new(),
            EventFault::CloudEvent(fault) => fault.pointer(),
            EventFault::Timestamp { path, .. } => path.pointer(),
        };
        vec![RuleFault { pointer, detail: self.to_string() }]
    }
}

/// Why an event should be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// Kinesis takes no more just now.
    Throttled,
    /// Kinesis did not take it, for a reason of its own.
    Unavailable,
    /// No answer in time: the event may have been written all the same.
    TimedOut,
}

/// How many events met which fate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Durable.
    pub accepted: usize,
    /// The same as another event of the request.
    pub duplicate: usize,
    /// Kept as dead letters.
    pub dead_letter: usize,
    /// Refused for good.
    pub rejected: usize,
    /// To be sent again.
    pub retry: usize,
}

impl Tally {
    /// Counts outcomes.
    pub fn of<'o>(outcomes: impl IntoIterator<Item = &'o Outcome>) -> Self {
        let mut tally = Self::default();
        for outcome in outcomes {
            match outcome {
                Outcome::Accepted => tally.accepted += 1,
                Outcome::Duplicate => tally.duplicate += 1,
                Outcome::DeadLetter(_) => tally.dead_letter += 1,
                Outcome::Rejected(_) => tally.rejected += 1,
                Outcome::RateLimited | Outcome::Retry(_) => tally.retry += 1,
            }
        }
        tally
    }

    /// All events: none may be missing.
    pub fn received(&self) -> usize {
        self.accepted + self.duplicate + self.dead_letter + self.rejected + self.retry
    }
}
