//! The forms that a body of JSON may have: lines, bytes of no type, and CloudEvents in their three modes.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::limits::{CONFIG_CACHE_TTL, DEFAULT_MAX_EVENT_BYTES, MAX_EVENTS_PER_REQUEST};
use http_edge::testing::Answer;
use serde_json::{Value, json};

use crate::bench::{Bench, DATA, EVENTS, INGEST, RAW_STREAM, ROUTES, TRUCK, event_of, fates, original, pointers, with_header};

const NDJSON: &str = "application/x-ndjson";
const CLOUD_EVENT: &str = "application/cloudevents+json";
const CLOUD_EVENTS: &str = "application/cloudevents-batch+json";

/// A CloudEvent in its structured form, with white space of its own.
const EMPTIED: &str =
    r#"{"specversion":"1.0", "id":"A-1","source":"/trucks/17","type":"emptied","time":"2018-02-07T01:26:13Z","data":{"litres": 240}}"#;

/// The attributes of the same event, as headers.
const ATTRIBUTES: [(&str, &str); 5] =
    [("ce-specversion", "1.0"), ("ce-id", "A-1"), ("ce-source", "/trucks/17"), ("ce-type", "emptied"), ("ce-time", "2018-02-07T01:26:13Z")];

async fn post(bench: &Bench, path: &str, content_type: &str, body: &str) -> Answer {
    bench.send(&with_header(bench.request(path, body), "content-type", content_type)).await
}

/// The same request as the binary mode of a CloudEvent with these attributes.
fn binary(request: Value, content_type: &str, attributes: &[(&str, &str)]) -> Value {
    let typed = with_header(request, "content-type", content_type);
    attributes.iter().fold(typed, |request, (name, value)| with_header(request, name, value))
}

/// The one event that was put, as a tree.
fn only_event(bench: &Bench) -> Value {
    let stored = bench.stored(RAW_STREAM);
    assert_eq!(stored.len(), 1);
    serde_json::from_str(&stored[0]).unwrap()
}

#[tokio::test]
async fn lines_are_events_on_every_route_that_takes_batches() {
    for path in ROUTES {
        for content_type in [NDJSON, "application/ndjson", "application/jsonl"] {
            let bench = Bench::new();
            let answer = post(&bench, path, content_type, &format!("{TRUCK}\r\n\n  {TRUCK} \n")).await;
            assert_eq!((answer.status, fates(&answer)), (200, vec!["accepted", "accepted"]), "{path} {content_type}");
            assert_eq!(bench.stored(RAW_STREAM), [TRUCK, TRUCK], "{path} {content_type}");
        }
    }
}

#[tokio::test]
async fn one_line_is_a_batch_of_one_and_none_is_a_batch_of_none() {
    let bench = Bench::new();
    let one = post(&bench, INGEST, NDJSON, TRUCK).await;
    assert_eq!(one.body, json!({"success": true, "results": [{"index": 0, "status": "accepted"}]}));
    for nothing in ["", "\n \r\n"] {
        let answer = post(&bench, EVENTS, NDJSON, nothing).await;
        assert_eq!((answer.status, &answer.body), (200, &json!({"results": []})), "{nothing:?}");
    }
    assert_eq!(bench.publisher.calls().len(), 1);
}

#[tokio::test]
async fn a_bad_line_is_kept_as_it_stands_and_harms_no_other() {
    let bench = Bench::new();
    let body = format!("{TRUCK}\n{{\"time\" 1}}\r\n\n7\n{{}}\n{TRUCK} {TRUCK}\n{TRUCK}");
    let answer = post(&bench, EVENTS, NDJSON, &body).await;
    assert_eq!(answer.status, 207);
    assert_eq!(fates(&answer), ["accepted", "dead_letter", "dead_letter", "dead_letter", "dead_letter", "accepted"]);
    let faults = |index: usize| &answer.body["results"][index]["errors"];
    assert_eq!([pointers(faults(1)), pointers(faults(2)), pointers(faults(3)), pointers(faults(4))], [["/1"], ["/2"], ["/3/time"], ["/4"]]);
    for index in [1, 4] {
        let detail = faults(index)[0]["detail"].as_str().unwrap();
        assert!(detail.starts_with("expected JSON: ") && detail.contains(" at column "), "{detail}");
    }
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK, TRUCK]);
    let letters = bench.kept_letters();
    let codes: Vec<&str> = letters.iter().map(|letter| letter.reason.code.as_str()).collect();
    assert_eq!(codes, ["not_json", "not_an_object", "timestamp", "not_json"]);
    let two_in_one = format!("{TRUCK} {TRUCK}");
    let originals: Vec<Vec<u8>> = letters.iter().map(original).collect();
    assert_eq!(originals, [&b"{\"time\" 1}"[..], b"7", b"{}", two_in_one.as_bytes()]);
    assert!(letters.iter().all(|letter| letter.content_type == "application/json"));
}

