//! Events by time: which objects may hold them, which lines match, and the page that a caller asked for.
//!
//! The S3 sink writes one event a line, or one CBOR map behind the other, into objects under `year=…/month=…/day=…/hour=…/`. A query walks the days that may matter, reads
//! several objects at once, and keeps of each matching event its time and place, and its bytes while they are few. Then the events of one
//! page are what is answered: from memory, or read a second time. So memory is bounded whatever the objects hold.

mod matches;
mod objects;
mod page;
mod query;
#[cfg(test)]
mod tests;

pub(crate) use matches::answer_bytes;
pub use objects::{EventForm, Line, Listing, StoredObject, StoredObjects, Visitor};
pub(crate) use objects::{KeyRange, Walk};
pub use page::{Effort, HistoryReader, Page};
pub(crate) use query::{Bound, cut, fault, range, read_number, read_once, time_expected, unknown_parameters};
pub use query::{HistoryQuery, ParameterFault, TimeRange};

use crate::lifecycle::Status;
use crate::limits::{HISTORY_RETAINED_BYTES, MAX_HISTORY_MATCHES, MAX_PAGE_BYTES};
use crate::record::{SinkKind, StreamRecord};
use crate::store::StoreFault;

/// Objects read at once. Reading one is mostly waiting.
const OBJECTS_AT_ONCE: usize = 16;

/// Why there is no page of history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryFault {
    /// The stream writes no objects.
    #[error("history is read from the objects of the sink s3, which is not enabled")]
    NoSink,
    /// The stream's sink does not work (yet, or any more).
    #[error("history is read from the objects of the sink s3, which is {}; expected ACTIVE", .0.as_str())]
    SinkNotActive(Status),
    /// The range holds more events than one query may match.
    #[error("expected a range of at most {limit} events; ask for a narrower one")]
    TooManyEvents {
        /// What one query may match.
        limit: usize,
    },
    /// The range holds more objects with events than one query can remember. They are buffered badly: objects of one event each, say.
    #[error("the range holds events in too many objects; ask for a narrower one")]
    TooManyObjects,
    /// The range holds more than can be read while the caller waits.
    #[error("the range holds more than can be read in the time of one request; ask for a narrower one")]
    OutOfTime,
    /// The events of the page do not fit one answer.
    #[error("expected a page of at most {limit} bytes, got {got}; ask for a smaller page_size")]
    PageTooLarge {
        /// What one answer may hold, in bytes.
        limit: usize,
        /// What the page would hold, in bytes.
        got: usize,
    },
    /// The objects could not be read.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// How much one query may hold and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Bytes of events kept in memory; beyond it a page's events are read a second time.
    pub retained_bytes: usize,
    /// Bytes of the keys of objects with a match, which are always kept.
    pub key_bytes: usize,
    /// Events that may match.
    pub matches: usize,
    /// Bytes of events on one page, counted as they stand in a Lambda's answer.
    pub page_bytes: usize,
    /// Objects read at once.
    pub objects_at_once: usize,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self {
            retained_bytes: HISTORY_RETAINED_BYTES,
            // Keys are the smaller part by far when objects hold more than a few events each.
            key_bytes: HISTORY_RETAINED_BYTES,
            matches: MAX_HISTORY_MATCHES,
            page_bytes: MAX_PAGE_BYTES,
            objects_at_once: OBJECTS_AT_ONCE,
        }
    }
}

/// Checks that a stream has a history to read: objects that a working sink writes.
///
/// # Errors
/// [`HistoryFault::NoSink`] or [`HistoryFault::SinkNotActive`].
pub fn check_readable(record: &StreamRecord) -> Result<(), HistoryFault> {
    let sink = record.sinks.get(&SinkKind::S3).ok_or(HistoryFault::NoSink)?;
    match sink.stack.status {
        status if status.is_working() => Ok(()),
        Status::Inactive => Err(HistoryFault::NoSink),
        status => Err(HistoryFault::SinkNotActive(status)),
    }
}
