//! Keys in the table that lies in memory.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;

use time::OffsetDateTime;

use crate::dedupe::{KeysInMemory, Mark, SeenKey, SeenKeys};
use crate::fake_store::FakeStore;
use crate::fakes::lock;
use crate::process::Gatekeeper;
use crate::rate_limiter::RateLimiter;
use crate::store::StoreFault;

/// Remembers keys for ever.
#[derive(Debug, Default)]
pub struct FakeSeenKeys {
    script: Mutex<VecDeque<bool>>,
    keys: Mutex<BTreeSet<String>>,
    calls: Mutex<Vec<usize>>,
}

impl FakeSeenKeys {
    /// Says of each call, in order, whether it goes well.
    pub fn with_script(script: impl IntoIterator<Item = bool>) -> Self {
        let keys = Self::default();
        keys.follow(script);
        keys
    }

    /// The same for the next calls.
    pub fn follow(&self, script: impl IntoIterator<Item = bool>) {
        *lock(&self.script) = script.into_iter().collect();
    }

    /// How many keys are remembered.
    pub fn count(&self) -> usize {
        lock(&self.keys).len()
    }

    /// With how many keys it was called, call by call.
    pub fn calls(&self) -> Vec<usize> {
        lock(&self.calls).clone()
    }

    fn call(&self, keys: usize) -> Result<(), StoreFault> {
        lock(&self.calls).push(keys);
        if lock(&self.script).pop_front().unwrap_or(true) { Ok(()) } else { Err(StoreFault::new("the fake was told to fail")) }
    }
}

#[async_trait::async_trait]
impl SeenKeys for FakeSeenKeys {
    async fn seen(&self, keys: &[SeenKey], _now: OffsetDateTime) -> Result<Vec<bool>, StoreFault> {
        self.call(keys.len())?;
        let known = lock(&self.keys);
        Ok(keys.iter().map(|key| known.contains(&key.to_string())).collect())
    }

    async fn remember(&self, marks: &[Mark], _now: OffsetDateTime) -> Result<(), StoreFault> {
        self.call(marks.len())?;
        lock(&self.keys).extend(marks.iter().map(|mark| mark.key.to_string()));
        Ok(())
    }
}

#[async_trait::async_trait]
impl SeenKeys for FakeStore {
    async fn seen(&self, keys: &[SeenKey], now: OffsetDateTime) -> Result<Vec<bool>, StoreFault> {
        self.seen.seen(keys, now).await
    }

    async fn remember(&self, marks: &[Mark], now: OffsetDateTime) -> Result<(), StoreFault> {
        self.seen.remember(marks, now).await
    }
}

/// All that a gatekeeper needs.
#[derive(Debug, Default)]
pub struct FakeGates {
    /// The keys in the table.
    pub table: FakeSeenKeys,
    /// The keys in memory.
    pub memory: KeysInMemory,
    /// The rate limits.
    pub limits: RateLimiter,
}

impl FakeGates {
    /// The gatekeeper.
    pub fn keeper(&self) -> Gatekeeper<'_> {
        Gatekeeper { table: &self.table, memory: &self.memory, limits: &self.limits }
    }
}
