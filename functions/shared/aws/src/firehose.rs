//! Stores dead letters through Firehose.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_firehose::Client;
use aws_sdk_firehose::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use domain::dead_letter::{DeadLetter, DeadLetters};
use domain::limits::{BACKOFF_BASE, BACKOFF_CAP, MAX_LETTER_BYTES_PER_PUT, MAX_LETTERS_PER_PUT, PUT_ATTEMPTS};
use domain::outcome::RetryReason;
use domain::publish::Deadline;
use domain::system::{System, full_jitter};

use crate::fault::{is_throttling, without_retries};

/// Amazon Data Firehose.
#[derive(Clone)]
pub struct Firehose {
    client: Client,
    system: Arc<dyn System>,
}

impl Firehose {
    /// Makes a client that sends only failed records again.
    pub fn new(config: &SdkConfig, system: Arc<dyn System>) -> Self {
        Self { client: Client::new(&without_retries(config)), system }
    }

    async fn put_lines(&self, delivery_stream: &str, mut lines: Vec<Vec<u8>>, deadline: Deadline) -> Result<(), RetryReason> {
        let mut reason = RetryReason::Unavailable;
        for attempt in 0..PUT_ATTEMPTS {
            let pause = attempt.checked_sub(1).map(|nth| full_jitter(nth, BACKOFF_BASE, BACKOFF_CAP, self.system.random()));
            if deadline.is_past(self.system.now() + pause.unwrap_or_default()) {
                break;
            }
            if let Some(pause) = pause {
                self.system.sleep(pause).await;
            }
            match self.put_once(delivery_stream, &lines).await {
                Ok(failed) if failed.is_empty() => return Ok(()),
                Ok(failed) => lines = failed,
                Err(failure) => reason = failure,
            }
        }
        Err(reason)
    }

    /// Returns the lines that were not taken.
    async fn put_once(&self, delivery_stream: &str, lines: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, RetryReason> {
        let mut records = Vec::with_capacity(lines.len());
        for line in lines {
            // The one required member is set.
            records.push(Record::builder().data(Blob::new(line.clone())).build().map_err(|_| RetryReason::Unavailable)?);
        }
        let answer = self.client.put_record_batch().delivery_stream_name(delivery_stream).set_records(Some(records)).send().await;
        let output = answer.map_err(|error| {
            tracing::warn!(delivery_stream.name = delivery_stream, error = %DisplayErrorContext(&error), "could not put dead letters");
            if is_throttling(error.code()) { RetryReason::Throttled } else { RetryReason::Unavailable }
        })?;
        let responses = output.request_responses();
        if responses.len() != lines.len() {
            return Err(RetryReason::Unavailable);
        }
        Ok(lines.iter().zip(responses).filter(|(_, response)| response.error_code().is_some()).map(|(line, _)| line.clone()).collect())
    }
}

#[async_trait::async_trait]
impl DeadLetters for Firehose {
    async fn put(&self, delivery_stream: &str, letters: &[DeadLetter], deadline: Deadline) -> Result<(), RetryReason> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        for letter in letters {
            let mut line = serde_json::to_vec(letter).map_err(|_| RetryReason::Unavailable)?;
            line.push(b'\n');
            if batch.len() == MAX_LETTERS_PER_PUT || (bytes + line.len() > MAX_LETTER_BYTES_PER_PUT && !batch.is_empty()) {
                self.put_lines(delivery_stream, std::mem::take(&mut batch), deadline).await?;
                bytes = 0;
            }
            bytes += line.len();
            batch.push(line);
        }
        if batch.is_empty() { Ok(()) } else { self.put_lines(delivery_stream, batch, deadline).await }
    }
}
