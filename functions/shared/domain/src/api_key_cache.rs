//! API keys kept in memory for a while, so that a warm request need not look up whether its token's key was revoked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;

use crate::access::Reach;
use crate::api_key::{ApiKey, ApiKeyReader};
use crate::ids::{ApiKeyId, Owner};
use crate::limits::{API_KEY_CACHE_TTL, API_KEY_STALE_LIMIT};
use crate::store::StoreFault;
use crate::system::System;
use crate::token::KeyClaim;

/// Entries kept at most; beyond them the memory is emptied.
const MAX_ENTRIES: usize = 10_000;

/// How long after a failure the store is not asked again: an outage is not one slow call a request.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(2);

/// Says whether a token's API key is still good, as of a moment ago.
pub struct CachedApiKeys {
    reader: Arc<dyn ApiKeyReader>,
    system: Arc<dyn System>,
    entries: Mutex<HashMap<(Owner, ApiKeyId), Entry>>,
    /// Until when the store is not asked again, since it has just failed.
    pause_until: Mutex<Option<OffsetDateTime>>,
}

#[derive(Clone)]
struct Entry {
    key: Option<Arc<ApiKey>>,
    loaded_at: OffsetDateTime,
}

impl Entry {
    fn accepts(&self, claim: &KeyClaim, now: OffsetDateTime) -> bool {
        self.key.as_ref().is_some_and(|key| key.accepts(claim.generation, now))
    }

    /// A token of a later generation than is known proves that the key was rotated since.
    fn is_behind(&self, claim: &KeyClaim) -> bool {
        self.key.as_ref().is_some_and(|key| key.generation < claim.generation)
    }
}

impl CachedApiKeys {
    /// Remembers what `reader` finds.
    pub fn new(reader: Arc<dyn ApiKeyReader>, system: Arc<dyn System>) -> Self {
        Self { reader, system, entries: Mutex::default(), pause_until: Mutex::default() }
    }

