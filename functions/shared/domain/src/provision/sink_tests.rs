//! Sinks follow the document.

use super::tests::{Bench, caller, declared, key};
use super::*;
use crate::fakes::{FakeStacks, block_on};
use crate::lifecycle::StackStatus;

const PLAIN: &str = r#"{"name": "a"}"#;
const WITH_SINK: &str = r#"{"name": "a", "output": {"s3": {}}}"#;
const UNZIPPED: &str = r#"{"name": "a", "output": {"s3": {"compression": "none"}}}"#;

impl Bench {
    fn declare(&self, document: &str) -> StreamRecord {
        block_on(self.provisioning().create_stream(&caller(), caller().owner, key(), declared(document))).unwrap()
    }

    fn change(&self, document: &str) -> Result<StreamRecord, ChangeFault> {
        block_on(self.provisioning().update_stream(&caller(), self.read().unwrap(), declared(document)))
    }

    fn turn(&self, from: StackStatus, to: StackStatus) {
        self.stacks.turn_all(from, to, Some("why"));
    }

    /// A stream with a sink, both working.
    fn with_sink() -> Self {
        let bench = Self::new(FakeStacks::default());
        bench.declare(WITH_SINK);
        bench.turn(StackStatus::CreateInProgress, StackStatus::CreateComplete);
        bench.read();
        bench.turn(StackStatus::CreateInProgress, StackStatus::CreateComplete);
        assert_eq!(bench.statuses(), (Status::Active, Some(Status::Active)));
        bench
    }

    /// Of the stream and of its sink, some time later.
    fn statuses(&self) -> (Status, Option<Status>) {
        let record = self.read().unwrap();
        (record.stack.status, record.sinks.get(&SinkKind::S3).map(|sink| sink.stack.status))
    }

    fn sink_reason(&self) -> Option<String> {
        self.read().unwrap().sinks[&SinkKind::S3].stack.reason.clone()
    }
}

#[test]
fn a_declared_sink_comes_when_its_stream_works() {
    let bench = Bench::new(FakeStacks::default());
    bench.declare(WITH_SINK);
    assert_eq!(bench.stacks.requests().len(), 1, "the stream's stack alone");
    assert_eq!(bench.statuses(), (Status::CreateInProgress, Some(Status::CreateInProgress)));
    assert_eq!(bench.stacks.requests().len(), 1, "the sink waits");
    bench.turn(StackStatus::CreateInProgress, StackStatus::CreateComplete);
    assert_eq!(bench.statuses(), (Status::Active, Some(Status::CreateInProgress)));
    assert_eq!(bench.stacks.requests()[1].part, Part::Sink(SinkKind::S3));
    bench.turn(StackStatus::CreateInProgress, StackStatus::CreateComplete);
    assert_eq!(bench.statuses(), (Status::Active, Some(Status::Active)));
}

#[test]
fn a_sink_that_waits_for_a_stream_that_fails_never_was() {
    let bench = Bench::new(FakeStacks::default());
    bench.declare(WITH_SINK);
    bench.turn(StackStatus::CreateInProgress, StackStatus::RollbackComplete);
    assert_eq!(bench.statuses(), (Status::OperationFailed, None));
    assert!(block_on(bench.provisioning().delete_stream(&caller(), bench.read().unwrap(), false)).is_ok());
}

#[test]
fn a_document_with_a_sink_enables_it_and_one_without_disables_it() {
    let bench = Bench::new(FakeStacks::default());
    bench.declare(PLAIN);
    bench.turn(StackStatus::CreateInProgress, StackStatus::CreateComplete);
    let enabled = bench.change(WITH_SINK).unwrap();
    assert_eq!((enabled.config_version, enabled.sinks[&SinkKind::S3].stack.status), (2, Status::CreateInProgress));
    assert_eq!(bench.stacks.requests().len(), 2, "asked for at once");
    bench.turn(StackStatus::CreateInProgress, StackStatus::CreateComplete);
    assert_eq!(bench.statuses(), (Status::Active, Some(Status::Active)));
    let disabled = bench.change(PLAIN).unwrap();
    assert_eq!((disabled.config_version, disabled.sinks[&SinkKind::S3].stack.status), (3, Status::DeleteInProgress));
    bench.turn(StackStatus::DeleteInProgress, StackStatus::DeleteComplete);
    assert_eq!(bench.statuses(), (Status::Active, None));
}

