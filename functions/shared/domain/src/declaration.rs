//! From the text of a stream document, JSON or YAML, to what it means, or to everything that is wrong with it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::document::{StreamDocument, StreamMode};
use crate::field_path::FieldPath;
use crate::lint::{Fault, Linter, Weight};
use crate::names::partition_query;
use crate::text_tree::{Node, Place};

/// A stream document as it was posted, and what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// As posted, without defaults.
    pub posted: Value,
    /// What it means, with defaults.
    pub document: StreamDocument,
}

/// What is done about lint errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leniency {
    /// They are errors.
    Strict,
    /// They pass, except for those that make the stream impossible (`?chilled=true`).
    Chilled,
}

/// CloudFormation takes 50 tags a stack (<https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html>); ten are ours.
const MAX_LABELS: usize = 40;
/// A tag's longest key and value (<https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Tag.html>).
const MAX_LABEL_KEY: usize = 128;
const MAX_LABEL_VALUE: usize = 256;

/// A CloudFormation parameter's longest value (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>).
const MAX_PARTITION_QUERY: usize = 4_096;

static LINTER: LazyLock<Linter> = LazyLock::new(|| Linter::new(schema_of::<StreamDocument>("Millrace stream document")));

/// The JSON Schema (2020-12) of stream documents, made from their types.
pub fn stream_schema() -> &'static Value {
    LINTER.schema()
}

impl Declaration {
    /// Reads a document from text; an empty text is `{}`.
    ///
    /// # Errors
    /// Every fault found, each as `(line,column) what is wrong`, in the order of the text.
    pub fn parse(text: &str, leniency: Leniency) -> Result<Self, Vec<String>> {
        let tree = Node::parse(text).map_err(|bad| vec![bad.to_string()])?;
        Self::read(&tree, leniency)
    }

    /// Reads a document from another, as it was posted, and the text of a patch: maps are merged member by member, `null` resets a
    /// field to its default, everything else is replaced.
    ///
    /// # Errors
    /// As for [`Declaration::parse`]. Places are those of the patch; what was there before stands at its beginning.
    pub fn patch(posted: &Value, text: &str, leniency: Leniency) -> Result<Self, Vec<String>> {
        let patch = Node::parse(text).map_err(|bad| vec![bad.to_string()])?;
        let mut tree = Node::from_value(posted.clone(), patch.place);
        tree.merge(patch);
        Self::read(&tree, leniency)
    }

    pub(crate) fn read(tree: &Node, leniency: Leniency) -> Result<Self, Vec<String>> {
        let shape = LINTER.faults(tree);
        let known = LINTER.known_part(tree);
        let mut faults: Vec<Fault> =
            shape.into_iter().filter(|fault| leniency == Leniency::Strict || fault.weight == Weight::Heavy).collect();
        let mut meaning = Meaning { tree, faults: &mut faults };
        meaning.check_path("input.timestamp");
        // What is wrong in its shape says nothing certain about its meaning.
        match serde_json::from_value::<StreamDocument>(known) {
            Ok(document) => {
                meaning.check(&document);
                if faults.is_empty() {
                    return Ok(Self { posted: tree.value(), document });
                }
            }
            Err(error) if faults.is_empty() => {
                faults.push(Fault { place: tree.place, message: error.to_string(), weight: Weight::Heavy });
            }
            Err(_) => {}
        }
        faults.sort_by_key(|fault| fault.place);
        Err(faults.iter().map(ToString::to_string).collect())
    }
}

/// Finds faults that no schema can tell.
struct Meaning<'m> {
    tree: &'m Node,
    faults: &'m mut Vec<Fault>,
}

