//! Idempotency keys, in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use time::OffsetDateTime;

use crate::fakes::lock;
use crate::idempotency::{Claim, Claimed, Fingerprint, IdempotencyKey, IdempotencyKeys, KeptAnswer, KeptKey};
use crate::store::StoreFault;

/// What goes wrong in one call for idempotency keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFault {
    /// All goes well.
    Ok,
    /// Nothing is read or written.
    Fail,
    /// It is written, but that is not heard.
    FailAfterWrite,
    /// It is written, but that is not heard, so it is written once more; the second answer is heard. The AWS SDK does so by itself.
    WriteTwice,
}

/// The calls for idempotency keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyCall {
    /// A key is claimed.
    Claim,
    /// An answer is kept.
    Keep,
    /// A claim is given up.
    Release,
}

/// Keeps idempotency keys with the same conditions as the real table.
#[derive(Debug, Default)]
pub struct FakeIdempotencyKeys {
    script: Mutex<VecDeque<KeyFault>>,
    keys: Mutex<HashMap<IdempotencyKey, KeptKey>>,
    calls: Mutex<Vec<KeyCall>>,
}

impl FakeIdempotencyKeys {
    /// One fault a call, in order; then all goes well.
    pub fn with_script(script: impl IntoIterator<Item = KeyFault>) -> Self {
        let keys = Self::default();
        keys.follow(script);
        keys
    }

    /// The same for the next calls.
    pub fn follow(&self, script: impl IntoIterator<Item = KeyFault>) {
        *lock(&self.script) = script.into_iter().collect();
    }

    /// What is kept under a key, also when it has run out.
    pub fn stored(&self, key: &IdempotencyKey) -> Option<KeptKey> {
        lock(&self.keys).get(key).cloned()
    }

    /// How many keys are kept, those that have run out among them.
    pub fn count(&self) -> usize {
        lock(&self.keys).len()
    }

    /// Every call, in order.
    pub fn calls(&self) -> Vec<KeyCall> {
        lock(&self.calls).clone()
    }

    /// Calls `write` as the script says.
    fn called<T>(&self, call: KeyCall, write: impl Fn() -> T) -> Result<T, StoreFault> {
        lock(&self.calls).push(call);
        let fault = lock(&self.script).pop_front().unwrap_or(KeyFault::Ok);
        if fault == KeyFault::Fail {
            return Err(failure());
        }
        let written = write();
        match fault {
            KeyFault::FailAfterWrite => Err(failure()),
            KeyFault::WriteTwice => Ok(write()),
            KeyFault::Ok | KeyFault::Fail => Ok(written),
        }
    }
}

fn failure() -> StoreFault {
    StoreFault::new("scripted failure of the idempotency keys")
}

#[async_trait::async_trait]
impl IdempotencyKeys for FakeIdempotencyKeys {
    async fn claim(
        &self,
        key: &IdempotencyKey,
        fingerprint: &Fingerprint,
        claim: &Claim,
        now: OffsetDateTime,
    ) -> Result<Claimed, StoreFault> {
        self.called(KeyCall::Claim, || {
            let mut keys = lock(&self.keys);
            if let Some(kept) = keys.get(key).filter(|kept| kept.until > now) {
                return kept.clone().met_by(fingerprint, claim);
            }
            keys.insert(*key, KeptKey { fingerprint: *fingerprint, token: claim.token.clone(), until: claim.until, answer: None });
            Claimed::Mine
        })
    }

    async fn keep(&self, key: &IdempotencyKey, claim: &Claim, answer: &KeptAnswer, until: OffsetDateTime) -> Result<(), StoreFault> {
        self.called(KeyCall::Keep, || {
            if let Some(kept) = lock(&self.keys).get_mut(key).filter(|kept| kept.token == claim.token) {
                (kept.answer, kept.until) = (Some(answer.clone()), until);
            }
        })
    }

    async fn release(&self, key: &IdempotencyKey, claim: &Claim) -> Result<(), StoreFault> {
        self.called(KeyCall::Release, || {
            lock(&self.keys).retain(|kept_under, kept| kept_under != key || kept.token != claim.token || kept.answer.is_some());
        })
    }
}
