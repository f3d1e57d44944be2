//! What an operator sees: JSON log lines, and one line per invocation that CloudWatch also reads as metrics (EMF).
//!
//! Promises: one JSON object a line on standard output; never an event body, a token or a secret, since nothing here takes one.
//!
//! Leaves to others: deciding what is worth saying.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use time::OffsetDateTime;

/// The namespace of every metric.
const NAMESPACE: &str = "Millrace";

/// Starts JSON logging. `RUST_LOG` sets the level, `info` by default.
pub fn start() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // A second start, as in tests, changes nothing.
    let _ =
        tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false).with_env_filter(filter).with_ansi(false).try_init();
}

/// The unit of a metric, in CloudWatch's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// A size.
    Bytes,
    /// A duration.
    Milliseconds,
}

impl Unit {
    fn as_str(self) -> &'static str {
        match self {
            Unit::Count => "Count",
            Unit::Bytes => "Bytes",
            Unit::Milliseconds => "Milliseconds",
        }
    }
}

/// The one line of an invocation: fields to search and metrics to graph.
///
/// Metrics have one dimension, the function; a stream's id is a field, so that many streams do not become many metrics.
#[derive(Debug, Clone)]
pub struct InvocationLine {
    fields: Vec<(&'static str, Value)>,
    metrics: Vec<Metric>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: &'static str,
    unit: &'static str,
}

/// What makes a line one of metrics.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'m> {
    timestamp: i64,
    cloud_watch_metrics: [Directive<'m>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'m> {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: &'m [Metric],
}

impl InvocationLine {
    /// Starts a function's line. The first one of a process says `cold_start`.
    pub fn new(function: &'static str) -> Self {
        static WARM: AtomicBool = AtomicBool::new(false);
        let is_cold = !WARM.swap(true, Ordering::Relaxed);
        Self { fields: vec![("function", function.into()), ("cold_start", is_cold.into())], metrics: Vec::new() }
    }

    /// Adds a field, named with dots, such as `stream.id`. Each name once.
    pub fn field(&mut self, name: &'static str, value: impl Into<Value>) -> &mut Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Adds a metric.
    pub fn metric(&mut self, name: &'static str, unit: Unit, value: impl Into<Value>) -> &mut Self {
        self.metrics.push(Metric { name, unit: unit.as_str() });
        self.field(name, value)
    }

    /// Gives the line as CloudWatch's embedded metric format
    /// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
    ///
    /// # Errors
    /// Never: every value is JSON.
    pub fn to_json(&self, now: OffsetDateTime) -> serde_json::Result<Vec<u8>> {
        let timestamp = i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        let directive = Directive { namespace: NAMESPACE, dimensions: [["function"]], metrics: &self.metrics };
        let mut text = Vec::with_capacity(1_500);
        let mut serializer = serde_json::Serializer::new(&mut text);
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("_aws", &Metadata { timestamp, cloud_watch_metrics: [directive] })?;
        for (name, value) in &self.fields {
            line.serialize_entry(name, value)?;
        }
        line.end()?;
        Ok(text)
    }

    /// Writes the line.
    pub fn emit(&self, now: OffsetDateTime) {
        let Ok(mut text) = self.to_json(now) else { return };
        text.push(b'\n');
        // A log that cannot be written must not fail the request.
        let _ = std::io::stdout().lock().write_all(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    #[test]
    fn a_line_is_log_and_metric_at_once() {
        let mut line = InvocationLine::new("ingest-events");
        line.field("stream.id", "refuse-trucks").metric("events.accepted", Unit::Count, 3);
        let shown =
            |line: &InvocationLine| serde_json::from_slice::<Value>(&line.to_json(datetime!(2026-01-01 00:00 UTC)).unwrap()).unwrap();
        let json = shown(&line);
        assert_eq!(json["stream.id"], "refuse-trucks");
        assert_eq!(json["events.accepted"], 3);
        assert_eq!(json["_aws"]["Timestamp"], 1_767_225_600_000_i64);
        assert_eq!(json["_aws"]["CloudWatchMetrics"][0]["Metrics"], json!([{"Name": "events.accepted", "Unit": "Count"}]));
        assert_eq!(shown(&InvocationLine::new("x"))["cold_start"], false);
    }
}
