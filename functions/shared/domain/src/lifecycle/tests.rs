use super::*;
use time::Duration;
use time::macros::datetime;

const START: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

fn news(status: &str, reason: Option<&str>, second: i64) -> StackNews {
    StackNews {
        stack_id: "id-1".into(),
        status: status.parse().unwrap(),
        reason: reason.map(Into::into),
        token: None,
        at: START + Duration::seconds(second),
    }
}

fn creating() -> StackState {
    StackState::creating("mr-stream-x".into(), START)
}

fn failure(operation: Operation, reason: &str) -> ResourceFailure {
    ResourceFailure { stack_id: "id-1".into(), operation, reason: reason.into(), token: None, at: START + Duration::seconds(100) }
}

/// Works since the first second, and is being updated since the tenth.
fn updating() -> StackState {
    let mut state = creating();
    state.observe(&news("CREATE_COMPLETE", None, 1));
    state.start_update(UpdateRequest { token: "update-1".into(), asked_at: START + Duration::seconds(10) });
    state
}

fn with_token(token: &str, news: StackNews) -> StackNews {
    StackNews { token: Some(token.into()), ..news }
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
    assert_eq!(state.observe_resource_failure(&failure(Operation::Create, "RawDataStream: limit exceeded")), Effect::Changed);
    assert_eq!(state.observe_resource_failure(&failure(Operation::Create, "Table: denied")), Effect::None, "the first is the cause");
    assert_eq!(state.observe(&news("ROLLBACK_IN_PROGRESS", Some("failed to create: [RawDataStream]"), 1)), Effect::Changed);
    state.observe(&news("ROLLBACK_COMPLETE", None, 2));
    assert_eq!((state.status, state.reason.as_deref()), (Status::OperationFailed, Some("RawDataStream: limit exceeded")));
    assert_eq!(state.observe_resource_failure(&failure(Operation::Create, "late")), Effect::None);

    let mut state = creating();
    state.observe(&news("CREATE_IN_PROGRESS", None, 0));
    let foreign = ResourceFailure { stack_id: "id-0".into(), ..failure(Operation::Create, "another stack's") };
    assert_eq!(state.observe_resource_failure(&foreign), Effect::None);
    assert_eq!(state.reason, None);
}

