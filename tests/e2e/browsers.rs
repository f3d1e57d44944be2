//! Events from web pages: which origins may send, and what a browser is told.

use serde_json::json;

use crate::harness::{Answer, Client, id_in, preflight, unique_id};

const SHOP: &str = "https://shop.example";
const JSON: (&str, &str) = ("content-type", "application/json");
const ALLOWED: &str = "access-control-allow-origin";

/// Every path that leads into a stream.
async fn paths(client: &Client, stream: &str) -> [String; 5] {
    let id = id_in(stream);
    let data = client.data_path(stream).await;
    [format!("{stream}/events"), format!("/ingest/{id}"), format!("/ingest/{id}/1"), data, format!("/stream/v0/data/{id}")]
}

/// What a browser asks before it sends an event with a token.
async fn ask(path: &str, origin: &str) -> Answer {
    let wanted = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-encoding,content-type,idempotency-key"),
    ];
    preflight(path, &wanted).await
}

/// Checks that a browser learns nothing, and so does not send.
#[track_caller]
fn expect_nothing(answer: Answer) {
    let answer = answer.expect(204);
    let told: Vec<_> = answer.headers.keys().filter(|name| name.as_str().starts_with("access-control-")).collect();
    assert!(told.is_empty(), "{told:?}");
}

#[tokio::test]
async fn a_browser_may_send_from_an_origin_that_the_stream_names() {
    let client = Client::new();
    let document = json!({"input": {"cors_origins": [SHOP, "https://other.example:8443"]}});
    let stream = client.create_stream("browsers", &document).await;
    for path in paths(&client, &stream).await {
        for origin in [SHOP, "https://other.example:8443"] {
            let answer = ask(&path, origin).await.expect(204);
            assert_eq!(answer.header(ALLOWED), origin, "{path}");
            assert!(answer.header("access-control-allow-methods").split(',').any(|method| method.trim() == "POST"), "{path}");
            let headers = answer.header("access-control-allow-headers").to_ascii_lowercase();
            for wanted in ["authorization", "content-type", "content-encoding", "idempotency-key"] {
                assert!(headers.split(',').any(|header| header.trim() == wanted), "{path}: {wanted} in {headers}");
            }
            assert!(answer.header("access-control-max-age").parse::<u32>().is_ok_and(|seconds| seconds > 0), "{path}");
            assert!(answer.text.is_empty(), "{path}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn another_origin_is_told_no_more_of_a_stream_than_of_none() {
    let client = Client::new();
    let stream = client.create_stream("browsers-other", &json!({"input": {"cors_origins": [SHOP]}})).await;
    let closed = client.create_stream("browsers-closed", &json!({})).await;
    for path in paths(&client, &stream).await {
        for origin in ["https://evil.example", "http://shop.example", "https://shop.example:444", "https://a.shop.example", "null"] {
            expect_nothing(ask(&path, origin).await);
        }
    }
    for path in paths(&client, &closed).await {
        expect_nothing(ask(&path, SHOP).await);
    }
    let missing = unique_id("missing");
    for path in [
        format!("/streams/{missing}/1/events"),
        format!("/ingest/{missing}"),
        format!("/ingest/{missing}/1"),
        format!("/stream/v0/data/{missing}"),
        "/stream/v0/data/is-00000000".to_owned(),
        "/ingest/No_Id".to_owned(),
    ] {
        expect_nothing(ask(&path, SHOP).await);
    }
}

#[tokio::test]
async fn every_answer_to_an_allowed_origin_can_be_read_by_its_page() {
    let client = Client::new();
    let stream = client.create_stream("browsers-answers", &json!({"input": {"cors_origins": [SHOP]}})).await;
    let (nobody, reader) = (Client::with_authorization(None), client.with_scopes(&["read"]).await);
    let good = "{\"n\":1}";
    let mut taken = Vec::new();
    for path in paths(&client, &stream).await {
        let origin = ("origin", SHOP);
        let answers = [
            client.post_bytes(&path, &[JSON, origin], good).await,
            client.post_bytes(&path, &[JSON, origin], "{").await,
            client.post_bytes(&path, &[("content-type", "text/plain"), origin], good).await,
            nobody.post_bytes(&path, &[JSON, origin], good).await,
            reader.post_bytes(&path, &[JSON, origin], good).await,
        ];
        assert!([200, 202].contains(&answers[0].status), "{path}: {}", answers[0].text);
        assert_eq!(answers[1..].iter().map(|answer| answer.status).collect::<Vec<_>>(), [400, 415, 401, 403], "{path}");
        for answer in answers {
            assert_eq!(answer.header(ALLOWED), SHOP, "{path}: {}", answer.status);
        }
        taken.push(good);
    }
    assert_eq!(client.raw_texts(&stream).await, taken);
}

#[tokio::test]
async fn an_answer_to_another_origin_or_to_none_says_nothing_of_origins() {
    let client = Client::new();
    let stream = client.create_stream("browsers-silent", &json!({"input": {"cors_origins": [SHOP]}})).await;
    let nobody = Client::with_authorization(None);
    for path in paths(&client, &stream).await {
        let stranger = ("origin", "https://evil.example");
        for answer in [
            client.post_bytes(&path, &[JSON], "{\"n\":1}").await,
            client.post_bytes(&path, &[JSON, stranger], "{\"n\":1}").await,
            client.post_bytes(&path, &[JSON, stranger], "{").await,
            nobody.post_bytes(&path, &[JSON, stranger], "{\"n\":1}").await,
        ] {
            assert!(!answer.headers.contains_key(ALLOWED), "{path}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn a_stream_may_be_open_to_every_page() {
    let client = Client::new();
    let stream = client.create_stream("browsers-open", &json!({"input": {"cors_origins": ["*"]}})).await;
    let events = format!("{stream}/events");
    for origin in [SHOP, "http://127.0.0.1:8000"] {
        let asked = ask(&events, origin).await.expect(204);
        let answer = client.post_bytes(&events, &[JSON, ("origin", origin)], "{\"n\":1}").await.expect(200);
        for answer in [asked, answer] {
            assert!(["*", origin].contains(&answer.header(ALLOWED)), "{origin}");
        }
    }
}
