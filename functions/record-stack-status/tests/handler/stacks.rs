//! Stacks that are created and deleted, and messages that say nothing of them.

use domain::config::SinkChange;
use domain::lifecycle::Status;
use domain::output::S3Settings;
use domain::record::{SinkKind, rfc3339_text};
use domain::system::System;
use serde_json::json;

use crate::bench::{Bench, REASON, SINK_STACK, STREAM_STACK, create_complete, message, news, resource_news, stack_id};

#[tokio::test]
async fn a_stream_is_active_when_its_stack_is_complete() {
    let bench = Bench::new();
    bench.hear(&[create_complete()]).await.unwrap();
    let record = bench.stored().unwrap();
    assert_eq!((record.stack.status, record.revision), (Status::Active, 2));
    assert_eq!(rfc3339_text(record.stack.since), "2026-01-01T00:00:41.712Z", "as of CloudFormation's time");
    assert_eq!(record.updated_by, "tester", "no caller's change");
}

#[tokio::test]
async fn a_rollback_is_a_failure_with_cloudformations_reason_once_it_is_over() {
    let bench = Bench::new();
    bench.hear(&[news(STREAM_STACK, "ROLLBACK_IN_PROGRESS", REASON)]).await.unwrap();
    assert_eq!(bench.status(), (Status::CreateInProgress, Some(REASON.to_owned())));
    bench.hear(&[news(STREAM_STACK, "ROLLBACK_COMPLETE", "")]).await.unwrap();
    assert_eq!(bench.status(), (Status::OperationFailed, Some(REASON.to_owned())));
}

#[tokio::test]
async fn a_failed_creation_has_the_reason_of_the_resource_that_failed_first() {
    let bench = Bench::new();
    let reason = Some("RawStream: Limit exceeded".to_owned());
    let story = [
        (resource_news(STREAM_STACK, "RawStream", "CREATE_IN_PROGRESS", "Resource creation Initiated"), Status::CreateInProgress, None),
        (resource_news(STREAM_STACK, "Delivery", "CREATE_FAILED", "Resource creation cancelled"), Status::CreateInProgress, None),
        (resource_news(STREAM_STACK, "RawStream", "CREATE_FAILED", "Limit exceeded"), Status::CreateInProgress, reason.clone()),
        (resource_news(STREAM_STACK, "ProcessedStream", "CREATE_FAILED", "denied"), Status::CreateInProgress, reason.clone()),
        (news(STREAM_STACK, "ROLLBACK_IN_PROGRESS", REASON), Status::CreateInProgress, reason.clone()),
        (news(STREAM_STACK, "ROLLBACK_COMPLETE", ""), Status::OperationFailed, reason.clone()),
        (resource_news(STREAM_STACK, "ProcessedStream", "CREATE_FAILED", "late"), Status::OperationFailed, reason),
    ];
    for (message, status, reason) in story {
        bench.hear(std::slice::from_ref(&message)).await.unwrap();
        assert_eq!(bench.status(), (status, reason), "{message}");
    }
}

#[tokio::test]
async fn a_failed_resource_of_a_sink_is_the_sinks_reason() {
    let bench = Bench::with_sink();
    bench
        .hear(&[resource_news(SINK_STACK, "Delivery", "CREATE_FAILED", "Limit exceeded"), news(SINK_STACK, "ROLLBACK_COMPLETE", "")])
        .await
        .unwrap();
    let stack = bench.sink().unwrap().stack;
    assert_eq!((stack.status, stack.reason.as_deref()), (Status::OperationFailed, Some("Delivery: Limit exceeded")));
    assert_eq!(bench.status(), (Status::Active, None), "its stream works on");
}

#[tokio::test]
async fn a_failed_deletion_has_the_reason_of_the_resource_that_failed() {
    let bench = Bench::new();
    bench.change(|record| record.stack.start_delete(bench.system.now()));
    let resource = resource_news(STREAM_STACK, "RawStream", "DELETE_FAILED", "access denied");
    bench.hear(&[resource, news(STREAM_STACK, "DELETE_FAILED", "The following resource(s) failed to delete: [RawStream].")]).await.unwrap();
    assert_eq!(bench.status(), (Status::OperationFailed, Some("RawStream: access denied".to_owned())));
}

