//! What a stream has done since it was made: counters that the pipeline adds to, once a batch.
//!
//! Only events that reached the raw stream are counted. A request that ingest refuses leaves no trace here, since ingest makes one AWS
//! call and that is the event's; refusals are in the metrics of `ingest-events`.

mod histogram;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use histogram::{BUCKETS, Histogram};

use crate::dead_letter::Reason;
use crate::ids::IngestId;
use crate::limits::STATS_TIME;
use crate::publish::Deadline;
use crate::record::rfc3339;
use crate::store::StoreFault;
use crate::system::{System, within};

/// Characters of an error's detail that are kept.
const MAX_DETAIL: usize = 300;

/// What is counted. Events that Lambda hands to the pipeline again are counted when they are done, and only then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events of the raw stream that the pipeline is done with: `forwarded + filtered + deduplicated + dead_lettered`.
    pub received: u64,
    /// Their bytes, as they lie on the raw stream.
    pub received_bytes: u64,
    /// Events that went on.
    pub forwarded: u64,
    /// Events that were left out on purpose.
    pub filtered: u64,
    /// Events that were seen before.
    pub deduplicated: u64,
    /// Events that became dead letters.
    pub dead_lettered: u64,
    /// Records that the processed stream took; more than `forwarded` where events went there twice.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Dead letters that were kept; more than `dead_lettered` where events became one twice.
    pub letters_sent: u64,
}

impl Counters {
    /// Adds up.
    pub fn add(&mut self, other: &Counters) {
        let Counters { received, received_bytes, forwarded, filtered, deduplicated, dead_lettered, sent, sent_bytes, letters_sent } = other;
        self.received += received;
        self.received_bytes += received_bytes;
        self.forwarded += forwarded;
        self.filtered += filtered;
        self.deduplicated += deduplicated;
        self.dead_lettered += dead_lettered;
        self.sent += sent;
        self.sent_bytes += sent_bytes;
        self.letters_sent += letters_sent;
    }
}

/// What a processor has done, as often as it did: an event that comes again is counted again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessorCounters {
    /// Events that it was given.
    pub received: u64,
    /// Events that it gave on.
    pub sent: u64,
    /// Events that it failed on.
    pub failed: u64,
}

/// Processors that are counted, from the first one on: what one write can hold.
pub const COUNTED_PROCESSORS: usize = 40;

/// Adds up, processor by processor.
fn add_processors(sum: &mut Vec<ProcessorCounters>, more: &[ProcessorCounters]) {
    if sum.len() < more.len() {
        sum.resize(more.len(), ProcessorCounters::default());
    }
    for (sum, ProcessorCounters { received, sent, failed }) in sum.iter_mut().zip(more) {
        sum.received += received;
        sum.sent += sent;
        sum.failed += failed;
    }
}

/// Why an event, or a batch, did not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When.
    #[serde(with = "rfc3339")]
    pub at: OffsetDateTime,
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub detail: String,
}

impl LastError {
    /// An error, its detail cut.
    pub fn new(at: OffsetDateTime, reason: &Reason) -> Self {
        Self { at, code: reason.code.clone(), detail: reason.detail.chars().take(MAX_DETAIL).collect() }
    }
}

/// What one batch adds to its stream's stats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchStats {
    /// What it counts.
    pub counters: Counters,
    /// What each processor did, in their order.
    pub processors: Vec<ProcessorCounters>,
    /// From an event's arrival on the raw stream until the pipeline was done with it.
    pub latency: Histogram,
    /// When the newest event that is done arrived.
    pub last_event_at: Option<OffsetDateTime>,
    /// The last error, if there was one.
    pub last_error: Option<LastError>,
    /// How long the batch's newest event had lain on the raw stream when the batch ended.
    pub iterator_age: Duration,
    /// When the batch ended.
    pub ended_at: OffsetDateTime,
}

