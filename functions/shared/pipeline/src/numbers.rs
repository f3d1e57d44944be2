//! The spelling of an event's numbers: VRL knows 64-bit integers and floating point numbers, and writes `1.10` as `1.1` and
//! `12345678901234567890` as `12345678901234567000`. What stands here is found again and written as it came, wherever a program moves it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;
use vrl::value::{KeyString, ObjectMap, Value};

/// Digits that a floating point number tells apart, whatever they are (<https://en.cppreference.com/w/cpp/types/numeric_limits/digits10>).
const EXACT_DIGITS: usize = 15;

/// Digits of which every integer is a 64-bit one.
const INTEGER_DIGITS: usize = 18;

/// How the numbers of one event are spelled that VRL would write otherwise, by the bits of what VRL has for them.
#[derive(Debug, Default)]
pub(crate) struct Numbers(HashMap<u64, Box<str>>);

/// Reads an event, and the spelling of its numbers.
///
/// # Errors
/// It is not JSON, or has a number that no floating point number comes near (`1e400`).
pub(crate) fn read(text: &str) -> Result<(Value, Numbers), serde_json::Error> {
    let tokens: Vec<&str> = number_tokens(text).collect();
    if tokens.iter().all(|token| is_plain(token)) {
        return Ok((serde_json::from_str(text)?, Numbers::default()));
    }
    // No delicate number may come to stand for a plain one.
    let plain = tokens.iter().filter(|token| is_plain(token) && token.parse::<i64>().is_err());
    let taken = plain.filter_map(|token| token.parse().ok()).map(f64::to_bits).collect();
    let mut reader = Reader { taken, next: HashMap::new(), bits: HashMap::new(), numbers: Numbers::default() };
    let event = reader.value(serde_json::from_str(text)?)?;
    Ok((event, reader.numbers))
}

impl Numbers {
    /// An event as JSON in which a number that has more digits than a floating point number tells apart is the text of its spelling, marked so
    /// that it is no other text.
    pub(crate) fn exactly(&self, event: &Value) -> serde_json::Value {
        match event {
            Value::Float(number) => match self.0.get(&number.to_bits()).filter(|text| is_inexact(text)) {
                Some(text) => format!("\u{1}{text}").into(),
                None => number.into_inner().into(),
            },
            Value::Object(members) => {
                members.iter().map(|(name, member)| (name.to_string(), self.exactly(member))).collect::<serde_json::Map<_, _>>().into()
            }
            Value::Array(items) => items.iter().map(|item| self.exactly(item)).collect::<Vec<_>>().into(),
            other => other.clone().try_into().unwrap_or_default(),
        }
    }

    /// Writes an event of which these are numbers.
    ///
    /// # Errors
    /// It cannot be JSON.
    pub(crate) fn write(&self, event: &Value) -> Result<String, serde_json::Error> {
        if self.0.is_empty() { serde_json::to_string(event) } else { serde_json::to_string(&Spelled { value: event, numbers: self }) }
    }
}

/// The numbers in a well-formed JSON text, in their order.
fn number_tokens(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => at = string_end(bytes, at + 1),
                b'-' | b'0'..=b'9' => {
                    let length =
                        bytes[at..].iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
                    at += length;
                    return text.get(at - length..at);
                }
                _ => at += 1,
            }
        }
        None
    })
}

/// Where the text behind a string begins whose content begins at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// Returns whether a number is written as it came once VRL has read it.
fn is_plain(token: &str) -> bool {
    let digits = token.strip_prefix('-').unwrap_or(token);
    match digits.split_once('.') {
        None if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.len() <= INTEGER_DIGITS && token != "-0" || token.parse::<i64>().is_ok_and(|number| number != 0 || token == "0")
        }
        Some((whole, part)) if whole != "0" && digits.len() <= EXACT_DIGITS + 1 && part.bytes().all(|byte| byte.is_ascii_digit()) => {
            part == "0" || !part.ends_with('0')
        }
        // As the library reads it, which is not always the nearest.
        _ => serde_json::from_str(token).and_then(|number: f64| serde_json::to_string(&number)).is_ok_and(|written| written == token),
    }
}

/// Returns whether a floating point number may be another number than the text says.
fn is_inexact(token: &str) -> bool {
    let significand = token.split(['e', 'E']).next().unwrap_or_default();
    let digits = significand.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    digits > EXACT_DIGITS
}

struct Reader {
    /// The bits of floating point numbers that stand for a number of the event.
    taken: HashSet<u64>,
    /// Behind bits that are taken: where to look for others.
    next: HashMap<u64, u64>,
    /// The bits of each spelling.
    bits: HashMap<Box<str>, u64>,
    numbers: Numbers,
}

