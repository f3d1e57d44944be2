//! Events on their way back: by date, by time, by page.

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::harness::{Client, shared_stream};

/// Number and time of each event, in the order in which they are sent. Sorted by time, they are in the order of their numbers.
const EVENTS: &[(u32, &str)] = &[
    (8, "2018-02-03T23:59:59.999Z"),
    (3, "2018-02-02T00:00:00Z"),
    (1, "2018-02-01T22:30:00Z"),
    (6, "2018-02-03T12:00:00.5Z"),
    (2, "2018-02-02T01:30:00+02:00"),
    (7, "2018-02-03T20:00:00-03:00"),
    (5, "2018-02-03T12:00:00Z"),
    (9, "2018-02-04T00:00:00Z"),
    (4, "2018-02-02T23:59:59Z"),
    (0, "2018-02-01T00:00:00Z"),
];

const EVERYTHING: &str = "from_date=2018-01-01&to_date=2018-12-31";

/// The path of a stream whose history holds [`EVENTS`].
async fn stream_with_history() -> &'static str {
    static STREAM: OnceCell<String> = OnceCell::const_new();
    let make = async || {
        let client = Client::new();
        let document = json!({"access_rights": "restricted", "input": {"timestamp": "$.at.time"}});
        let stream = client.create_stream_with_sink("history", &document).await;
        let events: Vec<Value> = EVENTS.iter().map(|(n, time)| json!({"n": n, "at": {"time": time}})).collect();
        client.post(&format!("{stream}/events"), &json!(events)).await.expect(200);
        client.wait_for_history(&stream, EVERYTHING, EVENTS.len()).await;
        stream
    };
    STREAM.get_or_init(make).await
}

async fn page(query: &str) -> Value {
    Client::new().get(&format!("{}/events?{query}", stream_with_history().await)).await.expect(200).json()
}

