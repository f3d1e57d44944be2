//! Bearer tokens: whose issuer, key and claims hold names a caller; anything else is one 401.
//!
//! A key's kind fixes the algorithm, whatever a token's header says, and no header can bring a key of its own.

use std::sync::Arc;

use domain::access::Caller;
use domain::api_key::ApiKeyReader;
use domain::api_key_cache::CachedApiKeys;
use domain::signing::{Issuer, VerificationKey, VerificationKeys};
use domain::system::System;
use domain::token::Claims;
use jsonwebtoken::{Header, Validation, decode, decode_header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::claims::{ExternalClaims, own_caller};
use crate::key_cache::{BelievedKey, EXTERNAL_KEYS, KeyCache, OWN_KEYS};
use crate::problem::Problem;
use crate::token_memory::{TokenMemory, VerifiedToken};

/// How far clocks may be apart.
const LEEWAY_SECONDS: i64 = 5;

/// An issuer other than the deployment itself whose tokens are believed.
pub struct ExternalIssuer {
    /// What stands in `iss` and `aud`.
    pub issuer: Issuer,
    /// The claim that names the owner.
    pub owner_claim: String,
    /// Its public keys.
    pub keys: Arc<dyn VerificationKeys>,
}

/// Whose tokens are believed.
pub struct Trust {
    /// What stands in `iss` and `aud` of the deployment's own tokens.
    pub own: Issuer,
    /// The deployment's public keys.
    pub keys: Arc<dyn VerificationKeys>,
    /// Knows which API keys are still good.
    pub api_keys: Arc<dyn ApiKeyReader>,
    /// Another issuer, if there is one.
    pub external: Option<ExternalIssuer>,
}

/// Verifies tokens.
pub struct Authenticator {
    own: Verifier,
    api_keys: CachedApiKeys,
    external: Option<(Verifier, String)>,
    tokens: TokenMemory,
    system: Arc<dyn System>,
}

/// What one issuer's tokens must be.
struct Verifier {
    issuer: Issuer,
    keys: KeyCache,
    required: &'static [&'static str],
}

impl Authenticator {
    /// Accepts the tokens that `trust` says.
    pub fn new(trust: Trust, system: Arc<dyn System>) -> Self {
        let external = trust.external.map(|external| {
            let keys = KeyCache::new(external.keys, EXTERNAL_KEYS, system.clone());
            // Not every issuer says from when on a token is valid.
            (Verifier { issuer: external.issuer, keys, required: &["exp", "iss", "aud"] }, external.owner_claim)
        });
        let keys = KeyCache::new(trust.keys, OWN_KEYS, system.clone());
        Self {
            own: Verifier { issuer: trust.own, keys, required: &["exp", "nbf", "iss", "aud"] },
            api_keys: CachedApiKeys::new(trust.api_keys, system.clone()),
            external,
            tokens: TokenMemory::default(),
            system,
        }
    }

    /// Loads the deployment's keys, so that the first request need not. An external issuer is asked when its first token comes.
    pub async fn warm_up(&self) {
        self.own.keys.refresh().await;
    }

    /// Gives the deployment's public keys.
    ///
    /// # Errors
    /// 503 when they cannot be loaded.
    pub async fn own_keys(&self) -> Result<Vec<VerificationKey>, Problem> {
        self.own.keys.all().await
    }

    /// Verifies the value of an `Authorization` header.
    ///
    /// # Errors
    /// 401, the same for every reason; 503 when the keys cannot be loaded.
    pub async fn authenticate(&self, header: Option<&str>) -> Result<Caller, Problem> {
        let token = bearer_token(header)?;
        let verified = match self.remembered(token).await {
            Some(verified) => verified,
            None => self.verify(token).await?,
        };
        self.check_times(verified.not_before, verified.expires_at)?;
        if let Some((owner, key)) = &verified.key
            && !self.api_keys.accepts(owner, key).await?
        {
            return Err(Problem::unauthorized("the token's api key was revoked or rotated"));
        }
        Ok(verified.caller)
    }

    /// A token that was verified with the keys that are believed now.
    async fn remembered(&self, token: &str) -> Option<VerifiedToken> {
        let verified = self.tokens.get(token)?;
        let verifier = if verified.is_own { &self.own } else { &self.external.as_ref()?.0 };
        (verifier.keys.generation().await? == verified.generation).then_some(verified)
    }

