//! Dead letters: events that could not go on, kept with their original bytes and the reason.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::outcome::RetryReason;
use crate::publish::Deadline;
use crate::record::rfc3339;

/// An event that could not go on, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Names the letter.
    pub id: LetterId,
    /// The stream, as `id/version`.
    pub stream: String,
    /// The part of the way where it stopped: `ingest`, `pipeline`, or `http:` and a job's id.
    pub source: String,
    /// Why it stopped.
    pub reason: Reason,
    /// The place in the stream document that stopped it, such as `pipeline.processors[0].mapping`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// When the event arrived.
    #[serde(with = "rfc3339")]
    pub first_time: OffsetDateTime,
    /// When it stopped.
    #[serde(with = "rfc3339")]
    pub time: OffsetDateTime,
    /// How often it was tried before it became this letter.
    pub attempts: u32,
    /// The request or invocation that stopped it.
    pub request_id: String,
    /// What the original bytes are said to be.
    pub content_type: String,
    /// What decides the event's shard, and with it its order.
    pub partition_key: String,
    /// The original bytes.
    pub original_base64: String,
}

/// A letter's name, such as `dl-1767225597000-4959`.
///
/// It holds the milliseconds since 1970 at which the event arrived, and what names the event within its source (a sequence number, say).
/// So an event that stops twice has one name, and a reader knows from when on to look for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LetterId {
    milliseconds: u64,
    event: String,
}

/// A text that names no letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the id of a dead letter, such as dl-1767225597000-4959, got {0:?}")]
pub struct InvalidLetterId(String);

/// Characters of the part of a [`LetterId`] that names the event. A sequence number has up to 129
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecordsResultEntry.html>).
const MAX_EVENT_NAME: usize = 129;

impl LetterId {
    /// Names the letter of an event.
    pub fn new(arrived_at: OffsetDateTime, event: &str) -> Self {
        let milliseconds = u64::try_from(arrived_at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        Self { milliseconds, event: event.to_owned() }
    }

    /// When the event arrived, to the millisecond. It was not written before.
    pub fn arrived_at(&self) -> OffsetDateTime {
        let nanoseconds = i128::from(self.milliseconds) * 1_000_000;
        OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// What names the event within its source: its sequence number on the raw stream, for a letter of the pipeline.
    pub fn event(&self) -> &str {
        &self.event
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dl-{}-{}", self.milliseconds, self.event)
    }
}

impl FromStr for LetterId {
    type Err = InvalidLetterId;

    fn from_str(text: &str) -> Result<Self, InvalidLetterId> {
        let is_name = |event: &&str| (1..=MAX_EVENT_NAME).contains(&event.len()) && event.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let parts = text.strip_prefix("dl-").and_then(|rest| rest.split_once('-')).filter(|(_, event)| is_name(event));
        let id = parts.and_then(|(milliseconds, event)| Some(Self { milliseconds: milliseconds.parse().ok()?, event: event.to_owned() }));
        id.filter(|id| id.to_string() == text).ok_or_else(|| InvalidLetterId(text.chars().take(100).collect()))
    }
}

impl TryFrom<String> for LetterId {
    type Error = InvalidLetterId;

    fn try_from(text: String) -> Result<Self, InvalidLetterId> {
        text.parse()
    }
}

impl From<LetterId> for String {
    fn from(id: LetterId) -> String {
        id.to_string()
    }
}

/// Why an event stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reason {
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub detail: String,
}

/// Keeps dead letters.
#[async_trait::async_trait]
pub trait DeadLetters: Send + Sync {
    /// Stores all letters on a delivery stream before `deadline`, or says why that is not certain.
    ///
    /// Letters may be stored twice, never lost silently.
    ///
    /// # Errors
    /// Some letter is not known to be stored.
    async fn put(&self, delivery_stream: &str, letters: &[DeadLetter], deadline: Deadline) -> Result<(), RetryReason>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn an_id_is_read_as_it_is_written_and_tells_the_arrival() {
        let arrived_at = datetime!(2025-12-31 23:59:57.123 UTC);
        let id = LetterId::new(arrived_at, "4959");
        assert_eq!(id.to_string(), "dl-1767225597123-4959");
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        assert_eq!((id.arrived_at(), id.event()), (arrived_at, "4959"));
    }

    #[test]
    fn what_names_no_letter_is_refused() {
        for bad in
            ["", "dl-", "dl-1", "dl-1-", "dl--1", "dl-01-2", "dl-+1-2", "dl-1-2-3", "dl-1-a/b", "xx-1-2", "dl-99999999999999999999-1"]
        {
            assert!(bad.parse::<LetterId>().is_err(), "{bad}");
        }
    }
}
