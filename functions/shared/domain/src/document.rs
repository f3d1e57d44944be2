//! The stream document: what a user declares. Every field has a default, so `{}` is a valid stream.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::field_path::FieldPath;
use crate::limits::{DEFAULT_MAX_EVENT_BYTES, MAX_EVENT_BYTES};
use crate::names::partition_query;

/// A stream document as it was posted, and what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// As posted, without defaults.
    pub posted: serde_json::Value,
    /// What it means, with defaults.
    pub document: StreamDocument,
}

/// What is done about lint errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leniency {
    /// They are errors.
    Strict,
    /// They pass, except for those that make the stream impossible (`?chilled=true`).
    Chilled,
}

impl Declaration {
    /// Reads a document from text; an empty text is `{}`.
    ///
    /// # Errors
    /// Every fault found, each as `(line,column) what is wrong` or `field: what was expected and got`.
    pub fn parse(text: &str, _leniency: Leniency) -> Result<Self, Vec<String>> {
        let document = StreamDocument::parse(text)?;
        let posted = serde_json::from_str(text).unwrap_or_else(|_| serde_json::json!({}));
        Ok(Self { posted, document })
    }
}

/// A stream as declared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamDocument {
    /// For people; shown in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For people: what the events are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Free labels: tags on the stream's stacks, shown back.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Who may see the data; becomes the confidentiality in every resource name.
    pub access_rights: AccessRights,
    /// What may be sent.
    pub input: Input,
    /// The Kinesis streams between the parts.
    pub buffer: Buffer,
}

/// Who may see a stream's data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccessRights {
    /// Everybody: `green`.
    Public,
    /// A known group: `yellow`.
    Restricted,
    /// Nobody but its owner: `red`.
    #[default]
    NonPublic,
}

impl AccessRights {
    /// The confidentiality that names carry.
    pub fn confidentiality(self) -> Confidentiality {
        match self {
            AccessRights::Public => Confidentiality::Green,
            AccessRights::Restricted => Confidentiality::Yellow,
            AccessRights::NonPublic => Confidentiality::Red,
        }
    }
}

/// The colour of a stream's data, as it stands in resource names and S3 prefixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Confidentiality {
    /// Public data.
    Green,
    /// Restricted data.
    Yellow,
    /// Non-public data.
    Red,
}

impl Confidentiality {
    /// The colour as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Confidentiality::Green => "green",
            Confidentiality::Yellow => "yellow",
            Confidentiality::Red => "red",
        }
    }
}

/// What may be sent to a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Input {
    /// Where the event time stands, such as `$.time`. Without it the event time is the arrival.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "$.time")]
    pub timestamp: Option<FieldPath>,
    /// How the event time is written.
    pub timestamp_format: TimestampFormat,
    /// The largest event, in bytes: 260,096 (254 KiB) by default, at most 716,800 (700 KiB).
    #[schema(minimum = 1, maximum = 716_800)]
    pub max_event_bytes: u32,
}

impl Default for Input {
    fn default() -> Self {
        Self { timestamp: None, timestamp_format: TimestampFormat::default(), max_event_bytes: DEFAULT_MAX_EVENT_BYTES }
    }
}

/// How an event writes its time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimestampFormat {
    /// Text such as `2018-02-07T01:26:13.840Z`.
    #[default]
    Rfc3339,
    /// A number: seconds since 1970-01-01T00:00:00Z.
    EpochSeconds,
}

/// What lies between the parts of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Buffer {
    /// The raw and the processed Kinesis stream.
    pub kinesis: KinesisBuffer,
}

/// Capacity of the two Kinesis streams. What is not given follows the deployment's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KinesisBuffer {
    /// Fixed shards, or capacity that follows the traffic.
    pub mode: StreamMode,
    /// Shards of each stream, 1 to 500; only with `mode: provisioned`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 500)]
    pub shards: Option<u32>,
    /// How long events stay readable, in hours: 24 to 8,760.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 24, maximum = 8760)]
    pub retention_hours: Option<u32>,
}

/// How a Kinesis stream gets its capacity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamMode {
    /// A fixed number of shards.
    #[default]
    Provisioned,
    /// AWS adds and removes shards.
    OnDemand,
}

/// CloudFormation takes 50 tags a stack (<https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html>); ten are ours.
const MAX_LABELS: usize = 40;
/// A tag's longest key and value (<https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Tag.html>).
const MAX_LABEL_KEY: usize = 128;
const MAX_LABEL_VALUE: usize = 256;

/// A CloudFormation parameter's longest value (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>).
const MAX_PARTITION_QUERY: usize = 4_096;