impl Meaning<'_> {
    fn check(&mut self, document: &StreamDocument) {
        let kinesis = &document.buffer.kinesis;
        if kinesis.mode == StreamMode::OnDemand && kinesis.shards.is_some() {
            self.fault("buffer.kinesis.shards", "expected shards only with mode provisioned");
        }
        if document.metadata.len() > MAX_LABELS {
            self.fault("metadata", format!("expected at most {MAX_LABELS} labels, got {}", document.metadata.len()));
        }
        for (key, value) in &document.metadata {
            if let Some(fault) = label_fault(key, value) {
                self.fault_at(&["metadata", key], fault);
            }
        }
        let folded: BTreeSet<String> = document.metadata.keys().map(|key| key.to_lowercase()).collect();
        if folded.len() < document.metadata.len() {
            self.fault("metadata", "expected keys that differ in more than their case");
        }
        let query = document.input.timestamp.as_ref().map_or(0, |path| partition_query(path, document.input.timestamp_format).len());
        if query > MAX_PARTITION_QUERY {
            self.fault("input.timestamp", "expected a shorter path: it does not fit a partition query");
        }
    }

    fn check_path(&mut self, field: &str) {
        let path: Vec<&str> = field.split('.').collect();
        let text = self.tree.at(&path).map(Node::value);
        if let Some(Value::String(text)) = text
            && let Err(error) = text.parse::<FieldPath>()
        {
            self.fault(field, error.to_string());
        }
    }

    /// A fault of the field at a dotted path, or of what should have held it.
    fn fault(&mut self, field: &str, message: impl Into<String>) {
        let path: Vec<&str> = field.split('.').collect();
        self.fault_at(&path, message);
    }

    fn fault_at(&mut self, path: &[&str], message: impl Into<String>) {
        let place: Place = (0..=path.len()).rev().find_map(|length| self.tree.at(&path[..length])).unwrap_or(self.tree).place;
        self.faults.push(Fault { place, message: message.into(), weight: Weight::Heavy });
    }
}

/// Labels become tags, so they keep the rules of tags.
fn label_fault(key: &str, value: &str) -> Option<String> {
    let is_tag_text = |text: &str| text.chars().all(|letter| letter.is_alphanumeric() || " _.:/=+-@".contains(letter));
    let folded = key.to_lowercase();
    if !(1..=MAX_LABEL_KEY).contains(&key.chars().count()) || !(1..=MAX_LABEL_VALUE).contains(&value.chars().count()) {
        Some(format!("expected a label of 1 to {MAX_LABEL_KEY} characters with a value of 1 to {MAX_LABEL_VALUE}"))
    } else if folded.starts_with("aws:") || folded.starts_with("millrace:") || folded == "created_by" {
        Some("expected another label: created_by and those that start with aws: or millrace: are taken".to_owned())
    } else if !is_tag_text(key) || !is_tag_text(value) {
        Some("expected a label of letters, digits, spaces and _.:/=+-@ only, its value too".to_owned())
    } else {
        None
    }
}

/// The JSON Schema (2020-12) of a type and of what is in it.
pub(crate) fn schema_of<D: ToSchema>(title: &str) -> Value {
    let mut parts = Vec::new();
    D::schemas(&mut parts);
    let mut schema = json!(D::schema());
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(title);
    schema["$defs"] = parts.into_iter().map(|(name, part)| (name, json!(part))).collect();
    lead_to_definitions(&mut schema);
    schema
}

