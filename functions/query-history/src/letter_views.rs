//! Dead letters as the API shows them.

use domain::dead_letter::{DeadLetter, Reason};
use domain::letters::{Cursor, LettersPage, RedriveOutcome, ShownLetter};
use domain::record::{rfc3339, rfc3339_text};
use serde::Serialize;
use time::OffsetDateTime;

/// A page of dead letters.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct LettersOut {
    /// The letters, in the order in which they were stored, hour by hour.
    values: Vec<LetterOut>,
    /// Where the next page begins. It is there as long as there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A dead letter: an event that could not go on.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct LetterOut {
    /// Names the letter.
    #[schema(example = "dl-1767225597000-4959")]
    id: String,
    /// The stream, as `id/version`.
    stream: String,
    /// The part of the way where the event stopped.
    #[schema(example = "pipeline")]
    source: String,
    /// Why it stopped.
    reason: Reason,
    /// The place in the stream document that stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "pipeline.processors[0].mapping")]
    path: Option<String>,
    /// When the event arrived for the first time.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    first_time: OffsetDateTime,
    /// When it stopped.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    time: OffsetDateTime,
    /// How often it was tried, over all redrives.
    attempts: u32,
    /// The request or invocation that stopped it.
    request_id: String,
    /// What the original bytes are said to be.
    content_type: String,
    /// What decides the event's shard, and with it its order.
    partition_key: String,
    /// The original bytes.
    original_base64: String,
    /// When the letter was put back on the raw stream last, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    redriven_at: Option<String>,
}

/// What became of the letters that were selected.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RedriveOut {
    /// Put back on the raw stream; in a dry run, those that would be.
    redriven: usize,
    /// Put back before, in hand of another request just now, or stored a second time.
    skipped: usize,
    /// Not put back. The same request again, without `cursor`, tries those alone. With `force` it would put the others back once more: then
    /// name those that are left by `ids`. Their `redriven_at` is missing, or older than the request.
    failed: usize,
    /// The ids that no letter has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_found: Vec<String>,
    /// To be sent in the same body as `cursor`, for the letters behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Nothing was written.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

impl From<LettersPage> for LettersOut {
    fn from(page: LettersPage) -> Self {
        let values = page.values.into_iter().map(LetterOut::from).collect();
        Self { values, next_cursor: page.next.as_ref().map(Cursor::to_text) }
    }
}

impl From<ShownLetter> for LetterOut {
    fn from(shown: ShownLetter) -> Self {
        let ShownLetter { letter, redriven_at } = shown;
        let DeadLetter {
            id,
            stream,
            source,
            reason,
            path,
            first_time,
            time,
            attempts,
            request_id,
            content_type,
            partition_key,
            original_base64,
        } = letter;
        Self {
            id: id.into(),
            stream,
            source,
            reason,
            path,
            first_time,
            time,
            attempts,
            request_id,
            content_type,
            partition_key,
            original_base64,
            redriven_at: redriven_at.map(rfc3339_text),
        }
    }
}

impl RedriveOut {
    /// What a redrive, or a dry run of one, did.
    pub(crate) fn new(outcome: &RedriveOutcome, dry_run: bool) -> Self {
        Self {
            redriven: outcome.redriven,
            skipped: outcome.skipped,
            failed: outcome.failed,
            not_found: outcome.not_found.iter().map(ToString::to_string).collect(),
            next_cursor: outcome.next.as_ref().map(Cursor::to_text),
            dry_run,
        }
    }
}
