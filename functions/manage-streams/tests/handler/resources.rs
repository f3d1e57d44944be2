//! Resources: added, changed, listed, removed; refused when they are wrong, foreign or in use.

use domain::access::Scope;
use domain::fakes::resource;
use domain::resource::{Resource, ResourceKind, ResourceUser};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::bench::{Bench, key};

const LIMIT: &str = "/resources/rate_limit/my-limit";
const CACHE: &str = "/resources/cache/dedupe";

fn cache(owner: &str) -> Resource {
    resource(owner, ResourceKind::Cache, "dedupe", "memory: {}")
}

/// A bench with the cache, which these streams name.
fn with_users(streams: &[&str]) -> Bench {
    let bench = Bench::new();
    let cache = cache("waste");
    bench.store.insert_resource(cache.clone());
    for id in streams {
        bench.store.use_resource(&cache.owner, &cache.key, ResourceUser::Stream(key(id, "1"))).unwrap();
    }
    bench
}

#[tokio::test]
async fn a_resource_is_added_changed_shown_and_removed() {
    let bench = Bench::new();
    let added = bench.post(LIMIT, "local: {count: 500}\n").await;
    assert_snapshot!(added.shown(), @r#"
    200
    content-type: application/json

    config: {"local":{"count":500}}
    created_at: "2026-01-01T00:00:00Z"
    created_by: "tester"
    id: "my-limit"
    owner: "waste"
    type: "rate_limit"
    updated_at: "2026-01-01T00:00:00Z"
    updated_by: "tester"
    used_by: []
    "#);
    assert_eq!(bench.get(LIMIT).await.shown(), added.shown());
    bench.system.advance(std::time::Duration::from_secs(60));
    let changed = bench.post(LIMIT, r#"{"local": {"count": 1000, "interval": "10m"}}"#).await;
    assert_eq!((changed.status, &changed.body["config"]["local"]["interval"]), (200, &json!("10m")));
    assert_eq!([&changed.body["created_at"], &changed.body["updated_at"]], ["2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"]);
    assert_ne!(changed.header("etag"), added.header("etag"));
    let removed = bench.delete(LIMIT).await;
    assert_eq!((removed.status, removed.body), (204, json!("")));
    assert_eq!((bench.get(LIMIT).await.status, bench.delete(LIMIT).await.status), (404, 404));
}

#[tokio::test]
async fn every_type_takes_its_own_config_and_no_other() {
    let bench = Bench::new();
    let configs = [
        ("cache", "dynamodb: {ttl: 1h}"),
        ("input", "timestamp: $.time"),
        ("output", "s3: {compression: none}"),
        ("processor", "mapping: '.a = 1'"),
        ("rate_limit", "local: {count: 1, interval: 1s}"),
    ];
    for (kind, config) in configs {
        assert_eq!(bench.post(&format!("/resources/{kind}/same"), config).await.status, 200, "{kind}");
        let is_another = |(other, _): &&(&str, &str)| *other != kind && *other != "processor";
        for (other, _) in configs.iter().filter(is_another) {
            assert_eq!(bench.post(&format!("/resources/{other}/same"), config).await.status, 400, "{config} as {other}");
        }
    }
}

#[tokio::test]
async fn a_list_has_every_type_and_the_owners_resources_alone() {
    let bench = with_users(&["refuse-trucks"]);
    bench.post(LIMIT, "local: {}").await;
    bench.store.insert_resource(resource("transport", ResourceKind::Cache, "theirs", "memory: {}"));
    assert_snapshot!(bench.get("/resources").await.shown(), @r#"
    200
    content-type: application/json

    cache: {"dedupe":{"in_use":true,"updated_at":"2026-01-01T00:00:00Z","updated_by":"tester"}}
    input: {}
    output: {}
    processor: {}
    rate_limit: {"my-limit":{"in_use":false,"updated_at":"2026-01-01T00:00:00Z","updated_by":"tester"}}
    "#);
    assert_eq!(bench.get("/resources?owner=transport").await.status, 403);
    let admin = bench.token("operations", Scope::Admin);
    let theirs = bench.call_as(Some(&admin), "GET", "/resources?owner=transport", None).await;
    assert_eq!(theirs.body["cache"].as_object().unwrap().keys().collect::<Vec<_>>(), ["theirs"]);
}

#[tokio::test]
async fn a_bad_config_is_answered_with_everything_that_is_wrong_with_it() {
    let bench = Bench::new();
    assert_snapshot!(bench.post(LIMIT, "local:\n  count: 0\n  interval: soon\n  nope: 1\n").await.shown(), @r#"
    400
    content-type: application/json

    linting_errors:
      "(2,10) expected 1 to 1000000000, got 0"
      "(3,13) expected a duration such as 300ms, 1s, 10m or 1h30m, more than 0 and at most 8760h, got \"soon\""
      "(4,3) field nope not recognised"
    "#);
    let bento = "redis:\n  url: http://localhost:6379\n  expiration: 1h\n";
    let refused = bench.post(CACHE, bento).await;
    let expected = ["(1,1) field redis not recognised", "(1,1) expected exactly one of: dynamodb, memory"];
    assert_eq!((refused.status, &refused.body["linting_errors"]), (400, &json!(expected)));
    assert_eq!(bench.post(&format!("{CACHE}?chilled=true"), bento).await.body["linting_errors"], json!([expected[1]]));
    assert_eq!(bench.post(&format!("{CACHE}?chilled=true"), "memory: {nope: 1}").await.body["config"], json!({"memory": {"nope": 1}}));
    let large = format!("memory: {{}}\nnope: {}\n", "x".repeat(80 * 1024));
    let refused = bench.post(&format!("{CACHE}?chilled=true"), &large).await;
    assert!(refused.body["linting_errors"][0].as_str().unwrap().contains("at most 81920 bytes"), "{}", refused.body);
    assert_eq!(bench.get(LIMIT).await.status, 404, "nothing was kept");
}

#[tokio::test]
async fn an_unknown_type_and_a_bad_id_are_named() {
    let bench = Bench::new();
    assert_snapshot!(bench.post("/resources/buffer/mine", "{}").await.shown(), @r#"
    400
    content-type: application/problem+json

    detail: "expected a resource type of: cache, input, output, processor, rate_limit; got \"buffer\""
    errors:
      {"detail":"expected a resource type of: cache, input, output, processor, rate_limit; got \"buffer\"","pointer":"/type"}
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    assert_eq!((bench.get("/resources/buffer/mine").await.status, bench.delete("/resources/buffer/mine").await.status), (400, 400));
    let refused = bench.post("/resources/cache/Mine", "memory: {}").await;
    assert_eq!((refused.status, &refused.body["errors"][0]["pointer"]), (400, &json!("/id")));
    assert_eq!((bench.get("/resources/cache/Mine").await.status, bench.delete("/resources/cache/%ff").await.status), (404, 404));
}

#[tokio::test]
async fn a_foreign_resource_is_answered_like_a_missing_one() {
    let bench = Bench::new();
    bench.store.insert_resource(cache("transport"));
    for method in ["GET", "DELETE"] {
        let foreign = bench.call(method, CACHE, None).await;
        assert_eq!(foreign.shown(), bench.call(method, "/resources/cache/missing", None).await.shown(), "{method}");
        assert_eq!(foreign.status, 404, "{method}");
    }
    assert_eq!(bench.post(CACHE, "memory: {ttl: 1m}").await.body["owner"], "waste", "a name is taken by each owner for itself");
    let theirs = bench.call_as(Some(&bench.token("transport", Scope::Manage)), "GET", CACHE, None).await;
    assert_eq!(theirs.body["config"], json!({"memory": {}}));
    assert_eq!(bench.get(&format!("{CACHE}?owner=transport")).await.status, 403);
}

#[tokio::test]
async fn an_admin_names_the_owner_whose_resource_is_meant() {
    let bench = Bench::new();
    let admin = bench.token("operations", Scope::Admin);
    let of_waste = format!("{CACHE}?owner=waste");
    assert_eq!(bench.call_as(Some(&admin), "POST", &of_waste, Some("memory: {}")).await.body["owner"], "waste");
    assert_eq!(bench.get(CACHE).await.status, 200);
    assert_eq!(bench.call_as(Some(&admin), "GET", CACHE, None).await.status, 404, "without a name it is the admin's own");
    assert_eq!(bench.call_as(Some(&admin), "DELETE", &of_waste, None).await.status, 204);
}

#[tokio::test]
async fn a_token_that_is_limited_to_streams_manages_no_resources() {
    let bench = with_users(&[]);
    let mut claims = json!(bench.issuer.claims("waste", &[Scope::Manage], bench.system.as_ref()));
    claims["streams"] = json!(["refuse-*"]);
    let limited = bench.issuer.sign(&claims);
    let calls = bench.store.calls();
    for (method, path) in [("GET", "/resources"), ("GET", CACHE), ("POST", CACHE), ("DELETE", CACHE), ("GET", "/resources/x/y")] {
        let refused = bench.call_as(Some(&limited), method, path, Some("memory: {}")).await;
        assert_eq!(refused.status, 403, "{method} {path}");
        assert_eq!(refused.body["detail"], "a token that is limited to streams cannot manage resources");
    }
    assert_eq!(bench.store.calls(), calls, "nobody is told what exists");
}

#[tokio::test]
async fn a_resource_in_use_says_by_whom_and_stays() {
    let bench = with_users(&["bus-positions", "refuse-trucks"]);
    assert_eq!(bench.get(CACHE).await.body["used_by"], json!(["/streams/bus-positions/1", "/streams/refuse-trucks/1"]));
    assert_snapshot!(bench.delete(CACHE).await.shown(), @r#"
    409
    content-type: application/problem+json

    detail: "resource cache dedupe is used by /streams/bus-positions/1, /streams/refuse-trucks/1"
    request_id: [request id]
    status: 409
    title: "Conflict"
    type: "urn:millrace:problem:conflict"
    used_by:
      "/streams/bus-positions/1"
      "/streams/refuse-trucks/1"
    "#);
    let changed = bench.post(CACHE, "memory: {ttl: 1m}").await;
    assert_eq!(changed.body["used_by"].as_array().map(Vec::len), Some(2), "a change loses no user");
    assert_eq!(bench.delete(CACHE).await.status, 409);
    let many: Vec<String> = (0..12).map(|n| format!("stream-{n:02}")).collect();
    let bench = with_users(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let refused = bench.delete(CACHE).await.body;
    assert!(refused["detail"].as_str().unwrap().ends_with("/streams/stream-09/1 and 2 more"), "{refused}");
    assert_eq!(refused["used_by"].as_array().map(Vec::len), Some(12));
}

#[tokio::test]
async fn a_change_is_made_only_to_the_resource_that_if_match_names() {
    let bench = Bench::new();
    assert_eq!(bench.call_if("*", "POST", CACHE, "memory: {}").await.status, 412, "there is none yet");
    let tag = |answer: &http_edge::testing::Answer| answer.header("etag").unwrap().to_owned();
    let first = tag(&bench.post(CACHE, "memory: {}").await);
    let second = tag(&bench.call_if(&first, "POST", CACHE, "memory: {ttl: 1m}").await);
    assert_eq!(tag(&bench.get(CACHE).await), second);
    for (method, body) in [("POST", "memory: {ttl: 2m}"), ("DELETE", "")] {
        let refused = bench.call_if(&first, method, CACHE, body).await;
        assert_eq!((refused.status, refused.header("etag")), (412, Some(second.as_str())), "{method}");
    }
    assert_eq!(tag(&bench.post(CACHE, "memory: {ttl: 1m}").await), second, "the same again is no change");
    assert_eq!(bench.call_if(&second, "DELETE", CACHE, "").await.status, 204);
    bench.system.advance(std::time::Duration::from_secs(1));
    let anew = tag(&bench.post(CACHE, "memory: {}").await);
    assert!(![first, second].contains(&anew), "a new resource never has an old one's tag");
}

#[tokio::test]
async fn an_owner_has_so_many_resources_and_no_more() {
    let bench = Bench::new();
    for n in 0..manage_streams::routes::resources::MAX_RESOURCES_PER_OWNER {
        bench.store.insert_resource(resource("waste", ResourceKind::Cache, &format!("cache-{n}"), "memory: {}"));
    }
    let refused = bench.post(CACHE, "memory: {}").await;
    assert_eq!((refused.status, &refused.body["detail"]), (409, &json!("the owner has 500 resources; delete some first")));
    assert_eq!(bench.post("/resources/cache/cache-0", "memory: {ttl: 1m}").await.status, 200, "what is there can change");
}

#[tokio::test]
async fn a_table_that_fails_at_any_call_is_503_and_trying_again_helps() {
    for (method, path, body, calls) in [("POST", LIMIT, "local: {}", 3), ("POST", CACHE, "dynamodb: {}", 2), ("DELETE", CACHE, "", 2)] {
        for passes in 0..calls {
            let bench = with_users(&[]);
            bench.store.fail_after(passes);
            let answer = bench.call(method, path, Some(body)).await;
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{method} {path} after {passes}");
            assert!([200, 204].contains(&bench.call(method, path, Some(body)).await.status), "{method} {path} after {passes}");
        }
    }
    let bench = with_users(&[]);
    bench.store.conflict_next(1);
    assert_eq!(bench.post(CACHE, "dynamodb: {}").await.body["detail"], Value::from("another change was made at the same time"));
}
