//! One event: through the processors, and into the lines that go on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::value::RawValue;

use super::{EventTime, Processors, Route};
use crate::dead_letter::Reason;
use crate::ingest::check_timestamp;
use crate::json_text;
use crate::limits::MAX_RECORD_BYTES;
use crate::stats::ProcessorCounters;

/// The lines that an event became, or why it became none.
pub(super) type Transformed = Result<Vec<Vec<u8>>, Reason>;

/// Takes an event through the processors. A panic in one event is that event's dead letter.
pub(super) fn transform_guarded(
    data: &[u8],
    processors: Option<&dyn Processors>,
    route: &Route,
    counts: &mut [ProcessorCounters],
) -> Transformed {
    catch_unwind(AssertUnwindSafe(|| process(data, processors, route, counts)))
        .unwrap_or_else(|_| Err(Reason { code: "panic".to_owned(), detail: "processing the event panicked".to_owned() }))
}

/// What is left of an event after the processors, each a line.
fn process(data: &[u8], processors: Option<&dyn Processors>, route: &Route, counts: &mut [ProcessorCounters]) -> Transformed {
    let line = transform(data)?;
    let Some(processors) = processors else { return Ok(vec![line]) };
    let text = std::str::from_utf8(&line).unwrap_or_default().trim_end();
    let left = processors.run(text, counts)?;
    left.into_iter().map(|event| checked_line(event, route.timestamp.as_ref())).collect()
}

/// An event as the processors left it must still be one that sinks can take.
fn checked_line(event: String, timestamp: Option<&EventTime>) -> Result<Vec<u8>, Reason> {
    json_text::check(&event).map_err(|fault| Reason { code: "too_deep".to_owned(), detail: format!("after the processors: {fault}") })?;
    if let Some(EventTime { path, format }) = timestamp {
        let checked = check_timestamp(&event, path, *format);
        checked.map_err(|fault| Reason { code: "timestamp".to_owned(), detail: format!("after the processors: {fault}") })?;
    }
    fitting(format!("{event}\n").into_bytes())
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
    fitting(json_text::line(value.get()))
}

fn fitting(line: Vec<u8>) -> Result<Vec<u8>, Reason> {
    if line.len() > MAX_RECORD_BYTES - 256 {
        return Err(Reason { code: "too_large".to_owned(), detail: format!("{} bytes do not fit a Kinesis record", line.len()) });
    }
    Ok(line)
}
