//! Updates: the pending config runs when its stack is ready, and is dropped when the stack is back where it was.

use domain::config::PendingConfig;
use domain::lifecycle::{Status, UpdateRequest};
use domain::record::{StreamRecord, StreamResources};
use domain::system::System;
use serde_json::json;

use crate::bench::{Bench, STREAM_STACK, message, stack_id};

/// The update that runs.
const TOKEN: &str = "update-000000000000002c";
/// One before it.
const OLD_TOKEN: &str = "update-000000000000002b";
const REASON: &str = "RawDataStream: Limit exceeded";

impl Bench {
    /// `refuse-trucks/1` is ACTIVE, and an update to config 2 was asked for.
    fn with_update() -> Self {
        let bench = Self::new();
        bench.change(|record| {
            record.stack.status = Status::Active;
            let number = record.last_config_version + 1;
            let resources = StreamResources { retention_hours: 48, ..record.resources.clone() };
            record.pending = Some(PendingConfig {
                number,
                posted: wanted(),
                document: record.document.clone(),
                resources,
                sinks: Default::default(),
                accepted_at: record.updated_at,
                accepted_by: "tester".into(),
            });
            record.last_config_version = number;
            record.stack.start_update(UpdateRequest { token: TOKEN.to_owned(), asked_at: bench.system.now() });
        });
        bench
    }

    fn record(&self) -> StreamRecord {
        self.stored().unwrap()
    }

    /// Status, number of the config that runs, whether another waits, and the reason.
    fn update(&self) -> (Status, u32, bool, Option<String>) {
        let record = self.record();
        (record.stack.status, record.config_version, record.pending.is_some(), record.stack.reason)
    }
}

fn wanted() -> serde_json::Value {
    json!({"access_rights": "public", "input": {"timestamp": "$.time"}, "buffer": {"kinesis": {"retention_hours": 48}}})
}

fn running(reason: Option<&str>) -> (Status, u32, bool, Option<String>) {
    (Status::UpdateInProgress, 1, true, reason.map(str::to_owned))
}

fn dropped(reason: &str) -> (Status, u32, bool, Option<String>) {
    (Status::Active, 1, false, Some(reason.to_owned()))
}

/// What CloudFormation says of the stream's stack, because of this request.
fn news(status: &str, reason: &str, token: &str) -> String {
    message(&[("ResourceStatus", status), ("ResourceStatusReason", reason), ("ClientRequestToken", token)])
}

/// What CloudFormation says of a resource of that stack, because of this request.
fn resource_news(resource: &str, status: &str, reason: &str, token: &str) -> String {
    message(&[
        ("LogicalResourceId", resource),
        ("PhysicalResourceId", "dp.green.refuse-trucks.raw.1.json"),
        ("ResourceType", "AWS::Kinesis::Stream"),
        ("ResourceStatus", status),
        ("ResourceStatusReason", reason),
        ("ClientRequestToken", token),
    ])
}

#[tokio::test]
async fn the_pending_config_runs_when_its_stack_is_ready() {
    let bench = Bench::with_update();
    let since = bench.record().stack.since;
    for status in ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"] {
        bench.hear(&[news(status, "", TOKEN)]).await.unwrap();
        assert_eq!(bench.update(), running(None), "{status}");
    }
    bench.hear(&[news("UPDATE_COMPLETE", "", TOKEN)]).await.unwrap();
    assert_eq!(bench.update(), (Status::Active, 2, false, None));
    let record = bench.record();
    assert_eq!((record.posted, record.resources.retention_hours, record.stack.since), (wanted(), 48, since));
    assert_eq!(record.updated_by, "tester", "no caller's change");
}

