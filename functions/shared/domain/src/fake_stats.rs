//! The stats of streams, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use time::OffsetDateTime;

use crate::fakes::lock;
use crate::ids::IngestId;
use crate::stats::{BatchStats, Stats, StatsWriter};
use crate::store::StoreFault;

/// What goes wrong in one write of stats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatsFault {
    /// The store says no.
    Fail,
    /// The store never answers.
    Hang,
}

/// Keeps stats, after the faults of its script.
#[derive(Debug, Default)]
pub struct FakeStats {
    script: Mutex<VecDeque<StatsFault>>,
    stats: Mutex<BTreeMap<IngestId, Stats>>,
    writes: Mutex<usize>,
}

impl FakeStats {
    /// One fault a write, in order.
    pub fn with_script(script: impl IntoIterator<Item = StatsFault>) -> Self {
        let stats = Self::default();
        stats.fail_next(script);
        stats
    }

    /// The same for the next writes.
    pub fn fail_next(&self, script: impl IntoIterator<Item = StatsFault>) {
        *lock(&self.script) = script.into_iter().collect();
    }

    /// Begins to count for a stream that is new.
    pub fn begin(&self, stream: &IngestId, since: OffsetDateTime) {
        lock(&self.stats).entry(stream.clone()).or_insert_with(|| Stats::begun(since));
    }

    /// Forgets a stream's stats.
    pub fn forget(&self, stream: &IngestId) {
        lock(&self.stats).remove(stream);
    }

    /// What is stored of a stream.
    pub fn stored(&self, stream: &IngestId) -> Option<Stats> {
        lock(&self.stats).get(stream).cloned()
    }

    /// How many writes were tried.
    pub fn writes(&self) -> usize {
        *lock(&self.writes)
    }
}

#[async_trait::async_trait]
impl StatsWriter for FakeStats {
    async fn add_batch(&self, stream: &IngestId, batch: &BatchStats) -> Result<(), StoreFault> {
        *lock(&self.writes) += 1;
        let fault = lock(&self.script).pop_front();
        match fault {
            Some(StatsFault::Fail) => return Err(StoreFault::new("scripted failure of the stats")),
            Some(StatsFault::Hang) => std::future::pending().await,
            None => {}
        }
        if let Some(stats) = lock(&self.stats).get_mut(stream) {
            stats.add(batch);
        }
        Ok(())
    }
}
