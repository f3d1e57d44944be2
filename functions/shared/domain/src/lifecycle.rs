//! The life of a stack-backed part (a stream or a sink): from what CloudFormation says to the status that a user sees.
//!
//! News may come late, twice, out of order or never. [`StackState::observe`] takes any of it and stays truthful; what never came is
//! fetched by asking CloudFormation ([`crate::provision`]) and goes through the same function.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Where a stream or a sink stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Its stack is being created.
    CreateInProgress,
    /// It works.
    Active,
    /// Its stack is being deleted.
    DeleteInProgress,
    /// The last operation failed; the reason says why. It can be deleted and created again.
    OperationFailed,
    /// It does not exist, or no longer.
    Inactive,
}

impl Status {
    /// Returns whether a stack operation runs, so that nothing else may start.
    pub fn is_in_progress(self) -> bool {
        matches!(self, Status::CreateInProgress | Status::DeleteInProgress)
    }

    /// The status as the API shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::CreateInProgress => "CREATE_IN_PROGRESS",
            Status::Active => "ACTIVE",
            Status::DeleteInProgress => "DELETE_IN_PROGRESS",
            Status::OperationFailed => "OPERATION_FAILED",
            Status::Inactive => "INACTIVE",
        }
    }
}

/// The statuses of a CloudFormation stack that our operations can lead to
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are CloudFormation's")]
pub enum StackStatus {
    CreateInProgress,
    CreateComplete,
    CreateFailed,
    RollbackInProgress,
    RollbackComplete,
    RollbackFailed,
    DeleteInProgress,
    DeleteComplete,
    DeleteFailed,
}

impl FromStr for StackStatus {
    type Err = UnknownStackStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStackStatus> {
        Ok(match text {
            "CREATE_IN_PROGRESS" | "REVIEW_IN_PROGRESS" => Self::CreateInProgress,
            "CREATE_COMPLETE" => Self::CreateComplete,
            "CREATE_FAILED" => Self::CreateFailed,
            "ROLLBACK_IN_PROGRESS" => Self::RollbackInProgress,
            "ROLLBACK_COMPLETE" => Self::RollbackComplete,
            "ROLLBACK_FAILED" => Self::RollbackFailed,
            "DELETE_IN_PROGRESS" => Self::DeleteInProgress,
            "DELETE_COMPLETE" => Self::DeleteComplete,
            "DELETE_FAILED" => Self::DeleteFailed,
            other => return Err(UnknownStackStatus(other.to_owned())),
        })
    }
}

/// A stack status that none of our operations leads to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown stack status {0:?}")]
pub struct UnknownStackStatus(pub String);

/// What was asked of CloudFormation last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// `CreateStack`.
    Create,
    /// `DeleteStack`.
    Delete,
}

/// What is known of the stack behind a stream or a sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackState {
    /// What a user sees.
    pub status: Status,
    /// What was asked for last.
    pub operation: Operation,
    /// The stack's name, new for every creation.
    pub stack_name: String,
    /// The stack's id, once CloudFormation has given one.
    pub stack_id: Option<String>,
    /// Why the last operation failed, in CloudFormation's words.
    pub reason: Option<String>,
    /// When the status last changed.
    #[serde(with = "crate::record::rfc3339")]
    pub since: OffsetDateTime,
}

/// Something that CloudFormation said of a stack, in an event or in answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackNews {
    /// The stack's id.
    pub stack_id: String,
    /// Its status.
    pub status: StackStatus,
    /// Why, when CloudFormation said so.
    pub reason: Option<String>,
    /// When it was so.
    pub at: OffsetDateTime,
}

/// What an observation means for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing new.
    None,
    /// The state changed and must be saved.
    Changed,
    /// The stack is gone, and what it stood for with it.
    Gone,
}

/// What is left to do when CloudFormation was asked about a stack in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// As for any news.
    Effect(Effect),
    /// The record was written and the stack never asked for: ask now.
    CreateStack,
    /// The record says delete and the stack was never told: tell it now.
    DeleteStack,
}

