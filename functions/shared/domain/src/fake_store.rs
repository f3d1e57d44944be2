//! The table, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::access::Reach;
use crate::config::{AcceptedConfig, ConfigHistory, ConfigPage, ConfigSummary};
use crate::fake_seen_keys::FakeSeenKeys;
use crate::fake_stats::FakeStats;
use crate::fakes::lock;
use crate::ids::{IngestId, Owner, StreamId, StreamKey, Version};
use crate::process::Route;
use crate::record::{Part, StreamRecord};
use crate::resource::{Resource, ResourceKey, ResourceUser};
use crate::stats::{BatchStats, Stats, StatsReader, StatsWriter};
use crate::store::{
    FaultyStreams, IngestReader, Routes, StackIndex, StoreFault, StreamReader, StreamStore, StreamWriter, WriteFault, newest,
    newest_working,
};

/// A working stream as the store holds it, with an event time at `$.time`, made at the fake clock's start.
///
/// # Panics
/// When a name breaks its pattern.
#[allow(clippy::expect_used, reason = "a test with a bad name should stop here")]
pub fn active_stream(id: &str, version: &str, owner: &str) -> StreamRecord {
    let record = serde_json::json!({
        "key": {"id": id, "version": version},
        "owner": owner,
        "ingest_id": "is-00000000",
        "posted": {"access_rights": "public", "input": {"timestamp": "$.time"}},
        "document": {"access_rights": "public", "input": {"timestamp": "$.time"}},
        "resources": {
            "raw_stream": format!("dp.green.{id}.raw.{version}.json"),
            "processed_stream": format!("dp.green.{id}.processed.{version}.json"),
            "dead_letter_stream": format!("mr-test-dead-letters-{id}-{version}"),
            "shards": 1,
            "retention_hours": 24,
        },
        "config_version": 1,
        "last_config_version": 1,
        "stack": {
            "status": "ACTIVE",
            "operation": "create",
            "stack_name": format!("mr-test-stream-{id}-{version}"),
            "stack_id": format!("arn:mr-test-stream-{id}-{version}"),
            "reason": null,
            "since": "2026-01-01T00:00:00Z",
        },
        "sinks": {},
        "created_at": "2026-01-01T00:00:00Z",
        "created_by": "tester",
        "updated_at": "2026-01-01T00:00:00Z",
        "updated_by": "tester",
        "revision": 1,
    });
    serde_json::from_value(record).expect("a stream record")
}

/// The same without a raw stream.
pub fn active_stream_without_raw(id: &str, version: &str, owner: &str) -> StreamRecord {
    let mut record = active_stream(id, version, owner);
    record.posted["buffer"] = serde_json::json!({"raw": false});
    record.document.buffer.raw = false;
    record.resources.raw_stream = None;
    record
}

/// Keeps streams with the same conditions as the real table, and can be told to fail.
#[derive(Debug, Default)]
pub struct FakeStore {
    /// The stats of the streams. Adding to them is no call that [`FakeStore::calls`] counts.
    pub stats: FakeStats,
    /// The keys of events that were forwarded.
    pub seen: FakeSeenKeys,
    streams: Mutex<BTreeMap<StreamKey, StreamRecord>>,
    claims: Mutex<BTreeMap<StreamId, Owner>>,
    configs: Mutex<BTreeMap<(Owner, StreamKey, u32), AcceptedConfig>>,
    pub(crate) resources: Mutex<BTreeMap<(Owner, ResourceKey), Resource>>,
    passes: Mutex<usize>,
    failures: Mutex<usize>,
    conflicts: Mutex<usize>,
    calls: Mutex<usize>,
}

impl FakeStore {
    /// Fails the next calls.
    pub fn fail_next(&self, times: usize) {
        *lock(&self.failures) = times;
    }

    /// Lets some calls pass and fails the one after them.
    pub fn fail_after(&self, passes: usize) {
        *lock(&self.passes) = passes;
        self.fail_next(1);
    }