#[tokio::test]
async fn a_rolled_back_update_drops_the_pending_config_and_keeps_the_reason_of_the_resource_that_failed_first() {
    let bench = Bench::with_update();
    let before = bench.record();
    let story = [
        (news("UPDATE_IN_PROGRESS", "User Initiated", TOKEN), running(None)),
        (resource_news("RawDataStream", "UPDATE_IN_PROGRESS", "", TOKEN), running(None)),
        (resource_news("DeadLetterRole", "UPDATE_FAILED", "Resource update cancelled", TOKEN), running(None)),
        (resource_news("RawDataStream", "UPDATE_FAILED", "Limit exceeded", TOKEN), running(Some(REASON))),
        (resource_news("ProcessedDataStream", "UPDATE_FAILED", "denied", TOKEN), running(Some(REASON))),
        (news("UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed to update: [RawDataStream].", TOKEN), running(Some(REASON))),
        (news("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "", TOKEN), running(Some(REASON))),
        (news("UPDATE_ROLLBACK_COMPLETE", "", TOKEN), dropped(REASON)),
        (resource_news("ProcessedDataStream", "UPDATE_FAILED", "late", TOKEN), dropped(REASON)),
    ];
    for (message, expected) in story {
        bench.hear(std::slice::from_ref(&message)).await.unwrap();
        assert_eq!(bench.update(), expected, "{message}");
    }
    let after = bench.record();
    assert_eq!((after.posted, after.document, after.resources), (before.posted, before.document, before.resources));
    assert_eq!(after.last_config_version, 2, "its number stays taken");
}

#[tokio::test]
async fn a_resource_that_an_update_could_not_create_gives_the_reason_too() {
    let bench = Bench::with_update();
    bench.hear(&[resource_news("RawDataStream", "CREATE_FAILED", "Limit exceeded", TOKEN)]).await.unwrap();
    assert_eq!(bench.update(), running(Some(REASON)));
}

#[tokio::test]
async fn a_resource_that_is_not_cleaned_up_after_an_update_is_no_reason() {
    let bench = Bench::with_update();
    let cleanup = resource_news("RawDataStream", "DELETE_FAILED", "in use", TOKEN);
    bench.hear(&[cleanup, news("UPDATE_COMPLETE", "", TOKEN)]).await.unwrap();
    assert_eq!(bench.update(), (Status::Active, 2, false, None));
}

#[tokio::test]
async fn a_rollback_that_says_why_itself_gives_the_reason() {
    let bench = Bench::with_update();
    bench.hear(&[news("UPDATE_ROLLBACK_COMPLETE", "no quota", TOKEN)]).await.unwrap();
    assert_eq!(bench.update(), dropped("no quota"));
}

#[tokio::test]
async fn a_rollback_that_fails_fails_the_stream_until_an_operator_has_continued_it() {
    let bench = Bench::with_update();
    bench.hear(&[news("UPDATE_ROLLBACK_FAILED", "denied", TOKEN)]).await.unwrap();
    assert_eq!(bench.update(), (Status::OperationFailed, 1, false, Some("denied".to_owned())));
    bench.hear(&[news("UPDATE_ROLLBACK_IN_PROGRESS", "", "by-hand")]).await.unwrap();
    assert_eq!(bench.update().0, Status::OperationFailed);
    bench.hear(&[news("UPDATE_ROLLBACK_COMPLETE", "", "by-hand")]).await.unwrap();
    assert_eq!(bench.update(), dropped("denied"));
}

#[tokio::test]
async fn news_of_another_request_does_not_end_the_update() {
    let bench = Bench::with_update();
    let before = bench.stored();
    for token in [OLD_TOKEN, "Console-UpdateStack-5d1c", STREAM_STACK] {
        for status in
            ["UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_IN_PROGRESS", "CREATE_COMPLETE"]
        {
            bench.hear(&[news(status, "not ours", token)]).await.unwrap();
            assert_eq!(bench.stored(), before, "{status} by {token}");
        }
        bench.hear(&[resource_news("RawDataStream", "UPDATE_FAILED", "not ours", token)]).await.unwrap();
        assert_eq!(bench.stored(), before, "a resource by {token}");
    }
}

#[tokio::test]
async fn news_of_a_stack_that_had_the_name_before_changes_nothing() {
    let bench = Bench::with_update();
    let before = bench.stored();
    let old = format!("{}-old", stack_id(STREAM_STACK));
    for status in ["UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "DELETE_COMPLETE"] {
        let of_old = [("StackId", old.as_str()), ("PhysicalResourceId", &old), ("ResourceStatus", status), ("ClientRequestToken", TOKEN)];
        bench.hear(&[message(&of_old)]).await.unwrap();
        assert_eq!(bench.stored(), before, "{status}");
    }
}

#[tokio::test]
async fn news_that_comes_twice_or_late_changes_nothing() {
    for (end, late) in [("UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"), ("UPDATE_ROLLBACK_COMPLETE", "UPDATE_COMPLETE")] {
        let bench = Bench::with_update();
        bench.hear(&[news(end, REASON, TOKEN)]).await.unwrap();
        let ended = bench.stored();
        for status in [end, "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", late] {
            bench.hear(&[news(status, "late", TOKEN)]).await.unwrap();
            assert_eq!(bench.stored(), ended, "{status} after {end}");
        }
    }
}

#[tokio::test]
async fn news_of_an_update_does_not_stop_the_deletion_that_came_after_it() {
    let bench = Bench::with_update();
    bench.hear(&[news("UPDATE_ROLLBACK_FAILED", "denied", TOKEN)]).await.unwrap();
    bench.change(|record| record.stack.start_delete(bench.system.now()));
    let deleting = bench.stored();
    for status in ["UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"] {
        bench.hear(&[news(status, "late", TOKEN)]).await.unwrap();
        assert_eq!(bench.stored(), deleting, "{status}");
    }
}

#[tokio::test]
async fn news_without_a_token_counts_from_the_time_of_the_request_on() {
    let bench = Bench::with_update();
    bench.system.advance(std::time::Duration::from_secs(3_600));
    let asked_at = bench.system.now();
    bench.change(|record| record.stack.start_update(UpdateRequest { token: TOKEN.to_owned(), asked_at }));
    let untold = |at: &str| message(&[("ResourceStatus", "UPDATE_COMPLETE"), ("ClientRequestToken", "null"), ("Timestamp", at)]);
    bench.hear(&[untold("2026-01-01T00:59:59Z")]).await.unwrap();
    assert_eq!(bench.update(), running(None), "from before");
    bench.hear(&[untold("2026-01-01T01:00:07Z")]).await.unwrap();
    assert_eq!(bench.update(), (Status::Active, 2, false, None));
}

#[tokio::test]
async fn a_stack_that_somebody_deletes_meanwhile_fails_the_stream() {
    let bench = Bench::with_update();
    bench.hear(&[news("DELETE_COMPLETE", "", "by-hand")]).await.unwrap();
    assert_eq!(bench.update(), (Status::OperationFailed, 1, false, Some("the stack was deleted by someone else".to_owned())));
}

#[tokio::test]
async fn the_swap_is_applied_anew_when_another_writer_was_first() {
    let bench = Bench::with_update();
    bench.store.conflict_next(2);
    bench.hear(&[news("UPDATE_COMPLETE", "", TOKEN)]).await.unwrap();
    assert_eq!(bench.update(), (Status::Active, 2, false, None));
    assert_eq!(bench.record().revision, 2, "in one write");
}
