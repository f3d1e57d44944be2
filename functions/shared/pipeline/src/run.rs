//! A stream's processors, compiled and run.
//!
//! `dedupe` and `rate_limit` are not run yet: an event passes them as it is.

use std::cell::RefCell;
use std::collections::BTreeMap;

use domain::dead_letter::Reason;
use domain::ids::ResourceId;
use domain::pipeline::Processor;
use domain::process::Processors;
use domain::stats::ProcessorCounters;
use vrl::compiler::runtime::{Runtime, Terminate};
use vrl::compiler::{TargetValue, TimeZone};
use vrl::value::{KeyString, ObjectMap, Secrets, Value};

use crate::program::{EventType, Program, Purpose};
use crate::schema::Schema;

/// Events that one event may become. Ours: they keep its partition key, so they are written one after another.
const MAX_FAN_OUT: usize = 100;

/// Bytes that they may have together. Ours: one write to Kinesis takes 10 MiB.
const MAX_FAN_OUT_BYTES: usize = 5 * 1024 * 1024;

/// The longest detail of a failure, in characters.
const MAX_DETAIL: usize = 500;

thread_local! {
    /// Kept, so that its memory is.
    static RUNTIME: RefCell<Runtime> = RefCell::default();
}

/// The processors of one config, ready to run.
#[derive(Debug)]
pub struct Compiled {
    steps: Vec<Step>,
    /// Whether an event can be another one after the steps; else its own text goes on.
    rewrites: bool,
}

#[derive(Debug)]
struct Step {
    /// How a failure names it: `pipeline.processors[0].mapping`.
    path: String,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Mapping(Program),
    Filter(Program),
    Validate(Schema),
    Flatten(String),
    Pass,
}

impl Compiled {
    /// Compiles processors, once for a config. `resources` are those that it names.
    ///
    /// # Errors
    /// The first that does not compile, which a document that was checked does not have, or names a resource that is not given.
    pub fn new(processors: &[Processor], resources: &BTreeMap<ResourceId, Processor>) -> Result<Self, String> {
        let mut event = EventType::default();
        let mut steps = Vec::with_capacity(processors.len());
        for (index, processor) in processors.iter().enumerate() {
            let path = format!("pipeline.processors[{index}].{}", processor.name());
            let action = compile(processor, resources, &mut event).map_err(|fault| format!("{path}: {fault}"))?;
            steps.push(Step { path, action });
        }
        let rewrites = steps.iter().any(|step| matches!(step.action, Action::Mapping(_) | Action::Flatten(_)));
        Ok(Self { steps, rewrites })
    }
}

fn compile(processor: &Processor, resources: &BTreeMap<ResourceId, Processor>, event: &mut EventType) -> Result<Action, String> {
    let program = |source: &str, purpose, event: &EventType| {
        let compiled = Program::compile(source, purpose, event);
        compiled.map_err(|found| found.first().map_or_else(String::new, |found| found.message.clone()))
    };
    Ok(match processor {
        Processor::Mapping(source) => {
            let compiled = program(source.as_str(), Purpose::Mapping, event)?;
            *event = compiled.event_after();
            Action::Mapping(compiled)
        }
        Processor::Filter(source) => Action::Filter(program(source.as_str(), Purpose::Filter, event)?),
        Processor::Validate(validate) => {
            let compiled = Schema::compile(validate.schema.clone());
            let first = |found: Vec<crate::schema::SchemaFault>| found.first().map_or_else(String::new, |found| found.message.clone());
            Action::Validate(compiled.map_err(first)?)
        }
        Processor::Flatten(flatten) => {
            *event = EventType::default();
            Action::Flatten(flatten.separator.clone())
        }
        // It was checked for any event, and what it leaves can be anything.
        Processor::Resource(id) => {
            *event = EventType::default();
            match resources.get(id) {
                Some(Processor::Resource(_)) | None => return Err(format!("there is no processor {id}")),
                Some(processor) => compile(processor, resources, &mut EventType::default())?,
            }
        }
        Processor::Dedupe(_) => Action::Pass,
        Processor::RateLimit(_) => Action::Pass,
    })
}

