//! Putting events back on a raw stream: in order for each partition key, only failed records sent again.

use std::collections::HashSet;
use std::time::Duration;

use crate::limits::{BACKOFF_BASE, BACKOFF_CAP, PUT_ATTEMPTS};
use crate::outcome::RetryReason;
use crate::publish::{Deadline, Record};
use crate::system::{System, full_jitter};

/// What one call says of one record: its sequence number, or why it was not taken.
pub type PutBackResult = Result<String, RetryReason>;

/// Puts events back on raw streams, one AWS call at a time.
#[async_trait::async_trait]
pub trait RawStreams: Send + Sync {
    /// Puts at most [`crate::limits::MAX_RECORDS_PER_PUT`] records and [`crate::limits::MAX_BYTES_PER_PUT`] bytes; answers one result a
    /// record, in order.
    ///
    /// # Errors
    /// The call as a whole failed.
    async fn put_back(&self, stream: &str, records: &[Record<'_>]) -> Result<Vec<PutBackResult>, RetryReason>;
}

/// What putting back works with.
pub(super) struct Putter<'p> {
    pub(super) raw: &'p dyn RawStreams,
    pub(super) system: &'p dyn System,
    pub(super) deadline: Deadline,
    /// What must be left of the time until the deadline when a call begins.
    pub(super) reserve: Duration,
}

impl Putter<'_> {
    /// Puts records in waves, each with at most one record a key; one call takes them all. Behind a record that fails, no other of its key is
    /// sent. Returns one result a record, in order.
    pub(super) async fn put_in_order(&self, stream: &str, records: &[Record<'_>]) -> Vec<PutBackResult> {
        let mut results: Vec<PutBackResult> = vec![Err(RetryReason::Unavailable); records.len()];
        let mut waiting: Vec<usize> = (0..records.len()).collect();
        while !waiting.is_empty() && self.has_time_for(Duration::ZERO) {
            let mut keys = HashSet::new();
            let (wave, rest): (Vec<usize>, Vec<usize>) = waiting.into_iter().partition(|index| keys.insert(records[*index].partition_key));
            let picked: Vec<Record<'_>> = wave.iter().map(|index| records[*index]).collect();
            let mut stopped = HashSet::new();
            for (index, result) in wave.into_iter().zip(self.put(stream, &picked).await) {
                if result.is_err() {
                    stopped.insert(records[index].partition_key);
                }
                results[index] = result;
            }
            waiting = rest.into_iter().filter(|index| !stopped.contains(records[*index].partition_key)).collect();
        }
        results
    }

    async fn put(&self, stream: &str, records: &[Record<'_>]) -> Vec<PutBackResult> {
        let mut results: Vec<PutBackResult> = vec![Err(RetryReason::Unavailable); records.len()];
        for attempt in 0..PUT_ATTEMPTS {
            let failed: Vec<usize> = (0..results.len()).filter(|index| results[*index].is_err()).collect();
            let pause = attempt.checked_sub(1).map(|nth| full_jitter(nth, BACKOFF_BASE, BACKOFF_CAP, self.system.random()));
            if failed.is_empty() || !self.has_time_for(pause.unwrap_or_default()) {
                break;
            }
            if let Some(pause) = pause {
                self.system.sleep(pause).await;
            }
            let again: Vec<Record<'_>> = failed.iter().map(|index| records[*index]).collect();
            match self.raw.put_back(stream, &again).await {
                Ok(answers) => failed.iter().zip(answers).for_each(|(index, answer)| results[*index] = answer),
                Err(reason) => failed.iter().for_each(|index| results[*index] = Err(reason)),
            }
        }
        results
    }

    fn has_time_for(&self, pause: Duration) -> bool {
        !self.deadline.is_past(self.system.now() + self.reserve + pause)
    }
}
