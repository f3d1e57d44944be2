//! Paths into an event: JSONPath (RFC 9535).

use serde_json_path::JsonPath;

/// The longest path, in bytes. Ours; it also bounds how deep a filter expression nests.
const MAX_PATH_BYTES: usize = 500;

/// A JSONPath that can be followed.
#[derive(Debug, Clone)]
pub struct Path(JsonPath);

/// A text that is no JSONPath.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a JSONPath such as $.id, got {text:?}: {why}")]
pub struct InvalidPath {
    text: String,
    why: String,
}

impl Path {
    /// Compiles a path.
    ///
    /// # Errors
    /// Why it is none.
    pub fn compile(text: &str) -> Result<Self, InvalidPath> {
        let invalid = |why: String| InvalidPath { text: text.chars().take(100).collect(), why };
        if text.len() > MAX_PATH_BYTES {
            return Err(invalid(format!("expected at most {MAX_PATH_BYTES} bytes, got {}", text.len())));
        }
        JsonPath::parse(text).map(Self).map_err(|error| invalid(error.to_string()))
    }

    /// The path as the library follows it.
    pub fn compiled(&self) -> &JsonPath {
        &self.0
    }
}
