//! An issuer's public keys, kept in memory.

use std::sync::Arc;
use std::time::Duration;

use domain::signing::{PublicKey, VerificationKey, VerificationKeys};
use domain::system::System;
use jsonwebtoken::{Algorithm, DecodingKey};
use time::OffsetDateTime;
use tokio::sync::RwLock;

use crate::problem::Problem;

/// How long after a failure the keys are not asked for again while none is known. When some are, it is the window.
pub(crate) const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// How long keys are believed.
#[derive(Debug, Clone, Copy)]
pub struct KeyTimes {
    /// Keys are looked up anew after this time, so that one that was taken away is refused.
    pub life: Duration,
    /// An unknown key id makes us look for new keys at most this often: a flood of made-up ids costs one look.
    pub window: Duration,
    /// Keys that were good once are believed for this long while their issuer does not answer.
    pub stale_limit: Duration,
}

/// The deployment's own keys, from the table.
pub const OWN_KEYS: KeyTimes =
    KeyTimes { life: Duration::from_secs(45), window: Duration::from_secs(10), stale_limit: Duration::from_secs(600) };

/// An external issuer's keys, over HTTP.
pub const EXTERNAL_KEYS: KeyTimes =
    KeyTimes { life: Duration::from_secs(300), window: Duration::from_secs(30), stale_limit: Duration::from_secs(3_600) };

/// A key that is believed.
pub struct BelievedKey {
    /// The one algorithm that it is for.
    pub algorithm: Algorithm,
    /// The key.
    pub key: DecodingKey,
    /// Which loading of the keys it came with.
    pub generation: u64,
}

/// Remembers the keys of one issuer.
pub struct KeyCache {
    source: Arc<dyn VerificationKeys>,
    system: Arc<dyn System>,
    times: KeyTimes,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    keys: Vec<(VerificationKey, DecodingKey)>,
    loaded_at: Option<OffsetDateTime>,
    /// Counts the loadings.
    generation: u64,
    /// When looking again makes sense at the earliest.
    next_look: Option<OffsetDateTime>,
    last_fault: Option<String>,
}

impl State {
    fn find(&self, kid: &str) -> Option<BelievedKey> {
        let (key, decoded) = self.keys.iter().find(|(key, _)| key.kid() == kid)?;
        Some(BelievedKey { algorithm: algorithm(key), key: decoded.clone(), generation: self.generation })
    }

    fn is_younger(&self, age: Duration, now: OffsetDateTime) -> bool {
        self.loaded_at.is_some_and(|at| now - at < age)
    }
}

impl KeyCache {
    /// Remembers what `source` gives.
    pub fn new(source: Arc<dyn VerificationKeys>, times: KeyTimes, system: Arc<dyn System>) -> Self {
        Self { source, system, times, state: RwLock::default() }
    }

    /// Finds the key of this id and the one algorithm that it is for.
    ///
    /// # Errors
    /// 503 when the issuer does not answer and the keys that are known are too old.
    pub async fn find(&self, kid: &str) -> Result<Option<BelievedKey>, Problem> {
        {
            let state = self.state.read().await;
            if state.is_younger(self.times.life, self.system.now())
                && let Some(key) = state.find(kid)
            {
                return Ok(Some(key));
            }
        }
        self.refresh().await;
        let state = self.state.read().await;
        match state.find(kid) {
            Some(key) if state.is_younger(self.times.stale_limit, self.system.now()) => Ok(Some(key)),
            _ => state.last_fault.as_ref().map_or(Ok(None), |fault| Err(Problem::unavailable(fault.as_str()))),
        }
    }

    /// Says which loading of the keys is believed without looking again, if one is. What was verified with it holds as long as it is.
    pub async fn generation(&self) -> Option<u64> {
        let state = self.state.read().await;
        state.is_younger(self.times.life, self.system.now()).then_some(state.generation)
    }

    /// Gives all keys that are believed.
    ///
    /// # Errors
    /// As [`KeyCache::find`].
    pub async fn all(&self) -> Result<Vec<VerificationKey>, Problem> {
        if !self.state.read().await.is_younger(self.times.window, self.system.now()) {
            self.refresh().await;
        }
        let state = self.state.read().await;
        if state.is_younger(self.times.stale_limit, self.system.now()) {
            return Ok(state.keys.iter().map(|(key, _)| key.clone()).collect());
        }
        Err(Problem::unavailable(state.last_fault.as_deref().unwrap_or("no keys were loaded")))
    }

    /// Looks for the keys, unless somebody did a moment ago.
    pub async fn refresh(&self) {
        // Held while loading: those who wait find fresh keys and do not load again.
        let mut state = self.state.write().await;
        let now = self.system.now();
        if state.next_look.is_some_and(|at| now < at) {
            return;
        }
        match self.source.load().await {
            Ok(loaded) => {
                state.keys = loaded.into_iter().filter_map(|key| decoding_key(&key).map(|decoded| (key, decoded))).collect();
                state.loaded_at = Some(now);
                state.generation += 1;
                state.next_look = Some(self.system.now() + self.times.window);
                state.last_fault = None;
            }
            Err(fault) => {
                let cause = fault.chain();
                tracing::warn!(error = cause, "could not load an issuer's keys");
                // From the end of the failure, which may have taken its time.
                let pause = if state.keys.is_empty() { PAUSE_AFTER_FAILURE } else { self.times.window };
                state.next_look = Some(self.system.now() + pause);
                state.last_fault = Some(cause);
            }
        }
    }
}

fn algorithm(key: &VerificationKey) -> Algorithm {
    match key {
        VerificationKey::Es256(_) => Algorithm::ES256,
        VerificationKey::Rs256 { .. } => Algorithm::RS256,
    }
}

fn decoding_key(key: &VerificationKey) -> Option<DecodingKey> {
    let decoded = match key {
        VerificationKey::Es256(PublicKey { x, y, .. }) => DecodingKey::from_ec_components(x, y),
        VerificationKey::Rs256 { n, e, .. } => DecodingKey::from_rsa_components(n, e),
    };
    decoded.inspect_err(|error| tracing::error!(key.id = key.kid(), error = %error, "an issuer's key is unreadable")).ok()
}