    /// Returns whether the key that a verified token was made with is still good.
    ///
    /// # Errors
    /// The store does not answer, and what is known is too old.
    pub async fn accepts(&self, owner: &Owner, claim: &KeyClaim) -> Result<bool, StoreFault> {
        let now = self.system.now();
        let place = (owner.clone(), claim.id.clone());
        let known = self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(&place).cloned();
        let known = known.filter(|entry| !entry.is_behind(claim));
        if let Some(entry) = known.as_ref().filter(|entry| now - entry.loaded_at < API_KEY_CACHE_TTL) {
            return Ok(entry.accepts(claim, now));
        }
        if self.pause_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|end| now < end) {
            return self.bridge(known, claim, StoreFault::new("the store of api keys did not answer a moment ago"));
        }
        match self.reader.load_key(&Reach::Owner(owner.clone()), &claim.id).await {
            Ok(key) => {
                // As old as the question: the answer may have been on its way for a while.
                let entry = Entry { key: key.map(Arc::new), loaded_at: now };
                let is_good = entry.accepts(claim, self.system.now());
                let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
                if entries.len() >= MAX_ENTRIES {
                    entries.clear();
                }
                entries.insert(place, entry);
                Ok(is_good)
            }
            Err(fault) => {
                *self.pause_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.system.now() + PAUSE_AFTER_FAILURE);
                self.bridge(known, claim, fault)
            }
        }
    }

    /// A short fault of the store should not refuse everybody. What counts is the time now, after the store has kept us waiting.
    fn bridge(&self, known: Option<Entry>, claim: &KeyClaim, fault: StoreFault) -> Result<bool, StoreFault> {
        let now = self.system.now();
        let usable = known.filter(|entry| now - entry.loaded_at < API_KEY_STALE_LIMIT);
        usable.map(|entry| entry.accepts(claim, now)).ok_or(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Scope;
    use crate::fakes::{FakeApiKeys, FakeSystem, api_key, block_on};

    struct Bench {
        keys: Arc<FakeApiKeys>,
        system: Arc<FakeSystem>,
        cache: CachedApiKeys,
    }

    fn bench() -> Bench {
        let (keys, system) = (Arc::new(FakeApiKeys::default()), Arc::new(FakeSystem::new()));
        keys.insert(api_key("waste", &[Scope::Ingest]));
        Bench { cache: CachedApiKeys::new(keys.clone(), system.clone()), keys, system }
    }

    impl Bench {
        fn accepts(&self, owner: &str, generation: u32) -> Result<bool, StoreFault> {
            let claim = KeyClaim { id: ApiKeyId::from_random(0), generation };
            block_on(self.cache.accepts(&owner.parse().unwrap(), &claim))
        }
    }

    #[test]
    fn a_key_is_looked_up_once_within_its_time_and_a_revoked_one_is_refused_after_it() {
        let bench = bench();
        assert!(bench.accepts("waste", 0).unwrap() && bench.accepts("waste", 0).unwrap());
        assert_eq!(bench.keys.calls(), 1);
        bench.keys.revoke(&ApiKeyId::from_random(0));
        bench.system.advance(API_KEY_CACHE_TTL - Duration::from_millis(1));
        assert!(bench.accepts("waste", 0).unwrap());
        bench.system.advance(Duration::from_millis(1));
        assert!(!bench.accepts("waste", 0).unwrap() && !bench.accepts("waste", 0).unwrap());
        assert_eq!(bench.keys.calls(), 2, "a missing key is remembered too");
        assert!(API_KEY_CACHE_TTL < Duration::from_secs(60) && API_KEY_STALE_LIMIT < Duration::from_secs(60));
    }

    #[test]
    fn a_key_is_good_for_its_own_owner_only() {
        assert!(!bench().accepts("transport", 0).unwrap());
    }

    #[test]
    fn a_token_of_a_later_generation_is_good_at_once_and_an_earlier_one_until_its_grace_ends() {
        let bench = bench();
        assert!(bench.accepts("waste", 0).unwrap());
        let rotated = api_key("waste", &[Scope::Ingest]).rotated(Duration::from_secs(10), bench.system.now(), "kari").unwrap();
        bench.keys.insert(rotated);
        assert!(bench.accepts("waste", 1).unwrap(), "nobody waits for the cache");
        assert!(bench.accepts("waste", 0).unwrap());
        bench.system.advance(Duration::from_secs(10));
        assert!(!bench.accepts("waste", 0).unwrap(), "the end of the grace is known beforehand");
        assert!(bench.accepts("waste", 1).unwrap());
        assert_eq!(bench.keys.calls(), 2);
    }

    #[test]
    fn an_outage_of_the_store_is_bridged_for_less_than_a_minute() {
        let bench = bench();
        assert!(bench.accepts("waste", 0).unwrap());
        bench.keys.fail_next(usize::MAX);
        bench.system.advance(API_KEY_STALE_LIMIT - Duration::from_millis(1));
        assert!(bench.accepts("waste", 0).unwrap());
        bench.system.advance(Duration::from_millis(1));
        assert!(bench.accepts("waste", 0).is_err(), "nobody can say");
        bench.keys.fail_next(0);
        bench.system.advance(PAUSE_AFTER_FAILURE);
        assert!(bench.accepts("waste", 0).unwrap());
    }

    #[test]
    fn a_store_that_fails_slowly_does_not_stretch_the_minute_nor_every_request() {
        let bench = bench();
        assert!(bench.accepts("waste", 0).unwrap());
        bench.keys.fail_next(usize::MAX);
        bench.keys.take_time(bench.system.clone(), Duration::from_secs(15));
        bench.system.advance(API_KEY_STALE_LIMIT - Duration::from_secs(16));
        for _ in 0..10 {
            assert!(bench.accepts("waste", 0).unwrap());
        }
        assert_eq!(bench.keys.calls(), 2, "one slow look for all of them");
        bench.system.advance(PAUSE_AFTER_FAILURE);
        assert!(bench.accepts("waste", 0).is_err(), "too old when the store had kept us waiting");
        assert!(bench.accepts("waste", 0).is_err());
        assert_eq!(bench.keys.calls(), 3);
    }
}
