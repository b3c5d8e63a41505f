//! Values of the document that have a text of their own: addresses, sets, and stated facts.

use super::document::{Read, Sets, Write};
use crate::cpuset::{CpuSet, MAX_INDEX};
use crate::model::Stated;
use crate::units::Bandwidth;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt::{self, Display};
use std::marker::PhantomData;
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

/// A bandwidth as a number of MB/s (1e6 bytes per second).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MbPerS(pub(super) Bandwidth);

impl Serialize for MbPerS {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.as_mb_per_s())
    }
}

impl<'de> Deserialize<'de> for MbPerS {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = at_most(deserializer, Bandwidth::MAX.as_mb_per_s(), "MB/s")?;
        Ok(Self(Bandwidth::from_mb_per_s(number)))
    }
}

/// The kernel's number of a CPU or a NUMA node, [`MAX_INDEX`] at most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct OsNumber(pub(super) u32);

impl<'de> Deserialize<'de> for OsNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = at_most(deserializer, MAX_INDEX.into(), "the number of a CPU or a NUMA node")?;
        Ok(Self(number as u32))
    }
}

/// Reads a number up to a limit.
fn at_most<'de, D: Deserializer<'de>>(deserializer: D, most: u64, what: &str) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    let expected = format!("{what}, {most} at most");
    let error = || de::Error::invalid_value(de::Unexpected::Unsigned(number), &expected.as_str());
    if number <= most { Ok(number) } else { Err(error()) }
}

/// A set of CPUs or NUMA nodes in list syntax, such as `0-3,8`.
///
/// It stays a text until it is converted, within a budget: a short text can name a large set.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct List(pub(super) String);

impl List {
    /// Checks only the characters, so that the error has its line; the list's own reader reports a text that is no
    /// list.
    fn parse(text: &str) -> crate::Result<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b",-:/ ".contains(&byte));
        if plain { Ok(Self(text.to_owned())) } else { text.parse::<CpuSet>().map(|_| Self(text.to_owned())) }
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parse("a list such as \"0-3,8\"", Self::parse))
    }
}

const NOT_AVAILABLE: &str = "n/a";
const UNREADABLE: &str = "unreadable";

/// A fact that a source stated; one that it did not state is left out of the document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum StatedValue<T> {
    NotAvailable,
    Unreadable,
    Known(T),
}

pub(super) type StatedList = StatedValue<List>;
pub(super) type StatedText = StatedValue<String>;
pub(super) type StatedIndex = StatedValue<u32>;

impl<A: Write<B>, B> Write<Option<StatedValue<B>>> for Stated<A> {
    fn write(self) -> Option<StatedValue<B>> {
        match self {
            Self::Unstated => None,
            Self::NotAvailable => Some(StatedValue::NotAvailable),
            Self::Unreadable => Some(StatedValue::Unreadable),
            Self::Known(fact) => Some(StatedValue::Known(fact.write())),
        }
    }
}

impl<A: Read<B>, B> Read<Stated<B>> for Option<StatedValue<A>> {
    fn read(self, sets: &mut Sets) -> crate::Result<Stated<B>> {
        Ok(match self {
            None => Stated::Unstated,
            Some(StatedValue::NotAvailable) => Stated::NotAvailable,
            Some(StatedValue::Unreadable) => Stated::Unreadable,
            Some(StatedValue::Known(fact)) => Stated::Known(fact.read(sets)?),
        })
    }
}

impl<T: Serialize> Serialize for StatedValue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::NotAvailable => serializer.serialize_str(NOT_AVAILABLE),
            Self::Unreadable => serializer.serialize_str(UNREADABLE),
            Self::Known(fact) => fact.serialize(serializer),
        }
    }
}

impl<'de, T: Fact> Deserialize<'de> for StatedValue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatedValueVisitor(PhantomData))
    }
}

/// A fact in the place of which a word may stand.
pub(super) trait Fact: Sized {
    /// The expected values, for messages.
    const EXPECTED: &str;

    fn of_text<E: de::Error>(text: &str, expected: &dyn de::Expected) -> Result<Self, E>;

    fn of_number<E: de::Error>(number: u64, expected: &dyn de::Expected) -> Result<Self, E> {
        Err(E::invalid_type(de::Unexpected::Unsigned(number), expected))
    }
}

impl Fact for List {
    const EXPECTED: &str = "a list such as \"0-3,8\", \"n/a\" or \"unreadable\"";

    fn of_text<E: de::Error>(text: &str, _: &dyn de::Expected) -> Result<Self, E> {
        Self::parse(text).map_err(E::custom)
    }
}

impl Fact for String {
    const EXPECTED: &str = "a string";

    fn of_text<E: de::Error>(text: &str, _: &dyn de::Expected) -> Result<Self, E> {
        Ok(text.to_owned())
    }
}

impl Fact for u32 {
    const EXPECTED: &str = "a number below 65536, \"n/a\" or \"unreadable\"";

    fn of_text<E: de::Error>(text: &str, expected: &dyn de::Expected) -> Result<Self, E> {
        Err(E::invalid_value(de::Unexpected::Str(text), expected))
    }

    fn of_number<E: de::Error>(number: u64, expected: &dyn de::Expected) -> Result<Self, E> {
        let known = Self::try_from(number).ok().filter(|number| *number <= MAX_INDEX);
        known.ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), expected))
    }
}

struct StatedValueVisitor<T>(PhantomData<T>);

impl<T: Fact> Visitor<'_> for StatedValueVisitor<T> {
    type Value = StatedValue<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        T::of_number(number, &self).map(StatedValue::Known)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        match text {
            NOT_AVAILABLE => Ok(StatedValue::NotAvailable),
            UNREADABLE => Ok(StatedValue::Unreadable),
            _ => T::of_text(text, &self).map(StatedValue::Known),
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

    use super::{
        Bandwidth, List, MAX_INDEX, MbPerS, NOT_AVAILABLE, OsNumber, StatedIndex, StatedList, StatedText,
        Text, UNREADABLE,
    };
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
        [] MbPerS, "MbPerS", json_schema!({
            "type": "integer", "minimum": 0, "maximum": Bandwidth::MAX.as_mb_per_s(),
        });
        [] OsNumber, "OsNumber", json_schema!({"type": "integer", "minimum": 0, "maximum": MAX_INDEX});
        [] List, "List", json_schema!({"type": "string", "pattern": "^[0-9,:/ -]*$"});
        [] StatedList, "StatedList", json_schema!({"type": "string", "pattern": "^([0-9,:/ -]*|n/a|unreadable)$"});
        [] StatedText, "StatedText", json_schema!({"type": "string"});
        [] StatedIndex, "StatedIndex", json_schema!({"anyOf": [
            {"type": "integer", "minimum": 0, "maximum": MAX_INDEX},
            {"enum": [NOT_AVAILABLE, UNREADABLE]},
        ]});
    }
}
