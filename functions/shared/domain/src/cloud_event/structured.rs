//! The structured form: one JSON object with the attributes and the data
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{ATTRIBUTE_NAME, CloudEventFault, DATA, DATA_BASE64, DATACONTENTTYPE, SPEC_VERSION, SPECVERSION, is_attribute_name};

/// [`SPEC_VERSION`], as a message puts it.
const VERSION_TEXT: &str = "\"1.0\"";
const NON_EMPTY: &str = "a non-empty string";

/// The data of an event.
#[derive(Debug, Clone)]
pub enum Data<'e> {
    /// The member `data`: JSON, or the text of another type as a JSON string.
    Json(&'e RawValue),
    /// The bytes that the member `data_base64` stands for.
    Base64(Vec<u8>),
}

/// Checks an event in structured form. A member that is null counts as not there, except for `data` and `data_base64`.
///
/// Strings are not searched for half surrogate pairs, nor is nesting counted: [`crate::json_text::check`] does that.
///
/// # Errors
/// A missing `specversion`, or else the first fault found.
pub fn check(event: &str) -> Result<(), CloudEventFault> {
    let mut checker = Checker::default();
    each_member(event, |name, value| checker.take(name, value))?;
    checker.finish()
}

/// Finds the data of an event that [`check`] accepts. An event may have none.
pub fn data(event: &str) -> Option<Data<'_>> {
    let mut found = None;
    let read = each_member(event, |name, value| match &*name {
        DATA => found = Some(Data::Json(value)),
        DATA_BASE64 => found = decoded(value).map(Data::Base64),
        _ => {}
    });
    read.ok()?;
    found
}

#[derive(Default)]
struct Checker<'e> {
    seen: HashSet<Cow<'e, str>>,
    fault: Option<CloudEventFault>,
}

impl<'e> Checker<'e> {
    fn take(&mut self, name: Cow<'e, str>, value: &'e RawValue) {
        if self.fault.is_none() {
            let is_repeated = self.seen.contains(&*name);
            let repeated = || CloudEventFault::member(&name, "one member of this name", "another");
            self.fault = if is_repeated { Some(repeated()) } else { member_fault(&name, value) };
        }
        self.seen.insert(name);
    }

    fn finish(self) -> Result<(), CloudEventFault> {
        // Without it, nothing says that this was meant to be a cloud event at all.
        if !self.seen.contains(SPECVERSION) {
            return Err(CloudEventFault::member(SPECVERSION, VERSION_TEXT, "nothing"));
        }
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.seen.contains(DATA) && self.seen.contains(DATA_BASE64) {
            return Err(CloudEventFault::member(DATA_BASE64, "data or data_base64", "both"));
        }
        match ["id", "source", "type"].into_iter().find(|name| !self.seen.contains(*name)) {
            Some(missing) => Err(CloudEventFault::member(missing, NON_EMPTY, "nothing")),
            None => Ok(()),
        }
    }
}

/// Says what is wrong with one member alone.
fn member_fault(name: &str, value: &RawValue) -> Option<CloudEventFault> {
    let is_null = value.get() == "null";
    let (expected, is_good) = match name {
        DATA => return None,
        DATA_BASE64 => ("base64 text", decoded(value).is_some()),
        SPECVERSION => (VERSION_TEXT, holds(value, |text| text == SPEC_VERSION)),
        "id" | "source" | "type" => (NON_EMPTY, holds(value, |text| !text.is_empty())),
        DATACONTENTTYPE | "dataschema" | "subject" => ("a non-empty string or null", is_null || holds(value, |text| !text.is_empty())),
        "time" => ("an RFC 3339 time or null", is_null || holds(value, |text| OffsetDateTime::parse(text, &Rfc3339).is_ok())),
        _ if is_attribute_name(name) => ("a string, an integer of 32 bits, a boolean or null", is_scalar(value)),
        _ => return Some(CloudEventFault::member(name, ATTRIBUTE_NAME, "another")),
    };
    let is_shown = name != DATA_BASE64 && !value.get().starts_with(['{', '[']);
    let got = if is_shown { value.get() } else { kind(value.get()) };
    (!is_good).then(|| CloudEventFault::member(name, expected, got))
}

/// Whether a value is a string that keeps the rule.
fn holds(value: &RawValue, rule: fn(&str) -> bool) -> bool {
    text(value).is_some_and(|content| rule(&content))
}

/// Whether an attribute can have this value. The integers of the specification take 32 bits.
fn is_scalar(value: &RawValue) -> bool {
    let json = value.get();
    json.starts_with(['"', 't', 'f', 'n']) || json.parse::<i32>().is_ok()
}

fn decoded(value: &RawValue) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(&*text(value)?).ok()
}

fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(value.get()).ok().map(|Text(content)| content)
}

/// A string that is copied only when it holds an escape.
#[derive(Deserialize)]
struct Text<'e>(#[serde(borrow)] Cow<'e, str>);

/// Names the kind of a JSON text by its first character.
fn kind(json: &str) -> &'static str {
    match json.trim_ascii_start().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(_) => "something else",
        None => "nothing",
    }
}