#[test]
fn the_sink_routes_change_the_document() {
    let bench = Bench::with_sink();
    let record = block_on(bench.provisioning().disable_sink(&caller(), bench.read().unwrap(), SinkKind::S3)).unwrap();
    assert_eq!((record.posted, record.document.output.s3), (serde_json::json!({"name": "a", "output": {}}), None));
    bench.turn(StackStatus::DeleteInProgress, StackStatus::DeleteComplete);
    let settings = declared(UNZIPPED).document.output.s3.unwrap();
    let record = bench.read().unwrap();
    let record = block_on(bench.provisioning().enable_sink(&caller(), record, SinkKind::S3, settings.clone())).unwrap();
    assert_eq!(record.posted["output"]["s3"]["compression"], "none");
    assert_eq!((record.document.output.s3.as_ref(), &record.sinks[&SinkKind::S3].settings), (Some(&settings), &settings));
    assert_eq!(record.config_version, 3);
}

#[test]
fn other_settings_update_the_sinks_stack_and_run_when_it_is_ready() {
    let bench = Bench::with_sink();
    let changed = bench.change(UNZIPPED).unwrap();
    assert_eq!((changed.stack.status, changed.sinks[&SinkKind::S3].stack.status), (Status::Active, Status::UpdateInProgress));
    assert_eq!(changed.sinks[&SinkKind::S3].settings, Default::default(), "what runs");
    let asked = &bench.stacks.updates()[0];
    assert!(asked.parameters.contains(&("Compression", "UNCOMPRESSED".to_owned())));
    bench.turn(StackStatus::UpdateInProgress, StackStatus::UpdateComplete);
    assert_eq!(bench.statuses(), (Status::Active, Some(Status::Active)));
    let sink = &bench.read().unwrap().sinks[&SinkKind::S3];
    assert_eq!((sink.settings.clone(), &sink.wanted), (declared(UNZIPPED).document.output.s3.unwrap(), &None));
}

#[test]
fn a_sink_whose_update_fails_runs_as_before_says_why_and_can_be_tried_again() {
    let bench = Bench::with_sink();
    bench.change(UNZIPPED).unwrap();
    bench.turn(StackStatus::UpdateInProgress, StackStatus::UpdateRollbackComplete);
    assert_eq!((bench.statuses(), bench.sink_reason().as_deref()), ((Status::Active, Some(Status::Active)), Some("why")));
    assert_eq!(bench.read().unwrap().sinks[&SinkKind::S3].settings, Default::default());
    let again = bench.change(UNZIPPED).unwrap();
    assert_eq!(again.sinks[&SinkKind::S3].stack.status, Status::UpdateInProgress);
    bench.turn(StackStatus::UpdateInProgress, StackStatus::UpdateComplete);
    assert_eq!((bench.statuses(), bench.sink_reason()), ((Status::Active, Some(Status::Active)), None));
}

#[test]
fn labels_reach_the_stacks_of_sinks_after_the_streams() {
    let bench = Bench::with_sink();
    let labelled = r#"{"name": "a", "metadata": {"team": "waste"}, "output": {"s3": {}}}"#;
    bench.change(labelled).unwrap();
    assert_eq!(bench.statuses(), (Status::UpdateInProgress, Some(Status::Active)));
    bench.turn(StackStatus::UpdateInProgress, StackStatus::UpdateComplete);
    assert_eq!(bench.statuses(), (Status::Active, Some(Status::UpdateInProgress)));
    bench.turn(StackStatus::UpdateInProgress, StackStatus::UpdateComplete);
    assert_eq!(bench.statuses(), (Status::Active, Some(Status::Active)));
    let parts: Vec<Part> = bench.stacks.updates().iter().map(|request| request.part).collect();
    assert_eq!(parts, [Part::Stream, Part::Sink(SinkKind::S3)]);
}

