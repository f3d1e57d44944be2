//! Processors on events.

use super::*;
use domain::dead_letter::Reason;
use domain::process::Question;
use domain::resource::{ResourceKey, ResourceKind};
use domain::resource_config::ResourceConfig;
use serde_json::json;

fn route(processors: serde_json::Value) -> Route {
    let route =
        json!({"processed_stream": "", "dead_letter_stream": "", "ingest_id": "is-00000001", "owner": "waste", "processors": processors});
    serde_json::from_value(route).unwrap()
}

fn compiled(processors: serde_json::Value) -> Compiled {
    Compiled::new(&route(processors), &Resources::new()).unwrap().unwrap()
}

/// What is left of an event, as it would be written; of a failure the reason that names the place.
fn ends(passage: Passage<Left>, event: &str) -> Result<Vec<String>, Reason> {
    let text = |left| match left {
        Left::Unchanged => event.to_owned(),
        Left::Json(text) => text,
        Left::Cbor(map) => panic!("expected JSON, got {map:?}"),
    };
    passage.branches.into_iter().map(|branch| branch.end.map(text).map_err(|failure| failure.summary())).collect()
}

fn run(processors: serde_json::Value, event: &str) -> Result<Vec<String>, Reason> {
    ends(compiled(processors).run(event.as_bytes(), &mut []), event)
}

fn left(processors: serde_json::Value, event: &str) -> Vec<String> {
    run(processors, event).unwrap()
}

fn resource(kind: ResourceKind, id: &str, config: serde_json::Value) -> (ResourceKey, ResourceConfig) {
    (ResourceKey { kind, id: id.parse().unwrap() }, serde_json::from_value(config).unwrap())
}

