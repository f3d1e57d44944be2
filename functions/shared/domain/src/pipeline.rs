//! What is done with the events between the raw and the processed stream, as the document says.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::duration_text::DurationText;
use crate::ids::ResourceId;
use crate::input::JsonPath;

/// The processors of a stream, in the order in which an event meets them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pipeline {
    /// What is done with every event, in this order.
    #[schema(max_items = 100)]
    pub processors: Vec<Processor>,
}

/// One step: an object with one member, which says what is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Processor {
    /// Changes the event by a VRL program.
    Mapping(Vrl),
    /// Keeps the event when a VRL program gives `true`.
    Filter(Vrl),
    /// Keeps the event when it matches a JSON Schema; makes a dead letter of it otherwise.
    Validate(Validate),
    /// Makes one level of nested objects.
    Flatten(Flatten),
    /// Drops an event whose key was seen before, within a window.
    Dedupe(Dedupe),
    /// Waits for a `rate_limit` resource.
    RateLimit(ResourceId),
    /// Does what a `processor` resource says.
    Resource(ResourceId),
}

impl Processor {
    /// Its name, as it stands in the document.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mapping(_) => "mapping",
            Self::Filter(_) => "filter",
            Self::Validate(_) => "validate",
            Self::Flatten(_) => "flatten",
            Self::Dedupe(_) => "dedupe",
            Self::RateLimit(_) => "rate_limit",
            Self::Resource(_) => "resource",
        }
    }
}

/// A program in VRL (<https://vrl.dev>) as it was written. `millrace-pipeline` says whether it compiles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, max_length = 16_384, example = ".speed_ms = to_float!(.kmh) / 3.6")]
pub struct Vrl(String);

impl Vrl {
    /// The program as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an event must match to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Validate {
    /// A JSON Schema: draft 2020-12, or draft-07 where `$schema` says so. A `$ref` leads within it.
    #[schema(value_type = Object)]
    pub schema: Map<String, Value>,
}

/// How nested objects become one level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Flatten {
    /// What stands between the names.
    #[schema(min_length = 1, max_length = 10, default = "_")]
    pub separator: String,
}

impl Default for Flatten {
    fn default() -> Self {
        Self { separator: "_".to_owned() }
    }
}

/// What makes an event the same as one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Dedupe {
    /// What must be the same, such as `$.id`; `input.event_id` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<JsonPath>,
    /// How long a key is remembered.
    #[serde(default)]
    #[schema(value_type = String, format = "window", default = "10m", example = "10m")]
    pub window: Window,
    /// The `cache` resource that remembers it.
    pub cache: ResourceId,
}

/// A duration of 1 second to 24 hours, such as `10m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window(DurationText);

/// Ours: as long as an `Idempotency-Key` is remembered.
const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// A text that is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a time of 1s to 24h such as 30s, 10m or 2h, got {0:?}")]
pub struct InvalidWindow(String);

impl Window {
    /// The time.
    pub fn length(self) -> Duration {
        self.0.duration()
    }
}

impl Default for Window {
    fn default() -> Self {
        Self(DurationText::of_seconds(600))
    }
}

impl FromStr for Window {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        let duration = text.parse::<DurationText>().ok();
        let window = duration.map(Self).filter(|window| (Duration::from_secs(1)..=LONGEST_WINDOW).contains(&window.length()));
        window.ok_or_else(|| InvalidWindow(text.chars().take(100).collect()))
    }
}

impl TryFrom<String> for Window {
    type Error = InvalidWindow;

    fn try_from(text: String) -> Result<Self, InvalidWindow> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> String {
        window.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_second_to_a_day() {
        for (text, seconds) in [("1s", 1), ("10m", 600), ("24h", 86_400), ("86400s", 86_400), ("07m", 420), ("1h30m", 5_400)] {
            assert_eq!(text.parse::<Window>().unwrap().length(), Duration::from_secs(seconds), "{text}");
        }
        for bad in ["", "0s", "25h", "10", "m", "1d", "1.5h", "-1s", "10 m", "99999h", "999999s", "١s"] {
            assert!(bad.parse::<Window>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_read_is_written_again() {
        let text = r#"[{"mapping":".a = 1"},{"flatten":{"separator":"_"}},{"dedupe":{"key":"$.id","window":"10m","cache":"seen"}},{"rate_limit":"mine"}]"#;
        let processors: Vec<Processor> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&processors).unwrap().len(), text.len());
        assert!(matches!(&processors[2], Processor::Dedupe(dedupe) if dedupe.window == Window::default()));
    }
}
