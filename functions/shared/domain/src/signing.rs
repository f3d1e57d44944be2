//! Tokens: what stands in them, and the keys that vouch for them.

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::access::Scope;
use crate::ids::Owner;
use crate::store::StoreFault;

/// The longest life of a token, in days.
pub const MAX_TOKEN_DAYS: u32 = 365;

/// What a token says (RFC 7519).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The deployment that issued it.
    pub iss: String,
    /// Always the deployment's audience.
    pub aud: String,
    /// Who it is for.
    pub sub: String,
    /// The tenant that it speaks for.
    pub owner: Owner,
    /// Space-separated scopes (RFC 8693).
    pub scope: String,
    /// Issued at, in seconds since 1970.
    pub iat: i64,
    /// Not valid before, in seconds since 1970.
    pub nbf: i64,
    /// Not valid from this time on, in seconds since 1970.
    pub exp: i64,
    /// Names the token.
    pub jti: String,
}

/// A request for a token, by an operator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The tenant that the token speaks for.
    pub owner: Owner,
    /// Who it is for; stands in `updated_by`.
    #[serde(default = "default_subject")]
    pub subject: String,
    /// What it allows.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<Scope>,
    /// How long it is valid: 1 to 365 days.
    #[serde(default = "default_days")]
    pub expires_in_days: u32,
}

fn default_subject() -> String {
    "operator".to_owned()
}

fn default_scopes() -> Vec<Scope> {
    vec![Scope::Admin]
}

fn default_days() -> u32 {
    30
}

/// A request that no token is issued for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// Too short or too long a life.
    #[error("expires_in_days: expected 1 to {MAX_TOKEN_DAYS}, got {0}")]
    Days(u32),
    /// A token that allows nothing.
    #[error("scopes: expected at least one")]
    NoScopes,
    /// No subject, or one that is too long.
    #[error("subject: expected 1 to 100 characters")]
    Subject,
}

impl TokenRequest {
    /// Makes the claims of a token issued now.
    ///
    /// # Errors
    /// See [`TokenRefused`].
    pub fn claims(&self, issuer: &Issuer, now: OffsetDateTime, jti: String) -> Result<Claims, TokenRefused> {
        if !(1..=MAX_TOKEN_DAYS).contains(&self.expires_in_days) {
            return Err(TokenRefused::Days(self.expires_in_days));
        }
        if self.scopes.is_empty() {
            return Err(TokenRefused::NoScopes);
        }
        if !(1..=100).contains(&self.subject.chars().count()) {
            return Err(TokenRefused::Subject);
        }
        let scopes: Vec<&str> = self.scopes.iter().map(|scope| scope.as_str()).collect();
        Ok(Claims {
            iss: issuer.issuer.clone(),
            aud: issuer.audience.clone(),
            sub: self.subject.clone(),
            owner: self.owner.clone(),
            scope: scopes.join(" "),
            iat: now.unix_timestamp(),
            nbf: now.unix_timestamp(),
            exp: (now + Duration::days(self.expires_in_days.into())).unix_timestamp(),
            jti,
        })
    }
}

/// Who issues this deployment's tokens, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The `iss` claim.
    pub issuer: String,
    /// The `aud` claim.
    pub audience: String,
}

/// A public key for ES256, with the parts of its JWK (RFC 7517) in base64url.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// Names the key: its RFC 7638 thumbprint.
    pub kid: String,
    /// The point's first coordinate.
    pub x: String,
    /// The point's second coordinate.
    pub y: String,
}

/// Gives the public keys whose tokens are accepted.
#[async_trait::async_trait]
pub trait SigningKeys: Send + Sync {
    /// Loads all live keys.
    async fn load(&self) -> Result<Vec<PublicKey>, StoreFault>;
}

/// Makes public keys known to the functions that verify.
#[async_trait::async_trait]
pub trait SigningKeyPublisher: Send + Sync {
    /// Adds a key to the live ones; one that is there already stays as it is.
    async fn publish(&self, key: &PublicKey) -> Result<(), StoreFault>;
}

/// Signs with a key that never leaves its vault.
#[async_trait::async_trait]
pub trait TokenSigner: Send + Sync {
    /// Returns the public key as a DER `SubjectPublicKeyInfo`.
    async fn public_key_der(&self) -> Result<Vec<u8>, StoreFault>;

    /// Signs `message` with ECDSA P-256 and SHA-256; returns the DER signature.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, StoreFault>;
}