fn numbers(page: &Value) -> Vec<u64> {
    page["values"].as_array().unwrap().iter().map(|event| event["n"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn events_are_found_by_date_sorted_by_their_own_time() {
    let all = page(&format!("{EVERYTHING}&page_size=100")).await;
    assert_eq!(numbers(&all), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!([&all["page"], &all["total_pages"]], [&json!(1), &json!(1)]);
    assert_eq!(all["values"][2], json!({"n": 2, "at": {"time": "2018-02-02T01:30:00+02:00"}}));
    assert_eq!(numbers(&page("from_date=2018-02-02&to_date=2018-02-03").await), [3, 4, 5, 6, 7, 8], "both days are whole");
    assert_eq!(numbers(&page("from_date=2018-02-01&to_date=2018-02-01").await), [0, 1, 2], "a day is a day in UTC");
}

#[tokio::test]
async fn events_are_found_by_time_the_end_excluded() {
    assert_eq!(numbers(&page("from_date=2018-02-02T00:00:00Z&to_date=2018-02-04T00:00:00Z").await), [3, 4, 5, 6, 7, 8]);
    assert_eq!(numbers(&page("from_date=2018-02-03T12:00:00Z&to_date=2018-02-03T12:00:00.5Z").await), [5]);
    let with_offset = page("from_date=2018-02-03T13:00:00.5%2B01:00&to_date=2018-02-03T21:00:00-03:00").await;
    assert_eq!(numbers(&with_offset), [6, 7, 8]);
    assert_eq!(numbers(&page("from_date=2018-02-03T23:59:59.999Z&to_date=2018-02-04").await), [8, 9], "a date and a time mix");
}

#[tokio::test]
async fn pages_make_up_the_whole() {
    let mut found = Vec::new();
    for number in 1..=4 {
        let page = page(&format!("{EVERYTHING}&page_size=3&page={number}")).await;
        assert_eq!([&page["page"], &page["total_pages"]], [&json!(number), &json!(4)]);
        found.extend(numbers(&page));
    }
    assert_eq!(found, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let beyond = page(&format!("{EVERYTHING}&page_size=3&page=5")).await;
    assert_eq!([&beyond["values"], &beyond["total_pages"]], [&json!([]), &json!(4)]);
}

#[tokio::test]
async fn an_empty_range_is_an_empty_page() {
    for range in ["from_date=2017-01-01&to_date=2017-12-31", "from_date=2018-02-02T00:00:01Z&to_date=2018-02-02T00:00:01Z"] {
        assert_eq!(page(range).await, json!({"values": [], "page": 1, "total_pages": 0}), "{range}");
    }
}

#[tokio::test]
async fn bad_parameters_are_refused_by_name() {
    let client = Client::new();
    let stream = stream_with_history().await;
    let cases: [(&str, &[&str]); 8] = [
        ("", &["/from_date", "/to_date"]),
        ("to_date=2018-02-01", &["/from_date"]),
        ("from_date=2018-02-30&to_date=yesterday", &["/from_date", "/to_date"]),
        ("from_date=2018-02-02&to_date=2018-02-01", &["/from_date"]),
        ("from_date=2018-02-01&to_date=2018-02-01&page=0&page_size=10001", &["/page", "/page_size"]),
        ("from_date=2018-02-01&to_date=2018-02-01&page=-1", &["/page"]),
        ("from_date=2018-02-01&to_date=2018-02-01&form_date=2018", &["/form_date"]),
        ("from_date=2018-02-01&from_date=2018-02-02&to_date=2018-02-03", &["/from_date"]),
    ];
    for (query, named) in cases {
        let problem = client.get(&format!("{stream}/events?{query}")).await.expect_problem(400);
        let pointers: Vec<&str> = problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        assert_eq!(pointers, named, "{query}: {problem}");
    }
}

#[tokio::test]
async fn a_stream_without_a_sink_says_which_one_to_enable() {
    let client = Client::new();
    let problem = client.get(&format!("{}/events?{EVERYTHING}", shared_stream().await)).await.expect_problem(409);
    assert!(problem["detail"].as_str().unwrap().contains("s3"), "{problem}");
    client.get(&format!("/streams/e2e-no-such-stream/1/events?{EVERYTHING}")).await.expect_problem(404);
}

#[tokio::test]
async fn values_come_back_as_they_were_sent() {
    const PRETTY: &str = r#"[
      {
        "n": 1,
        "big": 12345678901234567890123456789,
        "exact": 0.1000000000000000055511151231257827,
        "tiny": 1.50e-320,
        "huge": 1E400,
        "text": "Æøå 水 😀 \u00e9 \"quoted\" \\ \u2028 two\nlines",
        "nested": { "empty": {}, "list": [ ], "null": null, " key with spaces ": [ true, false ] }
      }
    ]"#;
    let client = Client::new();
    let stream = client.create_stream_with_sink("values", &json!({})).await;
    client.post_text(&format!("{stream}/events"), PRETTY).await.expect(200);

    // Without an event time it is the arrival that counts.
    let range = "from_date=2020-01-01&to_date=2999-12-31";
    client.wait_for_history(&stream, range, 1).await;
    let answer = client.get(&format!("{stream}/events?{range}")).await.expect(200);
    let events = answer.raw_events();
    let event = &events[0];
    for (member, text) in [
        ("big", "12345678901234567890123456789"),
        ("exact", "0.1000000000000000055511151231257827"),
        ("tiny", "1.50e-320"),
        ("huge", "1E400"),
    ] {
        assert_eq!(event[member].get(), text, "{member} keeps its digits");
    }
    let text: String = serde_json::from_str(event["text"].get()).unwrap();
    assert_eq!(text, "Æøå 水 😀 é \"quoted\" \\ \u{2028} two\nlines");
    let nested: Value = serde_json::from_str(event["nested"].get()).unwrap();
    assert_eq!(nested, json!({"empty": {}, "list": [], "null": null, " key with spaces ": [true, false]}));
    assert_eq!((events.len(), event.len()), (1, 7));
}
