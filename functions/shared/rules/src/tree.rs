//! An event as a tree that borrows from its text: what is read of every event to hold it against a schema.
//!
//! [`serde_json::Value`] would copy every name and every text.

use std::borrow::Cow;
use std::fmt;
use std::slice;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, Node, NodeIdentity, Object, cmp, unique};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// A JSON value. Of several members of one name, the last counts, as it does in [`Value`].
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Tree<'e> {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(Number),
    /// A text: copied only if it has escapes.
    Text(Cow<'e, str>),
    /// The elements of an array.
    Array(Vec<Tree<'e>>),
    /// The members of an object, ordered by their names, each name once.
    Object(Vec<Member<'e>>),
}

/// A member of an object: its name and its value.
type Member<'e> = (Cow<'e, str>, Tree<'e>);

/// Members that most objects have at most: so many are made room for at first. Ours.
const USUAL_MEMBERS: usize = 8;

impl<'de> Deserialize<'de> for Tree<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Tree::Boolean(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        // JSON has no number that is not finite.
        Ok(Number::from_f64(value).map_or(Tree::Null, Tree::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Tree::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Tree::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut read = Vec::new();
        while let Some(element) = elements.next_element()? {
            read.push(element);
        }
        Ok(Tree::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut read: Vec<Member<'de>> = Vec::new();
        while let Some((Name(name), value)) = members.next_entry()? {
            if read.is_empty() {
                read.reserve_exact(USUAL_MEMBERS);
            }
            read.push((name, value));
        }
        // Of equal names the order stays, so that the last one can be kept.
        read.sort_by(|(one, _), (other, _)| one.cmp(other));
        read.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                std::mem::swap(later, earlier);
            }
            is_same
        });
        Ok(Tree::Object(read))
    }
}

/// The name of a member.
struct Name<'e>(Cow<'e, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(Reading)? {
            Tree::Text(name) => Ok(Self(name)),
            _ => Err(serde::de::Error::custom("expected a name")),
        }
    }
}

/// [`Tree`] as the library of schemas takes it.
#[derive(Debug)]
pub struct TreeJson;

impl Json for TreeJson {
    type Node<'a> = &'a Tree<'a>;
    type PreparedKey = String;
    type StringBuffer = Tree<'static>;

    // A look-up compares names, as it does in the library's own representation, which says two as well.
    const KEYS_PER_LOOKUP: usize = 2;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut Tree<'static>, string: &str, f: impl FnOnce(Self::Node<'_>) -> T) -> T {
        match buffer {
            Tree::Text(Cow::Owned(text)) => {
                text.clear();
                text.push_str(string);
            }
            _ => *buffer = Tree::Text(Cow::Owned(string.to_owned())),
        }
        f(buffer)
    }
}

impl<'a> Node<'a, TreeJson> for &'a Tree<'a> {
    type Object = &'a [Member<'a>];
    type Array = &'a [Tree<'a>];
    type Number = &'a Number;

    fn as_object(&self) -> Option<Self::Object> {
        match self {
            Tree::Object(members) => Some(members),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<Self::Array> {
        match self {
            Tree::Array(elements) => Some(elements),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self {
            Tree::Text(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<Self::Number> {
        match self {
            Tree::Number(number) => Some(number),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        match self {
            Tree::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Tree::Null)
    }

    fn json_type(&self) -> JsonType {
        match self {
            Tree::Null => JsonType::Null,
            Tree::Boolean(_) => JsonType::Boolean,
            Tree::Number(_) => JsonType::Number,
            Tree::Text(_) => JsonType::String,
            Tree::Array(_) => JsonType::Array,
            Tree::Object(_) => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        match (self, expected) {
            (Tree::Text(text), Value::String(expected)) => text == expected,
            (Tree::Array(elements), Value::Array(expected)) => {
                elements.len() == expected.len() && elements.iter().zip(expected).all(|(element, expected)| element.equals_value(expected))
            }
            (Tree::Object(members), Value::Object(expected)) => {
                let is_equal = |(name, value): &Member<'_>| expected.get(name.as_ref()).is_some_and(|other| value.equals_value(other));
                members.len() == expected.len() && members.iter().all(is_equal)
            }
            (Tree::Null | Tree::Boolean(_) | Tree::Number(_), _) => cmp::equal(&copied(self), expected),
            (Tree::Text(_) | Tree::Array(_) | Tree::Object(_), _) => false,
        }
    }

    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(copied(self))
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref::<Tree<'_>>(self) as usize))
    }
}

fn copied(tree: &Tree<'_>) -> Value {
    match tree {
        Tree::Null => Value::Null,
        Tree::Boolean(value) => Value::Bool(*value),
        Tree::Number(number) => Value::Number(number.clone()),
        Tree::Text(text) => Value::String(text.clone().into_owned()),
        Tree::Array(elements) => elements.iter().map(copied).collect(),
        Tree::Object(members) => members.iter().map(|(name, value)| (name.clone(), copied(value))).collect(),
    }
}

impl<'a> Object<'a, TreeJson> for &'a [Member<'a>] {
    type Node = &'a Tree<'a>;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        <[Member<'a>]>::len(self)
    }

    fn get(&self, key: &String) -> Option<Self::Node> {
        let members: &'a [Member<'a>] = self;
        let place = members.binary_search_by(|(name, _)| name.as_ref().cmp(key.as_str())).ok()?;
        members.get(place).map(|(_, value)| value)
    }

    fn members(&self) -> Members<'a> {
        Members(self.iter())
    }
}

/// The members of an object, one after the other.
#[derive(Debug)]
pub struct Members<'a>(slice::Iter<'a, Member<'a>>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a Tree<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (name.as_ref(), value))
    }
}

impl<'a> Array<'a, TreeJson> for &'a [Tree<'a>] {
    type Node = &'a Tree<'a>;
    type ElementsIter = slice::Iter<'a, Tree<'a>>;

    fn len(&self) -> usize {
        <[Tree<'a>]>::len(self)
    }

    fn elements(&self) -> Self::ElementsIter {
        self.iter()
    }

    fn is_unique(&self) -> bool {
        let elements: &'a [Tree<'a>] = self;
        elements.len() < 2 || unique::is_unique(&elements.iter().map(copied).collect::<Vec<Value>>())
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
