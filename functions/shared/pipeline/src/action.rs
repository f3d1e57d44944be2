//! What one processor does to one event.

use std::cell::RefCell;

use domain::dedupe::{Mark, SeenKey};
use domain::limits::MAX_JSON_DEPTH;
use domain::process::{KeyStore, Question};
use domain::resource_config::LocalRateLimit;
use rules::path::Path;
use rules::schema::Schema;
use vrl::compiler::runtime::{Runtime, Terminate};
use vrl::compiler::{TargetValue, TimeZone};
use vrl::value::{KeyString, ObjectMap, Secrets, Value};

use crate::loops::{self, on_large_stack};
use crate::numbers::Numbers;
use crate::program::Program;

thread_local! {
    /// Kept, so that its memory is.
    static RUNTIME: RefCell<Runtime> = RefCell::default();
}

/// A processor, ready to run.
#[derive(Debug)]
pub(crate) enum Action {
    Mapping(Program),
    Filter(Program),
    Validate(Schema),
    Flatten(String),
    Dedupe(Dedupe),
    RateLimit(String, LocalRateLimit),
}

/// What makes an event a duplicate.
#[derive(Debug)]
pub(crate) struct Dedupe {
    /// Where its key stands.
    pub(crate) path: Path,
    /// The path as it was written.
    pub(crate) path_text: String,
    /// The stream among whose events a key is looked for.
    pub(crate) stream: String,
    /// For how long a key is remembered.
    pub(crate) window: std::time::Duration,
    /// Where.
    pub(crate) store: KeyStore,
}

/// What a processor makes of an event.
pub(crate) enum Given {
    /// It goes on.
    One(Value),
    /// It goes on if the world outside says so; without a question, as it is.
    Asks(Value, Option<Question>),
    /// It becomes several, or none.
    Many(Vec<Value>),
}

/// What a processor makes of an event, or the code and the words of its failure.
type Outcome = Result<Given, (&'static str, String)>;

impl Action {
    /// Whether it can make another event of an event.
    pub(crate) fn rewrites(&self) -> bool {
        matches!(self, Self::Mapping(_) | Self::Flatten(_))
    }

    pub(crate) fn apply(&self, event: Value, numbers: &Numbers) -> Outcome {
        match self {
            Self::Mapping(program) => map(program, event),
            Self::Filter(program) => filter(program, event),
            Self::Validate(schema) => validate(schema, event),
            Self::Flatten(separator) => {
                let mut flat = ObjectMap::new();
                flatten(None, event, separator, &mut flat).map_err(|name| ("flatten", format!("two fields would be named {name:?}")))?;
                Ok(Given::One(Value::Object(flat)))
            }
            Self::Dedupe(dedupe) => {
                let question = dedupe.key_of(&event, numbers).map(|value| dedupe.question(&value));
                Ok(Given::Asks(event, question))
            }
            Self::RateLimit(name, limit) => Ok(Given::Asks(event, Some(Question::RateLimit(name.clone(), *limit)))),
        }
    }
}

impl Dedupe {
    /// The event's key as JSON text; none when there is nothing, or null, at the path.
    fn key_of(&self, event: &Value, numbers: &Numbers) -> Option<String> {
        let event = numbers.exactly(event);
        let found = self.path.compiled().query(&event).all();
        match found[..] {
            [] => None,
            [serde_json::Value::Null] => None,
            [one] => Some(one.to_string()),
            _ => serde_json::to_string(&found).ok(),
        }
    }

    fn question(&self, value: &str) -> Question {
        let key = SeenKey::new(&self.stream, &self.path_text, value);
        Question::Dedupe(Mark { key, window: self.window }, self.store)
    }
}

fn run(program: &Program, event: Value) -> Result<(Result<Value, Terminate>, Value), String> {
    let resolve = || {
        let mut target = TargetValue { value: event, metadata: Value::Object(ObjectMap::new()), secrets: Secrets::new() };
        let result = RUNTIME.with_borrow_mut(|runtime| {
            // Before, since a panic may have left something.
            runtime.clear();
            let result = runtime.resolve(&mut target, program.compiled(), &TimeZone::default());
            runtime.clear();
            result
        });
        (result, target.value)
    };
    if !program.has_loops() {
        return Ok(resolve());
    }
    on_large_stack(|| {
        let (result, event) = resolve();
        // The program may have gone on all the same.
        loops::check()?;
        let is_shallow = depth_of(&event) <= MAX_JSON_DEPTH && result.as_ref().map_or(0, depth_of) <= MAX_JSON_DEPTH;
        if is_shallow { Ok((result, event)) } else { Err(format!("expected at most {MAX_JSON_DEPTH} levels, got more out of a loop")) }
    })
}

/// How many objects and lists stand within each other.
pub(crate) fn depth_of(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(depth_of).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}

fn map(program: &Program, event: Value) -> Outcome {
    match run(program, event).map_err(|detail| ("mapping", detail))? {
        (Ok(_), Value::Object(event)) => Ok(Given::One(Value::Object(event))),
        (Ok(_), Value::Array(events)) => match events.iter().position(|event| !event.is_object()) {
            None => Ok(Given::Many(events)),
            Some(index) => Err(("mapping", format!("expected a list of objects, got {} at {index}", events[index].kind()))),
        },
        (Ok(_), other) => Err(("mapping", format!("expected an object or a list of them, got {}", other.kind()))),
        (Err(Terminate::Abort(_)), _) => Ok(Given::Many(Vec::new())),
        (Err(Terminate::Error(error)), _) => Err(("mapping", error.to_string())),
    }
}

fn filter(program: &Program, event: Value) -> Outcome {
    match run(program, event).map_err(|detail| ("filter", detail))? {
        (Ok(Value::Boolean(true)), event) => Ok(Given::One(event)),
        (Ok(Value::Boolean(false)) | Err(Terminate::Abort(_)), _) => Ok(Given::Many(Vec::new())),
        (Ok(other), _) => Err(("filter", format!("expected true or false, got {}", other.kind()))),
        (Err(Terminate::Error(error)), _) => Err(("filter", error.to_string())),
    }
}

fn validate(schema: &Schema, event: Value) -> Outcome {
    let json: serde_json::Value = event.clone().try_into().map_err(|error| ("validate", format!("{error}")))?;
    match schema.validator().iter_errors(&json).next() {
        None => Ok(Given::One(event)),
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
