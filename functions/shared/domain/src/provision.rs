//! Making and unmaking streams and sinks: record first, then stack, and whatever is left half-done heals on the next read.

mod asking;
mod pacer;
mod reconcile;
#[cfg(test)]
mod sink_tests;
#[cfg(test)]
mod update_tests;
mod updates;

use time::OffsetDateTime;

use crate::access::Caller;
use crate::config::{ConfigHistory, ConfigPage, FixedField};
use crate::declaration::Declaration;
use crate::ids::{IngestId, Owner, ResourceId, StreamKey};
use crate::lifecycle::{StackNews, StackState, Status};
use crate::record::{Part, SinkKind, StreamRecord, StreamResources};
use crate::stack_request::{Deployment, StackRequest};
use crate::store::{StoreFault, StreamStore, StreamWriter, WriteFault};
use crate::system::System;

pub use pacer::Pacer;
pub use reconcile::apply_effect;

/// CloudFormation did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProvisionFault {
    /// It may work later: throttled, unavailable, timed out.
    #[error("cloudformation did not answer: {0}")]
    Transient(String),
    /// It will not work: the text says why.
    #[error("{0}")]
    Refused(String),
}

/// What became of the wish to update a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updated {
    /// The update runs.
    Started,
    /// The stack is as it should be.
    NothingToDo,
}

/// Runs stacks.
#[async_trait::async_trait]
pub trait StackProvisioner: Send + Sync {
    /// Asks for a stack and returns its id. Asking again for the same one returns the same id.
    async fn create(&self, request: &StackRequest) -> Result<String, ProvisionFault>;

    /// Asks for an update of a stack, by id or name. Asking again with the same token starts no second one.
    async fn update(&self, request: &StackRequest, stack: &str) -> Result<Updated, ProvisionFault>;

    /// Asks for a stack's deletion, by id or name. A stack that is not there counts as deleted.
    async fn delete(&self, stack: &str) -> Result<(), ProvisionFault>;

    /// Asks how a stack is, by id or name. Of a stack that was updated, it says by which request.
    async fn describe(&self, stack: &str) -> Result<Option<StackNews>, ProvisionFault>;
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeFault {
    /// Exists already, or its id belongs to someone else.
    #[error("stream {0} already exists")]
    Exists(StreamKey),
    /// The whole output is a resource, which others may share.
    #[error("the stream's output is the resource {0}: change that, or give the stream an output of its own")]
    SharedOutput(ResourceId),
    /// The sink exists already, and has failed: it cannot change.
    #[error("sink {0} is OPERATION_FAILED: disable it first")]
    SinkFailed(SinkKind),
    /// The sink exists already.
    #[error("sink {0} already exists")]
    SinkExists(SinkKind),
    /// There is no such sink.
    #[error("sink {0} does not exist")]
    NoSuchSink(SinkKind),
    /// The stream's sinks must go first.
    #[error("the stream has active features: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    HasSinks(Vec<SinkKind>),
    /// A stack operation runs.
    #[error("{part} is {}", .status.as_str())]
    Busy {
        /// What is busy.
        part: Part,
        /// With what.
        status: Status,
    },
    /// The stream does not work (yet).
    #[error("the stream is {}; expected ACTIVE", .0.as_str())]
    NotActive(Status),
    /// An update failed, and so did its rollback. Only an operator can continue that.
    #[error(
        "the stream is OPERATION_FAILED: an update failed and could not be undone; delete it, or let an operator continue the rollback of stack {0}"
    )]
    Stuck(String),
    /// There is nothing to pause or resume.
    #[error("the stream has no pipeline")]
    NoPipeline,
    /// A field cannot change in place.
    #[error(transparent)]
    Fixed(#[from] FixedField),
    /// CloudFormation does not even start with the update; its words.
    #[error("the stream's stack cannot be updated: {0}")]
    UpdateRefused(String),
    /// Another change came first.
    #[error("another change was made at the same time")]
    Conflict,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl From<WriteFault> for ChangeFault {
    fn from(fault: WriteFault) -> Self {
        match fault {
            WriteFault::Conflict => ChangeFault::Conflict,
            WriteFault::Store(fault) => ChangeFault::Store(fault),
        }
    }
}

/// A store that keeps and changes streams, and remembers their configs.
pub trait Streams: StreamStore + StreamWriter + ConfigHistory {}
impl<S: StreamStore + StreamWriter + ConfigHistory> Streams for S {}

/// Makes and unmakes streams and sinks.
pub struct Provisioning<'p> {
    /// Where records are kept.
    pub store: &'p dyn Streams,
    /// Runs stacks.
    pub stacks: &'p dyn StackProvisioner,
    /// Clock and chance.
    pub system: &'p dyn System,
    /// What stacks are given.
    pub deployment: &'p Deployment,
    /// Keeps reads from asking about one stack too often.
    pub pacer: &'p Pacer,
}

