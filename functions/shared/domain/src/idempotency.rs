//! Requests that are sent again: under one key the first answer is given once more, and nothing is done twice.
//!
//! A request claims its key before it does anything, and keeps its answer under it behind that. Whoever comes with the same key meets the
//! claim or the answer, and a fingerprint of what was asked, so that a key that is used for two requests is found out.

use std::fmt;
use std::time::Duration;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::ids::{IngestId, Owner, StreamKey};
use crate::store::StoreFault;

/// How long an answer is kept.
pub const ANSWER_KEPT_FOR: Duration = Duration::from_secs(24 * 3_600);

/// Characters of a client's key. Ours.
const MAX_KEY_LENGTH: usize = 255;

/// A header that holds no key: says what was expected and what was got.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {max} visible ASCII characters, no backslash, bare or in double quotes, got {got:?}", max = MAX_KEY_LENGTH)]
pub struct InvalidKey {
    got: String,
}

/// Reads the client's key from its header: a string of structured fields (RFC 9651) without escapes, or the same without its quotes.
///
/// `"abc"` and `abc` are one key. Blanks around it do not count.
pub fn parse_key(header: &str) -> Result<&str, InvalidKey> {
    let value = header.trim_matches([' ', '\t']);
    let key = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let all_allowed = key.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    if all_allowed && (1..=MAX_KEY_LENGTH).contains(&key.len()) {
        return Ok(key);
    }
    // What a caller sent is echoed cut, so that an error never outgrows its cause.
    Err(InvalidKey { got: header.chars().take(100).collect() })
}

/// What a client names a request by, among those of one owner to one stream: a digest, so that its size does not depend on the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdempotencyKey([u8; 32]);

impl IdempotencyKey {
    /// The key that a client wrote like this. Owners share no keys, and neither do streams, nor a stream and one that was made anew under its
    /// id: that one has another name for ingest.
    pub fn new(owner: &Owner, stream: &StreamKey, made: &IngestId, text: &str) -> Self {
        let parts = [owner.as_str(), stream.id.as_str(), stream.version.as_str(), made.as_str(), text];
        Self(digest(&parts.map(str::as_bytes)))
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Tells one request from another: a digest of what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a request of these parts. Where one part ends and the next begins counts.
    pub fn of(parts: &[&[u8]]) -> Self {
        Self(digest(parts))
    }

    /// A fingerprint that was stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The fingerprint as it is stored.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A digest of parts, each behind its length, so that none can be taken for another's end.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// An answer as it is given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The media type of the body.
    pub content_type: String,
    /// After how many seconds the client was asked to try again, if it was.
    pub retry_after: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
}

/// How a key is claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Drawn by the request that claims: what it has claimed it finds again, for its first try may have been written unheard.
    pub token: String,
    /// When the claim runs out.
    pub until: OffsetDateTime,
}

/// What a request is told that claims a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The key is the request's: nobody has it, or nobody any more.
    Mine,
    /// The same request was answered before.
    Answered(KeptAnswer),
    /// The same request is being worked on.
    InFlight,
    /// Another request has the key.
    OtherBody,
}

/// What is kept under a key. Once it has run out, anybody may take the key over, with any request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptKey {
    /// Of the request that has the key.
    pub fingerprint: Fingerprint,
    /// The token of its claim.
    pub token: String,
    /// When the claim, or the answer, runs out.
    pub until: OffsetDateTime,
    /// The answer, once there is one.
    pub answer: Option<KeptAnswer>,
}

impl KeptKey {
    /// What a request is told that meets this before it has run out.
    pub fn met_by(self, fingerprint: &Fingerprint, claim: &Claim) -> Claimed {
        if self.fingerprint != *fingerprint {
            return Claimed::OtherBody;
        }
        match self.answer {
            Some(answer) => Claimed::Answered(answer),
            None if self.token == claim.token => Claimed::Mine,
            None => Claimed::InFlight,
        }
    }
}

/// Sees to it that a request that is sent again is done once.
#[async_trait::async_trait]
pub trait IdempotencyKeys: Send + Sync {
    /// Claims a key for a request, unless another one has it, or the same one had it before. What has run out by now does not count.
    async fn claim(
        &self,
        key: &IdempotencyKey,
        fingerprint: &Fingerprint,
        claim: &Claim,
        now: OffsetDateTime,
    ) -> Result<Claimed, StoreFault>;

    /// Keeps the answer to the request that has the claim, until a time. Does nothing when somebody else has the key by now.
    async fn keep(&self, key: &IdempotencyKey, claim: &Claim, answer: &KeptAnswer, until: OffsetDateTime) -> Result<(), StoreFault>;

    /// Gives a claim up, so that the key is free again. Does nothing when somebody else has the key by now, or an answer is kept under it.
    async fn release(&self, key: &IdempotencyKey, claim: &Claim) -> Result<(), StoreFault>;
}

#[cfg(test)]
#[path = "idempotency_tests.rs"]
mod tests;
