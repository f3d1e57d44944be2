//! What a stream's document says of its events beyond their form: compiled once for a config, and applied at the door.

use std::sync::{Arc, OnceLock};

use domain::cloud_event::{self, Data};
use domain::field_path::FieldPath;
use domain::ingest::{Event, EventReading, EventRules, RuleFault};
use domain::input::{Input, JsonPath};
use jsonschema::error::ValidationErrorKind;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::path::Path;
use crate::schema::{Schema, SchemaFault, explained};
use crate::tree::{Tree, TreeJson};

/// Faults of one event that are told. Ours.
const MAX_FAULTS: usize = 20;

/// The largest event all of whose faults are looked for, in bytes; of a larger one, the first is told. The library finds all of them before
/// it gives one, each with the names that lead to it: what that takes grows with the square of the size.
const MAX_SIZE_OF_ALL: usize = 16 * 1024;

/// The longest detail, or place, of a fault, in characters.
const MAX_DETAIL: usize = 300;

/// The rules of one `input` section.
#[derive(Debug)]
pub struct CompiledRules {
    schema: Option<Checker>,
    partition_key: Option<Locator>,
    event_id: Option<Locator>,
}

/// A schema at a stream's door: what decides of every event, and what tells the faults of those that are refused.
#[derive(Debug)]
struct Checker {
    source: Map<String, Value>,
    decides: Schema<TreeJson>,
    /// Compiled for the first event that is refused. A tree would be copied for every fault that the library looks at; values are not.
    tells: OnceLock<Option<Schema>>,
}

/// Compiles the rules of an `input` section, as a stream's door takes them.
///
/// # Errors
/// What does not compile.
pub fn compile(input: &Input) -> Result<Option<Arc<dyn EventRules>>, String> {
    Ok(CompiledRules::new(input)?.map(|rules| Arc::new(rules) as Arc<dyn EventRules>))
}

/// Where something stands in an event.
#[derive(Debug)]
enum Locator {
    /// Found in the text.
    Field(FieldPath),
    /// Found in a value.
    Path(Path),
}

impl CompiledRules {
    /// Compiles the rules of an `input` section; `None` when it has none.
    ///
    /// # Errors
    /// The first that does not compile, which a document that was checked does not have.
    pub fn new(input: &Input) -> Result<Option<Self>, String> {
        let first = |faults: Vec<SchemaFault>| faults.into_iter().next().map(|fault| fault.message).unwrap_or_default();
        let schema = input.schema.clone().map(Checker::compile).transpose().map_err(first)?;
        let rules = Self { schema, partition_key: locator(input.partition_key.as_ref())?, event_id: locator(input.event_id.as_ref())? };
        let is_any = rules.schema.is_some() || rules.partition_key.is_some() || rules.event_id.is_some();
        Ok(is_any.then_some(rules))
    }

    /// Whether an event must be read as a value to find its key or its id.
    fn follows_paths(&self) -> bool {
        let is_path = |locator: &Option<Locator>| matches!(locator, Some(Locator::Path(_)));
        is_path(&self.partition_key) || is_path(&self.event_id)
    }
}

fn locator(path: Option<&JsonPath>) -> Result<Option<Locator>, String> {
    let Some(path) = path else { return Ok(None) };
    match path.as_str().parse() {
        Ok(field) => Ok(Some(Locator::Field(field))),
        Err(_) => Path::compile(path.as_str()).map(|path| Some(Locator::Path(path))).map_err(|fault| fault.to_string()),
    }
}

impl EventRules for CompiledRules {
    fn read(&self, event: Event<'_>) -> EventReading {
        let (text, is_cloud_event) = match event {
            Event::Json(text) => (text, false),
            Event::CloudEvent(text) => (text, true),
            Event::Xml(_) | Event::Malformed(_) => return EventReading::default(),
        };
        let faults = match &self.schema {
            None => Vec::new(),
            Some(schema) if is_cloud_event => schema.faults_of_data(text),
            Some(schema) => schema.faults(text, ""),
        };
        let value: Option<Value> = if self.follows_paths() { serde_json::from_str(text).ok() } else { None };
        let found = |locator: &Option<Locator>| locator.as_ref().and_then(|locator| locator.find(text, value.as_ref()));
        EventReading { faults, partition_key: found(&self.partition_key), id: found(&self.event_id) }
    }
}