impl BatchStats {
    /// A batch that has done nothing yet.
    pub fn begun(at: OffsetDateTime) -> Self {
        Self {
            counters: Counters::default(),
            processors: Vec::new(),
            latency: Histogram::default(),
            last_event_at: None,
            last_error: None,
            iterator_age: Duration::ZERO,
            ended_at: at,
        }
    }

    /// Counts an event that the pipeline is done with, whatever became of it.
    pub fn count_event(&mut self, size: usize, arrived_at: OffsetDateTime, now: OffsetDateTime) {
        self.counters.received += 1;
        self.counters.received_bytes += size as u64;
        self.latency.record(since(arrived_at, now));
        self.last_event_at = self.last_event_at.max(Some(arrived_at));
    }

    /// Ends the batch, whose newest event arrived then.
    pub fn end(&mut self, newest_arrived_at: Option<OffsetDateTime>, now: OffsetDateTime) {
        self.iterator_age = newest_arrived_at.map_or(Duration::ZERO, |arrived_at| since(arrived_at, now));
        self.ended_at = now;
    }
}

/// The time that passed. Kinesis has clocks of its own, so an event can seem to come from the future.
fn since(earlier: OffsetDateTime, now: OffsetDateTime) -> Duration {
    Duration::try_from(now - earlier).unwrap_or_default()
}

/// A stream's stats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// What was counted.
    pub counters: Counters,
    /// What each processor did, in their order.
    pub processors: Vec<ProcessorCounters>,
    /// How long events took.
    pub latency: Histogram,
    /// When the newest event of the last batch arrived.
    pub last_event_at: Option<OffsetDateTime>,
    /// The last error.
    pub last_error: Option<LastError>,
    /// How far behind the last batch was.
    pub iterator_age: Option<Duration>,
    /// When counting began: when the stream was made.
    pub since: OffsetDateTime,
    /// When the last batch ended.
    pub updated_at: Option<OffsetDateTime>,
}

impl Stats {
    /// Those of a stream that was just made.
    pub fn begun(since: OffsetDateTime) -> Self {
        Self {
            counters: Counters::default(),
            processors: Vec::new(),
            latency: Histogram::default(),
            last_event_at: None,
            last_error: None,
            iterator_age: None,
            since,
            updated_at: None,
        }
    }

    /// Adds a batch. What was last seen is overwritten, so of two batches at once (two shards) the one that is written later stays.
    pub fn add(&mut self, batch: &BatchStats) {
        let BatchStats { counters, processors, latency, last_event_at, last_error, iterator_age, ended_at } = batch;
        self.counters.add(counters);
        add_processors(&mut self.processors, processors);
        self.latency.add(latency);
        self.last_event_at = last_event_at.or(self.last_event_at);
        self.last_error = last_error.clone().or(self.last_error.take());
        self.iterator_age = Some(*iterator_age);
        self.updated_at = Some(*ended_at);
    }
}

/// Adds batches to the stats of streams.
#[async_trait::async_trait]
pub trait StatsWriter: Send + Sync {
    /// Adds a batch, in one write that is never repeated. A stream that is gone takes nothing.
    async fn add_batch(&self, stream: &IngestId, batch: &BatchStats) -> Result<(), StoreFault>;
}

/// Reads the stats of streams.
#[async_trait::async_trait]
pub trait StatsReader: Send + Sync {
    /// Loads a stream's stats. A stream that was made before there were any has none.
    async fn load_stats(&self, stream: &IngestId) -> Result<Option<Stats>, StoreFault>;
}

