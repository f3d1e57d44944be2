//! The life of a stack-backed part (a stream or a sink): from what CloudFormation says to the status that a user sees.
//!
//! News may come late, twice, out of order or never. [`StackState::observe`] takes any of it and stays truthful; what never came is
//! fetched by asking CloudFormation ([`crate::provision`]) and goes through the same function.

mod stack_status;
#[cfg(test)]
mod story_tests;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use stack_status::{StackStatus, UnknownStackStatus};

/// Where a stream or a sink stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Its stack is being created.
    CreateInProgress,
    /// It works.
    Active,
    /// Its stack is being updated; meanwhile it works as before.
    UpdateInProgress,
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
        matches!(self, Status::CreateInProgress | Status::UpdateInProgress | Status::DeleteInProgress)
    }

    /// Returns whether events pass.
    pub fn is_working(self) -> bool {
        matches!(self, Status::Active | Status::UpdateInProgress)
    }

    /// The status as the API shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::CreateInProgress => "CREATE_IN_PROGRESS",
            Status::Active => "ACTIVE",
            Status::UpdateInProgress => "UPDATE_IN_PROGRESS",
            Status::DeleteInProgress => "DELETE_IN_PROGRESS",
            Status::OperationFailed => "OPERATION_FAILED",
            Status::Inactive => "INACTIVE",
        }
    }
}

/// What was asked of CloudFormation last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// `CreateStack`.
    Create,
    /// `UpdateStack`.
    Update,
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
    /// Since when it works, or does not: an update that runs or is over changes nothing about that.
    #[serde(with = "crate::record::rfc3339")]
    pub since: OffsetDateTime,
    /// The last update that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateRequest>,
}

/// An update of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateRequest {
    /// Names the request, also in CloudFormation's events.
    pub token: String,
    /// When it was noted; CloudFormation was asked after that.
    #[serde(with = "crate::record::rfc3339")]
    pub asked_at: OffsetDateTime,
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
    /// The request that led to it, when CloudFormation said so.
    pub token: Option<String>,
    /// When it was so.
    pub at: OffsetDateTime,
}

/// A resource of a stack failed: the reason that says most, which the stack's own news does not repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceFailure {
    /// The stack's id.
    pub stack_id: String,
    /// What failed: the resource's creation, update or deletion.
    pub operation: Operation,
    /// The resource and the reason, in CloudFormation's words.
    pub reason: String,
    /// The request that led to it, when CloudFormation said so.
    pub token: Option<String>,
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
    /// The same, and the stack is now as the last update wanted it.
    Updated,
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
    /// The record says update and the stack was never told: tell it now.
    UpdateStack,
    /// The record says delete and the stack was never told: tell it now.
    DeleteStack,
}

impl StackState {
    /// A stack that is about to be asked for.
    pub fn creating(stack_name: String, now: OffsetDateTime) -> Self {
        Self {
            status: Status::CreateInProgress,
            operation: Operation::Create,
            stack_name,
            stack_id: None,
            reason: None,
            since: now,
            update: None,
        }
    }

    /// Turns to an update; the stack is told after this is saved.
    pub fn start_update(&mut self, request: UpdateRequest) {
        self.operation = Operation::Update;
        self.update = Some(request);
        self.status = Status::UpdateInProgress;
        self.reason = None;
    }

    /// The update is over. With a reason it failed, and the stack is as it was before.
    pub fn end_update(&mut self, reason: Option<String>) {
        self.status = Status::Active;
        self.reason = reason;
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

    /// When the last operation was asked for, or its end was noted.
    pub fn operation_started(&self) -> OffsetDateTime {
        match (self.operation, &self.update) {
            (Operation::Update, Some(update)) => update.asked_at,
            _ => self.since,
        }
    }

    /// Returns whether CloudFormation knows more than the record: something runs, or an operator can have ended a failed rollback.
    pub fn may_have_news(&self) -> bool {
        self.status.is_in_progress() || (self.status == Status::OperationFailed && self.operation == Operation::Update)
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
            Operation::Update => self.observe_update(news),
            Operation::Delete => self.observe_deletion(news),
        };
        if effect == Effect::None && learned_id { Effect::Changed } else { effect }
    }

    /// Takes the news that a resource of the stack has failed.
    pub fn observe_resource_failure(&mut self, failure: &ResourceFailure) -> Effect {
        let is_ours = self.stack_id.as_ref().is_none_or(|known| *known == failure.stack_id);
        let is_of_this_operation = match (self.operation, failure.operation) {
            // An update creates resources, too; what it deletes, it deletes when it is done.
            (Operation::Update, Operation::Create | Operation::Update) => self.is_of_this_update(failure.token.as_deref(), failure.at),
            (ours, theirs) => ours == theirs,
        };
        // The first failure is the cause; others are cancelled because of it.
        if !is_ours || !is_of_this_operation || !self.status.is_in_progress() || self.reason.is_some() {
            return Effect::None;
        }
        self.reason = Some(failure.reason.clone());
        Effect::Changed
    }

    fn observe_creation(&mut self, news: &StackNews) -> Effect {
        match (self.status, news.status) {
            (Status::CreateInProgress, StackStatus::CreateComplete) => self.turn(Status::Active, None, news.at),
            // The operator changed it by hand, which only a stack that was created whole lets anybody do.
            (Status::CreateInProgress, status) if status.is_update() => self.turn(Status::Active, None, news.at),
            // The answer to our request was taken for a refusal, and the stack came all the same.
            // News from before the failure is late: the stack was there, and is gone.
            (Status::OperationFailed, StackStatus::CreateComplete) if news.at >= self.since => self.turn(Status::Active, None, news.at),
            // The reason comes with the start of the rollback; the operation has not failed until the rollback is over.
            (Status::CreateInProgress, StackStatus::RollbackInProgress) => self.note_reason(news),
            (
                Status::CreateInProgress,
                StackStatus::CreateFailed | StackStatus::RollbackComplete | StackStatus::RollbackFailed | StackStatus::DeleteFailed,
            ) => {
                let reason = self.reason_with(news);
                self.turn(Status::OperationFailed, Some(reason), news.at)
            }
            (Status::CreateInProgress | Status::Active, StackStatus::DeleteComplete) => self.turn_deleted(news.at),
            _ => Effect::None,
        }
    }

