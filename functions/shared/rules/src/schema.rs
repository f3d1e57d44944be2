//! JSON Schemas.

use std::fmt;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::json::{Json, SerdeJson};
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value};

/// The longest message, in characters.
const MAX_MESSAGE: usize = 300;

/// Keywords whose values are data, in which nothing is a schema.
const DATA: [&str; 5] = ["const", "default", "enum", "example", "examples"];

/// A schema that events can be checked against, as values of the representation `F`.
pub struct Schema<F: Json = SerdeJson> {
    validator: Validator<F>,
}

impl<F: Json> fmt::Debug for Schema<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

/// What is wrong with a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFault {
    /// Where in the schema (RFC 6901).
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

/// The drafts that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Draft {
    Draft202012,
    Draft7,
}

impl Draft {
    /// The draft that a schema says it keeps to.
    fn of(schema: &Map<String, Value>) -> Option<Self> {
        let Some(name) = schema.get("$schema").and_then(Value::as_str) else { return Some(Self::Draft202012) };
        let name = name.trim_end_matches('#').trim_start_matches("https://").trim_start_matches("http://");
        match name {
            "json-schema.org/draft/2020-12/schema" => Some(Self::Draft202012),
            "json-schema.org/draft-07/schema" => Some(Self::Draft7),
            _ => None,
        }
    }

    fn name(self) -> jsonschema::Draft {
        match self {
            Self::Draft202012 => jsonschema::Draft::Draft202012,
            Self::Draft7 => jsonschema::Draft::Draft7,
        }
    }

    /// Compares a schema with what the draft says about schemas.
    fn faults(self, schema: &Value) -> Vec<SchemaFault> {
        let found = |error: ValidationError<'_>| fault(error.instance_path().as_str(), &explained(&error));
        match self {
            Self::Draft202012 => jsonschema::draft202012::meta::validator().iter_errors(schema).map(found).collect(),
            Self::Draft7 => jsonschema::draft7::meta::validator().iter_errors(schema).map(found).collect(),
        }
    }
}

impl<F: Json> Schema<F> {
    /// Compiles a schema: draft 2020-12, or draft-07 where `$schema` says so. Nothing is fetched.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(schema: Map<String, Value>) -> Result<Self, Vec<SchemaFault>> {
        let Some(draft) = Draft::of(&schema) else {
            let message = "expected https://json-schema.org/draft/2020-12/schema or http://json-schema.org/draft-07/schema#, got";
            return Err(vec![fault("/$schema", &format!("{message} {}", schema["$schema"]))]);
        };
        let schema = Value::Object(schema);
        let mut faults = draft.faults(&schema);
        let references = references(&schema);
        faults.extend(references.iter().filter_map(|reference| reference.fault(&schema)));
        // A fault that many rules meet is one.
        faults.sort_by(|one, other| (&one.pointer, &one.message).cmp(&(&other.pointer, &other.message)));
        faults.dedup();
        if !faults.is_empty() {
            return Err(faults);
        }
        let built = jsonschema::options_for::<F>().with_draft(draft.name()).offline().should_validate_formats(true).build(&schema);
        let validator = built.map_err(|error| {
            let pointer = references.iter().find(|reference| reference.is_cause(&error)).map(|reference| reference.pointer.as_str());
            vec![fault(pointer.unwrap_or(error.instance_path().as_str()), &explained(&error))]
        })?;
        Ok(Self { validator })
    }

    /// The schema as the library checks with it.
    pub fn validator(&self) -> &Validator<F> {
        &self.validator
    }
}

fn fault(pointer: &str, message: &str) -> SchemaFault {
    SchemaFault { pointer: pointer.to_owned(), message: message.chars().take(MAX_MESSAGE).collect() }
}

/// A `$ref`, or one of its kind.
struct Reference<'s> {
    pointer: String,
    target: &'s str,
    /// Whether a part of the schema has a name of its own, which the target may mean.
    may_be_named: bool,
}

impl Reference<'_> {
    fn fault(&self, schema: &Value) -> Option<SchemaFault> {
        let target = self.target;
        match target.strip_prefix('#') {
            None if self.may_be_named => None,
            None => Some(fault(
                &self.pointer,
                &format!("expected a reference within the schema such as #/$defs/name, got {target:?}: nothing is fetched"),
            )),
            // A part with a name of its own has pointers of its own, and percent signs are left to the library.
            Some(pointer) if self.may_be_named || pointer.contains('%') => None,
            Some(pointer) if pointer.starts_with('/') && schema.pointer(pointer).is_none() => {
                Some(fault(&self.pointer, &format!("{target} leads nowhere")))
            }
            Some(_) => None,
        }
    }

    /// Whether the library's words about what it could not follow are about this one.
    fn is_cause(&self, error: &ValidationError<'_>) -> bool {
        let name = self.target.rsplit(['#', '/']).find(|part| !part.is_empty());
        matches!(error.kind(), ValidationErrorKind::Referencing(_)) && name.is_some_and(|name| error.to_string().contains(name))
    }
}

fn references(schema: &Value) -> Vec<Reference<'_>> {
    let mut references = Vec::new();
    let may_be_named = collect(schema, "", &mut references);
    references.iter_mut().for_each(|reference| reference.may_be_named = may_be_named);
    references
}

