//! Putting records on a Kinesis stream: split at the limits, only failed records sent again, never past the deadline.

use std::collections::HashMap;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use time::OffsetDateTime;

use crate::limits::{BACKOFF_BASE, BACKOFF_CAP, DEADLINE_RESERVE, MAX_BYTES_PER_PUT, MAX_RECORDS_PER_PUT, PUT_ATTEMPTS, PUT_TIME_BUDGET};
use crate::outcome::RetryReason;
use crate::system::{System, full_jitter};

/// One record to put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The event's bytes.
    pub data: &'a [u8],
    /// Decides the shard; records of one key keep their order.
    pub partition_key: &'a str,
}

impl Record<'_> {
    fn size(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }
}

/// What one call says of one record: taken, or why not.
pub type PutResult = Result<(), RetryReason>;

/// Puts records on a Kinesis stream, one AWS call at a time.
#[async_trait::async_trait]
pub trait EventPublisher: Send + Sync {
    /// Puts at most [`MAX_RECORDS_PER_PUT`] records and [`MAX_BYTES_PER_PUT`] bytes; answers one result a record, in order.
    ///
    /// # Errors
    /// The call as a whole failed.
    async fn put(&self, stream: &str, records: &[Record<'_>]) -> Result<Vec<PutResult>, RetryReason>;
}

/// Until when work may go on.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(OffsetDateTime);

impl Deadline {
    /// For an invocation that Lambda ends at `end`: stops early enough to answer.
    pub fn before_invocation_end(end: OffsetDateTime) -> Self {
        Self(end - DEADLINE_RESERVE)
    }

    /// The same, and never longer than [`PUT_TIME_BUDGET`] from `now`.
    #[must_use]
    pub fn within_budget(self, now: OffsetDateTime) -> Self {
        Self(self.0.min(now + PUT_TIME_BUDGET))
    }

    /// Returns how long it is until then.
    pub fn left(&self, now: OffsetDateTime) -> Duration {
        Duration::try_from(self.0 - now).unwrap_or_default()
    }

    /// Returns whether `at` is past it.
    pub fn is_past(&self, at: OffsetDateTime) -> bool {
        at > self.0
    }
}

/// Puts all records, in calls within the limits, up to `at_once` of them at a time. With one at a time, and as long as Kinesis takes
/// everything, records arrive in their order.
///
/// Returns one result a record, in order. A record that fails is sent again with full jitter up to [`PUT_ATTEMPTS`] times before `deadline`.
pub async fn put_all(
    publisher: &dyn EventPublisher,
    system: &dyn System,
    deadline: Deadline,
    stream: &str,
    records: &[Record<'_>],
    at_once: usize,
) -> Vec<PutResult> {
    let mut calls = Vec::new();
    for (nth, chunk) in chunks(records).into_iter().enumerate() {
        calls.push(put_nth(publisher, system, deadline, stream, (nth, chunk)));
    }
    let answers: Vec<Vec<PutResult>> = stream::iter(calls).buffered(at_once.max(1)).collect().await;
    let results = answers.concat();
    debug_assert_eq!(results.len(), records.len());
    results
}

/// Past the deadline nothing new is started but the first call; what was not sent is known not to be written.
async fn put_nth(
    publisher: &dyn EventPublisher,
    system: &dyn System,
    deadline: Deadline,
    stream: &str,
    (nth, chunk): (usize, &[Record<'_>]),
) -> Vec<PutResult> {
    if nth > 0 && deadline.is_past(system.now()) {
        return vec![Err(RetryReason::Unavailable); chunk.len()];
    }
    put_chunk(publisher, system, deadline, stream, chunk).await
}

async fn put_chunk(
    publisher: &dyn EventPublisher,
    system: &dyn System,
    deadline: Deadline,
    stream: &str,
    chunk: &[Record<'_>],
) -> Vec<PutResult> {
    let mut results = match publisher.put(stream, chunk).await {
        Ok(results) => results,
        Err(reason) => vec![Err(reason); chunk.len()],
    };
    debug_assert_eq!(results.len(), chunk.len());
    for attempt in 1..PUT_ATTEMPTS {
        let failed: Vec<usize> = (0..results.len()).filter(|index| results[*index].is_err()).collect();
        if failed.is_empty() {
            break;
        }
        let pause = full_jitter(attempt - 1, BACKOFF_BASE, BACKOFF_CAP, system.random());
        if deadline.is_past(system.now() + pause) {
            break;
        }
        system.sleep(pause).await;
        let again: Vec<Record<'_>> = failed.iter().map(|index| chunk[*index]).collect();
        match publisher.put(stream, &again).await {
            Ok(answers) => failed.iter().zip(answers).for_each(|(index, answer)| results[*index] = later(results[*index], answer)),
            Err(reason) => failed.iter().for_each(|index| results[*index] = later(results[*index], Err(reason))),
        }
    }
    results
}

/// What is known of a record after one more try. Once a try has timed out, only success makes certain what was written; and once one has
/// failed for a reason of its own, a later one that is throttled does not.
fn later(before: PutResult, answer: PutResult) -> PutResult {
    match (before, answer) {
        (Err(RetryReason::TimedOut), Err(_)) => Err(RetryReason::TimedOut),
        (Err(RetryReason::Unavailable), Err(RetryReason::Throttled)) => Err(RetryReason::Unavailable),
        _ => answer,
    }
}

/// Cuts records into runs that one call takes.
fn chunks<'r, 'a>(records: &'r [Record<'a>]) -> Vec<&'r [Record<'a>]> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (index, record) in records.iter().enumerate() {
        let is_full = index - start == MAX_RECORDS_PER_PUT || bytes + record.size() > MAX_BYTES_PER_PUT;
        if is_full && index > start {
            chunks.push(&records[start..index]);
            start = index;
            bytes = 0;
        }
        bytes += record.size();
    }
    if start < records.len() {
        chunks.push(&records[start..]);
    }
    chunks
}

/// Puts all records so that records of one partition key arrive in order. Each stands with the number of the event that it comes from.
///
/// They go in waves, each with the records of at most one event a key, and a wave starts only when the one before it is wholly written
/// (`PutRecords` promises no order within a call). So records of one event can change places when some of them are throttled, and
/// events of one key cannot. Returns one result a record, in order; after a wave that fails, the rest is not sent.
pub async fn put_in_order(
    publisher: &dyn EventPublisher,
    system: &dyn System,
    deadline: Deadline,
    stream: &str,
    records: &[(usize, Record<'_>)],
) -> Vec<PutResult> {
    let mut results: Vec<PutResult> = vec![Err(RetryReason::Unavailable); records.len()];
    for wave in waves(records) {
        // What came before, such as dead letters, may have taken the time.
        if deadline.is_past(system.now()) {
            break;
        }
        let picked: Vec<Record<'_>> = wave.iter().map(|index| records[*index].1).collect();
        let answers = put_all(publisher, system, deadline, stream, &picked, 1).await;
        let has_failed = answers.iter().any(Result::is_err);
        wave.iter().zip(answers).for_each(|(index, answer)| results[*index] = answer);
        if has_failed {
            break;
        }
    }
    results
}

/// The n-th wave holds the records of every key's n-th event.
fn waves(records: &[(usize, Record<'_>)]) -> Vec<Vec<usize>> {
    // Of each key: the last event, and its wave.
    let mut seen: HashMap<&str, (usize, usize)> = HashMap::with_capacity(records.len());
    let mut waves: Vec<Vec<usize>> = Vec::new();
    for (index, (event, record)) in records.iter().enumerate() {
        let (last, nth) = seen.entry(record.partition_key).or_insert((*event, 0));
        if *last != *event {
            (*last, *nth) = (*event, *nth + 1);
        }
        if *nth == waves.len() {
            waves.push(Vec::new());
        }
        waves[*nth].push(index);
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakePublisher, FakeSystem, PutFault, block_on};
    use proptest::prelude::*;

    /// Takes everything, and its time.
    struct SlowPublisher<'s> {
        inner: FakePublisher,
        system: &'s FakeSystem,
        takes: Duration,
    }

    #[async_trait::async_trait]
    impl EventPublisher for SlowPublisher<'_> {
        async fn put(&self, stream: &str, records: &[Record<'_>]) -> Result<Vec<PutResult>, RetryReason> {
            self.system.advance(self.takes);
            self.inner.put(stream, records).await
        }
    }

    fn slow(system: &FakeSystem, takes: Duration) -> SlowPublisher<'_> {
        SlowPublisher { inner: FakePublisher::default(), system, takes }
    }

    fn deadline(system: &FakeSystem) -> Deadline {
        Deadline::before_invocation_end(system.now() + std::time::Duration::from_secs(30)).within_budget(system.now())
    }

    fn put(publisher: &FakePublisher, data: &[&str]) -> Vec<PutResult> {
        let keys: Vec<String> = (0..data.len()).map(|index| format!("key-{index}")).collect();
        let records: Vec<Record<'_>> =
            data.iter().zip(&keys).map(|(data, key)| Record { data: data.as_bytes(), partition_key: key }).collect();
        let system = FakeSystem::new();
        block_on(put_all(publisher, &system, deadline(&system), "raw", &records, 1))
    }

    #[test]
    fn a_throttled_record_is_sent_again_and_its_neighbours_are_not() {
        let publisher = FakePublisher::with_script([PutFault::PartialFailure(vec![1])]);
        assert_eq!(put(&publisher, &["a", "b", "c"]), vec![Ok(()); 3]);
        assert_eq!(publisher.calls(), [vec!["a", "b", "c"], vec!["b"]]);
    }

    #[test]
    fn a_record_that_always_fails_is_handed_back_after_its_attempts() {
        let publisher = FakePublisher::with_script(vec![PutFault::Throttle; 9]);
        assert_eq!(put(&publisher, &["a"]), [Err(RetryReason::Throttled)]);
        assert_eq!(publisher.calls().len(), PUT_ATTEMPTS as usize);
    }

    #[test]
    fn nothing_is_sent_again_past_the_deadline() {
        let publisher = FakePublisher::with_script(vec![PutFault::Throttle; 9]);
        let system = FakeSystem::new();
        let past = Deadline::before_invocation_end(system.now());
        let record = Record { data: b"a", partition_key: "k" };
        let results = block_on(put_all(&publisher, &system, past, "raw", &[record], 1));
        assert_eq!(results, [Err(RetryReason::Throttled)]);
        assert_eq!(publisher.calls().len(), 1);
    }

    #[test]
    fn no_wave_is_started_past_the_deadline() {
        let system = FakeSystem::new();
        let publisher = slow(&system, Duration::from_secs(3));
        let deadline = Deadline::before_invocation_end(system.now() + DEADLINE_RESERVE + Duration::from_secs(5));
        let of = |data: &'static str, partition_key| Record { data: data.as_bytes(), partition_key };
        let records = [of("a1", "a"), of("b1", "b"), of("a2", "a"), of("a3", "a"), of("b2", "b")];
        let records: Vec<(usize, Record<'_>)> = records.into_iter().enumerate().collect();
        let results = block_on(put_in_order(&publisher, &system, deadline, "processed", &records));
        assert_eq!(publisher.inner.calls(), [["a1", "b1"], ["a2", "b2"]]);
        assert_eq!(results, [Ok(()), Ok(()), Ok(()), Err(RetryReason::Unavailable), Ok(())]);

        let again = block_on(put_in_order(&publisher, &system, deadline, "processed", &records[3..4]));
        assert_eq!((again, publisher.inner.calls().len()), (vec![Err(RetryReason::Unavailable)], 2), "not even the first");
    }

    #[test]
    fn no_call_is_started_past_the_deadline() {
        let system = FakeSystem::new();
        let publisher = slow(&system, Duration::from_secs(3));
        let deadline = Deadline::before_invocation_end(system.now() + DEADLINE_RESERVE + Duration::from_secs(5));
        let records = vec![Record { data: b"x", partition_key: "k" }; 2 * MAX_RECORDS_PER_PUT + 1];
        let results = block_on(put_all(&publisher, &system, deadline, "raw", &records, 1));
        assert_eq!(publisher.inner.calls().len(), 2);
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2 * MAX_RECORDS_PER_PUT);
        assert_eq!(results.last(), Some(&Err(RetryReason::Unavailable)), "known not to be written");
    }

    #[test]
    fn calls_are_cut_at_the_limits_exactly() {
        let record = Record { data: b"x", partition_key: "k" };
        let sizes = |count: usize| chunks(&vec![record; count]).iter().map(|chunk| chunk.len()).collect::<Vec<_>>();
        assert_eq!(sizes(0), Vec::<usize>::new());
        assert_eq!(sizes(MAX_RECORDS_PER_PUT), [500]);
        assert_eq!(sizes(MAX_RECORDS_PER_PUT + 1), [500, 1]);
        let half = vec![b'x'; MAX_BYTES_PER_PUT / 2 - 1];
        let exact = Record { data: &half, partition_key: "k" };
        assert_eq!(chunks(&[exact, exact]).len(), 1, "exactly the limit, key included");
        let over = Record { data: &half, partition_key: "kk" };
        assert_eq!(chunks(&[exact, over]).len(), 2, "one byte over");
    }

    proptest! {
        /// Whatever fails and however often, order per key holds and each record has a true result. Records of one event, which have its
        /// key, may change places among themselves.
        #[test]
        fn order_per_key_holds_under_any_faults(
            keys in prop::collection::vec((0_u8..4, 1_usize..4), 0..40),
            script in prop::collection::vec(PutFault::any(), 0..30),
        ) {
            let names: Vec<(usize, String, String)> = keys.iter().enumerate()
                .flat_map(|(event, (key, records))| (0..*records).map(move |nth| (event, format!("{event:03}-{nth}"), format!("key-{key}"))))
                .collect();
            let records: Vec<(usize, Record<'_>)> =
                names.iter().map(|(event, data, key)| (*event, Record { data: data.as_bytes(), partition_key: key })).collect();
            let publisher = FakePublisher::with_script(script);
            let system = FakeSystem::new();
            let results = block_on(put_in_order(&publisher, &system, deadline(&system), "processed", &records));
            let stored = publisher.stored("processed");
            for (index, result) in results.iter().enumerate() {
                if result.is_ok() {
                    prop_assert!(stored.iter().any(|(data, _)| *data == names[index].1), "acknowledged but not there");
                }
            }
            for key in 0..4 {
                let of_key = || stored.iter().filter(|(_, stored_key)| *stored_key == format!("key-{key}"));
                let events: Vec<&str> = of_key().map(|(data, _)| &data[..3]).collect();
                prop_assert!(events.is_sorted(), "{:?}", events);
            }
        }

        #[test]
        fn events_of_one_record_go_in_one_wave(events in prop::collection::vec(1_usize..5, 1..20)) {
            let record = Record { data: b"x", partition_key: "key" };
            let records: Vec<(usize, Record<'_>)> =
                events.iter().enumerate().flat_map(|(event, count)| vec![(event, record); *count]).collect();
            prop_assert_eq!(waves(&records).iter().map(Vec::len).collect::<Vec<_>>(), events);
        }
    }
}
