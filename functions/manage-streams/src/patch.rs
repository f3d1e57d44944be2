//! Changes to a part of a document.
//!
//! Bento merges objects and replaces everything else; a `null` of ours resets a field to its default, which in a document as posted means
//! that it is not there. That is a JSON merge patch (RFC 7396) exactly, so both content types are one function.

use serde_json::{Map, Value};

/// Reads a patch, as JSON.
///
/// # Errors
/// What is wrong with it; it must be an object.
pub fn parse(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(patch)) => Ok(patch),
        Ok(other) => Err(format!("a patch is an object; got {}", kind(&other))),
        Err(error) => Err(format!("({},{}) the patch is not JSON: {error}", error.line(), error.column())),
    }
}

/// Merges a patch into a document: objects recursively, arrays and scalars replace, `null` removes.
pub fn merge(document: &mut Value, patch: Map<String, Value>) {
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    let Value::Object(members) = document else { return };
    for (name, change) in patch {
        match change {
            Value::Null => {
                members.remove(&name);
            }
            Value::Object(inner) => merge(members.entry(name).or_insert(Value::Null), inner),
            other => {
                members.insert(name, other);
            }
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_merges_as_rfc_7396_says() {
        // The cases of its appendix A in which both are objects.
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ];
        for (mut document, patch, expected) in cases {
            let shown = format!("{document} with {patch}");
            merge(&mut document, patch.as_object().unwrap().clone());
            assert_eq!(document, expected, "{shown}");
        }
    }

    #[test]
    fn a_patch_is_an_object() {
        assert_eq!(parse("{}"), Ok(Map::new()));
        for (text, fault) in [("[]", "an array"), ("null", "null"), ("1", "a number"), (r#""a""#, "a string"), ("true", "a boolean")] {
            assert_eq!(parse(text), Err(format!("a patch is an object; got {fault}")));
        }
        assert!(parse("{").unwrap_err().starts_with("(1,1) the patch is not JSON"));
        assert!(parse("").is_err());
    }
}
