use super::tests::{Bench, caller, declared, key};
use super::*;
use crate::fakes::{FakeStacks, block_on};
use crate::lifecycle::StackStatus;
use crate::output::S3Settings;
use crate::store::{StreamReader, StreamWriter};
use std::time::Duration;

const RETAINED: &str =
    r#"{"metadata": {"team": "waste"}, "input": {"timestamp": "$.time"}, "buffer": {"kinesis": {"retention_hours": 48}}}"#;
const RENAMED: &str = r#"{"name": "Trucks", "metadata": {"team": "waste"}, "input": {"timestamp": "$.time", "max_event_bytes": 1000}}"#;

impl Bench {
    fn update(&self, record: StreamRecord, document: &str) -> Result<StreamRecord, ChangeFault> {
        block_on(self.provisioning().update_stream(&caller(), record, declared(document)))
    }

    /// What a caller sees some time later.
    fn seen(&self) -> (Status, u32, Option<String>) {
        let record = self.read().unwrap();
        (record.stack.status, record.config_version, record.stack.reason)
    }

    fn finish_update(&self) {
        self.stacks.turn_all(StackStatus::UpdateInProgress, StackStatus::UpdateComplete, None);
    }

    fn roll_back(&self, reason: &str) {
        self.stacks.turn_all(StackStatus::UpdateInProgress, StackStatus::UpdateRollbackComplete, Some(reason));
    }

    fn numbers(&self) -> Vec<u32> {
        let page = ConfigPage { before: None, limit: 100 };
        let configs = block_on(self.store.list_configs(&caller().owner, &key(), page)).unwrap();
        configs.iter().map(|config| config.number).collect()
    }

    fn retention(&self) -> String {
        let made = self.stacks.made(&self.store.stored(&key()).unwrap().stack.stack_name).unwrap();
        made.parameters.into_iter().find(|(name, _)| *name == "RetentionHours").unwrap().1
    }
}

#[test]
fn a_config_that_needs_the_stack_runs_when_the_stack_is_ready() {
    let bench = Bench::new(FakeStacks::default());
    let record = bench.active();
    let updating = bench.update(record.clone(), RETAINED).unwrap();
    assert_eq!((updating.stack.status, updating.config_version, updating.wanted_config_version()), (Status::UpdateInProgress, 1, 2));
    assert_eq!((&updating.posted, &updating.resources), (&record.posted, &record.resources), "what ran runs on");
    assert_eq!(bench.seen(), (Status::UpdateInProgress, 1, None));
    bench.finish_update();
    assert_eq!(bench.seen(), (Status::Active, 2, None));
    let stored = bench.store.stored(&key()).unwrap();
    assert_eq!((stored.resources.retention_hours, stored.pending, stored.stack.since), (48, None, record.stack.since));
    assert_eq!((bench.retention().as_str(), bench.numbers()), ("48", vec![2, 1]));
}

#[test]
fn a_config_that_needs_nothing_of_the_stack_runs_at_once() {
    let bench = Bench::new(FakeStacks::default());
    let record = bench.active();
    let updated = bench.update(record, RENAMED).unwrap();
    assert_eq!((updated.stack.status, updated.config_version, updated.pending), (Status::Active, 2, None));
    assert_eq!((updated.document.name.as_deref(), updated.document.input.max_event_bytes), (Some("Trucks"), 1000));
    assert!(bench.stacks.updates().is_empty());
    assert_eq!(bench.numbers(), [2, 1]);
}

#[test]
fn the_same_config_again_changes_nothing() {
    let bench = Bench::new(FakeStacks::default());
    let record = bench.update(bench.active(), RENAMED).unwrap();
    assert_eq!(bench.update(record.clone(), RENAMED).unwrap(), record);
    assert_eq!(bench.numbers(), [2, 1]);
}

#[test]
fn labels_capacity_and_mode_need_the_stack() {
    for document in [
        r#"{"metadata": {"team": "water"}, "input": {"timestamp": "$.time"}}"#,
        r#"{"input": {"timestamp": "$.time"}}"#,
        r#"{"metadata": {"team": "waste"}, "input": {"timestamp": "$.time"}, "buffer": {"kinesis": {"shards": 2}}}"#,
        r#"{"metadata": {"team": "waste"}, "input": {"timestamp": "$.time"}, "buffer": {"kinesis": {"mode": "on_demand"}}}"#,
    ] {
        let bench = Bench::new(FakeStacks::default());
        let updating = bench.update(bench.active(), document).unwrap();
        assert_eq!((updating.stack.status, bench.stacks.updates().len()), (Status::UpdateInProgress, 1), "{document}");
    }
}

