//! Processors that remember, documents of XML, and pipelines tried out.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::harness::{Client, poll, unique_id};

#[tokio::test]
async fn an_event_that_was_seen_goes_on_once() {
    let client = Client::new();
    let cache = unique_id("seen");
    client.post(&format!("/resources/cache/{cache}"), &json!({"dynamodb": {"ttl": "10m"}})).await.expect(200);
    let document = json!({
        "input": {"timestamp": "$.time", "event_id": "$.id"},
        "pipeline": {"processors": [{"dedupe": {"cache": cache}}]},
        "output": {"s3": {}},
    });
    let stream = client.create_stream("dedupe", &document).await;
    client.wait_active(&format!("{stream}/sinks/s3")).await;
    let event = |n: u32| json!({"id": n, "time": "2026-01-05T08:00:00Z"});
    for _ in 0..3 {
        client.post(&format!("{stream}/events"), &json!([event(1), event(2), event(1)])).await.expect(200);
    }
    let mut stats = Value::Null;
    poll(async || {
        stats = client.get(&format!("{stream}/stats")).await.expect(200).json();
        if stats["input"]["received"] == 6 { Ok(()) } else { Err(stats.to_string()) }
    })
    .await;
    let pipeline = &stats["pipeline"];
    assert_eq!([&pipeline["forwarded"], &pipeline["deduplicated"]], [&json!(2), &json!(4)], "the second of one request was not even put");
    client.wait_for_history(&stream, "from_date=2026-01-05&to_date=2026-01-05", 2).await;
}

#[tokio::test]
async fn records_of_xml_are_mapped_and_read_back_as_json() {
    let client = Client::new();
    let document = json!({
        "input": {"format": "xml"},
        "pipeline": {"processors": [{"mapping": ".litres = to_int!(.litres)"}, {"filter": ".litres > 0"}]},
        "output": {"s3": {}},
    });
    let stream = client.create_stream("xml", &document).await;
    client.wait_active(&format!("{stream}/sinks/s3")).await;
    let xml =
        "<trucks><record nr=\"17\"><name>glass &amp; paper</name><litres>240</litres></record><record><litres>0</litres></record></trucks>";
    let send = async |body: &str| {
        let request = client.request(Method::POST, &format!("{stream}/events")).header(CONTENT_TYPE, "application/xml");
        client.send(request.body(body.to_owned())).await.expect(200)
    };
    send(xml).await;
    send("<trucks><!DOCTYPE a></trucks>").await;
    let today = "from_date=2020-01-01&to_date=2099-12-31";
    client.wait_for_history(&stream, today, 1).await;
    let page = client.get(&format!("{stream}/events?{today}")).await.expect(200).json();
    assert_eq!(page["values"], json!([{"@nr": "17", "name": "glass & paper", "litres": 240}]));
    let letters = poll(async || {
        let page = client.get(&format!("{stream}/dead-letters")).await.expect(200).json();
        let letters = page["values"].as_array().unwrap().clone();
        if letters.len() == 1 { Ok(letters) } else { Err(page.to_string()) }
    })
    .await;
    assert_eq!((&letters[0]["reason"]["code"], &letters[0]["content_type"]), (&json!("undecodable"), &json!("application/xml")));
}

#[tokio::test]
async fn a_pipeline_is_tried_and_nothing_is_written() {
    let client = Client::new();
    let loops = ".sum = 0\nfor_each(array!(.list)) -> |_, item| { .sum = int!(.sum) + int!(item) }";
    let stream =
        client.create_stream("tried", &json!({"pipeline": {"processors": [{"filter": "exists(.list)"}, {"mapping": loops}]}})).await;
    let answer = client.post(&format!("{stream}/test"), &json!([{"list": [1, 2]}, {}, {"list": "x"}])).await.expect(200).json();
    let statuses: Vec<&Value> = answer["results"].as_array().unwrap().iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, ["forwarded", "filtered", "dead_letter"]);
    assert_eq!(answer["results"][0]["outputs"], json!([{"list": [1, 2], "sum": 3}]));
    assert_eq!(answer["results"][2]["path"], "pipeline.processors[1].mapping");
    let stats = client.get(&format!("{stream}/stats")).await.expect(200).json();
    assert_eq!(stats["input"]["received"], 0);
}
