//! API keys: what an application is given instead of a password. Tokens are made with a key, and die with it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::access::{Reach, Scope};
use crate::ids::{ApiKeyId, Owner, StreamPattern};
use crate::record::rfc3339;
use crate::store::{StoreFault, WriteFault};
use crate::token::{Grant, KeyClaim};

/// How long tokens of before a rotation stay valid when nobody says.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest that tokens of before a rotation can stay valid.
pub const MAX_GRACE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How many generations of a key may be in their grace at once.
pub const MAX_RETIRING: usize = 20;

/// An API key as it is kept. There is no secret in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Names it.
    pub id: ApiKeyId,
    /// Whose it is, and whom its tokens speak for.
    pub owner: Owner,
    /// For people.
    pub name: String,
    /// What its tokens allow. Never `admin`.
    pub scopes: Vec<Scope>,
    /// The streams that its tokens are limited to, if they are.
    pub streams: Option<Vec<StreamPattern>>,
    /// How often it was rotated.
    pub generation: u32,
    /// Until when the tokens of earlier generations are still valid.
    pub retiring: BTreeMap<u32, Until>,
    /// When it was made.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// Who made it.
    pub created_by: String,
    /// When it was made or last rotated.
    #[serde(with = "rfc3339")]
    pub updated_at: OffsetDateTime,
    /// Who did that.
    pub updated_by: String,
    /// Counts the writes; each is conditional on the one that was read.
    pub revision: u64,
}

/// A time at which something ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Until(#[serde(with = "rfc3339")] pub OffsetDateTime);

/// A key was rotated too often in too short a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_RETIRING} earlier generations of the key are still in their grace; wait, or delete the key and make another")]
pub struct TooManyRotations;

impl ApiKey {
    /// What a token made with the key now lets its bearer do.
    pub fn grant(&self) -> Grant {
        Grant {
            owner: self.owner.clone(),
            subject: self.id.to_string(),
            scopes: self.scopes.clone(),
            streams: self.streams.clone(),
            key: Some(KeyClaim { id: self.id.clone(), generation: self.generation }),
        }
    }

    /// Returns whether tokens of this generation are still good.
    pub fn accepts(&self, generation: u32, now: OffsetDateTime) -> bool {
        generation == self.generation || self.retiring.get(&generation).is_some_and(|until| now < until.0)
    }

    /// The key after a rotation: all of its tokens so far end after `grace` at the latest, those of an earlier rotation's grace too.
    ///
    /// # Errors
    /// [`TooManyRotations`] when too many generations are in their grace.
    pub fn rotated(&self, grace: Duration, now: OffsetDateTime, by: &str) -> Result<Self, TooManyRotations> {
        let mut rotated = self.clone();
        let end = now + grace;
        rotated.retiring.insert(self.generation, Until(end));
        rotated.retiring.values_mut().for_each(|until| until.0 = until.0.min(end));
        rotated.retiring.retain(|_, until| now < until.0);
        if rotated.retiring.len() > MAX_RETIRING {
            return Err(TooManyRotations);
        }
        rotated.generation += 1;
        rotated.updated_at = now;
        rotated.updated_by = by.to_owned();
        rotated.revision += 1;
        Ok(rotated)
    }
}

/// Finds API keys. There is no look-up without a [`Reach`].
#[async_trait::async_trait]
pub trait ApiKeyReader: Send + Sync {
    /// Loads a key within reach. A foreign key is `None`, exactly like a missing one.
    async fn load_key(&self, reach: &Reach, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreFault>;
}

/// Keeps API keys. Every write is conditional on the revision that was read.
#[async_trait::async_trait]
pub trait ApiKeyStore: ApiKeyReader {
    /// Lists an owner's keys.
    async fn list_keys(&self, owner: &Owner) -> Result<Vec<ApiKey>, StoreFault>;

    /// Stores a new key.
    ///
    /// # Errors
    /// [`WriteFault::Conflict`] when its id is taken.
    async fn create_key(&self, key: &ApiKey) -> Result<(), WriteFault>;

    /// Stores `after` in place of `before`, which must still be what is stored.
    ///
    /// # Errors
    /// [`WriteFault::Conflict`] when it is not.
    async fn replace_key(&self, before: &ApiKey, after: &ApiKey) -> Result<(), WriteFault>;

    /// Removes a key, whatever its revision: a key that shall go must go.
    async fn remove_key(&self, key: &ApiKey) -> Result<(), StoreFault>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::api_key;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    #[test]
    fn tokens_of_before_a_rotation_live_for_the_grace_and_no_longer() {
        let key = api_key("waste", &[Scope::Ingest]);
        assert!(key.accepts(0, NOW) && !key.accepts(1, NOW));
        let rotated = key.rotated(Duration::from_secs(60), NOW, "kari").unwrap();
        assert!(rotated.accepts(1, NOW));
        assert!(rotated.accepts(0, NOW + Duration::from_secs(59)));
        assert!(!rotated.accepts(0, NOW + Duration::from_secs(60)));
        assert_eq!((rotated.revision, rotated.updated_by.as_str()), (key.revision + 1, "kari"));
    }

    #[test]
    fn a_rotation_without_grace_ends_old_tokens_at_once() {
        let rotated = api_key("waste", &[Scope::Ingest]).rotated(Duration::ZERO, NOW, "kari").unwrap();
        assert!(!rotated.accepts(0, NOW));
    }

    #[test]
    fn a_second_rotation_can_shorten_the_first_grace_but_not_lengthen_it() {
        let minute = Duration::from_secs(60);
        let once = api_key("waste", &[Scope::Ingest]).rotated(minute, NOW, "kari").unwrap();
        let longer = once.rotated(10 * minute, NOW, "kari").unwrap();
        assert!(!longer.accepts(0, NOW + minute) && longer.accepts(1, NOW + minute));
        let ended = longer.rotated(Duration::ZERO, NOW, "kari").unwrap();
        assert!(!ended.accepts(0, NOW) && !ended.accepts(1, NOW) && !ended.accepts(2, NOW) && ended.accepts(3, NOW));
        assert!(ended.retiring.is_empty());
    }

    #[test]
    fn rotations_pile_up_only_so_far() {
        let mut key = api_key("waste", &[Scope::Ingest]);
        for _ in 0..MAX_RETIRING {
            key = key.rotated(DEFAULT_GRACE, NOW, "kari").unwrap();
        }
        assert_eq!(key.rotated(DEFAULT_GRACE, NOW, "kari"), Err(TooManyRotations));
        let later = key.rotated(DEFAULT_GRACE, NOW + DEFAULT_GRACE, "kari").unwrap();
        assert_eq!(later.retiring.len(), 1, "what has ended is forgotten");
    }
}
