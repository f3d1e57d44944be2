//! Texts, what they mean, and where.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn value(text: &str) -> Value {
    Node::parse(text).unwrap().value()
}

fn fault(text: &str) -> String {
    Node::parse(text).unwrap_err().to_string()
}

#[test]
fn yaml_and_json_mean_the_same() {
    let yaml = "name: Refuse trucks\nbuffer:\n  kinesis: {shards: 2, mode: provisioned}\nlist:\n- 1\n- 1.5\n- 'x'\n- ~\n- yes\n";
    let json = "{\"name\": \"Refuse trucks\",\n\t\"buffer\": {\"kinesis\": {\"shards\": 2, \"mode\": \"provisioned\"}},\n\t\"list\": [1, 1.5, \"x\", null, \"yes\"]}";
    assert_eq!(value(yaml), value(json));
    assert_eq!(value(json), serde_json::from_str::<Value>(json).unwrap());
}

#[test]
fn an_empty_text_is_an_empty_map() {
    for empty in ["", " \n", "# nothing\n", "---\n", "null", "\u{feff}{}"] {
        assert_eq!(value(empty), json!({}), "{empty:?}");
    }
}

#[test]
fn everything_knows_its_place() {
    let tree = Node::parse("a:\n  b:\n  - x\n  - y: 1\n").unwrap();
    let place = |path: &[&str]| tree.at(path).unwrap().place.to_string();
    assert_eq!([place(&["a", "b", "0"]), place(&["a", "b", "1", "y"]), place(&["a", "b"])], ["(3,5)", "(4,8)", "(3,5)"]);
    assert!(tree.at(&["a", "c"]).is_none() && tree.at(&["a", "b", "2"]).is_none());
}

#[test]
fn characters_beyond_the_basic_plane_are_read_from_json() {
    assert_eq!(value(r#"{"a": "\ud83d\ude9b \u00e6 \/ \\ud83d\\ude9b"}"#), json!({"a": "🚛 æ / \\ud83d\\ude9b"}));
}

#[test]
fn what_we_do_not_take_is_refused_with_its_place() {
    assert_eq!(fault("a: 1\n---\nb: 2"), "(2,1) expected one document, got another one");
    assert_eq!(fault("a: !!binary x"), "(1,4) expected no tag");
    assert!(fault("{\"a\":").starts_with("(2,1) "), "{}", fault("{\"a\":"));
    assert!(fault("{\"a\": 1} x").starts_with("(1,"));
    assert_eq!(fault("[a]: 1"), "(1,1) expected a text as the name of a field");
    assert_eq!(fault(&"[".repeat(65)), "(1,65) expected a nesting of at most 64 levels");
}

#[test]
fn aliases_repeat_and_cannot_be_used_to_flood() {
    assert_eq!(value("a: &x {n: 1}\nb: *x\n"), json!({"a": {"n": 1}, "b": {"n": 1}}));
    let mut bomb = String::from("a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
    for level in 1..10 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [before.as_str(); 10].join(","));
    }
    assert!(fault(&bomb).ends_with("expected at most 100000 values"));
}

proptest! {
    #[test]
    fn any_json_value_is_read_as_serde_reads_it(value in any_json()) {
        for text in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            prop_assert_eq!(Node::parse(&text).unwrap().value(), value.clone());
        }
    }

    #[test]
    fn no_text_at_all_makes_it_panic(text in "\\PC{0,60}|[\\[\\]{}:,&*!#|>\"' \n\ta-c0-9\\\\u-]{0,60}") {
        let _ = Node::parse(&text);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!({"deep": null})),
    ];
    let any = leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z æ]{1,6}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    });
    prop::collection::btree_map("[a-z]{1,6}", any, 0..4).prop_map(|map| json!(map))
}
