//! From the raw to the processed stream: each event becomes one JSON object and a newline, or a dead letter.

mod chunk;
mod transform;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use time::OffsetDateTime;

use self::chunk::ChunkOutcome;
use self::transform::{Transformed, transform_guarded};
use crate::dead_letter::{DeadLetter, DeadLetters, LetterId, Reason};
use crate::field_path::FieldPath;
use crate::ids::{IngestId, Owner, StreamKey};
use crate::input::TimestampFormat;
use crate::limits::MAX_RECORDS_PER_PUT;
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
    /// Gives what is left of an event, JSON objects both: nothing when it was dropped, or several. Counts what each processor did.
    ///
    /// # Errors
    /// Which processor failed, and why.
    fn run(&self, event: &str, counts: &mut [ProcessorCounters]) -> Result<Vec<String>, Reason>;
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
}

/// A part of a batch that went through the processors.
struct Chunk<'c> {
    records: &'c [RawRecord<'c>],
    transformed: Vec<Transformed>,
}

/// How long records are taken through the processors before those that are done are handed on. Ours: a part of an invocation's minute.
const CHUNK_TIME: std::time::Duration = std::time::Duration::from_secs(5);

/// What `process_batch` works with.
pub struct Pipeline<'p> {
    /// What is done with every event; nothing when there is none.
    pub processors: Option<&'p dyn Processors>,
    /// Takes the processed events.
    pub publisher: &'p dyn EventPublisher,
    /// Takes what cannot be processed.
    pub dead_letters: &'p dyn DeadLetters,
    /// Clock, sleep, chance.
    pub system: &'p dyn System,
}

