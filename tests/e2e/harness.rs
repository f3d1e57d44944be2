//! A client of the deployed stack, and what most tests do with it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, RequestBuilder};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// How long anything may take that is not done when its request is: a stack, or the way of an event to the history.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Speaks to the API as one caller, or as nobody.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    authorization: Option<String>,
}

/// What the API answered.
#[derive(Debug)]
pub(crate) struct Answer {
    request: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// A setting that `make test` provides.
pub(crate) fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this through `make test`"))
}

/// The token of an admin of the owner `default`.
pub(crate) fn token() -> String {
    setting("MILLRACE_TOKEN")
}

impl Client {
    /// An admin of the owner `default`.
    pub(crate) fn new() -> Self {
        Self::with_authorization(Some(format!("Bearer {}", token())))
    }

    /// Somebody who may do everything, for the owner `other` only.
    pub(crate) fn of_another_owner() -> Self {
        Self::with_authorization(Some(format!("Bearer {}", setting("MILLRACE_OTHER_TOKEN"))))
    }

    /// Sends this `Authorization` header, or none.
    pub(crate) fn with_authorization(authorization: Option<String>) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { http, url: setting("MILLRACE_URL"), authorization }
    }

    /// Sends this token.
    pub(crate) fn with_token(token: &str) -> Self {
        Self::with_authorization(Some(format!("Bearer {token}")))
    }

    /// A request to be completed and given to [`Client::send`].
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let shown = format!("{} {}", request.method(), request.url().as_str().trim_start_matches(&self.url));
        let response = self.http.execute(request).await.unwrap_or_else(|error| panic!("{shown}: no answer: {error:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap_or_else(|error| panic!("{shown}: half an answer: {error:?}"));
        Answer { request: shown, status, headers, text }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, &body.to_string()).await
    }

    /// Posts text that is said to be JSON.
    pub(crate) async fn post_text(&self, path: &str, body: &str) -> Answer {
        let request = self.request(Method::POST, path).header(CONTENT_TYPE, "application/json");
        self.send(request.body(body.to_owned())).await
    }

    /// Creates version 1 of a new stream, waits until it works, and returns its path, `/streams/{id}/1`.
    pub(crate) async fn create_stream(&self, name: &str, document: &Value) -> String {
        let path = format!("/streams/{}/1", unique_id(name));
        self.post(&path, document).await.expect(201);
        self.wait_active(&path).await;
        path
    }

    /// The same with an S3 sink.
    pub(crate) async fn create_stream_with_sink(&self, name: &str, document: &Value) -> String {
        let path = self.create_stream(name, document).await;
        self.post(&format!("{path}/sinks"), &json!({"type": "s3"})).await.expect(201);
        self.wait_active(&format!("{path}/sinks/s3")).await;
        path
    }

    /// Waits until a stream or a sink is ACTIVE.
    pub(crate) async fn wait_active(&self, path: &str) {
        poll(async || {
            let answer = self.get(path).await.expect(200);
            match answer.json()["status"].as_str() {
                Some("ACTIVE") => Ok(()),
                Some("CREATE_IN_PROGRESS") => Err(answer.text),
                _ => panic!("{path} never became ACTIVE: {}", answer.text),
            }
        })
        .await;
    }

    /// Waits until a stream or a sink, whose deletion runs, is gone.
    pub(crate) async fn wait_gone(&self, path: &str) {
        poll(async || {
            let answer = self.get(path).await;
            match answer.status {
                404 => Ok(()),
                200 if answer.json()["status"] == "DELETE_IN_PROGRESS" => Err(answer.text),
                _ => panic!("{path} did not go: {} {}", answer.status, answer.text),
            }
        })
        .await;
    }

    /// Waits until a range of a stream's history holds so many events.
    pub(crate) async fn wait_for_history(&self, path: &str, range: &str, count: usize) {
        poll(async || {
            let answer = self.get(&format!("{path}/events?{range}&page_size=10000")).await.expect(200);
            let got = answer.raw_events().len();
            if got >= count { Ok(()) } else { Err(format!("{got} of {count} events")) }
        })
        .await;
    }
}

