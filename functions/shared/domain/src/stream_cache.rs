//! Streams kept in memory for a while, so that a warm request of ingest need not look them up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;

use crate::access::Reach;
use crate::ids::{StreamId, Version};
use crate::limits::{CONFIG_CACHE_TTL, MISSING_CACHE_TTL};
use crate::record::StreamRecord;
use crate::store::{StoreFault, StreamReader};
use crate::system::System;

/// Entries kept at most; beyond them the memory is emptied, since a function that serves more streams than this has other costs.
const MAX_ENTRIES: usize = 10_000;

type Key = (Reach, StreamId, Option<Version>);

/// A reader that remembers: a working stream for 30 s, a missing one for 5 s, and one that is changing not at all.
pub struct CachedStreams {
    inner: Arc<dyn StreamReader>,
    system: Arc<dyn System>,
    entries: Mutex<HashMap<Key, Entry>>,
}

struct Entry {
    record: Option<StreamRecord>,
    expires_at: OffsetDateTime,
}

impl CachedStreams {
    /// Remembers what `inner` finds.
    pub fn new(inner: Arc<dyn StreamReader>, system: Arc<dyn System>) -> Self {
        Self { inner, system, entries: Mutex::default() }
    }

    fn remembered(&self, key: &Key) -> Option<Option<StreamRecord>> {
        let now = self.system.now();
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|entry| now < entry.expires_at).map(|entry| entry.record.clone())
    }

    fn remember(&self, key: Key, record: &Option<StreamRecord>) {
        let keep_for = match record {
            None => Some(MISSING_CACHE_TTL),
            Some(record) if record.stack.status.is_working() => Some(CONFIG_CACHE_TTL),
            Some(_) => None,
        };
        let expires_at = keep_for.map(|ttl| self.system.now() + ttl);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        match expires_at {
            Some(expires_at) => entries.insert(key, Entry { record: record.clone(), expires_at }),
            None => entries.remove(&key),
        };
    }
}

#[async_trait::async_trait]
impl StreamReader for CachedStreams {
    async fn load(&self, reach: &Reach, id: &StreamId, version: Option<&Version>) -> Result<Option<StreamRecord>, StoreFault> {
        let Some(version) = version else { return self.load_for_ingest(reach, id).await };
        let key = (reach.clone(), id.clone(), Some(version.clone()));
        if let Some(record) = self.remembered(&key) {
            return Ok(record);
        }
        let record = self.inner.load(reach, id, Some(version)).await?;
        self.remember(key, &record);
        Ok(record)
    }

    async fn load_for_ingest(&self, reach: &Reach, id: &StreamId) -> Result<Option<StreamRecord>, StoreFault> {
        let key = (reach.clone(), id.clone(), None);
        if let Some(record) = self.remembered(&key) {
            return Ok(record);
        }
        let record = self.inner.load_for_ingest(reach, id).await?;
        self.remember(key, &record);
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakeStore, FakeSystem, active_stream, block_on};
    use crate::lifecycle::Status;
    use std::time::Duration;

    #[test]
    fn a_stream_is_looked_up_once_within_its_time() {
        let (store, system) = (Arc::new(FakeStore::default()), Arc::new(FakeSystem::new()));
        let cache = CachedStreams::new(store.clone(), system.clone());
        let (record, reach) = (active_stream("refuse-trucks", "1", "waste"), Reach::Owner("waste".parse().unwrap()));
        let load = || block_on(cache.load(&reach, &record.key.id, None)).unwrap();

        assert!(load().is_none() && load().is_none());
        assert_eq!(store.calls(), 1, "missing is remembered too");
        store.insert(record.clone());
        system.advance(MISSING_CACHE_TTL);
        assert!(load().is_some() && load().is_some());
        assert_eq!(store.calls(), 2);
        system.advance(CONFIG_CACHE_TTL - Duration::from_millis(1));
        load();
        assert_eq!(store.calls(), 2);
        system.advance(Duration::from_millis(1));
        load();
        assert_eq!(store.calls(), 3);
    }

    #[test]
    fn a_version_that_is_coming_or_going_does_not_stop_the_one_that_works() {
        let (store, system) = (Arc::new(FakeStore::default()), Arc::new(FakeSystem::new()));
        let cache = CachedStreams::new(store.clone(), system);
        store.insert(active_stream("refuse-trucks", "1", "waste"));
        let mut coming = active_stream("refuse-trucks", "2", "waste");
        coming.stack.status = Status::CreateInProgress;
        store.insert(coming);
        let found = block_on(cache.load(&Reach::Everyone, &"refuse-trucks".parse().unwrap(), None)).unwrap().unwrap();
        assert_eq!(found.key.version.as_str(), "1");
    }

    #[test]
    fn a_stream_under_update_works_on() {
        let (store, system) = (Arc::new(FakeStore::default()), Arc::new(FakeSystem::new()));
        let cache = CachedStreams::new(store.clone(), system);
        store.insert(active_stream("refuse-trucks", "1", "waste"));
        let mut changing = active_stream("refuse-trucks", "2", "waste");
        changing.stack.status = Status::UpdateInProgress;
        store.insert(changing);
        for _ in 0..2 {
            let found = block_on(cache.load(&Reach::Everyone, &"refuse-trucks".parse().unwrap(), None)).unwrap().unwrap();
            assert_eq!(found.key.version.as_str(), "2");
        }
        assert_eq!(store.calls(), 1, "and is remembered");
    }

    #[test]
    fn one_callers_memory_is_not_anothers() {
        let (store, system) = (Arc::new(FakeStore::default()), Arc::new(FakeSystem::new()));
        let cache = CachedStreams::new(store.clone(), system);
        let record = active_stream("refuse-trucks", "1", "waste");
        store.insert(record.clone());
        let load = |owner: &str| block_on(cache.load(&Reach::Owner(owner.parse().unwrap()), &record.key.id, None)).unwrap();
        assert!(load("waste").is_some());
        assert!(load("other").is_none());
    }
}
