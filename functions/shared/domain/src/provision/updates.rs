//! Changing a stream in place: what runs goes on until the stack is as the new config wants it.

use std::collections::BTreeMap;

use super::{ChangeFault, ProvisionFault, Provisioning, Updated, check_quiet, touch};
use crate::access::Caller;
use crate::config::{PendingConfig, SinkChange};
use crate::declaration::Declaration;
use crate::document::StreamDocument;
use crate::lifecycle::{Operation, Status, UpdateRequest};
use crate::output::S3Settings;
use crate::record::{Part, SinkKind, StreamRecord, StreamResources};
use crate::stack_request::StackRequest;

impl Provisioning<'_> {
    /// Gives a stream another config. One that needs nothing of the stack runs at once; any other is kept beside the one that runs,
    /// and takes its place when the stack is ready.
    ///
    /// # Errors
    /// Nothing was changed; but [`ChangeFault::UpdateRefused`] leaves its reason on the stream.
    pub async fn update_stream(&self, caller: &Caller, record: StreamRecord, declared: Declaration) -> Result<StreamRecord, ChangeFault> {
        let sinks = self.sink_changes(&record, &declared.document)?;
        let wanted = PendingConfig { sinks, ..self.wanted(caller, &record, declared) };
        if record.runs(&wanted) && record.stack.status == Status::Active {
            return Ok(record);
        }
        check_works(&record)?;
        record.check_fixed_fields(&wanted.document)?;
        self.swap(caller, record, wanted).await
    }

    /// Returns whether a stream's sinks are as a document wants them: an update of one can have failed.
    pub fn has_sinks_as_wanted(&self, record: &StreamRecord, wanted: &StreamDocument) -> bool {
        self.sink_changes(record, wanted).is_ok_and(|changes| changes.is_empty())
    }

    /// Checks that a stream could take another config now.
    ///
    /// # Errors
    /// What [`Provisioning::update_stream`] would refuse before it changes anything.
    pub fn check_update(&self, record: &StreamRecord, wanted: &StreamDocument) -> Result<(), ChangeFault> {
        check_works(record)?;
        record.check_fixed_fields(wanted)?;
        self.sink_changes(record, wanted).map(drop)
    }

    /// Enables a sink of a working stream, which changes its config.
    ///
    /// # Errors
    /// As for [`Provisioning::update_stream`]; it has the sink already.
    pub async fn enable_sink(
        &self,
        caller: &Caller,
        record: StreamRecord,
        kind: SinkKind,
        settings: S3Settings,
    ) -> Result<StreamRecord, ChangeFault> {
        if record.sinks.contains_key(&kind) {
            return Err(ChangeFault::SinkExists(kind));
        }
        check_own_output(&record)?;
        let declared = record.declared_with_sink(kind, Some(settings));
        self.update_stream(caller, record, declared).await
    }

    /// Disables a sink, also of a stream that has failed, which changes its config. The data that it wrote stays.
    ///
    /// # Errors
    /// As for [`Provisioning::update_stream`]; there is no such sink.
    pub async fn disable_sink(&self, caller: &Caller, record: StreamRecord, kind: SinkKind) -> Result<StreamRecord, ChangeFault> {
        if !record.sinks.contains_key(&kind) {
            return Err(ChangeFault::NoSuchSink(kind));
        }
        check_own_output(&record)?;
        check_quiet(&record)?;
        let wanted = self.wanted(caller, &record, record.declared_with_sink(kind, None));
        let sinks = BTreeMap::from([(kind, SinkChange::Delete)]);
        self.swap(caller, record, PendingConfig { sinks, ..wanted }).await
    }

    /// Stops a stream's pipeline where it is, or lets it go on from there. Meanwhile raw events wait, as long as they are kept.
    ///
    /// # Errors
    /// As for [`Provisioning::update_stream`]; it has no pipeline.
    pub async fn set_paused(&self, caller: &Caller, record: StreamRecord, is_paused: bool) -> Result<StreamRecord, ChangeFault> {
        if record.resources.raw_stream.is_none() {
            return Err(ChangeFault::NoPipeline);
        }
        if record.resources.is_paused == is_paused && record.stack.status == Status::Active {
            return Ok(record);
        }
        check_works(&record)?;
        let declared = Declaration { posted: record.posted.clone(), document: record.document.clone() };
        let wanted = self.wanted(caller, &record, declared);
        let resources = StreamResources { is_paused, ..wanted.resources };
        // It is no other config.
        self.swap(caller, record.clone(), PendingConfig { number: record.config_version, resources, ..wanted }).await
    }

    /// Puts a config in the place of the one that runs: at once, or when the stream's stack is as it wants it.
    async fn swap(&self, caller: &Caller, record: StreamRecord, wanted: PendingConfig) -> Result<StreamRecord, ChangeFault> {
        let needs_stack = !self.stack_request(&record, &wanted).asks_the_same(&StackRequest::new(&record, Part::Stream, self.deployment));
        let now = wanted.accepted_at;
        let request = UpdateRequest { token: self.token(), asked_at: now };
        let changed = self.change(&record, |after| {
            touch(after, caller, now);
            after.last_config_version = after.last_config_version.max(wanted.number);
            if needs_stack {
                after.stack.start_update(request);
                after.pending = Some(wanted);
            } else {
                if after.stack.status == Status::Active {
                    after.stack.reason = None;
                }
                after.adopt(wanted);
            }
        });
        let changed = changed.await?;
        let asked = if needs_stack { self.ask_for_update(changed, Part::Stream).await? } else { changed };
        match (&asked.pending, &asked.stack.reason) {
            (Some(_), _) => Ok(asked),
            (None, Some(reason)) if needs_stack => Err(ChangeFault::UpdateRefused(reason.clone())),
            // It runs.
            (None, _) => self.ask_for_sinks(asked).await,
        }
    }

    /// What becomes of a stream's sinks when a document runs.
    pub(super) fn sink_changes(
        &self,
        record: &StreamRecord,
        wanted: &StreamDocument,
    ) -> Result<BTreeMap<SinkKind, SinkChange>, ChangeFault> {
        let mut changes = BTreeMap::new();
        for kind in SinkKind::ALL {
            let change = match (record.sinks.get(&kind), wanted.output.settings(kind)) {
                (None, None) => continue,
                (None, Some(_)) => {
                    let stack_name = self.deployment.naming.stack(&format!("sink-{kind}"), &record.key, self.system.random());
                    SinkChange::Create { stack_name }
                }
                (Some(_), None) => SinkChange::Delete,
                (Some(_), Some(_)) if self.is_sink_as_wanted(record, wanted, kind) => continue,
                (Some(sink), Some(_)) if sink.stack.status == Status::OperationFailed => return Err(ChangeFault::SinkFailed(kind)),
                (Some(_), Some(_)) => SinkChange::Update { token: self.token() },
            };
            changes.insert(kind, change);
        }
        Ok(changes)
    }

    fn is_sink_as_wanted(&self, record: &StreamRecord, wanted: &StreamDocument, kind: SinkKind) -> bool {
        let part = Part::Sink(kind);
        let mut after = record.clone();
        after.document = wanted.clone();
        if let Some(sink) = after.sinks.get_mut(&kind) {
            sink.wanted = wanted.output.settings(kind).cloned();
        }
        StackRequest::new(&after, part, self.deployment).asks_the_same(&StackRequest::new(record, part, self.deployment))
    }

    fn token(&self) -> String {
        format!("update-{:016x}", self.system.random())
    }

    /// Tells CloudFormation of an update that is noted in the record.
    pub(super) async fn ask_for_update(&self, record: StreamRecord, part: Part) -> Result<StreamRecord, ChangeFault> {
        let request = match (part, &record.pending) {
            (Part::Stream, Some(pending)) => self.stack_request(&record, pending),
            _ => StackRequest::new(&record, part, self.deployment),
        };
        match self.stacks.update(&request, record.stack_address(part)).await {
            // The record says what is wanted: news comes, or the next read asks again.
            Ok(Updated::Started) | Err(ProvisionFault::Transient(_)) => Ok(record),
            Ok(Updated::NothingToDo) => self.note(record, |after| after.end_update(part, None)).await,
            Err(ProvisionFault::Refused(reason)) => self.note(record, |after| after.end_update(part, Some(reason))).await,
        }
    }

    /// What a document means for a stream that exists: its resources keep their names.
    fn wanted(&self, caller: &Caller, record: &StreamRecord, declared: Declaration) -> PendingConfig {
        let Declaration { posted, document } = declared;
        let kinesis = &document.buffer.kinesis;
        let resources = StreamResources {
            shards: kinesis.shards.unwrap_or(self.deployment.default_shards),
            retention_hours: kinesis.retention_hours.unwrap_or(self.deployment.default_retention_hours),
            ..record.resources.clone()
        };
        PendingConfig {
            number: record.last_config_version + 1,
            posted,
            document,
            resources,
            sinks: BTreeMap::new(),
            accepted_at: self.system.now(),
            accepted_by: caller.subject.clone(),
        }
    }

    fn stack_request(&self, record: &StreamRecord, config: &PendingConfig) -> StackRequest {
        let mut wanted = record.clone();
        wanted.adopt(config.clone());
        StackRequest::new(&wanted, Part::Stream, self.deployment)
    }
}

/// The sinks of an output that is a resource are not the stream's alone.
fn check_own_output(record: &StreamRecord) -> Result<(), ChangeFault> {
    record.document.output.resource.clone().map_or(Ok(()), |id| Err(ChangeFault::SharedOutput(id)))
}

/// A stream changes when it works and nothing of it is changing: a sink that is coming is made for the config that it found.
fn check_works(record: &StreamRecord) -> Result<(), ChangeFault> {
    check_quiet(record)?;
    match record.stack.status {
        Status::Active => Ok(()),
        Status::OperationFailed if record.stack.operation == Operation::Update => Err(ChangeFault::Stuck(record.stack.stack_name.clone())),
        status => Err(ChangeFault::NotActive(status)),
    }
}
