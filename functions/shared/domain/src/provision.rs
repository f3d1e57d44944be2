//! Making and unmaking streams and sinks: record first, then stack, and whatever is left half-done heals on the next read.

mod pacer;
#[cfg(test)]
mod update_tests;
mod updates;

use time::OffsetDateTime;

use crate::access::Caller;
use crate::config::{ConfigHistory, ConfigPage, FixedField};
use crate::declaration::Declaration;
use crate::ids::{IngestId, Owner, StreamKey};
use crate::lifecycle::{Effect, Reconciled, StackNews, StackState, Status};
use crate::limits::RECONCILE_AFTER;
use crate::output::S3Settings;
use crate::record::{Part, SinkKind, SinkRecord, StreamRecord, StreamResources};
use crate::stack_request::{Deployment, StackRequest};
use crate::store::{StoreFault, StreamStore, StreamWriter, WriteFault};
use crate::system::System;

pub use pacer::Pacer;

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
            raw_stream: naming.raw_stream(&key, confidentiality),
            processed_stream: naming.processed_stream(&key, confidentiality),
            dead_letter_stream: naming.delivery_stream("dead-letters", &key),
            shards: document.buffer.kinesis.shards.unwrap_or(self.deployment.default_shards),
            retention_hours: document.buffer.kinesis.retention_hours.unwrap_or(self.deployment.default_retention_hours),
        };
        let stack_name = naming.stack("stream", &key, self.system.random());
        // An earlier stream of this name can have had configs.
        let newest = self.store.list_configs(&owner, &key, ConfigPage { before: None, limit: 1 }).await?;
        let config_version = newest.first().map_or(1, |config| config.number + 1);
        let record = StreamRecord {
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
        match self.store.create(&record).await {
            Ok(()) => {}
            Err(WriteFault::Conflict) => return Err(ChangeFault::Exists(record.key)),
            Err(WriteFault::Store(fault)) => return Err(fault.into()),
        }
        self.ask_for_stack(record, Part::Stream).await
    }

    /// Enables a sink of a working stream.
    pub async fn enable_sink(
        &self,
        caller: &Caller,
        record: StreamRecord,
        kind: SinkKind,
        settings: S3Settings,
    ) -> Result<StreamRecord, ChangeFault> {
        if record.stack.status != Status::Active {
            return Err(ChangeFault::NotActive(record.stack.status));
        }
        if record.sinks.contains_key(&kind) {
            return Err(ChangeFault::SinkExists(kind));
        }
        let now = self.system.now();
        let stack_name = self.deployment.naming.stack(&format!("sink-{kind}"), &record.key, self.system.random());
        let sink =
            SinkRecord { settings, stack: StackState::creating(stack_name, now), updated_at: now, updated_by: caller.subject.clone() };
        let changed = self.change(&record, |after| {
            after.sinks.insert(kind, sink);
            touch(after, caller, now);
        });
        let changed = changed.await?;
        self.ask_for_stack(changed, Part::Sink(kind)).await
    }

    /// Disables a sink. The data that it wrote stays.
    pub async fn disable_sink(&self, caller: &Caller, record: StreamRecord, kind: SinkKind) -> Result<StreamRecord, ChangeFault> {
        if !record.sinks.contains_key(&kind) {
            return Err(ChangeFault::NoSuchSink(kind));
        }
        self.delete_part(caller, record, Part::Sink(kind)).await
    }

    /// Deletes a stream without sinks. The data that it wrote stays.
    pub async fn delete_stream(&self, caller: &Caller, record: StreamRecord) -> Result<StreamRecord, ChangeFault> {
        if !record.sinks.is_empty() {
            return Err(ChangeFault::HasSinks(record.sinks.keys().copied().collect()));
        }
        self.delete_part(caller, record, Part::Stream).await
    }

    async fn delete_part(&self, caller: &Caller, record: StreamRecord, part: Part) -> Result<StreamRecord, ChangeFault> {
        let now = self.system.now();
        let busy = record.parts().find(|(other, stack)| *other == part && stack.status.is_in_progress());
        if let Some((part, stack)) = busy {
            return Err(ChangeFault::Busy { part, status: stack.status });
        }
        let changed = self.change(&record, |after| {
            if let Some(stack) = after.stack_of_mut(part) {
                stack.start_delete(now);
            }
            touch(after, caller, now);
        });
        let changed = changed.await?;
        self.tell_stack_to_go(changed, part).await
    }

    /// Compares everything in progress with what CloudFormation says. Returns `None` when the stream is gone.
    ///
    /// Cheap when nothing is in progress, or only since a moment: then nobody is asked.
    pub async fn reconcile(&self, record: StreamRecord) -> Result<Option<StreamRecord>, StoreFault> {
        let now = self.system.now();
        let due: Vec<Part> = record
            .parts()
            .filter(|(_, stack)| stack.may_have_news() && now - stack.operation_started() >= RECONCILE_AFTER)
            .filter(|(_, stack)| self.pacer.may_ask(&stack.stack_name, now))
            .map(|(part, _)| part)
            .collect();
        let mut current = record;
        for part in due {
            match self.reconcile_part(current, part, now).await? {
                Some(record) => current = record,
                None => return Ok(None),
            }
        }
        Ok(Some(current))
    }

    async fn reconcile_part(&self, record: StreamRecord, part: Part, now: OffsetDateTime) -> Result<Option<StreamRecord>, StoreFault> {
        let answer = match self.stacks.describe(record.stack_address(part)).await {
            Ok(answer) => answer,
            // Nothing is known, so nothing changes; the next read asks again.
            Err(_) => return Ok(Some(record)),
        };
        let mut after = record.clone();
        match after.reconcile(part, answer.as_ref(), now) {
            Reconciled::Effect(effect) => apply_effect(self.store, record, after, part, effect).await,
            Reconciled::CreateStack => self.heal(self.ask_for_stack(record, part).await),
            Reconciled::UpdateStack => self.heal(self.ask_for_update(record, part).await),
            Reconciled::DeleteStack => self.heal(self.tell_stack_to_go(record, part).await),
        }
    }

    fn heal(&self, healed: Result<StreamRecord, ChangeFault>) -> Result<Option<StreamRecord>, StoreFault> {
        match healed {
            Ok(record) => Ok(Some(record)),
            Err(ChangeFault::Store(fault)) => Err(fault),
            Err(other) => Err(StoreFault::new(other.to_string())),
        }
    }

    async fn ask_for_stack(&self, record: StreamRecord, part: Part) -> Result<StreamRecord, ChangeFault> {
        let request = StackRequest::new(&record, part, self.deployment);
        let answer = self.stacks.create(&request).await;
        let now = self.system.now();
        match answer {
            Ok(stack_id) => self.note_stack(record, part, |stack| stack.stack_id = Some(stack_id)).await,
            Err(ProvisionFault::Refused(reason)) => self.note_stack(record, part, |stack| stack.fail(reason, now)).await,
            // The record says what is wanted: the next read asks again.
            Err(ProvisionFault::Transient(_)) => Ok(record),
        }
    }

    async fn tell_stack_to_go(&self, record: StreamRecord, part: Part) -> Result<StreamRecord, ChangeFault> {
        match self.stacks.delete(record.stack_address(part)).await {
            Ok(()) | Err(ProvisionFault::Transient(_)) => Ok(record),
            Err(ProvisionFault::Refused(reason)) => {
                let now = self.system.now();
                self.note_stack(record, part, |stack| stack.fail(reason, now)).await
            }
        }
    }

    async fn note_stack(
        &self,
        record: StreamRecord,
        part: Part,
        change: impl FnOnce(&mut StackState),
    ) -> Result<StreamRecord, ChangeFault> {
        let noted = self.note(record, |after| {
            if let Some(stack) = after.stack_of_mut(part) {
                change(stack);
            }
        });
        noted.await
    }

    /// Notes what CloudFormation answered. When news came in between and was noted first, that is newer: it stays.
    async fn note(&self, record: StreamRecord, change: impl FnOnce(&mut StreamRecord)) -> Result<StreamRecord, ChangeFault> {
        match self.change(&record, change).await {
            Err(ChangeFault::Conflict) => Ok(record),
            other => other,
        }
    }

    async fn change(&self, before: &StreamRecord, change: impl FnOnce(&mut StreamRecord)) -> Result<StreamRecord, ChangeFault> {
        let mut after = before.clone();
        change(&mut after);
        after.revision = before.revision + 1;
        self.store.replace(before, &after).await?;
        Ok(after)
    }
}