/// Adds a batch to a stream's stats when there is time, and waits no longer than [`STATS_TIME`] for it.
///
/// # Errors
/// It is not known to be added, and nobody should try again: counting twice is worse than not at all.
pub async fn add_in_time(
    writer: &dyn StatsWriter,
    system: &dyn System,
    deadline: Deadline,
    stream: &IngestId,
    batch: &BatchStats,
) -> Result<(), StoreFault> {
    if deadline.is_past(system.now()) {
        return Err(StoreFault::new("there was no time to write the stats"));
    }
    let written = within(system, STATS_TIME, writer.add_batch(stream, batch)).await;
    written.unwrap_or_else(|| Err(StoreFault::new(format!("the stats were not written within {STATS_TIME:?}"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakeStats, FakeSystem, StatsFault, block_on};
    use time::macros::datetime;

    const START: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    fn stream() -> IngestId {
        "is-00000000".parse().unwrap()
    }

    fn batch(events: usize) -> BatchStats {
        let mut batch = BatchStats::begun(START);
        for _ in 0..events {
            batch.count_event(10, START, START + Duration::from_secs(1));
        }
        batch.counters.forwarded = events as u64;
        batch.end(Some(START), START + Duration::from_secs(2));
        batch
    }

    fn add(stats: &FakeStats, milliseconds_left: u64, batch: &BatchStats) -> Result<(), StoreFault> {
        let system = FakeSystem::new();
        let deadline = Deadline::before_invocation_end(system.now() + Duration::from_millis(milliseconds_left));
        block_on(add_in_time(stats, &system, deadline, &stream(), batch))
    }

    #[test]
    fn batches_add_up_and_what_was_last_seen_stays() {
        let mut stats = Stats::begun(START);
        let mut bad = batch(1);
        bad.last_error = Some(LastError::new(START, &Reason { code: "undecodable".into(), detail: "x".repeat(1_000) }));
        stats.add(&bad);
        stats.add(&batch(2));
        let mut idle = BatchStats::begun(START);
        idle.end(None, START + Duration::from_secs(9));
        stats.add(&idle);
        assert_eq!((stats.counters.received, stats.counters.received_bytes, stats.counters.forwarded), (3, 30, 3));
        assert_eq!((stats.latency.total(), stats.last_event_at), (3, Some(START)));
        assert_eq!((stats.iterator_age, stats.updated_at), (Some(Duration::ZERO), Some(START + Duration::from_secs(9))));
        assert_eq!(stats.last_error.map(|error| (error.code, error.detail.len())), Some(("undecodable".to_owned(), MAX_DETAIL)));
    }

    #[test]
    fn an_event_from_the_future_has_taken_no_time() {
        let mut batch = BatchStats::begun(START);
        batch.count_event(1, START + Duration::from_secs(1), START);
        batch.end(Some(START + Duration::from_secs(1)), START);
        assert_eq!((batch.latency.quantile(1_000), batch.iterator_age), (Some(0), Duration::ZERO));
    }

    #[test]
    fn a_batch_is_added_once() {
        let stats = FakeStats::default();
        stats.begin(&stream(), START);
        add(&stats, 60_000, &batch(3)).unwrap();
        assert_eq!(stats.stored(&stream()).unwrap().counters.received, 3);
        assert_eq!(stats.writes(), 1);
    }

    #[test]
    fn a_stream_that_is_gone_takes_nothing() {
        let stats = FakeStats::default();
        add(&stats, 60_000, &batch(3)).unwrap();
        assert_eq!(stats.stored(&stream()), None);
    }

    #[test]
    fn a_store_that_hangs_or_fails_is_left_after_one_try() {
        for fault in [StatsFault::Hang, StatsFault::Fail] {
            let stats = FakeStats::with_script([fault]);
            stats.begin(&stream(), START);
            assert!(add(&stats, 60_000, &batch(3)).is_err(), "{fault:?}");
            assert_eq!((stats.writes(), stats.stored(&stream()).unwrap().counters.received), (1, 0), "{fault:?}");
        }
    }

    #[test]
    fn past_the_deadline_nothing_is_begun() {
        let stats = FakeStats::default();
        assert!(add(&stats, 1_999, &batch(3)).is_err());
        assert_eq!(stats.writes(), 0);
        add(&stats, 2_000, &batch(3)).unwrap();
    }
}
