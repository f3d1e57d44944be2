//! From the raw to the processed stream: what is left of each event behind the processors goes on, or the event becomes a dead letter.

mod chunk;
mod gate;
mod passage;
mod transform;

use std::collections::VecDeque;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use time::OffsetDateTime;

pub use self::gate::{Fate, Gate, Gatekeeper, KeyStore, Question, fates_alone};
pub use self::passage::{Branch, Failure, Left, Passage};
pub use self::transform::{json_event, transform_guarded};

use self::chunk::ChunkOutcome;
use self::gate::SeenInBatch;
use crate::dead_letter::{DeadLetter, DeadLetters, LetterId};
use crate::field_path::FieldPath;
use crate::ids::{IngestId, Owner, StreamKey};
use crate::input::{Format, JsonPath, TimestampFormat};
use crate::limits::{MAX_BYTES_PER_PUT, MAX_RECORDS_PER_PUT};
use crate::pipeline::Processor;
use crate::publish::{Deadline, EventPublisher, Record, put_in_order};
use crate::stats::{BatchStats, COUNTED_PROCESSORS, ProcessorCounters};
use crate::system::System;

/// One record of the raw stream.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord<'a> {
    /// The event's own bytes.
    pub data: &'a [u8],
    /// Kept on the processed stream, and with it the order.
    pub partition_key: &'a str,
    /// Names the record within its stream; makes its dead letter's id.
    pub sequence_number: &'a str,
    /// When it arrived on the raw stream, about.
    pub arrived_at: OffsetDateTime,
}

/// Where a stream's records go.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Route {
    /// The processed Kinesis stream.
    pub processed_stream: String,
    /// The delivery stream for dead letters.
    pub dead_letter_stream: String,
    /// The stream that they belong to. Streams from before letters said so have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamKey>,
    /// Under which the stream's stats are kept. Streams from before there were stats have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest_id: Option<IngestId>,
    /// Whose the stream is, and with it the resources that its processors name. Streams from before there were any name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// What the events are.
    #[serde(default)]
    pub format: Format,
    /// What names an event where `dedupe` does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<JsonPath>,
    /// What is done with every event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processors: Vec<Processor>,
    /// Where an event's own time stands, by which sinks partition: the processors must leave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<EventTime>,
}

/// Where an event's own time stands, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EventTime {
    /// Where.
    pub path: FieldPath,
    /// How.
    pub format: TimestampFormat,
}

/// Runs the processors of a stream, in their order.
pub trait Processors: Send + Sync {
    /// Takes an event of the raw stream as far as it goes without asking the world outside. Counts what each processor did.
    fn run(&self, event: &[u8], counts: &mut [ProcessorCounters]) -> Passage<Left>;
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchReport {
    /// Records in the batch.
    pub read: usize,
    /// What the records that are done add to the stream's stats.
    pub stats: BatchStats,
    /// The first record that must come again, if any; all after it come again too.
    pub resume_at: Option<usize>,
    /// Keys that could not be remembered: events that have them will not be known as duplicates.
    pub keys_forgotten: usize,
}

/// How long records are taken through the processors before those that are done are handed on. Ours: a part of an invocation's minute.
const CHUNK_TIME: std::time::Duration = std::time::Duration::from_secs(5);

/// What `process_batch` works with.
pub struct Pipeline<'p> {
    /// What is done with every event; nothing when there is none.
    pub processors: Option<&'p dyn Processors>,
    /// Answers what processors ask.
    pub gatekeeper: Gatekeeper<'p>,
    /// Takes the processed events.
    pub publisher: &'p dyn EventPublisher,
    /// Takes what cannot be processed.
    pub dead_letters: &'p dyn DeadLetters,
    /// Clock, sleep, chance.
    pub system: &'p dyn System,
}

/// A batch on its way.
struct Progress<'b> {
    route: &'b Route,
    request_id: &'b str,
    deadline: Deadline,
    report: BatchReport,
    seen: SeenInBatch,
    /// The next events, behind the processors.
    passages: VecDeque<Passage<Vec<u8>>>,
}

