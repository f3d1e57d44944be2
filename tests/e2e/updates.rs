//! Streams that get another document: in place, safely, on a condition, and back again.
//!
//! An update that fails is left to the handler tests: the local AWS takes every value that a document can lead to, and clamps or ignores
//! what Kinesis would refuse.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Answer, Client, id_in, poll, unique_id};

impl Client {
    pub(crate) async fn put(&self, path: &str, document: &Value) -> Answer {
        self.change(Method::PUT, path, None, &document.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, patch: &Value) -> Answer {
        self.change(Method::PATCH, path, None, &patch.to_string()).await
    }

    /// The same, if the stream is still what this tag names.
    async fn patch_if(&self, tag: &str, path: &str, patch: &Value) -> Answer {
        self.change(Method::PATCH, path, Some(tag), &patch.to_string()).await
    }

    async fn change(&self, method: Method, path: &str, if_match: Option<&str>, body: &str) -> Answer {
        let request = self.request(method, path).header("content-type", "application/json").body(body.to_owned());
        self.send(if_match.into_iter().fold(request, |request, tag| request.header("if-match", tag))).await
    }

    /// Waits until an update is over, and returns the stream.
    pub(crate) async fn wait_updated(&self, path: &str) -> Answer {
        poll(async || {
            let answer = self.get(path).await.expect(200);
            match answer.json()["status"].as_str() {
                Some("ACTIVE") => Ok(answer),
                Some("UPDATE_IN_PROGRESS") => Err(answer.text),
                _ => panic!("{path} was never updated: {}", answer.text),
            }
        })
        .await
    }

    /// Number of each config, and whether it runs.
    async fn versions(&self, path: &str) -> Vec<(u64, bool)> {
        let listed = self.get(&format!("{path}/versions")).await.expect(200).json();
        listed.as_array().unwrap().iter().map(|config| (config["n"].as_u64().unwrap(), config["current"] == true)).collect()
    }
}

#[tokio::test]
async fn a_stream_takes_events_before_while_and_after_it_is_updated() {
    let client = Client::new();
    let stream = client.create_stream_with_sink("update", &json!({"name": "Refuse trucks"})).await;
    let events = format!("{stream}/events");
    let before = client.get(&stream).await.expect(200);
    let number = before.json()["config_version"].as_u64().unwrap();
    client.post(&events, &json!({"n": 1})).await.expect(200);

    let change = json!({"metadata": {"team": "waste"}, "buffer": {"kinesis": {"retention_hours": 48}}});
    let answer = client.patch(&stream, &change).await.expect(200);
    let updating = answer.json();
    assert_eq!([&updating["status"], &updating["active"]], [&json!("UPDATE_IN_PROGRESS"), &json!(true)]);
    assert_eq!([&updating["config_version"], &updating["pending"]["config_version"]], [&json!(number), &json!(number + 1)]);
    assert_eq!(updating["config"], before.json()["config"], "what ran runs on");
    assert_eq!(answer.header("etag"), format!("\"{}\"", number + 1));
    client.post(&events, &json!({"n": 2})).await.expect(200);

    let updated = client.wait_updated(&stream).await;
    let config = &updated.json()["config"];
    assert_eq!([&updated.json()["config_version"], &updated.json()["pending"]], [&json!(number + 1), &Value::Null]);
    assert_eq!([&config["name"], &config["metadata"]["team"]], [&json!("Refuse trucks"), &json!("waste")]);
    assert_eq!(config["buffer"], json!({"kinesis": {"retention_hours": 48}}));
    assert_eq!(updated.json()["ingest_id"], before.json()["ingest_id"]);
    client.post(&events, &json!({"n": 3})).await.expect(200);
    client.wait_for_history(&stream, "from_date=2000-01-01&to_date=2100-01-01", 3).await;
}

#[tokio::test]
async fn a_document_that_needs_nothing_of_the_stack_runs_at_once_and_the_same_again_changes_nothing() {
    let client = Client::new();
    let stream = client.create_stream("replace", &json!({"name": "a", "metadata": {"team": "waste"}})).await;
    let document = json!({"description": "glass bins", "input": {"max_event_bytes": 100}, "metadata": {"team": "waste"}});
    for path in [stream.clone(), format!("/streams/{}", id_in(&stream))] {
        let answer = client.put(&path, &document).await.expect(200);
        assert_eq!(answer.header("etag"), "\"2\"", "{path}");
        assert_eq!([&answer.json()["status"], &answer.json()["config_version"]], [&json!("ACTIVE"), &json!(2)], "{path}");
        assert_eq!(answer.json()["config"], document, "{path}: the whole of it, as it was posted");
    }
    assert_eq!(client.versions(&stream).await, [(2, true), (1, false)]);

    let whole = client.get(&format!("{stream}?defaults=true")).await.expect(200).json()["config"].clone();
    assert_eq!([&whole["access_rights"], &whole["input"]["max_event_bytes"]], [&json!("non-public"), &json!(100)]);
    assert!(whole["buffer"]["kinesis"]["shards"].is_u64() && whole["buffer"]["kinesis"]["retention_hours"].is_u64(), "{whole}");
    // Ingest remembers a stream for some seconds.
    let too_large = json!({"text": "x".repeat(100)});
    poll(async || {
        let status = client.post(&format!("{stream}/events"), &too_large).await.status;
        if status == 413 { Ok(()) } else { Err(format!("{status} for an event over the new limit")) }
    })
    .await;
}

#[tokio::test]
async fn a_change_is_made_only_to_the_config_that_it_was_decided_on() {
    let client = Client::new();
    let stream = client.create_stream("condition", &json!({})).await;
    let tag = client.get(&stream).await.expect(200).header("etag").to_owned();
    let answer = client.patch_if(&tag, &stream, &json!({"name": "a"})).await.expect(200);
    let newer = answer.header("etag").to_owned();
    assert_ne!(newer, tag);

    let stale = client.patch_if(&tag, &stream, &json!({"name": "b"})).await.expect(412);
    assert_eq!(stale.header("etag"), newer);
    stale.expect_problem(412);
    client.patch_if(&format!("W/{newer}"), &stream, &json!({"name": "b"})).await.expect_problem(412);
    client.change(Method::DELETE, &stream, Some(&tag), "").await.expect_problem(412);
    assert_eq!(client.get(&stream).await.expect(200).json()["config"], json!({"name": "a"}));
    client.patch_if(&format!("{tag}, {newer}"), &stream, &json!({"name": "c"})).await.expect(200);
    client.patch_if("*", &stream, &json!({"name": null})).await.expect(200);
    assert_eq!(client.get(&stream).await.expect(200).json()["config"], json!({}));
}

#[tokio::test]
async fn of_callers_who_race_to_change_a_config_one_wins() {
    let client = Client::new();
    let stream = client.create_stream("update-race", &json!({})).await;
    let mut race = JoinSet::new();
    for n in 0..8 {
        let (client, stream) = (client.clone(), stream.clone());
        race.spawn(async move { client.patch_if("\"1\"", &stream, &json!({"name": format!("caller {n}")})).await });
    }
    let answers = race.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for lost in answers.into_iter().filter(|answer| answer.status != 200) {
        assert!([409, 412].contains(&lost.status), "{}", lost.text);
    }
    assert_eq!(client.versions(&stream).await, [(2, true), (1, false)]);
}

#[tokio::test]
async fn a_stream_goes_back_to_an_old_config_which_gets_a_new_number() {
    let client = Client::new();
    let first = json!({"name": "first", "buffer": {"kinesis": {"retention_hours": 48}}});
    let stream = client.create_stream("rollback", &first).await;
    client.put(&stream, &json!({"name": "second"})).await.expect(200);
    assert_eq!(client.wait_updated(&stream).await.json()["config_version"], 2);

    let answer = client.send(client.request(Method::POST, &format!("{stream}/rollback/1"))).await.expect(200).json();
    assert_eq!([&answer["status"], &answer["pending"]["config"]], [&json!("UPDATE_IN_PROGRESS"), &first]);
    let back = client.wait_updated(&stream).await.json();
    assert_eq!([&back["config_version"], &back["config"]], [&json!(3), &first]);
    assert_eq!(client.versions(&stream).await, [(3, true), (2, false), (1, false)]);

    let listed = client.get(&format!("{stream}/versions?before=3")).await.expect(200).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    assert!(listed[0]["updated_at"].is_string() && listed[0]["updated_by"].is_string(), "{listed}");
    for n in ["0", "4", "one"] {
        client.send(client.request(Method::POST, &format!("{stream}/rollback/{n}"))).await.expect_problem(404);
    }

    client.delete(&stream).await.expect(200);
    client.wait_gone(&stream).await;
    client.get(&format!("{stream}/versions")).await.expect_problem(404);
    let anew = client.post(&stream, &json!({})).await.expect(201);
    assert_eq!((anew.header("etag"), &anew.json()["config_version"]), ("\"4\"", &json!(4)), "numbers go on");
    client.wait_active(&stream).await;
}

#[tokio::test]
async fn nothing_else_starts_while_an_update_runs() {
    let client = Client::new();
    let stream = client.create_stream("update-busy", &json!({})).await;
    client.patch(&stream, &json!({"metadata": {"team": "waste"}})).await.expect(200);
    // Nobody has read the stream since, so the update still counts as running.
    let refused = client.patch(&stream, &json!({"name": "b"})).await.expect(409);
    assert!(refused.header("retry-after").parse::<u64>().is_ok());
    let problem = refused.expect_problem(409);
    assert!(problem["detail"].as_str().unwrap().contains("UPDATE_IN_PROGRESS"), "{problem}");
    client.wait_updated(&stream).await;
    client.patch(&stream, &json!({"name": "b"})).await.expect(200);
}

#[tokio::test]
async fn a_bad_document_is_refused_and_harms_nothing() {
    let client = Client::new();
    let stream = client.create_stream("bad-update", &json!({"name": "a"})).await;
    let linting_errors = async |method: Method, body: &str| -> Vec<String> {
        let answer = client.change(method, &stream, None, body).await.expect(400);
        assert_eq!(answer.header("content-type"), "application/json");
        answer.json()["linting_errors"].as_array().unwrap().iter().map(|error| error.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        linting_errors(Method::PUT, "nmae: b\ninput: {max_event_bytes: 0}\n").await,
        ["(1,1) field nmae not recognised, did you mean name?", "(2,26) expected 1 to 716800, got 0"]
    );
    assert_eq!(linting_errors(Method::PATCH, "{\"buffer\":\n {\"kinesis\": {\"shards\": 0}}}").await, ["(2,25) expected 1 to 500, got 0"]);
    let fixed = linting_errors(Method::PATCH, r#"{"access_rights": "public"}"#).await;
    assert!(fixed.len() == 1 && fixed[0].starts_with("access_rights: "), "{fixed:?}");
    assert_eq!(client.versions(&stream).await, [(1, true)]);

    let chilled = client.put(&format!("{stream}?chilled=true"), &json!({"nmae": "b"})).await.expect(200).json();
    assert_eq!(chilled["config"], json!({"nmae": "b"}));
}

#[tokio::test]
async fn a_missing_stream_is_not_changed_nor_made() {
    let client = Client::new();
    let id = unique_id("never-made");
    for path in [format!("/streams/{id}"), format!("/streams/{id}/1")] {
        client.put(&path, &json!({})).await.expect_problem(404);
        client.patch(&path, &json!({})).await.expect_problem(404);
    }
    client.get(&format!("/streams/{id}/1/versions")).await.expect_problem(404);
    client.send(client.request(Method::POST, &format!("/streams/{id}/1/rollback/1"))).await.expect_problem(404);
}
