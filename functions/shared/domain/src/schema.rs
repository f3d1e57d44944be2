//! JSON Schemas of our own types.

use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

/// The JSON Schema (2020-12) of a type, with everything that it refers to.
pub fn schema_of<T: ToSchema + PartialSchema>(title: &str) -> Value {
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    let mut schema = json!(T::schema());
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
