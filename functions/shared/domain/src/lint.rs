//! What is wrong with a document, all of it at once, by line and column of the text as posted.
//!
//! The shape of a document comes from its types, through their JSON Schema, so that nothing is said twice.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::formats::format_fault;
use crate::text_tree::{Content, Member, Node, Place};

/// Faults that are told; who has more will find the rest with the next try.
pub(crate) const MAX_FAULTS: usize = 100;

/// Characters of a caller's own words that are repeated to it.
const MAX_ECHO: usize = 60;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What was expected and what was got.
    pub message: String,
    /// Whether it can be overlooked.
    pub weight: Weight,
}

/// How much a fault matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// The document can be used without what is wrong: a field that nobody knows.
    Light,
    /// It cannot.
    Heavy,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.place, self.message)
    }
}

/// Compares documents with a JSON Schema, as far as schemas of our own types go: objects, lists, scalars, choices, and their bounds.
#[derive(Debug)]
pub struct Linter {
    schema: Value,
}

/// Collects what one document has wrong.
struct Visit<'l> {
    schema: &'l Value,
    faults: Vec<Fault>,
}

impl Linter {
    /// Checks against a schema whose references lead to its own `$defs`.
    pub fn new(schema: Value) -> Self {
        Self { schema }
    }

    /// The schema itself.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// Names everything that is wrong with a document, in its order.
    pub fn faults(&self, document: &Node) -> Vec<Fault> {
        let mut visit = Visit { schema: &self.schema, faults: repeated_fields(document) };
        visit.node(document, &self.schema);
        visit.faults.sort_by_key(|fault| fault.place);
        visit.faults.truncate(MAX_FAULTS);
        visit.faults
    }

    /// The document's value without the fields that the schema does not know.
    pub fn known_part(&self, document: &Node) -> Value {
        let mut value = document.value();
        prune(&mut value, &self.schema, &self.schema);
        value
    }
}

/// Names every field that is given twice in one map, wherever that is.
pub fn repeated_fields(document: &Node) -> Vec<Fault> {
    let mut faults = Vec::new();
    note_repeated(document, &mut faults);
    faults
}

fn note_repeated(node: &Node, faults: &mut Vec<Fault>) {
    match &node.content {
        Content::Map(members) => {
            let mut seen = HashSet::new();
            for Member { place, name, value } in members {
                if !seen.insert(name) && faults.len() < MAX_FAULTS {
                    faults.push(Fault { place: *place, message: format!("field {} is given twice", echo(name)), weight: Weight::Heavy });
                }
                note_repeated(value, faults);
            }
        }
        Content::List(items) => items.iter().for_each(|item| note_repeated(item, faults)),
        Content::Scalar(_) => {}
    }
}

