//! The forms that a body may have, in every dialect that takes them: what is acknowledged lies on the raw stream byte for byte, and nothing
//! else does.
//!
//! The local gateway hands compressed bodies of text types to the function as text, so these tests send them under types that are not.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, from_base64, id_in};

const JSON: (&str, &str) = ("content-type", "application/json");
const LINES: (&str, &str) = ("content-type", "application/x-ndjson");
const BYTES: (&str, &str) = ("content-type", "application/octet-stream");

/// Odd on purpose: what is inside an event is the sender's own.
const ODD: &str = "{\"a\" : 1.0,\r\n\t\"b\":\"\\u00e6\",  \"c\": [ ]}";

/// A stream and the paths that lead into it.
struct Entry {
    client: Client,
    stream: String,
    events: String,
    ingest: String,
    data: String,
}

impl Entry {
    async fn new(name: &str, document: &Value) -> Self {
        let client = Client::new();
        let stream = client.create_stream(name, document).await;
        let (events, ingest) = (format!("{stream}/events"), format!("/ingest/{}", id_in(&stream)));
        let data = client.data_path(&stream).await;
        Self { client, stream, events, ingest, data }
    }

    async fn send(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        self.client.post_bytes(path, headers, body).await
    }

    /// Sends one event in every dialect.
    async fn send_one(&self, headers: &[(&str, &str)], body: &[u8]) {
        let answer = self.send(&self.events, headers, body).await.expect(200);
        assert_eq!(answer.json(), json!({"results": [{"index": 0, "status": "accepted"}]}));
        assert_eq!(self.send(&self.ingest, headers, body).await.expect(200).json(), json!({"success": true}));
        self.send(&self.data, headers, body).await.expect(202);
    }

    /// Sends several events in every dialect that takes them.
    async fn send_all(&self, headers: &[(&str, &str)], body: &[u8], count: usize) {
        let answer = self.send(&self.events, headers, body).await.expect(200);
        assert_eq!(answer.json(), json!({"results": accepted(count)}));
        let answer = self.send(&self.ingest, headers, body).await.expect(200);
        assert_eq!(answer.json(), json!({"success": true, "results": accepted(count)}));
    }

    /// Checks what lies on the raw stream, all of it, in order.
    async fn expect_raw<T: AsRef<str>>(&self, expected: &[T]) {
        let expected: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
        assert_eq!(self.client.raw_texts(&self.stream).await, expected);
    }
}

type Encode = fn(&[u8]) -> Vec<u8>;

