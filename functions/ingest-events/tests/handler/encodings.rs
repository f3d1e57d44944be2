//! Bodies that are compressed, as API Gateway hands them on: in base64, and still called JSON.

use std::io::Write;

use domain::limits::{DEFAULT_MAX_EVENT_BYTES, MAX_BODY_BYTES, MAX_DECODED_BYTES};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_edge::testing::Answer;
use serde_json::{Value, json};

use crate::bench::{Bench, DATA, EVENTS, INGEST, RAW_STREAM, ROUTES, TRUCK, event_of, fates, original, with_header};

/// An event whose white space tells whether its bytes were kept.
const SPACED: &str = "{ \"time\" : \"2018-02-07T01:26:13Z\",\r\n \"litres\":1.0, \"a\":\"\u{d8}\" }";

pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 1).unwrap()
}

/// The same data in every encoding, with the encoding's name.
fn encoded(data: &[u8]) -> [(&'static str, Vec<u8>); 2] {
    [("gzip", gzip(data)), ("zstd", zstd(data))]
}

/// The recorded event of a `POST` whose body is said to be encoded so.
pub(crate) fn request(bench: &Bench, path: &str, encoding: &str, body: &[u8]) -> Value {
    with_header(bench.request_of_bytes(path, body), "content-encoding", encoding)
}

async fn post(bench: &Bench, path: &str, encoding: &str, body: &[u8]) -> Answer {
    bench.send(&request(bench, path, encoding, body)).await
}

#[tokio::test]
async fn a_compressed_body_that_is_called_json_is_taken_and_put_byte_for_byte() {
    for (encoding, body) in encoded(SPACED.as_bytes()) {
        let bench = Bench::new();
        let recorded = request(&bench, EVENTS, encoding, &body);
        assert_eq!((&recorded["isBase64Encoded"], &recorded["headers"]["content-type"]), (&json!(true), &json!("application/json")));
        assert_eq!(bench.send(&recorded).await.status, 200, "{encoding}");
        assert_eq!(post(&bench, INGEST, encoding, &body).await.status, 200, "{encoding}");
        assert_eq!(post(&bench, DATA, encoding, &body).await.status, 202, "{encoding}");
        assert_eq!(bench.stored(RAW_STREAM), [SPACED; 3], "{encoding}");
    }
}

#[tokio::test]
async fn a_compressed_batch_is_answered_event_by_event() {
    let batch = format!("[{TRUCK}, {SPACED},{{}}]");
    for (encoding, body) in encoded(batch.as_bytes()) {
        let bench = Bench::new();
        let answer = post(&bench, EVENTS, encoding, &body).await;
        assert_eq!((answer.status, fates(&answer)), (207, vec!["accepted", "accepted", "dead_letter"]), "{encoding}");
        assert_eq!(bench.stored(RAW_STREAM), [TRUCK, SPACED], "{encoding}");
        let letters = bench.kept_letters();
        assert_eq!(letters.iter().map(original).collect::<Vec<_>>(), [b"{}"], "{encoding}: as it was before it was compressed");
    }
}

#[tokio::test]
async fn an_encoding_is_found_whatever_its_name_and_case() {
    let bench = Bench::new();
    for name in ["gzip", "x-gzip", "GZIP", "X-Gzip", "identity, gzip", " gzip "] {
        assert_eq!(post(&bench, EVENTS, name, &gzip(TRUCK.as_bytes())).await.status, 200, "{name}");
    }
    assert_eq!(post(&bench, EVENTS, "Zstd", &zstd(TRUCK.as_bytes())).await.status, 200);
    for name in ["identity", ""] {
        assert_eq!(post(&bench, EVENTS, name, TRUCK.as_bytes()).await.status, 200, "{name}");
    }
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK; 9]);
}

