use super::*;
use proptest::prelude::*;
use serde_json::json;

fn tree(text: &str) -> Tree<'_> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn it_is_what_the_library_asks_of_a_representation() {
    let text = jsonschema::json::conformance::document().to_string();
    jsonschema::json::conformance::assert_conformance::<TreeJson>(&&tree(&text));
}

#[test]
fn of_members_of_one_name_the_last_counts() {
    let text = r#"{"b":1,"a":[],"\u0062":2,"c":null,"b":3,"a":{}}"#;
    assert_eq!(copied(&tree(text)), json!({"a": {}, "b": 3, "c": null}));
    assert_eq!((&tree(text)).as_object().unwrap().len(), 3);
}

#[test]
fn a_text_without_escapes_is_borrowed() {
    let Tree::Array(texts) = tree(r#"["plain","\u00e9"]"#) else { unreachable!() };
    assert!(matches!(texts[..], [Tree::Text(Cow::Borrowed("plain")), Tree::Text(Cow::Owned(_))]));
}

#[test]
fn no_name_means_anything_but_itself() {
    // serde_json's own mark of a text that was taken in as it stands: a value would be what the text says.
    let text = r#"{"$serde_json::private::RawValue":"{\"id\":1}"}"#;
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), json!({"id": 1}));
    assert_eq!((&tree(text)).as_object().unwrap().members().map(|(name, _)| name).collect::<Vec<_>>(), ["$serde_json::private::RawValue"]);
}

#[test]
fn it_reads_what_a_value_reads_and_refuses_what_a_value_refuses() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for text in
        ["1e400", "-1e400", "1e-400", "-0", "18446744073709551616", "-9223372036854775809", "{\"a\":1,}", "[1 2]", &deep(127), &deep(128)]
    {
        let value: Result<Value, String> = serde_json::from_str(text).map_err(|error| error.to_string());
        let tree: Result<Tree<'_>, String> = serde_json::from_str(text).map_err(|error| error.to_string());
        assert_eq!(tree.map(|tree| copied(&tree)), value, "{text}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        (0..3).prop_map(Value::from),
        "[a-c\"\\\\é\n]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 12, |inner| {
        let name = prop_oneof!["[a-d]", "[a-c\"é]{0,3}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..12).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// A schema of one of the keywords, over the names and values that events are made of.
fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec!["null", "boolean", "integer", "number", "string", "array", "object"])
            .prop_map(|kind| json!({"type": kind})),
        any_value().prop_map(|value| json!({"const": value})),
        prop::collection::vec(any_value(), 1..4).prop_map(|values| json!({"enum": values})),
        (0..5).prop_map(|limit| json!({"minLength": limit, "maxItems": limit, "minProperties": limit})),
        (-3..3).prop_map(|limit| json!({"minimum": limit, "multipleOf": 2})),
        prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..3).prop_map(|names| json!({"required": names})),
        Just(json!({"uniqueItems": true})),
        Just(json!({"propertyNames": {"maxLength": 2, "pattern": "^[a-c]"}})),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            prop::collection::vec(("[a-d]", inner.clone()), 1..6).prop_map(|named| {
                let properties: serde_json::Map<String, Value> = named.into_iter().collect();
                json!({"properties": properties, "required": ["a"]})
            }),
            inner.clone().prop_map(|all| json!({"additionalProperties": all, "items": all})),
            pair.clone().prop_map(|(one, other)| json!({"patternProperties": {"^a": one}, "unevaluatedProperties": other})),
            pair.clone().prop_map(|(one, other)| json!({"anyOf": [one, other]})),
            pair.prop_map(|(one, other)| json!({"oneOf": [one, other], "contains": one})),
            inner.prop_map(|one| json!({"not": one})),
        ]
    })
}

/// The place and the words of each fault, in any order.
fn faults<'i>(errors: impl Iterator<Item = jsonschema::ValidationError<'i>>) -> Vec<(String, String)> {
    let mut faults: Vec<(String, String)> = errors.map(|error| (error.instance_path().to_string(), error.to_string())).collect();
    faults.sort_unstable();
    faults
}

proptest! {
    #[test]
    fn an_event_is_the_same_tree(value in any_value(), other in any_value()) {
        let text = value.to_string();
        let tree = tree(&text);
        prop_assert_eq!(copied(&tree), value.clone());
        prop_assert!((&tree).equals_value(&value));
        prop_assert_eq!((&tree).equals_value(&other), cmp::equal(&value, &other));
    }

    #[test]
    fn a_schema_finds_the_same_faults_in_both(value in any_value(), schema in any_schema()) {
        let (text, draft) = (value.to_string(), jsonschema::Draft::Draft202012);
        let ours = jsonschema::options_for::<TreeJson>().with_draft(draft).build(&schema).unwrap();
        let theirs = jsonschema::options().with_draft(draft).build(&schema).unwrap();
        let tree = tree(&text);
        prop_assert_eq!(ours.is_valid(&tree), theirs.is_valid(&value));
        prop_assert_eq!(faults(ours.iter_errors(&tree)), faults(theirs.iter_errors(&value)));
    }
}
