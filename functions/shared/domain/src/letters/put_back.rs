//! Putting events back on a raw stream: in order for each partition key, only failed records sent again.

use std::collections::HashSet;
use std::time::Duration;

use crate::limits::{BACKOFF_BASE, BACKOFF_CAP, PUT_ATTEMPTS};
use crate::outcome::RetryReason;
use crate::publish::{Deadline, Record};
use crate::system::{System, full_jitter, within};

/// The least time for a call. One that is cut may have written its records all the same, and they would be put back twice: better not to
/// begin it.
const MIN_CALL_TIME: Duration = Duration::from_millis(500);

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
    /// What must be left of the time until the deadline when the last call ends. One that takes longer is cut, and counts as timed out.
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
            let left = self.deadline.left(self.system.now() + self.reserve);
            let answers = within(self.system, left, self.raw.put_back(stream, &again)).await;
            match answers.unwrap_or(Err(RetryReason::TimedOut)) {
                Ok(answers) => failed.iter().zip(answers).for_each(|(index, answer)| results[*index] = answer),
                Err(reason) => failed.iter().for_each(|index| results[*index] = Err(reason)),
            }
        }
        results
    }

    /// Returns whether a call may begin after a pause.
    fn has_time_for(&self, pause: Duration) -> bool {
        !self.deadline.is_past(self.system.now() + self.reserve + pause + MIN_CALL_TIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakeRawStreams, FakeSystem, block_on};
    use crate::limits::{DEADLINE_RESERVE, REDRIVE_MARK_TIME};

    /// Never answers.
    struct Silent;

    #[async_trait::async_trait]
    impl RawStreams for Silent {
        async fn put_back(&self, _stream: &str, _records: &[Record<'_>]) -> Result<Vec<PutBackResult>, RetryReason> {
            std::future::pending().await
        }
    }

    fn put(raw: &dyn RawStreams, system: &FakeSystem, time: Duration) -> Vec<PutBackResult> {
        let deadline = Deadline::before_invocation_end(system.now() + DEADLINE_RESERVE + time);
        let records = ["a", "a", "b"].map(|partition_key| Record { data: b"x", partition_key });
        let putter = Putter { raw, system, deadline, reserve: REDRIVE_MARK_TIME };
        block_on(putter.put_in_order("raw", &records))
    }

    #[test]
    fn a_call_without_an_answer_is_cut_in_time_for_the_marks() {
        let system = FakeSystem::new();
        let end = system.now() + Duration::from_secs(6);
        let results = put(&Silent, &system, Duration::from_secs(6));
        assert_eq!(results, [Err(RetryReason::TimedOut), Err(RetryReason::Unavailable), Err(RetryReason::TimedOut)]);
        assert_eq!(system.now(), end - REDRIVE_MARK_TIME);
    }

    #[test]
    fn a_call_that_would_soon_be_cut_is_not_begun() {
        for (time, calls) in [(REDRIVE_MARK_TIME + MIN_CALL_TIME, 2), (REDRIVE_MARK_TIME + MIN_CALL_TIME / 2, 0)] {
            let (raw, system) = (FakeRawStreams::default(), FakeSystem::new());
            put(&raw, &system, time);
            assert_eq!(raw.calls().len(), calls, "{time:?}");
        }
    }
}
