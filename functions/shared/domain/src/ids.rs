//! Identifiers: parsed once at the edge, valid ever after, never joined and split again.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An identifier that breaks its pattern: says which, what was expected and what was got.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {got:?} does not match {pattern}")]
pub struct InvalidId {
    kind: &'static str,
    pattern: &'static str,
    got: String,
}

impl InvalidId {
    fn new(kind: &'static str, pattern: &'static str, got: &str) -> Self {
        // What a caller sent is echoed cut, so that an error never outgrows its cause.
        let got = got.chars().take(100).collect();
        Self { kind, pattern, got }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $pattern:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The pattern that every value matches.
            pub const PATTERN: &'static str = $pattern;

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let is_valid: fn(&str) -> bool = $valid;
                if is_valid(text) { Ok(Self(text.to_owned())) } else { Err(InvalidId::new($kind, $pattern, text)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// Names a stream, without its version.
    StreamId,
    "stream id",
    "^[a-z0-9][a-z0-9-]{2,69}$",
    |text| {
        let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let all_allowed = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        starts_well && all_allowed && (3..=70).contains(&text.len())
    }
);

impl StreamId {
    /// The route that an id would stand in the way of, if there is one: no stream may have it.
    pub fn reserved(&self) -> Option<&'static str> {
        (self.as_str() == "lint").then_some("POST /streams/lint")
    }
}

text_id!(
    /// Names a resource among those of its type and owner.
    #[derive(utoipa::ToSchema)]
    #[schema(value_type = String, format = "resource-id", pattern = "^[a-z0-9][a-z0-9_-]{0,63}$", example = "my-limit")]
    ResourceId,
    "resource id",
    "^[a-z0-9][a-z0-9_-]{0,63}$",
    |text| {
        let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let all_allowed = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte));
        starts_well && all_allowed && text.len() <= 64
    }
);

text_id!(
    /// The tenant that a token speaks for.
    Owner,
    "owner",
    "^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$",
    |text| {
        let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let all_allowed = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte));
        starts_well && all_allowed && text.len() <= 64
    }
);

text_id!(
    /// The opaque name of a stream for the Amperity-style endpoint; made at creation, never chosen.
    IngestId,
    "ingest id",
    "^is-[0-9A-Za-z]{8}$",
    |text| text.len() == 11 && text.starts_with("is-") && text[3..].bytes().all(|byte| byte.is_ascii_alphanumeric())
);

impl IngestId {
    /// Makes an ingest id from 64 random bits.
    pub fn from_random(bits: u64) -> Self {
        Self(format!("is-{}", base62::<8>(bits)))
    }
}

text_id!(
    /// Names an API key; made at its creation, never chosen, and no secret.
    ApiKeyId,
    "API key id",
    "^ak-[0-9A-Za-z]{10}$",
    |text| text.len() == 13 && text.starts_with("ak-") && text[3..].bytes().all(|byte| byte.is_ascii_alphanumeric())
);

impl ApiKeyId {
    /// Makes an API key id from 64 random bits.
    pub fn from_random(bits: u64) -> Self {
        Self(format!("ak-{}", base62::<10>(bits)))
    }
}

fn base62<const DIGITS: usize>(mut bits: u64) -> String {
    const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(DIGITS);
    for _ in 0..DIGITS {
        text.push(char::from(BASE62[(bits % 62) as usize]));
        bits /= 62;
    }
    text
}

text_id!(
    /// Stands for all stream ids that it matches; `*` for any text within an id, also for none.
    StreamPattern,
    "stream pattern",
    "^[a-z0-9*-]{1,70}$",
    |text| {
        let all_allowed = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"*-".contains(&byte));
        all_allowed && (1..=70).contains(&text.len())
    }
);

impl StreamPattern {
    /// Returns whether the pattern matches the whole id.
    pub fn matches(&self, id: &StreamId) -> bool {
        let mut parts = self.0.split('*');
        // The first part begins the id; each later one is searched for after the one before; the last one ends it.
        let Some(mut rest) = parts.next().and_then(|first| id.as_str().strip_prefix(first)) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some(found) = rest.find(part) else { return false };
            rest = &rest[found + part.len()..];
        }
        rest.ends_with(last)
    }
}