    async fn verify(&self, token: &str) -> Result<VerifiedToken, Problem> {
        let kid = key_id(token)?;
        let (verifier, verified) = match &self.external {
            Some((verifier, owner_claim)) if claimed_issuer(token)? == verifier.issuer.issuer => {
                let (claims, generation): (ExternalClaims, u64) = verifier.verify(token, &kid).await?;
                let (not_before, expires_at) = (claims.not_before(), claims.expires_at());
                self.check_times(not_before, expires_at)?;
                let caller = claims.caller(owner_claim, &verifier.issuer.audience)?;
                (verifier, VerifiedToken { caller, is_own: false, generation, not_before, expires_at, key: None })
            }
            _ => {
                let (claims, generation): (Claims, u64) = self.own.verify(token, &kid).await?;
                let (not_before, expires_at) = (Some(claims.nbf), Some(claims.exp));
                let key = claims.key.clone().map(|key| (claims.owner.clone(), key));
                (&self.own, VerifiedToken { caller: own_caller(claims)?, is_own: true, generation, not_before, expires_at, key })
            }
        };
        // Keys that are believed only while their issuer does not answer make no memory, nor do those that were loaded anew meanwhile.
        if verifier.keys.generation().await == Some(verified.generation) {
            self.tokens.put(token, verified.clone());
        }
        Ok(verified)
    }

    fn check_times(&self, not_before: Option<i64>, expires_at: Option<i64>) -> Result<(), Problem> {
        let now = self.system.now().unix_timestamp();
        if expires_at.is_none_or(|at| at <= now.saturating_sub(LEEWAY_SECONDS)) {
            return Err(Problem::unauthorized("expired token"));
        }
        if not_before.is_some_and(|at| at > now.saturating_add(LEEWAY_SECONDS)) {
            return Err(Problem::unauthorized("token is not valid yet"));
        }
        Ok(())
    }
}

impl Verifier {
    /// Returns the claims, and which loading of the keys they were verified with.
    async fn verify<C: DeserializeOwned>(&self, token: &str, kid: &str) -> Result<(C, u64), Problem> {
        let found = self.keys.find(kid).await?;
        let BelievedKey { algorithm, key, generation } = found.ok_or_else(|| Problem::unauthorized("unknown key id"))?;
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.issuer.issuer]);
        validation.set_audience(&[&self.issuer.audience]);
        validation.set_required_spec_claims(self.required);
        // Times are checked against the injected clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let decoded = decode::<C>(token, &key, &validation);
        let claims = decoded.map_err(|error| Problem::unauthorized(format!("invalid token: {error}")))?.claims;
        Ok((claims, generation))
    }
}

fn bearer_token(header: Option<&str>) -> Result<&str, Problem> {
    let header = header.ok_or_else(|| Problem::unauthorized("no authorization header"))?;
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Problem::unauthorized("not a bearer token")),
    }
}

/// The key that a token names. One that wants to bring or fetch a key itself, or to have the header read in another way, is refused
/// (RFC 8725, 3.10; RFC 7515, 4.1.11).
fn key_id(token: &str) -> Result<String, Problem> {
    let Header { kid, jku, jwk, x5u, x5c, crit, .. } =
        decode_header(token).map_err(|error| Problem::unauthorized(format!("unreadable token: {error}")))?;
    if jku.is_some() || jwk.is_some() || x5u.is_some() || x5c.is_some() || crit.is_some() {
        return Err(Problem::unauthorized("the token's header brings a key or a condition of its own"));
    }
    kid.ok_or_else(|| Problem::unauthorized("no key id"))
}

/// The issuer that a token says it has: chooses whose keys it must be signed with, and proves nothing.
fn claimed_issuer(token: &str) -> Result<String, Problem> {
    #[derive(Deserialize)]
    struct Claimed {
        iss: String,
    }
    let claimed = jsonwebtoken::dangerous::insecure_decode_claims::<Claimed>(token);
    Ok(claimed.map_err(|error| Problem::unauthorized(format!("no readable issuer: {error}")))?.iss)
}

#[cfg(test)]
#[path = "authenticate_tests.rs"]
mod tests;
