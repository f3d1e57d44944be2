//! Looks at JSON as text, without building a tree: what the parser's skipping mode does not check, and white space.
//!
//! The functions take text that a JSON parser has already found well-formed.

use memchr::memchr2;

use crate::limits::MAX_JSON_DEPTH;

/// What a skipping parser lets through and a reading one would not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextFault {
    /// Nested deeper than [`MAX_JSON_DEPTH`].
    #[error("nested deeper than {MAX_JSON_DEPTH} levels")]
    TooDeep,
    /// Half of a surrogate pair (`\ud83d` alone), which is no character.
    #[error("has an unpaired surrogate escape in a string")]
    LoneSurrogate,
}

/// Checks nesting and surrogate escapes of well-formed JSON.
pub fn check(text: &str) -> Result<(), TextFault> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_JSON_DEPTH {
                    return Err(TextFault::TooDeep);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                at = check_string(bytes, at + 1)?;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Checks the string whose content starts at `at`; returns where the text after its closing quote starts.
fn check_string(bytes: &[u8], mut at: usize) -> Result<usize, TextFault> {
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return Ok(at + 1);
        }
        at += match bytes.get(at + 1) {
            Some(b'u') => unit_length(bytes, at)?,
            _ => 2,
        };
    }
    Ok(bytes.len())
}

/// The length of the escape that begins at `at`, or of the pair that it begins.
fn unit_length(bytes: &[u8], at: usize) -> Result<usize, TextFault> {
    match hex_escape(bytes, at) {
        Some(0xD800..=0xDBFF) if matches!(hex_escape(bytes, at + 6), Some(0xDC00..=0xDFFF)) => Ok(12),
        Some(0xD800..=0xDFFF) => Err(TextFault::LoneSurrogate),
        _ => Ok(6),
    }
}

/// Reads the escape of a UTF-16 unit, a backslash, `u` and four digits, that begins at `at`.
fn hex_escape(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 6)?;
    if !escape.starts_with(b"\\u") {
        return None;
    }
    let digits = std::str::from_utf8(&escape[2..]).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// Appends well-formed JSON to `out` without the white space between tokens, so that it takes one line. Everything else, numbers
/// included, keeps its text.
pub fn compact_into(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 1);
    let mut in_string = false;
    let mut escaped = false;
    for byte in text.bytes() {
        if in_string {
            out.push(byte);
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            in_string = byte == b'"';
            out.push(byte);
        }
    }
}

/// What the processed stream holds of an event: compact, and a newline.
pub fn line(event: &str) -> Vec<u8> {
    let mut line = Vec::new();
    compact_into(event, &mut line);
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nested(levels: usize) -> String {
        "[".repeat(levels) + &"]".repeat(levels)
    }

    #[test]
    fn nesting_is_refused_one_over_the_limit() {
        assert_eq!(check(&nested(MAX_JSON_DEPTH)), Ok(()));
        assert_eq!(check(&nested(MAX_JSON_DEPTH + 1)), Err(TextFault::TooDeep));
        assert_eq!(check(&format!("{:?}", nested(200))), Ok(()), "brackets in a string do not nest");
    }

    #[test]
    fn unpaired_surrogates_are_found() {
        for bad in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\u0041""#, r#"{"\ud83d":1}"#] {
            assert_eq!(check(bad), Err(TextFault::LoneSurrogate), "{bad}");
        }
        for good in [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""\u00e9""#, r#""\"\ud83d\ude00""#] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn compacting_keeps_strings_and_number_text() {
        let mut out = Vec::new();
        compact_into("{ \"a b\" : [ 1.0 , 12345678901234567890123 ,\n \"x\\\" \\\\\" ] }\r\n", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a b":[1.0,12345678901234567890123,"x\" \\"]}"#);
    }

    #[test]
    fn a_line_has_one_newline_at_its_end() {
        assert_eq!(line("{\n\"a\": \"\\n\"\r\n}"), b"{\"a\":\"\\n\"}\n");
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "\\PC*|[ \\t\\n\"\\\\]*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::hash_map("\\PC*", inner, 0..6).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn compacting_pretty_text_gives_the_compact_form(value in any_json()) {
            let mut out = Vec::new();
            compact_into(&serde_json::to_string_pretty(&value).unwrap(), &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&value).unwrap());
        }

        #[test]
        fn what_passes_the_check_can_be_read(text in r#"("(\\u[dD][0-9a-fA-F]{3}|\\\\|a|\\"){0,6}")|(\[{0,70})"#) {
            let closed = if text.starts_with('[') { format!("{text}{}", "]".repeat(text.len())) } else { text };
            if serde_json::from_str::<&serde_json::value::RawValue>(&closed).is_ok() && check(&closed).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&closed).is_ok());
            }
        }
    }
}
