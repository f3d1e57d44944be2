//! Puts records on Kinesis streams.

use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use domain::letters::{PutBackResult, RawStreams};
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
        let answers = self.put_records(stream, records).await?;
        Ok(answers.iter().map(|answer| result_of(answer).map(|_| ())).collect())
    }
}

#[async_trait::async_trait]
impl RawStreams for Kinesis {
    async fn put_back(&self, stream: &str, records: &[Record<'_>]) -> Result<Vec<PutBackResult>, RetryReason> {
        let answers = self.put_records(stream, records).await?;
        Ok(answers.iter().map(|answer| result_of(answer).map(str::to_owned)).collect())
    }
}

impl Kinesis {
    /// Puts records, and answers one entry for each.
    async fn put_records(&self, stream: &str, records: &[Record<'_>]) -> Result<Vec<PutRecordsResultEntry>, RetryReason> {
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
        // An answer that does not speak of every record says nothing certain of any.
        if output.records().len() == records.len() { Ok(output.records) } else { Err(RetryReason::Unavailable) }
    }
}

/// The record's sequence number, or why it was not taken.
fn result_of(entry: &PutRecordsResultEntry) -> Result<&str, RetryReason> {
    match entry.error_code() {
        None => Ok(entry.sequence_number().unwrap_or_default()),
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
        let entry = |code: Option<&str>| {
            let number = code.is_none().then(|| "4959".to_owned());
            PutRecordsResultEntry::builder().set_error_code(code.map(Into::into)).set_sequence_number(number).build()
        };
        assert_eq!(result_of(&entry(None)), Ok("4959"));
        assert_eq!(result_of(&entry(Some("ProvisionedThroughputExceededException"))), Err(RetryReason::Throttled));
        assert_eq!(result_of(&entry(Some("InternalFailure"))), Err(RetryReason::Unavailable));
    }
}
