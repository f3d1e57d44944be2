//! A JSON object read field by field, with everything that is wrong with it named at once.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::problem::{FieldError, Problem, pointer};

/// Characters of one fault's description, and of the name that it is about.
const MAX_DETAIL: usize = 300;

/// Faults that are named; who sends more will find the rest with the next try.
const MAX_FAULTS: usize = 20;

/// Collects the faults of a body's fields while they are read.
#[derive(Debug)]
pub struct Fields {
    members: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// Reads a body that must be one JSON object.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn parse(body: &str) -> Result<Self, Problem> {
        match serde_json::from_str(body) {
            Ok(Value::Object(members)) => Ok(Self { members, errors: Vec::new() }),
            Ok(_) => Err(Problem::bad_request("body: expected a JSON object").with_error("", "expected a JSON object")),
            Err(error) => Err(Problem::bad_request(format!("body is not JSON: {error}"))),
        }
    }

    /// Reads a field that must be there. What stands for one that is not is never seen: `finish` fails then.
    pub fn required<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let Some(value) = self.members.remove(name) else {
            self.fault(name, "this field is missing");
            return None;
        };
        self.readable(name, value)
    }

    /// Reads a field that may be left out, or be `null`.
    pub fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.members.remove(name)?;
        self.readable::<Option<T>>(name, value).flatten()
    }

    fn readable<T: DeserializeOwned>(&mut self, name: &str, value: Value) -> Option<T> {
        serde_json::from_value(value).map_err(|error| self.fault(name, &error.to_string())).ok()
    }

    /// Notes a fault of a field that can be read but not be used.
    pub fn fault(&mut self, name: &str, detail: &str) {
        self.fault_at(pointer(&cut(name)), detail);
    }

    /// Notes a fault of what stands at an RFC 6901 pointer.
    pub fn fault_at(&mut self, pointer: String, detail: &str) {
        if self.errors.len() < MAX_FAULTS {
            self.errors.push(FieldError { pointer, detail: cut(detail) });
        }
    }

    /// Returns whether a fault was found so far.
    pub fn has_faults(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Gives `read` when every field was there, readable and known.
    ///
    /// # Errors
    /// 400 with every fault.
    pub fn finish<T>(mut self, read: Option<T>) -> Result<T, Problem> {
        let unknown: Vec<String> = self.members.keys().take(MAX_FAULTS).cloned().collect();
        for name in unknown {
            self.fault(&name, "unknown field");
        }
        match read {
            Some(read) if self.errors.is_empty() => Ok(read),
            _ => {
                let problem = Problem::bad_request("the body has fields that cannot be used");
                Err(self.errors.into_iter().fold(problem, |problem, error| problem.with_error(error.pointer, error.detail)))
            }
        }
    }
}

/// What a caller sent is echoed cut, so that an error never outgrows its cause.
fn cut(text: &str) -> String {
    text.chars().take(MAX_DETAIL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::fakes::block_on;

    fn read(body: &str) -> Result<(String, Option<u32>), Problem> {
        let mut fields = Fields::parse(body)?;
        let (name, days) = (fields.required("name"), fields.optional("days"));
        fields.finish(name.map(|name| (name, days)))
    }

    fn errors(body: &str) -> Value {
        let response = read(body).unwrap_err().into_response_with("r");
        let bytes = block_on(axum::body::to_bytes(response.into_body(), 10_000)).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()["errors"].clone()
    }

    #[test]
    fn a_good_body_is_read() {
        assert_eq!(read(r#"{"name": "a", "days": 3}"#).unwrap(), ("a".to_owned(), Some(3)));
        assert_eq!(read(r#"{"name": "a"}"#).unwrap(), ("a".to_owned(), None));
        assert_eq!(read(r#"{"name": "a", "days": null}"#).unwrap(), ("a".to_owned(), None));
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let pointers = |body: &str| -> Vec<String> {
            let errors = errors(body);
            errors.as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(pointers(r#"{"days": "x", "nope": 1, "a/b": 2}"#), ["/name", "/days", "/a~1b", "/nope"]);
        assert_eq!(pointers(r#"{"name": 7}"#), ["/name"]);
        assert_eq!(pointers(r#"{"name": null}"#), ["/name"]);
        assert_eq!(pointers("[]"), [""]);
        assert!(read("{").unwrap_err().status() == 400);
    }

    #[test]
    fn an_error_never_outgrows_its_cause() {
        let many: Vec<String> = (0..10_000).map(|n| format!(r#""{n}":0"#)).collect();
        assert_eq!(errors(&format!(r#"{{"name":"a",{}}}"#, many.join(","))).as_array().map(Vec::len), Some(MAX_FAULTS));
        let long = format!(r#"{{"name":"a","{}":0}}"#, "n".repeat(100_000));
        assert!(errors(&long).to_string().len() < 1_000);
    }
}
