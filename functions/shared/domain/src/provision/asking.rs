//! What is said to CloudFormation of one part, and noted of its answer.

use super::{ChangeFault, ProvisionFault, Provisioning};
use crate::lifecycle::Status;
use crate::record::{Part, StreamRecord};
use crate::stack_request::StackRequest;

impl Provisioning<'_> {
    /// Asks for what a config that runs since this moment wants of the sinks.
    pub(super) async fn ask_for_sinks(&self, record: StreamRecord) -> Result<StreamRecord, ChangeFault> {
        let parts: Vec<(Part, Status)> = record.parts().map(|(part, stack)| (part, stack.status)).collect();
        let mut current = record;
        for (part, status) in parts.into_iter().filter(|(part, _)| *part != Part::Stream) {
            current = match status {
                Status::CreateInProgress => self.ask_for_stack(current, part).await?,
                Status::UpdateInProgress => self.ask_for_update(current, part).await?,
                Status::DeleteInProgress => self.tell_stack_to_go(current, part).await?,
                Status::Active | Status::OperationFailed | Status::Inactive => current,
            };
        }
        Ok(current)
    }

    pub(super) async fn ask_for_stack(&self, record: StreamRecord, part: Part) -> Result<StreamRecord, ChangeFault> {
        let request = StackRequest::new(&record, part, self.deployment);
        let answer = self.stacks.create(&request).await;
        let now = self.system.now();
        match answer {
            Ok(stack_id) => {
                let noted = self.note(record, |after| {
                    if let Some(stack) = after.stack_of_mut(part) {
                        stack.stack_id = Some(stack_id);
                    }
                });
                noted.await
            }
            Err(ProvisionFault::Refused(reason)) => self.note(record, |after| after.fail(part, reason, now)).await,
            // The record says what is wanted: the next read asks again.
            Err(ProvisionFault::Transient(_)) => Ok(record),
        }
    }

    pub(super) async fn tell_stack_to_go(&self, record: StreamRecord, part: Part) -> Result<StreamRecord, ChangeFault> {
        match self.stacks.delete(record.stack_address(part)).await {
            Ok(()) | Err(ProvisionFault::Transient(_)) => Ok(record),
            Err(ProvisionFault::Refused(reason)) => {
                let now = self.system.now();
                self.note(record, |after| after.fail(part, reason, now)).await
            }
        }
    }

    /// Notes what CloudFormation answered. When news came in between and was noted first, that is newer: it stays.
    pub(super) async fn note(&self, record: StreamRecord, change: impl FnOnce(&mut StreamRecord)) -> Result<StreamRecord, ChangeFault> {
        match self.change(&record, change).await {
            Err(ChangeFault::Conflict) => Ok(record),
            other => other,
        }
    }

    pub(super) async fn change(&self, before: &StreamRecord, change: impl FnOnce(&mut StreamRecord)) -> Result<StreamRecord, ChangeFault> {
        let mut after = before.clone();
        change(&mut after);
        after.revision = before.revision + 1;
        self.store.replace(before, &after).await?;
        Ok(after)
    }
}