fn accepted(count: usize) -> Vec<Value> {
    (0..count).map(|index| json!({"index": index, "status": "accepted"})).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

#[tokio::test]
async fn json_is_taken_under_every_name_that_it_goes_by() {
    let entry = Entry::new("forms-json", &json!({})).await;
    let named = ["application/json", "Application/JSON", "application/vnd.truck+json", "application/octet-stream"];
    let mut forms: Vec<Vec<(&str, &str)>> = named.into_iter().map(|name| vec![("content-type", name)]).collect();
    forms.push(Vec::new());
    let mut expected = Vec::new();
    for (n, headers) in forms.iter().enumerate() {
        let event = format!("{{\"n\": {n}}}");
        entry.send_one(headers, format!("\n{event} ").as_bytes()).await;
        expected.extend(vec![event; 3]);
        entry.send_all(headers, format!("[{ODD} ,{{\"n\":{n}}}]").as_bytes(), 2).await;
        expected.extend([ODD.to_owned(), format!("{{\"n\":{n}}}"), ODD.to_owned(), format!("{{\"n\":{n}}}")]);
    }
    entry.expect_raw(&expected).await;
}

#[tokio::test]
async fn a_value_and_something_behind_it_is_400_under_every_name_of_json() {
    let entry = Entry::new("forms-trailing", &json!({})).await;
    for headers in [&[JSON][..], &[BYTES], &[("content-type", "application/vnd.truck+json")], &[]] {
        for body in ["{} {}", "{}\n{}", "[{}] [{}]", "[{}],", "{}x"] {
            for path in [&entry.events, &entry.ingest, &entry.data] {
                entry.send(path, headers, body).await.expect_problem(400);
            }
        }
    }
    entry.expect_raw::<&str>(&[]).await;
}

#[tokio::test]
async fn utf_8_may_be_said_in_every_spelling_and_other_charsets_are_415() {
    let entry = Entry::new("forms-charset", &json!({})).await;
    let event = "{\"name\":\"refuse\"}";
    let good = ["charset=utf-8", "charset=UTF-8", "charset=\"Utf-8\"", "profile=a; charset=utf-8", "Charset=utf-8", "charset=us-ascii"];
    for parameter in good {
        let (value, lines) = (format!("application/json; {parameter}"), format!("application/x-ndjson;{parameter}"));
        entry.send_one(&[("content-type", value.as_str())], event.as_bytes()).await;
        entry.send_all(&[("content-type", lines.as_str())], event.as_bytes(), 1).await;
    }
    for charset in ["latin-1", "iso-8859-1", "utf-16", "\"utf-16\"", "utf8x"] {
        for media_type in ["application/json", "application/x-ndjson"] {
            let content_type = format!("{media_type}; charset={charset}");
            entry.send(&entry.events, &[("content-type", content_type.as_str())], event).await.expect_problem(415);
        }
    }
    entry.expect_raw(&vec![event; good.len() * 5]).await;
}

#[tokio::test]
async fn lines_are_events_however_they_end() {
    let entry = Entry::new("forms-lines", &json!({})).await;
    let (one, two, three) = ("{\"n\": 1}", "{ \"n\":2, \"text\":\"two\\nlines\" }", "{\"n\":3.0}");
    let body = format!("\n{one}\r\n\r\n  \n {two}\n\n{three}");
    for media_type in ["application/x-ndjson", "application/ndjson", "application/jsonl", "Application/X-NDJSON; charset=utf-8"] {
        entry.send_all(&[("content-type", media_type)], body.as_bytes(), 3).await;
    }
    entry.send_all(&[LINES], format!("{one}\n").as_bytes(), 1).await;
    entry.send_all(&[LINES], b"\n \r\n", 0).await;
    let expected = [[one, two, three].repeat(8), vec![one; 2]].concat();
    entry.expect_raw(&expected).await;
}

#[tokio::test]
async fn a_line_that_is_no_json_is_that_line_s_fault_alone() {
    let entry = Entry::new("forms-bad-line", &json!({})).await;
    let body = b"{\"n\":1}\n{\"n\" 2}\n{\"n\":3} {\"n\":4}\n\"text\"\n{\"n\":\"\xff\"}\n{\"n\":5}\n";
    let answer = entry.send(&entry.events, &[LINES], &body[..]).await.expect(207).json();
    let results = answer["results"].as_array().unwrap();
    let statuses: Vec<&Value> = results.iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, ["accepted", "dead_letter", "dead_letter", "dead_letter", "dead_letter", "accepted"]);
    for (index, result) in results.iter().enumerate().skip(1).take(4) {
        assert_eq!(result["errors"][0]["pointer"], format!("/{index}"), "{result}");
    }
    entry.expect_raw(&["{\"n\":1}", "{\"n\":5}"]).await;
    let letters = entry.client.wait_for_dead_letters(&entry.stream, 4).await;
    let mut kept: Vec<Vec<u8>> = letters.iter().map(|letter| from_base64(&letter["original_base64"])).collect();
    kept.sort_unstable();
    assert_eq!(kept, [&b"\"text\""[..], b"{\"n\" 2}", b"{\"n\":\"\xff\"}", b"{\"n\":3} {\"n\":4}"]);

    let entry = Entry::new("forms-no-line", &json!({"input": {"on_invalid": "reject"}})).await;
    let problem = entry.send(&entry.ingest, &[LINES], "{\"n\" 2}\nx\n").await.expect_problem(400);
    let statuses = [&problem["results"][0]["status"], &problem["results"][1]["status"]];
    assert_eq!(statuses, ["rejected", "rejected"], "{problem}");
    entry.expect_raw::<&str>(&[]).await;
}

#[tokio::test]
async fn a_request_holds_at_most_5000_lines() {
    let entry = Entry::new("forms-many", &json!({})).await;
    let lines = |count: usize| (0..count).map(|n| format!("{{\"n\":{n}}}\n")).collect::<String>();
    entry.send(&entry.events, &[LINES], lines(5_001)).await.expect_problem(413);
    let answer = entry.send(&entry.events, &[LINES], lines(5_000)).await.expect(200);
    assert_eq!(answer.json(), json!({"results": accepted(5_000)}));
    let mut raw = entry.client.raw_texts(&entry.stream).await;
    raw.sort_unstable();
    let sent = lines(5_000);
    let mut expected: Vec<&str> = sent.lines().collect();
    expected.sort_unstable();
    assert_eq!(raw, expected);
}

#[tokio::test]
async fn a_byte_order_mark_is_dropped() {
    let entry = Entry::new("forms-bom", &json!({})).await;
    let marked = |body: &str| [&b"\xEF\xBB\xBF"[..], body.as_bytes()].concat();
    entry.send_one(&[JSON], &marked("{\"n\":1}")).await;
    entry.send_one(&[BYTES], &marked("{\"n\":1}")).await;
    entry.send_all(&[LINES], &marked("{\"n\":1}\n"), 1).await;
    entry.send_all(&[LINES, ("content-encoding", "gzip")], &gzip(&marked("{\"n\":1}\n")), 1).await;
    entry.expect_raw(&["{\"n\":1}"; 10]).await;
}

