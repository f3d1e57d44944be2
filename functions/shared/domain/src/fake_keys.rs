//! Keys in memory: public signing keys, and API keys.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use time::macros::datetime;

use crate::access::{Reach, Scope};
use crate::api_key::{ApiKey, ApiKeyReader, ApiKeyStore};
use crate::fakes::{FakeSystem, lock};
use crate::ids::{ApiKeyId, Owner};
use crate::signing::{PublicKey, VerificationKey, VerificationKeys};
use crate::store::{StoreFault, WriteFault};

/// Gives fixed keys and counts how often it was asked.
#[derive(Debug, Default)]
pub struct FakeVerificationKeys {
    keys: Mutex<Vec<VerificationKey>>,
    failures: Mutex<usize>,
    loads: Mutex<usize>,
    slowness: Slowness,
}

impl FakeVerificationKeys {
    /// Gives these keys, all for ES256.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self { keys: Mutex::new(keys.into_iter().map(VerificationKey::Es256).collect()), ..Self::default() }
    }

    /// Gives other keys from now on.
    pub fn set(&self, keys: Vec<PublicKey>) {
        *lock(&self.keys) = keys.into_iter().map(VerificationKey::Es256).collect();
    }

    /// Fails the next calls.
    pub fn fail_next(&self, times: usize) {
        *lock(&self.failures) = times;
    }

    /// Takes so long for each call from now on.
    pub fn take_time(&self, system: Arc<FakeSystem>, each: Duration) {
        *lock(&self.slowness.0) = Some((system, each));
    }

    /// How often the keys were asked for.
    pub fn loads(&self) -> usize {
        *lock(&self.loads)
    }
}

#[async_trait::async_trait]
impl VerificationKeys for FakeVerificationKeys {
    async fn load(&self) -> Result<Vec<VerificationKey>, StoreFault> {
        *lock(&self.loads) += 1;
        self.slowness.pass();
        take_failure(&self.failures)?;
        Ok(lock(&self.keys).clone())
    }
}

/// An API key as the store holds it, made at the fake clock's start.
///
/// # Panics
/// When `owner` is no owner.
#[allow(clippy::expect_used, reason = "a test that names no owner should stop here")]
pub fn api_key(owner: &str, scopes: &[Scope]) -> ApiKey {
    let at = datetime!(2026-01-01 00:00 UTC);
    ApiKey {
        id: ApiKeyId::from_random(0),
        owner: owner.parse().expect("an owner"),
        name: "truck gateway".into(),
        scopes: scopes.to_vec(),
        streams: None,
        generation: 0,
        retiring: BTreeMap::new(),
        created_at: at,
        created_by: "tester".into(),
        updated_at: at,
        updated_by: "tester".into(),
        revision: 1,
    }
}

/// Keeps API keys with the same conditions as the real table, and can be told to fail.
#[derive(Debug, Default)]
pub struct FakeApiKeys {
    keys: Mutex<BTreeMap<ApiKeyId, ApiKey>>,
    failures: Mutex<usize>,
    conflicts: Mutex<usize>,
    calls: Mutex<usize>,
    slowness: Slowness,
}

impl FakeApiKeys {
    /// Puts a key as it is.
    pub fn insert(&self, key: ApiKey) {
        lock(&self.keys).insert(key.id.clone(), key);
    }

    /// Takes a key away.
    pub fn revoke(&self, id: &ApiKeyId) {
        lock(&self.keys).remove(id);
    }

    /// What is stored under an id.
    pub fn stored(&self, id: &ApiKeyId) -> Option<ApiKey> {
        lock(&self.keys).get(id).cloned()
    }

    /// Fails the next calls.
    pub fn fail_next(&self, times: usize) {
        *lock(&self.failures) = times;
    }

    /// Lets another writer be first for the next writes.
    pub fn conflict_next(&self, times: usize) {
        *lock(&self.conflicts) = times;
    }

    /// Takes so long for each call from now on.
    pub fn take_time(&self, system: Arc<FakeSystem>, each: Duration) {
        *lock(&self.slowness.0) = Some((system, each));
    }

    /// How many calls were made.
    pub fn calls(&self) -> usize {
        *lock(&self.calls)
    }

    fn called(&self) -> Result<(), StoreFault> {
        *lock(&self.calls) += 1;
        self.slowness.pass();
        take_failure(&self.failures)
    }

    fn meets_conflict(&self) -> bool {
        let mut conflicts = lock(&self.conflicts);
        let meets = *conflicts > 0;
        *conflicts = conflicts.saturating_sub(1);
        meets
    }
}

#[async_trait::async_trait]
impl ApiKeyReader for FakeApiKeys {
    async fn load_key(&self, reach: &Reach, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreFault> {
        self.called()?;
        Ok(self.stored(id).filter(|key| reach.covers(&key.owner)))
    }
}

#[async_trait::async_trait]
impl ApiKeyStore for FakeApiKeys {
    async fn list_keys(&self, owner: &Owner) -> Result<Vec<ApiKey>, StoreFault> {
        self.called()?;
        Ok(lock(&self.keys).values().filter(|key| key.owner == *owner).cloned().collect())
    }

    async fn create_key(&self, key: &ApiKey) -> Result<(), WriteFault> {
        self.called()?;
        if self.meets_conflict() || self.stored(&key.id).is_some() {
            return Err(WriteFault::Conflict);
        }
        self.insert(key.clone());
        Ok(())
    }

    async fn replace_key(&self, before: &ApiKey, after: &ApiKey) -> Result<(), WriteFault> {
        self.called()?;
        let is_unchanged = self.stored(&before.id).is_some_and(|stored| stored.revision == before.revision);
        if self.meets_conflict() || !is_unchanged {
            return Err(WriteFault::Conflict);
        }
        self.insert(after.clone());
        Ok(())
    }

    async fn remove_key(&self, key: &ApiKey) -> Result<(), StoreFault> {
        self.called()?;
        self.revoke(&key.id);
        Ok(())
    }
}

/// How long a call takes.
#[derive(Debug, Default)]
struct Slowness(Mutex<Option<(Arc<FakeSystem>, Duration)>>);

impl Slowness {
    fn pass(&self) {
        if let Some((system, each)) = lock(&self.0).as_ref() {
            system.advance(*each);
        }
    }
}

fn take_failure(failures: &Mutex<usize>) -> Result<(), StoreFault> {
    let mut failures = lock(failures);
    if *failures > 0 {
        *failures -= 1;
        return Err(StoreFault::new("scripted failure of the keys"));
    }
    Ok(())
}
