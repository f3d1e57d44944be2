//! The life of a stream: created, read, listed, deleted, on both forms of its URL.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Client, id_in, unique_id};

#[tokio::test]
async fn a_deployment_that_works_is_ready() {
    Client::new().get("/ready").await.expect(200);
    Client::with_authorization(None).get("/ready").await.expect(200);
}

#[tokio::test]
async fn a_stream_is_created_read_listed_deleted_and_created_again() {
    let client = Client::new();
    let id = unique_id("life");
    let path = format!("/streams/{id}/1");
    let document = json!({"name": "Refuse trucks", "access_rights": "public", "metadata": {"team": "waste"}});

    let created = client.post(&path, &document).await.expect(201).json();
    assert_eq!([&created["id"], &created["version"], &created["status"]], [&json!(id), &json!("1"), &json!("CREATE_IN_PROGRESS")]);
    client.wait_active(&path).await;
    let read = client.get(&path).await.expect(200);
    assert_eq!([&read.json()["id"], &read.json()["version"]], [&json!(id), &json!("1")]);
    assert!(read.text.contains("Refuse trucks"), "the document is shown back: {}", read.text);

    let entry = listed(&client, &id).await;
    assert_eq!([&entry["active"], &entry["version"]], [&json!(true), &json!("1")], "{entry}");
    assert!(entry["uptime"].is_number() && entry["uptime_str"].is_string(), "{entry}");

    client.delete(&path).await.expect(200);
    client.wait_gone(&path).await;
    client.get(&path).await.expect_problem(404);
    client.delete(&path).await.expect_problem(404);
    assert_eq!(listed(&client, &id).await, Value::Null);

    client.post(&path, &document).await.expect(201);
    client.wait_active(&path).await;
}

#[tokio::test]
async fn an_id_alone_creates_version_1_and_means_the_newest() {
    let client = Client::new();
    let id = unique_id("id-alone");
    let (newest, first) = (format!("/streams/{id}"), format!("/streams/{id}/1"));

    let created = client.post(&newest, &json!({})).await.expect(200).json();
    assert_eq!([&created["id"], &created["version"]], [&json!(id), &json!("1")]);
    client.post(&newest, &json!({})).await.expect_problem(409);
    client.wait_active(&newest).await;
    assert_eq!(client.get(&newest).await.expect(200).json()["version"], "1");
    assert_eq!(client.get(&first).await.expect(200).json()["status"], "ACTIVE");

    client.delete(&newest).await.expect(200);
    client.wait_gone(&newest).await;
    client.get(&first).await.expect_problem(404);
}

#[tokio::test]
async fn the_newest_version_is_the_highest_number() {
    let client = Client::new();
    let id = unique_id("versions");
    let newest = format!("/streams/{id}");
    let path = |version: &str| format!("/streams/{id}/{version}");
    for version in ["10", "2"] {
        client.post(&path(version), &json!({})).await.expect(201);
    }

    assert_eq!(client.get(&newest).await.expect(200).json()["version"], "10");
    assert_eq!(client.get(&path("2")).await.expect(200).json()["version"], "2");
    assert_eq!(listed(&client, &id).await["version"], "10");
    assert_eq!(listed(&client, &format!("{id}/2")).await["version"], "2");
    assert_eq!(listed(&client, &format!("{id}/10")).await, Value::Null, "the newest is listed by its id alone");

    client.wait_active(&path("10")).await;
    client.delete(&newest).await.expect(200);
    client.wait_gone(&path("10")).await;
    assert_eq!(client.get(&newest).await.expect(200).json()["version"], "2");
}

#[tokio::test]
async fn of_callers_who_race_to_create_a_stream_one_wins() {
    let client = Client::new();
    let path = format!("/streams/{}/1", unique_id("race"));
    let mut race = JoinSet::new();
    for _ in 0..8 {
        let (client, path) = (client.clone(), path.clone());
        race.spawn(async move { client.post(&path, &json!({})).await });
    }
    let answers = race.join_all().await;

    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    for lost in answers.into_iter().filter(|answer| answer.status == 409) {
        lost.expect_problem(409);
    }
    client.wait_active(&path).await;
    client.post(&path, &json!({})).await.expect_problem(409);
}

