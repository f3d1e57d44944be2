//! The route of Amperity's clients: each row of its table of statuses that a client can bring about, and what lies on the raw stream then.
//!
//! 500, 504 and the 429 of a throttled Kinesis are left to the handler tests: the local AWS takes everything, at once.

use std::iter::repeat_n;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::{Answer, Client, call_aws, from_base64, id_in, setting, token, unique_id};

const JSON: (&str, &str) = ("content-type", "application/json");
const XML: (&str, &str) = ("content-type", "application/xml");

/// Of two lines, so that nothing that reads lines takes it apart.
const EVENT: &str = "{\"truck\": \"rubbish 17\",\n  \"litres\": 240.0}";

/// Checks that an event was taken, and that the answer names its request and says nothing else.
#[track_caller]
fn expect_accepted(answer: Answer) {
    let answer = answer.expect(202);
    assert_eq!(answer.json(), json!({"request_id": answer.header("x-request-id")}));
}

#[tokio::test]
async fn one_json_object_is_202_by_the_ingest_id_and_by_the_stream_s_own_id() {
    let client = Client::new();
    let stream = client.create_stream("data", &json!({})).await;
    let by_ingest_id = client.data_path(&stream).await;
    let (_, name) = by_ingest_id.rsplit_once("/is-").unwrap();
    assert!(name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{by_ingest_id}");

    let tenant = ("x-amperity-tenant", "default");
    expect_accepted(client.post_bytes(&by_ingest_id, &[JSON, tenant], EVENT).await);
    expect_accepted(client.post_bytes(&by_ingest_id, &[JSON], format!(" \n{EVENT}\n")).await);
    expect_accepted(client.post_bytes(&format!("/stream/v0/data/{}", id_in(&stream)), &[JSON], "{\"n\":1}").await);
    assert_eq!(client.raw_texts(&stream).await, [EVENT, EVENT, "{\"n\":1}"]);
}

#[tokio::test]
async fn an_xml_document_is_202_whether_or_not_it_can_be_read() {
    let client = Client::new();
    let stream = client.create_stream("data-xml", &json!({"input": {"format": "xml"}})).await;
    let path = client.data_path(&stream).await;
    let good = "<?xml version=\"1.0\"?>\r\n<trucks>\n <truck nr='17'/>\n</trucks>\n";
    let broken = "<trucks><truck>";
    for document in [good, broken] {
        expect_accepted(client.post_bytes(&path, &[XML], document).await);
    }
    assert_eq!(client.raw_texts(&stream).await, [good, broken]);
    client.post_bytes(&path, &[XML], " \r\n").await.expect_problem(400);
    client.post_bytes(&path, &[JSON], EVENT).await.expect_problem(415);
    assert_eq!(client.raw_texts(&stream).await.len(), 2);
}

#[tokio::test]
async fn a_request_that_is_malformed_is_400_and_nothing_is_put() {
    let client = Client::new();
    let stream = client.create_stream("data-malformed", &json!({"input": {"on_invalid": "reject"}})).await;
    let path = client.data_path(&stream).await;
    let two_objects = format!("{EVENT} {EVENT}");
    let two_lines = "{\"n\":1}\n{\"n\":2}\n";
    for body in ["", "[]", "[{\"n\":1}]", two_lines, &two_objects, "{\"n\":1}]", "{\"n\"", "{'n':1}", "n=1", "5", "null", "\"text\""] {
        client.post_bytes(&path, &[JSON], body).await.expect_problem(400);
    }
    client.post_bytes(&path, &[("content-type", "application/octet-stream")], b"{\"n\":\"\xff\"}").await.expect_problem(400);
    assert_eq!(client.raw_records(&stream).await, []);
}

#[tokio::test]
async fn an_event_that_its_stream_finds_invalid_is_400_and_is_kept_beside_it() {
    let client = Client::new();
    let document = json!({"input": {"schema": {"properties": {"litres": {"type": "number", "minimum": 0}}}}});
    let stream = client.create_stream("data-invalid", &document).await;
    let path = client.data_path(&stream).await;
    let invalid = "{\"litres\": \"many\"}";
    let problem = client.post_bytes(&path, &[JSON], invalid).await.expect_problem(400);
    assert_eq!([&problem["errors"][0]["pointer"], &problem["dead_letter"]], [&json!("/litres"), &json!(true)], "{problem}");
    let letters = client.wait_for_dead_letters(&stream, 1).await;
    assert_eq!(from_base64(&letters[0]["original_base64"]), invalid.as_bytes());
    expect_accepted(client.post_bytes(&path, &[JSON], EVENT).await);
    assert_eq!(client.raw_texts(&stream).await, [EVENT]);
}

#[tokio::test]
async fn a_token_that_cannot_be_verified_or_has_expired_is_401() {
    let client = Client::new();
    let stream = client.create_stream("data-token", &json!({})).await;
    let path = client.data_path(&stream).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    expect_accepted(Client::with_token(&token_until(now + 600).await).post_bytes(&path, &[JSON], EVENT).await);

    let good = token();
    let (signed, _) = good.rsplit_once('.').unwrap();
    let refused = [
        None,
        Some("Bearer".to_owned()),
        Some("Bearer garbage".to_owned()),
        Some(format!("Basic {good}")),
        Some(format!("Bearer {signed}.{}", "A".repeat(86))),
        Some(format!("Bearer {}", token_until(now - 600).await)),
    ];
    for authorization in refused {
        let answer = Client::with_authorization(authorization).post_bytes(&path, &[JSON], EVENT).await.expect(401);
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        answer.expect_problem(401);
    }
    client.post_bytes(&path, &[JSON, ("x-amperity-tenant", "other")], EVENT).await.expect_problem(401);
    assert_eq!(client.raw_texts(&stream).await, [EVENT], "the one that was acknowledged");
}

#[tokio::test]
async fn a_token_that_may_only_read_is_403_and_another_tenant_s_stream_is_404() {
    let client = Client::new();
    let stream = client.create_stream("data-reader", &json!({})).await;
    let by_id = format!("/stream/v0/data/{}", id_in(&stream));
    let reader = client.with_scopes(&["read"]).await;
    let other = Client::of_another_owner();
    for path in [client.data_path(&stream).await, by_id] {
        reader.post_bytes(&path, &[JSON], EVENT).await.expect_problem(403);
        other.post_bytes(&path, &[JSON], EVENT).await.expect_problem(404);
    }
    for name in ["is-00000000", "is-0", "is-000000000", "No_Id", &unique_id("missing")] {
        client.post_bytes(&format!("/stream/v0/data/{name}"), &[JSON], EVENT).await.expect_problem(404);
    }
    assert_eq!(client.raw_records(&stream).await, []);
}

#[tokio::test]
async fn a_deleted_stream_takes_nothing_under_its_old_ingest_id() {
    let client = Client::new();
    let stream = client.create_stream("data-deleted", &json!({})).await;
    let path = client.data_path(&stream).await;
    client.delete(&stream).await.expect(200);
    client.wait_gone(&stream).await;
    client.post_bytes(&path, &[JSON], EVENT).await.expect_problem(404);
    client.post(&stream, &json!({})).await.expect(201);
    client.wait_active(&stream).await;
    assert_eq!(client.raw_records(&stream).await, []);
}

#[tokio::test]
async fn a_payload_over_254_kib_is_413() {
    let client = Client::new();
    let largest = 254 * 1024;
    let json = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    let xml = |bytes: usize| format!("<a>{}</a>", "x".repeat(bytes - 7));
    let stream = client.create_stream("data-large", &json!({})).await;
    let path = client.data_path(&stream).await;
    client.post_bytes(&path, &[JSON], json(largest + 1)).await.expect_problem(413);
    expect_accepted(client.post_bytes(&path, &[JSON], json(largest)).await);
    assert_eq!(client.raw_texts(&stream).await, [json(largest)]);

    let stream = client.create_stream("data-large-xml", &json!({"input": {"format": "xml"}})).await;
    let path = client.data_path(&stream).await;
    client.post_bytes(&path, &[XML], xml(largest + 1)).await.expect_problem(413);
    expect_accepted(client.post_bytes(&path, &[XML], xml(largest)).await);
    assert_eq!(client.raw_texts(&stream).await, [xml(largest)]);
}

#[tokio::test]
async fn what_holds_more_than_one_payload_by_its_type_is_415() {
    let client = Client::new();
    let stream = client.create_stream("data-types", &json!({})).await;
    let path = client.data_path(&stream).await;
    let types = ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/cloudevents-batch+json", "text/plain"];
    for media_type in types {
        client.post_bytes(&path, &[("content-type", media_type)], "{\"n\":1}").await.expect_problem(415);
    }
    assert_eq!(client.raw_records(&stream).await, []);
}

#[tokio::test]
async fn a_request_over_the_limit_is_429_and_says_when_to_come_back() {
    let client = Client::new();
    let limit = unique_id("throttle");
    client.post(&format!("/resources/rate_limit/{limit}"), &json!({"local": {"count": 1, "interval": "600s"}})).await.expect(200);
    let stream = client.create_stream("data-throttle", &json!({"input": {"rate_limit": limit}})).await;
    let path = client.data_path(&stream).await;
    let mut statuses = Vec::new();
    // A window may end once in between.
    for _ in 0..3 {
        let answer = client.post_bytes(&path, &[JSON], EVENT).await;
        statuses.push(answer.status);
        match answer.status {
            202 => expect_accepted(answer),
            _ => assert!(answer.expect_retry(429)["detail"].is_string()),
        }
    }
    let accepted = statuses.iter().filter(|status| **status == 202).count();
    assert!(statuses[0] == 202 && accepted < 3, "{statuses:?}");
    assert_eq!(client.raw_texts(&stream).await, vec![EVENT; accepted]);
}

#[tokio::test]
async fn a_stream_that_does_not_take_it_is_503_until_it_does_again() {
    let client = Client::new();
    let stream = client.create_stream("data-outage", &json!({})).await;
    let path = client.data_path(&stream).await;
    let raw_stream = client.get(&stream).await.expect(200).json()["raw_stream"].clone();
    call_aws("Kinesis_20131202.DeleteStream", &json!({"StreamName": raw_stream})).await;
    client.post_bytes(&path, &[JSON], EVENT).await.expect_retry(503);
    client.post(&format!("/ingest/{}", id_in(&stream)), &json!({"n": 1})).await.expect_retry(503);
    let problem = client.post(&format!("{stream}/events"), &json!([{"n": 1}])).await.expect_retry(503);
    assert_eq!(problem["results"][0]["status"], "retry", "{problem}");
    call_aws("Kinesis_20131202.CreateStream", &json!({"StreamName": raw_stream, "ShardCount": 1})).await;
    expect_accepted(client.post_bytes(&path, &[JSON], EVENT).await);
    assert_eq!(client.raw_texts(&stream).await, [EVENT], "the one that was acknowledged");
}

/// A token like ours that ends at another second: in the local AWS the key that signs tokens signs for everybody.
async fn token_until(end: u64) -> String {
    let good = token();
    let mut parts = good.split('.');
    let (header, claims) = (parts.next().unwrap(), parts.next().unwrap());
    let mut claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    claims["exp"] = json!(end);
    let message = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
    let input = json!({
        "KeyId": format!("alias/{}-signing", setting("MILLRACE_STACK")),
        "Message": BASE64_STANDARD.encode(&message),
        "MessageType": "RAW",
        "SigningAlgorithm": "ECDSA_SHA_256",
    });
    let signature = from_base64(&call_aws("TrentService.Sign", &input).await["Signature"]);
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(of_fixed_length(&signature)))
}

/// The two numbers of a signature in DER, 32 bytes each (RFC 7518, 3.4).
fn of_fixed_length(der: &[u8]) -> Vec<u8> {
    let first_end = 4 + usize::from(der[3]);
    let numbers = [&der[4..first_end], &der[first_end + 2..]];
    let padded = |number: &[u8]| -> Vec<u8> {
        let digits = &number[number.len().saturating_sub(32)..];
        repeat_n(0, 32 - digits.len()).chain(digits.iter().copied()).collect()
    };
    numbers.into_iter().flat_map(padded).collect()
}
