//! YAML, of which JSON is a part, as a tree in which every value knows its place.
//!
//! All scalars are texts: the objects say by their keys what a value is. The library refuses bombs of aliases and documents of
//! more values than any cluster's node has.

use crate::error::{Error, Result};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// The greatest depth of nested values: each level takes some stack. The deepest field that is read lies eleven deep.
const MAX_DEPTH: usize = 32;

/// A value with its line and column, both from 1.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    column: usize,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Nothing,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Reads all documents of a text. Lines count from 1 behind the first `before`.
pub(super) fn read(text: &str, before: usize) -> Result<Vec<Node>> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
        with_snippet: false,
    };
    let spanned: Vec<Spanned<Value>> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
            let told = Error::input(format!("this is no valid YAML: {}", error.without_snippet()));
            match error.location() {
                Some(place) => {
                    told.at((place.line() as usize).saturating_sub(before).max(1), place.column() as usize)
                }
                None => told.at(1, 1),
            }
        })?;
    let mut nodes: Vec<Node> = spanned.into_iter().map(node).collect();
    for node in nodes.iter_mut().filter(|_| before > 0) {
        node.settle(before);
    }
    Ok(nodes)
}

fn node(spanned: Spanned<Value>) -> Node {
    let (line, column) = (spanned.referenced.line(), spanned.referenced.column());
    Node { line: line as usize, column: column as usize, value: spanned.value }
}

impl Node {
    /// Gives all nodes the lines of the input.
    fn settle(&mut self, before: usize) {
        self.line = self.line.saturating_sub(before).max(1);
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.settle(before)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| value.settle(before)),
            _ => {}
        }
    }

    /// Returns the value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(own, _)| own == key).map(|(_, value)| value)
    }

    /// Returns the value below several keys.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    pub(super) fn entries(&self) -> &[(String, Self)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// Returns the items of a list; `None` for anything else.
    pub(super) fn items(&self) -> Option<&[Self]> {
        if let Value::List(items) = &self.value { Some(items) } else { None }
    }

    /// Returns the text of a scalar that is not empty.
    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value {
            Some(text.trim()).filter(|text| !text.is_empty())
        } else {
            None
        }
    }

    pub(super) fn error(&self, what: impl Into<String>) -> Error {
        Error::input(what).at(self.line, self.column)
    }
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
        Ok(Value::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> std::result::Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> std::result::Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_none<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> std::result::Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<Spanned<Value>>()? {
            items.push(node(item));
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> std::result::Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<String>()? {
            entries.push((key, node(access.next_value()?)));
        }
        Ok(Value::Map(entries))
    }
}
