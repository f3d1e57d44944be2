//! What documents mean, and what is said about those that mean nothing.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::document::AccessRights;
use crate::input::{Format, Input};
use crate::resource_config::ResourceConfig;

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
    let json =
        r#"{"name": "Refuse trucks", "access_rights": "public", "input": {"timestamp": "$.time"}, "buffer": {"kinesis": {"shards": 2}}}"#;
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
    let patched = Draft::patch(&posted, "input: {timestamp: null}\nname: b\n", Leniency::Strict).finish().unwrap();
    assert_eq!(patched.posted, json!({"name": "b", "input": {}, "buffer": {"kinesis": {"shards": 2}}}));
    assert_eq!(patched.document.input.timestamp, None);
    let patch = "name: c\nbuffer:\n  kinesis:\n    mode: on_demand\n    shard: 3\n";
    let faults = Draft::patch(&posted, patch, Leniency::Strict).finish().unwrap_err();
    assert_eq!(faults, ["(1,1) expected shards only with mode provisioned", "(5,5) field shard not recognised, did you mean shards?"]);
    assert_eq!(Draft::patch(&posted, "[1]", Leniency::Strict).finish().unwrap_err(), ["(1,1) expected object value, got array"]);
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

/// One fault, where it is said to be.
fn assert_fault(text: &str, fault: &str) {
    assert_eq!(faults(text), [fault], "{text}");
    let chilled = Declaration::parse(text, Leniency::Chilled).unwrap_err();
    assert_eq!(chilled, [fault], "chilled: {text}");
}

