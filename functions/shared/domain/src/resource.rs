//! Resources: parts that an owner's streams share by name. A change of one reaches the streams that use it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::access::Caller;
use crate::document::StreamDocument;
use crate::ids::{Owner, ResourceId, StreamKey};
use crate::pipeline::Processor;
use crate::process::Route;
use crate::record::{StreamRecord, rfc3339};
use crate::resource_config::ResourceConfig;
use crate::resource_declaration::ResourceDeclaration;
use crate::store::{StoreFault, WriteFault};

/// Resources that one config can name.
///
/// Ours: each is an item in the transaction that stores the config, and a transaction takes 100
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>).
pub const MAX_REFERENCES: usize = 40;

/// Streams and other resources that can name one resource. Ours: their names lie in the resource's item, beside its config.
pub const MAX_USERS: usize = 1_000;

/// A kind of resource, as it stands in a path: Bento's five component types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// Remembers keys, for `dedupe`.
    Cache,
    /// A whole `input` section.
    Input,
    /// A whole `output` section.
    Output,
    /// One processor.
    Processor,
    /// Limits what is taken in.
    RateLimit,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Cache, Self::Input, Self::Output, Self::Processor, Self::RateLimit];

    /// The kind as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Input => "input",
            Self::Output => "output",
            Self::Processor => "processor",
            Self::RateLimit => "rate_limit",
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no kind of resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a resource type of: cache, input, output, processor, rate_limit; got {0:?}")]
pub struct UnknownResourceKind(String);

impl FromStr for ResourceKind {
    type Err = UnknownResourceKind;

    fn from_str(text: &str) -> Result<Self, UnknownResourceKind> {
        let unknown = || UnknownResourceKind(text.chars().take(100).collect());
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(unknown)
    }
}

/// Names a resource of an owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceKey {
    /// What it is.
    pub kind: ResourceKind,
    /// Which one.
    pub id: ResourceId,
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

/// A resource as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Whose it is.
    pub owner: Owner,
    /// Its kind and id.
    pub key: ResourceKey,
    /// What was declared, as it was posted.
    pub posted: Value,
    /// What that means, with defaults.
    pub config: ResourceConfig,
    /// Who names it. Kept beside the rest, since users come and go without a change of the resource.
    #[serde(skip)]
    pub used_by: BTreeSet<ResourceUser>,
    /// When it was made.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// Who made it.
    pub created_by: String,
    /// When it was last changed.
    #[serde(with = "rfc3339")]
    pub updated_at: OffsetDateTime,
    /// Who changed it last.
    pub updated_by: String,
    /// Counts the writes; each is conditional on the one that was read.
    pub revision: u64,
}

impl Resource {
    /// A new resource, which nobody names yet.
    pub fn new(owner: Owner, key: ResourceKey, declared: ResourceDeclaration, caller: &Caller, now: OffsetDateTime) -> Self {
        let ResourceDeclaration { posted, config } = declared;
        Self {
            owner,
            key,
            posted,
            config,
            used_by: BTreeSet::new(),
            created_at: now,
            created_by: caller.subject.clone(),
            updated_at: now,
            updated_by: caller.subject.clone(),
            // Starts where no earlier resource of the same name has been: a writer that read that one cannot meet this one by chance.
            revision: u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(1),
        }
    }

    /// The resource after a change.
    #[must_use]
    pub fn changed(&self, declared: ResourceDeclaration, caller: &Caller, now: OffsetDateTime) -> Self {
        let ResourceDeclaration { posted, config } = declared;
        let (updated_by, revision) = (caller.subject.clone(), self.revision + 1);
        Self { posted, config, updated_at: now, updated_by, revision, ..self.clone() }
    }

    /// Returns whether this is what is declared already.
    pub fn says(&self, declared: &ResourceDeclaration) -> bool {
        self.posted == declared.posted && self.config == declared.config
    }
}

/// Somebody who names a resource, of the same owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceUser {
    /// A stream.
    Stream(StreamKey),
    /// Another resource.
    Resource(ResourceKey),
}

impl fmt::Display for ResourceUser {
    /// The user's path in the API.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(key) => write!(f, "/streams/{key}"),
            Self::Resource(key) => write!(f, "/resources/{}/{}", key.kind, key.id),
        }
    }
}

impl StreamRecord {
    /// The resources that the stream needs: those of the config that runs, and of the one that will.
    pub fn references(&self) -> BTreeSet<ResourceKey> {
        let pending = self.pending.iter().map(|pending| &pending.document);
        std::iter::once(&self.document).chain(pending).flat_map(StreamDocument::references).map(|reference| reference.key).collect()
    }
}

/// Finds a resource: what a document names, for whoever works by that document.
#[async_trait::async_trait]
pub trait ResourceReader: Send + Sync {
    /// Loads one of an owner's resources.
    async fn load_resource(&self, owner: &Owner, key: &ResourceKey) -> Result<Option<Resource>, StoreFault>;
}

/// Loads the resources that a pipeline names, and those that its shared processors name.
///
/// # Errors
/// The store failed. A resource that is not there is left out.
pub async fn resources_of(reader: &dyn ResourceReader, route: &Route) -> Result<BTreeMap<ResourceKey, ResourceConfig>, StoreFault> {
    let mut found = BTreeMap::new();
    let Some(owner) = &route.owner else { return Ok(found) };
    let mut named: Vec<ResourceKey> = route.processors.iter().flat_map(Processor::references).map(|reference| reference.key).collect();
    while let Some(key) = named.pop() {
        if found.contains_key(&key) {
            continue;
        }
        if let Some(resource) = reader.load_resource(owner, &key).await? {
            named.extend(resource.config.references());
            found.insert(key, resource.config);
        }
    }
    Ok(found)
}

/// Keeps resources. Every write is conditional on the revision that was read.
///
/// A resource knows its users: what stores a stream (or a resource) that names it writes that down in the same transaction, which fails
/// when the resource is not there. So one condition on one item is enough to remove only what nobody names, whoever races.
#[async_trait::async_trait]
pub trait ResourceStore: ResourceReader {
    /// Lists an owner's resources.
    async fn list_resources(&self, owner: &Owner) -> Result<Vec<Resource>, StoreFault>;

    /// Stores a new resource.
    ///
    /// # Errors
    /// [`WriteFault::Conflict`] when it exists, or names one that does not.
    async fn create_resource(&self, resource: &Resource) -> Result<(), WriteFault>;

    /// Stores `after` in place of `before`, which must still be what is stored. Its users stay.
    ///
    /// # Errors
    /// [`WriteFault::Conflict`] when it is not, or `after` names a resource that does not exist.
    async fn replace_resource(&self, before: &Resource, after: &Resource) -> Result<(), WriteFault>;

    /// Removes a resource that nobody names, and that must still be what is stored.
    ///
    /// # Errors
    /// [`WriteFault::Conflict`] when it is not, or somebody names it.
    async fn remove_resource(&self, resource: &Resource) -> Result<(), WriteFault>;
}
