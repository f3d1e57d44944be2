//! The stream document: what a user declares. Every field has a default, so `{}` is a valid stream.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::input::Input;
use crate::output::Output;
use crate::pipeline::Pipeline;

/// A stream as declared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamDocument {
    /// For people; shown in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub name: Option<String>,
    /// For people: what the events are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2_000)]
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
    /// What is done with the events between the two.
    pub pipeline: Pipeline,
    /// Where the events are written.
    pub output: Output,
    /// Whether clients can subscribe to the processed events.
    pub subscribable: bool,
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

/// What lies between the parts of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Buffer {
    /// The raw and the processed Kinesis stream.
    pub kinesis: KinesisBuffer,
    /// Whether there is a raw stream, for the stream's life. Without it there is no pipeline either: ingest writes to the processed stream
    /// what an empty pipeline would have written.
    pub raw: bool,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { kinesis: KinesisBuffer::default(), raw: true }
    }
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

/// Returns the first of these RFC 6901 pointers under which well-formed JSON has an array.
///
/// serde reads an object's members from an array, too, in their order; who sends one where we ask for an object has made a mistake.
pub fn array_for_object<'p>(json: &str, objects: &[&'p str]) -> Option<&'p str> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    objects.iter().copied().find(|pointer| value.pointer(pointer).is_some_and(serde_json::Value::is_array))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_rights_have_their_colours() {
        let rights = [AccessRights::Public, AccessRights::Restricted, AccessRights::NonPublic];
        assert_eq!(rights.map(|rights| rights.confidentiality().as_str()), ["green", "yellow", "red"]);
    }
}