/// Collects references, and says whether there is an `$id`.
fn collect<'s>(schema: &'s Value, at: &str, references: &mut Vec<Reference<'s>>) -> bool {
    let mut has_id = false;
    match schema {
        Value::Object(members) => {
            for (name, value) in members.iter().filter(|(name, _)| !DATA.contains(&name.as_str())) {
                let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                match (name.as_str(), value) {
                    ("$ref" | "$dynamicRef", Value::String(target)) => references.push(Reference { pointer, target, may_be_named: false }),
                    ("$id", Value::String(_)) => has_id = true,
                    _ => has_id |= collect(value, &pointer, references),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                has_id |= collect(item, &format!("{at}/{index}"), references);
            }
        }
        _ => {}
    }
    has_id
}

/// An error of the library in words that say what was expected and what was got.
pub(crate) fn explained(error: &ValidationError<'_>) -> String {
    let got = error.instance();
    match error.kind() {
        ValidationErrorKind::Type { kind: TypeKind::Single(expected) } => format!("expected {expected} value, got {}", kind_of(got)),
        ValidationErrorKind::Type { kind: TypeKind::Multiple(expected) } => {
            let expected: Vec<String> = expected.iter().map(|kind| kind.to_string()).collect();
            format!("expected {} value, got {}", expected.join(" or "), kind_of(got))
        }
        ValidationErrorKind::Format { format } => format!("expected a {format}, got {got}"),
        ValidationErrorKind::AnyOf { .. } if error.instance_path().as_str().ends_with("/type") => {
            format!("expected a type of: array, boolean, integer, null, number, object, string, or a list of them; got {got}")
        }
        _ => error.to_string(),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(schema: Value) -> Vec<(String, String)> {
        let compiled = <Schema>::compile(schema.as_object().unwrap().clone());
        compiled.err().unwrap_or_default().into_iter().map(|fault| (fault.pointer, fault.message)).collect()
    }

    #[test]
    fn good_schemas_compile() {
        for good in [
            json!({}),
            json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "prefixItems": [{"type": "string"}], "$ref": "#/$defs/a", "$defs": {"a": true}}),
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"items": [{}]}}, "properties": {"a": {"$ref": "#/definitions/a"}}}),
            json!({"$id": "https://example.com/a", "$defs": {"b": {"$id": "b"}}, "$ref": "b"}),
            json!({"properties": {"$ref": {"type": "string"}}, "enum": [{"$ref": "https://example.com"}]}),
            json!({"$ref": "#"}),
            json!({"pattern": "^(?!x)", "format": "nonsense", "nope": 1}),
        ] {
            assert_eq!(faults(good.clone()), [], "{good}");
        }
    }

    #[test]
    fn a_schema_that_its_draft_does_not_allow_is_told_where() {
        let schema = json!({"properties": {"a": {"type": "strin", "minLength": -1}, "b": 5, "c/d": {"pattern": "("}}, "required": "a"});
        let expected = [
            ("/properties/a/minLength", "-1 is less than the minimum of 0"),
            (
                "/properties/a/type",
                "expected a type of: array, boolean, integer, null, number, object, string, or a list of them; got \"strin\"",
            ),
            ("/properties/b", "expected boolean or object value, got integer"),
            ("/required", "expected array value, got string"),
        ];
        assert_eq!(faults(schema), expected.map(|(pointer, message)| (pointer.to_owned(), message.to_owned())));
        let expected = [("/properties/c~1d/pattern".to_owned(), "expected a regex, got \"(\"".to_owned())];
        assert_eq!(faults(json!({"properties": {"c/d": {"pattern": "("}}})), expected);
        let draft7 = json!({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"type": "x"}}});
        assert_eq!(faults(draft7)[0].0, "/definitions/a/type");
        assert_eq!(faults(json!({"items": [{}]})).len(), 1, "2020-12 has prefixItems for that");
    }

    #[test]
    fn nothing_is_fetched() {
        let remote =
            |target: &str| format!("expected a reference within the schema such as #/$defs/name, got {target:?}: nothing is fetched");
        for target in ["https://example.com/x.json", "other.json", "file:///etc/passwd", "http://169.254.169.254/"] {
            assert_eq!(faults(json!({"properties": {"a": {"$ref": target}}})), [("/properties/a/$ref".to_owned(), remote(target))]);
        }
        let named = faults(json!({"$id": "https://example.com/a", "allOf": [{"$ref": "https://example.org/b"}]}));
        assert_eq!((named.len(), named[0].0.as_str()), (1, "/allOf/0/$ref"));
        assert_eq!(faults(json!({"$ref": "#/$defs/none"})), [("/$ref".to_owned(), "#/$defs/none leads nowhere".to_owned())]);
        assert_eq!(faults(json!({"items": {"$ref": "#anchor"}}))[0].0, "/items/$ref");
    }

    #[test]
    fn a_draft_that_we_do_not_take_is_told() {
        let message = "expected https://json-schema.org/draft/2020-12/schema or http://json-schema.org/draft-07/schema#, got";
        for other in ["http://json-schema.org/draft-04/schema#", "https://example.com/meta"] {
            assert_eq!(faults(json!({"$schema": other})), [("/$schema".to_owned(), format!("{message} {other:?}"))]);
        }
        assert_eq!(faults(json!({"$schema": 5})), [("/$schema".to_owned(), "expected string value, got integer".to_owned())]);
    }

    #[test]
    fn a_schema_as_deep_as_a_document_can_be_compiles_quickly() {
        let deep = (0..30).fold(json!({"type": "string"}), |inner, _| json!({"properties": {"a": inner}, "items": {"not": {}}}));
        assert_eq!(faults(deep), []);
    }
}
