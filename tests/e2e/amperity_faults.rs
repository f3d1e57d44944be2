//! The rows of Amperity's table that something behind the function brings about: a copy of the function, as it is deployed, whose Kinesis is
//! played here; and an answer that was damaged where it is kept.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::{Answer, Client, call_aws, call_path, id_in, setting, token, unique_id};

const EVENT: &str = r#"{"n":1}"#;

/// A Kinesis that is no good. It ends with the tests.
struct BadKinesis {
    port: u16,
    calls: Arc<AtomicUsize>,
}

impl BadKinesis {
    /// Answers each call like this, or never.
    fn start(answer: Option<(u16, &'static str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, calls) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let counted = calls.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let counted = counted.clone();
                std::thread::spawn(move || serve(&connection.unwrap(), answer, &counted));
            }
        });
        Self { port, calls }
    }
}

/// Answers the calls of one connection until it ends.
fn serve(connection: &TcpStream, answer: Option<(u16, &str)>, calls: &AtomicUsize) {
    let mut reader = BufReader::new(connection);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).unwrap();
        calls.fetch_add(1, Ordering::Relaxed);
        if let Some((status, body)) = answer {
            let head = format!("HTTP/1.1 {status} x\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n", body.len());
            let mut writer = connection;
            if writer.write_all(format!("{head}{body}").as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// Deploys the function once more, with this Kinesis, and hands it an event as API Gateway does.
async fn send_to_copy(kinesis: &BadKinesis, path: &str) -> Answer {
    let deployed = format!("{}-ingest-events", setting("MILLRACE_STACK"));
    let mut variables = environment(&deployed).await;
    variables["AWS_ENDPOINT_URL_KINESIS"] = json!(format!("http://127.0.0.1:{}", kinesis.port));
    let name = unique_id("ingest-copy");
    let copy = json!({
        "FunctionName": name,
        "Runtime": "provided.al2023",
        "Handler": "bootstrap",
        "Role": "arn:aws:iam::000000000000:role/e2e",
        "Timeout": 29,
        "Code": code_of("ingest-events").await,
        "Environment": {"Variables": variables},
    });
    call_path("/2015-03-31/functions", &copy).await.expect(201);
    let event = http_edge::testing::event("POST", path, Some(&token()), Some(EVENT));
    call_path(&format!("/2015-03-31/functions/{name}/invocations"), &event).await.expect(200).of_function()
}

async fn environment(function: &str) -> Value {
    let configuration = call_path(&format!("/2015-03-31/functions/{function}/configuration"), &Value::Null).await;
    configuration.expect(200).json()["Environment"]["Variables"].clone()
}

/// Where the deployment put the code of a function.
async fn code_of(function: &str) -> Value {
    const BUCKET: &str = "millrace-artefacts";
    let listed = call_path(&format!("/{BUCKET}?list-type=2&prefix={function}-"), &Value::Null).await.expect(200).text;
    let key = listed.split_once("<Key>").and_then(|(_, rest)| rest.split_once("</Key>")).map(|(key, _)| key.to_owned());
    json!({"S3Bucket": BUCKET, "S3Key": key.unwrap_or_else(|| panic!("no code of {function} in {listed}"))})
}

#[tokio::test]
async fn a_stream_that_does_not_answer_is_504_and_may_be_tried_again() {
    let client = Client::new();
    let stream = client.create_stream("silent", &json!({})).await;
    let path = client.data_path(&stream).await;
    let kinesis = BadKinesis::start(None);
    let problem = send_to_copy(&kinesis, &path).await.expect_retry(504);
    assert!(problem["detail"].as_str().unwrap().contains("may have been written"), "{problem}");
    assert!(kinesis.calls.load(Ordering::Relaxed) > 0, "it was asked");
    assert_eq!(client.raw_records(&stream).await, []);
    client.post_text(&path, EVENT).await.expect(202);
    assert_eq!(client.raw_texts(&stream).await, [EVENT]);
}

#[tokio::test]
async fn a_stream_that_takes_no_more_is_429_and_may_be_tried_again() {
    let client = Client::new();
    let stream = client.create_stream("throttled", &json!({})).await;
    let path = client.data_path(&stream).await;
    let kinesis = BadKinesis::start(Some((400, r#"{"__type":"ProvisionedThroughputExceededException","message":"Rate exceeded"}"#)));
    let problem = send_to_copy(&kinesis, &path).await.expect_retry(429);
    assert!(problem["detail"].as_str().unwrap().contains("nothing was accepted"), "{problem}");
    assert_eq!(kinesis.calls.load(Ordering::Relaxed), 5, "each try was refused");
    client.post_text(&path, EVENT).await.expect(202);
    assert_eq!(client.raw_texts(&stream).await, [EVENT]);
}

#[tokio::test]
async fn what_should_not_be_is_500_and_may_be_tried_again() {
    let client = Client::new();
    let stream = client.create_stream("damaged", &json!({})).await;
    let path = client.data_path(&stream).await;
    let headers = [("content-type", "application/json"), ("idempotency-key", "once")];
    client.post_bytes(&path, &headers, EVENT).await.expect(202);
    let table = environment(&format!("{}-ingest-events", setting("MILLRACE_STACK"))).await["TABLE_NAME"].clone();
    // A status that no HTTP answer has, where the first answer is kept.
    let key = kept_answer_key(&["default", id_in(&stream), "1", path.rsplit('/').next().unwrap(), "once"]);
    let damage = json!({
        "TableName": table,
        "Key": {"pk": {"S": key}, "sk": {"S": "IDEMPOTENCY"}},
        "UpdateExpression": "SET #status = :status",
        "ConditionExpression": "attribute_exists(pk)",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {":status": {"N": "9999"}},
    });
    call_aws("DynamoDB_20120810.UpdateItem", &damage).await;
    let problem = client.post_bytes(&path, &headers, EVENT).await.expect_retry(500);
    assert_eq!(problem["detail"], "something went wrong on our side");
    assert_eq!(client.raw_texts(&stream).await, [EVENT], "and nothing is put twice");
}

/// Where the answer to a request with a key is kept.
fn kept_answer_key(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let hex: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("IDEMPOTENCY#{hex}")
}
