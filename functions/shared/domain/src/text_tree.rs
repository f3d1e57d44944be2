//! JSON or YAML as a tree in which everything knows its place, so that a fault can be named by line and column.

use std::collections::HashMap;
use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Number, Value};

use crate::spelling::{Quotes, Spelling};

/// The deepest nesting of a document. Ours.
const MAX_DEPTH: usize = 64;

/// The most values in a document, those that aliases repeat included. Ours: a document of 4 MiB with many small values.
const MAX_NODES: usize = 100_000;

/// Where something stands in a text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.line, self.column)
    }
}

impl From<Span> for Place {
    fn from(span: Span) -> Self {
        Self { line: span.start.line(), column: span.start.col() + 1 }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub content: Content,
    /// How it was written, if it is a text that was read.
    pub spelling: Option<Box<Spelling>>,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// `null`, a truth value, a number or a text.
    Scalar(Value),
    /// Values in order.
    List(Vec<Node>),
    /// Members in order, also when a name comes twice.
    Map(Vec<Member>),
}

/// A member of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Where its name stands.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Node,
}

/// A text that is neither JSON nor YAML, or asks for what we do not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} {message}")]
pub struct BadText {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
}

impl Node {
    /// Reads a text. An empty one is an empty map.
    ///
    /// # Errors
    /// The first fault: what follows it has no certain meaning.
    pub fn parse(text: &str) -> Result<Self, BadText> {
        let text = with_whole_characters(text.strip_prefix('\u{feff}').unwrap_or(text));
        let mut builder = Builder { source: Source { rest: &text, at: 0 }, ..Builder::default() };
        for event in Parser::new_from_str(&text) {
            let (event, span) = event.map_err(|error| {
                let marker = error.marker();
                let message = error.info().to_owned();
                BadText { place: Place { line: marker.line(), column: marker.col() + 1 }, message }
            })?;
            builder.take(event, span)?;
        }
        let empty = Node::new(Place { line: 1, column: 1 }, Content::Map(Vec::new()));
        Ok(builder.root.filter(|root| root.content != Content::Scalar(Value::Null)).unwrap_or(empty))
    }

    /// A value that stands there.
    pub fn new(place: Place, content: Content) -> Self {
        Self { place, content, spelling: None }
    }

    /// The text that it is, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Where the character at a byte of its text stands. What was not read from a text stands at one place.
    pub fn place_in(&self, offset: usize) -> Place {
        match (&self.spelling, self.text()) {
            (Some(spelling), Some(text)) => spelling.place_of(text, offset),
            _ => self.place,
        }
    }

    /// The value without places. Of members that come twice the last one counts.
    pub fn value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => Value::Array(items.iter().map(Node::value).collect()),
            Content::Map(members) => {
                Value::Object(members.iter().map(|member| (member.name.clone(), member.value.value())).collect::<Map<_, _>>())
            }
        }
    }

    /// What stands at a path of names and indexes, if something does.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        let next = match &self.content {
            Content::Map(members) => members.iter().rev().find(|member| member.name == *first).map(|member| &member.value),
            Content::List(items) => first.parse::<usize>().ok().and_then(|index| items.get(index)),
            Content::Scalar(_) => None,
        };
        next.and_then(|next| next.at(rest))
    }
}

impl Node {
    /// What stands at an RFC 6901 pointer, or the nearest around it that does.
    pub fn near(&self, pointer: &str) -> &Node {
        let names: Vec<String> = pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
        let path: Vec<&str> = names.iter().map(String::as_str).collect();
        self.nearest(&path)
    }

    /// What stands at a path of names and indexes, or the nearest around it that does.
    pub fn nearest(&self, path: &[&str]) -> &Node {
        (0..=path.len()).rev().find_map(|length| self.at(&path[..length])).unwrap_or(self)
    }

    /// The members of a map, in order.
    pub fn members(&self) -> &[Member] {
        match &self.content {
            Content::Map(members) => members,
            _ => &[],
        }
    }

    /// The values of a list, in order.
    pub fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }
}

/// The text that is read, from the last scalar on. Characters are counted once.
#[derive(Default)]
struct Source<'t> {
    rest: &'t str,
    at: usize,
}

impl<'t> Source<'t> {
    /// What is written from one character to another. Scalars come in the order of the text.
    fn written(&mut self, span: Span) -> Option<&'t str> {
        let (start, end) = (span.start.index(), span.end.index());
        let byte = |text: &str, characters: usize| text.char_indices().nth(characters).map_or(text.len(), |(byte, _)| byte);
        self.rest = &self.rest[byte(self.rest, start.checked_sub(self.at)?)..];
        self.at = start;
        Some(&self.rest[..byte(self.rest, end.checked_sub(start)?)])
    }
}

