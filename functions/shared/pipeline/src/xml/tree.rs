//! The elements of a document as they open and close, and the objects that they become.

use domain::limits::MAX_JSON_DEPTH;
use quick_xml::XmlVersion;
use quick_xml::events::BytesStart;
use vrl::value::{KeyString, ObjectMap, Value};

use super::characters::{is_character, is_name};
use super::{XmlFault, trimmed};

/// What an element of the root is called that is an event of its own.
const RECORD: &str = "record";

/// The member that holds text beside other members.
const TEXT: &str = "#text";

/// Elements within each other. A root of records and a text are no levels of an object; what lies deeper is too deep whatever it is.
const MAX_OPEN: usize = MAX_JSON_DEPTH + 2;

/// Records of one document. Ours: they keep its partition key, and a shard of Kinesis takes as many in a second
/// (<https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>).
const MAX_RECORDS: usize = 1_000;

/// A document as far as it is read.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The elements that are open, the root first.
    open: Vec<Element>,
    records: Vec<Value>,
    /// Where something stands in the root that is no record, its attributes left out.
    beside_records: Option<usize>,
    is_closed: bool,
}

/// An element that is open.
#[derive(Debug)]
struct Element {
    name: String,
    at: usize,
    members: ObjectMap,
    /// Its text, one piece between two child elements.
    pieces: Vec<String>,
}

impl Tree {
    /// Takes the start of an element.
    pub(super) fn open(&mut self, at: usize, start: &BytesStart<'_>) -> Result<(), XmlFault> {
        if self.is_closed {
            return Err(outside_root(at));
        }
        if self.open.len() == MAX_OPEN {
            return Err(too_deep(at));
        }
        let tag = start.name();
        let name: &str = tag.as_ref();
        if !is_name(name) {
            return Err(XmlFault::new(at, format!("expected the name of an element, got {name:?}")));
        }
        if self.open.len() == 1 && name != RECORD {
            self.beside_records.get_or_insert(at);
        }
        let members = attributes(at, start)?;
        if let Some(parent) = self.open.last_mut() {
            parent.end_piece();
        }
        self.open.push(Element { name: name.to_owned(), at, members, pieces: Vec::new() });
        Ok(())
    }

    /// Takes a piece of text, or a part of one.
    pub(super) fn text(&mut self, at: usize, part: &str) -> Result<(), XmlFault> {
        let is_blank = trimmed(part).is_empty();
        if self.open.len() == 1 && !is_blank {
            self.beside_records.get_or_insert(at);
        }
        match self.open.last_mut() {
            Some(element) => element.add_text(part),
            None if is_blank => {}
            None => return Err(outside_root(at)),
        }
        Ok(())
    }

    /// Takes the end of the element that was opened last.
    pub(super) fn close(&mut self) -> Result<(), XmlFault> {
        let Some(element) = self.open.pop() else { return Ok(()) };
        let is_in_root = self.open.len() == 1;
        match self.open.last_mut() {
            Some(_) if is_in_root && element.name == RECORD => self.keep(element),
            Some(parent) => {
                parent.add_child(element);
                Ok(())
            }
            None => self.close_root(element),
        }
    }

    /// Takes the end of the document.
    pub(super) fn finish(self, at: usize) -> Result<Vec<Value>, XmlFault> {
        match self.open.last() {
            Some(element) => Err(XmlFault::new(element.at, format!("expected an end of the element {}, got none", element.name))),
            None if self.is_closed => Ok(self.records),
            None => Err(XmlFault::new(at, "expected an element, got none")),
        }
    }

    fn close_root(&mut self, root: Element) -> Result<(), XmlFault> {
        self.is_closed = true;
        match self.beside_records {
            _ if self.records.is_empty() => self.keep(root),
            Some(at) => Err(XmlFault::new(at, "expected nothing else beside elements called record, got more")),
            None => Ok(()),
        }
    }

    fn keep(&mut self, element: Element) -> Result<(), XmlFault> {
        let at = element.at;
        if self.records.len() == MAX_RECORDS {
            return Err(XmlFault::new(at, format!("expected at most {MAX_RECORDS} records, got more")));
        }
        let record = Value::Object(element.into_object());
        if levels(&record) > MAX_JSON_DEPTH {
            return Err(too_deep(at));
        }
        self.records.push(record);
        Ok(())
    }
}

impl Element {
    fn end_piece(&mut self) {
        if self.pieces.last().is_some_and(|piece| !piece.is_empty()) {
            self.pieces.push(String::new());
        }
    }

    fn add_text(&mut self, part: &str) {
        match self.pieces.last_mut() {
            Some(piece) => piece.push_str(part),
            None => self.pieces.push(part.to_owned()),
        }
    }

    /// A second child of a name makes an array of both: no other member is one.
    fn add_child(&mut self, child: Self) {
        let name = KeyString::from(child.name.as_str());
        let value = child.into_value();
        match self.members.get_mut(&name) {
            Some(Value::Array(values)) => values.push(value),
            Some(first) => {
                let values = vec![std::mem::replace(first, Value::Null), value];
                *first = Value::Array(values);
            }
            None => {
                self.members.insert(name, value);
            }
        }
    }

    fn into_value(self) -> Value {
        if self.members.is_empty() { Value::from(self.pieces.concat()) } else { Value::Object(self.into_object()) }
    }

    fn into_object(self) -> ObjectMap {
        let mut members = self.members;
        let pieces: Vec<&str> = self.pieces.iter().map(|piece| trimmed(piece)).filter(|piece| !piece.is_empty()).collect();
        if !pieces.is_empty() {
            members.insert(TEXT.into(), Value::from(pieces.join(" ")));
        }
        members
    }
}

/// The attributes of an element, as members.
fn attributes(at: usize, start: &BytesStart<'_>) -> Result<ObjectMap, XmlFault> {
    let mut members = ObjectMap::new();
    // Looks for duplicates in the square of the time; the map does so in less.
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| XmlFault::new(at, format!("expected attributes: {error}")))?;
        let name: &str = attribute.key.as_ref();
        if !is_name(name) {
            return Err(XmlFault::new(at, format!("expected the name of an attribute, got {name:?}")));
        }
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|error| XmlFault::new(at, format!("expected a value of the attribute {name}: {error}")))?;
        if attribute.value.contains('<') || !value.chars().all(is_character) {
            return Err(XmlFault::new(at, format!("expected a value of the attribute {name}, got characters that are none of XML or a <")));
        }
        if members.insert(format!("@{name}").into(), Value::from(&*value)).is_some() {
            return Err(XmlFault::new(at, format!("expected the attribute {name} once, got it twice")));
        }
    }
    Ok(members)
}

/// How deep objects and arrays lie within each other.
fn levels(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(levels).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(levels).max().unwrap_or(0),
        _ => 0,
    }
}

fn too_deep(at: usize) -> XmlFault {
    XmlFault::new(at, format!("nested deeper than {MAX_JSON_DEPTH} levels"))
}

fn outside_root(at: usize) -> XmlFault {
    XmlFault::new(at, "expected one root element and nothing outside it, got more")
}