impl Locator {
    /// What stands there as a key: a text is itself, anything else its JSON, and `null` is nothing.
    fn find(&self, event: &str, whole: Option<&Value>) -> Option<String> {
        match self {
            Self::Field(field) => {
                let value = field.find(event)?.get();
                match value.as_bytes().first()? {
                    b'"' => serde_json::from_str(value).ok(),
                    // As it stands, so that a number keeps its spelling.
                    _ => (value != "null").then(|| value.to_owned()),
                }
            }
            Self::Path(path) => match path.compiled().query(whole?).all()[..] {
                [] | [Value::Null] => None,
                [Value::String(text)] => Some(text.clone()),
                [one] => Some(one.to_string()),
                ref several => serde_json::to_string(several).ok(),
            },
        }
    }
}

impl Checker {
    fn compile(source: Map<String, Value>) -> Result<Self, Vec<SchemaFault>> {
        Ok(Self { decides: Schema::compile(source.clone())?, source, tells: OnceLock::new() })
    }

    /// What breaks the schema in the data of a CloudEvent.
    fn faults_of_data(&self, event: &str) -> Vec<RuleFault> {
        match cloud_event::data(event) {
            None => vec![fault("", "expected data, which the stream has a schema for")],
            Some(Data::Json(data)) => self.faults(data.get(), "/data"),
            Some(Data::Base64(bytes)) => match std::str::from_utf8(&bytes) {
                Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => self.faults(text, "/data_base64"),
                _ => vec![fault("/data_base64", "expected JSON, which the stream has a schema for")],
            },
        }
    }

    /// What breaks the schema in a JSON text, which stands at this place of the event.
    fn faults(&self, text: &str, place: &str) -> Vec<RuleFault> {
        let is_valid = serde_json::from_str::<Tree<'_>>(text).is_ok_and(|tree| self.decides.validator().is_valid(&tree));
        if is_valid { Vec::new() } else { self.told(text, place) }
    }

    fn told(&self, text: &str, place: &str) -> Vec<RuleFault> {
        let Ok(value) = serde_json::from_str(text) else {
            // Such as a number that no floating point number comes near.
            return vec![fault(place, "cannot be read to be checked")];
        };
        let schema = self.tells.get_or_init(|| Schema::compile(self.source.clone()).ok());
        let faults = schema.as_ref().map(|schema| faults(schema, &value, text.len(), place)).unwrap_or_default();
        // A value takes one name, a mark of serde_json's, for more than a name, and may keep a schema that the event does not.
        if faults.is_empty() { vec![fault(place, "does not keep the stream's schema")] } else { faults }
    }
}

fn fault(pointer: &str, detail: &str) -> RuleFault {
    RuleFault { pointer: pointer.to_owned(), detail: detail.to_owned() }
}

/// Where a fault stands. A member that is missing has the place where it should stand.
fn pointer_of(error: &jsonschema::ValidationError<'_>, place: &str) -> String {
    let at = format!("{place}{}", error.instance_path());
    match error.kind() {
        ValidationErrorKind::Required { property: Value::String(name) } => format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")),
        _ => at,
    }
}