impl Pipeline<'_> {
    /// Processes a batch in order. A bad event becomes a dead letter and counts as done. The first transient fault ends the batch:
    /// records after it would only be done twice.
    pub async fn process_batch(&self, route: &Route, records: &[RawRecord<'_>], request_id: &str, deadline: Deadline) -> BatchReport {
        let mut stats = BatchStats::begun(self.system.now());
        stats.processors = vec![ProcessorCounters::default(); route.processors.len().min(COUNTED_PROCESSORS)];
        let report = BatchReport { read: records.len(), stats, resume_at: None, keys_forgotten: 0 };
        let mut progress = Progress { route, request_id, deadline, report, seen: SeenInBatch::new(), passages: VecDeque::new() };
        let mut start = 0;
        while start < records.len() && progress.report.resume_at.is_none() {
            if deadline.is_past(self.system.now()) {
                progress.report.resume_at = Some(start);
                break;
            }
            if progress.passages.is_empty() {
                self.transform_some(&mut progress, &records[start..]);
            }
            let chunk = &records[start..start + progress.passages.len()];
            let (done, failed_at) = self.process_chunk(&mut progress, chunk).await;
            progress.report.resume_at = failed_at.map(|failed| start + failed);
            start += done;
        }
        let mut report = progress.report;
        report.stats.end(records.last().map(|newest| newest.arrived_at), self.system.now());
        report.check();
        report
    }

    /// Takes records through the processors until there is enough to be sent, or it has taken long enough: what is done is handed on before
    /// more is begun, so that every invocation gets somewhere. At least one.
    fn transform_some(&self, progress: &mut Progress<'_>, records: &[RawRecord<'_>]) {
        let begun = self.system.now();
        let (mut left, mut bytes) = (0, 0);
        for record in records.iter().take(MAX_RECORDS_PER_PUT) {
            let passage = transform_guarded(record.data, self.processors, progress.route, &mut progress.report.stats.processors);
            let (records_left, bytes_left) = passage.left();
            (left, bytes) = (left + records_left, bytes + bytes_left);
            progress.passages.push_back(passage);
            if left >= MAX_RECORDS_PER_PUT || bytes >= MAX_BYTES_PER_PUT || self.system.now() - begun >= CHUNK_TIME {
                break;
            }
        }
    }

    /// Returns how many records it took up, and the first of them that must come again, if any.
    async fn process_chunk(&self, progress: &mut Progress<'_>, chunk: &[RawRecord<'_>]) -> (usize, Option<usize>) {
        let (route, deadline) = (progress.route, progress.deadline);
        let counts = &mut progress.report.stats.processors;
        let settled = self.gatekeeper.settle(&mut progress.passages, &mut progress.seen, counts, (self.system, deadline)).await;
        let fates = settled.fates;
        let chunk = if settled.stopped.is_some() { chunk } else { &chunk[..fates.len()] };

        let (places, letters): (Vec<usize>, Vec<DeadLetter>) = chunk
            .iter()
            .zip(&fates)
            .enumerate()
            .filter_map(|(index, (record, fate))| match fate {
                Fate::Dead(failure) => Some((index, self.dead_letter(route, record, failure, progress.request_id))),
                _ => None,
            })
            .unzip();
        let kept = if letters.is_empty() { Ok(()) } else { self.dead_letters.put(&route.dead_letter_stream, &letters, deadline).await };

        // What lies behind an unkept letter comes again anyway.
        let end = places.first().filter(|_| kept.is_err()).map_or(fates.len(), |index| *index);
        let mut good: Vec<(usize, Record<'_>)> = Vec::with_capacity(end);
        for (index, (record, fate)) in chunk.iter().zip(&fates).enumerate().take(end) {
            let Fate::Forwarded(lines, _) = fate else { continue };
            good.extend(lines.iter().map(|data| (index, Record { data, partition_key: record.partition_key })));
        }
        let results = put_in_order(self.publisher, self.system, deadline, &route.processed_stream, &good).await;
        let sizes = good.iter().map(|(index, record)| (*index, record.data.len()));
        let sent = sizes.zip(results).map(|((index, size), result)| (index, size, result)).collect();
        let outcome = ChunkOutcome { chunk, fates: &fates, stopped: settled.stopped, unkept: kept.err(), sent };

        let marks = outcome.marks();
        if self.gatekeeper.remember(&marks, (self.system, deadline)).await.is_err() {
            progress.report.keys_forgotten += marks.len();
        }
        outcome.count(&mut progress.report.stats, self.system.now());
        (chunk.len(), outcome.failed_at())
    }

    fn dead_letter(&self, route: &Route, record: &RawRecord<'_>, failure: &Failure, request_id: &str) -> DeadLetter {
        DeadLetter {
            id: LetterId::new(record.arrived_at, record.sequence_number),
            stream: route.stream.as_ref().map(StreamKey::to_string).unwrap_or_default(),
            source: "pipeline".to_owned(),
            reason: failure.reason.clone(),
            path: failure.path.clone(),
            first_time: record.arrived_at,
            time: self.system.now(),
            attempts: 1,
            request_id: request_id.to_owned(),
            content_type: route.format.content_type().to_owned(),
            partition_key: record.partition_key.to_owned(),
            original_base64: BASE64_STANDARD.encode(record.data),
        }
    }
}

impl BatchReport {
    /// Every record has one fate.
    fn check(&self) {
        let counters = self.stats.counters;
        let done = counters.forwarded + counters.filtered + counters.deduplicated + counters.dead_lettered;
        let to_come_again = self.resume_at.map_or(0, |index| self.read - index);
        assert_eq!(self.read as u64, done + to_come_again as u64, "every record has one fate");
    }
}

#[cfg(test)]
mod gate_tests;
#[cfg(test)]
mod tests;
