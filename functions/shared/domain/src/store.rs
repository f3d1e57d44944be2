//! The stored state, as ports: each function takes only the ones that it needs, and its IAM policy mirrors them.

use crate::access::Reach;
use crate::ids::{IngestId, Owner, StreamId, Version};
use crate::process::Route;
use crate::record::{Part, StreamRecord};

/// The store did not answer as it should.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreFault {
    /// What was tried.
    pub message: String,
    /// Why it failed.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StoreFault {
    /// A fault with no cause behind it.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// The fault with every cause behind it, for a log.
    pub fn chain(&self) -> String {
        let mut chain = self.message.clone();
        let mut source = std::error::Error::source(self);
        while let Some(inner) = source {
            chain = format!("{chain}: {inner}");
            source = inner.source();
        }
        chain
    }
}

/// Why a stream was not stored.
#[derive(Debug, thiserror::Error)]
pub enum WriteFault {
    /// Somebody else wrote in between (or holds the id): nothing was written.
    #[error("another writer was first")]
    Conflict,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Finds streams for a caller. There is no look-up without a [`Reach`].
#[async_trait::async_trait]
pub trait StreamReader: Send + Sync {
    /// Loads a stream within reach; without a version the newest one. A foreign stream is `None`, exactly like a missing one.
    async fn load(&self, reach: &Reach, id: &StreamId, version: Option<&Version>) -> Result<Option<StreamRecord>, StoreFault>;
}

/// Finds streams for a sender of events, who may name less than a version, or use a name of its own.
#[async_trait::async_trait]
pub trait IngestReader: StreamReader {
    /// Loads the version of a stream that takes events when a sender names none: the newest one that works, or else the newest.
    async fn load_for_ingest(&self, reach: &Reach, id: &StreamId) -> Result<Option<StreamRecord>, StoreFault>;

    /// Loads the stream that has this name for ingest.
    async fn load_by_ingest_id(&self, reach: &Reach, id: &IngestId) -> Result<Option<StreamRecord>, StoreFault>;
}

/// Chooses the newest version.
pub fn newest(versions: Vec<StreamRecord>) -> Option<StreamRecord> {
    versions.into_iter().max_by(|one, other| one.key.version.cmp(&other.key.version))
}

/// Chooses the newest version that works, or else the newest: a version that is coming or going must not stop the one that works.
pub fn newest_working(versions: Vec<StreamRecord>) -> Option<StreamRecord> {
    let rank = |record: &StreamRecord| (record.stack.status.is_working(), record.key.version.clone());
    versions.into_iter().max_by_key(rank)
}

/// Keeps streams. Every write is conditional on the revision that was read.
#[async_trait::async_trait]
pub trait StreamStore: StreamReader {
    /// Lists an owner's streams.
    async fn list(&self, owner: &Owner) -> Result<Vec<StreamRecord>, StoreFault>;

    /// Stores a new stream, and its config in the history. The first owner of an id keeps it for ever.
    ///
    /// # Errors
    /// [`WriteFault::Conflict`] when the stream exists, its id belongs to another owner, or its config's number is taken.
    async fn create(&self, record: &StreamRecord) -> Result<(), WriteFault>;
}

/// Changes a stream's record: what a caller's change and CloudFormation's news have in common.
#[async_trait::async_trait]
pub trait StreamWriter: Send + Sync {
    /// Stores `after` in place of `before`, which must still be what is stored. A config that is new in it goes to the history as well.
    ///
    /// # Errors
    /// [`WriteFault::Conflict`] when it is not.
    async fn replace(&self, before: &StreamRecord, after: &StreamRecord) -> Result<(), WriteFault>;

    /// Removes a stream's record, which must still be what is stored. Its id stays with its owner, and its configs in the history.
    ///
    /// # Errors
    /// [`WriteFault::Conflict`] when it is not.
    async fn remove(&self, record: &StreamRecord) -> Result<(), WriteFault>;
}

/// Finds what a stack belongs to: the system's own look-up, for news from CloudFormation.
#[async_trait::async_trait]
pub trait StackIndex: Send + Sync {
    /// Finds the stream, and the part of it, that the stack of this name was made for.
    async fn find_by_stack(&self, stack_name: &str) -> Result<Option<(StreamRecord, Part)>, StoreFault>;
}

/// Finds where a raw stream's records go: the system's own look-up, for batches from Kinesis.
#[async_trait::async_trait]
pub trait Routes: Send + Sync {
    /// Finds the route of a raw Kinesis stream by its name.
    async fn route(&self, raw_stream: &str) -> Result<Option<Route>, StoreFault>;
}

/// Knows which streams have a failed part: the system's own look-up, for readiness.
#[async_trait::async_trait]
pub trait FaultyStreams: Send + Sync {
    /// Lists the streams, of any owner, with a failed part (at most 1,000).
    async fn faulty(&self) -> Result<Vec<StreamRecord>, StoreFault>;
}