#[tokio::test]
async fn a_failed_resource_of_another_stack_changes_nothing() {
    let bench = Bench::new();
    let before = bench.stored();
    let old = "arn:aws:cloudformation:eu-west-1:000000000000:stack/mr-test-stream-refuse-trucks-1-0000002a/0";
    let of_old = message(&[
        ("StackId", old),
        ("ResourceType", "AWS::Kinesis::Stream"),
        ("ResourceStatus", "CREATE_FAILED"),
        ("ResourceStatusReason", "Limit exceeded"),
    ]);
    bench.hear(&[of_old, resource_news("mr-test-stream-nobodys-1-00000001", "RawStream", "CREATE_FAILED", "why")]).await.unwrap();
    assert_eq!(bench.stored(), before);
}

#[tokio::test]
async fn a_stack_that_came_after_its_creation_was_called_failed_makes_the_stream_active() {
    let bench = Bench::new();
    bench.change(|record| {
        record.stack.fail("no answer was understood".to_owned(), bench.system.now());
        record.stack.stack_id = None;
    });
    bench.hear(&[create_complete()]).await.unwrap();
    assert_eq!(bench.status(), (Status::Active, None));
    assert_eq!(bench.stored().unwrap().stack.stack_id, Some(stack_id(STREAM_STACK)));
}

#[tokio::test]
async fn late_news_of_a_creation_does_not_bring_back_a_stack_that_someone_deleted() {
    let bench = Bench::new();
    let deleted = message(&[("ResourceStatus", "DELETE_COMPLETE"), ("Timestamp", "2026-01-01T01:00:00Z")]);
    bench.hear(&[create_complete(), deleted]).await.unwrap();
    assert_eq!(bench.status().0, Status::OperationFailed);
    let failed = bench.stored();
    bench.hear(&[create_complete()]).await.unwrap();
    assert_eq!(bench.stored(), failed);
}

#[tokio::test]
async fn a_failure_in_one_message_keeps_its_reason_even_over_several_lines() {
    for status in ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"] {
        let bench = Bench::new();
        bench.hear(&[news(STREAM_STACK, status, "shard limit\nit's exceeded")]).await.unwrap();
        assert_eq!(bench.status(), (Status::OperationFailed, Some("shard limit\nit's exceeded".to_owned())), "{status}");
    }
}

#[tokio::test]
async fn a_sink_has_a_status_of_its_own() {
    let bench = Bench::with_sink();
    bench.hear(&[news(SINK_STACK, "CREATE_COMPLETE", "")]).await.unwrap();
    assert_eq!(bench.sink().unwrap().stack.status, Status::Active);

    let bench = Bench::with_sink();
    bench.hear(&[news(SINK_STACK, "ROLLBACK_COMPLETE", REASON)]).await.unwrap();
    let sink = bench.sink().unwrap();
    assert_eq!((sink.stack.status, sink.stack.reason.as_deref()), (Status::OperationFailed, Some(REASON)));
    assert_eq!(bench.status(), (Status::Active, None), "its stream works on");
}

#[tokio::test]
async fn a_stream_is_removed_when_its_stack_is_gone() {
    let bench = Bench::new();
    bench.change(|record| record.stack.start_delete(bench.system.now()));
    bench.hear(&[news(STREAM_STACK, "DELETE_IN_PROGRESS", "User Initiated")]).await.unwrap();
    assert_eq!(bench.status().0, Status::DeleteInProgress);
    bench.hear(&[news(STREAM_STACK, "DELETE_COMPLETE", "")]).await.unwrap();
    assert_eq!(bench.stored(), None);
}

