//! The floor for the work of `ingest-events`: puts the events of a body with one `PutRecords`, and checks nothing. `make bench-ingest`
//! measures it.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_config::BehaviorVersion;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::BuildError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use lambda_http::{Body, Error, Request, Response, run, service_fn};
use serde_json::value::RawValue;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let stream = std::env::var("STREAM_NAME")?;
    let client = Client::new(&aws_config::load_defaults(BehaviorVersion::latest()).await);
    run(service_fn(|request: Request| put(&client, &stream, request))).await
}

async fn put(client: &Client, stream: &str, request: Request) -> Result<Response<Body>, Error> {
    let body: &[u8] = request.body();
    let records = if body.starts_with(b"[") {
        let events: Vec<&RawValue> = serde_json::from_slice(body)?;
        events.iter().map(|event| record(event.get().as_bytes())).collect()
    } else {
        record(body).map(|single| vec![single])
    };
    let output = client.put_records().stream_name(stream).set_records(Some(records?)).send().await?;
    if output.failed_record_count().unwrap_or_default() > 0 {
        return Err("records failed".into());
    }
    Ok(Response::new(Body::from("{}")))
}

fn record(event: &[u8]) -> Result<PutRecordsRequestEntry, BuildError> {
    static KEYS: AtomicU64 = AtomicU64::new(0);
    let key = format!("{:016x}", KEYS.fetch_add(1, Ordering::Relaxed));
    PutRecordsRequestEntry::builder().data(Blob::new(event)).partition_key(key).build()
}
