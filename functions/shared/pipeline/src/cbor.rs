//! Writes values as CBOR (RFC 8949), in its preferred form: every length, integer and float as short as it can be.

use std::convert::Infallible;

use ciborium_io::Write;
use ciborium_ll::{Encoder, Header, simple};
use vrl::value::Value;

/// The tag of a time as RFC 3339 text (RFC 8949, 3.4.1).
const TIME_TEXT: u64 = 0;

/// Writes a value as one CBOR item.
///
/// Text that is not UTF-8 becomes a byte string, a time its RFC 3339 text under tag 0, and a regular expression its text.
pub fn write(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(()) = push(value, &mut Encoder::from(Memory(&mut bytes)));
    bytes
}

/// Takes everything: nothing can go wrong.
struct Memory<'b>(&'b mut Vec<u8>);

impl Write for Memory<'_> {
    type Error = Infallible;

    fn write_all(&mut self, data: &[u8]) -> Result<(), Infallible> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

fn push(value: &Value, encoder: &mut Encoder<Memory<'_>>) -> Result<(), Infallible> {
    match value {
        Value::Null => encoder.push(Header::Simple(simple::NULL)),
        Value::Boolean(true) => encoder.push(Header::Simple(simple::TRUE)),
        Value::Boolean(false) => encoder.push(Header::Simple(simple::FALSE)),
        Value::Integer(number) => encoder.push(integer(*number)),
        Value::Float(number) => encoder.push(Header::Float(number.into_inner())),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => encoder.text(text, None),
            Err(_) => encoder.bytes(bytes, None),
        },
        Value::Regex(_) => encoder.text(&value.to_string_lossy(), None),
        Value::Timestamp(_) => {
            encoder.push(Header::Tag(TIME_TEXT))?;
            encoder.text(&value.to_string_lossy(), None)
        }
        Value::Array(items) => {
            encoder.push(Header::Array(Some(items.len())))?;
            items.iter().try_for_each(|item| push(item, encoder))
        }
        Value::Object(members) => {
            encoder.push(Header::Map(Some(members.len())))?;
            members.iter().try_for_each(|(name, member)| {
                encoder.text(name.as_str(), None)?;
                push(member, encoder)
            })
        }
    }
}

/// A negative number is kept as its distance from -1, which is what is left when all its bits are turned.
fn integer(number: i64) -> Header {
    match u64::try_from(number) {
        Ok(number) => Header::Positive(number),
        Err(_) => Header::Negative(!number.cast_unsigned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ciborium::Value as Read;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use vrl::value::ObjectMap;

    fn read(bytes: &[u8]) -> Read {
        let mut rest = bytes;
        let item = ciborium::from_reader(&mut rest).unwrap();
        assert!(rest.is_empty(), "one item and nothing behind it");
        item
    }

    /// What another reader should find.
    fn expected(value: &Value) -> Read {
        match value {
            Value::Null => Read::Null,
            Value::Boolean(value) => Read::Bool(*value),
            Value::Integer(number) => Read::Integer((*number).into()),
            Value::Float(number) => Read::Float(number.into_inner()),
            Value::Bytes(bytes) => match String::from_utf8(bytes.to_vec()) {
                Ok(text) => Read::Text(text),
                Err(_) => Read::Bytes(bytes.to_vec()),
            },
            Value::Regex(_) => Read::Text(value.to_string_lossy().into_owned()),
            Value::Timestamp(_) => Read::Tag(0, Box::new(Read::Text(value.to_string_lossy().into_owned()))),
            Value::Array(items) => Read::Array(items.iter().map(expected).collect()),
            Value::Object(members) => {
                Read::Map(members.iter().map(|(name, member)| (Read::Text(name.to_string()), expected(member))).collect())
            }
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-300_i64..300).prop_map(Value::from),
            any::<f64>().prop_map(Value::from_f64_or_zero),
            Just(Value::from_f64_or_zero(f64::INFINITY)),
            "\\PC{0,40}".prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Bytes(bytes.into())),
        ];
        leaf.prop_recursive(4, 64, 30, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..30).prop_map(Value::Array),
                prop::collection::btree_map("\\PC{0,30}", inner, 0..6).prop_map(object),
            ]
        })
    }

    fn object(members: BTreeMap<String, Value>) -> Value {
        Value::Object(members.into_iter().map(|(name, member)| (name.into(), member)).collect::<ObjectMap>())
    }

    #[test]
    fn the_ends_of_the_integers_are_kept() {
        for number in [0, 23, 24, -1, -24, -25, i64::MIN, i64::MAX] {
            assert_eq!(read(&write(&Value::from(number))), Read::Integer(number.into()), "{number}");
        }
        assert_eq!(write(&Value::from(-500)), [0x39, 0x01, 0xf3], "as in RFC 8949");
    }

    #[test]
    fn an_object_is_a_map_of_text_keys() {
        let members = [("b", Value::from("ä")), ("a", Value::Array(vec![Value::Null, Value::from(1)]))];
        let value = object(members.map(|(name, member)| (name.to_owned(), member)).into());
        assert_eq!(write(&value), b"\xa2\x61a\x82\xf6\x01\x61b\x62\xc3\xa4");
    }

    #[test]
    fn times_are_tagged_text_and_bytes_that_are_no_text_stay_bytes() {
        let time = Value::Timestamp(std::time::SystemTime::UNIX_EPOCH.into());
        assert_eq!(read(&write(&time)), Read::Tag(0, Box::new(Read::Text("1970-01-01T00:00:00Z".to_owned()))));
        assert_eq!(read(&write(&Value::Bytes(vec![0xff].into()))), Read::Bytes(vec![0xff]));
    }

    proptest! {
        #[test]
        fn what_another_reader_finds_is_the_same(value in any_value()) {
            prop_assert_eq!(read(&write(&value)), expected(&value));
        }
    }
}
