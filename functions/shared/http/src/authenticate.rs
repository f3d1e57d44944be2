//! Bearer tokens: ES256 only, whatever a token's header claims, verified with public keys that are loaded at cold start.

use std::sync::Arc;
use std::time::Duration;

use domain::access::{Caller, Scope};
use domain::signing::{Claims, Issuer, PublicKey, SigningKeys};
use domain::system::System;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use time::OffsetDateTime;
use tokio::sync::RwLock;

use crate::problem::Problem;

/// How often an unknown key id may make us look for new keys: a flood of made-up ids costs one look.
const KEY_REFRESH: Duration = Duration::from_secs(10);

/// How long keys are trusted before they are looked up anew, so that one that was taken away is refused.
const KEY_LIFE: Duration = Duration::from_secs(300);

/// How far clocks may be apart.
const LEEWAY_SECONDS: i64 = 5;

/// Verifies tokens.
pub struct Authenticator {
    keys: Arc<dyn SigningKeys>,
    system: Arc<dyn System>,
    validation: Validation,
    cache: RwLock<KeyCache>,
}

#[derive(Default)]
struct KeyCache {
    keys: Vec<(String, DecodingKey)>,
    loaded_at: Option<OffsetDateTime>,
}

impl Authenticator {
    /// Accepts the tokens of one issuer.
    pub fn new(issuer: &Issuer, keys: Arc<dyn SigningKeys>, system: Arc<dyn System>) -> Self {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[&issuer.issuer]);
        validation.set_audience(&[&issuer.audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud"]);
        // Times are checked below, against the injected clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self { keys, system, validation, cache: RwLock::default() }
    }

    /// Loads the keys, so that the first request need not.
    pub async fn warm_up(&self) {
        if let Err(fault) = self.refresh().await {
            tracing::warn!(error = fault.cause(), "could not load the signing keys at cold start");
        }
    }

    /// Verifies the value of an `Authorization` header.
    ///
    /// # Errors
    /// 401, the same for every reason; 503 when the keys cannot be loaded.
    pub async fn authenticate(&self, header: Option<&str>) -> Result<Caller, Problem> {
        let header = header.ok_or_else(|| Problem::unauthorized("no authorization header"))?;
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(Problem::unauthorized("not a bearer token")),
        };
        let token_header = decode_header(token).map_err(|error| Problem::unauthorized(format!("unreadable token: {error}")))?;
        let kid = token_header.kid.ok_or_else(|| Problem::unauthorized("no key id"))?;
        let key = self.key(&kid).await?;
        let decoded = decode::<Claims>(token, &key, &self.validation);
        let claims = decoded.map_err(|error| Problem::unauthorized(format!("invalid token: {error}")))?.claims;
        self.check_times(&claims)?;
        caller(claims)
    }

    fn check_times(&self, claims: &Claims) -> Result<(), Problem> {
        let now = self.system.now().unix_timestamp();
        if claims.exp <= now - LEEWAY_SECONDS {
            return Err(Problem::unauthorized("expired token"));
        }
        if claims.nbf > now + LEEWAY_SECONDS {
            return Err(Problem::unauthorized("token is not valid yet"));
        }
        Ok(())
    }

    async fn key(&self, kid: &str) -> Result<DecodingKey, Problem> {
        if let Some(key) = self.cached(kid).await {
            return Ok(key);
        }
        let refreshed = self.refresh().await;
        if refreshed.is_err() {
            // A key that was good a while ago is better than an outage.
            if let Some(key) = self.known(kid).await {
                return Ok(key);
            }
        }
        refreshed?;
        self.cached(kid).await.ok_or_else(|| Problem::unauthorized("unknown key id"))
    }

    async fn cached(&self, kid: &str) -> Option<DecodingKey> {
        let is_current = self.cache.read().await.loaded_at.is_some_and(|at| self.system.now() - at < KEY_LIFE);
        if is_current { self.known(kid).await } else { None }
    }

    async fn known(&self, kid: &str) -> Option<DecodingKey> {
        let cache = self.cache.read().await;
        cache.keys.iter().find(|(known, _)| known == kid).map(|(_, key)| key.clone())
    }

    async fn refresh(&self) -> Result<(), Problem> {
        // Held while loading: those who wait find fresh keys and do not load again.
        let mut cache = self.cache.write().await;
        let now = self.system.now();
        let is_fresh = cache.loaded_at.is_some_and(|at| now - at < KEY_REFRESH);
        if is_fresh {
            return Ok(());
        }
        let loaded = match self.keys.load().await {
            Ok(loaded) => loaded,
            Err(fault) => {
                // Known keys stand a little longer, so that an outage of the store is not one call a request.
                cache.loaded_at = cache.loaded_at.map(|_| now - KEY_LIFE + KEY_REFRESH);
                return Err(fault.into());
            }
        };
        cache.keys = loaded.iter().filter_map(decoding_key).collect();
        cache.loaded_at = Some(now);
        Ok(())
    }
}

fn decoding_key(key: &PublicKey) -> Option<(String, DecodingKey)> {
    let decoded = DecodingKey::from_ec_components(&key.x, &key.y);
    decoded
        .inspect_err(|error| tracing::error!(key.id = key.kid, error = %error, "a signing key is unreadable"))
        .ok()
        .map(|decoded| (key.kid.clone(), decoded))
}

fn caller(claims: Claims) -> Result<Caller, Problem> {
    let scopes: Vec<Scope> =
        claims.scope.split(' ').filter_map(|word| Scope::ALL.into_iter().find(|scope| scope.as_str() == word)).collect();
    if scopes.is_empty() {
        return Err(Problem::unauthorized("token without a known scope"));
    }
    Ok(Caller { subject: claims.sub, owner: claims.owner, scopes })
}

#[cfg(test)]
#[path = "authenticate_tests.rs"]
mod tests;
