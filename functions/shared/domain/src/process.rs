//! From the raw to the processed stream: each event becomes one JSON object and a newline, or a dead letter.

use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::value::RawValue;

use crate::dead_letter::{DeadLetter, DeadLetters, Reason};
use crate::json_text;
use crate::limits::{MAX_RECORD_BYTES, MAX_RECORDS_PER_PUT};
use crate::publish::{Deadline, EventPublisher, Record, put_in_order};
use crate::record::rfc3339_text;
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
}

/// Where a stream's records go.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Route {
    /// The processed Kinesis stream.
    pub processed_stream: String,
    /// The delivery stream for dead letters.
    pub dead_letter_stream: String,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchReport {
    /// Records in the batch.
    pub read: usize,
    /// Records put on the processed stream.
    pub forwarded: usize,
    /// Records that became dead letters.
    pub dead_lettered: usize,
    /// The first record that must come again, if any; all after it come again too.
    pub resume_at: Option<usize>,
}

/// What `process_batch` works with.
pub struct Pipeline<'p> {
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
        let mut report = BatchReport { read: records.len(), ..BatchReport::default() };
        for (nth, chunk) in records.chunks(MAX_RECORDS_PER_PUT).enumerate() {
            let start = nth * MAX_RECORDS_PER_PUT;
            if deadline.is_past(self.system.now()) {
                report.resume_at = Some(start);
                break;
            }
            if let Some(failed) = self.process_chunk(route, chunk, request_id, deadline, &mut report).await {
                report.resume_at = Some(start + failed);
                break;
            }
        }
        let to_come_again = report.resume_at.map_or(0, |index| report.read - index);
        assert_eq!(report.read, report.forwarded + report.dead_lettered + to_come_again, "every record has one fate");
        report
    }

    /// Returns the first record that must come again, if any.
    async fn process_chunk(
        &self,
        route: &Route,
        chunk: &[RawRecord<'_>],
        request_id: &str,
        deadline: Deadline,
        report: &mut BatchReport,
    ) -> Option<usize> {
        let transformed: Vec<Result<Vec<u8>, Reason>> = chunk.iter().map(|record| transform_guarded(record.data)).collect();
        let dead: Vec<(usize, DeadLetter)> = chunk
            .iter()
            .zip(&transformed)
            .enumerate()
            .filter_map(|(index, (record, result))| Some((index, self.dead_letter(record, result.as_ref().err()?, request_id))))
            .collect();
        let good: Vec<(usize, Record<'_>)> = chunk
            .iter()
            .zip(&transformed)
            .enumerate()
            .filter_map(|(index, (record, result))| {
                Some((index, Record { data: result.as_ref().ok()?, partition_key: record.partition_key }))
            })
            .collect();

        let letters: Vec<DeadLetter> = dead.iter().map(|(_, letter)| letter.clone()).collect();
        let letters_kept = letters.is_empty() || self.dead_letters.put(&route.dead_letter_stream, &letters, deadline).await.is_ok();
        let first_unkept = if letters_kept { None } else { dead.first().map(|(index, _)| *index) };

        // What lies behind an unkept letter comes again anyway.
        let end = first_unkept.unwrap_or(chunk.len());
        let sent: Vec<(usize, Record<'_>)> = good.into_iter().filter(|(index, _)| *index < end).collect();
        let records: Vec<Record<'_>> = sent.iter().map(|(_, record)| *record).collect();
        let results = put_in_order(self.publisher, self.system, deadline, &route.processed_stream, &records).await;
        let first_unsent = sent.iter().zip(&results).find(|(_, result)| result.is_err()).map(|((index, _), _)| *index);

        let failed = first_unsent.or(first_unkept);
        let done = failed.unwrap_or(chunk.len());
        report.forwarded += sent.iter().filter(|(index, _)| *index < done).count();
        report.dead_lettered += dead.iter().filter(|(index, _)| *index < done).count();
        failed
    }

    fn dead_letter(&self, record: &RawRecord<'_>, reason: &Reason, request_id: &str) -> DeadLetter {
        DeadLetter {
            id: format!("dl-{}", record.sequence_number),
            source: "pipeline".to_owned(),
            reason: reason.clone(),
            time: rfc3339_text(self.system.now()),
            attempts: 1,
            request_id: request_id.to_owned(),
            content_type: "application/json".to_owned(),
            original_base64: BASE64_STANDARD.encode(record.data),
        }
    }
}

/// A panic in one event is that event's dead letter.
fn transform_guarded(data: &[u8]) -> Result<Vec<u8>, Reason> {
    catch_unwind(AssertUnwindSafe(|| transform(data)))
        .unwrap_or_else(|_| Err(Reason { code: "panic".to_owned(), detail: "processing the event panicked".to_owned() }))
}

/// One JSON object, compact, and a newline.
fn transform(data: &[u8]) -> Result<Vec<u8>, Reason> {
    let undecodable = |detail: String| Reason { code: "undecodable".to_owned(), detail };
    let text = std::str::from_utf8(data).map_err(|error| undecodable(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
    let value: &RawValue = serde_json::from_str(text).map_err(|error| undecodable(format!("not JSON: {error}")))?;
    if !value.get().starts_with('{') {
        return Err(undecodable("not a JSON object".to_owned()));
    }
    json_text::check(value.get()).map_err(|fault| undecodable(fault.to_string()))?;
    let mut line = Vec::new();
    json_text::compact_into(value.get(), &mut line);
    line.push(b'\n');
    if line.len() > MAX_RECORD_BYTES - 256 {
        return Err(Reason { code: "too_large".to_owned(), detail: format!("{} bytes do not fit a Kinesis record", line.len()) });
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakeDeadLetters, FakePublisher, FakeSystem, PutFault, block_on};
    use proptest::prelude::*;
    use std::time::Duration;

    fn route() -> Route {
        Route { processed_stream: "processed".into(), dead_letter_stream: "dead".into() }
    }

    fn run(data: &[String], publisher: &FakePublisher, letters: &FakeDeadLetters, seconds_left: u64) -> BatchReport {
        let numbers: Vec<String> = (0..data.len()).map(|n| n.to_string()).collect();
        let records: Vec<RawRecord<'_>> = data
            .iter()
            .zip(&numbers)
            .map(|(data, number)| RawRecord { data: data.as_bytes(), partition_key: number, sequence_number: number })
            .collect();
        let system = FakeSystem::new();
        let deadline = Deadline::before_invocation_end(system.now() + Duration::from_secs(seconds_left));
        let pipeline = Pipeline { publisher, dead_letters: letters, system: &system };
        block_on(pipeline.process_batch(&route(), &records, "request-1", deadline))
    }

    fn texts(data: &[&str]) -> Vec<String> {
        data.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn each_event_becomes_one_line() {
        let publisher = FakePublisher::default();
        let report = run(&texts(&["{ \"a\" : 1.0 }", "{\n\"b\":\n2}"]), &publisher, &FakeDeadLetters::default(), 30);
        assert_eq!(report, BatchReport { read: 2, forwarded: 2, dead_lettered: 0, resume_at: None });
        assert_eq!(publisher.calls(), [["{\"a\":1.0}\n", "{\"b\":2}\n"]]);
    }

    #[test]
    fn a_poison_record_becomes_a_dead_letter_and_blocks_nothing() {
        let publisher = FakePublisher::default();
        let letters = FakeDeadLetters::default();
        let report = run(&texts(&["{}", "not json", "[1]", "{\"b\":2}"]), &publisher, &letters, 30);
        assert_eq!(report, BatchReport { read: 4, forwarded: 2, dead_lettered: 2, resume_at: None });
        let kept = letters.stored("dead");
        assert_eq!(kept[0].id, "dl-1");
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
        assert_eq!(report, BatchReport { read: 3, forwarded: 1, dead_lettered: 0, resume_at: Some(1) });
    }

    #[test]
    fn a_dead_letter_that_cannot_be_kept_comes_again() {
        let letters = FakeDeadLetters::failing(1);
        let publisher = FakePublisher::default();
        let report = run(&texts(&["{}", "bad", "{\"c\":1}"]), &publisher, &letters, 30);
        assert_eq!(report, BatchReport { read: 3, forwarded: 1, dead_lettered: 0, resume_at: Some(1) });
        assert_eq!(publisher.calls(), [["{}\n"]], "what comes again is not sent twice");
    }

    #[test]
    fn a_batch_stops_before_its_time_is_up() {
        let publisher = FakePublisher::default();
        let report = run(&texts(&["{}"]), &publisher, &FakeDeadLetters::default(), 1);
        assert_eq!(report, BatchReport { read: 1, forwarded: 0, dead_lettered: 0, resume_at: Some(0) });
        assert!(publisher.calls().is_empty());
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
            for _ in 0..100 {
                match run(&data[from..], &publisher, &letters, 30).resume_at {
                    Some(index) => from += index,
                    None => { from = data.len(); break }
                }
            }
            prop_assert_eq!(from, data.len(), "the batch ends once the faults do");
            let forwarded: std::collections::HashSet<String> = publisher.stored("processed").into_iter().map(|(data, _)| data).collect();
            let kept: std::collections::HashSet<String> = letters.stored("dead").into_iter().map(|letter| letter.original_base64).collect();
            for (text, good) in data.iter().zip(&kinds) {
                let is_safe = if *good { forwarded.contains(&format!("{text}\n")) } else { kept.contains(&BASE64_STANDARD.encode(text)) };
                prop_assert!(is_safe, "lost {}", text);
            }
        }
    }
}