impl Processors for Compiled {
    fn run(&self, event: &str, counts: &mut [ProcessorCounters]) -> Result<Vec<String>, Reason> {
        let text = event;
        let event: Value = serde_json::from_str(text).map_err(|error| failure("undecodable", error.to_string()))?;
        let mut events = vec![event];
        let mut uncounted = ProcessorCounters::default();
        for (index, step) in self.steps.iter().enumerate() {
            let count = counts.get_mut(index).unwrap_or(&mut uncounted);
            let mut left = Vec::with_capacity(events.len());
            for event in events {
                count.received += 1;
                let given = step.action.apply(event).map_err(|(code, detail)| {
                    count.failed += 1;
                    failure(code, format!("{}: {detail}", step.path))
                })?;
                count.sent += given.len() as u64;
                left.extend(given);
                if left.len() > MAX_FAN_OUT {
                    return Err(failure("fan_out", format!("{}: expected at most {MAX_FAN_OUT} events out of one", step.path)));
                }
            }
            events = left;
        }
        if !self.rewrites {
            return Ok(events.iter().map(|_| text.to_owned()).collect());
        }
        let mut written = Vec::with_capacity(events.len());
        let mut bytes = 0;
        for event in &events {
            let text = serde_json::to_string(event).map_err(|error| failure("unwritable", error.to_string()))?;
            bytes += text.len();
            if bytes > MAX_FAN_OUT_BYTES {
                return Err(failure("fan_out", format!("expected at most {MAX_FAN_OUT_BYTES} bytes out of one event")));
            }
            written.push(text);
        }
        Ok(written)
    }
}

fn failure(code: &str, detail: String) -> Reason {
    Reason { code: code.to_owned(), detail: detail.chars().take(MAX_DETAIL).collect() }
}