impl Provisioning<'_> {
    /// Makes a stream. A stack that is refused leaves a failed stream behind, with the reason.
    pub async fn create_stream(
        &self,
        caller: &Caller,
        owner: Owner,
        key: StreamKey,
        declared: Declaration,
    ) -> Result<StreamRecord, ChangeFault> {
        let Declaration { posted, document } = declared;
        let now = self.system.now();
        let confidentiality = document.access_rights.confidentiality();
        let naming = &self.deployment.naming;
        let resources = StreamResources {
            raw_stream: document.buffer.raw.then(|| naming.raw_stream(&key, confidentiality)),
            processed_stream: naming.processed_stream(&key, confidentiality),
            dead_letter_stream: naming.delivery_stream("dead-letters", &key),
            shards: document.buffer.kinesis.shards.unwrap_or(self.deployment.default_shards),
            retention_hours: document.buffer.kinesis.retention_hours.unwrap_or(self.deployment.default_retention_hours),
            is_paused: false,
        };
        let stack_name = naming.stack("stream", &key, self.system.random());
        // An earlier stream of this name can have had configs.
        let newest = self.store.list_configs(&owner, &key, ConfigPage { before: None, limit: 1 }).await?;
        let config_version = newest.first().map_or(1, |config| config.number + 1);
        let mut record = StreamRecord {
            key,
            owner,
            ingest_id: IngestId::from_random(self.system.random()),
            posted,
            document,
            resources,
            config_version,
            last_config_version: config_version,
            pending: None,
            stack: StackState::creating(stack_name, now),
            sinks: Default::default(),
            created_at: now,
            created_by: caller.subject.clone(),
            updated_at: now,
            updated_by: caller.subject.clone(),
            // Starts where no earlier stream of the same name has been: a writer that read that one cannot meet this one by chance.
            revision: u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(1),
        };
        // They are asked for when the stream works.
        for (kind, change) in self.sink_changes(&record, &record.document)? {
            record.change_sink(kind, change, now, &caller.subject);
        }
        match self.store.create(&record).await {
            Ok(()) => {}
            Err(WriteFault::Conflict) => return Err(ChangeFault::Exists(record.key)),
            Err(WriteFault::Store(fault)) => return Err(fault.into()),
        }
        self.ask_for_stack(record, Part::Stream).await
    }

    /// Deletes a stream, and with `cascade` its sinks before it. The data that they wrote stays.
    ///
    /// # Errors
    /// It has sinks and is not to take them with it, something of it is changing, or another change came first.
    pub async fn delete_stream(&self, caller: &Caller, record: StreamRecord, cascade: bool) -> Result<StreamRecord, ChangeFault> {
        if !record.sinks.is_empty() && !cascade {
            return Err(ChangeFault::HasSinks(record.sinks.keys().copied().collect()));
        }
        check_quiet(&record)?;
        let now = self.system.now();
        let changed = self.change(&record, |after| {
            after.stack.start_delete(now);
            after.sinks.values_mut().for_each(|sink| sink.stack.start_delete(now));
            touch(after, caller, now);
        });
        let mut current = changed.await?;
        let parts: Vec<Part> =
            current.parts().map(|(part, _)| part).filter(|part| record.sinks.is_empty() == (*part == Part::Stream)).collect();
        for part in parts {
            current = self.tell_stack_to_go(current, part).await?;
        }
        Ok(current)
    }
}

/// Checks that nothing of the stream is changing.
///
/// # Errors
/// [`ChangeFault::Busy`], with the first part that is.
pub fn check_quiet(record: &StreamRecord) -> Result<(), ChangeFault> {
    match record.parts().find(|(_, stack)| stack.status.is_in_progress()) {
        Some((part, stack)) => Err(ChangeFault::Busy { part, status: stack.status }),
        None => Ok(()),
    }
}

fn touch(record: &mut StreamRecord, caller: &Caller, now: OffsetDateTime) {
    record.updated_at = now;
    record.updated_by = caller.subject.clone();
}

#[cfg(test)]
#[path = "provision_tests.rs"]
mod tests;