    /// Lets another writer be first for the next writes.
    pub fn conflict_next(&self, times: usize) {
        *lock(&self.conflicts) = times;
    }

    /// How many calls were made.
    pub fn calls(&self) -> usize {
        *lock(&self.calls)
    }

    /// Puts a record as it is, and its newest config into the history, and begins to count for it.
    pub fn insert(&self, record: StreamRecord) {
        self.stats.begin(&record.ingest_id, record.created_at);
        self.remember_config(&record);
        lock(&self.claims).insert(record.key.id.clone(), record.owner.clone());
        lock(&self.streams).insert(record.key.clone(), record);
    }

    /// What is stored under a key.
    pub fn stored(&self, key: &StreamKey) -> Option<StreamRecord> {
        lock(&self.streams).get(key).cloned()
    }

    fn config_key(record: &StreamRecord) -> (Owner, StreamKey, u32) {
        (record.owner.clone(), record.key.clone(), record.wanted_config_version())
    }

    fn remember_config(&self, record: &StreamRecord) {
        lock(&self.configs).insert(Self::config_key(record), record.newest_config());
    }

    pub(crate) fn called(&self) -> Result<(), StoreFault> {
        *lock(&self.calls) += 1;
        let mut passes = lock(&self.passes);
        if *passes > 0 {
            *passes -= 1;
            return Ok(());
        }
        let mut failures = lock(&self.failures);
        if *failures > 0 {
            *failures -= 1;
            return Err(StoreFault::new("scripted failure of the store"));
        }
        Ok(())
    }

    fn versions(&self, reach: &Reach, id: &StreamId, version: Option<&Version>) -> Vec<StreamRecord> {
        let streams = lock(&self.streams);
        let is_wanted = |record: &&StreamRecord| record.key.id == *id && version.is_none_or(|wanted| record.key.version == *wanted);
        streams.values().filter(is_wanted).filter(|record| reach.covers(&record.owner)).cloned().collect()
    }

    /// Lets another writer be first, when the script says so.
    pub(crate) fn meet_conflict(&self) -> Result<(), WriteFault> {
        let mut conflicts = lock(&self.conflicts);
        if *conflicts > 0 {
            *conflicts -= 1;
            return Err(WriteFault::Conflict);
        }
        Ok(())
    }

    fn check_unchanged(&self, before: &StreamRecord) -> Result<(), WriteFault> {
        self.meet_conflict()?;
        let is_unchanged = lock(&self.streams).get(&before.key).is_some_and(|stored| stored.revision == before.revision);
        if is_unchanged { Ok(()) } else { Err(WriteFault::Conflict) }
    }
}

#[async_trait::async_trait]
impl StreamReader for FakeStore {
    async fn load(&self, reach: &Reach, id: &StreamId, version: Option<&Version>) -> Result<Option<StreamRecord>, StoreFault> {
        self.called()?;
        Ok(newest(self.versions(reach, id, version)))
    }
}

#[async_trait::async_trait]
impl IngestReader for FakeStore {
    async fn load_for_ingest(&self, reach: &Reach, id: &StreamId) -> Result<Option<StreamRecord>, StoreFault> {
        self.called()?;
        Ok(newest_working(self.versions(reach, id, None)))
    }

    async fn load_by_ingest_id(&self, reach: &Reach, id: &IngestId) -> Result<Option<StreamRecord>, StoreFault> {
        self.called()?;
        let found = lock(&self.streams).values().find(|record| record.ingest_id == *id).cloned();
        Ok(found.filter(|record| reach.covers(&record.owner)))
    }
}

#[async_trait::async_trait]
impl StreamStore for FakeStore {
    async fn list(&self, owner: &Owner) -> Result<Vec<StreamRecord>, StoreFault> {
        self.called()?;
        Ok(lock(&self.streams).values().filter(|record| record.owner == *owner).cloned().collect())
    }

