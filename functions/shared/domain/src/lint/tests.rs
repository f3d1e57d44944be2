//! What one schema says about many texts.

use serde_json::json;

use super::*;

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
    let text =
        "name: a\nmode: on_demand\nshards: null\nratio: 2\nlabels: {x: y}\ninner: {deep: true}\nlist: [{}, {deep: false}]\nany: [1, {}]";
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
