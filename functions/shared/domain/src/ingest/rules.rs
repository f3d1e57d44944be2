//! What a stream's document asks of its events beyond their form, as a port: schemas and paths are compiled elsewhere.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::body::Event;
use crate::input::Input;
use crate::limits::{MAX_EVENT_ID_BYTES, MAX_PARTITION_KEY_CHARS};

/// The rules of one `input` section, compiled.
pub trait EventRules: Send + Sync {
    /// Reads an event that is a JSON object.
    fn read(&self, event: Event<'_>) -> EventReading;
}

/// Compiles the rules of an `input` section; `None` when it has none.
///
/// # Errors
/// What does not compile, which a document that was checked does not have.
pub type CompileRules = fn(&Input) -> Result<Option<Arc<dyn EventRules>>, String>;

/// What rules tell of one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventReading {
    /// What breaks the schema.
    pub faults: Vec<RuleFault>,
    /// What decides the shard.
    pub partition_key: Option<String>,
    /// What names the event.
    pub id: Option<String>,
}

/// One rule that an event breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFault {
    /// Where in the event (RFC 6901).
    pub pointer: String,
    /// What was expected and what was got.
    pub detail: String,
}

/// A value of an event as a partition key: itself, or its SHA-256 when Kinesis would not take it.
pub(super) fn partition_key(value: String) -> Option<String> {
    let is_short = value.len() <= MAX_PARTITION_KEY_CHARS || value.chars().count() <= MAX_PARTITION_KEY_CHARS;
    short_or_digest(value, is_short)
}

/// A value of an event as what names it: itself, or its SHA-256 when it is longer than a result tells, as it is once it is escaped.
pub(super) fn event_id(value: String) -> Option<String> {
    let is_plain = |letter: char| !letter.is_control() && !matches!(letter, '"' | '\\');
    let is_short = value.len() <= MAX_EVENT_ID_BYTES && value.chars().all(is_plain);
    short_or_digest(value, is_short)
}

/// An empty text is no name.
fn short_or_digest(value: String, is_short: bool) -> Option<String> {
    if value.is_empty() || is_short {
        return Some(value).filter(|value| !value.is_empty());
    }
    Some(Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_is_shortened_and_none_is_empty() {
        let key = |letters: usize| partition_key("é".repeat(letters)).unwrap();
        assert_eq!(key(256).chars().count(), 256);
        assert_eq!(key(257).len(), 64);
        assert_ne!(key(257), key(258));
        assert_eq!(event_id("é".repeat(64)).unwrap().chars().count(), 64);
        assert_eq!(event_id("é".repeat(65)).unwrap().len(), 64);
        assert_eq!(event_id("a\"b".into()).unwrap().len(), 64);
        assert_eq!((partition_key(String::new()), event_id(String::new())), (None, None));
    }
}