/// What breaks a schema in a value that was read from so many bytes.
fn faults(schema: &Schema, value: &Value, size: usize, place: &str) -> Vec<RuleFault> {
    let fault = |error: jsonschema::ValidationError<'_>| RuleFault {
        pointer: pointer_of(&error, place).chars().take(MAX_DETAIL).collect(),
        detail: explained(&error).chars().take(MAX_DETAIL).collect(),
    };
    if size > MAX_SIZE_OF_ALL {
        return schema.validator().validate(value).err().map(fault).into_iter().collect();
    }
    schema.validator().iter_errors(value).take(MAX_FAULTS).map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(input: Value) -> CompiledRules {
        CompiledRules::new(&serde_json::from_value(input).unwrap()).unwrap().unwrap()
    }

    #[test]
    fn every_fault_of_an_event_is_told_with_its_place() {
        let schema = json!({
            "required": ["id"],
            "properties": {"at": {"type": "string", "format": "date-time"}, "n": {"type": "integer", "maximum": 255}},
        });
        let reading = rules(json!({"schema": schema})).read(Event::Json(r#"{"at":"soon","n":999}"#));
        let mut pointers: Vec<&str> = reading.faults.iter().map(|fault| fault.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/at", "/id", "/n"]);
        assert_eq!(rules(json!({"schema": {"required": ["id"]}})).read(Event::Json(r#"{"id":1}"#)).faults, []);
    }

    #[test]
    fn keys_and_ids_are_found_by_simple_paths_and_by_others() {
        let reading = rules(json!({"partition_key": "$.vehicle.id", "event_id": "$.tags[*].id"}))
            .read(Event::Json(r#"{"vehicle":{"id":7},"tags":[{"id":"a"},{"id":"b"}]}"#));
        assert_eq!((reading.partition_key.as_deref(), reading.id.as_deref()), (Some("7"), Some(r#"["a","b"]"#)));
        let reading = rules(json!({"partition_key": "$.vehicle"})).read(Event::Json(r#"{"vehicle":null}"#));
        assert_eq!(reading.partition_key, None);
    }

    #[test]
    fn an_input_without_rules_has_none() {
        assert!(CompiledRules::new(&serde_json::from_value(json!({})).unwrap()).unwrap().is_none());
    }

    #[test]
    fn a_key_keeps_the_spelling_of_a_number() {
        let rules = rules(json!({"partition_key": "$.n", "event_id": "$.s"}));
        let reading = rules.read(Event::Json(r#"{"n":12345678901234567890123,"s":"\u00e9"}"#));
        assert_eq!((reading.partition_key.as_deref(), reading.id.as_deref()), (Some("12345678901234567890123"), Some("é")));
    }

    #[test]
    fn dates_formats_and_ranges_are_held() {
        let rules = rules(json!({"schema": {"properties": {
            "at": {"format": "date-time"}, "day": {"format": "date"}, "mail": {"format": "email"}, "id": {"format": "uuid"},
            "small": {"type": "integer", "minimum": -128, "maximum": 127},
        }}}));
        let pointers = |event| rules.read(Event::Json(event)).faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>();
        let good = r#"{"at":"2023-05-10T15:30:00Z","day":"2024-02-29","mail":"a@b.example","id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","small":-128}"#;
        assert_eq!(pointers(good), Vec::<String>::new());
        for (bad, place) in [
            (r#"{"at":"2023-02-31T15:30:00Z"}"#, "/at"),
            (r#"{"day":"2023-02-29"}"#, "/day"),
            (r#"{"mail":"nobody"}"#, "/mail"),
            (r#"{"id":"1"}"#, "/id"),
            (r#"{"small":128}"#, "/small"),
            (r#"{"small":1.5}"#, "/small"),
        ] {
            assert_eq!(pointers(bad), [place], "{bad}");
        }
    }

    #[test]
    fn a_schema_is_for_the_data_of_a_cloud_event_and_paths_are_for_its_structured_form() {
        let rules = rules(json!({"schema": {"required": ["n"]}, "partition_key": "$.subject", "event_id": "$.id"}));
        let read = |event: &str| rules.read(Event::CloudEvent(event));
        let good = read(r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"car","data":{"n":1}}"#);
        assert_eq!((good.faults.len(), good.partition_key.as_deref(), good.id.as_deref()), (0, Some("car"), Some("1")));
        let places = |event| read(event).faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>();
        assert_eq!(places(r#"{"data":{}}"#), ["/data/n"]);
        assert_eq!(places(r#"{"data_base64":"e30="}"#), ["/data_base64/n"]);
        assert_eq!(places(r#"{"data_base64":"eyJuIjoxfQ=="}"#), Vec::<String>::new());
        assert_eq!(places(r#"{"data_base64":"PGE+"}"#), ["/data_base64"]);
        assert_eq!(places(r#"{"n":1}"#), [""], "no data");
    }

    #[test]
    fn an_event_is_not_what_a_text_in_it_says() {
        let rules = rules(json!({"schema": {"required": ["id"]}}));
        let faults = rules.read(Event::Json(r#"{"$serde_json::private::RawValue":"{\"id\":1}"}"#)).faults;
        assert_eq!(faults, [fault("", "does not keep the stream's schema")]);
    }

    #[test]
    fn a_large_event_of_none_of_many_kinds_is_told_so() {
        let kinds: Vec<Value> = (0..20).map(|kind| json!({"required": [format!("{kind}"), format!("{kind}-too")]})).collect();
        let rules = rules(json!({"schema": {"oneOf": kinds}}));
        let event = format!("{{\"readings\":[{}]}}", vec!["1"; 60_000].join(","));
        let faults = rules.read(Event::Json(&event)).faults;
        assert_eq!((faults.len(), faults[0].pointer.as_str()), (1, ""));
    }

    #[test]
    fn a_large_event_full_of_faults_is_told_one_and_shortly() {
        let rules = rules(json!({"schema": {"additionalProperties": {"items": {"type": "string"}}}}));
        let event = |name: usize, items: usize| format!("{{\"{}\":[{}]}}", "n".repeat(name), vec!["1"; items].join(","));
        let large = rules.read(Event::Json(&event(120_000, 60_000))).faults;
        assert_eq!((large.len(), large[0].pointer.len()), (1, MAX_DETAIL));
        assert_eq!(rules.read(Event::Json(&event(1_000, 1_000))).faults.len(), MAX_FAULTS);
    }
}
