//! The whole set of an owner's streams at once. It sets all of them, so every test acts for an owner of its own.

use serde_json::{Value, json};

use crate::harness::{Answer, Client, unique_id};

/// An owner that nobody else acts for, and how the set of its streams is named.
struct Set {
    client: Client,
    path: String,
}

impl Set {
    fn new() -> Self {
        Self { client: Client::new(), path: format!("/streams?owner={}", unique_id("set")) }
    }

    async fn post(&self, flags: &str, body: &str) -> Answer {
        self.client.post_text(&format!("{}{flags}", self.path), body).await
    }

    async fn listed(&self) -> Value {
        self.client.get(&self.path).await.expect(200).json()
    }

    /// Removes every stream that is left.
    async fn clear(&self) {
        self.post("&confirm=delete-all", "{}").await.expect(200);
    }
}

/// Version 1 of each stream, as answers name it.
fn first_versions(ids: &[&String]) -> Value {
    ids.iter().map(|id| format!("{id}/1")).collect()
}

#[tokio::test]
async fn a_set_creates_keeps_updates_and_removes_as_its_dry_run_said() {
    let set = Set::new();
    // Answers list them in the order in which they are declared.
    let [kept, changed, gone, new] = ["kept", "changed", "gone", "new"].map(unique_id);
    let path = |id: &String| format!("/streams/{id}/1");

    let first = format!("{kept}: {{}}\n{changed}/1:\n  name: Glass\n{gone}:\n  output: {{s3: {{}}}}\n");
    let mut expected = json!({"created": first_versions(&[&kept, &changed, &gone]), "updated": [], "unchanged": [], "deleted": [],
                              "dry_run": true});
    assert_eq!(set.post("&dry_run=true", &first).await.expect(200).json(), expected);
    for id in [&kept, &changed, &gone] {
        set.client.get(&path(id)).await.expect_problem(404);
    }
    expected["dry_run"] = json!(false);
    assert_eq!(set.post("", &first).await.expect(200).json(), expected);
    for id in [&kept, &changed, &gone] {
        set.client.wait_active(&path(id)).await;
    }
    set.client.wait_active(&format!("{}/sinks/s3", path(&gone))).await;

    let second = format!("{kept}: {{}}\n{changed}:\n  name: Glass bins\n{new}: {{}}\n");
    let mut expected = json!({"created": first_versions(&[&new]), "updated": first_versions(&[&changed]),
                              "unchanged": first_versions(&[&kept]), "deleted": first_versions(&[&gone]), "dry_run": true});
    assert_eq!(set.post("&dry_run=true", &second).await.expect(200).json(), expected);
    assert_eq!(set.client.get(&path(&changed)).await.expect(200).json()["config"], json!({"name": "Glass"}));
    expected["dry_run"] = json!(false);
    assert_eq!(set.post("", &second).await.expect(200).json(), expected);
    set.client.wait_gone(&path(&gone)).await;
    set.client.wait_active(&path(&new)).await;
    let now = set.client.get(&path(&changed)).await.expect(200).json();
    assert_eq!([&now["config"], &now["config_version"]], [&json!({"name": "Glass bins"}), &json!(2)]);
    assert_eq!(set.client.get(&path(&kept)).await.expect(200).json()["config_version"], 1);
    let listed = set.listed().await;
    assert_eq!(listed.as_object().map(serde_json::Map::len), Some(3), "{listed}");
    set.clear().await;
}

#[tokio::test]
async fn faults_are_named_with_stream_and_place_and_nothing_is_done() {
    let set = Set::new();
    let [good, bad] = ["good", "bad"].map(unique_id);
    let faulty = format!("{good}: {{}}\n{bad}:\n  nmae: Glass\n  buffer: {{kinesis: {{shards: 0}}}}\nBad Id: {{}}\n");
    let answer = set.post("", &faulty).await.expect(400);
    assert_eq!(answer.header("content-type"), "application/json");
    let errors = answer.json()["linting_errors"].clone();
    let starts = |index: usize, start: &str| errors[index].as_str().is_some_and(|error| error.starts_with(start));
    assert!(errors.as_array().is_some_and(|errors| errors.len() == 3), "{errors}");
    assert!(starts(0, &format!("(3,3) {bad}: field nmae not recognised")), "{errors}");
    assert!(starts(1, &format!("(4,30) {bad}: ")) && starts(2, "(5,1) "), "{errors}");
    assert_eq!(set.listed().await, json!({}));

    let chilled = set.post("&chilled=true", &format!("{bad}:\n  nmae: Glass\n")).await.expect(200);
    assert_eq!(chilled.json()["created"], first_versions(&[&bad]));
    let path = format!("/streams/{bad}/1");
    set.client.wait_active(&path).await;
    assert_eq!(set.client.get(&path).await.expect(200).json()["config"], json!({"nmae": "Glass"}));
    set.clear().await;
}

#[tokio::test]
async fn an_empty_set_removes_every_stream_of_the_owner_when_that_is_confirmed() {
    let set = Set::new();
    let id = unique_id("emptied");
    let path = format!("/streams/{id}/1");
    set.post("", &format!("{id}: {{}}\n")).await.expect(200);
    set.client.wait_active(&path).await;

    for flags in ["", "&dry_run=true", "&confirm=yes"] {
        let problem = set.post(flags, "{}").await.expect_problem(400);
        assert_eq!(problem["errors"][0]["pointer"], "/confirm", "{flags}: {problem}");
    }
    assert_eq!(set.client.get(&path).await.expect(200).json()["status"], "ACTIVE");
    let done = set.post("&confirm=delete-all", "{}").await.expect(200).json();
    assert_eq!(done["deleted"], first_versions(&[&id]));
    set.client.wait_gone(&path).await;
    assert_eq!(set.listed().await, json!({}));
}

#[tokio::test]
async fn only_an_admin_sets_the_streams_of_somebody_else() {
    let other = Client::of_another_owner();
    other.post_text("/streams?owner=default&dry_run=true", "new-stream: {}\n").await.expect_problem(403);
    Client::with_authorization(None).post_text("/streams?dry_run=true", "new-stream: {}\n").await.expect_problem(401);
}