#[tokio::test]
async fn a_line_that_is_not_utf_8_is_kept_too() {
    let bench = Bench::new();
    let line = b"{\"time\":\"2018-02-07T01:26:13Z\",\"a\":\"\xff\"}";
    let body = [TRUCK.as_bytes(), b"\n", line].concat();
    let answer = bench.send(&with_header(bench.request_of_bytes(EVENTS, &body), "content-type", NDJSON)).await;
    assert_eq!((answer.status, fates(&answer)), (207, vec!["accepted", "dead_letter"]));
    assert_eq!(bench.kept_letters().iter().map(original).collect::<Vec<_>>(), [line]);
}

#[tokio::test]
async fn a_line_that_is_too_long_is_rejected_whatever_it_says() {
    let bench = Bench::new();
    let limit = DEFAULT_MAX_EVENT_BYTES as usize;
    let body = format!("{}\n{}\n{}", event_of(limit), event_of(limit + 1), "x".repeat(limit + 1));
    let answer = post(&bench, EVENTS, NDJSON, &body).await;
    assert_eq!((answer.status, fates(&answer)), (207, vec!["accepted", "rejected", "rejected"]));
    assert_eq!(answer.body["results"][2]["errors"][0]["detail"], "expected at most 260096 bytes, got 260097");
    assert!(bench.kept_letters().is_empty());
}

#[tokio::test]
async fn one_line_too_many_is_413_and_none_is_put() {
    let bench = Bench::new();
    let answer = post(&bench, EVENTS, NDJSON, &"{}\n".repeat(MAX_EVENTS_PER_REQUEST + 1)).await;
    assert_eq!((answer.status, &answer.body["detail"]), (413, &json!("expected at most 5000 events, got 5001")));
    assert!(bench.publisher.calls().is_empty() && bench.kept_letters().is_empty());
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_an_event() {
    let bench = Bench::new();
    assert_eq!(bench.post(EVENTS, &format!("\u{feff}{TRUCK}")).await.status, 200);
    assert_eq!(bench.post(EVENTS, &format!("\u{feff}[{TRUCK}]")).await.status, 200);
    assert_eq!(post(&bench, EVENTS, NDJSON, &format!("\u{feff}{TRUCK}\n{TRUCK}")).await.status, 200);
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK; 4]);
    assert_eq!(bench.post(EVENTS, "\u{feff}").await.status, 400);
    bench.declare(json!({"format": "xml"}));
    bench.system.advance(CONFIG_CACHE_TTL);
    assert_eq!(post(&bench, EVENTS, "text/xml", "\u{feff}<a/>").await.status, 200);
    assert_eq!(bench.stored(RAW_STREAM)[4], "\u{feff}<a/>", "a document's reader knows what it means");
}

#[tokio::test]
async fn only_utf_8_is_taken_and_ascii_is_utf_8() {
    let bench = Bench::new();
    for (content_type, status) in [
        ("application/x-ndjson; charset=utf-8", 200),
        ("application/x-ndjson;charset=\"UTF-8\"", 200),
        ("application/json; charset=us-ascii", 200),
        ("application/vnd.truck+json; version=1; charset=UTF-8", 200),
        ("application/json; charset=utf-16", 415),
        ("application/x-ndjson; charset=iso-8859-1", 415),
        ("application/cloudevents+json; charset=latin1", 415),
        ("application/octet-stream; charset=utf-32", 415),
    ] {
        let answer = post(&bench, EVENTS, content_type, TRUCK).await;
        assert_eq!(answer.status, status, "{content_type}");
    }
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK; 4]);
}

#[tokio::test]
async fn bytes_of_no_type_are_json() {
    let bench = Bench::new();
    let batch = format!("[{TRUCK},{TRUCK}]");
    for body in [TRUCK, &batch] {
        let request = bench.request_of_bytes(EVENTS, body.as_bytes());
        assert_eq!(bench.send(&with_header(request, "content-type", "application/octet-stream")).await.status, 200, "{body}");
    }
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK; 3]);
    let lines = post(&bench, EVENTS, "application/octet-stream", &format!("{TRUCK}\n{TRUCK}")).await;
    assert_eq!(lines.status, 400, "lines say what they are");
}

