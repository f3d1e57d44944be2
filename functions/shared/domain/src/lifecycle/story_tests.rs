//! Whole lives of a stream, with news of them that is late, repeated, shuffled or lost. What is looked up in the end is the truth.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use time::Duration;
use time::macros::datetime;

use super::*;
use crate::config::PendingConfig;
use crate::fakes::active_stream;
use crate::record::{Part, StreamRecord};

const START: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
const STACK_ID: &str = "id-1";

/// How an operation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    RolledBack,
    /// The rollback fails, too, until an operator continues it.
    Stuck,
}

/// One operation of a life.
#[derive(Debug, Clone)]
struct Act {
    outcome: Outcome,
    /// Else the function dies between record and stack.
    is_asked_at_once: bool,
    /// Which of all the news so far is heard, in this order.
    heard: Vec<Index>,
}

#[derive(Debug, Clone)]
enum News {
    Stack(StackNews),
    Resource(ResourceFailure),
}

/// A stream's record, the stack behind it, and everything that was ever said of the stack.
struct World {
    record: StreamRecord,
    seconds: i64,
    said: Vec<News>,
    /// Whether notifications name the request; answers to questions always do.
    has_tokens: bool,
    status: StackStatus,
    reason: Option<String>,
    last_update: Option<String>,
    /// The config that the stack is made for.
    config_version: u32,
    /// The stream was seen to be gone.
    is_gone: bool,
}

impl World {
    fn new(has_tokens: bool) -> Self {
        let mut record = active_stream("refuse-trucks", "1", "waste");
        record.stack = StackState::creating("mr-stream-x".into(), START);
        let status = StackStatus::CreateInProgress;
        Self {
            record,
            seconds: 0,
            said: Vec::new(),
            has_tokens,
            status,
            reason: None,
            last_update: None,
            config_version: 1,
            is_gone: false,
        }
    }

    fn tick(&mut self) -> OffsetDateTime {
        self.seconds += 1;
        START + Duration::seconds(self.seconds)
    }

    /// The stack changes, and says so.
    fn turn(&mut self, status: &str, reason: Option<&str>, token: &str) {
        let at = self.tick();
        self.status = status.parse().unwrap();
        self.reason = reason.map(str::to_owned);
        let token = self.has_tokens.then(|| token.to_owned());
        let news = StackNews { stack_id: STACK_ID.into(), status: self.status, reason: self.reason.clone(), token, at };
        self.said.push(News::Stack(news));
    }

    fn fail_resource(&mut self, operation: Operation, token: &str) {
        let at = self.tick();
        let token = self.has_tokens.then(|| token.to_owned());
        let reason = format!("RawDataStream: {operation:?} denied");
        self.said.push(News::Resource(ResourceFailure { stack_id: STACK_ID.into(), operation, reason, token, at }));
    }

    fn hear(&mut self, heard: &[Index]) {
        for index in heard {
            let news = index.get(&self.said).clone();
            self.take(&news);
        }
    }

    fn take(&mut self, news: &News) {
        let effect = match news {
            News::Stack(news) => self.record.observe(Part::Stream, news),
            News::Resource(failure) => self.record.observe_resource_failure(Part::Stream, failure),
        };
        self.is_gone |= effect == Effect::Gone;
        self.check();
    }

    /// What holds at every moment.
    fn check(&self) {
        let record = &self.record;
        assert!(self.is_gone || record.config_version <= self.config_version, "a config runs that the stack was never made for");
        assert_eq!(record.pending.is_some(), record.stack.status == Status::UpdateInProgress);
        assert_eq!(record.posted, config(record.config_version, record).posted, "a config and its number belong together");
    }

    /// Asks CloudFormation how the stack is.
    fn look(&mut self) -> Reconciled {
        let at = self.tick();
        let token = self.last_update.clone().filter(|_| self.status.is_update());
        let answer = StackNews { stack_id: STACK_ID.into(), status: self.status, reason: self.reason.clone(), token, at };
        let reconciled = self.record.reconcile(Part::Stream, Some(&answer), at);
        self.is_gone |= reconciled == Reconciled::Effect(Effect::Gone);
        self.check();
        reconciled
    }

    fn create(&mut self, act: &Act) {
        self.turn("CREATE_IN_PROGRESS", None, "create");
        if act.outcome == Outcome::Done {
            self.turn("CREATE_COMPLETE", None, "create");
        } else {
            self.fail_resource(Operation::Create, "create");
            self.turn("ROLLBACK_IN_PROGRESS", Some("failed to create: [RawDataStream]"), "create");
            self.turn("ROLLBACK_COMPLETE", None, "create");
            self.reason = Some("RawDataStream: Create denied".into());
        }
        self.hear(&act.heard);
        self.look();
        let expected = if act.outcome == Outcome::Done { Status::Active } else { Status::OperationFailed };
        assert_eq!(self.record.stack.status, expected);
        assert_eq!(self.record.stack.reason.is_some(), expected != Status::Active);
    }

