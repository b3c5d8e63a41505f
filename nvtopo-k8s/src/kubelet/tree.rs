//! A document of YAML or JSON as a tree in which every key and value knows its place.

use nvtopo::{Error, Result};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// The largest file that is read, in bytes: kubelet files have a few thousand.
pub const MAX_FILE: usize = 1 << 20;
/// The greatest depth of nested values; the deepest field of a kubelet file lies five deep.
const MAX_DEPTH: usize = 32;

/// A line and a column, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A value, and where it is.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) name: String,
}

impl Node {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, value)| value)
    }

    /// A key with its value.
    pub(super) fn entry(&self, key: &str) -> Option<(&Key, &Self)> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(own, _)| own.name == key).map(|(key, value)| (key, value))
    }

    pub(super) fn entries(&self) -> &[(Key, Self)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    pub(super) fn items(&self) -> &[Self] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// The value's kind, for people.
    pub(super) fn words(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("{value} without quotes"),
            Value::Int(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value}"),
            Value::Text(text) => format!("the text {text:?}"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

/// The documents of a text, without empty ones.
///
/// Errors with the place in the text.
pub(super) fn read(name: &str, text: &str) -> Result<Vec<Node>> {
    if text.len() > MAX_FILE {
        let message = format!("{} bytes are no kubelet file; at most {MAX_FILE} are read", text.len());
        return Err(Error::input(message).in_input(name));
    }
    let documents: Vec<Spanned<Value>> = crate::yaml::read(name, text)?;
    let nodes: Vec<Node> = documents.into_iter().map(Node::from).collect();
    if nodes.iter().any(|node| depth(node) > MAX_DEPTH) {
        let message = format!("values lie more than {MAX_DEPTH} deep in each other");
        return Err(Error::input(message).in_input(name));
    }
    Ok(nodes)
}

fn depth(node: &Node) -> usize {
    let values = node.entries().iter().map(|(_, value)| value).chain(node.items());
    1 + values.map(depth).max().unwrap_or(0)
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        Self { place: place(&spanned), value: spanned.value }
    }
}

fn place<T>(spanned: &Spanned<T>) -> Place {
    let (line, column) = (spanned.referenced.line(), spanned.referenced.column());
    Place { line: line as usize, column: column as usize }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> std::result::Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u128<E>(self, value: u128) -> std::result::Result<Value, E> {
        Ok(i128::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> std::result::Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<Spanned<Value>>()? {
            items.push(item.into());
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> std::result::Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let value: Spanned<Value> = access.next_value()?;
            entries.push((Key { place: place(&key), name: key.value }, value.into()));
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_and_values_know_their_places() {
        let nodes = read("x", "a: 1\nb:\n  - c: \"true\"\n    d: true\n").unwrap();
        let (key, b) = nodes[0].entry("b").unwrap();
        assert_eq!(key.place, Place { line: 2, column: 1 });
        let (key, c) = b.items()[0].entry("c").unwrap();
        assert_eq!((key.place, c.place), (Place { line: 3, column: 5 }, Place { line: 3, column: 8 }));
        assert_eq!(c.text(), Some("true"));
        assert!(matches!(b.items()[0].get("d").unwrap().value, Value::Bool(true)));
        assert!(matches!(nodes[0].get("a").unwrap().value, Value::Int(1)));
    }

    #[test]
    fn json_is_read_as_well() {
        let nodes = read("x", "{\n  \"a\": {\"b\": [1, null]}\n}\n").unwrap();
        let b = nodes[0].get("a").unwrap().get("b").unwrap();
        assert_eq!(b.items()[0].place, Place { line: 2, column: 15 });
        assert!(matches!(b.items()[1].value, Value::Null));
    }

    #[test]
    fn bombs_and_long_texts_are_refused() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            bomb = format!("{bomb}a{level}: &a{level} [{}]\n", vec![alias; 10].join(","));
        }
        assert!(read("x", &bomb).is_err());
        assert!(read("x", &" ".repeat(MAX_FILE + 1)).is_err());
        assert!(read("x", &format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000))).is_err());
        assert!(read("x", &format!("{}1{}", "[".repeat(40), "]".repeat(40))).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = read("x", &text);
        }
    }
}
