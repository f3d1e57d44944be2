//! What may be sent to a stream, as its document says.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::field_path::FieldPath;
use crate::ids::ResourceId;
use crate::limits::DEFAULT_MAX_EVENT_BYTES;

/// What may be sent to a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Input {
    /// An `input` resource that says all of this; then nothing else stands here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceId>,
    /// What one event is, for the stream's life. With `xml` there is no `schema`, `timestamp`, `partition_key` or `on_invalid: reject`.
    pub format: Format,
    /// The JSON Schema that every event must keep, or the data of every CloudEvent: draft 2020-12, or draft-07 where `$schema` says so. A `$ref` leads within it, and
    /// `format` is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub schema: Option<Map<String, Value>>,
    /// What becomes of an event that does not keep to it.
    pub on_invalid: OnInvalid,
    /// What the events of one shard have in common, such as `$.vehicle`: their order is kept. Without it the shard is random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_key: Option<JsonPath>,
    /// What names an event, such as `$.id`, in results; of those in one request with the same name, the first is taken. It is the key of
    /// `dedupe` where that has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<JsonPath>,
    /// Where the event time stands, such as `$.time`. Without it the event time is the arrival.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "field-path", example = "$.time")]
    pub timestamp: Option<FieldPath>,
    /// How the event time is written.
    pub timestamp_format: TimestampFormat,
    /// The largest event, in bytes: 260,096 (254 KiB) by default, at most 716,800 (700 KiB).
    #[schema(minimum = 1, maximum = 716_800)]
    pub max_event_bytes: u32,
    /// A `rate_limit` resource that limits what is taken in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<ResourceId>,
    /// The origins of web pages that may send, such as `https://example.org`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub cors_origins: Vec<Origin>,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            resource: None,
            format: Format::default(),
            schema: None,
            on_invalid: OnInvalid::default(),
            partition_key: None,
            event_id: None,
            timestamp: None,
            timestamp_format: TimestampFormat::default(),
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
            rate_limit: None,
            cors_origins: Vec::new(),
        }
    }
}

/// What one event is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A JSON object.
    #[default]
    Json,
    /// An XML document.
    Xml,
}

impl Format {
    /// The media type of one event.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml",
        }
    }
}

/// What becomes of an invalid event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    /// It is kept as a dead letter.
    #[default]
    DeadLetter,
    /// It is refused, and not kept.
    Reject,
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

/// A JSONPath (RFC 9535) as it was written. `millrace-pipeline` says whether it is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, max_length = 500, example = "$.id")]
pub struct JsonPath(String);

impl JsonPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a web page comes from, as a browser writes it in `Origin` (<https://fetch.spec.whatwg.org/#origin-header>), or `*` for everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, format = "web-origin", max_length = 300, example = "https://example.org")]
pub struct Origin(String);

/// A text that no browser would send as an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an origin as a browser sends it, such as https://example.org or https://example.org:8443, or *, got {0:?}")]
pub struct InvalidOrigin(String);

impl Origin {
    /// The origin as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let is_origin = || {
            let (scheme, authority) = text.split_once("://")?;
            let default_port = match scheme {
                "https" => 443,
                "http" => 80,
                _ => return None,
            };
            let (host, port) = match authority.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
                _ => (authority, None),
            };
            // A browser leaves the scheme's own port out, and leading zeros.
            let is_port =
                port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number != default_port && number.to_string() == port));
            (is_host(host) && is_port).then_some(())
        };
        if text == "*" || is_origin().is_some() { Ok(Self(text.to_owned())) } else { Err(InvalidOrigin(text.chars().take(100).collect())) }
    }
}

/// A host as browsers write it: lower case, other alphabets in Punycode.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok_and(|parsed| parsed.to_string() == address);
    }
    let is_label = |label: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        (1..=63).contains(&label.len()) && label.bytes().all(is_allowed)
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

impl TryFrom<String> for Origin {
    type Error = InvalidOrigin;

    fn try_from(text: String) -> Result<Self, InvalidOrigin> {
        text.parse()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> String {
        origin.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_those_that_browsers_send() {
        let good = ["*", "https://example.org", "http://localhost:8080", "https://a.b-c.example:1", "http://[::1]", "http://[::1]:8080"];
        for good in good {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "example.org",
            "https://",
            "https://example.org/",
            "https://Example.org",
            "https://example.org:443",
            "http://example.org:80",
            "https://example.org:08443",
            "https://user@example.org",
            "https://*.example.org",
            "ftp://example.org",
            "null",
            "https://example..org",
            "http://[::1]:80a",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