#[test]
fn a_sink_that_could_not_be_made_has_to_go_before_it_can_change() {
    let bench = Bench::new(FakeStacks::default());
    bench.declare(WITH_SINK);
    bench.turn(StackStatus::CreateInProgress, StackStatus::CreateComplete);
    bench.read();
    bench.turn(StackStatus::CreateInProgress, StackStatus::RollbackComplete);
    assert_eq!(bench.statuses(), (Status::Active, Some(Status::OperationFailed)));
    assert!(matches!(bench.change(UNZIPPED), Err(ChangeFault::SinkFailed(SinkKind::S3))));
    bench.change(PLAIN).unwrap();
    bench.turn(StackStatus::DeleteInProgress, StackStatus::DeleteComplete);
    bench.change(UNZIPPED).unwrap();
    bench.turn(StackStatus::CreateInProgress, StackStatus::CreateComplete);
    assert_eq!(bench.statuses(), (Status::Active, Some(Status::Active)));
}

#[test]
fn a_cascade_deletes_sinks_first_and_the_stream_last() {
    let bench = Bench::with_sink();
    let deleted = block_on(bench.provisioning().delete_stream(&caller(), bench.read().unwrap(), true)).unwrap();
    assert_eq!((deleted.stack.status, deleted.sinks[&SinkKind::S3].stack.status), (Status::DeleteInProgress, Status::DeleteInProgress));
    assert_eq!(bench.statuses(), (Status::DeleteInProgress, Some(Status::DeleteInProgress)));
    bench.turn(StackStatus::DeleteInProgress, StackStatus::DeleteComplete);
    assert_eq!(bench.statuses(), (Status::DeleteInProgress, None), "now the stream's own stack is told");
    bench.turn(StackStatus::DeleteInProgress, StackStatus::DeleteComplete);
    assert_eq!(bench.read(), None);
}

#[test]
fn a_cascade_that_a_sink_stops_says_so_and_can_be_tried_again() {
    let bench = Bench::with_sink();
    block_on(bench.provisioning().delete_stream(&caller(), bench.read().unwrap(), true)).unwrap();
    bench.turn(StackStatus::DeleteInProgress, StackStatus::DeleteFailed);
    let stopped = bench.read().unwrap();
    assert_eq!(
        (stopped.stack.status, stopped.stack.reason.as_deref()),
        (Status::OperationFailed, Some("sink s3 could not be deleted: why"))
    );
    block_on(bench.provisioning().delete_stream(&caller(), stopped, true)).unwrap();
    for _ in 0..2 {
        bench.turn(StackStatus::DeleteInProgress, StackStatus::DeleteComplete);
        let _ = bench.read();
    }
    assert_eq!(bench.read(), None);
}

#[test]
fn a_cascade_heals_when_cloudformation_was_not_there() {
    let bench = Bench::with_sink();
    bench.stacks.fail_next(ProvisionFault::Transient("timed out".into()));
    block_on(bench.provisioning().delete_stream(&caller(), bench.read().unwrap(), true)).unwrap();
    bench.read();
    for _ in 0..2 {
        bench.turn(StackStatus::DeleteInProgress, StackStatus::DeleteComplete);
        let _ = bench.read();
    }
    assert_eq!(bench.read(), None);
}

#[test]
fn a_pause_stops_the_mapping_and_is_no_other_config() {
    let bench = Bench::with_sink();
    let paused = block_on(bench.provisioning().set_paused(&caller(), bench.read().unwrap(), true)).unwrap();
    assert_eq!(paused.stack.status, Status::UpdateInProgress);
    bench.turn(StackStatus::UpdateInProgress, StackStatus::UpdateComplete);
    let record = bench.read().unwrap();
    assert_eq!((record.stack.status, record.resources.is_paused, record.config_version), (Status::Active, true, 1));
    assert!(bench.stacks.updates()[0].parameters.contains(&("PipelineState", "PAUSED".to_owned())));
    let same = block_on(bench.provisioning().set_paused(&caller(), record, true)).unwrap();
    assert_eq!(bench.stacks.updates().len(), 1, "it is paused");
    let changed =
        block_on(bench.provisioning().update_stream(&caller(), same, declared(r#"{"name": "b", "output": {"s3": {}}}"#))).unwrap();
    assert!(changed.resources.is_paused, "another config leaves it paused");
    block_on(bench.provisioning().set_paused(&caller(), changed, false)).unwrap();
    bench.turn(StackStatus::UpdateInProgress, StackStatus::UpdateComplete);
    assert!(!bench.read().unwrap().resources.is_paused);
}