#[tokio::test]
async fn a_sink_is_removed_when_its_stack_is_gone_and_its_stream_stays() {
    let bench = Bench::with_sink();
    bench.change(|record| record.sinks.get_mut(&SinkKind::S3).unwrap().stack.start_delete(bench.system.now()));
    bench.hear(&[news(SINK_STACK, "DELETE_COMPLETE", "")]).await.unwrap();
    assert_eq!((bench.sink(), bench.status().0), (None, Status::Active));
}

#[tokio::test]
async fn a_deletion_that_fails_keeps_the_stream_and_the_reason() {
    let bench = Bench::new();
    bench.change(|record| record.stack.start_delete(bench.system.now()));
    bench.hear(&[news(STREAM_STACK, "DELETE_FAILED", "RawStream: access denied")]).await.unwrap();
    assert_eq!(bench.status(), (Status::OperationFailed, Some("RawStream: access denied".to_owned())));
}

#[tokio::test]
async fn news_that_comes_twice_or_late_changes_nothing() {
    let bench = Bench::new();
    bench.hear(&[create_complete()]).await.unwrap();
    let active = bench.stored();
    for late in [create_complete(), news(STREAM_STACK, "CREATE_IN_PROGRESS", ""), news(STREAM_STACK, "ROLLBACK_COMPLETE", "late")] {
        bench.hear(&[late]).await.unwrap();
        assert_eq!(bench.stored(), active);
    }
    bench.change(|record| record.stack.start_delete(bench.system.now()));
    let deleting = bench.stored();
    bench.hear(&[create_complete()]).await.unwrap();
    assert_eq!(bench.stored(), deleting);
}

#[tokio::test]
async fn news_of_an_old_stack_is_not_taken_for_the_new_ones() {
    let bench = Bench::new();
    let before = bench.stored();
    let old =
        "arn:aws:cloudformation:eu-west-1:000000000000:stack/mr-test-stream-refuse-trucks-1-0000002a/00000000-0000-0000-0000-000000000000";
    for status in ["CREATE_COMPLETE", "ROLLBACK_COMPLETE", "DELETE_COMPLETE"] {
        let old_news = message(&[("StackId", old), ("PhysicalResourceId", old), ("ResourceStatus", status)]);
        bench.hear(&[old_news]).await.unwrap();
        assert_eq!(bench.stored(), before, "{status}");
    }
}

#[tokio::test]
async fn a_stack_whose_id_is_not_known_yet_is_known_by_its_name() {
    let bench = Bench::new();
    bench.change(|record| record.stack.stack_id = None);
    bench.hear(&[create_complete()]).await.unwrap();
    let stack = bench.stored().unwrap().stack;
    assert_eq!((stack.status, stack.stack_id), (Status::Active, Some(stack_id(STREAM_STACK))));
}

/// Messages that say nothing of a stack of ours.
fn messages_without_news() -> Vec<String> {
    vec![
        String::new(),
        "hello\nworld".to_owned(),
        "='='\n'\n=".to_owned(),
        json!({"Type": "Notification", "ResourceType": "AWS::CloudFormation::Stack"}).to_string(),
        news("mr-test-stream-nobodys-1-00000001", "CREATE_COMPLETE", ""),
        message(&[("ResourceType", "AWS::Kinesis::Stream"), ("LogicalResourceId", "RawStream"), ("PhysicalResourceId", "dp.green")]),
        message(&[("PhysicalResourceId", "arn:of:a:stack:within"), ("LogicalResourceId", "Nested")]),
        news(STREAM_STACK, "SOMETHING_NEW", ""),
        resource_news(STREAM_STACK, "RawStream", "CREATE_FAILED", "Resource creation cancelled"),
        resource_news(STREAM_STACK, "RawStream", "CREATE_FAILED", ""),
        resource_news(STREAM_STACK, "RawStream", "ROLLBACK_FAILED", "why"),
        message(&[("ResourceStatus", "")]),
        message(&[("StackName", "")]),
        message(&[("StackId", "")]),
    ]
}

