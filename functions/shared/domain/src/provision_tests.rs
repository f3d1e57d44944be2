use super::*;
use crate::access::{Reach, Scope};
use crate::declaration::Leniency;
use crate::fakes::{FakeStacks, FakeStore, FakeSystem, block_on};
use crate::lifecycle::StackStatus;
use crate::names::Naming;
use crate::output::S3Settings;
use crate::stack_request::Deployment;
use crate::store::{StackIndex, StreamReader};
use std::time::Duration;

pub(super) struct Bench {
    pub(super) store: FakeStore,
    pub(super) stacks: FakeStacks,
    pub(super) system: FakeSystem,
    deployment: Deployment,
    pacer: Pacer,
}

impl Bench {
    pub(super) fn new(stacks: FakeStacks) -> Self {
        let deployment = Deployment {
            naming: Naming { name_prefix: "dp".into(), stack_prefix: "mr-test".into() },
            data_bucket: "bucket".into(),
            process_function_arn: "arn:process".into(),
            permissions_boundary_arn: "arn:boundary".into(),
            default_shards: 1,
            default_retention_hours: 24,
        };
        Self { store: FakeStore::default(), stacks, system: FakeSystem::new(), deployment, pacer: Pacer::default() }
    }

    pub(super) fn provisioning(&self) -> Provisioning<'_> {
        Provisioning { store: &self.store, stacks: &self.stacks, system: &self.system, deployment: &self.deployment, pacer: &self.pacer }
    }

    pub(super) fn create(&self) -> Result<StreamRecord, ChangeFault> {
        let document = declared(r#"{"metadata": {"team": "waste"}, "input": {"timestamp": "$.time"}}"#);
        block_on(self.provisioning().create_stream(&caller(), caller().owner, key(), document))
    }

    pub(super) fn active(&self) -> StreamRecord {
        self.create().unwrap();
        self.stacks.turn_all(StackStatus::CreateInProgress, StackStatus::CreateComplete, None);
        self.read().unwrap()
    }

    /// Reads as an API request does: some time later, and reconciled.
    pub(super) fn read(&self) -> Option<StreamRecord> {
        self.system.advance(Duration::from_secs(3));
        let record = block_on(self.store.load(&Reach::Everyone, &key().id, None)).unwrap()?;
        block_on(self.provisioning().reconcile(record)).unwrap()
    }
}

pub(super) fn declared(text: &str) -> Declaration {
    Declaration::parse(text, Leniency::Strict).unwrap()
}

pub(super) fn caller() -> Caller {
    Caller {
        subject: "kari@example.org".into(),
        owner: "waste".parse().unwrap(),
        scopes: vec![Scope::Manage],
        streams: None,
        api_key: None,
    }
}

pub(super) fn key() -> StreamKey {
    StreamKey { id: "refuse-trucks".parse().unwrap(), version: "1".parse().unwrap() }
}

#[test]
fn a_stream_becomes_active_when_its_stack_is_complete() {
    let bench = Bench::new(FakeStacks::default());
    let created = bench.create().unwrap();
    assert_eq!(created.stack.status, Status::CreateInProgress);
    assert_eq!(bench.read().unwrap().stack.status, Status::CreateInProgress);
    bench.stacks.turn_all(StackStatus::CreateInProgress, StackStatus::CreateComplete, None);
    assert_eq!(bench.read().unwrap().stack.status, Status::Active);
    let request = &bench.stacks.requests()[0];
    assert!(request.tags.contains(&("team".into(), "waste".into())));
    assert!(request.tags.contains(&("created_by".into(), "kari@example.org".into())));
}

#[test]
fn creating_twice_is_refused_and_asks_for_one_stack() {
    let bench = Bench::new(FakeStacks::default());
    bench.create().unwrap();
    assert!(matches!(bench.create(), Err(ChangeFault::Exists(_))));
    assert_eq!(bench.stacks.requests().len(), 1);
}

#[test]
fn an_id_stays_with_its_first_owner_even_when_the_stream_is_gone() {
    let bench = Bench::new(FakeStacks::default());
    let record = bench.active();
    block_on(bench.provisioning().delete_stream(&caller(), record, false)).unwrap();
    bench.stacks.turn_all(StackStatus::DeleteInProgress, StackStatus::DeleteComplete, None);
    assert_eq!(bench.read(), None);
    let other: Owner = "other".parse().unwrap();
    let taken = block_on(bench.provisioning().create_stream(&caller(), other, key(), declared("{}")));
    assert!(matches!(taken, Err(ChangeFault::Exists(_))));
    assert!(bench.create().is_ok(), "its owner can have it again");
}

#[test]
fn a_failed_stack_leaves_a_reason_and_can_be_deleted_and_created_again() {
    let bench = Bench::new(FakeStacks::default());
    bench.create().unwrap();
    bench.stacks.turn_all(StackStatus::CreateInProgress, StackStatus::RollbackComplete, Some("shard limit exceeded"));
    let failed = bench.read().unwrap();
    assert_eq!((failed.stack.status, failed.stack.reason.as_deref()), (Status::OperationFailed, Some("shard limit exceeded")));
    block_on(bench.provisioning().delete_stream(&caller(), failed, false)).unwrap();
    bench.stacks.turn_all(StackStatus::DeleteInProgress, StackStatus::DeleteComplete, None);
    assert_eq!(bench.read(), None);
    assert_eq!(bench.create().unwrap().stack.status, Status::CreateInProgress);
}