impl Reader {
    fn value(&mut self, raw: &RawValue) -> Result<Value, serde_json::Error> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text)?;
                let members = members.into_iter().map(|(name, member)| Ok((KeyString::from(name.into_owned()), self.value(member)?)));
                Value::Object(members.collect::<Result<ObjectMap, serde_json::Error>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                Value::Array(items.into_iter().map(|item| self.value(item)).collect::<Result<_, _>>()?)
            }
            Some(b'-' | b'0'..=b'9') if !is_plain(text) => self.delicate(text)?,
            _ => serde_json::from_str(text)?,
        })
    }

    /// A number that VRL would write otherwise. Different numbers stay different: of two that are the same to VRL, one becomes the next
    /// floating point number, which is as near to what the text says as a number of so many digits can be taken to be.
    fn delicate(&mut self, text: &str) -> Result<Value, serde_json::Error> {
        let number: f64 = serde_json::from_str(text)?;
        let bits = match self.bits.get(text) {
            Some(bits) => *bits,
            None => {
                let nearest = f64::to_bits(text.parse().unwrap_or(number));
                let bits = if is_inexact(text) { self.free_from(nearest) } else { nearest };
                if self.taken.insert(bits) {
                    self.numbers.0.insert(bits, text.into());
                }
                self.bits.insert(text.into(), bits);
                bits
            }
        };
        Ok(Value::from_f64_or_zero(f64::from_bits(bits)))
    }

    /// The first bits from these on that stand for no number yet. What was passed is passed at once the next time.
    fn free_from(&mut self, start: u64) -> u64 {
        let (mut at, mut passed) = (start, Vec::new());
        while self.taken.contains(&at) && f64::from_bits(at + 1).is_finite() {
            passed.push(at);
            at = self.next.get(&at).copied().unwrap_or(at + 1);
        }
        self.next.extend(passed.into_iter().map(|passed| (passed, at)));
        at
    }
}

/// A value whose numbers are written as they were spelled.
struct Spelled<'s> {
    value: &'s Value,
    numbers: &'s Numbers,
}

impl Serialize for Spelled<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let spelled = |value| Spelled { value, numbers: self.numbers };
        match self.value {
            Value::Float(number) => match self.numbers.0.get(&number.to_bits()) {
                Some(text) => serde_json::from_str::<&RawValue>(text).map_err(serde::ser::Error::custom)?.serialize(serializer),
                None => self.value.serialize(serializer),
            },
            Value::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(name, member)| map.serialize_entry(name.as_str(), &spelled(member)))?;
                map.end()
            }
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(&spelled(item)))?;
                list.end()
            }
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn again(text: &str) -> String {
        let (event, numbers) = read(text).unwrap();
        numbers.write(&event).unwrap()
    }

    #[test]
    fn numbers_keep_their_spelling() {
        for number in [
            "0",
            "-0",
            "-0.0",
            "0.0",
            "1.10",
            "1.1",
            "10.0",
            "100",
            "1e3",
            "1E+3",
            "12345678901234567890",
            "123456789012345678901234567890",
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
            "0.1000000000000000055",
            "0.000001",
            "1e-7",
            "2.50",
            "59.428400000000003",
            "1517966773840",
            "-116.7948333",
            "1e-400",
        ] {
            let text = format!(r#"{{"n":{number}}}"#);
            assert_eq!(again(&text), text);
        }
        assert!(read(r#"{"n":1e400}"#).is_err());
    }

    #[test]
    fn numbers_that_are_the_same_to_vrl_stay_apart_wherever_they_go() {
        let text = r#"{"a":12345678901234567890,"b":12345678901234567891,"c":0.1,"d":0.1000000000000000055}"#;
        let (event, numbers) = read(text).unwrap();
        assert_eq!(numbers.write(&event).unwrap(), text);
        let Value::Object(mut members) = event else { panic!("an object") };
        let moved = Value::Array(["d", "c", "b", "a"].into_iter().map(|name| members.remove(name).unwrap()).collect());
        assert_eq!(numbers.write(&moved).unwrap(), "[0.1000000000000000055,0.1,12345678901234567891,12345678901234567890]");
    }

    #[test]
    fn a_whole_number_keeps_its_spelling_beside_the_same_with_a_fraction() {
        let text = r#"{"price":20.00,"quantity":20}"#;
        assert_eq!(again(text), text);
    }

    #[test]
    fn many_long_numbers_that_are_one_to_vrl_are_read_in_no_time() {
        let same: Vec<String> = (0..20_000).map(|n| format!("12345678901234567890{n:05}")).collect();
        let text = format!("[{}]", same.join(","));
        assert_eq!(again(&text), text);
    }

    #[test]
    fn numbers_in_texts_are_no_numbers() {
        assert_eq!(number_tokens(r#"{"1.10":"2.20","a\"3.30":[4.40,{"b":-5e1}],"c":true}"#).collect::<Vec<_>>(), ["4.40", "-5e1"]);
    }

    proptest! {
        #[test]
        fn every_number_keeps_its_spelling(
            numbers in prop::collection::vec("-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?", 1..6),
        ) {
            // Of one value in two spellings, one stays; so each number alone.
            for number in numbers {
                let text = format!(r#"{{"a":[{number}],"b":"1.10"}}"#);
                prop_assert_eq!(again(&text), text);
            }
        }

        #[test]
        fn long_numbers_keep_their_spelling_together(numbers in prop::collection::btree_set("[1-9][0-9]{16,25}", 1..8)) {
            let text = format!("[{}]", numbers.into_iter().collect::<Vec<_>>().join(","));
            prop_assert_eq!(again(&text), text);
        }

        #[test]
        fn a_plain_number_is_written_as_it_came(number in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?") {
            prop_assume!(is_plain(&number));
            let value: Value = serde_json::from_str(&number).unwrap();
            prop_assert_eq!(serde_json::to_string(&value).unwrap(), number);
        }
    }
}
