//! Values of the document that have a text of their own: addresses, sets, and what a source says of a fact.

use crate::cpuset::CpuSet;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt::{self, Display};
use std::str::FromStr;

/// A value that is written as its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::source) struct Text<T>(pub(in crate::source) T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err = crate::Error>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parse("a string", |text: &str| text.parse().map(Text)))
    }
}

/// A set of CPUs or NUMA nodes in list syntax, such as `0-3,8`.
///
/// It stays a text until it is converted, within a budget: a short text can name a large set.
#[derive(Debug, Default, PartialEq)]
pub(super) struct List(pub(super) String);

impl List {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Only the characters are checked here, so that the error has its line; a text that is no list is told
    /// by the list's own reader.
    fn parse(text: &str) -> crate::Result<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b",-:/ ".contains(&byte));
        if plain { Ok(Self(text.to_owned())) } else { text.parse::<CpuSet>().map(|_| Self(text.to_owned())) }
    }
}

impl Serialize for List {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parse("a list such as \"0-3,8\"", Self::parse))
    }
}

const NOT_AVAILABLE: &str = "n/a";
const UNREADABLE: &str = "unreadable";

/// A set that a source spoke of.
#[derive(Debug)]
pub(super) enum StatedList {
    NotAvailable,
    Unreadable,
    Known(List),
}

impl Serialize for StatedList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::NotAvailable => NOT_AVAILABLE,
            Self::Unreadable => UNREADABLE,
            Self::Known(list) => &list.0,
        })
    }
}

impl<'de> Deserialize<'de> for StatedList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parse = |text: &str| match text {
            NOT_AVAILABLE => Ok(Self::NotAvailable),
            UNREADABLE => Ok(Self::Unreadable),
            _ => List::parse(text).map(Self::Known),
        };
        deserializer.deserialize_str(Parse("a list such as \"0-3,8\", \"n/a\" or \"unreadable\"", parse))
    }
}

/// A text that a source spoke of.
#[derive(Debug)]
pub(super) enum StatedText {
    NotAvailable,
    Unreadable,
    Known(String),
}

impl Serialize for StatedText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::NotAvailable => NOT_AVAILABLE,
            Self::Unreadable => UNREADABLE,
            Self::Known(text) => text,
        })
    }
}

impl<'de> Deserialize<'de> for StatedText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parse("a string", |text: &str| {
            Ok(match text {
                NOT_AVAILABLE => Self::NotAvailable,
                UNREADABLE => Self::Unreadable,
                _ => Self::Known(text.to_owned()),
            })
        }))
    }
}

/// A number that a source spoke of.
#[derive(Debug)]
pub(super) enum StatedIndex {
    NotAvailable,
    Unreadable,
    Known(u32),
}

impl Serialize for StatedIndex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::NotAvailable => serializer.serialize_str(NOT_AVAILABLE),
            Self::Unreadable => serializer.serialize_str(UNREADABLE),
            Self::Known(index) => serializer.serialize_u32(*index),
        }
    }
}

impl<'de> Deserialize<'de> for StatedIndex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IndexVisitor)
    }
}

struct IndexVisitor;

impl Visitor<'_> for IndexVisitor {
    type Value = StatedIndex;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number below 2^32, \"n/a\" or \"unreadable\"")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        let wrong = |_| E::invalid_value(de::Unexpected::Unsigned(number), &self);
        u32::try_from(number).map(StatedIndex::Known).map_err(wrong)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        match text {
            NOT_AVAILABLE => Ok(StatedIndex::NotAvailable),
            UNREADABLE => Ok(StatedIndex::Unreadable),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }
}

/// Reads a string by a function; what it expects is for messages.
struct Parse<F>(&'static str, F);

impl<T, F: Fn(&str) -> crate::Result<T>> Visitor<'_> for Parse<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.1)(text).map_err(E::custom)
    }
}

#[cfg(feature = "schema")]
mod schema {
    //! The schemas of values with a text of their own.

    use super::{List, NOT_AVAILABLE, StatedIndex, StatedList, StatedText, Text, UNREADABLE};
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use std::borrow::Cow;

    macro_rules! inline_schema {
        ($([$($generic:ident)?] $type:ty, $name:literal, $schema:expr;)*) => {$(
            impl$(<$generic>)? JsonSchema for $type {
                fn inline_schema() -> bool {
                    true
                }

                fn schema_name() -> Cow<'static, str> {
                    $name.into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    $schema
                }
            }
        )*};
    }

    inline_schema! {
        [T] Text<T>, "Text", json_schema!({"type": "string"});
        [] List, "List", json_schema!({"type": "string", "pattern": "^[0-9,:/ -]*$"});
        [] StatedList, "StatedList", json_schema!({"type": "string", "pattern": "^([0-9,:/ -]*|n/a|unreadable)$"});
        [] StatedText, "StatedText", json_schema!({"type": "string"});
        [] StatedIndex, "StatedIndex", json_schema!({"anyOf": [
            {"type": "integer", "minimum": 0, "maximum": u32::MAX},
            {"enum": [NOT_AVAILABLE, UNREADABLE]},
        ]});
    }
}
