//! What is wrong with a document, all of it at once, by line and column of the text as posted.
//!
//! The shape of a document comes from its types, through their JSON Schema, so that nothing is said twice.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::text_tree::{Content, Member, Node, Place};

/// Faults that are told; who has more will find the rest with the next try.
const MAX_FAULTS: usize = 100;

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

    fn map(&mut self, place: Place, members: &[Member], schema: &Value) {
        let known = schema["properties"].as_object();
        let others = schema.get("additionalProperties");
        for Member { place, name, value } in members {
            match (known.and_then(|known| known.get(name)), others) {
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
            }
        }
    }
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
    let schema = resolved(schema, root);
    match value {
        Value::Object(members) => {
            let none = Map::new();
            let known = schema["properties"].as_object().unwrap_or(&none);
            if schema["additionalProperties"] == Value::Bool(false) {
                members.retain(|name, _| known.contains_key(name));
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
fn nearest<'w>(word: &str, known: impl Iterator<Item = impl AsRef<str> + 'w>) -> Option<String> {
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
mod tests {
    use super::*;
    use serde_json::json;

    fn linter() -> Linter {
        Linter::new(json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "maxLength": 5},
                "mode": {"$ref": "#/$defs/Mode"},
                "shards": {"type": ["integer", "null"], "minimum": 1, "maximum": 500},
                "ratio": {"type": "number"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "inner": {"oneOf": [{"type": "null"}, {"$ref": "#/$defs/Inner"}]},
                "list": {"type": "array", "items": {"$ref": "#/$defs/Inner"}, "maxItems": 2},
                "any": {}
            },
            "$defs": {
                "Mode": {"type": "string", "enum": ["provisioned", "on_demand"]},
                "Inner": {"type": "object", "additionalProperties": false, "properties": {"deep": {"type": "boolean"}}}
            }
        }))
    }

    fn faults(text: &str) -> Vec<String> {
        linter().faults(&Node::parse(text).unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_document_has_no_faults() {
        let text = "name: a\nmode: on_demand\nshards: null\nratio: 2\nlabels: {x: y}\ninner: {deep: true}\nlist: [{}, {deep: false}]\nany: [1, {}]";
        assert_eq!(faults(text), [""; 0]);
        assert_eq!(faults("name: a\ninner:\n"), [""; 0]);
    }

    #[test]
    fn every_fault_is_named_in_the_order_of_the_text() {
        let text = "nmae: x\nmode: on-demand\nshards: 501\nratio: a\nlabels: {x: 1}\ninner: {deap: 1, deep: 1}\nlist: [{}, 2, {}]\nname: toolong\nname: [1]\n";
        assert_eq!(
            faults(text),
            [
                "(1,1) field nmae not recognised, did you mean name?",
                "(2,7) value on-demand is not a valid option, expected one of: provisioned, on_demand, did you mean on_demand?",
                "(3,9) expected 1 to 500, got 501",
                "(4,8) expected number value, got string",
                "(5,13) expected string value, got integer",
                "(6,9) field deap not recognised, did you mean deep?",
                "(6,24) expected boolean value, got integer",
                "(7,7) expected at most 2 items, got 3",
                "(7,12) expected object value, got integer",
                "(8,7) expected at most 5 characters, got 7",
                "(9,1) field name is given twice",
                "(9,7) expected string value, got array",
            ]
        );
    }

    #[test]
    fn a_missing_field_stands_where_its_object_begins() {
        assert_eq!(faults("mode: provisioned"), ["(1,1) field name is required"]);
        assert_eq!(faults("[]"), ["(1,1) expected object value, got array"]);
    }

    #[test]
    fn only_unknown_fields_can_be_overlooked() {
        let tree = Node::parse("name: a\nnope: 1\ninner: {other: 2, deep: true}\nshards: 0\nany: {keep: 1}").unwrap();
        let linter = linter();
        let weights: Vec<Weight> = linter.faults(&tree).iter().map(|fault| fault.weight).collect();
        assert_eq!(weights, [Weight::Light, Weight::Light, Weight::Heavy]);
        let left = json!({"name": "a", "inner": {"deep": true}, "shards": 0, "any": {"keep": 1}});
        assert_eq!(linter.known_part(&tree), left);
    }

    #[test]
    fn a_flood_of_faults_is_cut() {
        let many: String = (0..1_000).map(|n| format!("x{n}: 1\n")).collect();
        assert_eq!(faults(&many).len(), MAX_FAULTS);
        assert!(faults(&format!("{}: 1", "n".repeat(500)))[0].len() < 200);
    }
}