#[tokio::test]
async fn a_message_without_news_of_ours_changes_nothing() {
    for message in messages_without_news() {
        let bench = Bench::new();
        let before = bench.stored();
        bench.hear(std::slice::from_ref(&message)).await.unwrap();
        assert_eq!(bench.stored(), before, "{message}");
    }
}

#[tokio::test]
async fn no_message_stops_another_of_the_same_event() {
    let bench = Bench::with_sink();
    let mut messages = messages_without_news();
    messages.insert(0, "hello".to_owned());
    messages.push(news(SINK_STACK, "CREATE_COMPLETE", ""));
    bench.hear(&messages).await.unwrap();
    assert_eq!(bench.sink().unwrap().stack.status, Status::Active);
}

#[tokio::test]
async fn a_time_that_cannot_be_read_is_the_time_of_receipt() {
    let bench = Bench::new();
    bench.hear(&[message(&[("Timestamp", "yesterday")])]).await.unwrap();
    let stack = bench.stored().unwrap().stack;
    assert_eq!((stack.status, stack.since), (Status::Active, bench.system.now()));
}

#[tokio::test]
async fn news_is_applied_anew_when_another_writer_was_first() {
    let bench = Bench::new();
    bench.store.conflict_next(2);
    bench.hear(&[create_complete()]).await.unwrap();
    assert_eq!(bench.status().0, Status::Active);

    let bench = Bench::new();
    bench.change(|record| record.stack.start_delete(bench.system.now()));
    bench.store.conflict_next(1);
    bench.hear(&[news(STREAM_STACK, "DELETE_COMPLETE", "")]).await.unwrap();
    assert_eq!(bench.stored(), None);
}

#[tokio::test]
async fn news_that_always_comes_second_is_sent_again_by_sns() {
    let bench = Bench::new();
    bench.store.conflict_next(usize::MAX);
    assert!(bench.hear(&[create_complete()]).await.is_err());
    bench.store.conflict_next(0);
    bench.hear(&[create_complete()]).await.unwrap();
    assert_eq!(bench.status().0, Status::Active);
}

#[tokio::test]
async fn news_that_cannot_be_noted_is_sent_again_by_sns() {
    for passes in [0, 1] {
        let bench = Bench::new();
        bench.store.fail_after(passes);
        assert!(bench.hear(&[create_complete()]).await.is_err(), "the table fails after {passes} calls");
        assert_eq!(bench.status().0, Status::CreateInProgress);
        bench.hear(&[create_complete()]).await.unwrap();
        assert_eq!(bench.status().0, Status::Active);
    }
}

#[tokio::test]
async fn a_sink_that_waited_for_its_stream_is_asked_for_when_the_stream_works() {
    let bench = Bench::new();
    bench.change(|record| {
        record.document.output.s3 = Some(S3Settings::default());
        record.change_sink(SinkKind::S3, SinkChange::Create { stack_name: SINK_STACK.into() }, bench.system.now(), "tester");
    });
    bench.hear(&[news(STREAM_STACK, "REVIEW_IN_PROGRESS", "")]).await.unwrap();
    assert!(bench.stacks.requests().is_empty());
    bench.hear(&[create_complete()]).await.unwrap();
    assert_eq!(bench.status().0, Status::Active);
    let asked: Vec<String> = bench.stacks.requests().into_iter().map(|request| request.name).collect();
    assert_eq!(asked, [SINK_STACK]);
    assert!(bench.sink().unwrap().stack.stack_id.is_some());
}

#[tokio::test]
async fn a_stream_that_waited_for_its_sink_goes_after_it() {
    let bench = Bench::with_sink();
    bench.change(|record| {
        record.stack.start_delete(bench.system.now());
        record.sinks.values_mut().for_each(|sink| sink.stack.start_delete(bench.system.now()));
    });
    bench.hear(&[news(SINK_STACK, "DELETE_COMPLETE", "")]).await.unwrap();
    // The fake knows no such stack: it is gone, and the stream with it.
    assert_eq!(bench.stored(), None);
}
