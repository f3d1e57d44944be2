//! What rate limits have given out, kept in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use time::OffsetDateTime;

use crate::fakes::lock;
use crate::rate_lease::{RateLeases, Window};
use crate::store::StoreFault;

/// Counts for ever, and remembers how it was called.
#[derive(Debug, Default)]
pub struct FakeRateLeases {
    failures: Mutex<usize>,
    calls: Mutex<Vec<u32>>,
    given: Mutex<BTreeMap<(String, OffsetDateTime), u64>>,
}

impl FakeRateLeases {
    /// Fails the next calls.
    pub fn fail_next(&self, times: usize) {
        *lock(&self.failures) = times;
    }

    /// How many events it was asked for, call by call.
    pub fn calls(&self) -> Vec<u32> {
        lock(&self.calls).clone()
    }

    /// How much a window of a limit has given out.
    pub fn given(&self, limit: &str, window: Window) -> u64 {
        lock(&self.given).get(&(limit.to_owned(), window.starts_at)).copied().unwrap_or(0)
    }
}

#[async_trait::async_trait]
impl RateLeases for FakeRateLeases {
    async fn lease(&self, limit: &str, window: Window, wanted: u32) -> Result<u64, StoreFault> {
        lock(&self.calls).push(wanted);
        let mut failures = lock(&self.failures);
        if *failures > 0 {
            *failures -= 1;
            return Err(StoreFault::new("the fake was told to fail"));
        }
        let mut given = lock(&self.given);
        let total = given.entry((limit.to_owned(), window.starts_at)).or_default();
        *total += u64::from(wanted);
        Ok(*total)
    }
}
