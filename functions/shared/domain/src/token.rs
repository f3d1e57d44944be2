//! Tokens: what stands in them, and how they are made.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::access::Scope;
use crate::ids::{ApiKeyId, Owner, StreamPattern};
use crate::record::rfc3339_text;
use crate::signing::{Issuer, SigningKeyPublisher, TokenSigner};
use crate::store::StoreFault;
use crate::system::System;

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
    /// The streams that it is limited to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<Vec<StreamPattern>>,
    /// The API key that it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyClaim>,
    /// Issued at, in seconds since 1970.
    pub iat: i64,
    /// Not valid before, in seconds since 1970.
    pub nbf: i64,
    /// Not valid from this time on, in seconds since 1970.
    pub exp: i64,
    /// Names the token.
    pub jti: String,
}

/// Which API key a token was made with, and in which generation of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyClaim {
    /// The API key.
    pub id: ApiKeyId,
    /// How often the key had been rotated.
    pub generation: u32,
}

/// How long a token is valid, in whole days: 1 to 365.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct TokenDays(u32);

/// Too short or too long a life.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {MAX_TOKEN_DAYS}, got {0}")]
pub struct BadTokenDays(i64);

impl TryFrom<i64> for TokenDays {
    type Error = BadTokenDays;

    fn try_from(days: i64) -> Result<Self, BadTokenDays> {
        let in_range = u32::try_from(days).ok().filter(|days| (1..=MAX_TOKEN_DAYS).contains(days));
        in_range.map(Self).ok_or(BadTokenDays(days))
    }
}

impl From<TokenDays> for i64 {
    fn from(days: TokenDays) -> Self {
        days.0.into()
    }
}

/// What a token lets its bearer do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The tenant that the token speaks for.
    pub owner: Owner,
    /// Who it is for; stands in `updated_by`.
    pub subject: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The streams that it is limited to, if it is.
    pub streams: Option<Vec<StreamPattern>>,
    /// The API key that it is made with, if it is.
    pub key: Option<KeyClaim>,
}

impl Grant {
    /// Makes the claims of a token issued now.
    pub fn claims(&self, issuer: &Issuer, days: TokenDays, now: OffsetDateTime, jti: String) -> Claims {
        let scopes: Vec<&str> = self.scopes.iter().map(|scope| scope.as_str()).collect();
        Claims {
            iss: issuer.issuer.clone(),
            aud: issuer.audience.clone(),
            sub: self.subject.clone(),
            owner: self.owner.clone(),
            scope: scopes.join(" "),
            streams: self.streams.clone(),
            key: self.key.clone(),
            iat: now.unix_timestamp(),
            nbf: now.unix_timestamp(),
            exp: (now + Duration::days(i64::from(days))).unix_timestamp(),
            jti,
        }
    }
}

/// Text that is shown once and never logged.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A token, shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IssuedToken {
    /// The token.
    pub token: Secret,
    /// When it ends (RFC 3339).
    pub expires_at: String,
    /// Names the token in logs.
    #[serde(skip)]
    pub id: String,
}

/// Makes tokens and keeps none.
pub struct TokenIssuer {
    /// Signs.
    pub signer: Arc<dyn TokenSigner>,
    /// Makes the public key known.
    pub keys: Arc<dyn SigningKeyPublisher>,
    /// What stands in every token.
    pub issuer: Issuer,
    /// Clock and chance.
    pub system: Arc<dyn System>,
}

impl TokenIssuer {
    /// Issues a token. Its key is published before anybody holds it.
    ///
    /// # Errors
    /// A signer or a store that fails.
    pub async fn issue(&self, grant: &Grant, days: TokenDays) -> Result<IssuedToken, StoreFault> {
        let id = format!("{:016x}{:016x}", self.system.random(), self.system.random());
        let claims = grant.claims(&self.issuer, days, self.system.now(), id);
        let key = self.signer.public_key().await?;
        self.keys.publish(&key).await?;
        let header = base64url(json!({"alg": "ES256", "kid": key.kid, "typ": "JWT"}).to_string().as_bytes());
        let body = base64url(json!(claims).to_string().as_bytes());
        let message = format!("{header}.{body}");
        let signature = self.signer.sign(message.as_bytes()).await?;
        let expires_at = OffsetDateTime::from_unix_timestamp(claims.exp).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Ok(IssuedToken {
            token: Secret(format!("{message}.{}", base64url(&signature))),
            expires_at: rfc3339_text(expires_at),
            id: claims.jti,
        })
    }
}

/// Encodes without padding, as JWTs do (RFC 7515, 2).
fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