/// Hands every member of an object to `visit`, in order.
fn each_member<'e>(event: &'e str, visit: impl FnMut(Cow<'e, str>, &'e RawValue)) -> Result<(), CloudEventFault> {
    let mut deserializer = serde_json::Deserializer::from_str(event);
    let read = deserializer.deserialize_map(Members(visit)).and_then(|()| deserializer.end());
    read.map_err(|error| {
        let is_object = event.trim_ascii_start().starts_with('{');
        CloudEventFault::NotAnObject(if is_object { format!("one that cannot be read: {error}") } else { kind(event).to_owned() })
    })
}

struct Members<F>(F);

impl<'e, F: FnMut(Cow<'e, str>, &'e RawValue)> Visitor<'e> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'e>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            let value: &'e RawValue = map.next_value()?;
            (self.0)(name, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An event with the required attributes and these members.
    fn with(members: &str) -> String {
        format!(r#"{{"specversion":"1.0","id":"1","source":"/cranes","type":"no.example.lifted"{members}}}"#)
    }

    /// The pointer and the message of what is wrong with the event.
    fn fault(event: &str) -> (String, String) {
        let fault = check(event).expect_err(event);
        (fault.pointer(), fault.to_string())
    }

    fn assert_fault(event: &str, pointer: &str, message: &str) {
        assert_eq!(fault(event), (pointer.to_owned(), message.to_owned()), "{event}");
    }

    #[test]
    fn the_required_attributes_are_enough() {
        assert_eq!(check(&with("")), Ok(()));
        assert_eq!(check(&format!(" \n{}\n", with("").replace(',', " , ").replace(':', " : "))), Ok(()));
        assert_eq!(check(r#"{"type":"a","\u0073ource":"b","id":"c","specversion":"\u0031.0"}"#), Ok(()), "escapes are read");
    }

    #[test]
    fn the_version_is_one_point_nought_and_nothing_else() {
        for bad in [r#""1.0.2""#, r#""0.3""#, r#""1""#, "1.0", "1", "null", r#""""#, r#"" 1.0""#] {
            let event = with("").replace(r#""1.0""#, bad);
            assert_fault(&event, "/specversion", &format!("specversion: expected \"1.0\", got {bad}"));
        }
        assert_fault("{}", "/specversion", "specversion: expected \"1.0\", got nothing");
        assert_fault(r#"{"Id":1,"id":[]}"#, "/specversion", "specversion: expected \"1.0\", got nothing");
    }

    #[test]
    fn id_source_and_type_are_there_and_not_empty() {
        for (name, member) in [("id", r#""id":"1","#), ("source", r#""source":"/cranes","#), ("type", r#","type":"no.example.lifted""#)] {
            let missing = with("").replace(member, "");
            let pointer = format!("/{name}");
            assert_fault(&missing, &pointer, &format!("{name}: expected a non-empty string, got nothing"));
            for (bad, got) in [(r#""""#, r#""""#), ("null", "null"), ("5", "5"), ("true", "true"), ("[1]", "an array"), ("{}", "an object")]
            {
                let event = format!("{},\"{name}\":{bad}}}", missing.trim_end_matches('}'));
                assert_fault(&event, &pointer, &format!("{name}: expected a non-empty string, got {got}"));
            }
        }
    }

    #[test]
    fn a_time_is_an_rfc_3339_time_or_unset() {
        for good in [r#""2018-04-05T17:31:00Z""#, r#""2018-04-05T17:31:00.123456789+02:00""#, "null"] {
            assert_eq!(check(&with(&format!(r#","time":{good}"#))), Ok(()), "{good}");
        }
        for bad in [r#""""#, r#""soon""#, r#""2018-04-05""#, r#""2018-04-05T17:31:00""#, r#""2018-13-05T17:31:00Z""#, "1522949460"] {
            assert_fault(&with(&format!(r#","time":{bad}"#)), "/time", &format!("time: expected an RFC 3339 time or null, got {bad}"));
        }
    }

    #[test]
    fn other_attributes_of_the_specification_are_non_empty_strings_or_unset() {
        for name in ["datacontenttype", "dataschema", "subject"] {
            for good in [r#""é""#, "null"] {
                assert_eq!(check(&with(&format!(r#","{name}":{good}"#))), Ok(()), "{name} {good}");
            }
            for bad in [r#""""#, "1", "false"] {
                let message = format!("{name}: expected a non-empty string or null, got {bad}");
                assert_fault(&with(&format!(r#","{name}":{bad}"#)), &format!("/{name}"), &message);
            }
        }
    }

    #[test]
    fn an_extension_is_a_string_an_integer_a_boolean_or_unset() {
        for good in [r#""""#, r#""x""#, "0", "-5", "2147483647", "-2147483648", "true", "false", "null"] {
            assert_eq!(check(&with(&format!(r#","ext1":{good}"#))), Ok(()), "{good}");
        }
        let expected = "ext1: expected a string, an integer of 32 bits, a boolean or null, got";
        for (bad, got) in
            [("1.5", "1.5"), ("1e3", "1e3"), ("2147483648", "2147483648"), (r#"{"a":1}"#, "an object"), ("[]", "an array"), ("1.0", "1.0")]
        {
            assert_fault(&with(&format!(r#","ext1":{bad}"#)), "/ext1", &format!("{expected} {got}"));
        }
    }

    #[test]
    fn a_name_is_made_of_small_letters_and_digits() {
        assert_eq!(check(&with(&format!(r#","{}":1,"0":2"#, "long".repeat(20)))), Ok(()));
        for (bad, pointer, name) in
            [("Ext", "/Ext", "Ext"), ("my_ext", "/my_ext", "my_ext"), ("é", "/é", "é"), ("a/b", "/a~1b", "a/b"), (r"a\n", "/a\n", r"a\n")]
        {
            assert_fault(&with(&format!(r#","{bad}":1"#)), pointer, &format!("{name}: expected a name of a-z and 0-9, got another"));
        }
        assert_fault(&with(r#","":1"#), "/", ": expected a name of a-z and 0-9, got another");
    }

    #[test]
    fn a_name_stands_once() {
        for (members, name) in [(r#","id":"1""#, "id"), (r#","a":1,"\u0061":1"#, "a"), (r#","data":1,"data":1"#, "data")] {
            assert_fault(&with(members), &format!("/{name}"), &format!("{name}: expected one member of this name, got another"));
        }
    }

    #[test]
    fn data_is_any_json() {
        for good in ["null", r#""text""#, "1.50", "[1, [2]]", r#"{"Any Name": {"a":1,"a":1}}"#, "12345678901234567890123"] {
            let event = with(&format!(r#","data": {good} "#));
            assert_eq!(check(&event), Ok(()), "{good}");
            assert!(matches!(data(&event), Some(Data::Json(found)) if found.get() == good), "{good}");
        }
        assert!(data(&with("")).is_none());
        assert!(data(&with(r#","ext1":"data""#)).is_none());
    }

    #[test]
    fn bytes_are_read_from_base64() {
        for (good, bytes) in [("", &b""[..]), ("AP8=", b"\x00\xff"), (r"\/\/8=", b"\xff\xff")] {
            let event = with(&format!(r#","data_base64":"{good}""#));
            assert_eq!(check(&event), Ok(()), "{good}");
            assert!(matches!(data(&event), Some(Data::Base64(found)) if found == bytes), "{good}");
        }
        for (bad, got) in
            [(r#""AP8""#, "a string"), (r#""A_8=""#, "a string"), (r#""AP 8=""#, "a string"), ("null", "null"), ("5", "a number")]
        {
            let event = with(&format!(r#","data_base64":{bad}"#));
            assert_fault(&event, "/data_base64", &format!("data_base64: expected base64 text, got {got}"));
            assert!(data(&event).is_none(), "{bad}");
        }
    }

    #[test]
    fn data_stands_in_one_member() {
        for members in [r#","data":1,"data_base64":"AA==""#, r#","data_base64":"AA==","data":null"#] {
            assert_fault(&with(members), "/data_base64", "data_base64: expected data or data_base64, got both");
        }
    }

    #[test]
    fn what_is_no_object_is_no_event() {
        for (bad, got) in
            [("", "nothing"), (" []", "an array"), ("5", "a number"), (r#""{}""#, "a string"), ("null", "null"), ("?", "something else")]
        {
            assert_fault(bad, "", &format!("expected a JSON object, got {got}"));
        }
        for bad in ["{", "{} {}", r#"{"id":}"#, r#"{"\ud800":1}"#, r#"{"a":1,}"#] {
            let (pointer, message) = fault(bad);
            assert_eq!(pointer, "", "{bad}");
            assert!(message.starts_with("expected a JSON object, got one that cannot be read: "), "{message}");
        }
        assert!(data("[]").is_none());
        assert!(data(r#"{"data":1"#).is_none());
    }

    #[test]
    fn a_deep_event_is_no_danger() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(check(&with(&format!(r#","data":{deep}"#))), Ok(()));
        assert!(check(&with(&format!(r#","ext1":{deep}"#))).is_err());
    }

    #[test]
    fn a_fault_does_not_repeat_the_whole_event() {
        let long = "x".repeat(10_000);
        for members in [format!(r#","time":"{long}""#), format!(r#","X{long}":1"#), format!(r#","data_base64":"?{long}""#)] {
            assert!(fault(&with(&members)).1.len() < 300, "{members}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_checked_without_a_panic(
            text in "\\PC*|[{}\\[\\]\":,a-z0-9\\\\ ]*",
            name in "[a-z_]{1,12}|data_base64|time",
            value in "null|-?[0-9]{1,20}|\"[^\"]*\"|\\{\\}",
        ) {
            for event in [text, with(&format!(",\"{name}\":{value}"))] {
                if let Err(fault) = check(&event) {
                    let _ = (fault.to_string(), fault.pointer());
                }
                let _ = data(&event);
            }
        }
    }
}
