//! Which web pages may send events, and which answers they may read.

use domain::access::Scope;
use domain::fakes::active_stream;
use domain::lifecycle::Status;
use http_edge::testing::{Answer, event};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::bench::{Bench, EVENTS, INGEST, ROUTES, TRUCK, stream_in};

const SHOP: &str = "https://shop.example";
const OTHER: &str = "https://other.example";
const LISTED: [&str; 2] = ["https://admin.shop.example:8443", SHOP];

/// The function with a stream that pages of these origins may send to.
fn bench_open_to(origins: &[&str]) -> Bench {
    let bench = Bench::new();
    open(&bench, Status::Active, origins);
    bench
}

fn open(bench: &Bench, status: Status, origins: &[&str]) {
    let mut record = stream_in(status);
    record.document.input.cors_origins = origins.iter().map(|origin| origin.parse().unwrap()).collect();
    bench.store.insert(record);
}

/// The same request, sent by a page.
fn from_page(origin: &str, mut request: Value) -> Value {
    request["headers"]["origin"] = json!(origin);
    request
}

/// What a browser asks before a page of this origin may post.
fn preflight(origin: &str, path: &str) -> Value {
    let mut request = from_page(origin, event("OPTIONS", path, None, None));
    request["headers"]["access-control-request-method"] = json!("POST");
    request["headers"]["access-control-request-headers"] = json!("authorization,content-type");
    request
}

