//! A Kinesis that takes every record, and counts them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::http::{Answer, Request, serve};

/// The stub.
pub(crate) struct Kinesis {
    address: SocketAddr,
    puts: Arc<Mutex<Puts>>,
}

/// What was put since the last look.
#[derive(Default)]
pub(crate) struct Puts {
    /// How many records.
    pub(crate) records: usize,
    /// The first call.
    first: Option<Vec<u8>>,
}

#[derive(Deserialize)]
struct PutRecords {
    #[serde(rename = "Records")]
    records: Vec<IgnoredAny>,
}

impl Kinesis {
    pub(crate) fn serve() -> Self {
        let puts = Arc::new(Mutex::new(Puts::default()));
        let (counted, answers) = (puts.clone(), Mutex::new(HashMap::new()));
        let address = serve(move |request: Request| {
            let call: PutRecords = serde_json::from_slice(&request.body).expect("a call is PutRecords in JSON");
            let records = call.records.len();
            let mut puts = counted.lock().unwrap();
            puts.records += records;
            puts.first.get_or_insert(request.body);
            let body = answers.lock().unwrap().entry(records).or_insert_with(|| success(records)).clone();
            let headers = "content-type: application/x-amz-json-1.1\r\nx-amzn-requestid: 5f0b0f5e-0000-4000-8000-000000000000\r\n";
            Some(Answer { status: "200 OK", headers: headers.to_owned(), body })
        });
        Self { address, puts }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was put since the last look.
    pub(crate) fn take(&self) -> Puts {
        std::mem::take(&mut self.puts.lock().unwrap())
    }
}

impl Puts {
    /// The events of the first call, at most so many.
    pub(crate) fn first_events(&self, count: usize) -> Vec<Value> {
        let call: Value = serde_json::from_slice(self.first.as_deref().expect("there was a call")).unwrap();
        let data = |record: &Value| BASE64_STANDARD.decode(record["Data"].as_str().unwrap()).unwrap();
        call["Records"].as_array().unwrap().iter().take(count).map(|record| serde_json::from_slice(&data(record)).unwrap()).collect()
    }
}

fn success(records: usize) -> Arc<[u8]> {
    let entry = |n: usize| {
        let number = format!("49590338271490256608559692538361571095921575989136{n:06}");
        json!({"SequenceNumber": number, "ShardId": "shardId-000000000000"})
    };
    let entries: Vec<Value> = (0..records).map(entry).collect();
    json!({"FailedRecordCount": 0, "Records": entries}).to_string().into_bytes().into()
}
