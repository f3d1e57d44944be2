//! The configs that a stream had: listed, gone back to, and shown with their defaults.

use domain::fakes::active_stream;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::bench::{Bench, DOCUMENT, NEWEST, RENAMED, RETAINED, STREAM, key, outcome};

const VERSIONS: &str = "/streams/refuse-trucks/1/versions";

fn rollback(n: impl std::fmt::Display) -> String {
    format!("{STREAM}/rollback/{n}")
}

impl Bench {
    /// Number, whether it runs, whether it waits.
    async fn versions(&self) -> Vec<(u64, bool, bool)> {
        let answer = self.get(VERSIONS).await;
        let listed = answer.body.as_array().unwrap().iter();
        listed.map(|item| (item["n"].as_u64().unwrap(), item["current"] == true, item["pending"] == true)).collect()
    }
}

#[tokio::test]
async fn every_config_is_listed_with_the_newest_first() {
    let bench = Bench::with_stream().await;
    assert_eq!(bench.versions().await, [(1, true, false)]);
    bench.put(STREAM, RENAMED).await;
    bench.put(STREAM, RETAINED).await;
    assert_snapshot!(bench.get(VERSIONS).await.shown(), @r#"
    200
    content-type: application/json

    [{"current":false,"n":3,"pending":true,"updated_at":"2026-01-01T00:00:02Z","updated_by":"tester"},{"current":true,"n":2,"pending":false,"updated_at":"2026-01-01T00:00:02Z","updated_by":"tester"},{"current":false,"n":1,"pending":false,"updated_at":"2026-01-01T00:00:00Z","updated_by":"tester"}]
    "#);
    bench.fail_stacks("RawDataStream: limit exceeded");
    assert_eq!(bench.versions().await, [(3, false, false), (2, true, false), (1, false, false)], "a config that failed is kept");
    bench.put(STREAM, RETAINED).await;
    bench.finish_stacks();
    assert_eq!(bench.versions().await, [(4, true, false), (3, false, false), (2, false, false), (1, false, false)]);
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let bench = Bench::with_stream().await;
    for n in 2..=205 {
        let answer = bench.patch(STREAM, &format!("name: number {n}")).await;
        assert_eq!(outcome(&answer), ("ACTIVE", n, None));
    }
    let page = async |query: &str| -> Vec<u64> {
        let answer = bench.get(&format!("{VERSIONS}{query}")).await;
        assert_eq!(answer.status, 200, "{query}");
        answer.body.as_array().unwrap().iter().map(|item| item["n"].as_u64().unwrap()).collect()
    };
    assert_eq!(page("").await, (106..=205).rev().collect::<Vec<u64>>());
    assert_eq!(page("?before=106").await, (6..=105).rev().collect::<Vec<u64>>());
    assert_eq!(page("?before=6").await, [5, 4, 3, 2, 1]);
    assert_eq!(page("?before=1").await, [0_u64; 0]);
    assert_eq!(page("?before=0").await, [0_u64; 0]);
    assert_eq!(page("?before=4294967295").await.len(), 100);
}

#[tokio::test]
async fn a_page_begins_at_a_number() {
    let bench = Bench::with_stream().await;
    assert_snapshot!(bench.get(&format!("{VERSIONS}?before=two")).await.shown(), @r#"
    400
    content-type: application/problem+json

    detail: "before: expected the n of a config, got \"two\""
    errors:
      {"detail":"before: expected the n of a config, got \"two\"","pointer":"/before"}
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    for bad in ["", "-1", "1.5", "4294967296"] {
        assert_eq!(bench.get(&format!("{VERSIONS}?before={bad}")).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_rollback_makes_an_old_config_the_newest() {
    let bench = Bench::with_stream().await;
    bench.put(STREAM, RENAMED).await;
    let answer = bench.call("POST", &rollback(1), None).await;
    assert_eq!((outcome(&answer), answer.header("etag")), (("ACTIVE", 3, None), Some("\"3\"")));
    assert_eq!(answer.body["config"], serde_json::from_str::<Value>(DOCUMENT).unwrap());
    assert_eq!(bench.versions().await, [(3, true, false), (2, false, false), (1, false, false)]);
    assert!(bench.stacks.updates().is_empty());
}

#[tokio::test]
async fn a_rollback_that_needs_the_stack_waits_for_it_like_any_update() {
    let bench = Bench::with_stream().await;
    bench.put(STREAM, RETAINED).await;
    bench.finish_stacks();
    let answer = bench.post(&rollback(1), "").await;
    assert_eq!(outcome(&answer), ("UPDATE_IN_PROGRESS", 2, None));
    assert_eq!(answer.body["pending"]["config_version"], 3);
    bench.finish_stacks();
    let answer = bench.get(STREAM).await;
    assert_eq!((outcome(&answer), &answer.body["config"]), (("ACTIVE", 3, None), &serde_json::from_str(DOCUMENT).unwrap()));
}

#[tokio::test]
async fn a_rollback_to_what_runs_changes_nothing() {
    let bench = Bench::with_stream().await;
    let answer = bench.post(&rollback(1), "").await;
    assert_eq!((outcome(&answer), answer.header("etag")), (("ACTIVE", 1, None), Some("\"1\"")));
    assert_eq!(bench.versions().await, [(1, true, false)]);
}

#[tokio::test]
async fn a_config_whose_update_failed_can_be_tried_again_by_its_number() {
    let bench = Bench::with_stream().await;
    bench.put(STREAM, RETAINED).await;
    bench.fail_stacks("RawDataStream: limit exceeded");
    assert_eq!(outcome(&bench.post(&rollback(2), "").await), ("UPDATE_IN_PROGRESS", 1, None));
    bench.finish_stacks();
    assert_eq!(outcome(&bench.get(STREAM).await), ("ACTIVE", 3, None));
}

#[tokio::test]
async fn a_rollback_to_a_config_that_never_was_is_404() {
    let bench = Bench::with_stream().await;
    let answer = bench.post(&rollback(2), "").await;
    assert_snapshot!(answer.shown(), @r#"
    404
    content-type: application/problem+json

    detail: "the stream has had no such config"
    request_id: [request id]
    status: 404
    title: "Not Found"
    type: "urn:millrace:problem:not-found"
    "#);
    for n in ["0", "-1", "one", "1.0", "4294967297", "%ff"] {
        assert_eq!(bench.post(&rollback(n), "").await.status, 404, "{n}");
    }
    assert_eq!(bench.versions().await, [(1, true, false)]);
}

#[tokio::test]
async fn a_rollback_lets_the_lint_errors_pass_that_the_config_was_accepted_with() {
    let bench = Bench::new();
    bench.post(&format!("{STREAM}?chilled=true"), r#"{"nope":1}"#).await;
    bench.finish_stacks();
    bench.put(STREAM, r#"{"name":"a"}"#).await;
    let answer = bench.post(&rollback(1), "").await;
    assert_eq!((outcome(&answer), &answer.body["config"]), (("ACTIVE", 3, None), &json!({"nope": 1})));
}

#[tokio::test]
async fn a_rollback_to_a_config_that_has_become_impossible_is_refused_with_its_faults() {
    let bench = Bench::new();
    let mut record = active_stream("refuse-trucks", "1", "waste");
    let good = record.posted.clone();
    record.posted = json!({"access_rights": "public", "input": {"max_event_bytes": 9_999_999}, "old": true});
    bench.store.insert(record.clone());
    (record.posted, record.config_version, record.last_config_version) = (good, 2, 2);
    bench.store.insert(record.clone());
    assert_snapshot!(bench.post(&rollback(1), "").await.shown(), @r#"
    400
    content-type: application/json

    linting_errors:
      "(4,24) expected 1 to 716800, got 9999999"
    "#);
    assert_eq!(bench.store.stored(&key("refuse-trucks", "1")), Some(record));
}

#[tokio::test]
async fn the_numbers_of_a_stream_that_is_made_anew_go_on_and_its_old_configs_stay() {
    let bench = Bench::with_stream().await;
    bench.put(STREAM, RENAMED).await;
    bench.delete(STREAM).await;
    bench.finish_stacks();
    assert_eq!(bench.get(VERSIONS).await.status, 404, "the list goes with the stream");
    bench.make(STREAM, r#"{"access_rights":"public"}"#).await;
    assert_eq!(bench.versions().await, [(3, true, false), (2, false, false), (1, false, false)]);
    assert_eq!(outcome(&bench.post(&rollback(2), "").await), ("UPDATE_IN_PROGRESS", 3, None), "labels and shards differ");
    bench.finish_stacks();
    let answer = bench.get(STREAM).await;
    assert_eq!((outcome(&answer), &answer.body["config"]["name"]), (("ACTIVE", 4, None), &json!("Trucks")));
}

#[tokio::test]
async fn a_rollback_to_other_access_rights_is_refused() {
    let bench = Bench::with_stream().await;
    bench.delete(STREAM).await;
    bench.finish_stacks();
    bench.make(STREAM, "{}").await;
    let answer = bench.post(&rollback(1), "").await;
    let first = answer.body["linting_errors"][0].as_str().unwrap_or_default();
    assert!(answer.status == 400 && first.starts_with("access_rights: \"non-public\" cannot become \"public\": "), "{first}");
}

#[tokio::test]
async fn another_version_of_the_stream_has_configs_of_its_own() {
    let bench = Bench::with_stream().await;
    bench.put(STREAM, RENAMED).await;
    bench.make("/streams/refuse-trucks/1.1", "{}").await;
    let answer = bench.get("/streams/refuse-trucks/1.1/versions").await;
    assert_eq!(answer.body.as_array().map(Vec::len), Some(1));
    assert_eq!(bench.post("/streams/refuse-trucks/1.1/rollback/2", "").await.status, 404);
}

#[tokio::test]
async fn a_config_is_shown_as_it_was_posted() {
    let posted = json!({"input": {}, "name": "Refuse trucks", "metadata": {}, "buffer": {"kinesis": {"retention_hours": 24}}});
    let bench = Bench::new();
    bench.make(STREAM, &posted.to_string()).await;
    for path in [STREAM.to_owned(), NEWEST.to_owned(), format!("{STREAM}?defaults=false")] {
        assert_eq!(bench.get(&path).await.body["config"], posted, "{path}");
    }
}

#[tokio::test]
async fn a_config_is_shown_with_every_default_on_demand() {
    let bench = Bench::new();
    bench.make(STREAM, r#"{"output":{"s3":{}}}"#).await;
    let answer = bench.get(&format!("{STREAM}?defaults=true")).await;
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_snapshot!(serde_json::to_string_pretty(&answer.body["config"]).unwrap(), @r#"
    {
      "access_rights": "non-public",
      "buffer": {
        "kinesis": {
          "mode": "provisioned",
          "retention_hours": 24,
          "shards": 1
        },
        "raw": true
      },
      "input": {
        "format": "json",
        "max_event_bytes": 260096,
        "on_invalid": "dead_letter",
        "timestamp_format": "rfc3339"
      },
      "output": {
        "s3": {
          "buffering": {
            "interval_seconds": 60,
            "size_mb": 5
          },
          "compression": "gzip"
        }
      },
      "pipeline": {
        "processors": []
      },
      "subscribable": false
    }
    "#);
    assert_eq!(bench.get(&format!("{NEWEST}?defaults=true")).await.body["config"], answer.body["config"]);
    assert_eq!(bench.post("/streams/lint", &answer.body["config"].to_string()).await.status, 200, "and that is a document itself");

    bench
        .make(
            "/streams/bus-positions/1",
            r#"{"input":{"timestamp":"$.time"},"buffer":{"kinesis":{"mode":"on_demand"}}, "output":{"s3":{}}}"#,
        )
        .await;
    let config = bench.get("/streams/bus-positions/1?defaults=true").await.body["config"].clone();
    assert_eq!(config["buffer"]["kinesis"], json!({"mode": "on_demand", "retention_hours": 24}), "shards are not fixed");
    assert_eq!(config["output"]["s3"]["buffering"], json!({"interval_seconds": 60, "size_mb": 64}), "by event time");
    let unclear = bench.get(&format!("{STREAM}?defaults=1")).await;
    assert_eq!((unclear.status, &unclear.body["errors"][0]["pointer"]), (400, &json!("/defaults")));
}

#[tokio::test]
async fn a_config_that_is_too_large_to_keep_is_refused() {
    let bench = Bench::with_stream().await;
    let many: String = (0..2_000).map(|n| format!(r#","x{n}":"{}""#, "a".repeat(40))).collect();
    let document = format!(r#"{{"access_rights":"public"{many}}}"#);
    for (method, body) in [("PUT", document.clone()), ("PATCH", document)] {
        let answer = bench.call(method, &format!("{STREAM}?chilled=true"), Some(&body)).await;
        let first = answer.body["linting_errors"][0].as_str().unwrap_or_default();
        assert!(answer.status == 400 && first.starts_with("(1,1) expected at most 81920 bytes as JSON, got "), "{method}: {first}");
    }
    assert_eq!(bench.versions().await, [(1, true, false)]);
}
