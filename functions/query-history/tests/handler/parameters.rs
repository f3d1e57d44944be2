//! What may be asked.

use serde_json::json;

use crate::bench::{Bench, problem, shown};

#[tokio::test]
async fn every_bad_parameter_is_named_at_once() {
    let bench = Bench::with_trucks();
    let answer = bench.get("from_date=yesterday&page=0&page_size=10001&a/b~c=1&cursor=x").await;
    let date = "expected a date such as 2018-02-07 or an RFC 3339 time such as 2018-02-07T12:30:00Z";
    let known = "expected one of the parameters from_date, to_date, page, page_size";
    let mut expected = problem(400, "Bad Request", "the query parameters are not valid");
    expected["body"]["errors"] = json!([
        {"pointer": "/a~1b~0c", "detail": known},
        {"pointer": "/cursor", "detail": known},
        {"pointer": "/from_date", "detail": format!("{date}, got \"yesterday\"")},
        {"pointer": "/to_date", "detail": format!("{date}, got nothing")},
        {"pointer": "/page", "detail": "expected 1 to 4294967295, got \"0\""},
        {"pointer": "/page_size", "detail": "expected 1 to 10000, got \"10001\""},
    ]);
    assert_eq!(shown(&answer), expected);
    assert_eq!(bench.objects.listings(), 0);
}

#[tokio::test]
async fn a_request_without_parameters_names_both_that_it_needs() {
    let answer = Bench::new().get("").await;
    let pointers: Vec<_> = answer.body["errors"].as_array().into_iter().flatten().map(|error| error["pointer"].clone()).collect();
    assert_eq!((answer.status, pointers), (400, vec![json!("/from_date"), json!("/to_date")]));
}

#[tokio::test]
async fn a_range_the_wrong_way_round_is_a_bad_request() {
    let bench = Bench::with_trucks();
    for query in [
        "from_date=2018-02-08&to_date=2018-02-07",
        "from_date=2018-02-07T12:00:01Z&to_date=2018-02-07T12:00:00Z",
        "from_date=2018-02-08T00:00:00Z&to_date=2018-02-07",
    ] {
        let answer = bench.get(query).await;
        assert_eq!(answer.status, 400, "{query}");
        let expected = json!([{"pointer": "/from_date", "detail": "expected a time that is not after to_date"}]);
        assert_eq!(answer.body["errors"], expected, "{query}");
    }
}

#[tokio::test]
async fn a_parameter_given_twice_is_a_bad_request() {
    let answer = Bench::new().get("from_date=2018-02-07&to_date=2018-02-07&to_date=2018-02-08").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body["errors"], json!([{"pointer": "/to_date", "detail": "expected it once"}]));
}

#[tokio::test]
async fn the_highest_page_there_can_be_is_empty() {
    let answer = Bench::with_trucks().page(u32::MAX, 10_000).await;
    assert_eq!((answer.status, answer.body), (200, json!({"values": [], "page": u32::MAX, "total_pages": 1})));
}
