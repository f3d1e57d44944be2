//! Updates that CloudFormation undoes, refuses, forgets or cannot undo: what ran before runs on.

use domain::lifecycle::StackStatus;
use domain::limits::RECONCILE_AFTER;
use domain::provision::ProvisionFault;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::bench::{Bench, DOCUMENT, RENAMED, RETAINED, STREAM, key, outcome};

impl Bench {
    fn stack_name(&self) -> String {
        self.store.stored(&key("refuse-trucks", "1")).unwrap().stack.stack_name
    }
}

fn parsed(document: &str) -> Value {
    serde_json::from_str(document).unwrap()
}

#[tokio::test]
async fn an_update_that_is_rolled_back_leaves_the_old_config_running_and_says_why() {
    let bench = Bench::with_stream().await;
    let before = bench.store.stored(&key("refuse-trucks", "1")).unwrap();
    bench.put(STREAM, RETAINED).await;
    bench.fail_stacks("RawDataStream: limit exceeded");
    let answer = bench.get(STREAM).await;
    assert_eq!(outcome(&answer), ("ACTIVE", 1, Some("RawDataStream: limit exceeded")));
    assert_eq!((&answer.body["config"], &answer.body["pending"], &answer.body["active"]), (&parsed(DOCUMENT), &Value::Null, &json!(true)));
    assert_eq!(answer.header("etag"), Some("\"1\""), "the old tag is back");
    let after = bench.store.stored(&key("refuse-trucks", "1")).unwrap();
    assert_eq!((after.resources, after.document), (before.resources, before.document));

    let again = bench.put(STREAM, RETAINED).await;
    assert_eq!((outcome(&again), again.header("etag")), (("UPDATE_IN_PROGRESS", 1, None), Some("\"3\"")), "no number is used twice");
    bench.finish_stacks();
    assert_eq!(outcome(&bench.get(STREAM).await), ("ACTIVE", 3, None));
}

#[tokio::test]
async fn the_reason_of_a_failed_update_goes_with_the_next_good_one() {
    let bench = Bench::with_stream().await;
    bench.put(STREAM, RETAINED).await;
    bench.fail_stacks("RawDataStream: limit exceeded");
    let good = bench.put(STREAM, RENAMED).await;
    assert_eq!(outcome(&good), ("ACTIVE", 3, None));
}