#[tokio::test]
async fn a_document_with_faults_is_refused_with_their_places() {
    let client = Client::new();
    let path = format!("/streams/{}/1", unique_id("lint"));
    let linting_errors = async |body: &str| -> Vec<String> {
        let answer = client.post_text(&path, body).await.expect(400);
        assert_eq!(answer.header("content-type"), "application/json");
        let body = answer.json();
        assert_eq!(body.as_object().map(|members| members.len()), Some(1), "{body}");
        body["linting_errors"].as_array().unwrap().iter().map(|error| error.as_str().unwrap().to_owned()).collect()
    };

    let unknown = linting_errors("{\n  \"nope\": 1\n}").await;
    assert!(unknown.len() == 1 && unknown[0].starts_with("(2,3) ") && unknown[0].contains("nope"), "{unknown:?}");
    let malformed = linting_errors("{\"name\": \"a\"\n\"input\": {}}").await;
    assert!(malformed.len() == 1 && malformed[0].starts_with("(2,"), "{malformed:?}");
    let values = linting_errors(r#"{"input": {"max_event_bytes": 0}, "buffer": {"kinesis": {"shards": 501}}}"#).await;
    assert_eq!(values.len(), 2, "every fault at once: {values:?}");
    client.get(&path).await.expect_problem(404);
}

#[tokio::test]
async fn a_document_can_be_yaml_and_be_checked_before() {
    let client = Client::new();
    let path = format!("/streams/{}/1", unique_id("yaml"));
    let good = "name: Refuse trucks\naccess_rights: public\nbuffer:\n  kinesis: {shards: 2}\n";
    assert_eq!(client.post_text("/streams/lint", good).await.expect(200).json(), json!({"linting_errors": []}));
    let bad = client.post_text("/streams/lint", "nmae: Refuse trucks\n").await.expect(400).json();
    assert_eq!(bad, json!({"linting_errors": ["(1,1) field nmae not recognised, did you mean name?"]}));

    client.post_text(&path, "nope: 1\n").await.expect(400);
    client.post_text(&format!("{path}?chilled=true"), &format!("{good}nope: 1\n")).await.expect(201);
    client.wait_active(&path).await;
    let config = client.get(&path).await.expect(200).json()["config"].clone();
    let posted = json!({"name": "Refuse trucks", "access_rights": "public", "buffer": {"kinesis": {"shards": 2}}, "nope": 1});
    assert_eq!(config, posted, "as it was posted");

    client.post("/streams/lint/1", &json!({})).await.expect_problem(400);
    let schema = Client::with_authorization(None).get("/streams/schema.json").await.expect(200);
    assert_eq!(schema.header("content-type"), "application/schema+json");
    assert_eq!(schema.json()["properties"]["input"]["$ref"], "#/$defs/Input");
}

#[tokio::test]
async fn names_that_break_their_pattern_name_no_stream() {
    let client = Client::new();
    let cases = [
        ("/streams/ab", "/id"),
        ("/streams/Trucks", "/id"),
        ("/streams/-trucks", "/id"),
        ("/streams/tru_cks/1", "/id"),
        ("/streams/trucks/one", "/version"),
        ("/streams/trucks/1.2.3.4", "/version"),
    ];
    for (path, pointer) in cases {
        client.get(path).await.expect_problem(404);
        client.delete(path).await.expect_problem(404);
        let problem = client.post(path, &json!({})).await.expect_problem(400);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "POST {path}: {problem}");
    }
}

#[tokio::test]
async fn a_stream_is_not_deleted_while_it_is_being_created() {
    let client = Client::new();
    let path = format!("/streams/{}/1", unique_id("busy"));
    client.post(&path, &json!({})).await.expect(201);
    let answer = client.delete(&path).await.expect(409);
    assert!(answer.header("retry-after").parse::<u64>().is_ok());
    let problem = answer.expect_problem(409);
    assert!(problem["detail"].as_str().unwrap().contains("CREATE_IN_PROGRESS"), "{problem}");
    client.wait_active(&path).await;
    assert_eq!(client.get(&format!("/streams/{}", id_in(&path))).await.expect(200).json()["status"], "ACTIVE");
}

/// What the list says of a stream; `null` when it is not there.
async fn listed(client: &Client, key: &str) -> Value {
    client.get("/streams").await.expect(200).json()[key].clone()
}
