//! The public keys of an OIDC issuer, found as its discovery document says
//! (<https://openid.net/specs/openid-connect-discovery-1_0.html>).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::signing::{VerificationKey, VerificationKeys};
use domain::store::StoreFault;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::OutgoingClient;
use crate::jwk::Jwk;

/// The largest discovery document or key set, in bytes. Ours: many times what known issuers publish.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// The most keys in a set, those that we skip included. Ours: many times what known issuers publish.
const MAX_KEYS: usize = 50;

/// How long the place of the keys is believed before the discovery document is asked again. The keys themselves are not remembered.
const DISCOVERY_LIFE: Duration = Duration::from_secs(3600);

/// Gives the keys that an issuer publishes.
#[derive(Debug)]
pub struct OidcKeys {
    client: OutgoingClient,
    issuer: String,
    discovery_life: Duration,
    discovered: Mutex<Option<Discovered>>,
}

/// Where the keys are, and when we were told.
#[derive(Debug)]
struct Discovered {
    jwks_uri: String,
    at: Instant,
}

#[derive(Deserialize)]
struct DiscoveryDocument {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl OidcKeys {
    /// Asks the issuer of this name, which is a URL and stands as `iss` in its tokens.
    pub fn new(client: OutgoingClient, issuer: String) -> Self {
        Self { client, issuer, discovery_life: DISCOVERY_LIFE, discovered: Mutex::default() }
    }

    async fn jwks_uri(&self) -> Result<String, StoreFault> {
        if let Some(jwks_uri) = self.remembered() {
            return Ok(jwks_uri);
        }
        let base = self.issuer.strip_suffix('/').unwrap_or(&self.issuer);
        let document: DiscoveryDocument =
            self.document("the discovery document", &format!("{base}/.well-known/openid-configuration")).await?;
        // Whoever answers in another issuer's name must not vouch for this one's tokens (section 4.3).
        if document.issuer != self.issuer {
            return Err(StoreFault::new(format!(
                "expected the discovery document of {:?}, got that of {:?}",
                self.issuer, document.issuer
            )));
        }
        *self.discovered() = Some(Discovered { jwks_uri: document.jwks_uri.clone(), at: Instant::now() });
        Ok(document.jwks_uri)
    }

    fn remembered(&self) -> Option<String> {
        let discovered = self.discovered();
        discovered.as_ref().filter(|discovered| discovered.at.elapsed() < self.discovery_life).map(|discovered| discovered.jwks_uri.clone())
    }

    async fn keys(&self, jwks_uri: &str) -> Result<Vec<VerificationKey>, StoreFault> {
        let set: KeySet = self.document("the keys", jwks_uri).await?;
        if set.keys.len() > MAX_KEYS {
            return Err(StoreFault::new(format!("expected at most {MAX_KEYS} keys of {:?}, got {}", self.issuer, set.keys.len())));
        }
        Ok(set.keys.iter().filter_map(usable_key).collect())
    }

    /// Neither a fault nor a log repeats the URL.
    async fn document<T: DeserializeOwned>(&self, what: &str, url: &str) -> Result<T, StoreFault> {
        let fetched = self.client.get(url, MAX_DOCUMENT_BYTES).await;
        let body = fetched
            .map_err(|fault| StoreFault { message: format!("could not get {what} of the external issuer"), source: Some(fault.into()) })?;
        let parsed = serde_json::from_slice(&body);
        parsed.map_err(|error| StoreFault { message: format!("could not read {what} of the external issuer"), source: Some(error.into()) })
    }

    fn discovered(&self) -> MutexGuard<'_, Option<Discovered>> {
        self.discovered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl VerificationKeys for OidcKeys {
    async fn load(&self) -> Result<Vec<VerificationKey>, StoreFault> {
        let jwks_uri = self.jwks_uri().await?;
        let loaded = self.keys(&jwks_uri).await;
        if loaded.is_err() {
            // The keys may have moved.
            *self.discovered() = None;
        }
        loaded
    }
}

/// Reads a key; one that is not for us is no fault, since issuers publish keys for other uses beside it.
fn usable_key(key: &Value) -> Option<VerificationKey> {
    let jwk = Jwk::deserialize(key).inspect_err(|error| tracing::debug!(error = %error, "skipped an unreadable key of the issuer")).ok()?;
    let read = jwk.verification_key();
    read.inspect_err(|reason| tracing::debug!(key.id = jwk.kid.as_deref(), reason, "skipped a key of the issuer")).ok()
}

#[cfg(test)]
#[path = "oidc_tests.rs"]
mod tests;
