//! CloudEvents 1.0: events in an envelope of standard attributes (<https://github.com/cloudevents/spec>).
//!
//! The structured form is one JSON object. The binary form is an HTTP request: its headers are the attributes, its body is the data.

mod binary;
mod structured;

pub use binary::from_binary;
pub use structured::{Data, check, data};

/// The version of the specification that events must name.
pub const SPEC_VERSION: &str = "1.0";

/// The content type of one event in structured form.
pub const JSON: &str = "application/cloudevents+json";

/// The content type of an array of events in structured form.
pub const JSON_BATCH: &str = "application/cloudevents-batch+json";

const SPECVERSION: &str = "specversion";
const DATACONTENTTYPE: &str = "datacontenttype";
const DATA: &str = "data";
const DATA_BASE64: &str = "data_base64";

/// What the name of an attribute is made of.
const ATTRIBUTE_NAME: &str = "a name of a-z and 0-9";

/// How much of what was got a message shows, in characters.
const SHOWN_CHARS: usize = 100;

/// Why something is no cloud event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloudEventFault {
    /// Not a JSON object that can be read.
    #[error("expected a JSON object, got {0}")]
    NotAnObject(String),
    /// A member of the structured form that is missing, is not allowed or is not what it should be.
    #[error("{}: expected {expected}, got {got}", .name.escape_debug())]
    Member {
        /// The member's name, cut after 100 characters.
        name: String,
        /// What should be there.
        expected: &'static str,
        /// What is there, cut after 100 characters.
        got: String,
    },
    /// A header of the binary form that is not allowed or that cannot be read.
    #[error("ce-{}: expected {expected}, got {got}", .name.escape_debug())]
    Header {
        /// The header's name without `ce-`, cut after 100 characters.
        name: String,
        /// What should be there.
        expected: &'static str,
        /// What is there, cut after 100 characters.
        got: String,
    },
    /// A body of the binary form that is not the JSON that its content type says it is.
    #[error("body: expected one JSON value, as its content type says, got {0}")]
    Body(String),
}

impl CloudEventFault {
    /// The RFC 6901 pointer to what is wrong, within the event in structured form.
    pub fn pointer(&self) -> String {
        match self {
            CloudEventFault::NotAnObject(_) => String::new(),
            CloudEventFault::Member { name, .. } | CloudEventFault::Header { name, .. } => {
                format!("/{}", name.replace('~', "~0").replace('/', "~1"))
            }
            CloudEventFault::Body(_) => format!("/{DATA}"),
        }
    }

    fn member(name: &str, expected: &'static str, got: &str) -> Self {
        CloudEventFault::Member { name: shown(name), expected, got: shown(got) }
    }

    fn header(name: &str, expected: &'static str, got: &str) -> Self {
        CloudEventFault::Header { name: shown(name), expected, got: shown(got) }
    }
}

/// Cuts a text to what a message shows of it.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

fn is_attribute_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_leads_to_what_is_wrong() {
        for (fault, pointer) in [
            (CloudEventFault::NotAnObject("null".to_owned()), ""),
            (CloudEventFault::member(SPECVERSION, "\"1.0\"", "nothing"), "/specversion"),
            (CloudEventFault::member("a/b~c", ATTRIBUTE_NAME, "\"a/b~c\""), "/a~1b~0c"),
            (CloudEventFault::header("id", "UTF-8 text", "other bytes"), "/id"),
            (CloudEventFault::Body("nothing".to_owned()), "/data"),
        ] {
            assert_eq!(fault.pointer(), pointer, "{fault}");
        }
    }

    #[test]
    fn a_message_takes_one_short_line() {
        let fault = CloudEventFault::member(&"é\n".repeat(200), ATTRIBUTE_NAME, &"é".repeat(200));
        let expected = format!("{}: expected a name of a-z and 0-9, got {}", "é\\n".repeat(50), "é".repeat(100));
        assert_eq!(fault.to_string(), expected);
    }
}
