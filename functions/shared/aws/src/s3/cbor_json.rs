//! From one CBOR item to JSON text.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ciborium_ll::{Decoder, Header, simple};

/// Writes an item as JSON: byte strings as their base64 text, what is tagged without its tag, keys that are no text as the text of what they
/// are, and numbers that JSON does not have as `null`.
///
/// Returns `None` for what is no item after all. An item must not nest deeper than the stack is.
pub(super) fn json_of(item: &[u8]) -> Option<String> {
    let mut json = String::with_capacity(item.len() + item.len() / 4);
    let mut reader = Reader { rest: item };
    let header = reader.header()?;
    reader.value(header, &mut json)?;
    reader.rest.is_empty().then_some(json)
}

struct Reader<'i> {
    rest: &'i [u8],
}

impl<'i> Reader<'i> {
    fn header(&mut self) -> Option<Header> {
        let mut decoder = Decoder::from(self.rest);
        let header = decoder.pull().ok()?;
        self.rest = self.rest.get(decoder.offset()..)?;
        Some(header)
    }

    /// Reads the rest of an item whose head was read.
    fn value(&mut self, header: Header, json: &mut String) -> Option<()> {
        match header {
            Header::Positive(number) => json.push_str(&number.to_string()),
            Header::Negative(number) => json.push_str(&(-1 - i128::from(number)).to_string()),
            Header::Float(number) if number.is_finite() => json.push_str(&serde_json::to_string(&number).ok()?),
            Header::Float(_) => json.push_str("null"),
            Header::Simple(simple::FALSE) => json.push_str("false"),
            Header::Simple(simple::TRUE) => json.push_str("true"),
            Header::Simple(_) => json.push_str("null"),
            Header::Tag(_) => {
                let content = self.header()?;
                self.value(content, json)?;
            }
            Header::Bytes(length) => json.push_str(&quoted(&BASE64_STANDARD.encode(self.string(length, length_of_bytes)?))?),
            Header::Text(length) => json.push_str(&quoted(std::str::from_utf8(&self.string(length, length_of_text)?).ok()?)?),
            Header::Array(count) => {
                json.push('[');
                self.items(count, |reader, header, is_first| {
                    if !is_first {
                        json.push(',');
                    }
                    reader.value(header, json)
                })?;
                json.push(']');
            }
            Header::Map(count) => {
                json.push('{');
                self.items(count, |reader, header, is_first| {
                    if !is_first {
                        json.push(',');
                    }
                    json.push_str(&reader.key(header)?);
                    json.push(':');
                    let member = reader.header()?;
                    reader.value(member, json)
                })?;
                json.push('}');
            }
            Header::Break => return None,
        }
        Some(())
    }

    /// Reads a key, which JSON has as text only. None that holds others: each level would double what is quoted in it.
    fn key(&mut self, header: Header) -> Option<String> {
        if matches!(header, Header::Map(_) | Header::Array(_) | Header::Tag(_)) {
            return None;
        }
        let mut json = String::new();
        self.value(header, &mut json)?;
        if json.starts_with('"') { Some(json) } else { quoted(&json) }
    }

    /// Reads so many items, or those up to a break.
    fn items(&mut self, count: Option<usize>, mut read: impl FnMut(&mut Self, Header, bool) -> Option<()>) -> Option<()> {
        let mut number = 0;
        while count != Some(number) {
            match self.header()? {
                Header::Break if count.is_none() => break,
                header => read(self, header, number == 0)?,
            }
            number += 1;
        }
        Some(())
    }

    /// Reads a string, whole or in pieces of its own kind.
    fn string(&mut self, length: Option<usize>, length_of_piece: fn(Header) -> Option<usize>) -> Option<Vec<u8>> {
        if let Some(length) = length {
            return self.take(length).map(<[u8]>::to_vec);
        }
        let mut whole = Vec::new();
        loop {
            match self.header()? {
                Header::Break => return Some(whole),
                header => whole.extend_from_slice(self.take(length_of_piece(header)?)?),
            }
        }
    }

    fn take(&mut self, length: usize) -> Option<&'i [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

fn length_of_bytes(header: Header) -> Option<usize> {
    if let Header::Bytes(length) = header { length } else { None }
}

fn length_of_text(header: Header) -> Option<usize> {
    if let Header::Text(length) = header { length } else { None }
}

fn quoted(text: &str) -> Option<String> {
    serde_json::to_string(text).ok()
}