/// What a processor makes of an event, or the code and the words of its failure.
type Given = Result<Vec<Value>, (&'static str, String)>;

impl Action {
    fn apply(&self, event: Value) -> Given {
        match self {
            Self::Mapping(program) => map(program, event),
            Self::Filter(program) => filter(program, event),
            Self::Validate(schema) => validate(schema, event),
            Self::Flatten(separator) => {
                let mut flat = ObjectMap::new();
                flatten(None, event, separator, &mut flat).map_err(|name| ("flatten", format!("two fields would be named {name:?}")))?;
                Ok(vec![Value::Object(flat)])
            }
            Self::Pass => Ok(vec![event]),
        }
    }
}

fn run(program: &Program, event: Value) -> (Result<Value, Terminate>, Value) {
    let mut target = TargetValue { value: event, metadata: Value::Object(ObjectMap::new()), secrets: Secrets::new() };
    let result = RUNTIME.with_borrow_mut(|runtime| {
        let result = runtime.resolve(&mut target, program.compiled(), &TimeZone::default());
        runtime.clear();
        result
    });
    (result, target.value)
}

fn map(program: &Program, event: Value) -> Given {
    match run(program, event) {
        (Ok(_), Value::Object(event)) => Ok(vec![Value::Object(event)]),
        (Ok(_), Value::Array(events)) => match events.iter().position(|event| !event.is_object()) {
            None => Ok(events),
            Some(index) => Err(("mapping", format!("expected a list of objects, got {} at {index}", events[index].kind()))),
        },
        (Ok(_), other) => Err(("mapping", format!("expected an object or a list of them, got {}", other.kind()))),
        (Err(Terminate::Abort(_)), _) => Ok(Vec::new()),
        (Err(Terminate::Error(error)), _) => Err(("mapping", error.to_string())),
    }
}

fn filter(program: &Program, event: Value) -> Given {
    match run(program, event) {
        (Ok(Value::Boolean(true)), event) => Ok(vec![event]),
        (Ok(Value::Boolean(false)) | Err(Terminate::Abort(_)), _) => Ok(Vec::new()),
        (Ok(other), _) => Err(("filter", format!("expected true or false, got {}", other.kind()))),
        (Err(Terminate::Error(error)), _) => Err(("filter", error.to_string())),
    }
}

fn validate(schema: &Schema, event: Value) -> Given {
    let json: serde_json::Value = event.clone().try_into().map_err(|error| ("validate", format!("{error}")))?;
    match schema.validator().iter_errors(&json).next() {
        None => Ok(vec![event]),
        Some(error) => Err(("validate", format!("{}: {error}", error.instance_path()))),
    }
}

/// Lists keep their place; what is within them is not touched. An empty object stays as it is.
///
/// # Errors
/// A name that two fields would have.
fn flatten(prefix: Option<String>, value: Value, separator: &str, flat: &mut ObjectMap) -> Result<(), String> {
    match (prefix, value) {
        (prefix, Value::Object(members)) if !members.is_empty() || prefix.is_none() => {
            for (name, member) in members {
                let path = prefix.as_ref().map_or_else(|| name.to_string(), |prefix| format!("{prefix}{separator}{name}"));
                flatten(Some(path), member, separator, flat)?;
            }
            Ok(())
        }
        (prefix, other) => {
            let name = prefix.unwrap_or_default();
            match flat.insert(KeyString::from(name.clone()), other) {
                None => Ok(()),
                Some(_) => Err(name.chars().take(100).collect()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(processors: serde_json::Value, event: &str) -> Result<Vec<String>, Reason> {
        let processors: Vec<Processor> = serde_json::from_value(processors).unwrap();
        Compiled::new(&processors, &BTreeMap::new()).unwrap().run(event, &mut [])
    }

    fn left(processors: serde_json::Value, event: &str) -> Vec<String> {
        run(processors, event).unwrap()
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
        let resources = BTreeMap::from([
            ("speed".parse().unwrap(), serde_json::from_value(json!({"mapping": ".kmh = to_float!(.kmh)"})).unwrap()),
            ("itself".parse().unwrap(), Processor::Resource("itself".parse().unwrap())),
        ]);
        let compiled = |text| Compiled::new(&serde_json::from_value::<Vec<Processor>>(text).unwrap(), &resources);
        // VRL would refuse the exclamation mark if it knew that `.kmh` is a number already.
        let twice = compiled(json!([{"mapping": ".kmh = 1.5"}, {"resource": "speed"}])).unwrap();
        assert_eq!(twice.run("{}", &mut []).unwrap(), [r#"{"kmh":1.5}"#]);
        let failed = compiled(json!([{"resource": "speed"}])).unwrap().run(r#"{"kmh":"x"}"#, &mut []).unwrap_err();
        assert!(failed.detail.starts_with("pipeline.processors[0].resource: "), "{}", failed.detail);
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
        let processors: Vec<Processor> = serde_json::from_value(processors).unwrap();
        let compiled = Compiled::new(&processors, &BTreeMap::new()).unwrap();
        let mut counts = [ProcessorCounters::default(); 3];
        compiled.run(r#"{"list":[{"a":1},{"b":1}]}"#, &mut counts).unwrap();
        compiled.run(r#"{"list":[{"a":"x"}]}"#, &mut counts).unwrap_err();
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
        assert_eq!(left(steps, event), [event]);
    }

    #[test]
    fn an_event_becomes_so_many_at_most() {
        let list = vec!["{}"; MAX_FAN_OUT + 1].join(",");
        let failed = run(json!([{"mapping": ". = array!(.list)"}]), &format!("{{\"list\":[{list}]}}")).unwrap_err();
        assert_eq!(failed.code, "fan_out");
    }
}