impl Visit<'_> {
    fn fault(&mut self, place: Place, weight: Weight, message: String) {
        self.faults.push(Fault { place, message, weight });
    }

    fn node(&mut self, node: &Node, schema: &Value) {
        if let Some(variants) = variants(schema, self.schema) {
            return self.variant(node, &variants);
        }
        let schema = chosen(schema, self.schema, node);
        let Some(kinds) = kinds_of(schema) else { return };
        let got = kind(node);
        if got == "null" && kinds.contains(&"null") {
            return;
        }
        if !kinds.iter().any(|expected| is_a(node, expected)) {
            let expected: Vec<&str> = kinds.into_iter().filter(|kind| *kind != "null").collect();
            return self.fault(node.place, Weight::Heavy, format!("expected {} value, got {got}", expected.join(" or ")));
        }
        match &node.content {
            Content::Map(members) => self.map(node.place, members, schema),
            Content::List(items) => self.list(node.place, items, schema),
            Content::Scalar(value) => self.scalar(node.place, value, schema),
        }
    }

    /// An object with one member, which says what the object is.
    fn variant(&mut self, node: &Node, variants: &[(&str, &Value)]) {
        let Content::Map(members) = &node.content else {
            return self.fault(node.place, Weight::Heavy, format!("expected object value, got {}", kind(node)));
        };
        let known: Vec<&str> = variants.iter().map(|(name, _)| *name).collect();
        if members.len() != 1 {
            let got: Vec<String> = members.iter().map(|member| echo(&member.name)).take(variants.len() + 1).collect();
            let got = if got.is_empty() { "none".to_owned() } else { got.join(", ") };
            self.fault(node.place, Weight::Heavy, format!("expected exactly one of: {}; got {got}", known.join(", ")));
        }
        for Member { place, name, value } in members {
            match variants.iter().find(|(known, _)| known == name) {
                Some((_, schema)) => self.node(value, schema),
                None => {
                    let guess = nearest(name, known.iter()).map(|guess| format!("did you mean {guess}?"));
                    let hint = guess.unwrap_or_else(|| format!("expected one of: {}", known.join(", ")));
                    self.fault(*place, Weight::Heavy, format!("field {} not recognised, {hint}", echo(name)));
                }
            }
        }
    }

    fn map(&mut self, place: Place, members: &[Member], schema: &Value) {
        let known = schema["properties"].as_object();
        let others = schema.get("additionalProperties");
        for Member { place, name, value } in members {
            match (known.and_then(|known| known.get(name)), others) {
                (Some(schema), _) if is_forbidden(schema) => {
                    let why = schema["description"].as_str().unwrap_or("not allowed");
                    self.fault(*place, Weight::Heavy, why.to_owned());
                }
                (Some(schema), _) => self.node(value, schema),
                (None, Some(Value::Bool(false))) => {
                    let guess = known.and_then(|known| nearest(name, known.keys())).map(|guess| format!(", did you mean {guess}?"));
                    self.fault(*place, Weight::Light, format!("field {} not recognised{}", echo(name), guess.unwrap_or_default()));
                }
                (None, Some(schema @ Value::Object(_))) => self.node(value, schema),
                (None, _) => {}
            }
        }
        for required in texts(&schema["required"]).filter(|required| members.iter().all(|member| member.name != *required)) {
            self.fault(place, Weight::Heavy, format!("field {required} is required"));
        }
    }

    fn list(&mut self, place: Place, items: &[Node], schema: &Value) {
        if let Some(bound) = out_of_bounds(items.len() as f64, &schema["minItems"], &schema["maxItems"]) {
            self.fault(place, Weight::Heavy, format!("expected {bound} items, got {}", items.len()));
        }
        if let Some(schema) = schema.get("items") {
            items.iter().for_each(|item| self.node(item, schema));
        }
    }

    fn scalar(&mut self, place: Place, value: &Value, schema: &Value) {
        if let Some(options) = schema["enum"].as_array()
            && !options.contains(value)
        {
            let options: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
            let guess = value.as_str().and_then(|text| nearest(text, options.iter())).map(|guess| format!(", did you mean {guess}?"));
            let message = format!("value {} is not a valid option, expected one of: {}", shown(value), options.join(", "));
            self.fault(place, Weight::Heavy, message + &guess.unwrap_or_default());
        }
        if let Some(number) = value.as_f64()
            && let Some(bound) = out_of_bounds(number, &schema["minimum"], &schema["maximum"])
        {
            self.fault(place, Weight::Heavy, format!("expected {bound}, got {value}"));
        }
        if let Some(text) = value.as_str() {
            let length = text.chars().count();
            if let Some(bound) = out_of_bounds(length as f64, &schema["minLength"], &schema["maxLength"]) {
                self.fault(place, Weight::Heavy, format!("expected {bound} characters, got {length}"));
            } else if let Some(fault) = schema["format"].as_str().and_then(|format| format_fault(format, text)) {
                self.fault(place, Weight::Heavy, fault);
            }
        }
    }
}

/// The alternatives of a value that is an object with one member: the member's name, and what it holds.
fn variants<'s>(schema: &'s Value, root: &'s Value) -> Option<Vec<(&'s str, &'s Value)>> {
    if let Some(reference) = schema["$ref"].as_str() {
        return variants(root.pointer(reference.strip_prefix('#')?)?, root);
    }
    let one_member = |alternative: &'s Value| {
        let mut properties = alternative["properties"].as_object()?.iter();
        let (name, held) = properties.next()?;
        let is_alone = properties.next().is_none() && texts(&alternative["required"]).eq([name.as_str()]);
        is_alone.then_some((name.as_str(), held))
    };
    schema["oneOf"].as_array()?.iter().map(one_member).collect()
}

