//! One event: through the processors, and into the records that go on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::value::RawValue;

use super::passage::{Branch, Failure, Left, Passage};
use super::{EventTime, Processors, Route};
use crate::ingest::check_timestamp;
use crate::json_text;
use crate::limits::MAX_RECORD_BYTES;
use crate::stats::ProcessorCounters;

/// Room for the partition key of a record, in bytes
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecordsRequestEntry.html>).
const MAX_PARTITION_KEY_BYTES: usize = 256;

/// Takes an event through the processors. A panic in one event is that event's dead letter.
pub fn transform_guarded(
    data: &[u8],
    processors: Option<&dyn Processors>,
    route: &Route,
    counts: &mut [ProcessorCounters],
) -> Passage<Vec<u8>> {
    catch_unwind(AssertUnwindSafe(|| transform(data, processors, route, counts)))
        .unwrap_or_else(|_| Passage::straight(Err(Failure::new("panic", "processing the event panicked"))))
}

fn transform(data: &[u8], processors: Option<&dyn Processors>, route: &Route, counts: &mut [ProcessorCounters]) -> Passage<Vec<u8>> {
    let Some(processors) = processors else { return Passage::straight(line_of(data, route)) };
    let Passage { gates, branches } = processors.run(data, counts);
    let finish = |branch: Branch<Left>| Branch { gate: branch.gate, end: branch.end.and_then(|left| record_of(left, data, route)) };
    Passage { gates, branches: branches.into_iter().map(finish).collect() }
}

/// An event as the processors left it must still be one that sinks can take.
fn record_of(left: Left, data: &[u8], route: &Route) -> Result<Vec<u8>, Failure> {
    match left {
        Left::Unchanged => line_of(data, route),
        Left::Cbor(record) => fitting(record),
        Left::Json(event) => {
            let after = |fault: &dyn std::fmt::Display| format!("after the processors: {fault}");
            json_text::check(&event).map_err(|fault| Failure::new("too_deep", after(&fault)))?;
            if let Some(EventTime { path, format }) = &route.timestamp {
                check_timestamp(&event, path, *format).map_err(|fault| Failure::new("timestamp", after(&fault)))?;
            }
            let mut line = event.into_bytes();
            line.push(b'\n');
            fitting(line)
        }
    }
}

/// Reads an event of the raw stream: one JSON object, nested no deeper than sinks take.
///
/// # Errors
/// Why it is none.
pub fn json_event(data: &[u8]) -> Result<&str, Failure> {
    let undecodable = |detail: String| Failure::new("undecodable", detail);
    let text = std::str::from_utf8(data).map_err(|error| undecodable(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
    let value: &RawValue = serde_json::from_str(text).map_err(|error| undecodable(format!("not JSON: {error}")))?;
    if !value.get().starts_with('{') {
        return Err(undecodable("not a JSON object".to_owned()));
    }
    json_text::check(value.get()).map_err(|fault| undecodable(fault.to_string()))?;
    Ok(value.get())
}

/// One JSON object, compact, and a newline. Ingest has looked for its time, but not everything on a raw stream came through ingest.
fn line_of(data: &[u8], route: &Route) -> Result<Vec<u8>, Failure> {
    let event = json_event(data)?;
    if let Some(EventTime { path, format }) = &route.timestamp {
        check_timestamp(event, path, *format).map_err(|fault| Failure::new("timestamp", fault.to_string()))?;
    }
    fitting(json_text::line(event))
}

fn fitting(record: Vec<u8>) -> Result<Vec<u8>, Failure> {
    if record.len() > MAX_RECORD_BYTES - MAX_PARTITION_KEY_BYTES {
        return Err(Failure::new("too_large", format!("{} bytes do not fit a Kinesis record", record.len())));
    }
    Ok(record)
}
