//! The life of an API key.

use domain::access::Scope;
use insta::assert_snapshot;
use manage_keys::routes::MAX_KEYS_PER_OWNER;
use serde_json::{Value, json};

use crate::bench::{Bench, KEYS};

#[tokio::test]
async fn a_key_is_made_listed_and_revoked() {
    let bench = Bench::new().await;
    let wanted = json!({"name": "truck gateway", "scopes": ["read", "ingest", "read"], "streams": ["refuse-*"]});
    let made = bench.call("POST", KEYS, Some(&wanted)).await;
    let id = made.body["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), Some(format!("/api-keys/{id}").as_str()));
    assert_snapshot!(made.shown().replace(&id, "[id]"), @r#"
    201
    content-type: application/json
    location: /api-keys/[id]

    created_at: "2026-01-01T00:00:00Z"
    created_by: "tester"
    id: "[id]"
    name: "truck gateway"
    owner: "waste"
    scopes:
      "ingest"
      "read"
    streams:
      "refuse-*"
    updated_at: "2026-01-01T00:00:00Z"
    updated_by: "tester"
    "#);
    assert_eq!(bench.call("GET", KEYS, None).await.body, json!([made.body]));

    let path = format!("{KEYS}/{id}");
    let revoked = bench.call("DELETE", &path, None).await;
    assert_eq!((revoked.status, &revoked.body), (204, &json!("")));
    assert_eq!(bench.call("GET", KEYS, None).await.body, json!([]));
    assert_eq!(bench.call("DELETE", &path, None).await.status, 404);
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_key_is_named_at_once() {
    let bench = Bench::new().await;
    let answer =
        bench.call("POST", KEYS, Some(&json!({"name": "", "scopes": ["admin"], "streams": ["A*"], "secret": "x", "nope": 1}))).await;
    assert_snapshot!(answer.shown(), @r#"
    400
    content-type: application/problem+json

    detail: "the body has fields that cannot be used"
    errors:
      {"detail":"expected 1 to 100 characters","pointer":"/name"}
      {"detail":"expected some of manage, ingest, read","pointer":"/scopes"}
      {"detail":"stream pattern \"A*\" does not match ^[a-z0-9*-]{1,70}$","pointer":"/streams"}
      {"detail":"unknown field","pointer":"/nope"}
      {"detail":"unknown field","pointer":"/secret"}
    request_id: [request id]
    status: 400
    title: "Bad Request"
    type: "urn:millrace:problem:bad-request"
    "#);
    let good = json!({"name": "a", "scopes": ["ingest"]});
    let changes = [
        ("name", Value::Null),
        ("name", json!("n".repeat(101))),
        ("name", json!(1)),
        ("scopes", json!([])),
        ("scopes", json!("ingest")),
        ("scopes", json!(["ingest", "root"])),
        ("scopes", json!(["ingest", "admin"])),
        ("streams", json!([])),
        ("streams", json!("refuse-*")),
        ("streams", json!(vec!["a"; 51])),
        ("owner", json!("a#b")),
        ("owner", json!(1)),
    ];
    for (name, value) in changes {
        let mut wanted = good.clone();
        wanted[name] = value.clone();
        let answer = bench.call("POST", KEYS, Some(&wanted)).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["pointer"]), (400, &json!(format!("/{name}"))), "{name} {value}");
        assert_eq!(answer.body["errors"].as_array().map(Vec::len), Some(1), "{name} {value}");
    }
    assert_eq!(bench.call("GET", KEYS, None).await.body, json!([]), "nothing was made");
    assert_eq!(bench.call("POST", KEYS, Some(&good)).await.status, 201);
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused() {
    let bench = Bench::new().await;
    let id = bench.make_key(&["ingest"]).await;
    let token = bench.token("waste", Scope::Manage);
    for path in [KEYS.to_owned(), format!("{KEYS}/{id}/tokens"), format!("{KEYS}/{id}/rotate")] {
        for body in ["[]", "{", "7", "{} {}"] {
            assert_eq!(bench.call_raw(Some(&token), "POST", &path, Some(body)).await.status, 400, "{path} {body}");
        }
    }
}

#[tokio::test]
async fn two_who_rotate_at_once_give_one_conflict() {
    let bench = Bench::new().await;
    let path = format!("{KEYS}/{}/rotate", bench.make_key(&["ingest"]).await);
    bench.keys.conflict_next(1);
    let answer = bench.call("POST", &path, None).await;
    assert_eq!((answer.status, &answer.body["detail"]), (409, &json!("somebody else changed the api key just now")));
    assert_eq!(bench.call("POST", &path, None).await.status, 200);
}

#[tokio::test]
async fn a_store_that_fails_is_a_503_and_nothing_is_half_done() {
    let bench = Bench::new().await;
    let id = bench.make_key(&["ingest"]).await;
    let key = format!("{KEYS}/{id}");
    let calls = [
        ("GET", KEYS.to_owned(), None),
        ("POST", KEYS.to_owned(), Some(json!({"name": "b", "scopes": ["read"]}))),
        ("DELETE", key.clone(), None),
        ("POST", format!("{key}/tokens"), Some(json!({"expires_in_days": 1}))),
        ("POST", format!("{key}/rotate"), None),
    ];
    for (method, path, body) in calls {
        bench.keys.fail_next(1);
        let answer = bench.call(method, &path, body.as_ref()).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{method} {path}");
        assert!(!answer.body.to_string().contains("scripted"), "the cause is for the log alone");
    }
    assert_eq!(bench.keys.stored(&id).unwrap().generation, 0);
}

#[tokio::test]
async fn an_owner_s_keys_are_limited_so_that_their_list_fits_an_answer() {
    let bench = Bench::new().await;
    for _ in 0..MAX_KEYS_PER_OWNER {
        bench.make_key(&["ingest"]).await;
    }
    let wanted = json!({"name": "one too many", "scopes": ["ingest"]});
    assert_eq!(bench.call("POST", KEYS, Some(&wanted)).await.status, 409);
    let listed = bench.call("GET", KEYS, None).await.body;
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(bench.call("DELETE", &format!("{KEYS}/{id}"), None).await.status, 204);
    assert_eq!(bench.call("POST", KEYS, Some(&wanted)).await.status, 201);
}
