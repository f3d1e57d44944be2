//! What every request gets: a route, or a plain refusal.

use domain::access::Scope;
use http_edge::{FunctionName, ROUTES};
use serde_json::json;

use crate::bench::{Bench, KEYS};

#[tokio::test]
async fn every_route_of_the_table_is_routed() {
    let own: Vec<_> = ROUTES.iter().filter(|route| route.function == FunctionName::ManageKeys).collect();
    assert_eq!(own.len(), 6);
    for route in own {
        let bench = Bench::new().await;
        let id = bench.make_key(&["ingest"]).await;
        let token = bench.token("waste", Scope::Manage);
        let body = json!({"name": "a", "scopes": ["read"], "expires_in_days": 1});
        let answer = bench.call_as(&token, route.method, &route.path.replace("{id}", id.as_str()), Some(&body)).await;
        assert!(![404, 405].contains(&answer.status) && answer.status < 500, "{} {}: {}", route.method, route.path, answer.status);
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let bench = Bench::new().await;
    let answer = bench.call("PUT", KEYS, None).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST")));
}
