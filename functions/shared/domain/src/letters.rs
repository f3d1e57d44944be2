//! Dead letters on their way back: found among the objects in which they lie, shown, and put back on the raw stream.
//!
//! Firehose writes one letter a line into objects under `year=…/month=…/day=…/hour=…/`, by the hour of arrival. A reader walks those in
//! their order, several at once, and holds no more than what one answer takes. A redrive claims each letter before it puts it back, and marks
//! it behind that, so that nobody puts the same one back at the same time or later.

mod cursor;
mod marks;
mod put_back;
mod query;
mod reader;
mod redrive;
#[cfg(test)]
mod redrive_properties;
#[cfg(test)]
mod redrive_tests;
mod request;
mod scan;
#[cfg(test)]
mod tests;

pub use cursor::{Cursor, InvalidCursor};
pub use marks::{Claim, MarkReader, Marks, PutBack, RedriveMarks, TriedBefore};
pub use put_back::{PutBackResult, RawStreams};
pub use query::{LettersQuery, Matching};
pub use reader::{LetterFault, LettersPage, LettersReader, ShownLetter};
pub use redrive::{RedriveOutcome, Redriver};
pub use request::{RedriveFields, RedriveRequest};
pub use scan::LetterEffort;

use crate::limits::{MAX_PAGE_BYTES, MAX_RECORDS_PER_PUT, MAX_REDRIVE};

/// Objects read at once. Reading one is mostly waiting.
const OBJECTS_AT_ONCE: usize = 16;

/// Letters claimed, marked or released at once.
const MARKS_AT_ONCE: usize = 16;

/// How much one request may hold and do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterLimits {
    /// Bytes of letters on one page, counted as they stand in a Lambda's answer; and of those that are put back together.
    pub page_bytes: usize,
    /// Objects read at once; of each, no more is held than one page takes.
    pub objects_at_once: usize,
    /// Letters that are put back together. One call takes them.
    pub batch: usize,
    /// Letters that one redrive takes in hand.
    pub redrive: usize,
}

impl Default for LetterLimits {
    fn default() -> Self {
        Self { page_bytes: MAX_PAGE_BYTES, objects_at_once: OBJECTS_AT_ONCE, batch: MAX_RECORDS_PER_PUT, redrive: MAX_REDRIVE }
    }
}
