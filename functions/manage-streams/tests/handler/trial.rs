//! Trials of a stream's pipeline.

use insta::assert_snapshot;
use serde_json::json;

use crate::bench::{Bench, STREAM};

const PIPELINE: &str = r#"{"pipeline": {"processors": [{"filter": "exists(.kmh)"}, {"mapping": ".ms = to_float!(.kmh) / 3.6"}]}}"#;

async fn bench() -> Bench {
    let bench = Bench::new();
    bench.make(STREAM, PIPELINE).await;
    bench
}

#[tokio::test]
async fn a_trial_says_what_would_become_of_each_event_and_what_each_processor_did() {
    let bench = bench().await;
    let answer = bench.post(&format!("{STREAM}/test"), r#"[{"kmh": 36}, {"kmh": "fast"}, {}, 5]"#).await;
    assert_snapshot!(answer.shown(), @r#"
    200
    content-type: application/json

    results:
      {"index":0,"outputs":[{"kmh":36,"ms":10.0}],"processors":[{"errors":[],"outputs":[{"kmh":36}],"path":"pipeline.processors[0].filter","received":1},{"errors":[],"outputs":[{"kmh":36,"ms":10.0}],"path":"pipeline.processors[1].mapping","received":1}],"status":"forwarded"}
      {"index":1,"outputs":[],"path":"pipeline.processors[1].mapping","processors":[{"errors":[],"outputs":[{"kmh":"fast"}],"path":"pipeline.processors[0].filter","received":1},{"errors":[{"code":"mapping","detail":"function call error for \"to_float\" at (6:21): Invalid floating point number \"fast\": invalid float literal"}],"outputs":[],"path":"pipeline.processors[1].mapping","received":1}],"reason":{"code":"mapping","detail":"function call error for \"to_float\" at (6:21): Invalid floating point number \"fast\": invalid float literal"},"status":"dead_letter"}
      {"index":2,"outputs":[],"processors":[{"errors":[],"outputs":[],"path":"pipeline.processors[0].filter","received":1},{"errors":[],"outputs":[],"path":"pipeline.processors[1].mapping","received":0}],"status":"filtered"}
      {"index":3,"outputs":[],"processors":[],"reason":{"code":"undecodable","detail":"not a JSON object"},"status":"dead_letter"}
    "#);
}

#[tokio::test]
async fn a_trial_takes_lines_and_one_event_too() {
    let bench = bench().await;
    let statuses = async |body: &str| {
        let answer = bench.post(&format!("{STREAM}/test"), body).await;
        let results = answer.body["results"].as_array().unwrap().clone();
        results.iter().map(|result| result["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(statuses("{\"kmh\": 1}\nnonsense\n{}").await, ["forwarded", "dead_letter", "filtered"]);
    assert_eq!(statuses("{\"kmh\":\n 1}").await, ["forwarded"]);
}

#[tokio::test]
async fn a_trial_names_what_it_cannot_read() {
    let bench = bench().await;
    for (body, detail) in [
        ("", "expected 1 to 1000 events, got 0"),
        ("[{},", "not JSON: EOF while parsing a value at line 1 column 4"),
        (&format!("[{}{{}}]", "{},".repeat(1_000)), "expected 1 to 1000 events, got 1001"),
    ] {
        let answer = bench.post(&format!("{STREAM}/test"), body).await;
        assert_eq!((answer.status, &answer.body["detail"]), (400, &json!(detail)));
    }
    bench.make("/streams/direct/1", r#"{"buffer": {"raw": false}}"#).await;
    assert_eq!(bench.post("/streams/direct/1/test", "{}").await.status, 409);
}
