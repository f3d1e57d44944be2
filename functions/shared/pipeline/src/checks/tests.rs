//! Faults of programs, schemas and paths, where they stand in documents.

use domain::declaration::{Draft, Leniency};
use proptest::prelude::*;

use super::*;

const WHOLE: &str = include_str!("../../../domain/src/declaration/whole.yaml");

/// Everything that is wrong with a document.
fn lint(text: &str, leniency: Leniency) -> Vec<String> {
    let mut draft = Draft::parse(text, leniency);
    let found = faults(draft.tree());
    draft.add(found);
    draft.finish().err().unwrap_or_default()
}

fn places(text: &str) -> Vec<String> {
    let faults = lint(text, Leniency::Strict);
    assert_eq!(faults, lint(text, Leniency::Chilled), "nothing of it is chilled");
    faults.into_iter().map(|fault| fault.split(' ').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_whole_document_has_no_faults() {
    assert_eq!(lint(WHOLE, Leniency::Strict), [""; 0]);
    let json = Node::parse(WHOLE).unwrap().value();
    for text in [json.to_string(), format!("{json:#}")] {
        assert_eq!(lint(&text, Leniency::Strict), [""; 0]);
    }
}

#[test]
fn a_fault_of_a_program_stands_where_it_is_written() {
    let block = "pipeline:\n  processors:\n    - mapping: |\n        # a comment\n        .a = nope1()\n\n        .b = \"🚛\" + nope2()\n";
    assert_eq!(places(block), ["(5,14)", "(7,20)"]);
    let folded = "pipeline:\n  processors:\n    - filter: >-\n        .a == 1 &&\n        nope1()\n";
    assert_eq!(places(folded), ["(5,9)"]);
    let plain = "pipeline:\n  processors:\n    - mapping: .a = nope1()\n    - filter: nope2()\n";
    assert_eq!(places(plain), ["(3,21)", "(4,15)"]);
    let single = "pipeline: {processors: [{mapping: '.a = \"it''s\" + nope1()'}]}";
    assert_eq!(places(single), ["(1,51)"]);
    let double = "pipeline: {processors: [{mapping: \".a = \\\"x\\\" + nope1()\\n.b = nope2()\"}]}";
    assert_eq!(places(double), ["(1,49)", "(1,63)"]);
    let json = "{\"pipeline\": {\"processors\": [\n  {\"mapping\": \".a = 1\\n\\t.b = nope1()\"}\n]}}";
    assert_eq!(places(json), ["(2,31)"]);
}

#[test]
fn every_fault_of_every_kind_is_told_at_once() {
    let text = "nope: 1\ninput:\n  event_id: id\n  partition_key: $.a[\n  schema:\n    properties:\n      a: {type: strin}\n      b:\n        $ref: https://example.com/b\n\
                pipeline:\n  processors:\n    - filter: '\"x\"'\n    - mapping: |\n        .a = get_env_var!(\"A\")\n        .b = upcas(.c)\n    - validate: {schema: {minLength: -1}}\n\
                \u{20}   - dedupe: {key: $., cache: seen}\n    - fliter: .a\n";
    let faults = lint(text, Leniency::Strict);
    let expected = [
        "(1,1) field nope not recognised, did you mean name?",
        "(3,13) expected a JSONPath such as $.id, got \"id\": ",
        "(4,18) expected a JSONPath such as $.id, got \"$.a[\": ",
        "(7,17) expected a type of: array, boolean, integer, null, number, object, string, or a list of them; got \"strin\"",
        "(9,15) expected a reference within the schema such as #/$defs/name, got \"https://example.com/b\": nothing is fetched",
        "(12,16) expected a filter to give a boolean, got string",
        "(14,14) function get_env_var is not available: it reads the environment",
        "(15,14) function upcas is not known, did you mean upcase?",
        "(16,38) -1 is less than the minimum of 0",
        "(17,21) expected a JSONPath such as $.id, got \"$.\": ",
        "(18,7) field fliter not recognised, did you mean filter?",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "{fault}, not {expected}");
    }
}

#[test]
fn programs_are_told_even_where_the_shape_says_nothing() {
    let text = "name: [1]\npipeline:\n  processors:\n    - mapping: nope()\n";
    assert_eq!(places(text), ["(1,7)", "(4,16)"]);
}

#[test]
fn a_filter_counts_on_the_mapping_before_it_and_on_nothing_that_is_not_known() {
    let between =
        |processor: &str| format!("pipeline: {{processors: [{{mapping: .a = to_int!(.b)}}, {{{processor}}}, {{filter: .a > 0}}]}}");
    for kept in ["rate_limit: mine", "filter: .x == 1", "dedupe: {key: $.id, cache: c}", "validate: {schema: {}}"] {
        assert_eq!(places(&between(kept)), [""; 0], "{kept}");
    }
    for lost in ["resource: mine", "flatten: {}", "mapping: .a = .b"] {
        assert_eq!(places(&between(lost)).len(), 1, "{lost}");
    }
}

#[test]
fn a_program_is_not_blamed_for_the_one_before_it() {
    let text = "pipeline: {processors: [{mapping: .a = nope()}, {filter: .a > 0}, {filter: nope2()}]}";
    assert_eq!(places(text), ["(1,40)", "(1,76)"]);
    let text = "pipeline: {processors: [{filter: nope()}, {filter: .a > 0}]}";
    assert_eq!(places(text), ["(1,34)", "(1,52)"]);
}

#[test]
fn a_patch_is_told_where_it_stands() {
    let posted = Node::parse(WHOLE).unwrap().value();
    let mut draft = Draft::patch(&posted, "pipeline:\n  processors:\n  - mapping: .a = nope()\n", Leniency::Strict);
    let found = faults(draft.tree());
    draft.add(found);
    assert_eq!(draft.finish().unwrap_err(), ["(3,19) function nope is not known"]);
}

#[test]
fn paths_are_told_why() {
    assert_eq!(lint("input: {event_id: $.id}", Leniency::Strict), [""; 0]);
    assert_eq!(lint("input: {event_id: \"$['odd name'].items[0]\", partition_key: '$..a[?@.b > 1]'}", Leniency::Strict), [""; 0]);
    assert!(lint("input: {event_id: ''}", Leniency::Strict)[0].starts_with("(1,19) expected a JSONPath such as $.id, got \"\": "));
    let long = format!("input: {{event_id: $.{}}}", "a".repeat(500));
    assert!(lint(&long, Leniency::Strict)[0].starts_with("(1,19) expected at most 500 characters, got 502"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_a_check_panic(text in "[ -~æ\n]{0,60}", quoted in "[.a-c=+!(){}\\[\\]\"'\n 0-9|&?$@#*]{0,40}") {
        lint(&text, Leniency::Strict);
        let json = serde_json::json!({"input": {"event_id": quoted, "schema": {"$ref": quoted, "pattern": quoted}}, "pipeline": {"processors": [{"mapping": quoted}, {"filter": quoted}]}});
        lint(&json.to_string(), Leniency::Strict);
    }

    #[test]
    fn no_cut_of_a_whole_document_makes_a_check_panic(from in 0..WHOLE.len(), to in 0..WHOLE.len()) {
        if let Some(text) = WHOLE.get(from.min(to)..from.max(to)) {
            lint(text, Leniency::Strict);
        }
    }
}
