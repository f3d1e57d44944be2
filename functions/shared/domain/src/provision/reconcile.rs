//! What is left half-done heals: everything in progress is compared with what CloudFormation says.

use time::OffsetDateTime;

use super::{ChangeFault, Provisioning};
use crate::lifecycle::{Effect, Operation, Reconciled};
use crate::limits::RECONCILE_AFTER;
use crate::record::{Part, StreamRecord};
use crate::store::{StoreFault, StreamWriter, WriteFault};

impl Provisioning<'_> {
    /// Compares everything in progress with what CloudFormation says. Returns `None` when the stream is gone.
    ///
    /// Cheap when nothing is in progress, or only since a moment: then nobody is asked.
    pub async fn reconcile(&self, record: StreamRecord) -> Result<Option<StreamRecord>, StoreFault> {
        let now = self.system.now();
        let mut current = record;
        for part in in_order(&current) {
            let is_due = stack_in_question(&current, part)
                .is_some_and(|(name, started)| now - started >= RECONCILE_AFTER && self.pacer.may_ask(name, now));
            if is_due {
                match self.reconcile_part(current, part, now).await? {
                    Some(record) => current = record,
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(current))
    }

    /// Does at once what waited for the end of another part's operation. Returns `None` when the stream is gone.
    pub async fn go_on(&self, record: StreamRecord) -> Result<Option<StreamRecord>, StoreFault> {
        let now = self.system.now();
        let mut current = record;
        for part in in_order(&current) {
            if stack_in_question(&current, part).is_some() {
                match self.reconcile_part(current, part, now).await? {
                    Some(record) => current = record,
                    None => return Ok(None),
                }
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
}

/// A stream comes before its sinks, and goes after them.
fn in_order(record: &StreamRecord) -> Vec<Part> {
    let mut parts: Vec<Part> = record.parts().map(|(part, _)| part).collect();
    if record.stack.operation == Operation::Delete {
        parts.rotate_left(1);
    }
    parts
}

/// The name of a part's stack and since when something runs on it, if CloudFormation may know more than the record.
fn stack_in_question(record: &StreamRecord, part: Part) -> Option<(&str, OffsetDateTime)> {
    let (_, stack) = record.parts().find(|(other, _)| *other == part)?;
    let is_in_question = stack.may_have_news() && !record.is_waiting(part);
    is_in_question.then(|| (stack.stack_name.as_str(), stack.operation_started()))
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
        // Somebody else deleted it, and its sinks are still to go.
        (Effect::Gone, Part::Stream) if !before.sinks.is_empty() => return Ok(Some(before)),
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