#[test]
fn a_rolled_back_update_leaves_the_old_config_and_its_reason() {
    let bench = Bench::new(FakeStacks::default());
    let record = bench.active();
    bench.update(record.clone(), RETAINED).unwrap();
    bench.roll_back("RawDataStream: denied");
    assert_eq!(bench.seen(), (Status::Active, 1, Some("RawDataStream: denied".into())));
    let after = bench.store.stored(&key()).unwrap();
    assert_eq!((&after.posted, &after.resources, after.last_config_version, &after.pending), (&record.posted, &record.resources, 2, &None));
    assert_eq!(bench.retention(), "24");

    let again = bench.update(after, RETAINED).unwrap();
    assert_eq!((again.wanted_config_version(), again.stack.reason.as_deref()), (3, None), "a number is never used twice");
    bench.finish_update();
    assert_eq!(bench.seen(), (Status::Active, 3, None));
}

#[test]
fn a_refused_update_leaves_the_old_config_and_tells_the_caller() {
    let bench = Bench::new(FakeStacks::default());
    let record = bench.active();
    bench.stacks.fail_next(ProvisionFault::Refused("ValidationError: no".into()));
    let refused = bench.update(record.clone(), RETAINED).unwrap_err();
    assert_eq!(refused.to_string(), "the stream's stack cannot be updated: ValidationError: no");
    assert_eq!(bench.seen(), (Status::Active, 1, Some("ValidationError: no".into())));
    assert_eq!(bench.store.stored(&key()).unwrap().resources, record.resources);
}

#[test]
fn a_stack_that_is_already_as_wanted_needs_no_update() {
    let bench = Bench::new(FakeStacks::default());
    let record = bench.active();
    bench.stacks.update_by_hand(&record.stack.stack_name, |made| {
        let retention = made.parameters.iter_mut().find(|(name, _)| *name == "RetentionHours").unwrap();
        retention.1 = "48".into();
        let age = made.parameters.iter_mut().find(|(name, _)| *name == "MaximumRecordAgeSeconds").unwrap();
        age.1 = (47 * 3_600).to_string();
    });
    let updated = bench.update(record, RETAINED).unwrap();
    assert_eq!((updated.stack.status, updated.config_version, updated.resources.retention_hours), (Status::Active, 2, 48));
}

