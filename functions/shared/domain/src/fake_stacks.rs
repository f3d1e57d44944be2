//! CloudFormation, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use time::macros::datetime;

use crate::fakes::lock;
use crate::lifecycle::{StackNews, StackStatus};
use crate::provision::{ProvisionFault, StackProvisioner, Updated};
use crate::stack_request::StackRequest;

/// Stacks stay as they are until the test moves them.
#[derive(Debug, Default)]
pub struct FakeStacks {
    script: Mutex<VecDeque<ProvisionFault>>,
    lost_answers: Mutex<usize>,
    stacks: Mutex<BTreeMap<String, FakeStack>>,
    requests: Mutex<Vec<StackRequest>>,
    updates: Mutex<Vec<StackRequest>>,
}

#[derive(Debug)]
struct FakeStack {
    status: StackStatus,
    reason: Option<String>,
    /// What it is made with.
    made: StackRequest,
    /// What it was made with before the update that runs.
    before: Option<StackRequest>,
}

impl FakeStacks {
    /// One fault a call, in order; then all goes well.
    pub fn with_script(script: impl IntoIterator<Item = ProvisionFault>) -> Self {
        Self { script: Mutex::new(script.into_iter().collect()), ..Self::default() }
    }

    /// Fails the next call.
    pub fn fail_next(&self, fault: ProvisionFault) {
        lock(&self.script).push_back(fault);
    }

    /// Does what the next call asks for, and lets its answer get lost.
    pub fn lose_next_answer(&self) {
        *lock(&self.lost_answers) += 1;
    }

    /// Every creation asked for and not refused.
    pub fn requests(&self) -> Vec<StackRequest> {
        lock(&self.requests).clone()
    }

    /// Every update that was started.
    pub fn updates(&self) -> Vec<StackRequest> {
        lock(&self.updates).clone()
    }

    /// What a stack is made with now.
    pub fn made(&self, name: &str) -> Option<StackRequest> {
        lock(&self.stacks).get(name).map(|stack| stack.made.clone())
    }

    /// Changes a stack by hand, as an operator can.
    pub fn update_by_hand(&self, name: &str, change: impl FnOnce(&mut StackRequest)) {
        if let Some(stack) = lock(&self.stacks).get_mut(name) {
            stack.made.token = "Console-UpdateStack".to_owned();
            change(&mut stack.made);
            stack.status = StackStatus::UpdateComplete;
        }
    }

    /// Moves all stacks of one status to another, as CloudFormation would in its own time.
    pub fn turn_all(&self, from: StackStatus, to: StackStatus, reason: Option<&str>) {
        for stack in lock(&self.stacks).values_mut().filter(|stack| stack.status == from) {
            stack.status = to;
            stack.reason = reason.map(str::to_owned);
            if to == StackStatus::UpdateRollbackComplete {
                stack.roll_back();
            }
        }
    }

    /// Forgets a stack that was deleted, as CloudFormation does by name.
    pub fn forget_deleted(&self) {
        lock(&self.stacks).retain(|_, stack| stack.status != StackStatus::DeleteComplete);
    }

    fn fault(&self) -> Result<(), ProvisionFault> {
        lock(&self.script).pop_front().map_or(Ok(()), Err)
    }

    /// The answer, unless it gets lost on its way.
    fn answer<T>(&self, answer: T) -> Result<T, ProvisionFault> {
        let mut lost_answers = lock(&self.lost_answers);
        if *lost_answers == 0 {
            return Ok(answer);
        }
        *lost_answers -= 1;
        Err(ProvisionFault::Transient("the answer got lost".to_owned()))
    }

    fn name(stack: &str) -> &str {
        stack.strip_prefix("arn:").unwrap_or(stack)
    }
}

impl FakeStack {
    /// The parameters of before; the request that failed is still the last one.
    fn roll_back(&mut self) {
        if let Some(before) = self.before.take() {
            self.made = StackRequest { token: self.made.token.clone(), ..before };
        }
    }
}

#[async_trait::async_trait]
impl StackProvisioner for FakeStacks {
    async fn create(&self, request: &StackRequest) -> Result<String, ProvisionFault> {
        self.fault()?;
        lock(&self.requests).push(request.clone());
        let stack = FakeStack { status: StackStatus::CreateInProgress, reason: None, made: request.clone(), before: None };
        lock(&self.stacks).entry(request.name.clone()).or_insert(stack);
        self.answer(format!("arn:{}", request.name))
    }

    async fn update(&self, request: &StackRequest, stack: &str) -> Result<Updated, ProvisionFault> {
        self.fault()?;
        let mut stacks = lock(&self.stacks);
        let Some(stack) = stacks.get_mut(Self::name(stack)) else {
            return Err(ProvisionFault::Refused(format!("Stack [{stack}] does not exist")));
        };
        if stack.made.token == request.token {
            return self.answer(Updated::Started);
        }
        if stack.status.is_in_progress() {
            return Err(ProvisionFault::Transient("an operation runs".to_owned()));
        }
        if !stack.status.takes_updates() {
            return Err(ProvisionFault::Refused(format!("the stack is in {:?} state and can not be updated", stack.status)));
        }
        if stack.made.asks_the_same(request) {
            return self.answer(Updated::NothingToDo);
        }
        stack.before = Some(std::mem::replace(&mut stack.made, request.clone()));
        stack.status = StackStatus::UpdateInProgress;
        stack.reason = None;
        lock(&self.updates).push(request.clone());
        self.answer(Updated::Started)
    }

    async fn delete(&self, stack: &str) -> Result<(), ProvisionFault> {
        self.fault()?;
        if let Some(stack) = lock(&self.stacks).get_mut(Self::name(stack)) {
            stack.status = StackStatus::DeleteInProgress;
        }
        self.answer(())
    }

    async fn describe(&self, stack: &str) -> Result<Option<StackNews>, ProvisionFault> {
        self.fault()?;
        let name = Self::name(stack);
        let news = lock(&self.stacks).get(name).map(|stack| StackNews {
            stack_id: format!("arn:{name}"),
            status: stack.status,
            reason: stack.reason.clone(),
            token: stack.status.is_update().then(|| stack.made.token.clone()),
            at: datetime!(2026-01-02 00:00 UTC),
        });
        self.answer(news)
    }
}
