//! Events on their way in: who is accepted, and what the sender is told of each.

use serde_json::{Value, json};

use crate::harness::{Client, id_in, shared_stream, unique_id};

#[tokio::test]
async fn one_event_alone_is_accepted_on_every_route() {
    let client = Client::new();
    let stream = shared_stream().await;
    let id = id_in(stream);
    let answer = client.post(&format!("{stream}/events"), &json!({"n": 1})).await.expect(200);
    assert_eq!(answer.json(), json!({"results": [{"index": 0, "status": "accepted"}]}));
    for path in [format!("/ingest/{id}"), format!("/ingest/{id}/1")] {
        assert_eq!(client.post(&path, &json!({"n": 1})).await.expect(200).json(), json!({"success": true}), "{path}");
    }
}

#[tokio::test]
async fn a_batch_has_one_result_an_event_in_order() {
    let client = Client::new();
    let stream = shared_stream().await;
    let batch = json!([{"n": 0}, {"n": 1}, {"n": 2}]);
    let results = accepted(3);
    assert_eq!(client.post(&format!("{stream}/events"), &batch).await.expect(200).json(), json!({"results": results}));
    let answer = client.post(&format!("/ingest/{}", id_in(stream)), &batch).await.expect(200);
    assert_eq!(answer.json(), json!({"success": true, "results": results}));
}

#[tokio::test]
async fn a_bad_event_is_named_and_its_neighbours_are_accepted() {
    let client = Client::new();
    let stream = shared_stream().await;
    let batch = json!([{"n": 0}, 5, {"n": 2}, [], {"n": 4}]);
    let check = |results: &Value| {
        let results = results.as_array().unwrap();
        let fates: Vec<(&Value, &str)> = results.iter().map(|result| (&result["index"], result["status"].as_str().unwrap())).collect();
        let expected = ["accepted", "dead_letter", "accepted", "dead_letter", "accepted"];
        let expected: Vec<(Value, &str)> = expected.iter().enumerate().map(|(index, fate)| (json!(index), *fate)).collect();
        assert_eq!(fates, expected.iter().map(|(index, fate)| (index, *fate)).collect::<Vec<_>>());
        for (index, what) in [(1, "a number"), (3, "an array")] {
            let error = &results[index]["errors"][0];
            assert_eq!(error["pointer"], format!("/{index}"));
            assert!(error["detail"].as_str().unwrap().contains(what), "{error}");
        }
    };
    let answer = client.post(&format!("{stream}/events"), &batch).await.expect(207);
    check(&answer.json()["results"]);
    let answer = client.post(&format!("/ingest/{}", id_in(stream)), &batch).await.expect(207);
    assert_eq!(answer.json()["success"], false);
    check(&answer.json()["results"]);
}

#[tokio::test]
async fn a_batch_without_a_good_event_is_refused() {
    let client = Client::new();
    let events = format!("{}/events", shared_stream().await);
    let problem = client.post(&events, &json!([1, "two"])).await.expect_problem(400);
    let results = problem["results"].as_array().unwrap_or_else(|| panic!("no results in {problem}"));
    let fates: Vec<_> = results.iter().map(|result| [&result["index"], &result["status"], &result["errors"][0]["pointer"]]).collect();
    assert_eq!(json!(fates), json!([[0, "dead_letter", "/0"], [1, "dead_letter", "/1"]]));
    client.post(&events, &json!("text")).await.expect_problem(400);
}

#[tokio::test]
async fn an_empty_batch_is_fine() {
    let client = Client::new();
    let stream = shared_stream().await;
    assert_eq!(client.post(&format!("{stream}/events"), &json!([])).await.expect(200).json(), json!({"results": []}));
    let answer = client.post(&format!("/ingest/{}", id_in(stream)), &json!([])).await.expect(200);
    assert_eq!(answer.json(), json!({"success": true, "results": []}));
}

#[tokio::test]
async fn more_events_than_two_kinesis_calls_take_are_accepted_in_one_request() {
    let client = Client::new();
    let batch: Vec<Value> = (0..1_200).map(|n| json!({"n": n, "text": "æøå"})).collect();
    let answer = client.post(&format!("{}/events", shared_stream().await), &json!(batch)).await.expect(200);
    assert_eq!(answer.json()["results"], json!(accepted(1_200)));
}

#[tokio::test]
async fn the_newest_version_takes_what_names_no_version() {
    let client = Client::new();
    let id = unique_id("newest");
    // Only version 10 takes an event without a time.
    let timed = json!({"input": {"timestamp": "$.time"}});
    client.post(&format!("/streams/{id}/2"), &timed).await.expect(201);
    client.post(&format!("/streams/{id}/10"), &json!({})).await.expect(201);
    client.wait_active(&format!("/streams/{id}/2")).await;
    client.wait_active(&format!("/streams/{id}/10")).await;

    let event = json!({"n": 1});
    client.post(&format!("/ingest/{id}"), &event).await.expect(200);
    client.post(&format!("/ingest/{id}/10"), &event).await.expect(200);
    let problem = client.post(&format!("/ingest/{id}/2"), &event).await.expect_problem(400);
    assert_eq!(problem["errors"][0]["pointer"], "/time", "{problem}");
    client.post(&format!("/ingest/{id}/2"), &json!({"time": "2018-02-07T01:26:13.840Z"})).await.expect(200);
    client.post(&format!("/ingest/{id}/1"), &event).await.expect_problem(404);
}

#[tokio::test]
async fn a_missing_stream_takes_nothing() {
    let client = Client::new();
    let id = unique_id("missing");
    for path in [format!("/streams/{id}/1/events"), format!("/ingest/{id}"), format!("/ingest/{id}/1"), "/ingest/No_Id".to_owned()] {
        client.post(&path, &json!({})).await.expect_problem(404);
    }
}

#[tokio::test]
async fn a_stream_that_is_being_created_asks_for_patience() {
    let client = Client::new();
    let stream = format!("/streams/{}/1", unique_id("early"));
    client.post(&stream, &json!({})).await.expect(201);
    let answer = client.post(&format!("{stream}/events"), &json!([{}])).await.expect(503);
    assert!(answer.header("retry-after").parse::<u64>().is_ok());
    answer.expect_problem(503);
    client.wait_active(&stream).await;
    client.post(&format!("{stream}/events"), &json!([{}])).await.expect(200);
}

fn accepted(count: usize) -> Vec<Value> {
    (0..count).map(|index| json!({"index": index, "status": "accepted"})).collect()
}