/// The version of a stream: one to three numbers, ordered by number (`2` before `10`, `1` before `1.1`).
///
/// At most 20 characters, so that `{prefix}.{confidentiality}.{id}.processed.{version}.json` fits the 128 characters of a Kinesis stream name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

impl Version {
    /// The pattern that every version matches.
    pub const PATTERN: &'static str = "^[0-9]+(\\.[0-9]+){0,2}$ (at most 20 characters)";

    /// The version that `POST /streams/{id}` creates.
    pub fn first() -> Self {
        Self("1".to_owned())
    }

    /// The version as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn numbers(&self) -> impl Iterator<Item = (usize, &str)> {
        // Without leading zeros, longer means larger: no number is too long to compare.
        self.0.split('.').map(|part| part.trim_start_matches('0')).map(|digits| (digits.len(), digits))
    }
}

impl FromStr for Version {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parts_are_numbers = text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        let is_valid = parts_are_numbers && text.split('.').count() <= 3 && text.len() <= 20;
        if is_valid { Ok(Self(text.to_owned())) } else { Err(InvalidId::new("version", Self::PATTERN, text)) }
    }
}

impl TryFrom<String> for Version {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers().cmp(other.numbers()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Identifies one stream: its id and its version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamKey {
    /// The stream's id.
    pub id: StreamId,
    /// The stream's version.
    pub version: Version,
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.id, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_ids_match_their_pattern() {
        for good in ["abc", "0-9", &"a".repeat(70), "renovasjonsbiler-status"] {
            assert!(good.parse::<StreamId>().is_ok(), "{good}");
        }
        for bad in ["", "ab", "-ab", "Abc", "a_b", "æøå", "a/b", "a#b", &"a".repeat(71)] {
            assert!(bad.parse::<StreamId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number() {
        let mut versions: Vec<Version> = ["10", "2", "1.10", "1", "1.9.1", "1.9"].map(|text| text.parse().unwrap()).to_vec();
        versions.sort();
        let sorted: Vec<&str> = versions.iter().map(Version::as_str).collect();
        assert_eq!(sorted, ["1", "1.9", "1.9.1", "1.10", "2", "10"]);
    }

    #[test]
    fn versions_match_their_pattern() {
        for bad in ["", "a", "1.", ".1", "1..2", "1.2.3.4", "-1", "1-beta", "123456789012345678901"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_ingest_id_made_from_any_bits_is_valid() {
        for bits in [0, 1, u64::MAX] {
            let made = IngestId::from_random(bits);
            assert_eq!(made.as_str().parse::<IngestId>(), Ok(made));
            let made = ApiKeyId::from_random(bits);
            assert_eq!(made.as_str().parse::<ApiKeyId>(), Ok(made));
        }
    }

    #[test]
    fn a_pattern_matches_the_whole_id() {
        let matches = |pattern: &str, id: &str| pattern.parse::<StreamPattern>().unwrap().matches(&id.parse().unwrap());
        for (pattern, id) in [
            ("refuse-trucks", "refuse-trucks"),
            ("*", "refuse-trucks"),
            ("refuse-*", "refuse-trucks"),
            ("refuse-*", "refuse-"),
            ("*-trucks", "refuse-trucks"),
            ("r*-t*s", "refuse-trucks"),
            ("**", "abc"),
            ("a*a", "a-a-a"),
            ("*ab*ab", "abxab"),
        ] {
            assert!(matches(pattern, id), "{pattern} {id}");
        }
        for (pattern, id) in [
            ("refuse", "refuse-trucks"),
            ("trucks", "refuse-trucks"),
            ("*-truck", "refuse-trucks"),
            ("refuse-*", "xrefuse-trucks"),
            ("aba*aba", "aba-xaba-x"),
            ("aba*aba", "ababa"),
            ("a*b*c", "acb"),
        ] {
            assert!(!matches(pattern, id), "{pattern} {id}");
        }
        for bad in ["", "A*", "a?", "a/1", &"a".repeat(71)] {
            assert!(bad.parse::<StreamPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_invalid_id_says_what_was_expected_and_got() {
        let message = "Trucks!".parse::<StreamId>().unwrap_err().to_string();
        assert_eq!(message, r#"stream id "Trucks!" does not match ^[a-z0-9][a-z0-9-]{2,69}$"#);
    }
}
