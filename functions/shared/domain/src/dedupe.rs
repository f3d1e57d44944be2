//! Keys of events that were forwarded before: what `dedupe` remembers, in the table or in an instance's memory.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::store::StoreFault;

/// Keys that an instance remembers in its memory at most. Ours: some 10 MB.
const MAX_KEYS_IN_MEMORY: usize = 100_000;

/// What makes an event the same as another of its stream: a digest, so that its size does not depend on the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeenKey([u8; 32]);

impl SeenKey {
    /// The key that has this value at this path, among the events of one stream. Streams that share a cache do not share keys.
    pub fn new(stream: &str, path: &str, value: &str) -> Self {
        let mut digest = Sha256::new();
        for part in [stream, path, value] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }
}

impl fmt::Display for SeenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A key to be remembered, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The key.
    pub key: SeenKey,
    /// For how long.
    pub window: Duration,
}

/// Remembers keys for a while.
#[async_trait::async_trait]
pub trait SeenKeys: Send + Sync {
    /// Says of each key whether it is remembered at a time.
    async fn seen(&self, keys: &[SeenKey], now: OffsetDateTime) -> Result<Vec<bool>, StoreFault>;

    /// Remembers keys from a time on.
    async fn remember(&self, marks: &[Mark], now: OffsetDateTime) -> Result<(), StoreFault>;
}

/// Keys in the memory of one instance, which forgets the oldest when there are too many.
#[derive(Debug, Default)]
pub struct KeysInMemory(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    until: HashMap<SeenKey, OffsetDateTime>,
    order: VecDeque<SeenKey>,
}

impl KeysInMemory {
    /// Says of each key whether it is remembered at a time.
    pub fn seen(&self, keys: &[SeenKey], now: OffsetDateTime) -> Vec<bool> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|key| memory.until.get(key).is_some_and(|until| *until > now)).collect()
    }

    /// Remembers keys from a time on.
    pub fn remember(&self, marks: &[Mark], now: OffsetDateTime) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for mark in marks {
            if memory.until.insert(mark.key, now + mark.window).is_none() {
                memory.order.push_back(mark.key);
            }
        }
        while memory.order.len() > MAX_KEYS_IN_MEMORY {
            let oldest = memory.order.pop_front();
            oldest.and_then(|key| memory.until.remove(&key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn key(value: usize) -> SeenKey {
        SeenKey::new("is-00000001", "$.id", &value.to_string())
    }

    fn mark(value: usize) -> Mark {
        Mark { key: key(value), window: Duration::from_secs(10) }
    }

    #[test]
    fn a_key_is_of_one_stream_one_path_and_one_value() {
        let keys = [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("b", "b", "c"), ("a", "b", "d")];
        let keys: std::collections::HashSet<String> =
            keys.map(|(stream, path, value)| SeenKey::new(stream, path, value).to_string()).into();
        assert_eq!((keys.len(), keys.iter().all(|key| key.len() == 64)), (5, true));
    }

    #[test]
    fn memory_forgets_after_the_window() {
        let (memory, now) = (KeysInMemory::default(), datetime!(2026-01-01 00:00 UTC));
        memory.remember(&[mark(1)], now);
        assert_eq!(memory.seen(&[key(1), key(2)], now), [true, false]);
        let now = now + Duration::from_secs(10);
        assert_eq!(memory.seen(&[key(1)], now), [false]);
        memory.remember(&[mark(1)], now);
        assert_eq!(memory.seen(&[key(1)], now), [true]);
    }

    #[test]
    fn memory_has_an_end() {
        let (memory, now) = (KeysInMemory::default(), datetime!(2026-01-01 00:00 UTC));
        let marks: Vec<Mark> = (0..=MAX_KEYS_IN_MEMORY).map(mark).collect();
        memory.remember(&marks, now);
        assert_eq!(memory.seen(&[key(0), key(1), key(MAX_KEYS_IN_MEMORY)], now), [false, true, true]);
    }
}
