//! A stream without a raw stream: from ingest straight to the sinks.

use serde_json::{Value, json};

use crate::harness::{Client, id_in};

const RANGE: &str = "from_date=2020-01-01&to_date=2999-12-31";

#[tokio::test]
async fn events_reach_the_history_without_a_raw_stream_or_a_pipeline() {
    let client = Client::new();
    let stream = client.create_stream_with_sink("raw-less", &json!({"create_raw": false})).await;
    let shown = client.get(&stream).await.expect(200).json();
    assert_eq!([shown.get("raw_stream"), shown["config"].get("create_raw")], [None, None]);
    assert_eq!(shown["config"]["buffer"]["raw"], false);
    assert_eq!(shown["processed_stream"], format!("dp.red.{}.processed.1.json", id_in(&stream)));

    let body = "[\n  { \"n\": 1, \"text\": \"two  words\" },\n  5,\n  { \"n\": 2.0 }\n]";
    let answer = client.post_text(&format!("{stream}/events"), body).await.expect(207).json();
    let statuses: Vec<&Value> = answer["results"].as_array().unwrap().iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, ["accepted", "dead_letter", "accepted"]);
    client.post(&format!("/ingest/{}", id_in(&stream)), &json!({"n": 3})).await.expect(200);

    client.wait_for_history(&stream, RANGE, 3).await;
    let page = client.get(&format!("{stream}/events?{RANGE}")).await.expect(200);
    let mut numbers: Vec<String> = page.raw_events().iter().map(|event| event["n"].get().to_owned()).collect();
    numbers.sort();
    assert_eq!(numbers, ["1", "2.0", "3"], "each as it was written");

    let stats = client.get(&format!("{stream}/stats")).await.expect(200).json();
    assert_eq!(stats["input"]["received"], 0, "nothing runs that would count: {stats}");
    let problem = client.post(&format!("{stream}/pause"), &json!({})).await.expect_problem(409);
    assert_eq!(problem["detail"], "the stream has no pipeline");
    client.delete(&format!("{stream}?cascade=true")).await.expect(200);
    client.wait_gone(&stream).await;
}
