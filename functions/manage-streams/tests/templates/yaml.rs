//! Reading YAML.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_yaml_ng::Value;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn template_path() -> PathBuf {
    root().join("template.yaml")
}

pub(crate) fn stacks_directory() -> PathBuf {
    root().join("infra/stacks")
}

pub(crate) fn stack_files() -> Vec<PathBuf> {
    std::fs::read_dir(stacks_directory()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

pub(crate) fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn members(mapping: &Value) -> impl Iterator<Item = (&str, &Value)> {
    mapping.as_mapping().unwrap().iter().map(|(name, value)| (name.as_str().unwrap(), value))
}

/// The resources of one type, with their logical ids.
pub(crate) fn resources(template: &Value, kind: &str) -> Vec<(String, Value)> {
    let of_kind = members(&template["Resources"]).filter(|(_, resource)| resource["Type"] == kind);
    of_kind.map(|(name, resource)| (name.to_owned(), resource.clone())).collect()
}

/// The resources of one type in all templates.
pub(crate) fn all_resources(kind: &str) -> Vec<(String, Value)> {
    stack_files().iter().chain([&template_path()]).flat_map(|path| resources(&read(path), kind)).collect()
}

/// A value as one writes it: `!Ref Table`, `text`, `[a, b]`.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Tagged(tagged) => format!("{} {}", tagged.tag, shown(&tagged.value)),
        Value::Sequence(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(", ")),
        other => panic!("expected text, got {other:?}"),
    }
}

/// One text or a list of them; nothing is an empty list.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Sequence(list) => list.iter().map(shown).collect(),
        one => vec![shown(one)],
    }
}

/// Every text within a value, tags left out.
pub(crate) fn strings_within(value: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match value {
        Value::String(text) => Box::new(std::iter::once(text.as_str())),
        Value::Tagged(tagged) => strings_within(&tagged.value),
        Value::Sequence(list) => Box::new(list.iter().flat_map(strings_within)),
        _ => Box::new(std::iter::empty()),
    }
}

/// Every policy document that gives a role or a function its rights, with the logical id of its resource.
pub(crate) fn policies(template: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, resource) in members(&template["Resources"]) {
        let properties = &resource["Properties"];
        match resource["Type"].as_str().unwrap() {
            "AWS::Serverless::Function" => {
                let listed = properties["Policies"].as_sequence().unwrap_or_else(|| panic!("{name} has no policies of its own"));
                let managed = |policy: &Value| match shown_reference(policy) {
                    Some(id) => template["Resources"][id]["Properties"]["PolicyDocument"].clone(),
                    None => policy.clone(),
                };
                found.extend(listed.iter().map(|policy| (name.to_owned(), managed(policy))));
            }
            "AWS::IAM::Role" => {
                let listed = properties["Policies"].as_sequence().unwrap();
                found.extend(listed.iter().map(|policy| (name.to_owned(), policy["PolicyDocument"].clone())));
            }
            "AWS::IAM::ManagedPolicy" | "AWS::IAM::Policy" => found.push((name.to_owned(), properties["PolicyDocument"].clone())),
            _ => {}
        }
    }
    found
}

/// The logical id that a `!Ref` names.
fn shown_reference(value: &Value) -> Option<&str> {
    match value {
        Value::Tagged(tagged) if tagged.tag == "Ref" => tagged.value.as_str(),
        _ => None,
    }
}

/// The statements of a policy, each with a name for messages.
pub(crate) fn statements(owner: &str, policy: &Value) -> Vec<(String, Value)> {
    let listed = policy["Statement"].as_sequence().unwrap_or_else(|| panic!("{owner}: not a policy document: {policy:?}"));
    listed.iter().map(|statement| (format!("{owner}.{}", shown(&statement["Sid"])), statement.clone())).collect()
}

/// The logical ids of the functions that API Gateway calls.
pub(crate) fn serving_functions(template: &Value) -> BTreeSet<String> {
    let integrations = resources(template, "AWS::ApiGatewayV2::Integration");
    let uris = integrations.iter().map(|(_, integration)| shown(&integration["Properties"]["IntegrationUri"]));
    uris.map(|uri| uri.strip_prefix("!GetAtt ").and_then(|rest| rest.strip_suffix(".Arn")).unwrap().to_owned()).collect()
}