fn touch(record: &mut StreamRecord, caller: &Caller, now: OffsetDateTime) {
    record.updated_at = now;
    record.updated_by = caller.subject.clone();
}

/// Saves what an observation of one part's stack led to. Returns `None` when the stream is gone with it.
///
/// `after` holds the observation already. A conflict means that someone else noted newer news: theirs stays.
pub async fn apply_effect(
    store: &(impl StreamWriter + ?Sized),
    before: StreamRecord,
    mut after: StreamRecord,
    part: Part,
    effect: Effect,
) -> Result<Option<StreamRecord>, StoreFault> {
    after.revision = before.revision + 1;
    let written = match (effect, part) {
        (Effect::None, _) => return Ok(Some(before)),
        (Effect::Gone, Part::Stream) => match store.remove(&before).await {
            Ok(()) => return Ok(None),
            Err(fault) => Err(fault),
        },
        (Effect::Gone, Part::Sink(kind)) => {
            after.sinks.remove(&kind);
            store.replace(&before, &after).await
        }
        (Effect::Changed | Effect::Updated, _) => store.replace(&before, &after).await,
    };
    match written {
        Ok(()) => Ok(Some(after)),
        Err(WriteFault::Conflict) => Ok(Some(before)),
        Err(WriteFault::Store(fault)) => Err(fault),
    }
}

#[cfg(test)]
#[path = "provision_tests.rs"]
mod tests;