#[test]
fn what_is_not_available_yet_says_so_and_is_not_chilled() {
    assert_fault("output:\n  elasticsearch: {index_rotation: month}\n", "(2,3) output.elasticsearch is not available yet");
    assert_fault("output: {s3: {}, table: {}}", "(1,18) output.table is not available yet");
    assert_fault(r#"{"output": {"http": [{"id": "a"}]}}"#, r#"(1,13) output.http is not available yet"#);
    assert_fault("subscribable: true", "(1,15) subscribable is not available yet");
    assert!(Declaration::parse("subscribable: false", Leniency::Strict).is_ok());
}

#[test]
fn a_processor_is_one_member_that_says_what_is_done() {
    let all = "mapping, filter, validate, flatten, dedupe, rate_limit, resource";
    let within = |processor: &str| format!("pipeline:\n  processors:\n    - {processor}\n");
    assert_fault(&within("{}"), &format!("(3,7) expected exactly one of: {all}; got none"));
    assert_fault(&within("{flatten: {}, filter: 'true'}"), &format!("(3,7) expected exactly one of: {all}; got flatten, filter"));
    assert_fault(&within("fliter: '.a'"), "(3,7) field fliter not recognised, did you mean filter?");
    assert_fault(&within("xxxxxxxx: 1"), &format!("(3,7) field xxxxxxxx not recognised, expected one of: {all}"));
    assert_fault(&within("filter"), "(3,7) expected object value, got string");
    assert_fault(&within("mapping: [1]"), "(3,16) expected string value, got array");
    assert_fault(&within("validate: {}"), "(3,17) field schema is required");
    assert_fault(&within("flatten: {separator: ''}"), "(3,28) expected 1 to 10 characters, got 0");
    assert_eq!(faults(&within("flatten: {seperator: _}")), ["(3,17) field seperator not recognised, did you mean separator?"]);
    assert!(Declaration::parse(&within("flatten: {seperator: _}"), Leniency::Chilled).is_ok());
    assert_fault(r#"{"pipeline": {"processors": {}}}"#, "(1,29) expected array value, got object");
}

#[test]
fn what_is_deduped_needs_a_key_a_window_and_a_cache() {
    let within = |dedupe: &str| format!("pipeline: {{processors: [{{dedupe: {dedupe}}}]}}");
    assert_fault(&within("{cache: seen}"), "(1,34) expected a key, here or as input.event_id, got neither");
    assert_fault(&within("{key: $.id}"), "(1,34) field cache is required");
    assert_fault(&within("{key: $.id, cache: Seen}"), r#"(1,53) resource id "Seen" does not match ^[a-z0-9][a-z0-9_-]{0,63}$"#);
    assert_fault(
        &within("{key: $.id, cache: seen, window: 2d}"),
        r#"(1,67) expected a time of 1s to 24h such as 30s, 10m or 2h, got "2d""#,
    );
    for input in ["{event_id: $.id}", "{resource: mine}"] {
        assert!(Declaration::parse(&format!("input: {input}\n{}", within("{cache: seen}")), Leniency::Strict).is_ok(), "{input}");
    }
}

#[test]
fn without_a_raw_stream_there_is_no_place_for_a_pipeline() {
    let text = "buffer: {raw: false}\ninput:\n  format: xml\npipeline:\n  processors:\n    - flatten: {}\n";
    assert_eq!(
        faults(text),
        [
            "(3,11) buffer.raw: false leaves no place for a pipeline, and xml needs one",
            "(6,5) buffer.raw: false leaves no place for a pipeline",
        ]
    );
    assert!(Declaration::parse("buffer: {raw: false}\npipeline: {processors: []}", Leniency::Strict).is_ok());
}

#[test]
fn what_xml_makes_impossible_is_refused_and_the_rest_is_not() {
    let text = "input:\n  format: xml\n  timestamp: $.time\n  partition_key: $.vehicle\n  on_invalid: reject\n";
    let expected = [
        "(3,14) expected no timestamp with format xml: Firehose cannot read CBOR to partition by it",
        "(4,18) expected no partition_key with format xml: events are not read before they are on the raw stream",
        "(5,15) expected no on_invalid: reject with format xml: events are not read before they are on the raw stream",
    ];
    assert_eq!(faults(text), expected);
    assert_eq!(Declaration::parse(text, Leniency::Chilled).unwrap_err(), expected);
    let schema = "(1,30) expected no schema with format xml: events are not read before they are on the raw stream; use validate";
    assert_eq!(faults("input: {format: xml, schema: {type: object}}"), [schema]);
    for possible in ["event_id: $.id", "on_invalid: dead_letter", "max_event_bytes: 1000"] {
        assert!(Declaration::parse(&format!("input: {{format: xml, {possible}}}"), Leniency::Strict).is_ok(), "{possible}");
    }
}

#[test]
fn an_input_resource_of_xml_keeps_the_rules_of_the_document_that_names_it() {
    let mut draft = Draft::parse("buffer: {raw: false}\ninput: {resource: mine}\n", Leniency::Strict);
    let key = draft.document().unwrap().input.references().remove(0).key;
    let input = Input { format: Format::Xml, ..Input::default() };
    draft.resolve(&[(key, ResourceConfig::Input(input))].into());
    assert_eq!(draft.finish().unwrap_err(), ["(2,8) buffer.raw: false leaves no place for a pipeline, and xml needs one"]);
}

fn new_faults(text: &str, leniency: Leniency) -> Vec<String> {
    Draft::parse_new(text, leniency).finish().unwrap_err()
}

#[test]
fn a_new_stream_may_say_create_raw() {
    let cases = [
        (r#"{"create_raw": false}"#, json!({"buffer": {"raw": false}})),
        (r#"{"create_raw": true}"#, json!({"buffer": {"raw": true}})),
        (
            "name: a\ncreate_raw: false\nbuffer: {kinesis: {shards: 2}}\n",
            json!({"name": "a", "buffer": {"kinesis": {"shards": 2}, "raw": false}}),
        ),
        ("", json!({})),
    ];
    for (text, posted) in cases {
        let declared = Draft::parse_new(text, Leniency::Strict).finish().unwrap();
        assert_eq!(declared.posted, posted, "{text}");
        assert_eq!(declared, Declaration::parse(&posted.to_string(), Leniency::Strict).unwrap(), "{text}");
    }
    assert_eq!(faults(r#"{"create_raw": false}"#), ["(1,2) field create_raw not recognised"], "elsewhere it is unknown");
}

#[test]
fn what_is_wrong_with_create_raw_is_named_where_it_stands() {
    for leniency in [Leniency::Strict, Leniency::Chilled] {
        assert_eq!(new_faults("name: a\ncreate_raw: 'no'\n", leniency), ["(2,13) expected boolean value, got string"]);
        let both = ["(2,1) create_raw is another name for buffer.raw: expected one of them, got both"];
        assert_eq!(new_faults("buffer: {raw: false}\ncreate_raw: false\n", leniency), both);
        assert_eq!(new_faults("create_raw: false\nbuffer: 5\n", leniency), ["(2,9) expected object value, got integer"]);
        assert_eq!(new_faults("[]", leniency), ["(1,1) expected object value, got array"]);
        let processors = "create_raw: false\npipeline:\n  processors:\n    - flatten: {}\n";
        assert_eq!(new_faults(processors, leniency), ["(4,5) buffer.raw: false leaves no place for a pipeline"]);
    }
    assert_eq!(new_faults("create_raw: true\ncreate_raw: false\n", Leniency::Strict).len(), 1, "it comes twice");
    assert_eq!(new_faults("create_raw: false\nupdated_by: me\n", Leniency::Strict), ["(2,1) field updated_by not recognised"]);
    assert_eq!(new_faults("{", Leniency::Strict), faults("{"));
}

#[test]
fn a_resource_that_is_a_whole_section_stands_alone() {
    let beside =
        |section: &str, field: &str| format!("{section}.{field} cannot stand beside {section}.resource, which is the whole section");
    assert_fault("input:\n  resource: mine\n  format: xml\n", &format!("(3,3) {}", beside("input", "format")));
    assert_fault("output: {s3: {}, resource: mine}", &format!("(1,10) {}", beside("output", "s3")));
    assert!(Declaration::parse("input: {resource: mine}\noutput: {resource: mine}", Leniency::Strict).is_ok());
}

#[test]
fn a_sink_keeps_its_limits_which_event_time_narrows() {
    let sink = "output:\n  s3: {buffering: {interval_seconds: 30, size_mb: 5}}\n";
    assert!(Declaration::parse(sink, Leniency::Strict).is_ok());
    let by_event_time = format!("input: {{timestamp: $.time}}\n{sink}");
    assert_eq!(faults(&by_event_time), ["(3,38) expected 60 to 900, got 30", "(3,51) expected 64 to 128, got 5"]);
    assert_fault("output: {s3: {buffering: {size_mb: 129}}}", "(1,36) expected 1 to 128, got 129");
}

#[test]
fn origins_and_references_are_read_where_they_stand() {
    assert_fault(
        "input:\n  cors_origins:\n    - https://example.org\n    - https://example.org/\n",
        r#"(4,7) expected an origin as a browser sends it, such as https://example.org or https://example.org:8443, or *, got "https://example.org/""#,
    );
    assert_fault("input: {rate_limit: My Limit}", r#"(1,21) resource id "My Limit" does not match ^[a-z0-9][a-z0-9_-]{0,63}$"#);
    assert_fault("input: {format: yaml}", "(1,17) value yaml is not a valid option, expected one of: json, xml");
    assert_fault("input: {on_invalid: drop}", "(1,21) value drop is not a valid option, expected one of: dead_letter, reject");
    assert_fault("input: {schema: true}", "(1,17) expected object value, got boolean");
}

#[test]
fn what_other_checks_find_stands_among_the_rest() {
    let mut draft = Draft::parse("nope: 1\nname: a\nother: 2\n", Leniency::Strict);
    let fault = |line, weight| Fault { place: Place { line, column: 1 }, message: format!("line {line}"), weight };
    draft.add(vec![fault(2, Weight::Heavy), fault(2, Weight::Heavy)]);
    assert_eq!(
        draft.finish().unwrap_err(),
        ["(1,1) field nope not recognised, did you mean name?", "(2,1) line 2", "(3,1) field other not recognised"]
    );
    let mut draft = Draft::parse("name: a", Leniency::Chilled);
    draft.add(vec![fault(1, Weight::Light)]);
    assert!(draft.finish().is_ok());
}

/// Every field of a document, each once, with the values of the design.
const WHOLE: &str = include_str!("whole.yaml");

#[test]
fn the_whole_document_is_read_and_written_again() {
    let declared = Declaration::parse(WHOLE, Leniency::Strict).unwrap();
    assert_eq!(json!(declared.document), declared.posted, "every field of the types is in it, and no other");
}

#[test]
fn every_field_of_the_whole_document_is_in_the_schema_with_a_description() {
    let schema = stream_schema();
    let tree = Node::parse(WHOLE).unwrap();
    let mut undescribed = Vec::new();
    describe(&tree, schema, schema, "", &mut undescribed);
    assert_eq!(undescribed, [""; 0]);
    for section in NOT_AVAILABLE {
        assert_eq!(schema["$defs"]["Output"]["properties"][section]["not"], json!({}), "{section}");
    }
}

/// Names the fields that the schema does not know or does not describe.
fn describe(node: &Node, schema: &Value, root: &Value, at: &str, undescribed: &mut Vec<String>) {
    if let Some(target) = schema["$ref"].as_str() {
        return describe(node, root.pointer(&target[1..]).unwrap(), root, at, undescribed);
    }
    for member in node.members() {
        let holds = |one: &&Value| one["properties"].get(&member.name).is_some() || one["$ref"].is_string();
        let alternatives = schema["oneOf"].as_array().into_iter().flatten().find(holds);
        match alternatives.unwrap_or(schema) {
            one if one["$ref"].is_string() => return describe(node, one, root, at, undescribed),
            one => match one["properties"].get(&member.name) {
                Some(found) => {
                    let is_described = found["description"].is_string() || one["description"].is_string() || found["$ref"].is_string();
                    if !is_described {
                        undescribed.push(format!("{at}.{}", member.name));
                    }
                    describe(&member.value, found, root, &format!("{at}.{}", member.name), undescribed);
                }
                None if schema["additionalProperties"] == false => undescribed.push(format!("{at}.{}", member.name)),
                None => {}
            },
        }
    }
    for item in node.items() {
        describe(item, &schema["items"], root, at, undescribed);
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_draft_panic(text in "\\PC{0,80}|[\\[\\]{}:,&*!#|>\"' \n\ta-c0-9\\\\u-]{0,80}") {
        let _ = Draft::parse(&text, Leniency::Strict).finish();
        let _ = Draft::patch(&json!({"input": {"format": "xml"}}), &text, Leniency::Chilled).finish();
    }

    #[test]
    fn no_cut_of_a_whole_document_makes_a_draft_panic(from in 0..WHOLE.len(), to in 0..WHOLE.len()) {
        if let Some(text) = WHOLE.get(from.min(to)..from.max(to)) {
            let _ = Draft::parse(text, Leniency::Strict).finish();
            let joined = format!("{}{}", WHOLE.get(..from).unwrap_or_default(), WHOLE.get(to..).unwrap_or_default());
            let _ = Draft::parse(&joined, Leniency::Strict).finish();
        }
    }
}