/// What no value at all matches: a field that is known and cannot be used.
fn is_forbidden(schema: &Value) -> bool {
    schema["not"].as_object().is_some_and(Map::is_empty)
}

/// Follows references, and chooses among alternatives the one that the value is meant to be.
fn chosen<'s>(schema: &'s Value, root: &'s Value, node: &Node) -> &'s Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let found = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return found.map_or(schema, |found| chosen(found, root, node));
    }
    let Some(alternatives) = ["oneOf", "anyOf"].iter().find_map(|word| schema[*word].as_array()) else { return schema };
    let is_null = kind(node) == "null";
    let alternatives = alternatives.iter().map(|alternative| chosen(alternative, root, node));
    let mut candidates = alternatives.filter(|one| is_null || one["type"] != "null");
    let fitting = candidates.clone().find(|one| kinds_of(one).is_some_and(|kinds| kinds.iter().any(|kind| is_a(node, kind))));
    fitting.or_else(|| candidates.next()).unwrap_or(schema)
}

/// Drops what no schema names. A chilled document means what is left.
fn prune(value: &mut Value, schema: &Value, root: &Value) {
    if let (Some(variants), Some(members)) = (variants(schema, root), value.as_object_mut()) {
        for (name, schema) in variants {
            members.entry(name).and_modify(|member| prune(member, schema, root));
        }
        return;
    }
    let schema = resolved(schema, root);
    match value {
        Value::Object(members) => {
            let none = Map::new();
            let known = schema["properties"].as_object().unwrap_or(&none);
            if schema["additionalProperties"] == Value::Bool(false) {
                members.retain(|name, _| known.get(name).is_some_and(|schema| !is_forbidden(schema)));
            }
            for (name, member) in members {
                if let Some(schema) = known.get(name) {
                    prune(member, schema, root);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prune(item, &schema["items"], root)),
        _ => {}
    }
}

fn resolved<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
    let target = schema["$ref"].as_str().and_then(|reference| root.pointer(reference.strip_prefix('#')?));
    let alternative = || {
        let alternatives = ["oneOf", "anyOf"].iter().find_map(|word| schema[*word].as_array())?;
        alternatives.iter().find(|one| one["type"] != "null")
    };
    match target.or_else(alternative) {
        Some(next) => resolved(next, root),
        None => schema,
    }
}

fn kinds_of(schema: &Value) -> Option<Vec<&str>> {
    match &schema["type"] {
        Value::String(kind) => Some(vec![kind]),
        Value::Array(kinds) => Some(kinds.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

fn kind(node: &Node) -> &'static str {
    match &node.content {
        Content::Map(_) => "object",
        Content::List(_) => "array",
        Content::Scalar(Value::Null) => "null",
        Content::Scalar(Value::Bool(_)) => "boolean",
        Content::Scalar(Value::Number(number)) if number.is_f64() => "number",
        Content::Scalar(Value::Number(_)) => "integer",
        Content::Scalar(_) => "string",
    }
}

fn is_a(node: &Node, expected: &str) -> bool {
    kind(node) == expected || (expected == "number" && kind(node) == "integer")
}

/// Says what was expected when a number is not within its bounds.
fn out_of_bounds(got: f64, least: &Value, most: &Value) -> Option<String> {
    let is_outside = least.as_f64().is_some_and(|least| got < least) || most.as_f64().is_some_and(|most| got > most);
    is_outside.then(|| match (least.as_f64(), most.as_f64()) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("at least {least}"),
        (_, most) => format!("at most {}", most.unwrap_or_default()),
    })
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The known word that was probably meant.
pub fn nearest<'w>(word: &str, known: impl Iterator<Item = impl AsRef<str> + 'w>) -> Option<String> {
    let word = word.to_lowercase();
    let scored = known.map(|known| (strsim::damerau_levenshtein(&word, known.as_ref()), known.as_ref().to_owned()));
    let nearest = scored.min_by_key(|(distance, _)| *distance)?;
    (nearest.0 <= 1 + nearest.1.len() / 4).then_some(nearest.1)
}

/// A caller's own words, cut.
fn echo(text: &str) -> String {
    text.chars().take(MAX_ECHO).collect()
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), echo)
}

#[cfg(test)]
mod tests;