#[tokio::test]
async fn a_cloud_event_in_structured_mode_is_put_as_it_came() {
    let bench = Bench::new();
    for path in [EVENTS, INGEST] {
        assert_eq!(post(&bench, path, "application/cloudevents+json; charset=utf-8", EMPTIED).await.status, 200, "{path}");
    }
    assert_eq!(post(&bench, DATA, CLOUD_EVENT, EMPTIED).await.status, 202);
    assert_eq!(bench.stored(RAW_STREAM), [EMPTIED; 3]);
}

#[tokio::test]
async fn what_is_called_a_cloud_event_and_is_none_is_kept_with_its_fault() {
    for (body, pointer, detail) in [
        (EMPTIED.replace(r#""id":"A-1","#, ""), "/id", "id: expected a non-empty string, got nothing"),
        (EMPTIED.replace("1.0", "0.3"), "/specversion", "specversion: expected \"1.0\", got \"0.3\""),
        (TRUCK.to_owned(), "/specversion", "specversion: expected \"1.0\", got nothing"),
        (EMPTIED.replace("\"data\"", "\"Data\""), "/Data", "Data: expected a name of a-z and 0-9, got another"),
        (format!("[{EMPTIED}]"), "", "expected a JSON object, got an array"),
    ] {
        let bench = Bench::new();
        let answer = post(&bench, EVENTS, CLOUD_EVENT, &body).await;
        assert_eq!((answer.status, &answer.body["dead_letter"]), (400, &json!(true)), "{body}");
        assert_eq!(answer.body["errors"], json!([{"pointer": pointer, "detail": detail}]), "{body}");
        let letters = bench.kept_letters();
        assert_eq!(letters.iter().map(original).collect::<Vec<_>>(), [body.as_bytes()]);
        assert_eq!(letters[0].content_type, CLOUD_EVENT);
        let code = if pointer.is_empty() { "not_an_object" } else { "cloud_event" };
        assert_eq!(letters[0].reason.code, code, "{body}");
        assert!(bench.publisher.calls().is_empty());
    }
}

#[tokio::test]
async fn a_cloud_event_without_the_streams_time_is_not_valid() {
    let bench = Bench::new();
    let answer = post(&bench, EVENTS, CLOUD_EVENT, &EMPTIED.replace(r#""time":"2018-02-07T01:26:13Z","#, "")).await;
    assert_eq!((answer.status, pointers(&answer.body["errors"])), (400, vec!["/time"]));
    assert_eq!(bench.kept_letters()[0].reason.code, "timestamp");
}

#[tokio::test]
async fn cloud_events_in_an_array_have_a_result_each() {
    let bench = Bench::new();
    let late = EMPTIED.replace("2018-02-07T01:26:13Z", "yesterday");
    let answer = post(&bench, INGEST, CLOUD_EVENTS, &format!("[{EMPTIED},{late},7,{EMPTIED}]")).await;
    assert_eq!((answer.status, fates(&answer)), (207, vec!["accepted", "dead_letter", "dead_letter", "accepted"]));
    let detail = "time: expected an RFC 3339 time or null, got \"yesterday\"";
    assert_eq!(answer.body["results"][1]["errors"], json!([{"pointer": "/1/time", "detail": detail}]));
    assert_eq!(bench.stored(RAW_STREAM), [EMPTIED, EMPTIED]);
    assert_eq!(post(&bench, EVENTS, CLOUD_EVENTS, EMPTIED).await.status, 400, "one alone is no array");
    assert_eq!(fates(&post(&bench, EVENTS, CLOUD_EVENTS, &format!("[{EMPTIED}]")).await), ["accepted"]);
}

#[tokio::test]
async fn a_cloud_event_in_binary_mode_is_put_in_its_structured_form() {
    let bench = Bench::new();
    let mut attributes = ATTRIBUTES.to_vec();
    attributes.extend([("ce-subject", "Euro%20%E2%82%AC"), ("ce-fleet", "north")]);
    let answer = bench.send(&binary(bench.request(EVENTS, r#" {"litres": 240.0} "#), "application/json", &attributes)).await;
    assert_eq!((answer.status, fates(&answer)), (200, vec!["accepted"]));
    let expected = json!({
        "specversion": "1.0", "id": "A-1", "source": "/trucks/17", "type": "emptied", "time": "2018-02-07T01:26:13Z",
        "subject": "Euro €", "fleet": "north", "datacontenttype": "application/json", "data": {"litres": 240.0},
    });
    assert_eq!(only_event(&bench), expected);
    let text = &bench.stored(RAW_STREAM)[0];
    assert!(text.starts_with(r#"{"specversion":"1.0","#) && text.ends_with(r#""data":{"litres": 240.0}}"#), "{text}");
}

#[tokio::test]
async fn data_of_other_types_becomes_text_or_base64() {
    let bench = Bench::new();
    let full = binary(bench.request(DATA, "full"), "text/plain", &ATTRIBUTES);
    assert_eq!(bench.send(&full).await.status, 202);
    assert_eq!([&only_event(&bench)["datacontenttype"], &only_event(&bench)["data"]], ["text/plain", "full"]);

    let bytes = [0x89, b'P', b'N', b'G', 0xff];
    let photo_bench = Bench::new();
    let photo = binary(photo_bench.request_of_bytes(INGEST, &bytes), "image/png", &ATTRIBUTES);
    assert_eq!(photo_bench.send(&photo).await.status, 200);
    let event = only_event(&photo_bench);
    assert_eq!((&event["data_base64"], event.get("data")), (&json!(BASE64_STANDARD.encode(bytes)), None));

    let silent_bench = Bench::new();
    let silent = binary(silent_bench.request(INGEST, ""), "application/json", &ATTRIBUTES);
    assert_eq!(silent_bench.send(&silent).await.status, 200, "an event needs no data");
    assert_eq!(only_event(&silent_bench).get("data"), None);
}

#[tokio::test]
async fn a_cloud_event_in_binary_mode_that_cannot_be_written_down_is_400_and_not_kept() {
    let bench = Bench::new();
    let broken = binary(bench.request(EVENTS, "{\"litres\""), "application/json", &ATTRIBUTES);
    let answer = bench.send(&broken).await;
    assert_eq!(answer.status, 400);
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("body: expected one JSON value, as its content type says, got "), "{detail}");
    for (name, detail) in [
        ("ce-data", "ce-data: expected the data in the body, got a header"),
        ("ce-datacontenttype", "ce-datacontenttype: expected the type of the data in Content-Type, got a header of its own"),
        ("ce-fleet-id", "ce-fleet-id: expected a name of a-z and 0-9, got another"),
    ] {
        let request = with_header(binary(bench.request(EVENTS, "{}"), "application/json", &ATTRIBUTES), name, "1");
        let refused = bench.send(&request).await;
        assert_eq!((refused.status, &refused.body["detail"]), (400, &json!(detail)), "{name}");
    }
    assert!(bench.publisher.calls().is_empty() && bench.kept_letters().is_empty());
}

#[tokio::test]
async fn a_cloud_event_in_binary_mode_that_lacks_an_attribute_is_kept_in_its_structured_form() {
    let bench = Bench::new();
    let unnamed = ATTRIBUTES.into_iter().filter(|(name, _)| *name != "ce-id").collect::<Vec<_>>();
    let answer = bench.send(&binary(bench.request(EVENTS, r#"{"litres":240}"#), "application/json", &unnamed)).await;
    assert_eq!((answer.status, pointers(&answer.body["errors"])), (400, vec!["/id"]));
    let letters = bench.kept_letters();
    assert_eq!((letters[0].reason.code.as_str(), letters[0].content_type.as_str()), ("cloud_event", CLOUD_EVENT));
    let kept: Value = serde_json::from_slice(&original(&letters[0])).unwrap();
    assert_eq!((&kept["type"], &kept["data"], kept.get("id")), (&json!("emptied"), &json!({"litres": 240}), None));
}

#[tokio::test]
async fn a_stream_of_xml_takes_no_cloud_events_and_no_lines() {
    let bench = Bench::new();
    bench.declare(json!({"format": "xml"}));
    for content_type in [NDJSON, CLOUD_EVENT, CLOUD_EVENTS] {
        assert_eq!(post(&bench, EVENTS, content_type, EMPTIED).await.status, 415, "{content_type}");
    }
    let binary_event = binary(bench.request(EVENTS, "<a/>"), "application/xml", &ATTRIBUTES);
    assert_eq!(bench.send(&binary_event).await.status, 415);
    assert!(bench.publisher.calls().is_empty());
}
