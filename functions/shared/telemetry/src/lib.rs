//! What an operator sees: JSON log lines, and one line per invocation that CloudWatch also reads as metrics (EMF).
//!
//! Promises: one JSON object a line on standard output; never an event body, a token or a secret, since nothing here takes one.
//!
//! Leaves to others: deciding what is worth saying.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};
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
    fields: Map<String, Value>,
    metrics: Vec<(&'static str, Unit)>,
}

impl InvocationLine {
    /// Starts a function's line. The first one of a process says `cold_start`.
    pub fn new(function: &str) -> Self {
        static WARM: AtomicBool = AtomicBool::new(false);
        let mut fields = Map::new();
        fields.insert("function".to_owned(), json!(function));
        fields.insert("cold_start".to_owned(), json!(!WARM.swap(true, Ordering::Relaxed)));
        Self { fields, metrics: Vec::new() }
    }

    /// Adds a field, named with dots, such as `stream.id`.
    pub fn field(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a metric.
    pub fn metric(&mut self, name: &'static str, unit: Unit, value: impl Into<Value>) -> &mut Self {
        self.metrics.push((name, unit));
        self.field(name, value)
    }

    /// Gives the line as CloudWatch's embedded metric format
    /// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
    pub fn to_json(&self, now: OffsetDateTime) -> Value {
        let metrics: Vec<Value> = self.metrics.iter().map(|(name, unit)| json!({"Name": name, "Unit": unit.as_str()})).collect();
        let milliseconds = i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        let mut line = self.fields.clone();
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": [["function"]], "Metrics": metrics});
        line.insert("_aws".to_owned(), json!({"Timestamp": milliseconds, "CloudWatchMetrics": [directive]}));
        Value::Object(line)
    }

    /// Writes the line.
    pub fn emit(&self, now: OffsetDateTime) {
        let mut text = self.to_json(now).to_string();
        text.push('\n');
        // A log that cannot be written must not fail the request.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_line_is_log_and_metric_at_once() {
        let mut line = InvocationLine::new("ingest-events");
        line.field("stream.id", "refuse-trucks").metric("events.accepted", Unit::Count, 3);
        let json = line.to_json(datetime!(2026-01-01 00:00 UTC));
        assert_eq!(json["stream.id"], "refuse-trucks");
        assert_eq!(json["events.accepted"], 3);
        assert_eq!(json["_aws"]["Timestamp"], 1_767_225_600_000_i64);
        assert_eq!(json["_aws"]["CloudWatchMetrics"][0]["Metrics"], json!([{"Name": "events.accepted", "Unit": "Count"}]));
        assert_eq!(InvocationLine::new("x").to_json(datetime!(2026-01-01 00:00 UTC))["cold_start"], false);
    }
}
