//! A stream that has no raw stream.

use domain::fakes::{PutFault, active_stream_without_raw};
use insta::assert_snapshot;

use crate::bench::{Bench, EVENTS, RAW_STREAM, ROUTES, TRUCK, shown};

const PROCESSED_STREAM: &str = "dp.green.refuse-trucks.processed.1.json";

fn bench(script: impl IntoIterator<Item = PutFault>) -> Bench {
    let bench = Bench::with_script(script);
    bench.store.insert(active_stream_without_raw("refuse-trucks", "1", "waste"));
    bench
}

#[tokio::test]
async fn its_events_are_lines_on_the_processed_stream() {
    let bench = bench([]);
    for path in ROUTES {
        assert_eq!(
            bench.post(path, "{\n  \"time\": \"2018-02-07T01:26:13Z\",\r\n  \"a b\": [ 1.0, \"x  y\" ]\n}").await.status,
            200,
            "{path}"
        );
    }
    assert_eq!(bench.stored(PROCESSED_STREAM), ["{\"time\":\"2018-02-07T01:26:13Z\",\"a b\":[1.0,\"x  y\"]}\n"; 3]);
    assert!(bench.stored(RAW_STREAM).is_empty());
}

#[tokio::test]
async fn a_bad_event_harms_no_other() {
    let bench = bench([]);
    let body = format!(r#"[{TRUCK}, 5, {{"time": "2018-02-07T01:26:13Z", "half": "\ud83d"}}, {{}}, {TRUCK}]"#);
    assert_snapshot!(shown(&bench.post(EVENTS, &body).await), @r#"
    207
    content-type: application/json

    results:
      {"index":0,"status":"accepted"}
      {"errors":[{"detail":"expected a JSON object, got a number","pointer":"/1"}],"index":1,"status":"dead_letter"}
      {"errors":[{"detail":"has an unpaired surrogate escape in a string","pointer":"/2"}],"index":2,"status":"dead_letter"}
      {"errors":[{"detail":"field $.time is missing; expected an RFC 3339 time","pointer":"/3/time"}],"index":3,"status":"dead_letter"}
      {"index":4,"status":"accepted"}
    "#);
    assert_eq!(bench.stored(PROCESSED_STREAM), [format!("{TRUCK}\n"), format!("{TRUCK}\n")]);
}

#[tokio::test]
async fn what_kinesis_does_not_take_at_first_is_sent_again() {
    let bench = bench([PutFault::PartialFailure(vec![0])]);
    assert_eq!(bench.post(EVENTS, &format!(r#"[{TRUCK}, {TRUCK}]"#)).await.status, 200);
    assert_eq!(bench.stored(PROCESSED_STREAM).len(), 2);
}