#[test]
fn processors_run_in_their_order() {
    let processors = json!([{"mapping": ".speed_ms = to_float!(.kmh) / 3.6"}, {"filter": ".speed_ms > 5"}]);
    assert_eq!(left(processors.clone(), r#"{"kmh":36}"#), [r#"{"kmh":36,"speed_ms":10.0}"#]);
    assert!(left(processors.clone(), r#"{"kmh":3.6}"#).is_empty());
    let failed = run(processors, r#"{"kmh":"fast"}"#).unwrap_err();
    assert_eq!(failed.code, "mapping");
    assert!(failed.detail.starts_with("pipeline.processors[0].mapping: function call error for \"to_float\""), "{}", failed.detail);
}

#[test]
fn a_mapping_drops_by_abort_and_fans_out_by_a_list() {
    assert!(left(json!([{"mapping": "if .test == true { abort }"}]), r#"{"test":true}"#).is_empty());
    assert_eq!(left(json!([{"mapping": "if .test == true { abort }"}]), r#"{"a":1}"#), [r#"{"a":1}"#]);
    let fan = json!([{"mapping": ". = [{\"n\": 1}, {\"n\": 2}]"}, {"mapping": ".m = .n"}]);
    assert_eq!(left(fan, "{}"), [r#"{"m":1,"n":1}"#, r#"{"m":2,"n":2}"#]);
    assert_eq!(run(json!([{"mapping": ". = .list"}]), r#"{"list":[1]}"#).unwrap_err().code, "mapping");
    assert!(left(json!([{"mapping": ". = []"}]), "{}").is_empty());
}

#[test]
fn a_resource_does_what_it_says_whatever_comes_before_it() {
    let resources = Resources::from([
        resource(ResourceKind::Processor, "speed", json!({"processor": {"mapping": ".kmh = to_float!(.kmh)"}})),
        resource(ResourceKind::Processor, "itself", json!({"processor": {"resource": "itself"}})),
    ]);
    let compiled = |processors| Compiled::new(&route(processors), &resources);
    // VRL would refuse the exclamation mark if it knew that `.kmh` is a number already.
    let twice = compiled(json!([{"mapping": ".kmh = 1.5"}, {"resource": "speed"}])).unwrap().unwrap();
    assert_eq!(ends(twice.run(b"{}", &mut []), "").unwrap(), [r#"{"kmh":1.5}"#]);
    let passage = compiled(json!([{"resource": "speed"}])).unwrap().unwrap().run(br#"{"kmh":"x"}"#, &mut []);
    assert_eq!(passage.branches[0].end.as_ref().unwrap_err().path.as_deref(), Some("pipeline.processors[0].resource"));
    for bad in ["nobody", "itself"] {
        assert!(compiled(json!([{"resource": bad}])).is_err(), "{bad}");
    }
}

#[test]
fn bento_s_uppercase_stream_runs_in_our_terms() {
    assert_eq!(left(json!([{"mapping": ".text = upcase!(.text)"}]), r#"{"text":"hello"}"#), [r#"{"text":"HELLO"}"#]);
}

#[test]
fn what_each_processor_did_is_counted() {
    let processors = json!([{"mapping": ". = array!(.list)"}, {"filter": "exists(.a)"}, {"mapping": ".a = to_int!(.a)"}]);
    let compiled = compiled(processors);
    let mut counts = [ProcessorCounters::default(); 3];
    compiled.run(br#"{"list":[{"a":1},{"b":1}]}"#, &mut counts);
    compiled.run(br#"{"list":[{"a":"x"}]}"#, &mut counts);
    let shown = counts.map(|count| (count.received, count.sent, count.failed));
    assert_eq!(shown, [(2, 3, 0), (3, 2, 0), (2, 1, 1)]);
}

#[test]
fn what_does_not_match_a_schema_fails_with_its_place() {
    let processors = json!([{"validate": {"schema": {"properties": {"n": {"type": "integer"}}, "required": ["n"]}}}]);
    assert_eq!(left(processors.clone(), r#"{"n":1}"#), [r#"{"n":1}"#]);
    let failed = run(processors, r#"{"n":"x"}"#).unwrap_err();
    assert_eq!(
        (failed.code.as_str(), failed.detail.as_str()),
        ("validate", r#"pipeline.processors[0].validate: /n: "x" is not of type "integer""#)
    );
}

#[test]
fn nested_objects_become_one_level() {
    let event = r#"{"a":{"b":{"c":1}},"d":[{"e":1}],"f":{}}"#;
    assert_eq!(left(json!([{"flatten": {}}]), event), [r#"{"a_b_c":1,"d":[{"e":1}],"f":{}}"#]);
    assert_eq!(left(json!([{"flatten": {"separator": "."}}]), "{}"), ["{}"]);
    assert_eq!(left(json!([{"flatten": {}}]), r#"{"":{"x":1},"y":{"":{}}}"#), [r#"{"_x":1,"y_":{}}"#]);
    let failed = run(json!([{"flatten": {}}]), r#"{"a":{"b":1},"a_b":2}"#).unwrap_err();
    assert_eq!(
        (failed.code.as_str(), failed.detail.as_str()),
        ("flatten", r#"pipeline.processors[0].flatten: two fields would be named "a_b""#)
    );
}

#[test]
fn an_event_that_nothing_changes_keeps_its_text() {
    let event = r#"{"z":12345678901234567890123,"a":1e5,"a2":1.10}"#;
    let steps = json!([{"filter": "exists(.z)"}, {"validate": {"schema": {"required": ["a"]}}}, {"rate_limit": "slow"}]);
    let compiled = Compiled::new(&route(steps), &shared()).unwrap().unwrap();
    assert_eq!(compiled.run(event.as_bytes(), &mut []).branches[0].end, Ok(Left::Unchanged));
}

#[test]
fn an_event_becomes_so_many_at_most() {
    let list = vec!["{}"; MAX_FAN_OUT + 1].join(",");
    let failed = run(json!([{"mapping": ". = array!(.list)"}]), &format!("{{\"list\":[{list}]}}")).unwrap_err();
    assert_eq!(failed.code, "fan_out");
}

/// Caches and a rate limit.
fn shared() -> Resources {
    Resources::from([
        resource(ResourceKind::Cache, "seen", json!({"cache": {"dynamodb": {"ttl": "5m"}}})),
        resource(ResourceKind::Cache, "here", json!({"cache": {"memory": {"ttl": "1h"}}})),
        resource(ResourceKind::RateLimit, "slow", json!({"rate_limit": {"local": {"count": 2, "interval": "10s"}}})),
    ])
}

fn questions(route: &Route, event: &str) -> Vec<Question> {
    let compiled = Compiled::new(route, &shared()).unwrap().unwrap();
    compiled.run(event.as_bytes(), &mut []).gates.into_iter().map(|gate| gate.question).collect()
}

#[test]
fn dedupe_asks_for_the_key_of_its_stream_for_as_long_as_window_and_cache_allow() {
    let asked = |dedupe: serde_json::Value, event| questions(&route(json!([{"dedupe": dedupe}])), event);
    let by_id = json!({"key": "$.id", "cache": "seen"});
    let [Question::Dedupe(one, store)] = asked(by_id.clone(), r#"{"id":1}"#)[..] else { panic!("one question") };
    assert_eq!((store, one.window.as_secs()), (domain::process::KeyStore::Table, 300), "the cache keeps nothing longer");
    let [Question::Dedupe(other, store)] = asked(json!({"key": "$.id", "cache": "here", "window": "30s"}), r#"{"x":0,"id":1}"#)[..] else {
        panic!("one question")
    };
    assert_eq!((store, other.window.as_secs()), (domain::process::KeyStore::Memory, 30));
    assert_eq!(one.key, other.key);
    assert_ne!(asked(by_id.clone(), r#"{"id":"1"}"#), asked(by_id.clone(), r#"{"id":1}"#));
    assert!(asked(by_id.clone(), r#"{"id":null}"#).is_empty() && asked(by_id.clone(), "{}").is_empty(), "no key, no question");

    let elsewhere = Route { ingest_id: Some("is-00000002".parse().unwrap()), ..route(json!([{"dedupe": by_id}])) };
    assert_ne!(questions(&elsewhere, r#"{"id":1}"#), asked(json!({"key": "$.id", "cache": "seen"}), r#"{"id":1}"#));
    let by_default =
        Route { event_id: Some(serde_json::from_value(json!("$.id")).unwrap()), ..route(json!([{"dedupe": {"cache": "seen"}}])) };
    assert_eq!(questions(&by_default, r#"{"id":1}"#), asked(json!({"key": "$.id", "cache": "seen"}), r#"{"id":1}"#));
}

#[test]
fn gates_stand_behind_each_other_on_the_way_of_each_event() {
    let processors = json!([{"dedupe": {"key": "$.id", "cache": "seen"}}, {"mapping": ". = array!(.list)"}, {"rate_limit": "slow"}]);
    let compiled = Compiled::new(&route(processors), &shared()).unwrap().unwrap();
    let passage = compiled.run(br#"{"id":1,"list":[{"a":1},{"a":2}]}"#, &mut []);
    let before: Vec<(Option<usize>, usize)> = passage.gates.iter().map(|gate| (gate.before, gate.processor)).collect();
    assert_eq!(before, [(None, 0), (Some(0), 2), (Some(0), 2)]);
    assert_eq!(passage.branches.iter().map(|branch| branch.gate).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert!(matches!(&passage.gates[1].question, Question::RateLimit(name, limit) if name == "waste/slow" && limit.count == 2));
}

#[test]
fn a_failure_behind_a_gate_leaves_the_others_on_their_way() {
    let processors =
        json!([{"mapping": ". = array!(.list)"}, {"dedupe": {"key": "$.id", "cache": "seen"}}, {"mapping": ".a = to_int!(.a)"}]);
    let compiled = Compiled::new(&route(processors), &shared()).unwrap().unwrap();
    let passage = compiled.run(br#"{"list":[{"id":1,"a":"x"},{"id":2,"a":"2"}]}"#, &mut []);
    let ends: Vec<(Option<usize>, bool)> = passage.branches.iter().map(|branch| (branch.gate, branch.end.is_ok())).collect();
    assert_eq!(ends, [(Some(0), false), (Some(1), true)]);
}

#[test]
fn numbers_keep_their_text_through_programs() {
    let event = r#"{"id":12345678901234567890,"price":1.10,"x":{"y":0.1000000000000000055}}"#;
    assert_eq!(
        left(json!([{"mapping": ".to = del(.id)"}, {"flatten": {}}]), event),
        [r#"{"price":1.10,"to":12345678901234567890,"x_y":0.1000000000000000055}"#]
    );
}

#[test]
fn records_of_xml_go_through_one_by_one_and_become_cbor() {
    let xml = Route { format: Format::Xml, ..route(json!([{"mapping": ".n = to_int!(.n)"}, {"filter": ".n > 1"}])) };
    let compiled = Compiled::new(&xml, &Resources::new()).unwrap().unwrap();
    let passage = compiled.run(b"<r><record><n>1</n></record><record><n>2</n></record><record><n>3</n></record></r>", &mut []);
    let maps: Vec<Left> = passage.branches.into_iter().map(|branch| branch.end.unwrap()).collect();
    assert_eq!(maps, [Left::Cbor(b"\xa1\x61n\x02".to_vec()), Left::Cbor(b"\xa1\x61n\x03".to_vec())]);

    let plain = Compiled::new(&Route { format: Format::Xml, ..route(json!([])) }, &Resources::new()).unwrap().unwrap();
    let many = format!("<r>{}</r>", "<record/>".repeat(MAX_FAN_OUT + 50));
    assert_eq!(plain.run(many.as_bytes(), &mut []).branches.len(), MAX_FAN_OUT + 50, "records are no fan-out");
    let deepening = ". = {\"a\": .}\n".repeat(65);
    let deep = Compiled::new(&Route { format: Format::Xml, ..route(json!([{"mapping": deepening}])) }, &Resources::new()).unwrap().unwrap();
    assert_eq!(deep.run(b"<r/>", &mut []).branches[0].end.clone().unwrap_err().reason.code, "too_deep");
    let failure = plain.run(b"<r><record></r>", &mut []).branches[0].end.clone().unwrap_err();
    assert_eq!(failure.reason.code, "undecodable");
    assert!(Compiled::new(&route(json!([])), &Resources::new()).unwrap().is_none(), "JSON without processors goes on as it is");
}

#[test]
fn an_explanation_says_what_each_processor_did() {
    let compiled = compiled(json!([{"mapping": ". = array!(.list)"}, {"filter": "exists(.a)"}, {"mapping": ".a = to_int!(.a)"}]));
    let (passage, reports) = compiled.explain(br#"{"list":[{"a":"1"},{"b":1},{"a":"x"}]}"#, 1_000);
    assert_eq!(passage.branches.len(), 1, "one failure is the event's");
    let seen: Vec<(&str, usize, Vec<String>, usize)> =
        reports.iter().map(|report| (report.path.as_str(), report.received, report.outputs.clone(), report.failures.len())).collect();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        seen,
        [
            ("pipeline.processors[0].mapping", 1, texts(&[r#"{"a":"1"}"#, r#"{"b":1}"#, r#"{"a":"x"}"#]), 0),
            ("pipeline.processors[1].filter", 3, texts(&[r#"{"a":"1"}"#, r#"{"a":"x"}"#]), 0),
            ("pipeline.processors[2].mapping", 2, texts(&[]), 1),
        ]
    );
}

#[test]
fn loops_run() {
    let counting = json!([{"mapping": "count = 0\nfor_each(array!(.list)) -> |_, v| { count = count + int!(v) }\n.count = count"}]);
    assert_eq!(left(counting, r#"{"list":[1,2,3]}"#), [r#"{"count":6,"list":[1,2,3]}"#]);
    let mapping = json!([{"mapping": ".list = map_values(array!(.list)) -> |v| { upcase!(v) }"}, {"filter": "length(filter(array!(.list)) -> |_, v| { v == \"A\" }) == 1"}]);
    assert_eq!(left(mapping, r#"{"list":["a","b"]}"#), [r#"{"list":["A","B"]}"#]);
}

#[test]
fn a_loop_that_takes_too_much_is_its_event_s_failure() {
    let list = format!(r#"{{"list":[{}0]}}"#, "0,".repeat(60_000));
    let all = "for_each(array!(.list)) -> |_, _v| {";
    for (program, word) in [
        (format!("{all} {all} x = 1 }} }}"), vec!["within 1 s"]),
        (format!("s = \"x\"\n{all} s = s + s }}"), vec!["at most 128 MB"]),
        // Whichever comes first on this machine.
        (format!("x = {{}}\n{all} x = {{\"x\": x}} }}\n.x = x"), vec!["within 1 s", "at most 128 MB", "levels"]),
        (format!(".a = {{}}\n{all} .a = {{\"a\": del(.a)}} }}"), vec!["within 1 s", "at most 128 MB", "levels"]),
        // What goes wrong in a loop is not to be got round.
        (format!(".n = map_values(array!(.list)) -> |_v| {{ {all} x = 1 }}\nto_int(.list[0]) }} ?? []"), vec!["within 1 s"]),
    ] {
        let failure = run(json!([{"mapping": program}]), &list).map(|left| left.len()).unwrap_err();
        assert!(word.iter().any(|word| failure.detail.contains(word)), "{program}: {}", failure.detail);
    }
}

#[test]
fn an_event_has_its_time_for_all_programs_together() {
    let list = format!(r#"{{"list":[{}0],"n":1}}"#, "0,".repeat(60_000));
    let slow = "for_each(array!(.list)) -> |_, _v| { for_each(array!(.list)) -> |_, _w| { x = 1 } }";
    let began = std::time::Instant::now();
    let processors = json!([{"mapping": ". = [., ., ., ., .]"}, {"filter": format!("{slow}\ntrue")}]);
    assert!(run(processors, &list).unwrap_err().detail.contains("within 1 s"));
    let shared = shared();
    let gated =
        json!([{"mapping": ". = [., ., ., ., .]"}, {"dedupe": {"key": "$.n", "cache": "seen"}}, {"filter": format!("{slow}\ntrue")}]);
    Compiled::new(&route(gated), &shared).unwrap().unwrap().run(list.as_bytes(), &mut []);
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[test]
fn too_many_events_are_the_failure_of_the_event_whichever_gate_is_open() {
    let split = "{\"id\": 1, \"list\": LIST}, {\"id\": 2, \"list\": LIST}".replace("LIST", &format!("[{}{{}}]", "{},".repeat(59)));
    let processors =
        json!([{"mapping": ". = array!(.list)"}, {"dedupe": {"key": "$.id", "cache": "seen"}}, {"mapping": ". = array!(.list)"}]);
    let compiled = Compiled::new(&route(processors), &shared()).unwrap().unwrap();
    let passage = compiled.run(format!("{{\"list\": [{split}]}}").as_bytes(), &mut []);
    let ends: Vec<(Option<usize>, bool)> = passage.branches.iter().map(|branch| (branch.gate, branch.end.is_ok())).collect();
    assert_eq!(ends, [(Some(0), false), (Some(1), false)]);
}

#[test]
fn long_ids_are_told_apart() {
    let route = route(json!([{"dedupe": {"key": "$.id", "cache": "seen"}}]));
    let asked = |id: &str| questions(&route, &format!(r#"{{"other":12345678901234567892,"id":{id}}}"#));
    assert_ne!(asked("12345678901234567890"), asked("12345678901234567891"));
    assert_eq!(asked("12345678901234567890"), questions(&route, r#"{"id":12345678901234567890}"#));
    assert_eq!(asked("1.10"), asked("1.1"));
}