impl Pipeline<'_> {
    /// Processes a batch in order. A bad event becomes a dead letter and counts as done. The first transient fault ends the batch:
    /// records after it would only be done twice.
    pub async fn process_batch(&self, route: &Route, records: &[RawRecord<'_>], request_id: &str, deadline: Deadline) -> BatchReport {
        let mut report = BatchReport { read: records.len(), stats: BatchStats::begun(self.system.now()), resume_at: None };
        report.stats.processors = vec![ProcessorCounters::default(); route.processors.len().min(COUNTED_PROCESSORS)];
        let mut start = 0;
        while start < records.len() {
            if deadline.is_past(self.system.now()) {
                report.resume_at = Some(start);
                break;
            }
            let transformed = self.transform_some(route, &records[start..], &mut report.stats.processors);
            let chunk = &records[start..start + transformed.len()];
            if let Some(failed) =
                self.process_chunk(route, Chunk { records: chunk, transformed }, request_id, deadline, &mut report.stats).await
            {
                report.resume_at = Some(start + failed);
                break;
            }
            start += chunk.len();
        }
        let to_come_again = report.resume_at.map_or(0, |index| report.read - index);
        let counters = report.stats.counters;
        let done = counters.forwarded + counters.filtered + counters.dead_lettered;
        assert_eq!(report.read as u64, done + to_come_again as u64, "every record has one fate");
        report.stats.end(records.last().map(|newest| newest.arrived_at), self.system.now());
        report
    }

    /// Takes records through the processors until there is enough to be sent, or it has taken long enough: what is done is handed on before
    /// more is begun, so that every invocation gets somewhere. At least one.
    fn transform_some(&self, route: &Route, records: &[RawRecord<'_>], counts: &mut [ProcessorCounters]) -> Vec<Transformed> {
        let begun = self.system.now();
        let mut lines = 0;
        let mut transformed = Vec::new();
        for record in records.iter().take(MAX_RECORDS_PER_PUT) {
            let result = transform_guarded(record.data, self.processors, route, counts);
            lines += result.as_ref().map_or(0, Vec::len);
            transformed.push(result);
            if lines >= MAX_RECORDS_PER_PUT || self.system.now() - begun >= CHUNK_TIME {
                break;
            }
        }
        transformed
    }

    /// Returns the first record that must come again, if any.
    async fn process_chunk(
        &self,
        route: &Route,
        chunk: Chunk<'_>,
        request_id: &str,
        deadline: Deadline,
        stats: &mut BatchStats,
    ) -> Option<usize> {
        let Chunk { records: chunk, transformed } = chunk;
        let dead: Vec<(usize, DeadLetter)> = chunk
            .iter()
            .zip(&transformed)
            .enumerate()
            .filter_map(|(index, (record, result))| Some((index, self.dead_letter(route, record, result.as_ref().err()?, request_id))))
            .collect();
        let good: Vec<(usize, Record<'_>)> = chunk
            .iter()
            .zip(&transformed)
            .enumerate()
            .flat_map(|(index, (record, result))| {
                let lines = result.as_ref().map_or(&[][..], Vec::as_slice);
                lines.iter().map(move |line| (index, Record { data: line, partition_key: record.partition_key }))
            })
            .collect();

        let letters: Vec<DeadLetter> = dead.iter().map(|(_, letter)| letter.clone()).collect();
        let kept = if letters.is_empty() { Ok(()) } else { self.dead_letters.put(&route.dead_letter_stream, &letters, deadline).await };

        // What lies behind an unkept letter comes again anyway.
        let end = dead.first().filter(|_| kept.is_err()).map_or(chunk.len(), |(index, _)| *index);
        let sent: Vec<(usize, Record<'_>)> = good.into_iter().filter(|(index, _)| *index < end).collect();
        let records: Vec<Record<'_>> = sent.iter().map(|(_, record)| *record).collect();
        let results = put_in_order(self.publisher, self.system, deadline, &route.processed_stream, &records).await;
        let sizes = sent.iter().map(|(index, record)| (*index, record.data.len()));
        let outcome = ChunkOutcome {
            chunk,
            dead: dead.iter().map(|(index, letter)| (*index, &letter.reason)).collect(),
            filtered: transformed
                .iter()
                .enumerate()
                .filter(|(_, result)| result.as_ref().is_ok_and(Vec::is_empty))
                .map(|(index, _)| index)
                .collect(),
            unkept: kept.err(),
            sent: sizes.zip(results).map(|((index, size), result)| (index, size, result)).collect(),
        };
        outcome.count(stats, self.system.now());
        outcome.failed_at()
    }

    fn dead_letter(&self, route: &Route, record: &RawRecord<'_>, reason: &Reason, request_id: &str) -> DeadLetter {
        DeadLetter {
            id: LetterId::new(record.arrived_at, record.sequence_number),
            stream: route.stream.as_ref().map(StreamKey::to_string).unwrap_or_default(),
            source: "pipeline".to_owned(),
            reason: reason.clone(),
            path: None,
            first_time: record.arrived_at,
            time: self.system.now(),
            attempts: 1,
            request_id: request_id.to_owned(),
            content_type: "application/json".to_owned(),
            partition_key: record.partition_key.to_owned(),
            original_base64: BASE64_STANDARD.encode(record.data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakeDeadLetters, FakePublisher, FakeSystem, PutFault, block_on};
    use crate::stats::Counters;
    use proptest::prelude::*;
    use std::time::Duration;
    use time::macros::datetime;

    /// Three seconds before the fake clock's start.
    const ARRIVED: OffsetDateTime = datetime!(2025-12-31 23:59:57 UTC);

    /// Records read, forwarded and dead-lettered, and the first that must come again.
    fn fates(report: &BatchReport) -> (usize, u64, u64, Option<usize>) {
        (report.read, report.stats.counters.forwarded, report.stats.counters.dead_lettered, report.resume_at)
    }

    fn route() -> Route {
        Route {
            processed_stream: "processed".into(),
            dead_letter_stream: "dead".into(),
            stream: None,
            ingest_id: None,
            owner: None,
            processors: Vec::new(),
            timestamp: None,
        }
    }

    fn run(data: &[String], publisher: &FakePublisher, letters: &FakeDeadLetters, seconds_left: u64) -> BatchReport {
        let numbers: Vec<String> = (0..data.len()).map(|n| n.to_string()).collect();
        let records: Vec<RawRecord<'_>> = data
            .iter()
            .zip(&numbers)
            .map(|(data, number)| RawRecord { data: data.as_bytes(), partition_key: number, sequence_number: number, arrived_at: ARRIVED })
            .collect();
        let system = FakeSystem::new();
        let deadline = Deadline::before_invocation_end(system.now() + Duration::from_secs(seconds_left));
        let pipeline = Pipeline { processors: None, publisher, dead_letters: letters, system: &system };
        block_on(pipeline.process_batch(&route(), &records, "request-1", deadline))
    }

    fn texts(data: &[&str]) -> Vec<String> {
        data.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn each_event_becomes_one_line() {
        let publisher = FakePublisher::default();
        let report = run(&texts(&["{ \"a\" : 1.0 }", "{\n\"b\":\n2}"]), &publisher, &FakeDeadLetters::default(), 30);
        assert_eq!(fates(&report), (2, 2, 0, None));
        assert_eq!(publisher.calls(), [["{\"a\":1.0}\n", "{\"b\":2}\n"]]);
    }

    #[test]
    fn a_poison_record_becomes_a_dead_letter_and_blocks_nothing() {
        let publisher = FakePublisher::default();
        let letters = FakeDeadLetters::default();
        let report = run(&texts(&["{}", "not json", "[1]", "{\"b\":2}"]), &publisher, &letters, 30);
        assert_eq!(fates(&report), (4, 2, 2, None));
        let kept = letters.stored("dead");
        assert_eq!(kept[0].id.to_string(), "dl-1767225597000-1");
        assert_eq!(kept[0].original_base64, "bm90IGpzb24=");
        assert_eq!(kept[0].reason.code, "undecodable");
        assert_eq!(kept[1].reason.detail, "not a JSON object");
        assert_eq!(kept[1].request_id, "request-1");
    }

    #[test]
    fn a_transient_fault_reports_the_first_record_that_must_come_again() {
        let publisher = FakePublisher::with_script(vec![
            PutFault::PartialFailure(vec![1]),
            PutFault::Throttle,
            PutFault::Throttle,
            PutFault::Throttle,
            PutFault::Throttle,
        ]);
        let report = run(&texts(&["{}", "{\"b\":1}", "{\"c\":1}"]), &publisher, &FakeDeadLetters::default(), 30);
        assert_eq!(fates(&report), (3, 1, 0, Some(1)));
    }

    #[test]
    fn a_dead_letter_that_cannot_be_kept_comes_again() {
        let letters = FakeDeadLetters::failing(1);
        let publisher = FakePublisher::default();
        let report = run(&texts(&["{}", "bad", "{\"c\":1}"]), &publisher, &letters, 30);
        assert_eq!(fates(&report), (3, 1, 0, Some(1)));
        assert_eq!(publisher.calls(), [["{}\n"]], "what comes again is not sent twice");
    }

    #[test]
    fn a_batch_stops_before_its_time_is_up() {
        let publisher = FakePublisher::default();
        let report = run(&texts(&["{}"]), &publisher, &FakeDeadLetters::default(), 1);
        assert_eq!(fates(&report), (1, 0, 0, Some(0)));
        assert!(publisher.calls().is_empty());
    }

    #[test]
    fn what_is_done_is_counted_once_and_what_was_written_as_often_as_it_was() {
        let letters = FakeDeadLetters::default();
        let publisher = FakePublisher::with_script(vec![
            PutFault::PartialFailure(vec![1]),
            PutFault::Throttle,
            PutFault::Throttle,
            PutFault::Throttle,
            PutFault::Throttle,
        ]);
        let data = texts(&["{ \"a\": 1 }", "bad", "{\"b\":1}", "{\"c\":1}", "worse"]);
        let first = run(&data, &publisher, &letters, 30);
        assert_eq!((fates(&first), first.stats.latency.total()), ((5, 1, 1, Some(2)), 2));
        let counters = first.stats.counters;
        assert_eq!((counters.received, counters.received_bytes), (2, 13), "the other three come again");
        assert_eq!((counters.sent, counters.sent_bytes, counters.letters_sent), (2, 16, 2), "c and the second letter will be there twice");
        let error = first.stats.last_error.unwrap();
        assert_eq!(
            (error.code.as_str(), error.detail.as_str()),
            ("throttled", "the processed stream is at its limit; the rest of the batch comes again")
        );

        let second = run(&data[2..], &publisher, &letters, 30);
        assert_eq!(fates(&second), (3, 2, 1, None));
        assert_eq!(counters.received + second.stats.counters.received, 5);
        assert_eq!(second.stats.last_error.map(|error| error.code), Some("undecodable".to_owned()));
    }

    #[test]
    fn latency_is_taken_from_arrival_and_the_age_from_the_newest_record() {
        let report = run(&texts(&["{}", "bad"]), &FakePublisher::default(), &FakeDeadLetters::default(), 30);
        assert_eq!(report.stats.latency.buckets().map(|(_, count)| count).collect::<Vec<_>>(), [2]);
        let p50 = report.stats.latency.quantile(500).unwrap();
        assert!(p50.abs_diff(3_000) <= 375, "{p50}");
        assert_eq!((report.stats.iterator_age, report.stats.last_event_at), (Duration::from_secs(3), Some(ARRIVED)));
    }

    #[test]
    fn a_dead_letter_that_is_not_kept_is_the_last_error() {
        let report = run(&texts(&["{}", "bad"]), &FakePublisher::default(), &FakeDeadLetters::failing(1), 30);
        assert_eq!((report.stats.counters.letters_sent, report.stats.counters.received), (0, 1));
        let detail = report.stats.last_error.unwrap().detail;
        assert_eq!(detail, "the delivery stream for dead letters did not take a record; the rest of the batch comes again");
    }

    proptest! {
        /// Redelivering from `resume_at` until the batch is done loses nothing, whatever fails on the way.
        #[test]
        fn nothing_is_lost_under_any_faults(
            kinds in prop::collection::vec(any::<bool>(), 1..700),
            script in prop::collection::vec(PutFault::any(), 0..20),
            letter_faults in 0_usize..4,
        ) {
            let data: Vec<String> = kinds.iter().enumerate().map(|(n, good)| if *good { format!("{{\"n\":{n}}}") } else { format!("bad-{n}") }).collect();
            let publisher = FakePublisher::with_script(script);
            let letters = FakeDeadLetters::failing(letter_faults);
            let mut from = 0;
            let mut counted = Counters::default();
            for _ in 0..100 {
                let report = run(&data[from..], &publisher, &letters, 30);
                counted.add(&report.stats.counters);
                match report.resume_at {
                    Some(index) => from += index,
                    None => { from = data.len(); break }
                }
            }
            prop_assert_eq!(from, data.len(), "the batch ends once the faults do");
            let good = kinds.iter().filter(|good| **good).count() as u64;
            prop_assert_eq!((counted.received, counted.forwarded, counted.dead_lettered), (data.len() as u64, good, data.len() as u64 - good));
            prop_assert!(counted.sent >= good && counted.sent <= publisher.stored("processed").len() as u64);
            prop_assert_eq!(counted.letters_sent, letters.stored("dead").len() as u64);
            let forwarded: std::collections::HashSet<String> = publisher.stored("processed").into_iter().map(|(data, _)| data).collect();
            let kept: std::collections::HashSet<String> = letters.stored("dead").into_iter().map(|letter| letter.original_base64).collect();
            for (text, good) in data.iter().zip(&kinds) {
                let is_safe = if *good { forwarded.contains(&format!("{text}\n")) } else { kept.contains(&BASE64_STANDARD.encode(text)) };
                prop_assert!(is_safe, "lost {}", text);
            }
        }
    }
}