#[tokio::test]
async fn an_update_that_is_refused_outright_is_a_conflict_in_cloudformations_words() {
    let bench = Bench::with_stream().await;
    bench.stacks.fail_next(ProvisionFault::Refused("ValidationError: Parameter RetentionHours failed to satisfy constraint".into()));
    assert_snapshot!(bench.put(STREAM, RETAINED).await.shown(), @r#"
    409
    content-type: application/problem+json

    detail: "the stream's stack cannot be updated: ValidationError: Parameter RetentionHours failed to satisfy constraint"
    request_id: [request id]
    status: 409
    title: "Conflict"
    type: "urn:millrace:problem:conflict"
    "#);
    let answer = bench.get(STREAM).await;
    assert_eq!(outcome(&answer), ("ACTIVE", 1, Some("ValidationError: Parameter RetentionHours failed to satisfy constraint")));
    assert_eq!((&answer.body["config"], &answer.body["pending"]), (&parsed(DOCUMENT), &Value::Null));
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(outcome(&bench.put(STREAM, RETAINED).await), ("UPDATE_IN_PROGRESS", 1, None), "and can be tried again");
}

#[tokio::test]
async fn an_update_that_cloudformation_did_not_hear_of_is_asked_for_again_by_a_later_read() {
    let bench = Bench::with_stream().await;
    bench.stacks.fail_next(ProvisionFault::Transient("throttled".into()));
    assert_eq!(outcome(&bench.put(STREAM, RETAINED).await), ("UPDATE_IN_PROGRESS", 1, None));
    assert!(bench.stacks.updates().is_empty());
    bench.system.advance(RECONCILE_AFTER);
    assert_eq!(outcome(&bench.get(STREAM).await), ("UPDATE_IN_PROGRESS", 1, None));
    assert_eq!(bench.stacks.updates().len(), 1);
    bench.finish_stacks();
    assert_eq!(outcome(&bench.get(STREAM).await), ("ACTIVE", 2, None));
    assert_eq!(bench.stacks.updates().len(), 1, "and only once");
}

#[tokio::test]
async fn an_update_whose_answer_got_lost_is_not_asked_for_twice() {
    let bench = Bench::with_stream().await;
    bench.stacks.lose_next_answer();
    assert_eq!(outcome(&bench.put(STREAM, RETAINED).await), ("UPDATE_IN_PROGRESS", 1, None));
    bench.finish_stacks();
    assert_eq!(outcome(&bench.get(STREAM).await), ("ACTIVE", 2, None));
    assert_eq!(bench.stacks.updates().len(), 1);
}

#[tokio::test]
async fn a_stack_that_somebody_else_broke_meanwhile_fails_the_stream() {
    let bench = Bench::with_stream().await;
    bench.stacks.fail_next(ProvisionFault::Transient("throttled".into()));
    bench.put(STREAM, RETAINED).await;
    bench.stacks.update_by_hand(&bench.stack_name(), |_| {});
    bench.stacks.turn_all(StackStatus::UpdateComplete, StackStatus::UpdateRollbackFailed, Some("changed by hand"));
    bench.system.advance(RECONCILE_AFTER);
    assert_eq!(outcome(&bench.get(STREAM).await), ("OPERATION_FAILED", 1, Some("changed by hand")));
    assert!(bench.stacks.updates().is_empty());
}

#[tokio::test]
async fn a_stack_that_is_as_wanted_already_makes_the_config_run_at_once() {
    let bench = Bench::with_stream().await;
    bench.stacks.update_by_hand(&bench.stack_name(), |made| {
        let retention = made.parameters.iter_mut().find(|(name, _)| *name == "RetentionHours").unwrap();
        retention.1 = "48".into();
        let age = made.parameters.iter_mut().find(|(name, _)| *name == "MaximumRecordAgeSeconds").unwrap();
        age.1 = (47 * 3_600).to_string();
    });
    let answer = bench.put(STREAM, RETAINED).await;
    assert_eq!((outcome(&answer), answer.header("etag")), (("ACTIVE", 2, None), Some("\"2\"")));
    assert_eq!((&answer.body["config"], &answer.body["pending"]), (&parsed(RETAINED), &Value::Null));
}

#[tokio::test]
async fn an_update_that_cannot_be_undone_fails_the_stream_and_says_the_way_out() {
    let bench = Bench::with_stream().await;
    bench.put(STREAM, RETAINED).await;
    bench.stacks.turn_all(StackStatus::UpdateInProgress, StackStatus::UpdateRollbackFailed, Some("RawDataStream: denied"));
    bench.system.advance(RECONCILE_AFTER);
    let failed = bench.get(STREAM).await;
    assert_eq!(outcome(&failed), ("OPERATION_FAILED", 1, Some("RawDataStream: denied")));
    assert_eq!((&failed.body["config"], &failed.body["pending"]), (&parsed(DOCUMENT), &Value::Null));
    assert_snapshot!(bench.put(STREAM, RENAMED).await.shown(), @r#"
    409
    content-type: application/problem+json

    detail: "the stream is OPERATION_FAILED: an update failed and could not be undone; delete it, or let an operator continue the rollback of stack mr-test-stream-refuse-trucks-1-2e728119"
    request_id: [request id]
    status: 409
    title: "Conflict"
    type: "urn:millrace:problem:conflict"
    "#);

    bench.stacks.turn_all(StackStatus::UpdateRollbackFailed, StackStatus::UpdateRollbackComplete, None);
    bench.system.advance(RECONCILE_AFTER);
    assert_eq!(outcome(&bench.get(STREAM).await), ("ACTIVE", 1, Some("RawDataStream: denied")), "the operator continued the rollback");
    assert_eq!(outcome(&bench.put(STREAM, RENAMED).await), ("ACTIVE", 3, None));
}

#[tokio::test]
async fn a_stream_whose_update_cannot_be_undone_can_be_deleted() {
    let bench = Bench::with_stream().await;
    bench.put(STREAM, RETAINED).await;
    bench.stacks.turn_all(StackStatus::UpdateInProgress, StackStatus::UpdateRollbackFailed, Some("RawDataStream: denied"));
    bench.system.advance(RECONCILE_AFTER);
    assert_eq!(bench.delete(STREAM).await.body["status"], "DELETE_IN_PROGRESS");
    bench.finish_stacks();
    assert_eq!(bench.get(STREAM).await.status, 404);
    assert_eq!(bench.post(STREAM, DOCUMENT).await.status, 201);
}

#[tokio::test]
async fn whichever_write_of_an_update_fails_the_answer_is_503_and_trying_again_helps() {
    let mut faults = 0;
    for passes in 0..10 {
        let bench = Bench::with_stream().await;
        bench.store.fail_after(passes);
        let answer = bench.put(STREAM, RETAINED).await;
        bench.store.fail_next(0);
        if answer.status == 200 {
            break;
        }
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "after {passes} calls");
        faults += 1;
        assert_eq!(bench.get(STREAM).await.body["config"], parsed(DOCUMENT), "after {passes} calls");
        assert_eq!(bench.put(STREAM, RETAINED).await.status, 200, "after {passes} calls");
        bench.finish_stacks();
        assert_eq!(bench.get(STREAM).await.body["config"], parsed(RETAINED), "after {passes} calls");
        assert_eq!(bench.stacks.updates().len(), 1, "after {passes} calls");
    }
    assert!(faults >= 2, "the look-up, and the write");
}
