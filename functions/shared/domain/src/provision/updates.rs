//! Changing a stream in place: what runs goes on until the stack is as the new config wants it.

use super::{ChangeFault, ProvisionFault, Provisioning, Updated, touch};
use crate::access::Caller;
use crate::config::PendingConfig;
use crate::declaration::Declaration;
use crate::lifecycle::{Operation, Status, UpdateRequest};
use crate::record::{Part, StreamRecord, StreamResources};
use crate::stack_request::StackRequest;

impl Provisioning<'_> {
    /// Gives a stream another config. One that needs nothing of the stack runs at once; any other is kept beside the one that runs,
    /// and takes its place when the stack is ready.
    ///
    /// # Errors
    /// Nothing was changed; but [`ChangeFault::UpdateRefused`] leaves its reason on the stream.
    pub async fn update_stream(&self, caller: &Caller, record: StreamRecord, declared: Declaration) -> Result<StreamRecord, ChangeFault> {
        let wanted = self.wanted(&record, declared);
        if record.runs(&wanted) && record.stack.status == Status::Active {
            return Ok(record);
        }
        check_idle(&record)?;
        record.check_fixed_fields(&wanted.document)?;
        let now = self.system.now();
        let needs_stack = !self.stack_request(&record, &wanted).asks_the_same(&StackRequest::new(&record, Part::Stream, self.deployment));
        let request = UpdateRequest { token: format!("update-{:016x}", self.system.random()), asked_at: now };
        let changed = self.change(&record, |after| {
            touch(after, caller, now);
            after.last_config_version = wanted.number;
            if needs_stack {
                after.stack.start_update(request);
                after.pending = Some(wanted);
            } else {
                after.stack.reason = None;
                after.adopt(wanted);
            }
        });
        let changed = changed.await?;
        if !needs_stack {
            return Ok(changed);
        }
        let asked = self.ask_for_update(changed, Part::Stream).await?;
        match &asked.stack.reason {
            Some(reason) if asked.stack.status == Status::Active => Err(ChangeFault::UpdateRefused(reason.clone())),
            _ => Ok(asked),
        }
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
    fn wanted(&self, record: &StreamRecord, declared: Declaration) -> PendingConfig {
        let Declaration { posted, document } = declared;
        let kinesis = &document.buffer.kinesis;
        let resources = StreamResources {
            shards: kinesis.shards.unwrap_or(self.deployment.default_shards),
            retention_hours: kinesis.retention_hours.unwrap_or(self.deployment.default_retention_hours),
            ..record.resources.clone()
        };
        PendingConfig { number: record.last_config_version + 1, posted, document, resources }
    }

    fn stack_request(&self, record: &StreamRecord, config: &PendingConfig) -> StackRequest {
        let mut wanted = record.clone();
        wanted.adopt(config.clone());
        StackRequest::new(&wanted, Part::Stream, self.deployment)
    }
}

/// A stream changes when it works and nothing of it is changing: a sink that is coming is made for the config that it found.
fn check_idle(record: &StreamRecord) -> Result<(), ChangeFault> {
    let busy = record.parts().find(|(_, stack)| stack.status.is_in_progress());
    if let Some((part, stack)) = busy {
        return Err(ChangeFault::Busy { part, status: stack.status });
    }
    match record.stack.status {
        Status::Active => Ok(()),
        Status::OperationFailed if record.stack.operation == Operation::Update => Err(ChangeFault::Stuck(record.stack.stack_name.clone())),
        status => Err(ChangeFault::NotActive(status)),
    }
}