    async fn create(&self, record: &StreamRecord) -> Result<(), WriteFault> {
        self.called()?;
        let claimed_by_other = lock(&self.claims).get(&record.key.id).is_some_and(|owner| *owner != record.owner);
        let is_taken = lock(&self.streams).contains_key(&record.key) || lock(&self.configs).contains_key(&Self::config_key(record));
        if claimed_by_other || is_taken {
            return Err(WriteFault::Conflict);
        }
        self.note_uses(&record.owner, &ResourceUser::Stream(record.key.clone()), &BTreeSet::new(), &record.references())?;
        self.insert(record.clone());
        Ok(())
    }
}

#[async_trait::async_trait]
impl StreamWriter for FakeStore {
    async fn replace(&self, before: &StreamRecord, after: &StreamRecord) -> Result<(), WriteFault> {
        self.called()?;
        self.check_unchanged(before)?;
        self.note_uses(&after.owner, &ResourceUser::Stream(after.key.clone()), &before.references(), &after.references())?;
        if after.last_config_version > before.last_config_version {
            self.remember_config(after);
        }
        lock(&self.streams).insert(after.key.clone(), after.clone());
        Ok(())
    }

    async fn remove(&self, record: &StreamRecord) -> Result<(), WriteFault> {
        self.called()?;
        self.check_unchanged(record)?;
        self.note_uses(&record.owner, &ResourceUser::Stream(record.key.clone()), &record.references(), &BTreeSet::new())?;
        lock(&self.streams).remove(&record.key);
        self.stats.forget(&record.ingest_id);
        Ok(())
    }
}

#[async_trait::async_trait]
impl StatsWriter for FakeStore {
    async fn add_batch(&self, stream: &IngestId, batch: &BatchStats) -> Result<(), StoreFault> {
        self.stats.add_batch(stream, batch).await
    }
}

#[async_trait::async_trait]
impl StatsReader for FakeStore {
    async fn load_stats(&self, stream: &IngestId) -> Result<Option<Stats>, StoreFault> {
        self.called()?;
        Ok(self.stats.stored(stream))
    }
}

#[async_trait::async_trait]
impl ConfigHistory for FakeStore {
    async fn list_configs(&self, owner: &Owner, key: &StreamKey, page: ConfigPage) -> Result<Vec<ConfigSummary>, StoreFault> {
        self.called()?;
        let configs = lock(&self.configs);
        let own = configs.iter().rev().filter(|((of, stream, _), _)| of == owner && stream == key).map(|(_, config)| &config.summary);
        let wanted = own.filter(|summary| page.before.is_none_or(|before| summary.number < before));
        Ok(wanted.take(page.limit).cloned().collect())
    }

    async fn load_config(&self, owner: &Owner, key: &StreamKey, number: u32) -> Result<Option<AcceptedConfig>, StoreFault> {
        self.called()?;
        Ok(lock(&self.configs).get(&(owner.clone(), key.clone(), number)).cloned())
    }
}

#[async_trait::async_trait]
impl StackIndex for FakeStore {
    async fn find_by_stack(&self, stack_name: &str) -> Result<Option<(StreamRecord, Part)>, StoreFault> {
        self.called()?;
        let streams = lock(&self.streams);
        let mut parts = streams.values().flat_map(|record| record.parts().map(move |(part, stack)| (record, part, stack)));
        Ok(parts.find(|(_, _, stack)| stack.stack_name == stack_name).map(|(record, part, _)| (record.clone(), part)))
    }
}

#[async_trait::async_trait]
impl Routes for FakeStore {
    async fn route(&self, raw_stream: &str) -> Result<Option<Route>, StoreFault> {
        self.called()?;
        let streams = lock(&self.streams);
        Ok(streams.values().find(|record| record.resources.raw_stream.as_deref() == Some(raw_stream)).map(StreamRecord::route))
    }
}

#[async_trait::async_trait]
impl FaultyStreams for FakeStore {
    async fn faulty(&self) -> Result<Vec<StreamRecord>, StoreFault> {
        self.called()?;
        Ok(lock(&self.streams).values().filter(|record| record.is_faulty()).cloned().collect())
    }
}
