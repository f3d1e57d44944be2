//! The binary form: a request whose headers are the attributes and whose body is the data
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>).

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{ATTRIBUTE_NAME, CloudEventFault, DATA, DATA_BASE64, DATACONTENTTYPE, SPECVERSION, is_attribute_name};

/// Writes a request in binary form as an event in structured form, so that no attribute is lost.
///
/// The attributes are the headers' names without `ce-`, in lower case, and their values as they came. What they must say is for
/// [`check`](super::check) to decide, on what this returns. JSON data keeps its bytes; a body that says nothing of its type is JSON if it
/// can be read so; text of other types becomes a JSON string, and what is no UTF-8 base64.
///
/// # Errors
/// A header that is no attribute, stands twice or cannot be read, or a body that is not one JSON value although its type says so.
pub fn from_binary<'h>(
    attributes: impl Iterator<Item = (&'h str, &'h [u8])>,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<String, CloudEventFault> {
    let mut names = HashSet::new();
    let mut members = Vec::new();
    for (name, value) in attributes {
        check_name(name)?;
        if !names.insert(name) {
            return Err(CloudEventFault::header(name, "one header of this name", "another"));
        }
        members.push((name, json_string(&attribute(name, value)?)));
    }
    members.sort_by_key(|(name, _)| *name != SPECVERSION);
    let given_type = content_type.map(str::trim).filter(|given| !given.is_empty());
    members.extend(given_type.map(|given| (DATACONTENTTYPE, json_string(given))));
    members.extend(data_member(given_type, body)?);
    let texts: Vec<String> = members.into_iter().map(|(name, json)| format!("\"{name}\":{json}")).collect();
    Ok(format!("{{{}}}", texts.join(",")))
}

fn check_name(name: &str) -> Result<(), CloudEventFault> {
    match name {
        DATA | DATA_BASE64 => Err(CloudEventFault::header(name, "the data in the body", "a header")),
        DATACONTENTTYPE => Err(CloudEventFault::header(name, "the type of the data in Content-Type", "a header of its own")),
        _ if !is_attribute_name(name) => Err(CloudEventFault::header(name, ATTRIBUTE_NAME, "another")),
        _ => Ok(()),
    }
}

/// Reads an attribute from its header: out of its quotes first, then percent-decoded once. A `%` without two digits stands for itself.
fn attribute(name: &str, value: &[u8]) -> Result<String, CloudEventFault> {
    let Some(content) = unquoted(value.trim_ascii()) else {
        return Err(CloudEventFault::header(name, "a quoted value to end with its quote", "another"));
    };
    match percent_decode(&content).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(CloudEventFault::header(name, "UTF-8 text", "other bytes")),
    }
}

/// Takes a value out of its double quotes (RFC 7230, 3.2.6) when it begins with one. There is none when they do not match.
fn unquoted(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(mut rest) = value.strip_prefix(b"\"") else { return Some(Cow::Borrowed(value)) };
    let mut content = Vec::with_capacity(rest.len());
    loop {
        rest = match rest {
            [b'"'] => return Some(Cow::Owned(content)),
            [] | [b'"', ..] => return None,
            [b'\\', byte, after @ ..] | [byte, after @ ..] => {
                content.push(*byte);
                after
            }
        };
    }
}

/// The member that holds the body, if there is one.
fn data_member(content_type: Option<&str>, body: &[u8]) -> Result<Option<(&'static str, String)>, CloudEventFault> {
    if body.is_empty() {
        return Ok(None);
    }
    let json = match content_type {
        Some(given) if is_json(given) => Some(one_json_value(body)?),
        Some(_) => None,
        None => one_json_value(body).ok(),
    };
    Ok(Some(match (json, std::str::from_utf8(body)) {
        (Some(json), _) => (DATA, json.to_owned()),
        (None, Ok(text)) => (DATA, json_string(text)),
        (None, Err(_)) => (DATA_BASE64, json_string(&BASE64_STANDARD.encode(body))),
    }))
}