impl Answer {
    /// Checks the status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.request, self.text);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{}: not JSON: {error}\n{}", self.request, self.text))
    }

    /// The events of a page of history, each member as it is written.
    #[track_caller]
    pub(crate) fn raw_events(&self) -> Vec<BTreeMap<String, Box<RawValue>>> {
        let page: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&self.text).unwrap();
        serde_json::from_str(page["values"].get()).unwrap()
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("{}: no header {name}\n{}", self.request, self.text));
        value.to_str().unwrap()
    }

    /// Checks that this is an error of this status in the one form that errors have, and returns its body.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16) -> Value {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer.request);
        let body = answer.json();
        for member in ["type", "title", "detail", "request_id"] {
            let is_said = body[member].as_str().is_some_and(|text| !text.is_empty());
            assert!(is_said, "{}: no {member} in {body}", answer.request);
        }
        assert_eq!(body["status"], status, "{}", answer.request);
        assert_eq!(body["request_id"], answer.header("x-request-id"), "{}", answer.request);
        body
    }
}

/// Looks again and again until there is something to see, and says at last what was there instead.
pub(crate) async fn poll<T>(mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(instead) => assert!(Instant::now() < end, "still, after {PATIENCE:?}: {instead}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A stream id that no other test and no earlier run has used.
pub(crate) fn unique_id(name: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    format!("e2e-{name}-{now:x}-{:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The path of one working stream without sinks, for all tests that only send to it or read it.
pub(crate) async fn shared_stream() -> &'static str {
    static SHARED: OnceCell<String> = OnceCell::const_new();
    SHARED.get_or_init(async || Client::new().create_stream("shared", &json!({})).await).await
}

/// The id in a path such as `/streams/{id}/1`.
pub(crate) fn id_in(path: &str) -> &str {
    path.split('/').nth(2).unwrap()
}

/// A record as it lies on a Kinesis stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) partition_key: String,
    pub(crate) data: Vec<u8>,
}

impl Record {
    /// The data as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.data).unwrap()
    }
}

/// Speaks to the local AWS itself, which wants no signature.
fn local_aws() -> Client {
    Client { url: setting("MILLRACE_AWS_ENDPOINT"), ..Client::with_authorization(None) }
}

/// Calls an operation of AWS, such as `Kinesis_20131202.ListShards`.
pub(crate) async fn call_aws(operation: &str, input: &Value) -> Value {
    let aws = local_aws();
    let request = aws.request(Method::POST, "/").header("x-amz-target", operation).header(CONTENT_TYPE, "application/x-amz-json-1.1");
    aws.send(request.body(input.to_string())).await.expect(200).json()
}

/// Calls what AWS has as paths, such as Lambda's: a `GET`, or a `POST` of a body.
pub(crate) async fn call_path(path: &str, body: &Value) -> Answer {
    let aws = local_aws();
    let request = if body.is_null() { aws.request(Method::GET, path) } else { aws.request(Method::POST, path).body(body.to_string()) };
    aws.send(request).await
}

/// Every record of a Kinesis stream, shard by shard, those of a shard in order.
pub(crate) async fn kinesis_records(name: &str) -> Vec<Record> {
    let listed = call_aws("Kinesis_20131202.ListShards", &json!({"StreamName": name})).await;
    let mut records = Vec::new();
    for shard in listed["Shards"].as_array().unwrap() {
        let wanted = json!({"StreamName": name, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"});
        let mut iterator = call_aws("Kinesis_20131202.GetShardIterator", &wanted).await["ShardIterator"].clone();
        loop {
            let page = call_aws("Kinesis_20131202.GetRecords", &json!({"ShardIterator": iterator})).await;
            let read = page["Records"].as_array().unwrap();
            if read.is_empty() {
                break;
            }
            records.extend(read.iter().map(|record| Record {
                partition_key: record["PartitionKey"].as_str().unwrap().to_owned(),
                data: from_base64(&record["Data"]),
            }));
            iterator = page["NextShardIterator"].clone();
        }
    }
    records
}

/// The bytes of a member that is base64.
#[track_caller]
pub(crate) fn from_base64(text: &Value) -> Vec<u8> {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap()
}

/// Asks as a browser does before it sends: without a token.
pub(crate) async fn preflight(path: &str, headers: &[(&str, &str)]) -> Answer {
    let client = Client::with_authorization(None);
    let request = headers.iter().fold(client.request(Method::OPTIONS, path), |request, (name, value)| request.header(*name, *value));
    client.send(request).await
}

impl Client {
    /// Posts bytes with these headers and, but for the token, no others.
    pub(crate) async fn post_bytes(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        let request = headers.iter().fold(self.request(Method::POST, path), |request, (name, value)| request.header(*name, *value));
        self.send(request.body(body.into())).await
    }

    /// Everything on the raw stream of a stream such as `/streams/{id}/1`.
    pub(crate) async fn raw_records(&self, stream: &str) -> Vec<Record> {
        let shown = self.get(stream).await.expect(200).json();
        kinesis_records(shown["raw_stream"].as_str().unwrap()).await
    }

    /// The same as text alone.
    pub(crate) async fn raw_texts(&self, stream: &str) -> Vec<String> {
        self.raw_records(stream).await.iter().map(|record| record.text().to_owned()).collect()
    }

    /// The path of a stream at the API that names streams by their ingest ids.
    pub(crate) async fn data_path(&self, stream: &str) -> String {
        let shown = self.get(stream).await.expect(200).json();
        format!("/stream/v0/data/{}", shown["ingest_id"].as_str().unwrap())
    }

    /// Waits until a stream has so many dead letters, and returns them.
    pub(crate) async fn wait_for_dead_letters(&self, stream: &str, count: usize) -> Vec<Value> {
        poll(async || {
            let page = self.get(&format!("{stream}/dead-letters?page_size=1000")).await.expect(200).json();
            let letters = page["values"].as_array().unwrap();
            if letters.len() == count { Ok(letters.clone()) } else { Err(page.to_string()) }
        })
        .await
    }

    /// Somebody of the same owner who may do this and nothing else.
    pub(crate) async fn with_scopes(&self, scopes: &[&str]) -> Self {
        let key = self.post("/api-keys", &json!({"name": "e2e", "scopes": scopes})).await.expect(201).json();
        let tokens = format!("/api-keys/{}/tokens", key["id"].as_str().unwrap());
        let made = self.post(&tokens, &json!({"expires_in_days": 1})).await.expect(201).json();
        Self::with_token(made["token"].as_str().unwrap())
    }
}

impl Answer {
    /// The answer that a function gave to an event of API Gateway.
    #[track_caller]
    pub(crate) fn of_function(self) -> Self {
        let response = self.json();
        let status = response["statusCode"].as_u64().unwrap_or_else(|| panic!("{}: {}", self.request, self.text));
        let mut headers = HeaderMap::new();
        for (name, value) in response["headers"].as_object().into_iter().flatten() {
            let name = reqwest::header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.insert(name, value.as_str().unwrap().parse().unwrap());
        }
        let text = response["body"].as_str().unwrap_or_default().to_owned();
        Self { request: self.request, status: u16::try_from(status).unwrap(), headers, text }
    }

    /// Checks that this is an error that asks its caller to come back, and returns its body.
    #[track_caller]
    pub(crate) fn expect_retry(self, status: u16) -> Value {
        let answer = self.expect(status);
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!(seconds > 0, "{}: a pause", answer.request);
        answer.expect_problem(status)
    }
}