    fn update(&mut self, act: &Act) {
        let (before, asked_at) = (self.config_version, self.tick());
        let number = self.record.last_config_version + 1;
        let token = format!("update-{number}");
        self.record.stack.start_update(UpdateRequest { token: token.clone(), asked_at });
        self.record.last_config_version = number;
        self.record.pending = Some(config(number, &self.record));
        if !act.is_asked_at_once {
            self.hear(&act.heard);
            assert_eq!(self.record.config_version, before, "the stack knows nothing of it");
            assert_eq!(self.look(), Reconciled::UpdateStack);
        }
        self.last_update = Some(token.clone());
        self.turn("UPDATE_IN_PROGRESS", Some("User Initiated"), &token);
        if act.outcome == Outcome::Done {
            self.config_version = number;
            self.turn("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", None, &token);
            self.turn("UPDATE_COMPLETE", None, &token);
        } else {
            self.fail_resource(Operation::Update, &token);
            self.turn("UPDATE_ROLLBACK_IN_PROGRESS", Some("failed to update: [RawDataStream]"), &token);
        }
        if act.outcome == Outcome::RolledBack {
            self.turn("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", None, &token);
            self.turn("UPDATE_ROLLBACK_COMPLETE", None, &token);
        }
        if act.outcome == Outcome::Stuck {
            self.turn("UPDATE_ROLLBACK_FAILED", Some("failed to roll back: [RawDataStream]"), &token);
            self.hear(&act.heard);
            self.look();
            assert_eq!(self.record.stack.status, Status::OperationFailed);
            assert!(self.record.stack.reason.is_some());
            self.turn("UPDATE_ROLLBACK_IN_PROGRESS", Some("User Initiated"), "Console-ContinueUpdateRollback");
            self.turn("UPDATE_ROLLBACK_COMPLETE", None, "Console-ContinueUpdateRollback");
        }
        self.hear(&act.heard);
        self.look();
        assert_eq!((self.record.stack.status, self.record.config_version), (Status::Active, self.config_version));
        assert_eq!(self.record.stack.reason.is_some(), act.outcome != Outcome::Done, "a failed update says why");
    }

    fn delete(&mut self, act: &Act) {
        let now = self.tick();
        self.record.stack.start_delete(now);
        if !act.is_asked_at_once {
            self.hear(&act.heard);
            let failed_before = self.status == StackStatus::DeleteFailed;
            let seen = self.look();
            // A second try that nobody told CloudFormation of looks like one that failed, and to delete again is the way out of both.
            if failed_before {
                assert_eq!(self.record.stack.status, Status::OperationFailed);
                return;
            }
            assert_eq!(seen, Reconciled::DeleteStack);
        }
        self.turn("DELETE_IN_PROGRESS", None, "delete");
        if act.outcome == Outcome::Done {
            self.turn("DELETE_COMPLETE", None, "delete");
        } else {
            self.turn("DELETE_FAILED", Some("failed to delete: [RawDataStream]"), "delete");
        }
        self.hear(&act.heard);
        self.look();
        assert_eq!(self.is_gone, act.outcome == Outcome::Done);
        assert!(self.is_gone || self.record.stack.status == Status::OperationFailed);
    }
}

/// The config of this number.
fn config(number: u32, record: &StreamRecord) -> PendingConfig {
    let first = active_stream("refuse-trucks", "1", "waste");
    let posted = if number == 1 { first.posted } else { json!({"name": number.to_string()}) };
    PendingConfig {
        number,
        posted,
        document: first.document,
        resources: record.resources.clone(),
        sinks: Default::default(),
        accepted_at: START,
        accepted_by: "tester".into(),
    }
}

fn act() -> impl Strategy<Value = Act> {
    let outcome = prop_oneof![3 => Just(Outcome::Done), 2 => Just(Outcome::RolledBack), 1 => Just(Outcome::Stuck)];
    let heard = prop::collection::vec(any::<Index>(), 0..12);
    (outcome, any::<bool>(), heard).prop_map(|(outcome, is_asked_at_once, heard)| Act { outcome, is_asked_at_once, heard })
}

proptest! {
    #[test]
    fn whatever_news_comes_late_twice_shuffled_or_never_the_end_is_the_truth(
        has_tokens in any::<bool>(),
        creation in act(),
        updates in prop::collection::vec(act(), 0..5),
        deletions in prop::collection::vec(act(), 0..3),
        again in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let mut world = World::new(has_tokens);
        world.create(&creation);
        if creation.outcome == Outcome::Done {
            updates.iter().for_each(|update| world.update(update));
        }
        let before = world.record.clone();
        world.hear(&again);
        prop_assert_eq!(&world.record, &before, "old news is no news");
        for deletion in &deletions {
            if !world.is_gone {
                world.delete(deletion);
            }
        }
    }

    /// Whatever order the news of one creation comes in, and however often, the end is the truth without a look.
    #[test]
    fn the_order_of_news_does_not_matter(outcome in prop_oneof![Just(Outcome::Done), Just(Outcome::RolledBack)], order in Just(vec![0, 0, 1, 1, 2, 2]).prop_shuffle()) {
        let mut world = World::new(true);
        world.turn("CREATE_IN_PROGRESS", None, "create");
        let end = if outcome == Outcome::Done { ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"] } else { ["ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"] };
        end.iter().for_each(|status| world.turn(status, Some("why"), "create"));
        let said = world.said.clone();
        order.iter().for_each(|index: &usize| world.take(&said[*index]));
        let expected = if outcome == Outcome::Done { Status::Active } else { Status::OperationFailed };
        prop_assert_eq!(world.record.stack.status, expected);
    }
}