/// Whether a content type says JSON: the subtype is `json` or ends with `+json`. Parameters do not matter, nor does case.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split_once(';').map_or(content_type, |(before, _)| before).trim().to_ascii_lowercase();
    media_type.split_once('/').is_some_and(|(_, subtype)| subtype == "json" || subtype.ends_with("+json"))
}

/// Reads a body that is JSON; returns its text without outer white space.
fn one_json_value(body: &[u8]) -> Result<&str, CloudEventFault> {
    let Ok(text) = std::str::from_utf8(body) else {
        return Err(CloudEventFault::Body("bytes that are not UTF-8".to_owned()));
    };
    match serde_json::from_str::<&RawValue>(text) {
        Ok(value) => Ok(value.get()),
        Err(error) => Err(CloudEventFault::Body(format!("something else: {error}"))),
    }
}

fn json_string(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud_event::{Data, check, data};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    const REQUIRED: [(&str, &[u8]); 4] = [("id", b"1"), ("source", b"/cranes"), ("specversion", b"1.0"), ("type", b"no.example.lifted")];
    const START: &str = r#"{"specversion":"1.0","id":"1","source":"/cranes","type":"no.example.lifted""#;

    fn event_of(content_type: Option<&str>, body: &[u8]) -> Result<String, CloudEventFault> {
        from_binary(REQUIRED.into_iter(), content_type, body)
    }

    fn assert_event(content_type: Option<&str>, body: &[u8], members: &str) {
        let event = event_of(content_type, body).unwrap();
        assert_eq!(event, format!("{START}{members}}}"));
        assert_eq!(check(&event), Ok(()));
    }

    /// What one header becomes.
    fn read(value: &[u8]) -> Result<String, CloudEventFault> {
        let event: Value = serde_json::from_str(&from_binary([("subject", value)].into_iter(), None, b"")?).unwrap();
        Ok(event["subject"].as_str().unwrap().to_owned())
    }

    #[test]
    fn the_version_comes_first_and_the_others_keep_their_order() {
        let more: [(&str, &[u8]); 3] = [("time", b"2018-04-05T17:31:00Z"), ("a1", b"5"), ("subject", b"x")];
        let event = from_binary(REQUIRED.into_iter().chain(more), Some("application/json; charset=utf-8"), b"{}").unwrap();
        let expected =
            r#","time":"2018-04-05T17:31:00Z","a1":"5","subject":"x","datacontenttype":"application/json; charset=utf-8","data":{}}"#;
        assert_eq!(event, format!("{START}{expected}"));
        assert_eq!(check(&event), Ok(()));
    }

    #[test]
    fn what_attributes_must_say_is_not_decided_here() {
        let event = from_binary([("id", &b""[..])].into_iter(), None, b"").unwrap();
        assert_eq!(event, r#"{"id":""}"#);
        assert_eq!(check(&event).unwrap_err().pointer(), "/specversion");
        assert_eq!(from_binary(std::iter::empty(), None, b"").unwrap(), "{}");
    }

    #[test]
    fn json_data_keeps_its_bytes() {
        let body = b" \r\n{ \"n\" : 1.0, \"big\": 12345678901234567890123, \"e\": \"\\u00e9\xc3\xa9\" }\n";
        let data = r#"{ "n" : 1.0, "big": 12345678901234567890123, "e": "\u00e9é" }"#;
        for json in ["application/json", "text/json", "Application/JSON ; charset=utf-8", "application/geo+json", "a/b+json;v=1"] {
            assert_event(Some(json), body, &format!(r#","datacontenttype":"{json}","data":{data}"#));
        }
        assert_event(None, body, &format!(r#","data":{data}"#));
        assert_event(Some(" "), b"null", r#","data":null"#);
        assert_event(Some("text/json"), br#""text""#, r#","datacontenttype":"text/json","data":"text""#);
    }

    #[test]
    fn a_body_that_is_said_to_be_json_is_one_json_value() {
        for (bad, got) in [
            (&b"{} {}"[..], "something else: trailing characters at line 1 column 4"),
            (b"<a/>", "something else: expected value at line 1 column 1"),
            (b" ", "something else: EOF while parsing a value at line 1 column 1"),
            (b"\"\xff\"", "bytes that are not UTF-8"),
        ] {
            let fault = event_of(Some("application/json"), bad).unwrap_err();
            assert_eq!(fault.to_string(), format!("body: expected one JSON value, as its content type says, got {got}"));
            assert_eq!(fault.pointer(), "/data");
        }
        assert!(event_of(Some("application/json"), b"\xef\xbb\xbf{}").is_err(), "a byte order mark");
        assert!(event_of(Some("application/json"), br#"1},"id":{"#).is_err(), "members cannot be smuggled in");
    }

    #[test]
    fn text_of_another_type_becomes_a_string() {
        let xml = "<a b=\"ø\">\n</a>";
        for other in ["application/xml", "text/plain", "application/jsonl", "application/json-seq", "json", "application/xml;a=b+json"] {
            let members = format!(r#","datacontenttype":"{other}","data":"<a b=\"ø\">\n</a>""#);
            assert_event(Some(other), xml.as_bytes(), &members);
        }
        assert_event(None, xml.as_bytes(), r#","data":"<a b=\"ø\">\n</a>""#);
        assert_event(Some("text/plain"), b" 5", r#","datacontenttype":"text/plain","data":" 5""#);
    }

    #[test]
    fn bytes_that_are_no_text_become_base64() {
        assert_event(Some("image/png"), b"\x89PNG\x00", r#","datacontenttype":"image/png","data_base64":"iVBORwA=""#);
        assert_event(None, b"\xff", r#","data_base64":"/w==""#);
        let event = event_of(None, b"\xff").unwrap();
        assert!(matches!(data(&event), Some(Data::Base64(bytes)) if bytes == b"\xff"));
    }

    #[test]
    fn an_empty_body_is_no_data() {
        assert_event(None, b"", "");
        assert_event(Some("application/json"), b"", r#","datacontenttype":"application/json""#);
        assert!(data(&event_of(None, b"").unwrap()).is_none());
    }

    #[test]
    fn header_values_are_decoded() {
        for (value, expected) in [
            (&b"plain"[..], "plain"),
            (b"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
            (b"%c3%a6%61", "æa"),
            ("blåbær".as_bytes(), "blåbær"),
            (b"100%25", "100%"),
            (b"%2525", "%25"),
            (b"100%", "100%"),
            (b"a+b", "a+b"),
            (b"  a b\t", "a b"),
            (b"", ""),
            (b"a%22%5C%0A", "a\"\\\n"),
        ] {
            assert_eq!(read(value).as_deref(), Ok(expected), "{expected}");
        }
    }

    #[test]
    fn quoted_header_values_are_unquoted_before_they_are_decoded() {
        for (value, expected) in [
            (&br#""a b""#[..], "a b"),
            (br#""a \"b\" \\ \c""#, r#"a "b" \ c"#),
            (br#""%22%C3%A9""#, "\"é"),
            (br#""""#, ""),
            (br#"a "b""#, r#"a "b""#),
            (b"%22a%22", "\"a\""),
        ] {
            assert_eq!(read(value).as_deref(), Ok(expected), "{expected}");
        }
        for bad in [&br#"""#[..], br#""a"#, br#""a\""#, br#""a\"#, br#""a" b"#, br#""a"b""#] {
            let message = "ce-subject: expected a quoted value to end with its quote, got another";
            assert_eq!(read(bad).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn header_values_are_utf_8() {
        for bad in [&b"\xff"[..], b"%C0%A0", b"%FF", b"\xc3", b"%ED%A0%80"] {
            let fault = read(bad).unwrap_err();
            assert_eq!(
                (fault.to_string().as_str(), fault.pointer().as_str()),
                ("ce-subject: expected UTF-8 text, got other bytes", "/subject")
            );
        }
    }

    #[test]
    fn headers_that_are_no_attribute_are_refused() {
        for (name, message) in [
            ("data", "ce-data: expected the data in the body, got a header"),
            ("data_base64", "ce-data_base64: expected the data in the body, got a header"),
            ("datacontenttype", "ce-datacontenttype: expected the type of the data in Content-Type, got a header of its own"),
            ("my-ext", "ce-my-ext: expected a name of a-z and 0-9, got another"),
            ("Ext", "ce-Ext: expected a name of a-z and 0-9, got another"),
            ("", "ce-: expected a name of a-z and 0-9, got another"),
        ] {
            let fault = from_binary([(name, &b"x"[..])].into_iter(), None, b"").unwrap_err();
            assert_eq!((fault.to_string(), fault.pointer()), (message.to_owned(), format!("/{name}")));
        }
    }

    #[test]
    fn a_repeated_header_is_refused() {
        let fault = from_binary(REQUIRED.into_iter().chain([("id", &b"1"[..])]), None, b"").unwrap_err();
        assert_eq!(fault.to_string(), "ce-id: expected one header of this name, got another");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC*|[ \\t\\n\"\\\\]*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map("\\PC*", inner, 0..6).prop_map(|map| map.into_iter().collect::<Value>()),
            ]
        })
    }

    fn encoded(text: &str) -> String {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }

    proptest! {
        #[test]
        fn valid_attributes_and_any_json_give_a_good_event(
            (id, source, kind) in ("\\PC+", "\\PC+", "[a-z.]{1,20}"),
            extensions in prop::collection::btree_map("x[a-z0-9]{0,20}", "\\PC*", 0..4),
            content_type in prop::option::of("(application|text)/(vnd\\.[a-z]{1,5}\\+)?json(; ?charset=utf-8)?"),
            json in any_json(),
            is_pretty in any::<bool>(),
        ) {
            let text = if is_pretty { serde_json::to_string_pretty(&json).unwrap() } else { json.to_string() };
            let mut headers = vec![("id", encoded(&id)), ("source", encoded(&source)), ("type", kind), ("specversion", "1.0".to_owned())];
            headers.extend(extensions.iter().map(|(name, value)| (name.as_str(), encoded(value))));
            let attributes = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
            let event = from_binary(attributes, content_type.as_deref(), format!(" {text}\r\n").as_bytes()).unwrap();
            prop_assert_eq!(check(&event), Ok(()));
            prop_assert!(matches!(data(&event), Some(Data::Json(found)) if found.get() == text));
            let tree: Value = serde_json::from_str(&event).unwrap();
            prop_assert_eq!(tree["id"].as_str(), Some(id.as_str()));
            prop_assert_eq!(tree["source"].as_str(), Some(source.as_str()));
            prop_assert_eq!(tree["datacontenttype"].as_str(), content_type.as_deref());
            for (name, value) in &extensions {
                prop_assert_eq!(tree[name.as_str()].as_str(), Some(value.as_str()));
            }
        }

        #[test]
        fn any_bytes_give_well_formed_json_or_a_fault(
            headers in prop::collection::vec(("[a-z0-9_é]{0,3}|data|id", prop::collection::vec(any::<u8>(), 0..20)), 0..4),
            content_type in prop::option::of("\\PC*|application/json|image/png"),
            body in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let attributes = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
            match from_binary(attributes, content_type.as_deref(), &body) {
                Ok(event) => {
                    prop_assert!(serde_json::from_str::<&RawValue>(&event).is_ok());
                    let _ = check(&event);
                    prop_assert_eq!(data(&event).is_none(), body.is_empty());
                }
                Err(fault) => {
                    let _ = (fault.to_string(), fault.pointer());
                }
            }
        }
    }
}
