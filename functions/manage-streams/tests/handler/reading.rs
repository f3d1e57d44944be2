//! Lists and single streams, and how they come to know what CloudFormation did.

use std::time::Duration;

use domain::access::Scope;
use domain::fakes::active_stream;
use domain::lifecycle::StackStatus;
use domain::limits::RECONCILE_AFTER;
use domain::provision::ProvisionFault;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::bench::{Bench, DOCUMENT, NEWEST, STREAM, key};

fn names(list: &Value) -> Vec<&str> {
    list.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn nothing_is_an_empty_list() {
    let answer = Bench::new().get("/streams").await;
    assert_eq!((answer.status, answer.body), (200, json!({})));
}

#[tokio::test]
async fn a_list_names_the_newest_version_by_id_and_older_ones_by_version_too() {
    let bench = Bench::new();
    for (id, version) in [("refuse-trucks", "9"), ("refuse-trucks", "10"), ("refuse-trucks", "1.5"), ("glass-bins", "2")] {
        bench.store.insert(active_stream(id, version, "waste"));
    }
    bench.store.insert(active_stream("bus-positions", "1", "transport"));
    let answer = bench.get("/streams").await;
    assert_eq!(names(&answer.body), ["glass-bins", "refuse-trucks", "refuse-trucks/1.5", "refuse-trucks/9"]);
    assert_eq!(answer.body["refuse-trucks"]["version"], "10");
    bench.system.advance(Duration::from_secs(3_723));
    assert_snapshot!(bench.get("/streams").await.body["refuse-trucks"], @r#"{"active":true,"status":"ACTIVE","uptime":3723.0,"uptime_str":"1h2m3s","version":"10"}"#);
}

#[tokio::test]
async fn a_list_holds_the_callers_own_streams_even_for_an_admin() {
    let bench = Bench::with_stream().await;
    for (owner, scope) in [("transport", Scope::Manage), ("operations", Scope::Admin)] {
        let token = bench.token(owner, scope);
        assert_eq!(bench.call_as(Some(&token), "GET", "/streams", None).await.body, json!({}), "{owner}");
    }
}

#[tokio::test]
async fn a_list_is_up_to_date_with_cloudformation() {
    let bench = Bench::new();
    bench.post(STREAM, DOCUMENT).await;
    bench.post("/streams/glass-bins/1", "{}").await;
    assert_eq!(bench.get("/streams").await.body["refuse-trucks"]["active"], false);
    bench.finish_stacks();
    let list = bench.get("/streams").await.body;
    assert_eq!((&list["refuse-trucks"]["status"], &list["glass-bins"]["active"]), (&json!("ACTIVE"), &json!(true)));
    bench.delete(STREAM).await;
    bench.finish_stacks();
    assert_eq!(names(&bench.get("/streams").await.body), ["glass-bins"]);
}

#[tokio::test]
async fn an_older_version_takes_the_id_when_the_newest_is_gone() {
    let bench = Bench::with_stream().await;
    bench.make("/streams/refuse-trucks/2", "{}").await;
    bench.delete(NEWEST).await;
    bench.finish_stacks();
    let list = bench.get("/streams").await.body;
    assert_eq!((names(&list), &list["refuse-trucks"]["version"]), (vec!["refuse-trucks"], &json!("1")));
    assert_eq!(bench.get(NEWEST).await.body["version"], "1");
}

#[tokio::test]
async fn a_stream_becomes_active_when_its_stack_is_complete() {
    let bench = Bench::new();
    bench.post(STREAM, DOCUMENT).await;
    bench.system.advance(RECONCILE_AFTER);
    assert_eq!(bench.get(STREAM).await.body["status"], "CREATE_IN_PROGRESS");
    bench.finish_stacks();
    assert_eq!(bench.get(STREAM).await.body["status"], "ACTIVE");
    // The fake's stacks are complete at 2026-01-02T00:00:00Z.
    bench.system.advance(Duration::from_secs(24 * 60 * 60));
    let token = bench.issuer.sign(&bench.issuer.claims("waste", &[Scope::Manage], bench.system.as_ref()));
    assert_snapshot!(bench.call_as(Some(&token), "GET", STREAM, None).await.shown(), @r#"
    200
    content-type: application/json

    access_rights: "public"
    active: true
    confidentiality: "green"
    config: {"access_rights":"public","buffer":{"kinesis":{"shards":2}},"input":{"timestamp":"$.time"},"metadata":{"team":"waste"},"name":"Refuse trucks"}
    config_version: 1
    created_at: "2026-01-01T00:00:00Z"
    created_by: "tester"
    id: "refuse-trucks"
    ingest_id: "is-gbbofKUG"
    owner: "waste"
    paused: false
    processed_stream: "dp.green.refuse-trucks.processed.1.json"
    raw_stream: "dp.green.refuse-trucks.raw.1.json"
    sinks: []
    status: "ACTIVE"
    updated_at: "2026-01-01T00:00:00Z"
    updated_by: "tester"
    uptime: 4.0
    uptime_str: "4s"
    version: "1"
    "#);
}

#[tokio::test]
async fn a_stack_is_not_asked_about_right_after_a_change_nor_by_every_reader() {
    let bench = Bench::new();
    bench.post(STREAM, DOCUMENT).await;
    bench.stacks.turn_all(StackStatus::CreateInProgress, StackStatus::CreateComplete, None);
    assert_eq!(bench.get(STREAM).await.body["status"], "CREATE_IN_PROGRESS", "just created");

    let bench = Bench::new();
    bench.post(STREAM, DOCUMENT).await;
    bench.system.advance(RECONCILE_AFTER);
    bench.get(STREAM).await;
    bench.stacks.turn_all(StackStatus::CreateInProgress, StackStatus::CreateComplete, None);
    assert_eq!(bench.get(STREAM).await.body["status"], "CREATE_IN_PROGRESS", "just asked");
    bench.system.advance(RECONCILE_AFTER);
    assert_eq!(bench.get(STREAM).await.body["status"], "ACTIVE");
}

#[tokio::test]
async fn a_cloudformation_that_does_not_answer_leaves_the_status_as_it_was() {
    let bench = Bench::with_script([
        ProvisionFault::Transient("creation timed out".into()),
        ProvisionFault::Transient("throttled".into()),
        ProvisionFault::Refused("not authorized".into()),
    ]);
    bench.post(STREAM, DOCUMENT).await;
    for _ in 0..2 {
        bench.system.advance(RECONCILE_AFTER);
        let answer = bench.get(STREAM).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("CREATE_IN_PROGRESS")));
    }
}

#[tokio::test]
async fn a_failed_stack_shows_its_reason_and_can_be_deleted_and_created_again() {
    let bench = Bench::new();
    bench.post(STREAM, DOCUMENT).await;
    bench.fail_stacks("RawStream: shard limit exceeded");
    let answer = bench.get(STREAM).await;
    assert_eq!((answer.status, &answer.body["active"]), (200, &json!(false)));
    assert_eq!(answer.body["status"], "OPERATION_FAILED");
    assert_eq!(answer.body["reason"], "RawStream: shard limit exceeded");

    let answer = bench.delete(STREAM).await;
    assert_eq!((answer.status, &answer.body["status"], &answer.body["reason"]), (200, &json!("DELETE_IN_PROGRESS"), &Value::Null));
    bench.finish_stacks();
    assert_eq!(bench.get(STREAM).await.status, 404);
    bench.make(STREAM, DOCUMENT).await;
    assert_eq!(bench.get(STREAM).await.body["status"], "ACTIVE");
    let names: Vec<String> = bench.stacks.requests().into_iter().map(|request| request.name).collect();
    assert_ne!(names[0], names[1], "late news of the first stack is no news of the second");
}

#[tokio::test]
async fn an_id_without_a_version_is_its_newest_version_by_number() {
    let bench = Bench::new();
    for version in ["9", "10", "1.11"] {
        bench.store.insert(active_stream("refuse-trucks", version, "waste"));
    }
    assert_eq!(bench.get(NEWEST).await.body["version"], "10");
    assert_eq!(bench.get("/streams/refuse-trucks/1.11").await.body["version"], "1.11");
    assert_eq!(bench.delete(NEWEST).await.body["version"], "10");
    assert_eq!(bench.store.stored(&key("refuse-trucks", "9")).unwrap().stack.status.as_str(), "ACTIVE");
}