impl StackState {
    /// A stack that is about to be asked for.
    pub fn creating(stack_name: String, now: OffsetDateTime) -> Self {
        Self { status: Status::CreateInProgress, operation: Operation::Create, stack_name, stack_id: None, reason: None, since: now }
    }

    /// Turns to deletion; the stack is told after this is saved.
    pub fn start_delete(&mut self, now: OffsetDateTime) {
        self.operation = Operation::Delete;
        self.turn(Status::DeleteInProgress, None, now);
    }

    /// The operation was refused outright, for a reason that will not pass.
    pub fn fail(&mut self, reason: String, now: OffsetDateTime) {
        self.turn(Status::OperationFailed, Some(reason), now);
    }

    /// Takes news of the stack. News of another stack, or from before the last change of mind, changes nothing.
    pub fn observe(&mut self, news: &StackNews) -> Effect {
        let is_another_stack = self.stack_id.as_ref().is_some_and(|known| *known != news.stack_id);
        if is_another_stack {
            return Effect::None;
        }
        let learned_id = self.stack_id.is_none();
        self.stack_id = Some(news.stack_id.clone());
        let effect = match self.operation {
            Operation::Create => self.observe_creation(news),
            Operation::Delete => self.observe_deletion(news),
        };
        if effect == Effect::None && learned_id { Effect::Changed } else { effect }
    }

    /// Takes the news that a resource of the stack has failed: the reason that says most, which the stack's own news does not repeat.
    pub fn observe_resource_failure(&mut self, stack_id: &str, operation: Operation, reason: &str) -> Effect {
        let is_ours = self.stack_id.as_ref().is_none_or(|known| known == stack_id);
        // The first failure is the cause; others are cancelled because of it.
        if !is_ours || operation != self.operation || !self.status.is_in_progress() || self.reason.is_some() {
            return Effect::None;
        }
        self.reason = Some(reason.to_owned());
        Effect::Changed
    }

    fn observe_creation(&mut self, news: &StackNews) -> Effect {
        match (self.status, news.status) {
            (Status::CreateInProgress, StackStatus::CreateComplete) => self.turn(Status::Active, None, news.at),
            // The answer to our request was taken for a refusal, and the stack came all the same.
            // News from before the failure is late: the stack was there, and is gone.
            (Status::OperationFailed, StackStatus::CreateComplete) if news.at >= self.since => self.turn(Status::Active, None, news.at),
            // The reason comes with the start of the rollback; the operation has not failed until the rollback is over.
            (Status::CreateInProgress, StackStatus::RollbackInProgress) => {
                let is_news = news.reason.is_some() && self.reason.is_none();
                if is_news {
                    self.reason = news.reason.clone();
                    return Effect::Changed;
                }
                Effect::None
            }
            (Status::CreateInProgress, StackStatus::CreateFailed | StackStatus::RollbackComplete | StackStatus::RollbackFailed) => {
                let reason =
                    self.reason.clone().or_else(|| news.reason.clone()).unwrap_or_else(|| "CloudFormation gave no reason".to_owned());
                self.turn(Status::OperationFailed, Some(reason), news.at)
            }
            (Status::CreateInProgress | Status::Active, StackStatus::DeleteComplete) => {
                self.turn(Status::OperationFailed, Some("the stack was deleted by someone else".to_owned()), news.at)
            }
            _ => Effect::None,
        }
    }

    fn observe_deletion(&mut self, news: &StackNews) -> Effect {
        match news.status {
            StackStatus::DeleteComplete => Effect::Gone,
            StackStatus::DeleteFailed if self.status == Status::DeleteInProgress && news.at >= self.since => {
                let reason =
                    self.reason.clone().or_else(|| news.reason.clone()).unwrap_or_else(|| "CloudFormation gave no reason".to_owned());
                self.turn(Status::OperationFailed, Some(reason), news.at)
            }
            _ => Effect::None,
        }
    }

