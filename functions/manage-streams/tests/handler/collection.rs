//! The whole set of streams at once.

use domain::access::Scope;
use domain::fakes::active_stream;
use serde_json::json;

use crate::bench::{Bench, DOCUMENT, STREAM};

const SET: &str = "/streams";

#[tokio::test]
async fn a_set_creates_updates_keeps_and_removes() {
    let bench = Bench::with_sink().await;
    for id in ["bus-positions", "glass-bins"] {
        bench.make(&format!("/streams/{id}/1"), "{}").await;
    }
    let set = "bus-positions: {}\nglass-bins/1:\n  name: Glass\nnew-stream: {}\n";
    let plan = bench.post(&format!("{SET}?dry_run=true"), set).await;
    let expected = json!({"created": ["new-stream/1"], "updated": ["glass-bins/1"], "unchanged": ["bus-positions/1"],
                          "deleted": ["refuse-trucks/1"], "dry_run": true});
    assert_eq!((plan.status, plan.body), (200, expected.clone()));
    assert_eq!(bench.get("/streams/new-stream").await.status, 404, "a dry run does nothing");
    assert_eq!(bench.get("/streams/glass-bins").await.body["config_version"], 1);

    let done = bench.post(SET, set).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!((&done.body["created"], &done.body["dry_run"]), (&expected["created"], &json!(false)));
    assert_eq!(bench.get("/streams/new-stream").await.body["status"], "CREATE_IN_PROGRESS");
    assert_eq!(bench.get("/streams/glass-bins").await.body["config"], json!({"name": "Glass"}));
    assert_eq!(bench.get(STREAM).await.body["status"], "DELETE_IN_PROGRESS", "with its sink");
    bench.finish_stacks();
    bench.get(SET).await;
    bench.finish_stacks();
    let left = bench.get(SET).await.body;
    assert_eq!(left.as_object().unwrap().keys().collect::<Vec<_>>(), ["bus-positions", "glass-bins", "new-stream"]);
    let again = bench.post(SET, set).await;
    assert_eq!(again.body["unchanged"], json!(["bus-positions/1", "glass-bins/1", "new-stream/1"]));
}

#[tokio::test]
async fn faults_of_every_document_are_named_with_the_stream_and_nothing_is_done() {
    let bench = Bench::with_stream().await;
    let set = "good-one: {}\nbad-one:\n  nmae: a\nBad Id: {}\nlint: {}\nother:\n  access_rights: secret\n";
    let answer = bench.post(SET, set).await;
    let errors = answer.body["linting_errors"].as_array().unwrap().iter().map(|error| error.as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(answer.status, 400);
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert_eq!(errors[0], "(3,3) bad-one: field nmae not recognised, did you mean name?");
    assert!(errors[1].starts_with("(4,1) ") && errors[2].starts_with("(5,1) "), "{errors:?}");
    assert!(errors[3].starts_with("(7,18) other: value secret"), "{errors:?}");
    assert_eq!(bench.get("/streams/good-one").await.status, 404);
    assert_eq!(bench.get(STREAM).await.body["status"], "ACTIVE");
    for no_set in ["[]", "hello", "{\"a", "refuse-trucks: {}\nrefuse-trucks/1: {}\n"] {
        assert_eq!(bench.post(SET, no_set).await.status, 400, "{no_set}");
    }
    let fixed = bench.post(SET, "refuse-trucks: {}\n").await;
    assert_eq!(fixed.status, 400, "access_rights is fixed: {}", fixed.body);
}

#[tokio::test]
async fn an_empty_set_needs_a_word_more() {
    let bench = Bench::with_stream().await;
    for body in ["{}", ""] {
        let answer = bench.post(SET, body).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["pointer"]), (400, &json!("/confirm")));
    }
    let answer = bench.post(&format!("{SET}?confirm=delete-all"), "{}").await;
    assert_eq!((answer.status, &answer.body["deleted"]), (200, &json!(["refuse-trucks/1"])));
}

#[tokio::test]
async fn a_stream_that_cannot_change_now_stops_the_whole_set() {
    let bench = Bench::with_stream().await;
    bench.post("/streams/bus-positions/1", "{}").await;
    let set = format!("refuse-trucks: {DOCUMENT}\nbus-positions:\n  name: b\nnew-stream: {{}}\n");
    let answer = bench.post(SET, &set).await;
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert_eq!(answer.body["errors"], json!([{"pointer": "/bus-positions~11", "detail": "stream is CREATE_IN_PROGRESS"}]));
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(bench.get("/streams/new-stream").await.status, 404);
}

#[tokio::test]
async fn a_set_is_the_owners_alone_and_an_admin_may_name_the_owner() {
    let bench = Bench::with_stream().await;
    bench.store.insert(active_stream("metro", "1", "transport"));
    let taken = bench.post(SET, &format!("refuse-trucks: {DOCUMENT}\nmetro: {{}}\n")).await;
    assert_eq!(taken.status, 409, "{}", taken.body);
    assert_eq!(taken.body["errors"][0], json!({"pointer": "/metro~11", "detail": "stream metro/1 already exists"}));
    let admin = bench.token("operations", Scope::Admin);
    let plan = bench.call_as(Some(&admin), "POST", "/streams?owner=transport&dry_run=true&confirm=delete-all", Some("{}")).await;
    assert_eq!(plan.body["deleted"], json!(["metro/1"]));
}