#[test]
fn a_deletion_that_fails_has_its_resources_reason() {
    let mut state = creating();
    state.observe(&news("CREATE_COMPLETE", None, 1));
    state.start_delete(START + Duration::seconds(2));
    state.observe_resource_failure(&failure(Operation::Delete, "Bucket: not empty"));
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

#[test]
fn an_update_that_is_done_leaves_its_part_active_as_long_as_before() {
    let mut state = updating();
    assert_eq!(state.observe(&news("UPDATE_IN_PROGRESS", None, 11)), Effect::None);
    assert_eq!(state.observe(&news("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", None, 12)), Effect::None, "nothing else may start yet");
    assert_eq!(state.status, Status::UpdateInProgress);
    assert_eq!(state.observe(&news("UPDATE_COMPLETE", None, 13)), Effect::Updated);
    assert_eq!((state.status, state.reason.as_deref(), state.since), (Status::Active, None, START + Duration::seconds(1)));
}

#[test]
fn a_rolled_back_update_leaves_its_part_active_and_says_why() {
    let mut state = updating();
    assert_eq!(state.observe_resource_failure(&failure(Operation::Update, "RawDataStream: limit exceeded")), Effect::Changed);
    state.observe(&news("UPDATE_ROLLBACK_IN_PROGRESS", Some("failed to update: [RawDataStream]"), 11));
    assert_eq!(state.observe_resource_failure(&failure(Operation::Update, "while rolling back")), Effect::None);
    assert_eq!(state.observe(&news("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", None, 12)), Effect::None);
    assert_eq!(state.observe(&news("UPDATE_ROLLBACK_COMPLETE", None, 13)), Effect::Changed);
    assert_eq!((state.status, state.reason.as_deref()), (Status::Active, Some("RawDataStream: limit exceeded")));
    assert_eq!(state.observe(&news("UPDATE_FAILED", Some("late"), 11)), Effect::None);
}

#[test]
fn a_failed_rollback_is_a_failure_until_an_operator_has_continued_it() {
    let mut state = updating();
    state.observe(&news("UPDATE_FAILED", Some("limit exceeded"), 11));
    assert_eq!(state.status, Status::UpdateInProgress);
    state.observe(&news("UPDATE_ROLLBACK_FAILED", Some("the rollback, too"), 12));
    assert_eq!((state.status, state.reason.as_deref()), (Status::OperationFailed, Some("limit exceeded")));
    assert_eq!(state.observe(&news("UPDATE_ROLLBACK_IN_PROGRESS", None, 11)), Effect::None);
    assert!(state.may_have_news());
    assert_eq!(state.observe(&with_token("Console", news("UPDATE_ROLLBACK_COMPLETE", None, 20))), Effect::Changed);
    assert_eq!((state.status, state.reason.as_deref()), (Status::Active, Some("limit exceeded")), "the update failed all the same");
}

#[test]
fn news_of_an_earlier_update_does_not_end_a_later_one() {
    for status in ["UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "CREATE_COMPLETE"] {
        let mut state = updating();
        assert_eq!(state.observe(&news(status, None, 9)), Effect::None, "{status} by its time");
        let of_another = with_token("update-0", news(status, None, 11));
        assert_eq!(state.observe(&of_another), Effect::None, "{status} by its token, whatever the clocks say");
        assert_eq!(state.status, Status::UpdateInProgress);
        let late = ResourceFailure { token: Some("update-0".into()), ..failure(Operation::Update, "late") };
        assert_eq!(state.observe_resource_failure(&late), Effect::None);
    }
    let mut state = updating();
    assert_eq!(state.observe(&with_token("update-1", news("UPDATE_COMPLETE", None, 9))), Effect::Updated, "a clock may be slow");
}

#[test]
fn a_crash_between_record_and_update_is_seen() {
    for (status, token) in
        [("CREATE_COMPLETE", None), ("UPDATE_COMPLETE", Some("update-0")), ("UPDATE_ROLLBACK_COMPLETE", Some("update-0"))]
    {
        let mut state = updating();
        let answer = StackNews { token: token.map(str::to_owned), ..news(status, Some("an earlier failure"), 20) };
        assert_eq!(state.reconcile(Some(&answer), START), Reconciled::UpdateStack, "{status}: never asked");
        assert_eq!((state.status, state.reason), (Status::UpdateInProgress, None));
    }
    for (status, effect) in
        [("UPDATE_COMPLETE", Effect::Updated), ("UPDATE_ROLLBACK_COMPLETE", Effect::Changed), ("UPDATE_IN_PROGRESS", Effect::None)]
    {
        let answer = with_token("update-1", news(status, Some("why"), 20));
        assert_eq!(updating().reconcile(Some(&answer), START), Reconciled::Effect(effect), "{status}: asked");
    }
}

#[test]
fn a_stack_that_takes_no_update_fails_its_part() {
    for status in ["UPDATE_FAILED", "UPDATE_ROLLBACK_FAILED", "ROLLBACK_COMPLETE", "DELETE_FAILED", "DELETE_COMPLETE"] {
        let mut state = updating();
        let answer = with_token("Console", news(status, Some("why"), 20));
        assert_eq!(state.reconcile(Some(&answer), START), Reconciled::Effect(Effect::Changed), "{status}");
        assert_eq!(state.status, Status::OperationFailed, "{status}");
        assert!(state.reason.is_some());
    }
    let mut state = updating();
    let busy = with_token("Console", news("UPDATE_IN_PROGRESS", None, 20));
    assert_eq!(state.reconcile(Some(&busy), START), Reconciled::Effect(Effect::None), "somebody else is at it");
    assert_eq!(state.reconcile(None, START), Reconciled::Effect(Effect::Changed));
    assert_eq!((state.status, state.reason.as_deref()), (Status::OperationFailed, Some("the stack no longer exists")));
    assert_eq!(state.reconcile(None, START), Reconciled::Effect(Effect::None), "which is no news");
}

#[test]
fn a_stack_that_somebody_deletes_fails_its_part_after_an_update_too() {
    let mut state = updating();
    state.observe(&news("UPDATE_COMPLETE", None, 11));
    assert_eq!(state.observe(&news("DELETE_COMPLETE", None, 12)), Effect::Changed);
    assert_eq!(state.status, Status::OperationFailed);
    assert_eq!(state.observe(&news("UPDATE_COMPLETE", None, 11)), Effect::None);
    assert_eq!(state.observe(&news("DELETE_COMPLETE", None, 12)), Effect::None);
}

#[test]
fn a_stack_that_was_updated_by_hand_was_created() {
    let mut state = creating();
    assert_eq!(state.reconcile(Some(&with_token("Console", news("UPDATE_COMPLETE", None, 5))), START), Reconciled::Effect(Effect::Changed));
    assert_eq!(state.status, Status::Active);
}
