//! Who may read events, and what the others are told.

use domain::access::Scope;
use domain::fake_objects::with_s3_sink;
use domain::fakes::active_stream;
use domain::lifecycle::Status;
use http_edge::testing::event;

use crate::bench::{Bench, EVENTS, problem, shown};

const DAY: &str = "from_date=2018-02-07&to_date=2018-02-07";

#[tokio::test]
async fn a_request_without_a_valid_token_is_401() {
    let bench = Bench::with_trucks();
    let mut expected = problem(401, "Unauthorized", "expected a valid bearer token");
    expected["www-authenticate"] = "Bearer realm=\"millrace\"".into();
    for token in [None, Some("no.real.token")] {
        assert_eq!(shown(&bench.send(&event("GET", &format!("{EVENTS}?{DAY}"), token, None)).await), expected);
    }
    assert_eq!(bench.store.calls(), 0, "nobody is told what exists");
}

#[tokio::test]
async fn an_expired_token_is_401() {
    let bench = Bench::with_trucks();
    let request = bench.request(DAY);
    assert_eq!(bench.send(&request).await.status, 200);
    bench.system.advance(std::time::Duration::from_secs(2 * 24 * 60 * 60));
    assert_eq!(bench.send(&request).await.status, 401);
}

#[tokio::test]
async fn a_token_that_may_not_read_is_403() {
    let bench = Bench::with_trucks();
    let token = bench.issuer.token("waste", &[Scope::Manage, Scope::Ingest]);
    let answer = bench.send(&event("GET", &format!("{EVENTS}?{DAY}"), Some(&token), None)).await;
    assert_eq!(shown(&answer), problem(403, "Forbidden", "expected a token with scope read"));
    assert!(bench.objects.reads().is_empty());
}

#[tokio::test]
async fn an_admin_may_read_everyones_events() {
    let bench = Bench::with_trucks();
    let token = bench.issuer.token("operations", &[Scope::Admin]);
    let answer = bench.send(&event("GET", &format!("{EVENTS}?{DAY}"), Some(&token), None)).await;
    assert_eq!(answer.body["values"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn a_foreign_stream_is_answered_like_a_missing_one_whatever_is_asked() {
    let bench = Bench::with_trucks();
    bench.store.insert(with_s3_sink(active_stream("bus-positions", "1", "transport"), Status::Active));
    bench.store.insert(active_stream("tram-positions", "1", "transport"));
    let token = bench.issuer.token("waste", &[Scope::Read]);
    for path in ["no-such-stream/1", "bus-positions/1", "tram-positions/1", "refuse-trucks/2", "refuse-trucks/latest", "Refuse/1"] {
        for query in [DAY, "nonsense", ""] {
            let answer = bench.send(&event("GET", &format!("/streams/{path}/events?{query}"), Some(&token), None)).await;
            assert_eq!(shown(&answer), problem(404, "Not Found", "there is no such stream"), "{path} {query}");
        }
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_an_unknown_path_404() {
    let bench = Bench::new();
    let answer = bench.send(&event("DELETE", EVENTS, None, None)).await;
    let mut expected = problem(405, "Method Not Allowed", "expected one of: POST, OPTIONS, GET");
    expected["allow"] = "POST, OPTIONS, GET".into();
    assert_eq!(shown(&answer), expected);
    let answer = bench.send(&event("GET", "/streams/refuse-trucks/1/events/7", None, None)).await;
    assert_eq!(shown(&answer), problem(404, "Not Found", "there is no such route"));
}
