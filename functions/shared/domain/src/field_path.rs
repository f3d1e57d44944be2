//! Where in an event a field stands: the part of JSONPath (RFC 9535) that names exactly one place.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// A path of member names, such as `$.properties.time` or `$['odd name'].time`.
///
/// Wildcards, filters and indexes are refused: a Firehose partition query must follow the same path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath {
    text: String,
    names: Vec<String>,
}

/// A text that is no path of member names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a path of member names such as $.time or $['odd name'].time, got {0:?}")]
pub struct InvalidPath(String);

impl FieldPath {
    /// The member names, outermost first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The RFC 6901 pointer to the field.
    pub fn pointer(&self) -> String {
        self.names().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
    }

    /// Finds the field in well-formed JSON without building a tree. Of a repeated member the last counts, as it does for JQ.
    pub fn find<'e>(&self, event: &'e str) -> Option<&'e RawValue> {
        let mut names = self.names();
        let mut found = member(event, names.next()?)?;
        for name in names {
            found = member(found.get(), name)?;
        }
        Some(found)
    }
}

fn member<'e>(object: &'e str, name: &str) -> Option<&'e RawValue> {
    struct Member<'n>(&'n str);

    impl<'e> Visitor<'e> for Member<'_> {
        type Value = Option<&'e RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'e>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(BorrowedKey(key)) = map.next_key()? {
                if key == self.0 {
                    found = Some(map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(object);
    deserializer.deserialize_map(Member(name)).ok().flatten()
}

/// A key that is copied only when it holds an escape.
#[derive(Deserialize)]
struct BorrowedKey<'e>(#[serde(borrow)] Cow<'e, str>);

impl FromStr for FieldPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let invalid = || InvalidPath(text.chars().take(100).collect());
        let mut rest = text.strip_prefix('$').ok_or_else(invalid)?;
        let mut names = Vec::new();
        while !rest.is_empty() {
            let (name, after) = if let Some(bracketed) = rest.strip_prefix("['") {
                bracketed.split_once("']").ok_or_else(invalid)?
            } else {
                let dotted = rest.strip_prefix('.').ok_or_else(invalid)?;
                let end = dotted.find(['.', '[']).unwrap_or(dotted.len());
                let (name, after) = dotted.split_at(end);
                if !is_member_shorthand(name) {
                    return Err(invalid());
                }
                (name, after)
            };
            // Quotes, backslashes and braces would have to be escaped in a partition query; nobody's field has them.
            if name.is_empty() || name.contains(['"', '\'', '\\', '{', '}']) || name.chars().any(char::is_control) {
                return Err(invalid());
            }
            names.push(name.to_owned());
            rest = after;
        }
        if names.is_empty() || text.len() > 500 {
            return Err(invalid());
        }
        Ok(Self { text: text.to_owned(), names })
    }
}

fn is_member_shorthand(name: &str) -> bool {
    let starts_well = name.starts_with(|first: char| first.is_alphabetic() || first == '_');
    starts_well && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
}

impl TryFrom<String> for FieldPath {
    type Error = InvalidPath;

    fn try_from(text: String) -> Result<Self, InvalidPath> {
        text.parse()
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> String {
        path.text
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &str, event: &str) -> Option<String> {
        let path: FieldPath = path.parse().unwrap();
        path.find(event).map(|raw| raw.get().to_owned())
    }

    #[test]
    fn a_field_is_found_where_the_path_says() {
        assert_eq!(find("$.time", r#"{"a": {"time": 1}, "time": "x"}"#).as_deref(), Some(r#""x""#));
        assert_eq!(find("$.a.time", r#"{"a": {"time": 1.50}}"#).as_deref(), Some("1.50"));
        assert_eq!(find("$['odd name'].t", r#"{"odd name": {"t": null}}"#).as_deref(), Some("null"));
        assert_eq!(find("$.é", r#"{"\u00e9": 1}"#).as_deref(), Some("1"));
        assert_eq!(find("$.t", r#"{"t": 1, "t": 2}"#).as_deref(), Some("2"));
        for absent in [r#"{}"#, r#"{"a": 1}"#, r#"{"a": ["time"]}"#] {
            assert_eq!(find("$.a.time", absent), None, "{absent}");
        }
    }

    #[test]
    fn paths_that_name_more_or_less_than_one_place_are_refused() {
        for bad in ["", "$", "time", "$.", "$..time", "$.*", "$.a[0]", "$.a[*]", "$['a\"b']", "$['']", "$.a-b", "$['a", "$.1a"] {
            assert!(bad.parse::<FieldPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pointer_escapes_what_rfc_6901_reserves() {
        assert_eq!("$['a/b~c'].d".parse::<FieldPath>().unwrap().pointer(), "/a~1b~0c/d");
    }
}