#[tokio::test]
async fn a_compressed_body_is_read_like_the_same_body_plain() {
    let entry = Entry::new("forms-compressed", &json!({})).await;
    let cases: [(&str, Encode); 5] = [("gzip", gzip), ("GZIP", gzip), ("x-gzip", gzip), ("zstd", zstd), ("identity", <[u8]>::to_vec)];
    for (name, encode) in cases {
        let encoding = ("content-encoding", name);
        entry.send_one(&[BYTES, encoding], &encode(ODD.as_bytes())).await;
        entry.send_all(&[LINES, encoding], &encode(b"{\"n\":1}\n{\"n\":2}\n"), 2).await;
    }
    let each = [ODD, ODD, ODD, "{\"n\":1}", "{\"n\":2}", "{\"n\":1}", "{\"n\":2}"];
    entry.expect_raw(&each.repeat(5)).await;
}

#[tokio::test]
async fn an_encoding_that_is_not_taken_is_415_and_the_answer_names_those_that_are() {
    let entry = Entry::new("forms-encodings", &json!({})).await;
    for encoding in ["br", "deflate", "compress", "gzip, gzip", "zstd, gzip"] {
        for path in [&entry.events, &entry.ingest, &entry.data] {
            let answer = entry.send(path, &[BYTES, ("content-encoding", encoding)], gzip(b"{}")).await.expect(415);
            assert_eq!(answer.header("accept-encoding"), "gzip, zstd", "{encoding}");
            answer.expect_problem(415);
        }
    }
    entry.expect_raw::<&str>(&[]).await;
}

#[tokio::test]
async fn compressed_data_that_is_damaged_is_400_and_nothing_of_it_is_put() {
    let entry = Entry::new("forms-damaged", &json!({})).await;
    let lines: String = (0..1_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    for (encoding, whole) in [("gzip", gzip(lines.as_bytes())), ("zstd", zstd(lines.as_bytes()))] {
        let truncated = whole[..whole.len() / 2].to_vec();
        let unfinished = whole[..whole.len() - 1].to_vec();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0xff;
        let followed = [&whole[..], b"more"].concat();
        let damaged = [("truncated", truncated), ("unfinished", unfinished), ("followed", followed), ("plain", lines.clone().into_bytes())];
        for (damage, body) in damaged {
            let answer = entry.send(&entry.events, &[LINES, ("content-encoding", encoding)], body).await;
            assert_eq!(answer.status, 400, "{encoding} {damage}: {}", answer.text);
            answer.expect_problem(400);
        }
        // Only gzip always has a checksum.
        if encoding == "gzip" {
            entry.send(&entry.events, &[LINES, ("content-encoding", encoding)], flipped).await.expect_problem(400);
        }
    }
    entry.expect_raw::<&str>(&[]).await;
}

#[tokio::test]
async fn a_body_is_at_most_4_mib_as_it_comes_and_16_mib_decoded() {
    let entry = Entry::new("forms-large", &json!({})).await;
    let (wire, decoded) = (4 * 1024 * 1024, 16 * 1024 * 1024);
    let of = |bytes: usize| format!("{{\"n\":1}}{}", " ".repeat(bytes - 7)).into_bytes();
    entry.send(&entry.events, &[BYTES], of(wire + 1)).await.expect_problem(413);
    entry.send(&entry.events, &[BYTES], of(wire)).await.expect(200);
    let cases: [(&str, Encode); 2] = [("gzip", gzip), ("zstd", zstd)];
    for (encoding, encode) in cases {
        let headers = [BYTES, ("content-encoding", encoding)];
        for path in [&entry.events, &entry.ingest, &entry.data] {
            entry.send(path, &headers, encode(&of(decoded + 1))).await.expect_problem(413);
        }
        entry.send(&entry.events, &headers, encode(&of(decoded))).await.expect(200);
    }
    entry.expect_raw(&["{\"n\":1}"; 3]).await;
}

#[tokio::test]
async fn an_xml_document_is_taken_under_its_names_and_compressed() {
    let entry = Entry::new("forms-xml", &json!({"input": {"format": "xml"}})).await;
    let document = "<?xml version=\"1.0\"?>\r\n<trucks>\n <truck name='søppel'/>\n</trucks>\n";
    let names = ["application/xml", "text/xml", "application/atom+xml; charset=UTF-8", "application/octet-stream"];
    for name in names {
        entry.send_one(&[("content-type", name)], document.as_bytes()).await;
    }
    entry.send_one(&[BYTES, ("content-encoding", "gzip")], &gzip(document.as_bytes())).await;
    entry.send_one(&[BYTES, ("content-encoding", "zstd")], &zstd(document.as_bytes())).await;
    for headers in [&[JSON][..], &[LINES], &[("content-type", "application/cloudevents+json")], &[]] {
        entry.send(&entry.events, headers, "{}").await.expect_problem(415);
    }
    let json_stream = Entry::new("forms-no-xml", &json!({})).await;
    for name in ["application/xml", "text/xml", "application/atom+xml"] {
        json_stream.send(&json_stream.data, &[("content-type", name)], document).await.expect_problem(415);
    }
    json_stream.expect_raw::<&str>(&[]).await;
    entry.expect_raw(&vec![document; 3 * (names.len() + 2)]).await;
}
