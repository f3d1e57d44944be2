//! A Kinesis event source mapping as AWS runs it
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html>, <https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>):
//! batches of one shard in order, partial responses, bisecting, bounded retries and age, a failure destination. The local AWS has none of it.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::fakes::FakeSystem;
use domain::system::System;
use serde_json::{Value, json};
use time::OffsetDateTime;

/// One record of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShardRecord {
    pub(crate) sequence_number: String,
    pub(crate) partition_key: String,
    pub(crate) data: Vec<u8>,
    pub(crate) arrived_at: OffsetDateTime,
}

impl ShardRecord {
    /// As Lambda hands it over.
    fn event(&self) -> Value {
        json!({
            "eventSourceARN": "arn:aws:kinesis:eu-west-1:000000000000:stream/dp.green.refuse-trucks.raw.1.json",
            "kinesis": {
                "partitionKey": self.partition_key,
                "sequenceNumber": self.sequence_number,
                "data": BASE64_STANDARD.encode(&self.data),
                "approximateArrivalTimestamp": self.arrived_at.unix_timestamp_nanos() as f64 / 1e9,
            },
        })
    }
}

/// The settings of a mapping.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mapping {
    pub(crate) batch_size: usize,
    pub(crate) maximum_retry_attempts: u32,
    pub(crate) maximum_record_age: Duration,
}

/// What became of a shard.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// How often the function was called.
    pub(crate) invocations: usize,
    /// What was given up, with its data.
    pub(crate) failure_destination: Vec<ShardRecord>,
}

/// Records that are tried together, and how often they were.
struct Batch {
    records: Vec<ShardRecord>,
    retries: u32,
}

/// The pause before a batch is tried again.
const BACKOFF: Duration = Duration::from_secs(1);

impl Mapping {
    /// Takes all records of a shard through a function, which answers as Lambda functions do; `None` is a function that failed, or whose
    /// answer was lost.
    ///
    /// # Panics
    /// When the function names a record that was not in its batch, or more than one: real mappings send the whole batch again then.
    pub(crate) async fn drain<F>(&self, shard: &[ShardRecord], system: &FakeSystem, mut function: F) -> Outcome
    where
        F: AsyncFnMut(Value) -> Option<Value>,
    {
        let mut outcome = Outcome::default();
        for records in shard.chunks(self.batch_size) {
            let mut pending = VecDeque::from([Batch { records: records.to_vec(), retries: 0 }]);
            while let Some(mut batch) = pending.pop_front() {
                let (expired, fresh) = batch.records.into_iter().partition(|record| self.has_expired(record, system));
                outcome.failure_destination.extend::<Vec<ShardRecord>>(expired);
                batch.records = fresh;
                if batch.records.is_empty() {
                    continue;
                }
                outcome.invocations += 1;
                let event = json!({"Records": batch.records.iter().map(ShardRecord::event).collect::<Vec<_>>()});
                match function(event).await.map(|answer| failed_at(&answer, &batch.records)) {
                    // All of it is done.
                    Some(None) => continue,
                    // The batch is cut there, and only the rest is tried again.
                    Some(Some(index)) if index > 0 => {
                        pending.push_front(Batch { records: batch.records.split_off(index), retries: batch.retries });
                    }
                    // A cut costs no retry.
                    _ if batch.records.len() > 1 && batch.retries > 0 => {
                        let rest = batch.records.split_off(batch.records.len() / 2);
                        pending.push_front(Batch { records: rest, retries: batch.retries });
                        pending.push_front(batch);
                    }
                    _ if batch.retries >= self.maximum_retry_attempts => outcome.failure_destination.extend(batch.records),
                    _ => pending.push_front(Batch { retries: batch.retries + 1, ..batch }),
                }
                system.sleep(BACKOFF).await;
            }
        }
        outcome
    }

    fn has_expired(&self, record: &ShardRecord, system: &FakeSystem) -> bool {
        system.now() - record.arrived_at > self.maximum_record_age
    }
}

/// The place of the record from which a batch comes again, if it does.
fn failed_at(answer: &Value, records: &[ShardRecord]) -> Option<usize> {
    let failures = answer["batchItemFailures"].as_array().expect("a list of failures");
    assert!(failures.len() <= 1, "one place is enough: {answer}");
    let identifier = failures.first()?["itemIdentifier"].as_str().expect("an identifier");
    Some(records.iter().position(|record| record.sequence_number == identifier).expect("an identifier of the batch"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(count: usize, system: &FakeSystem) -> Vec<ShardRecord> {
        let record = |n: usize| ShardRecord {
            sequence_number: n.to_string(),
            partition_key: "key".to_owned(),
            data: vec![b'a'],
            arrived_at: system.now(),
        };
        (0..count).map(record).collect()
    }

    const MAPPING: Mapping = Mapping { batch_size: 10, maximum_retry_attempts: 3, maximum_record_age: Duration::from_secs(3_600) };

    #[tokio::test]
    async fn a_function_that_fails_on_one_record_is_cut_down_to_it_and_then_goes_on() {
        let system = FakeSystem::new();
        let mut done = Vec::new();
        let outcome = MAPPING
            .drain(&shard(25, &system), &system, async |event| {
                let numbers: Vec<String> = event["Records"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|record| record["kinesis"]["sequenceNumber"].as_str().unwrap().to_owned())
                    .collect();
                if numbers.contains(&"13".to_owned()) {
                    return None;
                }
                done.extend(numbers);
                Some(json!({"batchItemFailures": []}))
            })
            .await;
        assert_eq!(outcome.failure_destination.iter().map(|record| record.sequence_number.as_str()).collect::<Vec<_>>(), ["13"]);
        assert_eq!(done.len(), 24);
        assert!(outcome.invocations > 3 + MAPPING.maximum_retry_attempts as usize, "{}", outcome.invocations);
    }

    #[tokio::test]
    async fn what_is_too_old_is_given_up() {
        let system = FakeSystem::new();
        let shard = shard(3, &system);
        system.advance(Duration::from_secs(3_601));
        let outcome = MAPPING.drain(&shard, &system, async |_| panic!("called with what is too old")).await;
        assert_eq!((outcome.failure_destination.len(), outcome.invocations), (3, 0));
    }
}