impl StreamDocument {
    /// Reads a document from JSON text; an empty text is `{}`.
    ///
    /// # Errors
    /// Every fault found, each as `(line,column) what is wrong` or `field: what was expected and got`.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let document: Self = serde_json::from_str(text).map_err(|error| vec![positioned(&error)])?;
        if let Some(pointer) = array_for_object(text, &["", "/input", "/buffer", "/buffer/kinesis"]) {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            return Err(vec![format!("{}: expected an object, got an array", if field.is_empty() { "document" } else { &field })]);
        }
        let faults = document.faults();
        if faults.is_empty() { Ok(document) } else { Err(faults) }
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut range = |field: &str, value: Option<u32>, least: u32, most: u32| {
            if let Some(got) = value.filter(|got| !(least..=most).contains(got)) {
                faults.push(format!("{field}: expected {least} to {most}, got {got}"));
            }
        };
        range("input.max_event_bytes", Some(self.input.max_event_bytes), 1, MAX_EVENT_BYTES);
        range("buffer.kinesis.shards", self.buffer.kinesis.shards, 1, 500);
        range("buffer.kinesis.retention_hours", self.buffer.kinesis.retention_hours, 24, 8_760);
        if self.buffer.kinesis.mode == StreamMode::OnDemand && self.buffer.kinesis.shards.is_some() {
            faults.push("buffer.kinesis.shards: only with mode provisioned".to_owned());
        }
        for (field, text, most) in [("name", &self.name, 200), ("description", &self.description, 2_000)] {
            let length = text.as_ref().map_or(0, |text| text.chars().count());
            if length > most {
                faults.push(format!("{field}: expected at most {most} characters, got {length}"));
            }
        }
        if self.metadata.len() > MAX_LABELS {
            faults.push(format!("metadata: expected at most {MAX_LABELS} labels, got {}", self.metadata.len()));
        }
        faults.extend(self.metadata.iter().filter_map(|(key, value)| label_fault(key, value)));
        let folded: BTreeSet<String> = self.metadata.keys().map(|key| key.to_lowercase()).collect();
        if folded.len() < self.metadata.len() {
            faults.push("metadata: expected keys that differ in more than their case".to_owned());
        }
        let query = self.input.timestamp.as_ref().map_or(0, |path| partition_query(path, self.input.timestamp_format).len());
        if query > MAX_PARTITION_QUERY {
            faults.push("input.timestamp: too long for a partition query".to_owned());
        }
        faults
    }
}

/// Returns the first of these RFC 6901 pointers under which well-formed JSON has an array.
///
/// serde reads an object's members from an array, too, in their order; who sends one where we ask for an object has made a mistake.
pub fn array_for_object<'p>(json: &str, objects: &[&'p str]) -> Option<&'p str> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    objects.iter().copied().find(|pointer| value.pointer(pointer).is_some_and(serde_json::Value::is_array))
}

/// Labels become tags, so they keep the rules of tags.
fn label_fault(key: &str, value: &str) -> Option<String> {
    let is_tag_text = |text: &str| text.chars().all(|letter| letter.is_alphanumeric() || " _.:/=+-@".contains(letter));
    let shown: String = key.chars().take(100).collect();
    let folded = key.to_lowercase();
    if !(1..=MAX_LABEL_KEY).contains(&key.chars().count()) || !(1..=MAX_LABEL_VALUE).contains(&value.chars().count()) {
        Some(format!("metadata.{shown}: expected a key of 1 to {MAX_LABEL_KEY} and a value of 1 to {MAX_LABEL_VALUE} characters"))
    } else if folded.starts_with("aws:") || folded.starts_with("millrace:") || folded == "created_by" {
        Some(format!("metadata.{shown}: created_by and keys that start with aws: or millrace: are taken"))
    } else if !is_tag_text(key) || !is_tag_text(value) {
        Some(format!("metadata.{shown}: expected letters, digits, spaces and _.:/=+-@ only"))
    } else {
        None
    }
}

/// `unknown field at line 1 column 9` becomes `(1,9) unknown field`.
fn positioned(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let text = message.rsplit_once(" at line ").map_or(message.as_str(), |(before, _)| before);
    format!("({},{}) {text}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_document_is_a_valid_stream() {
        for empty in ["{}", "", " \n"] {
            assert_eq!(StreamDocument::parse(empty), Ok(StreamDocument::default()));
        }
    }

    #[test]
    fn a_fault_of_shape_names_line_and_column() {
        let faults = StreamDocument::parse("{\n  \"nope\": 1\n}").unwrap_err();
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("(2,8) unknown field `nope`, expected one of"), "{}", faults[0]);
        let faults = StreamDocument::parse(r#"{"access_rights": "secret"}"#).unwrap_err();
        assert!(faults[0].contains("unknown variant `secret`"), "{}", faults[0]);
        let faults = StreamDocument::parse(r#"{"input": {"timestamp": "$..a"}}"#).unwrap_err();
        assert!(faults[0].contains("expected a path of member names"), "{}", faults[0]);
    }

    #[test]
    fn every_fault_of_value_is_reported_at_once() {
        let text = r#"{"metadata": {"aws:x": "1", "a": "{}"}, "input": {"max_event_bytes": 0},
            "buffer": {"kinesis": {"mode": "on_demand", "shards": 501, "retention_hours": 1}}}"#;
        assert_eq!(
            StreamDocument::parse(text).unwrap_err(),
            [
                "input.max_event_bytes: expected 1 to 716800, got 0",
                "buffer.kinesis.shards: expected 1 to 500, got 501",
                "buffer.kinesis.retention_hours: expected 24 to 8760, got 1",
                "buffer.kinesis.shards: only with mode provisioned",
                "metadata.a: expected letters, digits, spaces and _.:/=+-@ only",
                "metadata.aws:x: created_by and keys that start with aws: or millrace: are taken",
            ]
        );
    }

    #[test]
    fn labels_that_no_stack_would_take_are_refused() {
        for bad in [r#"{"team": ""}"#, r#"{"Team": "a", "team": "b"}"#, r#"{"Created_By": "me"}"#, r#"{"MILLRACE:x": "1"}"#] {
            assert!(StreamDocument::parse(&format!(r#"{{"metadata": {bad}}}"#)).is_err(), "{bad}");
        }
        let long = format!("${}", ".a".repeat(249));
        assert!(StreamDocument::parse(&format!(r#"{{"input": {{"timestamp": "{long}"}}}}"#)).is_err());
    }

    #[test]
    fn access_rights_have_their_colours() {
        let colour = |rights: &str| {
            let document = StreamDocument::parse(&format!(r#"{{"access_rights": "{rights}"}}"#)).unwrap();
            document.access_rights.confidentiality().as_str()
        };
        assert_eq!(["public", "restricted", "non-public"].map(colour), ["green", "yellow", "red"]);
    }
}
