//! Where a reader of dead letters goes on.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Characters of a cursor. A key has up to 1,024 bytes
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>), which JSON and base64 make longer.
const MAX_CURSOR: usize = 4_096;

/// A place among the dead letters of a stream. Opaque to callers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// The object.
    pub(super) key: String,
    /// How many of its lines are done; without a number, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lines: Option<u32>,
    /// Which of the ids that a redrive was asked for are done: a bit each, in the order of the ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) ids_done: Vec<u8>,
    /// Which ids those are, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ids_digest: Option<u64>,
    /// When the redrive began that it goes on with, in milliseconds since 1970; none for one by ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) began_ms: Option<i64>,
}

/// A text that is no cursor of the stream's dead letters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a next_cursor of this stream's dead letters")]
pub struct InvalidCursor;

impl Cursor {
    /// Behind all lines of an object, or behind all keys that sort before `key`.
    pub(super) fn behind(key: &str) -> Self {
        Self { key: key.to_owned(), lines: None, ids_done: Vec::new(), ids_digest: None, began_ms: None }
    }

    /// Behind so many lines of an object.
    pub(super) fn behind_lines(key: &str, lines: u32) -> Self {
        Self { lines: Some(lines), ..Self::behind(key) }
    }

    /// Reads a cursor, which must lie under `prefix`.
    ///
    /// # Errors
    /// It was made for another stream, or not by us.
    pub fn parse(text: &str, prefix: &str) -> Result<Self, InvalidCursor> {
        let bytes = Some(text).filter(|text| text.len() <= MAX_CURSOR).and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
        let cursor: Option<Self> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        cursor.filter(|cursor| cursor.key.starts_with(prefix)).ok_or(InvalidCursor)
    }

    /// The cursor as text: letters, digits, `-` and `_`.
    pub fn to_text(&self) -> String {
        // Text, numbers and nothing else can always be written.
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// When the redrive began that it goes on with, if it says so.
    pub(super) fn began(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.began_ms?) * 1_000_000).ok()
    }

    /// The key behind which objects have to be listed. An object that is done in part is listed again, with those whose keys begin alike.
    pub(super) fn start_after(&self) -> &str {
        let last = self.key.char_indices().next_back().map_or(0, |(at, _)| at);
        if self.lines.is_some() { &self.key[..last] } else { &self.key }
    }

    /// How many lines of an object are done; `None` when all of it is.
    pub(super) fn lines_done(&self, key: &str) -> Option<u32> {
        match key.cmp(&self.key) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => self.lines,
            std::cmp::Ordering::Greater => Some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cursor_of_another_stream_or_of_nobody_is_refused() {
        let cursor = Cursor::behind_lines("dead-letters/trucks/version=1/year=2026/x", 3);
        assert_eq!(Cursor::parse(&cursor.to_text(), "dead-letters/trucks/version=1/"), Ok(cursor.clone()));
        for prefix in ["dead-letters/trucks/version=1.1/", "dead-letters/truck/version=1/", "processed/"] {
            assert_eq!(Cursor::parse(&cursor.to_text(), prefix), Err(InvalidCursor), "{prefix}");
        }
        let encoded = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
        for text in ["", "!", "e30", &encoded("[]"), &encoded(r#"{"key":"p/x","lines":-1}"#), &encoded(r#"{"key":"p/x","more":1}"#)] {
            assert_eq!(Cursor::parse(text, "p/"), Err(InvalidCursor), "{text}");
        }
        assert!(Cursor::parse(&encoded(&format!(r#"{{"key":"p/{}"}}"#, "x".repeat(5_000))), "p/").is_err());
    }

    proptest! {
        #[test]
        fn any_text_as_a_cursor_never_panics_and_a_good_one_is_read_as_it_is_written(
            text in "\\PC*|[A-Za-z0-9_-]{0,50}",
            key in "\\PC{0,40}",
            lines in prop::option::of(any::<u32>()),
            ids_done in prop::collection::vec(any::<u8>(), 0..125),
            ids_digest in prop::option::of(any::<u64>()),
            began_ms in prop::option::of(any::<i64>()),
        ) {
            let _ = Cursor::parse(&text, "");
            let cursor = Cursor { key, lines, ids_done, ids_digest, began_ms };
            let _ = cursor.began();
            prop_assert!(cursor.start_after() <= cursor.key.as_str());
            prop_assert_eq!(Cursor::parse(&cursor.to_text(), ""), Ok(cursor));
        }
    }
}
