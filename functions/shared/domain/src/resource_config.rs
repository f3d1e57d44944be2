//! What a resource says, by its kind: caches and rate limits, and parts of stream documents.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::duration_text::DurationText;
use crate::input::Input;
use crate::output::Output;
use crate::pipeline::Processor;
use crate::resource::{ResourceKey, ResourceKind};

/// A resource's meaning, with defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceConfig {
    /// A cache.
    Cache(Cache),
    /// A whole `input` section.
    Input(Input),
    /// A whole `output` section.
    Output(Output),
    /// One processor.
    Processor(Processor),
    /// A rate limit.
    RateLimit(RateLimit),
}

impl ResourceConfig {
    /// The kind that it belongs to.
    pub fn kind(&self) -> ResourceKind {
        match self {
            Self::Cache(_) => ResourceKind::Cache,
            Self::Input(_) => ResourceKind::Input,
            Self::Output(_) => ResourceKind::Output,
            Self::Processor(_) => ResourceKind::Processor,
            Self::RateLimit(_) => ResourceKind::RateLimit,
        }
    }

    /// The resources that it names itself: an input's rate limit, say.
    pub fn references(&self) -> BTreeSet<ResourceKey> {
        let named = match self {
            Self::Cache(_) | Self::RateLimit(_) => Vec::new(),
            Self::Input(input) => input.references(),
            Self::Output(output) => output.references(),
            Self::Processor(processor) => processor.references(),
        };
        named.into_iter().map(|reference| reference.key).collect()
    }
}

/// Remembers keys for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cache {
    /// In the table: every instance sees the same.
    Dynamodb(Expiry),
    /// In an instance's memory: fast, and forgotten with it.
    Memory(Expiry),
}

/// How long a cache remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Expiry {
    /// How long a key is remembered, such as `10m`; `5m` by default.
    #[schema(value_type = String, format = "duration", example = "10m")]
    pub ttl: DurationText,
}

impl Default for Expiry {
    fn default() -> Self {
        // Bento's.
        Self { ttl: DurationText::of_seconds(300) }
    }
}

/// A cache as it is written: exactly one of its kinds.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CacheDocument {
    /// In the table: every instance sees the same.
    pub dynamodb: Option<Expiry>,
    /// In an instance's memory: fast, and forgotten with it.
    pub memory: Option<Expiry>,
}

impl CacheDocument {
    /// The one kind that is given.
    pub fn chosen(self) -> Option<Cache> {
        match (self.dynamodb, self.memory) {
            (Some(expiry), None) => Some(Cache::Dynamodb(expiry)),
            (None, Some(expiry)) => Some(Cache::Memory(expiry)),
            _ => None,
        }
    }
}

/// Limits how much is taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateLimit {
    /// Counted by every instance for itself.
    Local(LocalRateLimit),
}

/// So many events in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LocalRateLimit {
    /// Events within one interval, 1 to 1,000,000,000; 1,000 by default.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub count: u32,
    /// The interval, such as `1s` or `10m`; `1s` by default.
    #[schema(value_type = String, format = "duration", example = "1s")]
    pub interval: DurationText,
}

impl Default for LocalRateLimit {
    fn default() -> Self {
        // Bento's.
        Self { count: 1_000, interval: DurationText::of_seconds(1) }
    }
}

/// A rate limit as it is written: exactly one of its kinds.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitDocument {
    /// Counted by every instance for itself.
    pub local: Option<LocalRateLimit>,
}

impl RateLimitDocument {
    /// The one kind that is given.
    pub fn chosen(self) -> Option<RateLimit> {
        self.local.map(RateLimit::Local)
    }
}