#[tokio::test]
async fn another_encoding_or_two_of_them_are_415_with_those_that_are_taken() {
    let bench = Bench::new();
    let twice = zstd(&gzip(TRUCK.as_bytes()));
    for name in ["gzip, zstd", "gzip,gzip", "br", "deflate", "compress", "zstd;q=1"] {
        for path in ROUTES.into_iter().chain([DATA]) {
            let answer = post(&bench, path, name, &twice).await;
            assert_eq!((answer.status, answer.header("accept-encoding")), (415, Some("gzip, zstd")), "{path} {name}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        }
    }
    let answer = post(&bench, EVENTS, "gzip, zstd", &twice).await;
    assert_eq!(answer.body["detail"], "expected content-encoding gzip, zstd or none, once; got \"gzip, zstd\"");
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn a_body_that_is_damaged_cut_short_or_followed_by_something_is_400_and_nothing_of_it_is_put() {
    let bench = Bench::new();
    for (encoding, body) in encoded(TRUCK.as_bytes()) {
        let mut damaged = body.clone();
        // The check sum of the one, the magic number of the other.
        let place = if encoding == "gzip" { body.len() - 8 } else { 0 };
        damaged[place] ^= 0xff;
        let cut = body[..body.len() - 1].to_vec();
        let followed = [&body[..], b"and more"].concat();
        for (what, broken) in [("damaged", damaged), ("cut", cut), ("followed", followed), ("not encoded", TRUCK.as_bytes().to_vec())] {
            let answer = post(&bench, EVENTS, encoding, &broken).await;
            assert_eq!(answer.status, 400, "{encoding} {what}");
            let detail = answer.body["detail"].as_str().unwrap();
            assert!(detail.starts_with(&format!("body is not {encoding}: ")), "{encoding} {what}: {detail}");
        }
    }
    assert!(bench.publisher.calls().is_empty() && bench.kept_letters().is_empty());
}

#[tokio::test]
async fn a_body_that_does_not_say_how_it_is_encoded_is_400() {
    let bench = Bench::new();
    for (encoding, body) in encoded(TRUCK.as_bytes()) {
        let answer = bench.send(&bench.request_of_bytes(EVENTS, &body)).await;
        assert_eq!((answer.status, &answer.body["detail"]), (400, &json!("body is not UTF-8 at byte 1")), "{encoding}");
    }
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn nothing_is_no_event_when_it_is_compressed_either() {
    let bench = Bench::new();
    for (encoding, body) in encoded(b"") {
        let answer = post(&bench, EVENTS, encoding, &body).await;
        let detail = json!("expected a JSON object or an array of them, got nothing");
        assert_eq!((answer.status, &answer.body["detail"]), (400, &detail), "{encoding}");
    }
}

#[tokio::test]
async fn the_parts_of_a_compressed_body_are_one_body() {
    let bench = Bench::new();
    let heads = encoded(format!("[{TRUCK},").as_bytes());
    let tails = encoded(format!("{SPACED}]").as_bytes());
    for ((encoding, head), (_, tail)) in heads.into_iter().zip(tails) {
        assert_eq!(post(&bench, EVENTS, encoding, &[head, tail].concat()).await.status, 200, "{encoding}");
    }
    assert_eq!(bench.stored(RAW_STREAM), [TRUCK, SPACED, TRUCK, SPACED]);
}

/// As many of the largest events as the limit has room for, and white space up to this many bytes.
fn large_batch(bytes: usize) -> (String, usize) {
    let largest = event_of(DEFAULT_MAX_EVENT_BYTES as usize);
    let count = (MAX_DECODED_BYTES - 2) / (largest.len() + 1);
    let batch = format!("[{}]", vec![largest; count].join(","));
    let padding = " ".repeat(bytes - batch.len());
    (batch + &padding, count)
}

#[tokio::test]
async fn a_body_may_be_16_mib_once_it_is_decoded_and_no_more() {
    assert_eq!(MAX_DECODED_BYTES, 16 * 1024 * 1024);
    let (exact, count) = large_batch(MAX_DECODED_BYTES);
    for (encoding, body) in encoded(exact.as_bytes()) {
        let bench = Bench::new();
        let answer = post(&bench, EVENTS, encoding, &body).await;
        assert_eq!((answer.status, fates(&answer)), (200, vec!["accepted"; count]), "{encoding}: exactly the limit");
        assert_eq!(bench.stored(RAW_STREAM).len(), count, "{encoding}");
    }
    let (over, _) = large_batch(MAX_DECODED_BYTES + 1);
    for (encoding, body) in encoded(over.as_bytes()) {
        let bench = Bench::new();
        let answer = post(&bench, EVENTS, encoding, &body).await;
        let detail = json!("expected a body of at most 16777216 bytes once it is decoded");
        assert_eq!((answer.status, &answer.body["detail"]), (413, &detail), "{encoding}");
        assert!(bench.publisher.calls().is_empty(), "{encoding}");
    }
}

#[tokio::test]
async fn a_body_may_be_4_mib_as_it_is_sent_and_no_more() {
    let bench = Bench::new();
    for encoding in ["gzip", "zstd"] {
        let answer = post(&bench, EVENTS, encoding, &vec![b' '; MAX_BODY_BYTES + 1]).await;
        let detail = json!("expected a body of at most 4194304 bytes");
        assert_eq!((answer.status, &answer.body["detail"]), (413, &detail), "{encoding}");
        // Exactly the limit is read, and found to be something else.
        assert_eq!(post(&bench, EVENTS, encoding, &vec![b' '; MAX_BODY_BYTES]).await.status, 400, "{encoding}");
    }
    assert!(bench.publisher.calls().is_empty());
}

#[tokio::test]
async fn the_limit_of_one_event_is_about_what_was_compressed() {
    let bench = Bench::new();
    let limit = DEFAULT_MAX_EVENT_BYTES as usize;
    for (encoding, body) in encoded(event_of(limit).as_bytes()) {
        assert_eq!(post(&bench, DATA, encoding, &body).await.status, 202, "{encoding}: exactly the limit");
    }
    for (encoding, body) in encoded(event_of(limit + 1).as_bytes()) {
        assert!(body.len() < limit, "{encoding}");
        for path in ROUTES.into_iter().chain([DATA]) {
            let answer = post(&bench, path, encoding, &body).await;
            let detail = json!("expected at most 260096 bytes, got 260097");
            assert_eq!((answer.status, &answer.body["detail"]), (413, &detail), "{path} {encoding}");
        }
    }
    assert_eq!(bench.stored(RAW_STREAM).len(), 2);
}

#[tokio::test]
async fn every_form_of_a_body_may_be_compressed() {
    for (encoding, body) in encoded(format!("{TRUCK}\n{SPACED}").replace("\r\n", "").as_bytes()) {
        let bench = Bench::new();
        let lines = with_header(request(&bench, EVENTS, encoding, &body), "content-type", "application/x-ndjson");
        assert_eq!(fates(&bench.send(&lines).await), ["accepted", "accepted"], "{encoding}");
    }
    for (encoding, body) in encoded(SPACED.as_bytes()) {
        let bench = Bench::new();
        let bytes = with_header(request(&bench, EVENTS, encoding, &body), "content-type", "application/octet-stream");
        assert_eq!(bench.send(&bytes).await.status, 200, "{encoding}");
        assert_eq!(bench.stored(RAW_STREAM), [SPACED], "{encoding}");
    }
    let document = "<a>\r\n</a>";
    for (encoding, body) in encoded(document.as_bytes()) {
        let bench = Bench::new();
        bench.declare(json!({"format": "xml"}));
        let xml = with_header(request(&bench, EVENTS, encoding, &body), "content-type", "application/xml");
        assert_eq!(bench.send(&xml).await.status, 200, "{encoding}");
        assert_eq!(bench.stored(RAW_STREAM), [document], "{encoding}");
    }
}

#[tokio::test]
async fn a_body_is_the_same_one_compressed_or_not() {
    let bench = Bench::new();
    let keyed = |request: Value| with_header(request, "idempotency-key", "truck-17");
    assert_eq!(bench.send(&keyed(bench.request(EVENTS, TRUCK))).await.status, 200);
    for (encoding, body) in encoded(TRUCK.as_bytes()) {
        let answer = bench.send(&keyed(request(&bench, EVENTS, encoding, &body))).await;
        assert_eq!((answer.status, answer.header("idempotent-replayed")), (200, Some("true")), "{encoding}");
    }
    assert_eq!(bench.publisher.calls().len(), 1);
}
