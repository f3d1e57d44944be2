//! Streams that are declared, and documents and names that are refused.

use domain::access::Scope;
use domain::fakes::active_stream;
use domain::limits::MAX_BODY_BYTES;
use domain::provision::ProvisionFault;
use http_edge::testing::{event, send};
use insta::{allow_duplicates, assert_snapshot};
use serde_json::json;

use crate::bench::{Bench, DOCUMENT, NEWEST, STREAM, key};

#[tokio::test]
async fn a_version_is_created_with_201_and_its_location() {
    let bench = Bench::new();
    assert_snapshot!(bench.post(STREAM, DOCUMENT).await.shown(), @r#"
    201
    content-type: application/json
    location: /streams/refuse-trucks/1

    access_rights: "public"
    active: false
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
    status: "CREATE_IN_PROGRESS"
    updated_at: "2026-01-01T00:00:00Z"
    updated_by: "tester"
    uptime: 0.0
    uptime_str: "0s"
    version: "1"
    "#);
    let asked = bench.stacks.requests();
    let parameter = |name: &str| asked[0].parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    assert_eq!(asked.len(), 1);
    assert_eq!(parameter("ShardCount").as_deref(), Some("2"));
    assert_eq!(parameter("RetentionHours").as_deref(), Some("24"), "the deployment's default");
    assert!(asked[0].tags.contains(&("team".into(), "waste".into())));
    assert!(asked[0].tags.contains(&("created_by".into(), "tester".into())));
}

#[tokio::test]
async fn an_id_alone_creates_version_1_with_200() {
    let bench = Bench::new();
    let answer = bench.post(NEWEST, "{}").await;
    assert_eq!((answer.status, answer.header("location")), (200, Some(STREAM)));
    assert_eq!((&answer.body["version"], &answer.body["status"]), (&json!("1"), &json!("CREATE_IN_PROGRESS")));
}

#[tokio::test]
async fn an_empty_document_is_a_private_stream() {
    for body in ["{}", "", " \n"] {
        let answer = Bench::new().post(STREAM, body).await;
        assert_eq!(answer.status, 201, "{body:?}");
        assert_eq!(answer.body["access_rights"], "non-public");
        assert_eq!(answer.body["raw_stream"], "dp.red.refuse-trucks.raw.1.json");
    }
}

#[tokio::test]
async fn creating_twice_is_a_conflict_and_asks_for_one_stack() {
    for path in [STREAM, NEWEST] {
        let bench = Bench::new();
        bench.post(path, DOCUMENT).await;
        let before = bench.store.stored(&key("refuse-trucks", "1"));
        let refused = bench.post(STREAM, "{}").await.shown();
        allow_duplicates! {
            assert_snapshot!(refused, @r#"
        409
        content-type: application/problem+json

        detail: "stream refuse-trucks/1 already exists"
        request_id: [request id]
        status: 409
        title: "Conflict"
        type: "urn:millrace:problem:conflict"
        "#);
        }
        assert_eq!(bench.post(NEWEST, "{}").await.shown(), refused);
        assert_eq!(bench.stacks_asked_for(), 1);
        assert_eq!(bench.store.stored(&key("refuse-trucks", "1")), before, "and changes nothing");
    }
}

#[tokio::test]
async fn an_id_with_any_version_is_not_created_anew_without_one() {
    let bench = Bench::new();
    bench.post("/streams/refuse-trucks/3", "{}").await;
    let answer = bench.post(NEWEST, "{}").await;
    assert_eq!((answer.status, &answer.body["detail"]), (409, &json!("stream refuse-trucks/3 already exists")));
    assert_eq!(bench.post("/streams/refuse-trucks/3.1", "{}").await.status, 201, "another version is another stream");
}

#[tokio::test]
async fn an_id_of_another_owner_is_a_conflict_in_the_same_words() {
    let bench = Bench::with_stream().await;
    let own = bench.post(STREAM, "{}").await.shown();
    let other = bench.token("transport", Scope::Manage);
    for path in [STREAM, NEWEST] {
        assert_eq!(bench.call_as(Some(&other), "POST", path, Some("{}")).await.shown(), own, "{path}");
    }
    let answer = bench.call_as(Some(&other), "POST", "/streams/refuse-trucks/2", Some("{}")).await;
    assert_eq!(answer.status, 409, "every version of the id is taken");
    assert_eq!(bench.stacks_asked_for(), 1);
}

#[tokio::test]
async fn an_id_or_version_that_breaks_its_pattern_is_a_bad_request_that_points_at_it() {
    let bench = Bench::new();
    assert_snapshot!(bench.post("/streams/Refuse-Trucks/1", "{}").await.shown(), @r#"
    400
    content-type: application/problem+json

    detail: "stream id \"Refuse-Trucks\" does not match ^[a-z0-9][a-z0-9-]{2,69}$"
    errors:
      {"detail":"stream id \"Refuse-Trucks\" does not match ^[a-z0-9][a-z0-9-]{2,69}$","pointer":"/id"}
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    let too_long = format!("/streams/{}", "a".repeat(71));
    let ids = ["/streams/ab", "/streams/-abc", "/streams/refuse_trucks", "/streams/a%2Fb%2Fc", "/streams/m%C3%BCll", too_long.as_str()];
    for path in ids {
        for path in [path.to_owned(), format!("{path}/1")] {
            let answer = bench.post(&path, "{}").await;
            assert_eq!((answer.status, &answer.body["errors"][0]["pointer"]), (400, &json!("/id")), "{path}");
        }
    }
    for version in ["latest", "1.2.3.4", "1.", "-1", "1%20", "123456789012345678901"] {
        let answer = bench.post(&format!("{NEWEST}/{version}"), "{}").await;
        assert_eq!((answer.status, &answer.body["errors"][0]["pointer"]), (400, &json!("/version")), "{version}");
    }
    assert_eq!(bench.stacks_asked_for(), 0);
}

#[tokio::test]
async fn a_path_that_is_not_utf_8_is_a_problem_too() {
    let bench = Bench::new();
    for path in ["/streams/%ff%fe%fd", "/streams/%ff%fe%fd/1", "/streams/refuse-trucks/%ff"] {
        let answer = bench.post(path, "{}").await;
        assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/problem+json")), "{path}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let bench = Bench::new();
    let body = format!("{{}}{}", " ".repeat(MAX_BODY_BYTES - 1));
    let answer = bench.post(STREAM, &body).await;
    assert_eq!((answer.status, &answer.body["type"]), (413, &json!("urn:millrace:problem:payload-too-large")));
    assert_eq!(bench.post(STREAM, &body[..MAX_BODY_BYTES]).await.status, 201, "exactly the limit");
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_a_bad_request_that_says_where() {
    let bench = Bench::new();
    // {"a":"\xff"}
    let mut request = event("POST", STREAM, Some(&bench.token("waste", Scope::Manage)), Some("eyJhIjoi/yJ9"));
    request["isBase64Encoded"] = json!(true);
    let answer = send(bench.router(), &request).await;
    assert_eq!((answer.status, &answer.body["detail"]), (400, &json!("body is not UTF-8 at byte 6")));
}

#[tokio::test]
async fn a_stack_that_is_refused_fails_the_stream_in_cloudformations_words() {
    let refusal = "LimitExceededException: Limit for stack has been exceeded";
    let bench = Bench::with_script([ProvisionFault::Refused(refusal.into())]);
    let answer = bench.post(STREAM, "{}").await;
    assert_eq!((answer.status, &answer.body["status"], &answer.body["reason"]), (201, &json!("OPERATION_FAILED"), &json!(refusal)));
    let answer = bench.get(STREAM).await;
    assert_eq!((answer.status, &answer.body["status"], &answer.body["reason"]), (200, &json!("OPERATION_FAILED"), &json!(refusal)));
}

#[tokio::test]
async fn a_stack_that_could_not_be_asked_for_is_asked_for_on_the_next_read() {
    let bench = Bench::with_script([ProvisionFault::Transient("timed out after 5 s".into())]);
    let answer = bench.post(STREAM, "{}").await;
    assert_eq!((answer.status, &answer.body["status"]), (201, &json!("CREATE_IN_PROGRESS")));
    assert_eq!(bench.stacks_asked_for(), 0);
    bench.finish_stacks();
    assert_eq!(bench.get(STREAM).await.status, 200);
    assert_eq!(bench.stacks_asked_for(), 1);
    bench.finish_stacks();
    assert_eq!(bench.get(STREAM).await.body["status"], "ACTIVE");
}

#[tokio::test]
async fn an_id_stays_with_its_owner_when_its_stream_is_gone() {
    let bench = Bench::with_stream().await;
    bench.delete(STREAM).await;
    bench.finish_stacks();
    assert_eq!(bench.get(STREAM).await.status, 404);
    let other = bench.token("transport", Scope::Manage);
    assert_eq!(bench.call_as(Some(&other), "POST", STREAM, Some("{}")).await.status, 409);
    assert_eq!(bench.post(STREAM, "{}").await.status, 201);
}

#[tokio::test]
async fn a_stream_whose_deletion_is_over_can_be_created_again_though_nobody_looked() {
    for path in [STREAM, NEWEST] {
        let bench = Bench::with_stream().await;
        bench.delete(STREAM).await;
        assert_eq!(bench.post(path, "{}").await.status, 409, "while its deletion runs");
        bench.finish_stacks();
        let answer = bench.post(path, "{}").await;
        assert!(answer.status < 300, "{path}: {}", answer.body);
        assert_eq!(answer.body["status"], "CREATE_IN_PROGRESS");
    }
}

#[tokio::test]
async fn an_admin_creates_streams_of_its_own() {
    let bench = Bench::new();
    bench.store.insert(active_stream("bus-positions", "1", "transport"));
    let admin = bench.token("operations", Scope::Admin);
    assert_eq!(bench.call_as(Some(&admin), "POST", STREAM, Some("{}")).await.body["owner"], "operations");
    assert_eq!(bench.call_as(Some(&admin), "POST", "/streams/bus-positions/2", Some("{}")).await.status, 409);
}