/// JSON writes a character beyond U+FFFF as two escapes; YAML, of which JSON is otherwise a part, as one.
fn with_whole_characters(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.find("\\u") {
        let (before, escape) = rest.split_at(found);
        whole.push_str(before);
        let unit = |at: usize| escape.get(at..at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let is_escaped_backslash = before.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
        let pair = match (unit(2), escape.get(6..8), unit(8)) {
            (Some(high @ 0xD800..0xDC00), Some("\\u"), Some(low @ 0xDC00..0xE000)) if !is_escaped_backslash => {
                Some(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
            }
            _ => None,
        };
        rest = match pair {
            Some(code) => {
                whole.push_str(&format!("\\U{code:08X}"));
                &escape[12..]
            }
            None => {
                whole.push_str("\\u");
                &escape[2..]
            }
        };
    }
    whole.push_str(rest);
    whole
}

#[derive(Default)]
struct Builder<'t> {
    source: Source<'t>,
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    documents: usize,
}

/// A list or a map that has not ended.
struct Open {
    place: Place,
    anchor: usize,
    container: Container,
}

enum Container {
    List(Vec<Node>),
    Map { members: Vec<Member>, name: Option<(String, Place)> },
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), BadText> {
        let place = Place::from(span);
        let bad = |message: &str| Err(BadText { place, message: message.to_owned() });
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return bad("expected one document, got another one");
                }
            }
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                return bad("expected no tag");
            }
            Event::Scalar(text, style, anchor, None) => {
                let value = if style == ScalarStyle::Plain { plain(&text) } else { Value::String(text.into_owned()) };
                let quotes = match style {
                    ScalarStyle::SingleQuoted => Quotes::Single,
                    ScalarStyle::DoubleQuoted => Quotes::Double,
                    ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => Quotes::None,
                };
                let written = self.source.written(span).filter(|_| value.is_string());
                let spelling = written.map(|written| Box::new(Spelling::new(place, written, quotes)));
                self.finish(Node { place, content: Content::Scalar(value), spelling }, anchor)?;
            }
            Event::SequenceStart(anchor, None) => self.begin(place, anchor, Container::List(Vec::new()))?,
            Event::MappingStart(anchor, None) => self.begin(place, anchor, Container::Map { members: Vec::new(), name: None })?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { place, anchor, container }) = self.open.pop() {
                    let content = match container {
                        Container::List(items) => Content::List(items),
                        Container::Map { members, .. } => Content::Map(members),
                    };
                    self.finish(Node::new(place, content), anchor)?;
                }
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else { return bad("expected an alias of something before it") };
                self.nodes += count(&node);
                // What it repeats stands elsewhere.
                self.finish(Node { place, content: node.content, spelling: None }, 0)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn begin(&mut self, place: Place, anchor: usize, container: Container) -> Result<(), BadText> {
        if let Some(Open { container: Container::Map { name: None, .. }, .. }) = self.open.last() {
            return Err(BadText { place, message: "expected a text as the name of a field".to_owned() });
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(BadText { place, message: format!("expected a nesting of at most {MAX_DEPTH} levels") });
        }
        self.open.push(Open { place, anchor, container });
        Ok(())
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), BadText> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(BadText { place: node.place, message: format!("expected at most {MAX_NODES} values") });
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.container) {
            None => self.root = Some(node),
            Some(Container::List(items)) => items.push(node),
            Some(Container::Map { members, name }) => match name.take() {
                Some((name, place)) => members.push(Member { place, name, value: node }),
                None => *name = Some((field_name(&node)?, node.place)),
            },
        }
        Ok(())
    }
}

fn field_name(node: &Node) -> Result<String, BadText> {
    match &node.content {
        Content::Scalar(Value::String(text)) => Ok(text.clone()),
        // `1:` and `true:` are texts where only a text can be meant.
        Content::Scalar(value) => Ok(value.to_string()),
        _ => Err(BadText { place: node.place, message: "expected a text as the name of a field".to_owned() }),
    }
}

fn count(node: &Node) -> usize {
    match &node.content {
        Content::Scalar(_) => 1,
        Content::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Content::Map(members) => 1 + members.iter().map(|member| count(&member.value)).sum::<usize>(),
    }
}

/// A scalar without quotes, by the core schema of YAML 1.2 (<https://yaml.org/spec/1.2.2/#103-core-schema>).
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    let with_radix = |prefix: &str, radix: u32| text.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(digits, radix).ok());
    if let Some(number) = with_radix("0x", 16).or_else(|| with_radix("0o", 8)) {
        return Some(number.into());
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
        && digits.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    if !is_number {
        return None;
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let integer = unsigned.parse::<u64>().map(Number::from).or_else(|_| unsigned.parse::<i64>().map(Number::from));
    integer.ok().or_else(|| unsigned.parse::<f64>().ok().and_then(Number::from_f64))
}

#[cfg(test)]
mod tests;
