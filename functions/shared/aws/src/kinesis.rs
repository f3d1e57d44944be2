//! Puts records on Kinesis streams.

use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use domain::outcome::RetryReason;
use domain::publish::{EventPublisher, PutResult, Record};

use crate::fault::{is_throttling, without_retries};

/// Kinesis Data Streams.
#[derive(Debug, Clone)]
pub struct Kinesis {
    client: Client,
}

impl Kinesis {
    /// Makes a client whose retries are the domain's.
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(&without_retries(config)) }
    }
}

#[async_trait::async_trait]
impl EventPublisher for Kinesis {
    async fn put(&self, stream: &str, records: &[Record<'_>]) -> Result<Vec<PutResult>, RetryReason> {
        let mut entries = Vec::with_capacity(records.len());
        for record in records {
            let entry = PutRecordsRequestEntry::builder().data(Blob::new(record.data)).partition_key(record.partition_key).build();
            // Both required members are set above.
            entries.push(entry.map_err(|_| RetryReason::Unavailable)?);
        }
        let answer = self.client.put_records().stream_name(stream).set_records(Some(entries)).send().await;
        let output = answer.map_err(|error| {
            let reason = reason_of(&error);
            tracing::warn!(stream.name = stream, error = %aws_sdk_kinesis::error::DisplayErrorContext(&error), "could not put records");
            reason
        })?;
        let results: Vec<PutResult> = output.records().iter().map(result_of).collect();
        // An answer that does not speak of every record says nothing certain of any.
        if results.len() == records.len() { Ok(results) } else { Err(RetryReason::Unavailable) }
    }
}

fn result_of(entry: &PutRecordsResultEntry) -> PutResult {
    match entry.error_code() {
        None => Ok(()),
        code if is_throttling(code) => Err(RetryReason::Throttled),
        Some(_) => Err(RetryReason::Unavailable),
    }
}

fn reason_of<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> RetryReason {
    match error {
        SdkError::TimeoutError(_) => RetryReason::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => RetryReason::TimedOut,
        SdkError::ServiceError(service) if is_throttling(service.err().code()) => RetryReason::Throttled,
        _ => RetryReason::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_result_says_why_it_failed() {
        let entry = |code: Option<&str>| PutRecordsResultEntry::builder().set_error_code(code.map(Into::into)).build();
        assert_eq!(result_of(&entry(None)), Ok(()));
        assert_eq!(result_of(&entry(Some("ProvisionedThroughputExceededException"))), Err(RetryReason::Throttled));
        assert_eq!(result_of(&entry(Some("InternalFailure"))), Err(RetryReason::Unavailable));
    }
}