#[test]
fn a_crash_before_cloudformation_is_asked_heals_on_the_next_read() {
    // After nothing, after an update that was done, and after one that failed: its end is not taken for the new one's.
    for earlier in [None, Some(StackStatus::UpdateComplete), Some(StackStatus::UpdateRollbackComplete)] {
        let bench = Bench::new(FakeStacks::default());
        bench.active();
        if let Some(end) = earlier {
            bench.update(bench.read().unwrap(), r#"{"input": {"timestamp": "$.time"}, "buffer": {"kinesis": {"shards": 4}}}"#).unwrap();
            bench.stacks.turn_all(StackStatus::UpdateInProgress, end, Some("an earlier failure"));
        }
        let record = bench.read().unwrap();
        let before = bench.stacks.updates().len();
        bench.stacks.fail_next(ProvisionFault::Transient("timed out".into()));
        let updating = bench.update(record.clone(), RETAINED).unwrap();
        assert_eq!((updating.stack.status, bench.stacks.updates().len()), (Status::UpdateInProgress, before), "{earlier:?}");
        assert_eq!(bench.seen(), (Status::UpdateInProgress, record.config_version, None), "{earlier:?}");
        assert_eq!(bench.stacks.updates().len(), before + 1, "asked now");
        assert_eq!(bench.seen().0, Status::UpdateInProgress);
        assert_eq!(bench.stacks.updates().len(), before + 1, "and only once");
        bench.finish_update();
        assert_eq!(bench.seen(), (Status::Active, record.last_config_version + 1, None), "{earlier:?}");
    }
}

#[test]
fn an_update_whose_answer_was_lost_is_recognized_even_when_it_is_over() {
    let ends = [
        (StackStatus::UpdateComplete, (Status::Active, 2, None)),
        (StackStatus::UpdateRollbackComplete, (Status::Active, 1, Some("denied".to_owned()))),
        (StackStatus::UpdateRollbackFailed, (Status::OperationFailed, 1, Some("denied".to_owned()))),
    ];
    for (end, expected) in ends {
        let bench = Bench::new(FakeStacks::default());
        let record = bench.active();
        bench.stacks.lose_next_answer();
        assert_eq!(bench.update(record, RETAINED).unwrap().stack.status, Status::UpdateInProgress);
        bench.stacks.turn_all(StackStatus::UpdateInProgress, end, (end != StackStatus::UpdateComplete).then_some("denied"));
        assert_eq!(bench.seen(), expected, "{end:?}");
        assert_eq!(bench.stacks.updates().len(), 1, "a failed update is not tried again by itself");
    }
}

#[test]
fn a_refusal_that_a_read_meets_ends_the_update_too() {
    let bench = Bench::new(FakeStacks::default());
    let record = bench.active();
    bench.stacks.fail_next(ProvisionFault::Transient("timed out".into()));
    bench.update(record.clone(), RETAINED).unwrap();
    bench.stacks.update_by_hand(&record.stack.stack_name, |_| {});
    bench.stacks.turn_all(StackStatus::UpdateComplete, StackStatus::UpdateRollbackFailed, Some("by hand"));
    assert_eq!(bench.seen(), (Status::OperationFailed, 1, Some("by hand".into())));
}

#[test]
fn a_failed_rollback_that_an_operator_continued_is_seen_on_the_next_read_and_takes_updates_again() {
    let bench = Bench::new(FakeStacks::default());
    bench.update(bench.active(), RETAINED).unwrap();
    bench.stacks.turn_all(StackStatus::UpdateInProgress, StackStatus::UpdateRollbackFailed, Some("denied"));
    assert_eq!(bench.seen(), (Status::OperationFailed, 1, Some("denied".into())));
    let failed = bench.store.stored(&key()).unwrap();
    assert!(matches!(bench.update(failed, RETAINED), Err(ChangeFault::Stuck(_))));

    bench.stacks.turn_all(StackStatus::UpdateRollbackFailed, StackStatus::UpdateRollbackComplete, None);
    assert_eq!(bench.seen(), (Status::Active, 1, Some("denied".into())));
    bench.update(bench.store.stored(&key()).unwrap(), RETAINED).unwrap();
    bench.finish_update();
    assert_eq!(bench.seen(), (Status::Active, 3, None));
}

#[test]
fn a_stream_whose_update_cannot_be_undone_can_be_deleted() {
    let bench = Bench::new(FakeStacks::default());
    bench.update(bench.active(), RETAINED).unwrap();
    bench.stacks.turn_all(StackStatus::UpdateInProgress, StackStatus::UpdateRollbackFailed, Some("denied"));
    let failed = bench.read().unwrap();
    block_on(bench.provisioning().delete_stream(&caller(), failed, false)).unwrap();
    bench.stacks.turn_all(StackStatus::DeleteInProgress, StackStatus::DeleteComplete, None);
    assert_eq!(bench.read(), None);
    assert_eq!(bench.create().unwrap().config_version, 3, "its numbers go on where they ended");
    assert_eq!(bench.numbers(), [3, 2, 1]);
}

#[test]
fn what_cannot_change_in_place_is_refused_before_anything_happens() {
    let bench = Bench::new(FakeStacks::default());
    let record = bench.active();
    let refused = bench.update(record.clone(), r#"{"access_rights": "public"}"#).unwrap_err();
    assert!(
        matches!(&refused, ChangeFault::Fixed(FixedField::ByStream(fault)) if fault.starts_with("access_rights: \"non-public\" cannot")),
        "{refused}"
    );
    let refused = bench.update(record.clone(), r#"{"buffer": {"raw": false}}"#).unwrap_err();
    assert!(
        matches!(&refused, ChangeFault::Fixed(FixedField::ByStream(fault)) if fault.starts_with("buffer.raw: true cannot become false: ")),
        "{refused}"
    );
    let refused = bench.update(record.clone(), r#"{"input": {"format": "xml"}}"#).unwrap_err();
    assert!(
        matches!(&refused, ChangeFault::Fixed(FixedField::ByStream(fault)) if fault.starts_with("input.format: \"json\" cannot become \"xml\": ")),
        "{refused}"
    );

    assert!(
        bench.update(record.clone(), r#"{"metadata": {"team": "waste"}}"#).is_ok(),
        "without a sink, nothing depends on the event time"
    );
    let record = bench.update(bench.read().unwrap(), RENAMED).unwrap();
    block_on(bench.provisioning().enable_sink(&caller(), record, SinkKind::S3, S3Settings::default())).unwrap();
    bench.stacks.turn_all(StackStatus::CreateInProgress, StackStatus::CreateComplete, None);
    let record = bench.read().unwrap();
    for (document, field) in [
        (r#"{}"#, "input.timestamp"),
        (r#"{"input": {"timestamp": "$.at"}}"#, "input.timestamp"),
        (r#"{"input": {"timestamp": "$.time", "timestamp_format": "epoch_seconds"}}"#, "input.timestamp_format"),
    ] {
        let refused = bench.update(record.clone(), document).unwrap_err();
        assert!(refused.to_string().starts_with(&format!("{field} is fixed while the stream has a sink s3")), "{refused}");
    }
    assert!(bench.update(record, RETAINED).is_ok(), "a sink minds nothing else");
}

#[test]
fn nothing_else_starts_while_an_update_runs_nor_an_update_while_anything_runs() {
    let bench = Bench::new(FakeStacks::default());
    let young = bench.create().unwrap();
    assert_eq!(bench.update(young, RETAINED).unwrap_err().to_string(), "stream is CREATE_IN_PROGRESS");
    bench.stacks.turn_all(StackStatus::CreateInProgress, StackStatus::CreateComplete, None);
    let updating = bench.update(bench.read().unwrap(), RETAINED).unwrap();
    assert_eq!(bench.update(updating.clone(), RENAMED).unwrap_err().to_string(), "stream is UPDATE_IN_PROGRESS");
    let sink = block_on(bench.provisioning().enable_sink(&caller(), updating.clone(), SinkKind::S3, S3Settings::default()));
    assert!(matches!(sink, Err(ChangeFault::Busy { part: Part::Stream, status: Status::UpdateInProgress })));
    let deletion = block_on(bench.provisioning().delete_stream(&caller(), updating, false));
    assert!(matches!(deletion, Err(ChangeFault::Busy { status: Status::UpdateInProgress, .. })));

    bench.finish_update();
    let record = bench.read().unwrap();
    let coming = block_on(bench.provisioning().enable_sink(&caller(), record, SinkKind::S3, S3Settings::default())).unwrap();
    assert_eq!(bench.update(coming, RENAMED).unwrap_err().to_string(), "sink s3 is CREATE_IN_PROGRESS");
}

#[test]
fn of_two_updates_one_is_a_conflict() {
    let bench = Bench::new(FakeStacks::default());
    let record = bench.active();
    bench.update(record.clone(), RETAINED).unwrap();
    assert!(matches!(bench.update(record, RENAMED), Err(ChangeFault::Conflict)));
    assert_eq!(bench.numbers(), [2, 1]);
}

#[test]
fn a_stream_that_changed_meanwhile_keeps_what_was_noted_first() {
    let bench = Bench::new(FakeStacks::default());
    bench.stacks.lose_next_answer();
    let record = bench.active();
    bench.stacks.fail_next(ProvisionFault::Transient("timed out".into()));
    let updating = bench.update(record, RETAINED).unwrap();
    let mut newer = updating.clone();
    newer.end_update(Part::Stream, None);
    newer.revision += 1;
    block_on(bench.store.replace(&updating, &newer)).unwrap();
    bench.system.advance(Duration::from_secs(3));
    bench.stacks.fail_next(ProvisionFault::Refused("no".into()));
    block_on(bench.provisioning().ask_for_update(updating, Part::Stream)).unwrap();
    let loaded = block_on(bench.store.load(&crate::access::Reach::Everyone, &key().id, None)).unwrap().unwrap();
    assert_eq!((loaded.stack.status, loaded.config_version), (Status::Active, 2));
}

#[test]
fn defaults_are_filled_in_on_demand_those_of_the_deployment_too() {
    let bench = Bench::new(FakeStacks::default());
    let record = bench.active();
    let config = record.config_with_defaults();
    assert_eq!(config["buffer"]["kinesis"], serde_json::json!({"mode": "provisioned", "shards": 1, "retention_hours": 24}));
    assert_eq!((&config["access_rights"], &config["input"]["max_event_bytes"]), (&"non-public".into(), &260_096.into()));
    bench.update(record, r#"{"input": {"timestamp": "$.time"}, "buffer": {"kinesis": {"mode": "on_demand"}}}"#).unwrap();
    bench.finish_update();
    let kinesis = bench.read().unwrap().config_with_defaults()["buffer"]["kinesis"].clone();
    assert_eq!(kinesis, serde_json::json!({"mode": "on_demand", "retention_hours": 24}));
}
