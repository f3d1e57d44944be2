//! The keys that vouch for tokens: who signs, and which public keys are believed.

use serde::{Deserialize, Serialize};

use crate::store::StoreFault;

/// Who issues tokens, and for whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

/// A public key that an issuer's tokens may be signed with. Its kind fixes the algorithm, whatever a token claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerificationKey {
    /// ECDSA with P-256 and SHA-256.
    Es256(PublicKey),
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256 {
        /// Names the key.
        kid: String,
        /// The modulus, base64url.
        n: String,
        /// The exponent, base64url.
        e: String,
    },
}

impl VerificationKey {
    /// Names the key.
    pub fn kid(&self) -> &str {
        match self {
            VerificationKey::Es256(key) => &key.kid,
            VerificationKey::Rs256 { kid, .. } => kid,
        }
    }
}

/// Gives the public keys of an issuer.
#[async_trait::async_trait]
pub trait VerificationKeys: Send + Sync {
    /// Loads all live keys.
    async fn load(&self) -> Result<Vec<VerificationKey>, StoreFault>;
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
    /// Returns the public half of the key.
    async fn public_key(&self) -> Result<PublicKey, StoreFault>;

    /// Signs `message` with ECDSA P-256 and SHA-256; returns the signature's two halves (RFC 7518, 3.4).
    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], StoreFault>;
}
