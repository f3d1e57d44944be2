//! Pages of events.

use domain::fakes::active_stream;
use domain::history::{EventForm, HistoryLimits};
use domain::input::{Format, Input};
use domain::lifecycle::Status;
use serde_json::json;
use time::macros::datetime;

use crate::bench::{Bench, HOUR, WRITTEN, shown, stream_with_sink, truck};

#[tokio::test]
async fn events_are_sorted_by_time_and_cut_into_pages() {
    let bench = Bench::with_trucks();
    let event = |second: u32| json!({"time": format!("2018-02-07T12:00:0{second}Z"), "truck": format!("rubbish {second}")});
    let page = |page: u32, values: &[u32]| {
        let values: Vec<_> = values.iter().map(|second| event(*second)).collect();
        json!({"status": 200, "content-type": "application/json", "body": {"values": values, "page": page, "total_pages": 3}})
    };
    assert_eq!(shown(&bench.page(1, 2).await), page(1, &[0, 1]));
    assert_eq!(shown(&bench.page(2, 2).await), page(2, &[2, 3]));
    assert_eq!(shown(&bench.page(3, 2).await), page(3, &[4]));
    assert_eq!(shown(&bench.page(4, 2).await), page(4, &[]), "past the end");
}

#[tokio::test]
async fn an_empty_range_is_an_empty_page() {
    let bench = Bench::with_trucks();
    for query in [
        "from_date=2017-01-01&to_date=2017-12-31",
        "from_date=2018-02-07T12:00:05Z&to_date=2018-02-07",
        "from_date=2018-02-07T12:00:00Z&to_date=2018-02-07T12:00:00Z",
    ] {
        let answer = bench.get(query).await;
        assert_eq!((answer.status, answer.body), (200, json!({"values": [], "page": 1, "total_pages": 0})), "{query}");
    }
}

#[tokio::test]
async fn ten_events_are_a_page_unless_the_caller_says() {
    let bench = Bench::new();
    bench.put("a", &(0..25).map(truck).collect::<Vec<_>>());
    let answer = bench.get("from_date=2018-02-07&to_date=2018-02-07").await;
    assert_eq!(answer.body["values"].as_array().map(Vec::len), Some(10));
    assert_eq!((&answer.body["page"], &answer.body["total_pages"]), (&json!(1), &json!(3)));
}

#[tokio::test]
async fn a_range_of_times_is_half_open_and_knows_offsets() {
    let bench = Bench::with_trucks();
    let seconds = async |query: &str| {
        let answer = bench.get(query).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        let values = answer.body["values"].as_array().cloned().unwrap_or_default();
        values.iter().map(|value| value["truck"].as_str().unwrap_or_default().replace("rubbish ", "")).collect::<String>()
    };
    assert_eq!(seconds("from_date=2018-02-07T12:00:01Z&to_date=2018-02-07T12:00:03Z").await, "12");
    assert_eq!(seconds("from_date=2018-02-07T13:00:01%2B01:00&to_date=2018-02-07T13:00:03%2B01:00").await, "12");
    assert_eq!(seconds("from_date=2018-02-07T13:00:01+01:00&to_date=2018-02-07T13:00:03+01:00").await, "12", "a bare plus is a plus");
    assert_eq!(seconds("from_date=2018-02-07&to_date=2018-02-07T12:00:02Z").await, "01");
    assert_eq!(seconds("from_date=2018-02-07T12:00:03Z&to_date=2018-02-07").await, "34");
}

#[tokio::test]
async fn values_are_the_events_own_bytes_in_both_ways_of_reading() {
    let events = [
        r#"{"time":"2018-02-07T12:00:00Z","n":1.0,"big":12345678901234567890123,"exponent":1E400}"#,
        r#"{"time":"2018-02-07T12:00:01Z","a":1,"a":2,"text":"\u00e5 å \/"}"#,
    ];
    for retained_bytes in [0, usize::MAX] {
        let bench = Bench::with_limits(HistoryLimits { retained_bytes, ..HistoryLimits::default() });
        bench.put("a", &events.map(str::to_owned));
        let body = bench.body("from_date=2018-02-07&to_date=2018-02-07").await;
        assert_eq!(body, format!(r#"{{"values":[{}],"page":1,"total_pages":1}}"#, events.join(",")));
    }
}

#[tokio::test]
async fn what_is_no_event_with_a_time_is_left_out() {
    let bench = Bench::new();
    bench.put("a", &["not json".to_owned(), truck(1), "{}".to_owned(), String::new(), "[1]".to_owned()]);
    let answer = bench.page(1, 10).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["values"], json!([{"time": "2018-02-07T12:00:01Z", "truck": "rubbish 1"}]));
}

#[tokio::test]
async fn the_objects_of_other_streams_and_versions_are_not_read() {
    let bench = Bench::with_trucks();
    for other in [HOUR.replace("green", "red"), HOUR.replace("version=1", "version=1.1"), HOUR.replace("trucks", "trucks-1")] {
        bench.objects.put(&format!("{other}a"), WRITTEN, truck(9));
    }
    assert_eq!(bench.page(1, 10).await.body["values"].as_array().map(Vec::len), Some(5));
    assert!(bench.objects.reads().iter().all(|key| key.starts_with(HOUR)));
}

#[tokio::test]
async fn without_an_event_time_the_objects_time_counts() {
    let bench = Bench::new();
    let mut record = domain::fake_objects::with_s3_sink(active_stream("refuse-trucks", "1", "waste"), Status::Active);
    record.document.input.timestamp = None;
    bench.store.insert(record);
    bench.objects.put(&format!("{HOUR}a"), datetime!(2018-02-07 12:01 UTC), "{\"n\":2}\n{\"n\":1}\n");
    bench.objects.put(&format!("{HOUR}b"), datetime!(2018-02-08 00:00 UTC), "{\"n\":3}\n");
    assert_eq!(bench.page(1, 10).await.body["values"], json!([{"n": 2}, {"n": 1}]));
}

#[tokio::test]
async fn the_largest_page_fits_the_answer_of_a_lambda() {
    let bench = Bench::new();
    // Quotes and backslashes are what grows when Lambda wraps the body into JSON.
    let padding = r#"\"\\"#.repeat(90);
    let events: Vec<String> = (0..10_000).map(|n| format!(r#"{{"time":"2018-02-07T12:00:00Z","n":{n},"text":"{padding}"}}"#)).collect();
    bench.put("a", &events);
    assert_eq!(bench.page(1, 10_000).await.status, 400);
    let whole = bench.page(1, 7_000).await;
    assert_eq!(whole.body["values"].as_array().map(Vec::len), Some(7_000), "{}", whole.body["detail"]);
    let body = bench.body("from_date=2018-02-07&to_date=2018-02-07&page_size=7000").await;
    let wrapped = serde_json::to_string(&body).unwrap().len();
    assert!((5_000_000..6 * 1024 * 1024).contains(&wrapped), "{wrapped}");
}

#[tokio::test]
async fn the_events_of_a_stream_of_xml_are_answered_as_json() {
    let bench = Bench::with_trucks();
    let mut record = stream_with_sink(Status::Active);
    record.document.input = Input { format: Format::Xml, ..Input::default() };
    bench.store.insert(record);
    let answer = bench.get("from_date=2018-02-08&to_date=2018-02-08").await;
    assert_eq!((answer.status, &answer.body["values"][0]["truck"]), (200, &json!("rubbish 3")));
    assert_eq!(bench.objects.forms(), [EventForm::Cbor; 2]);
}