/// The headers of an answer that a browser acts on, in alphabetical order.
fn cors_headers(answer: &Answer) -> Vec<String> {
    let is_cors = |name: &str| name.starts_with("access-control-") || name == "vary";
    let listed = answer.headers.iter().filter(|(name, _)| is_cors(name.as_str()));
    let mut lines: Vec<String> = listed.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

/// The headers by which a page of this origin may read an answer.
fn readable_by(origin: &str) -> [String; 3] {
    [
        format!("access-control-allow-origin: {origin}"),
        "access-control-expose-headers: retry-after, ratelimit, ratelimit-policy, x-request-id, idempotent-replayed".to_owned(),
        "vary: Origin".to_owned(),
    ]
}

/// An answer to a preflight: its status and its headers, a line each.
fn told(answer: &Answer) -> String {
    format!("{}\n{}", answer.status, cors_headers(answer).join("\n"))
}

#[tokio::test]
async fn a_page_of_a_listed_origin_may_read_the_answer_on_every_route() {
    let bench = bench_open_to(&LISTED);
    for path in ROUTES {
        for origin in LISTED {
            let answer = bench.send(&from_page(origin, bench.request(path, TRUCK))).await;
            assert!((200..300).contains(&answer.status), "{path}: {}", answer.status);
            assert_eq!(cors_headers(&answer), readable_by(origin), "{path}");
        }
    }
}

#[tokio::test]
async fn a_page_of_another_origin_may_read_nothing() {
    let bench = bench_open_to(&LISTED);
    let others = [OTHER, "http://shop.example", "https://shop.example:8443", "https://admin.shop.example", "null", "*", ""];
    for path in ROUTES {
        for origin in others {
            let answer = bench.send(&from_page(origin, bench.request(path, TRUCK))).await;
            assert!((200..300).contains(&answer.status), "the browser hides the answer; the token decides: {path} {origin:?}");
            assert!(cors_headers(&answer).is_empty(), "{path} {origin:?}: {:?}", cors_headers(&answer));
        }
    }
}

#[tokio::test]
async fn a_stream_without_a_list_is_for_no_page() {
    let bench = Bench::new();
    assert!(cors_headers(&bench.send(&from_page(SHOP, bench.request(INGEST, TRUCK))).await).is_empty());
    assert_eq!(told(&bench.send(&preflight(SHOP, INGEST)).await), told(&bench.send(&preflight(SHOP, "/ingest/no-such-stream")).await));
}

#[tokio::test]
async fn a_star_lets_every_page_read() {
    let bench = bench_open_to(&[SHOP, "*"]);
    for origin in [SHOP, OTHER, "null"] {
        let answer = bench.send(&from_page(origin, bench.request(INGEST, TRUCK))).await;
        assert_eq!(cors_headers(&answer), readable_by("*"), "{origin}");
    }
}

#[tokio::test]
async fn a_page_may_read_errors_too() {
    let bench = bench_open_to(&[SHOP]);
    let reader = bench.issuer.token("waste", &[Scope::Read]);
    let stranger = bench.issuer.token("transport", &[Scope::Ingest]);
    let mut text = bench.request(INGEST, TRUCK);
    text["headers"]["content-type"] = json!("text/plain");
    let cases = [
        (400, bench.request(INGEST, "not json")),
        (401, event("POST", INGEST, None, Some(TRUCK))),
        (401, event("POST", EVENTS, Some("no.real.token"), Some(TRUCK))),
        (403, event("POST", INGEST, Some(&reader), Some(TRUCK))),
        (404, event("POST", INGEST, Some(&stranger), Some(TRUCK))),
        (404, bench.request("/ingest/refuse-trucks/2", TRUCK)),
        (404, bench.request("/streams/refuse-trucks/2/events", TRUCK)),
        (404, bench.request("/ingest/refuse-trucks/latest", TRUCK)),
        (405, event("PUT", INGEST, None, Some(TRUCK))),
        (415, text),
    ];
    for (status, request) in cases {
        let answer = bench.send(&from_page(SHOP, request.clone())).await;
        assert_eq!(answer.status, status, "{request}");
        assert_eq!(cors_headers(&answer), readable_by(SHOP), "{request}");
        let answer = bench.send(&from_page(OTHER, request.clone())).await;
        assert!(cors_headers(&answer).is_empty(), "{request}");
    }
}

#[tokio::test]
async fn a_page_may_read_that_a_stream_takes_nothing_just_now() {
    for (stands, status) in [(Status::CreateInProgress, 503), (Status::OperationFailed, 409), (Status::Inactive, 404)] {
        let bench = Bench::new();
        open(&bench, stands, &[SHOP]);
        let answer = bench.send(&from_page(SHOP, bench.request(INGEST, TRUCK))).await;
        assert_eq!((answer.status, cors_headers(&answer)), (status, readable_by(SHOP).to_vec()), "{stands:?}");
    }
}

#[tokio::test]
async fn each_version_names_its_own_origins() {
    let bench = bench_open_to(&[SHOP]);
    let mut newer = active_stream("refuse-trucks", "2", "waste");
    newer.document.input.cors_origins = vec![OTHER.parse().unwrap()];
    bench.store.insert(newer);
    for (path, origin) in [("/ingest/refuse-trucks/1", SHOP), (EVENTS, SHOP), ("/ingest/refuse-trucks/2", OTHER), (INGEST, OTHER)] {
        let answer = bench.send(&from_page(origin, bench.request(path, TRUCK))).await;
        assert_eq!(cors_headers(&answer), readable_by(origin), "{path}");
    }
}

#[tokio::test]
async fn what_is_no_stream_is_for_no_page() {
    let bench = bench_open_to(&["*"]);
    for path in ["/ingest/no-such-stream", "/streams/no-such-stream/1/events", "/ingest/Refuse-Trucks", "/ingest/", "/nowhere", "/"] {
        let answer = bench.send(&from_page(SHOP, bench.request(path, TRUCK))).await;
        assert_eq!((answer.status, cors_headers(&answer)), (404, Vec::new()), "{path}");
    }
}

#[tokio::test]
async fn a_request_that_is_no_pages_gets_no_headers_and_costs_no_look_up() {
    let bench = bench_open_to(&["*"]);
    for path in ROUTES {
        let answer = bench.send(&event("POST", path, None, Some(TRUCK))).await;
        assert_eq!((answer.status, cors_headers(&answer)), (401, Vec::new()), "{path}");
    }
    assert_eq!(bench.store.calls(), 0);
    assert!(cors_headers(&bench.post(EVENTS, TRUCK).await).is_empty());
    assert_eq!(bench.store.calls(), 1, "the caller's own look-up");
}

#[tokio::test]
async fn a_warm_request_of_a_page_makes_exactly_one_aws_call() {
    let bench = bench_open_to(&[SHOP]);
    for path in ROUTES {
        let request = from_page(SHOP, bench.request(path, TRUCK));
        bench.send(&request).await;
        let (store_calls, puts, key_loads) = bench.aws_calls();
        assert_eq!(cors_headers(&bench.send(&request).await), readable_by(SHOP), "{path}");
        assert_eq!(bench.aws_calls(), (store_calls, puts + 1, key_loads), "{path}");
        bench.send(&preflight(SHOP, path)).await;
        assert_eq!(bench.aws_calls(), (store_calls, puts + 1, key_loads), "{path}: a preflight neither");
    }
}

#[tokio::test]
async fn a_table_that_does_not_answer_costs_the_headers_and_no_event() {
    for path in ROUTES {
        let bench = bench_open_to(&[SHOP]);
        bench.store.fail_next(1);
        let answer = bench.send(&from_page(SHOP, bench.request(path, TRUCK))).await;
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.status);
        assert!(cors_headers(&answer).is_empty(), "{path}");
        let answer = bench.send(&from_page(SHOP, bench.request(path, TRUCK))).await;
        assert_eq!(cors_headers(&answer), readable_by(SHOP), "{path}: a failure is not remembered");
    }
}