/// References of an OpenAPI document lead elsewhere than those of a JSON Schema.
fn lead_to_definitions(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(target) if name == "$ref" => *target = target.replace("#/components/schemas/", "#/$defs/"),
                    other => lead_to_definitions(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(lead_to_definitions),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::AccessRights;

    fn faults(text: &str) -> Vec<String> {
        Declaration::parse(text, Leniency::Strict).unwrap_err()
    }

    #[test]
    fn an_empty_document_is_a_valid_stream() {
        for empty in ["{}", "", " \n", "# nothing yet\n"] {
            let declared = Declaration::parse(empty, Leniency::Strict).unwrap();
            assert_eq!((declared.document, declared.posted), (StreamDocument::default(), json!({})));
        }
    }

    #[test]
    fn json_and_yaml_declare_the_same() {
        let yaml = "name: Refuse trucks\naccess_rights: public\ninput:\n  timestamp: $.time\nbuffer:\n  kinesis: {shards: 2}\n";
        let json = r#"{"name": "Refuse trucks", "access_rights": "public", "input": {"timestamp": "$.time"}, "buffer": {"kinesis": {"shards": 2}}}"#;
        let declared = Declaration::parse(yaml, Leniency::Strict).unwrap();
        assert_eq!(declared, Declaration::parse(json, Leniency::Strict).unwrap());
        assert_eq!(declared.posted, serde_json::from_str::<Value>(json).unwrap(), "as posted, without defaults");
        assert_eq!((declared.document.access_rights, declared.document.buffer.kinesis.shards), (AccessRights::Public, Some(2)));
    }

    #[test]
    fn every_fault_is_reported_at_once_where_it_stands() {
        let text = "nmae: x\naccess_rights: secret\nmetadata:\n  aws:x: '1'\n  a: '{}'\ninput:\n  timestamp: $..a\n  max_event_bytes: 0\n\
                    buffer:\n  kinesis:\n    mode: on_demand\n    shards: 501\n    retention_hours: soon\n";
        assert_eq!(
            faults(text),
            [
                "(1,1) field nmae not recognised, did you mean name?",
                "(2,16) value secret is not a valid option, expected one of: public, restricted, non-public",
                r#"(7,14) expected a path of member names such as $.time or $['odd name'].time, got "$..a""#,
                "(8,20) expected 1 to 716800, got 0",
                "(12,13) expected 1 to 500, got 501",
                "(13,22) expected integer value, got string",
            ]
        );
        let text = "metadata:\n  aws:x: '1'\n  a: '{}'\nbuffer:\n  kinesis:\n    mode: on_demand\n    shards: 2\n";
        assert_eq!(
            faults(text),
            [
                "(2,10) expected another label: created_by and those that start with aws: or millrace: are taken",
                "(3,6) expected a label of letters, digits, spaces and _.:/=+-@ only, its value too",
                "(7,13) expected shards only with mode provisioned",
            ]
        );
    }

    #[test]
    fn what_is_no_document_is_refused() {
        assert_eq!(faults("[]"), ["(1,1) expected object value, got array"]);
        assert_eq!(faults("hello"), ["(1,1) expected object value, got string"]);
        assert_eq!(faults("{\"input\": [1]}"), ["(1,11) expected object value, got array"]);
        assert_eq!(faults("name: a\nname: b"), ["(2,1) field name is given twice"]);
        assert_eq!(faults("buffer:\n"), ["(1,7) expected object value, got null"]);
        assert!(faults("{\"name\":").iter().all(|fault| fault.starts_with("(2,1) ")), "{:?}", faults("{\"name\":"));
    }

    #[test]
    fn chilled_passes_unknown_fields_and_nothing_that_makes_the_stream_impossible() {
        let declared = Declaration::parse("nope: 1\nname: a\ninput: {other: {}}\n", Leniency::Chilled).unwrap();
        assert_eq!(declared.document.name.as_deref(), Some("a"));
        assert_eq!(declared.posted, json!({"nope": 1, "name": "a", "input": {"other": {}}}), "shown back as it was posted");
        let still = Declaration::parse("nope: 1\ninput: {max_event_bytes: 0}\n", Leniency::Chilled).unwrap_err();
        assert_eq!(still, ["(2,26) expected 1 to 716800, got 0"]);
    }

    #[test]
    fn a_patch_is_linted_with_the_places_of_its_own_text() {
        let posted = json!({"name": "a", "input": {"timestamp": "$.time"}, "buffer": {"kinesis": {"shards": 2}}});
        let patched = Declaration::patch(&posted, "input: {timestamp: null}\nname: b\n", Leniency::Strict).unwrap();
        assert_eq!(patched.posted, json!({"name": "b", "input": {}, "buffer": {"kinesis": {"shards": 2}}}));
        assert_eq!(patched.document.input.timestamp, None);
        let patch = "name: c\nbuffer:\n  kinesis:\n    mode: on_demand\n    shard: 3\n";
        let faults = Declaration::patch(&posted, patch, Leniency::Strict).unwrap_err();
        assert_eq!(faults, ["(1,1) expected shards only with mode provisioned", "(5,5) field shard not recognised, did you mean shards?"]);
        assert_eq!(Declaration::patch(&posted, "[1]", Leniency::Strict).unwrap_err(), ["(1,1) expected object value, got array"]);
    }

    #[test]
    fn labels_that_no_stack_would_take_are_refused() {
        for bad in [r#"{"team": ""}"#, r#"{"Team": "a", "team": "b"}"#, r#"{"Created_By": "me"}"#, r#"{"MILLRACE:x": "1"}"#] {
            assert_eq!(faults(&format!(r#"{{"metadata": {bad}}}"#)).len(), 1, "{bad}");
        }
        let many: Vec<String> = (0..41).map(|n| format!(r#""l{n}": "a""#)).collect();
        assert_eq!(faults(&format!(r#"{{"metadata": {{{}}}}}"#, many.join(","))), ["(1,14) expected at most 40 labels, got 41"]);
        let long = format!("${}", ".a".repeat(249));
        assert_eq!(faults(&format!(r#"{{"input": {{"timestamp": "{long}"}}}}"#)).len(), 1);
    }

    #[test]
    fn the_schema_stands_alone() {
        let schema = stream_schema();
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["input"]["$ref"], "#/$defs/Input");
        assert_eq!(schema["$defs"]["StreamMode"]["enum"], json!(["provisioned", "on_demand"]));
        assert!(!schema.to_string().contains("components"));
    }
}
