//! Streams made ready for their events once, and kept in memory for a while: a warm request looks nothing up and compiles nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;

use super::rules::{CompileRules, EventRules};
use crate::access::Reach;
use crate::ids::{IngestId, Owner, ResourceId, StreamId, Version};
use crate::limits::{CONFIG_CACHE_TTL, MISSING_CACHE_TTL};
use crate::record::StreamRecord;
use crate::resource::{ResourceKey, ResourceKind, ResourceReader};
use crate::resource_config::{LocalRateLimit, RateLimit, ResourceConfig};
use crate::store::{IngestReader, StoreFault};
use crate::system::System;

/// Entries kept at most; beyond them those of missing streams go, and then all, since a function that serves more streams than this has other
/// costs.
const MAX_ENTRIES: usize = 10_000;

/// How a sender names a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StreamAddress {
    /// The newest version that works, or else the newest.
    Newest(StreamId),
    /// One version.
    Version(StreamId, Version),
    /// Whatever version has this name for ingest.
    IngestId(IngestId),
}

/// A stream that is ready to take events.
#[derive(Clone)]
pub struct Intake {
    /// The stream.
    pub record: StreamRecord,
    /// What its document asks of events beyond their form.
    pub rules: Option<Arc<dyn EventRules>>,
    /// How many it takes.
    pub limit: Option<InputLimit>,
}

/// A rate limit of a stream's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputLimit {
    /// Names it among all owners.
    pub name: String,
    /// Names it for its owner.
    pub id: ResourceId,
    /// How many events in which time.
    pub limit: LocalRateLimit,
}

impl InputLimit {
    fn new(owner: &Owner, id: &ResourceId, limit: LocalRateLimit) -> Self {
        Self { name: format!("{owner}#{id}"), id: id.clone(), limit }
    }
}

/// Finds streams that are ready to take events.
#[async_trait::async_trait]
pub trait Intakes: Send + Sync {
    /// Finds a stream within reach. A foreign stream is `None`, exactly like a missing one.
    async fn find(&self, reach: &Reach, address: &StreamAddress) -> Result<Option<Arc<Intake>>, StoreFault>;
}

type Key = (Reach, StreamAddress);

/// Makes streams ready and remembers them: a working one for 30 s, a missing one for 5 s, and one that is changing not at all.
pub struct PreparedIntakes {
    streams: Arc<dyn IngestReader>,
    resources: Arc<dyn ResourceReader>,
    compile: CompileRules,
    system: Arc<dyn System>,
    entries: Mutex<HashMap<Key, Entry>>,
}

struct Entry {
    intake: Option<Arc<Intake>>,
    expires_at: OffsetDateTime,
}

impl PreparedIntakes {
    /// Makes ready what `streams` finds.
    pub fn new(streams: Arc<dyn IngestReader>, resources: Arc<dyn ResourceReader>, compile: CompileRules, system: Arc<dyn System>) -> Self {
        Self { streams, resources, compile, system, entries: Mutex::default() }
    }

    async fn load(&self, (reach, address): &Key) -> Result<Option<StreamRecord>, StoreFault> {
        match address {
            StreamAddress::Newest(id) => self.streams.load_for_ingest(reach, id).await,
            StreamAddress::Version(id, version) => self.streams.load(reach, id, Some(version)).await,
            StreamAddress::IngestId(id) => self.streams.load_by_ingest_id(reach, id).await,
        }
    }

    /// Makes a stream ready. What was compiled for the same revision of it is used again.
    async fn prepare(&self, record: StreamRecord, before: Option<&Intake>) -> Result<Intake, StoreFault> {
        let input = &record.document.input;
        let same = before.filter(|before| before.record.key == record.key && before.record.revision == record.revision);
        let rules = match same {
            Some(before) => before.rules.clone(),
            None => (self.compile)(input).map_err(|fault| StoreFault::new(format!("rules of {} do not compile: {fault}", record.key)))?,
        };
        let limit = match &input.rate_limit {
            Some(id) => self.limit(&record.owner, id).await?,
            None => None,
        };
        Ok(Intake { record, rules, limit })
    }

    async fn limit(&self, owner: &Owner, id: &ResourceId) -> Result<Option<InputLimit>, StoreFault> {
        let key = ResourceKey { kind: ResourceKind::RateLimit, id: id.clone() };
        let found = self.resources.load_resource(owner, &key).await?;
        Ok(match found.map(|resource| resource.config) {
            Some(ResourceConfig::RateLimit(RateLimit::Local(limit))) => Some(InputLimit::new(owner, id, limit)),
            // A resource in use cannot be removed, so this is a stream that is on its way out.
            _ => None,
        })
    }

    /// What is remembered of a key, and whether it may still be used.
    fn remembered(&self, key: &Key) -> Option<(Option<Arc<Intake>>, bool)> {
        let now = self.system.now();
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).map(|entry| (entry.intake.clone(), now < entry.expires_at))
    }

    fn remember(&self, key: Key, intake: Option<Arc<Intake>>) {
        let keep_for = match &intake {
            None => Some(MISSING_CACHE_TTL),
            Some(intake) if intake.record.stack.status.is_working() => Some(CONFIG_CACHE_TTL),
            Some(_) => None,
        };
        let expires_at = keep_for.map(|ttl| self.system.now() + ttl);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // Names that mean nothing can be made up by anybody; they go first.
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, entry| entry.intake.is_some());
        }
        if entries.len() >= MAX_ENTRIES {
            entries.clear();
        }
        match expires_at {
            Some(expires_at) => entries.insert(key, Entry { intake, expires_at }),
            None => entries.remove(&key),
        };
    }
}

#[async_trait::async_trait]
impl Intakes for PreparedIntakes {
    async fn find(&self, reach: &Reach, address: &StreamAddress) -> Result<Option<Arc<Intake>>, StoreFault> {
        let key = (reach.clone(), address.clone());
        let before = match self.remembered(&key) {
            Some((intake, true)) => return Ok(intake),
            Some((intake, false)) => intake,
            None => None,
        };
        let intake = match self.load(&key).await? {
            Some(record) => Some(Arc::new(self.prepare(record, before.as_deref()).await?)),
            None => None,
        };
        self.remember(key, intake.clone());
        Ok(intake)
    }
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
