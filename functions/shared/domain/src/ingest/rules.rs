//! What a stream's document asks of its events beyond their form, as a port: schemas and paths are compiled elsewhere.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::body::Event;
use crate::input::Input;
use crate::limits::MAX_PARTITION_KEY_CHARS;

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

/// A value of an event as a name that is short enough for Kinesis and for results: itself, or its SHA-256 when it is longer.
pub(super) fn short_name(value: String) -> Option<String> {
    if value.is_empty() {
        return None;
    }
    let is_short = value.len() <= MAX_PARTITION_KEY_CHARS || value.chars().count() <= MAX_PARTITION_KEY_CHARS;
    if is_short {
        return Some(value);
    }
    Some(Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_is_shortened_and_none_is_empty() {
        let of = |letters: usize| short_name("é".repeat(letters)).unwrap();
        assert_eq!(of(256).chars().count(), 256);
        assert_eq!(of(257).len(), 64);
        assert_ne!(of(257), of(258));
        assert_eq!(short_name(String::new()), None);
    }
}
