//! Changes to a part of a document.
//!
//! Bento merges objects and replaces everything else; a `null` of ours resets a field to its default, which in a document as posted means
//! that it is not there. That is a JSON merge patch (RFC 7396) exactly, so both media types are one function.

use serde_json::Value;

use crate::text_tree::{Content, Member, Node, Place};

impl Node {
    /// A value of which all stands at one place.
    pub fn from_value(value: Value, place: Place) -> Self {
        let content = match value {
            Value::Array(items) => Content::List(items.into_iter().map(|item| Self::from_value(item, place)).collect()),
            Value::Object(members) => {
                let member = |(name, value)| Member { place, name, value: Self::from_value(value, place) };
                Content::Map(members.into_iter().map(member).collect())
            }
            scalar => Content::Scalar(scalar),
        };
        Self::new(place, content)
    }

    /// Merges a patch into a document: maps member by member, everything else whole; `null` removes.
    ///
    /// What comes from the patch keeps its place there.
    pub fn merge(&mut self, patch: Node) {
        let Content::Map(changes) = patch.content else {
            *self = patch;
            return;
        };
        self.place = patch.place;
        self.spelling = None;
        if !matches!(self.content, Content::Map(_)) {
            self.content = Content::Map(Vec::new());
        }
        let Content::Map(members) = &mut self.content else { return };
        for Member { place, name, value } in changes {
            let known = members.iter().position(|member| member.name == name);
            match (known, value.content == Content::Scalar(Value::Null)) {
                (Some(index), true) => drop(members.remove(index)),
                (None, true) => {}
                (Some(index), false) => {
                    members[index].place = place;
                    members[index].value.merge(value);
                }
                (None, false) => {
                    let mut merged = Node::new(value.place, Content::Scalar(Value::Null));
                    merged.merge(value);
                    members.push(Member { place, name, value: merged });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOWHERE: Place = Place { line: 0, column: 0 };

    #[test]
    fn a_patch_merges_as_rfc_7396_says() {
        // The cases of its appendix A.
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ];
        for (document, patch, expected) in cases {
            let shown = format!("{document} with {patch}");
            let mut merged = Node::from_value(document, NOWHERE);
            merged.merge(Node::from_value(patch, NOWHERE));
            assert_eq!(merged.value(), expected, "{shown}");
        }
    }

    #[test]
    fn what_a_patch_brings_stands_where_it_stood() {
        let mut document = Node::from_value(json!({"input": {"max_event_bytes": 1}, "name": "a"}), NOWHERE);
        document.merge(Node::parse("input:\n  timestamp: $.time\n").unwrap());
        assert_eq!(document.at(&["input", "timestamp"]).unwrap().place, Place { line: 2, column: 14 });
        assert_eq!(document.at(&["input", "max_event_bytes"]).unwrap().place, NOWHERE);
    }
}
