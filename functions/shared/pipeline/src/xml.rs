//! From an XML document to the objects that processors work on.
//!
//! Each child element of the root that is called `record` becomes one object; a root without any becomes one itself. What stands in an element
//! becomes members of its object:
//!
//! - a child element becomes a member of its name, prefix and all; one that is repeated becomes an array, in the order of the document;
//! - an attribute becomes a member of its name behind an `@`;
//! - text beside attributes or child elements becomes the member `#text`: without the white space around it, its pieces joined by one space, and
//!   left out when there is nothing else;
//! - an element that has text alone becomes that text as it is, and an empty one the empty text. A record is always an object: one with text
//!   alone is `{"#text": "…"}`, and an empty one `{}`.
//!
//! CDATA is text. Comments and processing instructions are skipped. What stands for a character (`&lt;`, `&#228;`) becomes it. Everything is
//! text: XML has no numbers.
//!
//! Nothing else is taken: no `DOCTYPE` (and so no other entities), no encoding but UTF-8, nothing beside the records of a root but its own
//! attributes, which are left out.

mod characters;
mod tree;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesDecl, BytesRef, Event};
use vrl::value::Value;

use self::characters::{is_character, is_white_space};
use self::tree::Tree;

/// The longest message of a fault, in characters: it may name what stands in the document.
const MAX_MESSAGE: usize = 200;

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at byte {at}")]
pub struct XmlFault {
    /// What was expected and what was got.
    pub message: String,
    /// Where, in bytes from the start of the document.
    pub at: usize,
}

impl XmlFault {
    fn new(at: usize, message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self { message: message.chars().take(MAX_MESSAGE).collect(), at }
    }
}

/// Reads a document: one object a record, in order.
///
/// # Errors
/// The first fault found. Nothing of such a document is given.
pub fn read(document: &[u8]) -> Result<Vec<Value>, XmlFault> {
    let text = std::str::from_utf8(document).map_err(|error| XmlFault::new(error.valid_up_to(), "expected UTF-8, got other bytes"))?;
    let content = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mark = text.len() - content.len();
    read_text(content).map_err(|fault| XmlFault { at: fault.at + mark, ..fault })
}

fn read_text(text: &str) -> Result<Vec<Value>, XmlFault> {
    if let Some((at, found)) = text.char_indices().find(|(_, letter)| !is_character(*letter)) {
        return Err(XmlFault::new(at, format!("expected characters of XML, got U+{:04X}", u32::from(found))));
    }
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    config.check_comments = true;
    let mut tree = Tree::default();
    loop {
        let at = place(reader.buffer_position());
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => return Err(XmlFault::new(place(reader.error_position()), error.to_string())),
        };
        match event {
            Event::Start(start) => tree.open(at, &start)?,
            Event::End(_) => tree.close()?,
            Event::Text(text) => tree.text(at, &text.xml10_content())?,
            Event::CData(text) => tree.text(at, &text.xml10_content())?,
            Event::GeneralRef(reference) => tree.text(at, &resolve(at, &reference)?)?,
            Event::Decl(declaration) => check_declaration(at, &declaration)?,
            Event::DocType(_) => return Err(XmlFault::new(at, "expected no DOCTYPE, got one")),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Empty(_) => return Err(XmlFault::new(at, "expected a start and an end of every element")),
            Event::Eof => return tree.finish(at),
        }
    }
}

/// Positions lie within a slice.
fn place(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// The text that a reference stands for.
fn resolve(at: usize, reference: &BytesRef<'_>) -> Result<String, XmlFault> {
    let unknown = || XmlFault::new(at, format!("expected a character or one of lt, gt, amp, apos, quot, got &{};", &**reference));
    let character = reference.resolve_char_ref().map_err(|_| unknown())?;
    match character {
        Some(character) if is_character(character) => Ok(character.to_string()),
        Some(_) => Err(unknown()),
        None => resolve_predefined_entity(reference).map(str::to_owned).ok_or_else(unknown),
    }
}

fn check_declaration(at: usize, declaration: &BytesDecl<'_>) -> Result<(), XmlFault> {
    if at > 0 {
        return Err(XmlFault::new(at, "expected the XML declaration at the very start, got it later"));
    }
    declaration.xml_version().map_err(|error| XmlFault::new(at, error.to_string()))?;
    match declaration.encoding().transpose().map_err(|error| XmlFault::new(at, error.to_string()))? {
        Some(encoding) if !encoding.eq_ignore_ascii_case("utf-8") => {
            Err(XmlFault::new(at, format!("expected the encoding UTF-8, got {encoding:?}")))
        }
        _ => Ok(()),
    }
}

/// Text without the white space around it.
fn trimmed(text: &str) -> &str {
    text.trim_matches(is_white_space)
}

#[cfg(test)]
mod tests;