    fn observe_update(&mut self, news: &StackNews) -> Effect {
        let is_this_update = self.status == Status::UpdateInProgress && self.is_of_this_update(news.token.as_deref(), news.at);
        match news.status {
            StackStatus::DeleteComplete if self.status.is_working() => self.turn_deleted(news.at),
            // An operator continued a rollback that had failed. The stack is as before the update, which failed all the same.
            status if status.takes_updates() && self.status == Status::OperationFailed && news.at >= self.since => {
                let reason = self.reason.clone();
                self.turn(Status::Active, reason, news.at)
            }
            _ if !is_this_update => Effect::None,
            StackStatus::UpdateComplete => {
                self.end_update(None);
                Effect::Updated
            }
            StackStatus::UpdateRollbackComplete => {
                let reason = self.reason_with(news);
                self.end_update(Some(reason));
                Effect::Changed
            }
            StackStatus::UpdateRollbackFailed => {
                let reason = self.reason_with(news);
                self.turn(Status::OperationFailed, Some(reason), news.at)
            }
            // Not over until the rollback is.
            StackStatus::UpdateFailed | StackStatus::UpdateRollbackInProgress => self.note_reason(news),
            _ => Effect::None,
        }
    }

    fn observe_deletion(&mut self, news: &StackNews) -> Effect {
        match news.status {
            StackStatus::DeleteComplete => Effect::Gone,
            StackStatus::DeleteFailed if self.status == Status::DeleteInProgress && news.at >= self.since => {
                let reason = self.reason_with(news);
                self.turn(Status::OperationFailed, Some(reason), news.at)
            }
            _ => Effect::None,
        }
    }

    /// Compares the state with what CloudFormation answers now (`None`: there is no such stack).
    pub fn reconcile(&mut self, answer: Option<&StackNews>, now: OffsetDateTime) -> Reconciled {
        match (self.operation, answer) {
            (Operation::Create, None) if self.stack_id.is_none() => Reconciled::CreateStack,
            (Operation::Create | Operation::Update, None) => {
                Reconciled::Effect(self.turn(Status::OperationFailed, Some("the stack no longer exists".to_owned()), now))
            }
            (Operation::Delete, None) => Reconciled::Effect(Effect::Gone),
            (Operation::Delete, Some(news)) if !news.status.is_deletion() => Reconciled::DeleteStack,
            (Operation::Update, Some(news)) if self.status == Status::UpdateInProgress => self.reconcile_update(news),
            (_, Some(news)) => Reconciled::Effect(self.observe(news)),
        }
    }

    /// A stack that rests tells "done" from "never asked" by the token of its last update: ours, or an earlier one (or none, when it was
    /// never updated). Asking once more would not tell: an update that failed would be tried again at every look.
    fn reconcile_update(&mut self, news: &StackNews) -> Reconciled {
        let is_this_update = self.update.as_ref().is_some_and(|update| news.token.as_ref() == Some(&update.token));
        match news.status {
            // Somebody let it rest there: nothing of ours leaves a failed update without a rollback.
            StackStatus::UpdateFailed => Reconciled::Effect(self.turn_stuck(news)),
            _ if is_this_update => Reconciled::Effect(self.observe(news)),
            status if status.takes_updates() => Reconciled::UpdateStack,
            // Somebody else is at it: wait.
            status if status.is_in_progress() => Reconciled::Effect(Effect::None),
            StackStatus::DeleteComplete => Reconciled::Effect(self.observe(news)),
            _ => Reconciled::Effect(self.turn_stuck(news)),
        }
    }

    /// By its token when the news has one, for tokens are never used twice; else by its time.
    fn is_of_this_update(&self, token: Option<&str>, at: OffsetDateTime) -> bool {
        self.update.as_ref().is_some_and(|update| token.map_or(at >= update.asked_at, |token| token == update.token))
    }

    /// Keeps the first reason that is heard: what comes later was caused by it.
    fn note_reason(&mut self, news: &StackNews) -> Effect {
        if news.reason.is_none() || self.reason.is_some() {
            return Effect::None;
        }
        self.reason = news.reason.clone();
        Effect::Changed
    }

    fn reason_with(&self, news: &StackNews) -> String {
        self.reason.clone().or_else(|| news.reason.clone()).unwrap_or_else(|| "CloudFormation gave no reason".to_owned())
    }

    fn turn_deleted(&mut self, at: OffsetDateTime) -> Effect {
        self.turn(Status::OperationFailed, Some("the stack was deleted by someone else".to_owned()), at)
    }

    /// The stack takes no update in the state that it is in.
    fn turn_stuck(&mut self, news: &StackNews) -> Effect {
        let reason = self.reason_with(news);
        self.turn(Status::OperationFailed, Some(reason), news.at)
    }

    fn turn(&mut self, status: Status, reason: Option<String>, at: OffsetDateTime) -> Effect {
        let is_news = self.status != status || self.reason != reason;
        self.status = status;
        self.reason = reason;
        self.since = at;
        if is_news { Effect::Changed } else { Effect::None }
    }
}