#[tokio::test]
async fn a_preflight_is_answered_without_a_token() {
    let bench = bench_open_to(&[SHOP]);
    let answer = bench.send(&preflight(SHOP, INGEST)).await;
    assert_snapshot!(told(&answer), @r"
    204
    access-control-allow-headers: authorization, content-type
    access-control-allow-methods: POST
    access-control-allow-origin: https://shop.example
    access-control-max-age: 7200
    vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers
    ");
    assert_eq!(answer.body, json!(""));
    for path in ROUTES {
        assert_eq!(told(&bench.send(&preflight(SHOP, path)).await), told(&answer), "{path}");
        let mut with_token = preflight(SHOP, path);
        with_token["headers"]["authorization"] = json!("Bearer no.real.token");
        assert_eq!(told(&bench.send(&with_token).await), told(&answer), "{path}");
    }
    let anyones = bench_open_to(&["*"]).send(&preflight(OTHER, INGEST)).await;
    assert_eq!(told(&anyones), told(&answer).replace(SHOP, "*"));
}

#[tokio::test]
async fn a_preflight_allows_the_headers_that_are_read_and_no_others() {
    let bench = bench_open_to(&[SHOP]);
    let cases = [
        ("Authorization, Content-Type,CONTENT-ENCODING", Some("authorization, content-type, content-encoding")),
        ("idempotency-key,x-request-id", Some("idempotency-key, x-request-id")),
        ("x-amperity-tenant,traceparent", Some("x-amperity-tenant, traceparent")),
        ("ce-id,Ce-Source,ce-specversion,ce-myext1", Some("ce-id, ce-source, ce-specversion, ce-myext1")),
        ("cookie,authorization,x-other,ce-,ce-a_b,ce-a-b,ce,*", Some("authorization")),
        ("cookie,,x-other", None),
        ("", None),
    ];
    for (asked, allowed) in cases {
        let mut request = preflight(SHOP, INGEST);
        request["headers"]["access-control-request-headers"] = json!(asked);
        let answer = bench.send(&request).await;
        assert_eq!((answer.status, answer.header("access-control-allow-headers")), (204, allowed), "{asked}");
    }
    let mut request = preflight(SHOP, INGEST);
    request["headers"].as_object_mut().unwrap().remove("access-control-request-headers");
    let answer = bench.send(&request).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some(SHOP));
    assert_eq!(answer.header("access-control-allow-headers"), None);
}

#[tokio::test]
async fn a_preflight_does_not_tell_a_missing_stream_from_one_that_is_closed_to_the_page() {
    let bench = bench_open_to(&[SHOP]);
    let closed = bench.send(&preflight(OTHER, INGEST)).await;
    assert_snapshot!(told(&closed), @r"
    204
    vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers
    ");
    let names = |answer: &Answer| {
        let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    for path in ["/ingest/no-such-stream", "/ingest/no-such-stream/1", "/streams/no-such-stream/1/events", "/ingest/Refuse-Trucks"] {
        let missing = bench.send(&preflight(SHOP, path)).await;
        assert_eq!((told(&missing), names(&missing), &missing.body), (told(&closed), names(&closed), &closed.body), "{path}");
    }
    let faulty = bench_open_to(&[SHOP]);
    faulty.store.fail_next(1);
    assert_eq!(told(&faulty.send(&preflight(SHOP, INGEST)).await), told(&closed), "nor from a fault of ours");
}

#[tokio::test]
async fn options_that_is_no_preflight_names_the_methods() {
    let bench = bench_open_to(&["*"]);
    let mut without_origin = preflight(SHOP, INGEST);
    without_origin["headers"].as_object_mut().unwrap().remove("origin");
    for request in [event("OPTIONS", INGEST, None, None), from_page(SHOP, event("OPTIONS", INGEST, None, None)), without_origin] {
        let answer = bench.send(&request).await;
        assert_eq!((answer.status, answer.header("allow"), cors_headers(&answer)), (204, Some("POST, OPTIONS"), Vec::new()), "{request}");
    }
    let answer = bench.send(&event("OPTIONS", EVENTS, None, None)).await;
    assert_eq!((answer.status, answer.header("allow")), (204, Some("POST, OPTIONS, GET")));
    assert_eq!(bench.store.calls(), 0);
    let unknown = bench.send(&event("OPTIONS", "/nowhere", None, None)).await;
    assert_eq!((unknown.status, &unknown.body["detail"]), (404, &json!("there is no such route")));
}