    /// Compares the state with what CloudFormation answers now (`None`: there is no such stack).
    pub fn reconcile(&mut self, answer: Option<&StackNews>, now: OffsetDateTime) -> Reconciled {
        match (self.operation, answer) {
            (Operation::Create, None) if self.stack_id.is_none() => Reconciled::CreateStack,
            (Operation::Create, None) => {
                Reconciled::Effect(self.turn(Status::OperationFailed, Some("the stack no longer exists".to_owned()), now))
            }
            (Operation::Delete, None) => Reconciled::Effect(Effect::Gone),
            (Operation::Delete, Some(news)) if !is_deletion(news.status) => Reconciled::DeleteStack,
            (_, Some(news)) => Reconciled::Effect(self.observe(news)),
        }
    }

    fn turn(&mut self, status: Status, reason: Option<String>, at: OffsetDateTime) -> Effect {
        self.status = status;
        self.reason = reason;
        self.since = at;
        Effect::Changed
    }
}

fn is_deletion(status: StackStatus) -> bool {
    matches!(status, StackStatus::DeleteInProgress | StackStatus::DeleteComplete | StackStatus::DeleteFailed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::Duration;
    use time::macros::datetime;

    const START: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    fn news(status: &str, reason: Option<&str>, second: i64) -> StackNews {
        StackNews {
            stack_id: "id-1".into(),
            status: status.parse().unwrap(),
            reason: reason.map(Into::into),
            at: START + Duration::seconds(second),
        }
    }

    fn creating() -> StackState {
        StackState::creating("mr-stream-x".into(), START)
    }

    #[test]
    fn a_created_stack_makes_its_part_active() {
        let mut state = creating();
        assert_eq!(state.observe(&news("CREATE_COMPLETE", None, 1)), Effect::Changed);
        assert_eq!((state.status, state.stack_id.as_deref()), (Status::Active, Some("id-1")));
        assert_eq!(state.observe(&news("CREATE_IN_PROGRESS", None, 0)), Effect::None, "late news");
        assert_eq!(state.status, Status::Active);
    }

    #[test]
    fn a_rolled_back_stack_fails_with_the_first_reason_and_can_be_deleted() {
        let mut state = creating();
        state.observe(&news("ROLLBACK_IN_PROGRESS", Some("limit exceeded"), 1));
        assert_eq!(state.status, Status::CreateInProgress);
        state.observe(&news("ROLLBACK_COMPLETE", None, 2));
        assert_eq!((state.status, state.reason.as_deref()), (Status::OperationFailed, Some("limit exceeded")));
        state.start_delete(START + Duration::seconds(3));
        assert_eq!(state.observe(&news("ROLLBACK_COMPLETE", None, 2)), Effect::None);
        assert_eq!(state.observe(&news("DELETE_COMPLETE", None, 4)), Effect::Gone);
    }

    #[test]
    fn the_first_resource_that_fails_gives_the_reason() {
        let mut state = creating();
        assert_eq!(state.observe_resource_failure("id-1", Operation::Create, "RawDataStream: limit exceeded"), Effect::Changed);
        assert_eq!(state.observe_resource_failure("id-1", Operation::Create, "Table: denied"), Effect::None, "the first is the cause");
        assert_eq!(state.observe(&news("ROLLBACK_IN_PROGRESS", Some("failed to create: [RawDataStream]"), 1)), Effect::Changed);
        state.observe(&news("ROLLBACK_COMPLETE", None, 2));
        assert_eq!((state.status, state.reason.as_deref()), (Status::OperationFailed, Some("RawDataStream: limit exceeded")));
        assert_eq!(state.observe_resource_failure("id-1", Operation::Create, "late"), Effect::None);

        let mut state = creating();
        state.observe(&news("CREATE_IN_PROGRESS", None, 0));
        assert_eq!(state.observe_resource_failure("id-0", Operation::Create, "another stack's"), Effect::None);
        assert_eq!(state.reason, None);
    }

    #[test]
    fn a_deletion_that_fails_has_its_resources_reason() {
        let mut state = creating();
        state.observe(&news("CREATE_COMPLETE", None, 1));
        state.start_delete(START + Duration::seconds(2));
        state.observe_resource_failure("id-1", Operation::Delete, "Bucket: not empty");
        state.observe(&news("DELETE_FAILED", Some("failed to delete: [Bucket]"), 3));
        assert_eq!((state.status, state.reason.as_deref()), (Status::OperationFailed, Some("Bucket: not empty")));
    }

    #[test]
    fn a_stack_that_came_after_all_makes_its_part_active() {
        let mut state = creating();
        state.fail("refused".into(), START + Duration::seconds(1));
        assert_eq!(state.observe(&news("CREATE_COMPLETE", None, 40)), Effect::Changed);
        assert_eq!((state.status, state.reason), (Status::Active, None));
    }

    #[test]
    fn late_news_does_not_bring_a_stack_back() {
        let mut state = creating();
        state.observe(&news("CREATE_COMPLETE", None, 1));
        state.observe(&news("DELETE_COMPLETE", None, 2));
        assert_eq!(state.status, Status::OperationFailed, "deleted by someone else");
        assert_eq!(state.observe(&news("CREATE_COMPLETE", None, 1)), Effect::None);
        assert_eq!(state.status, Status::OperationFailed);
    }

    #[test]
    fn news_of_another_stack_changes_nothing() {
        let mut state = creating();
        state.observe(&news("CREATE_COMPLETE", None, 1));
        let mut foreign = news("DELETE_COMPLETE", None, 2);
        foreign.stack_id = "id-0".into();
        assert_eq!(state.observe(&foreign), Effect::None);
        assert_eq!(state.status, Status::Active);
    }

    #[test]
    fn an_old_failure_to_delete_does_not_end_a_new_try() {
        let mut state = creating();
        state.observe(&news("CREATE_COMPLETE", None, 1));
        state.start_delete(START + Duration::seconds(2));
        state.observe(&news("DELETE_FAILED", Some("bucket not empty"), 3));
        assert_eq!(state.status, Status::OperationFailed);
        state.start_delete(START + Duration::seconds(10));
        assert_eq!(state.observe(&news("DELETE_FAILED", Some("bucket not empty"), 3)), Effect::None);
        assert_eq!(state.status, Status::DeleteInProgress);
    }

    #[test]
    fn a_crash_between_record_and_stack_is_seen() {
        let mut state = creating();
        assert_eq!(state.reconcile(None, START), Reconciled::CreateStack);
        state.observe(&news("CREATE_COMPLETE", None, 1));
        state.start_delete(START);
        assert_eq!(state.reconcile(Some(&news("CREATE_COMPLETE", None, 1)), START), Reconciled::DeleteStack);
        assert_eq!(state.reconcile(None, START), Reconciled::Effect(Effect::Gone));
    }

    #[test]
    fn a_stack_that_vanished_fails_its_part() {
        let mut state = creating();
        state.observe(&news("CREATE_IN_PROGRESS", None, 0));
        assert_eq!(state.reconcile(None, START), Reconciled::Effect(Effect::Changed));
        assert_eq!(state.status, Status::OperationFailed);
    }

    proptest! {
        /// Whatever order the news of one creation comes in, and however often, the end is the truth.
        #[test]
        fn the_order_of_news_does_not_matter(
            failed in any::<bool>(),
            order in Just(vec![0, 0, 1, 1, 2, 2]).prop_shuffle(),
        ) {
            let story = if failed {
                ["CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"]
            } else {
                ["CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
            };
            let mut state = creating();
            for index in order {
                state.observe(&news(story[index], Some("why"), i64::try_from(index).unwrap()));
            }
            let expected = if failed { Status::OperationFailed } else { Status::Active };
            prop_assert_eq!(state.status, expected);
            prop_assert_eq!(state.reason.is_some(), failed);
        }
    }
}