#[test]
fn a_refused_stack_fails_the_stream_at_once() {
    let bench = Bench::new(FakeStacks::with_script([ProvisionFault::Refused("template is wrong".into())]));
    let record = bench.create().unwrap();
    assert_eq!((record.stack.status, record.stack.reason.as_deref()), (Status::OperationFailed, Some("template is wrong")));
}

#[test]
fn a_crash_between_record_and_stack_heals_on_the_next_read() {
    let bench = Bench::new(FakeStacks::with_script([ProvisionFault::Transient("timed out".into())]));
    let record = bench.create().unwrap();
    assert_eq!((record.stack.status, record.stack.stack_id), (Status::CreateInProgress, None));
    assert!(bench.stacks.requests().is_empty());
    assert!(bench.read().unwrap().stack.stack_id.is_some());
    assert_eq!(bench.stacks.requests().len(), 1);
}

#[test]
fn a_crash_between_record_and_deletion_heals_on_the_next_read() {
    let bench = Bench::new(FakeStacks::default());
    let record = bench.active();
    let mut after = record.clone();
    after.stack.start_delete(bench.system.now());
    after.revision += 1;
    block_on(bench.store.replace(&record, &after)).unwrap();
    assert_eq!(bench.read().unwrap().stack.status, Status::DeleteInProgress);
    bench.stacks.turn_all(StackStatus::DeleteInProgress, StackStatus::DeleteComplete, None);
    bench.stacks.forget_deleted();
    assert_eq!(bench.read(), None);
}

#[test]
fn a_stream_made_anew_is_at_a_revision_where_the_old_one_never_was() {
    let bench = Bench::new(FakeStacks::default());
    let started = u64::try_from(bench.system.now().unix_timestamp_nanos() / 1_000_000).unwrap();
    let old = bench.active();
    assert!((started..started + 10).contains(&old.revision), "{}", old.revision);
    block_on(bench.store.remove(&old)).unwrap();
    let new = bench.create().unwrap();
    assert!(new.revision > old.revision, "{} is not after {}", new.revision, old.revision);
}

#[test]
fn a_read_right_after_a_change_asks_nobody() {
    let bench = Bench::new(FakeStacks::with_script([]));
    let record = bench.create().unwrap();
    bench.stacks.turn_all(StackStatus::CreateInProgress, StackStatus::CreateComplete, None);
    let read = block_on(bench.provisioning().reconcile(record)).unwrap().unwrap();
    assert_eq!(read.stack.status, Status::CreateInProgress);
}

#[test]
fn a_sink_needs_a_working_stream_and_keeps_it_from_deletion() {
    let bench = Bench::new(FakeStacks::default());
    let young = bench.create().unwrap();
    let too_early = block_on(bench.provisioning().enable_sink(&caller(), young, SinkKind::S3, S3Settings::default()));
    assert!(matches!(too_early, Err(ChangeFault::Busy { part: Part::Stream, status: Status::CreateInProgress })));

    bench.stacks.turn_all(StackStatus::CreateInProgress, StackStatus::CreateComplete, None);
    let record = bench.read().unwrap();
    let enabled = block_on(bench.provisioning().enable_sink(&caller(), record, SinkKind::S3, S3Settings::default())).unwrap();
    assert!(matches!(
        block_on(bench.provisioning().enable_sink(&caller(), enabled.clone(), SinkKind::S3, S3Settings::default())),
        Err(ChangeFault::SinkExists(SinkKind::S3))
    ));
    let blocked = block_on(bench.provisioning().delete_stream(&caller(), enabled.clone(), false)).unwrap_err();
    assert_eq!(blocked.to_string(), "the stream has active features: s3");
    let busy = block_on(bench.provisioning().disable_sink(&caller(), enabled, SinkKind::S3)).unwrap_err();
    assert_eq!(busy.to_string(), "sink s3 is CREATE_IN_PROGRESS");

    bench.stacks.turn_all(StackStatus::CreateInProgress, StackStatus::CreateComplete, None);
    let record = bench.read().unwrap();
    assert_eq!(record.sinks[&SinkKind::S3].stack.status, Status::Active);
    let disabled = block_on(bench.provisioning().disable_sink(&caller(), record, SinkKind::S3)).unwrap();
    assert_eq!(disabled.sinks[&SinkKind::S3].stack.status, Status::DeleteInProgress);
    bench.stacks.turn_all(StackStatus::DeleteInProgress, StackStatus::DeleteComplete, None);
    let record = bench.read().unwrap();
    assert!(record.sinks.is_empty());
    assert_eq!(record.stack.status, Status::Active);
    assert!(block_on(bench.provisioning().delete_stream(&caller(), record, false)).is_ok());
}

#[test]
fn two_writers_give_one_conflict_and_no_lost_update() {
    let bench = Bench::new(FakeStacks::default());
    let record = bench.active();
    block_on(bench.provisioning().enable_sink(&caller(), record.clone(), SinkKind::S3, S3Settings::default())).unwrap();
    let second = block_on(bench.provisioning().delete_stream(&caller(), record, false));
    assert!(matches!(second, Err(ChangeFault::Conflict)));
    assert_eq!(bench.store.stored(&key()).unwrap().stack.status, Status::Active);
}

#[test]
fn a_stack_is_found_by_its_name() {
    let bench = Bench::new(FakeStacks::default());
    let record = bench.create().unwrap();
    let (found, part) = block_on(bench.store.find_by_stack(&record.stack.stack_name)).unwrap().unwrap();
    assert_eq!((found.key, part), (key(), Part::Stream));
}
