//! Structs of the document that have the fields of structs of the model, and the way from one to the other.

use super::super::values::{List, MbPerS, OsNumber, Text};
use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, Result};
use crate::ids::{ComputeCapability, GpuUuid, PciAddress};
use crate::units::Bandwidth;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::str::FromStr;

/// From a value of the model to one of the document.
pub(in super::super) trait Write<T> {
    fn write(self) -> T;
}

/// From a value of the document to one of the model.
pub(in super::super) trait Read<T> {
    fn read(self, sets: &mut Sets) -> Result<T>;
}

/// A struct of the document. Behind `=` stands its name in the model, and that of a field where it has another one
/// there. Fields with `?` may be unknown and those with `*` empty, and are left out then. A `node` has what all nodes
/// have besides, and the `root` the facts from other sources; what is `in` a part of the model's struct may follow its
/// own fields.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident $(= $($model:ident)|+)? { $($field:tt)* }) => {
        record! { @ [{$(#[$doc])*} $name {$($($model)+)?} {} {}] {} {} {} $($field)* }
    };
    ($(#[$doc:meta])* root $name:ident = $model:ident { $($field:tt)* }) => {
        record! {
            @ [{$(#[$doc])*} $name {$model} {
                /// Facts that another source told, each with that source.
                #[serde(default, skip_serializing_if = "Vec::is_empty")]
                pub(in crate::source::json) learned: Vec<Learned>,
            } { learned: Vec::new(), }] {} {} {} $($field)*
        }
    };
    ($(#[$doc:meta])* node $name:ident = $($model:ident)|+ { $($field:tt)* }) => {
        record! {
            @ [{$(#[$doc])*} $name {$($model)+} {
                /// The source of the node, if it differs from that of the topology as a whole.
                #[serde(skip_serializing_if = "Option::is_none")]
                pub(in crate::source::json) source: Option<Source>,
                /// Facts that another source told, each with that source.
                #[serde(default, skip_serializing_if = "Vec::is_empty")]
                pub(in crate::source::json) learned: Vec<Learned>,
            } { parent: 0, source: None, learned: Vec::new(), }]
            {
                /// The position in `nodes` of what contains it.
                pub(in crate::source::json) parent: u32,
            }
            {} {} $($field)*
        }
    };
    (@ $head:tt $struct:tt $pairs:tt $part:tt
        $(#[$meta:meta])* $field:ident?: $type:ty $(= $own:ident)?, $($rest:tt)*) => {
        record! {
            @ $head $struct $pairs $part
            $(#[$meta])* #[serde(skip_serializing_if = "Option::is_none")]
            $field: Option<$type> $(= $own)?, $($rest)*
        }
    };
    (@ $head:tt $struct:tt $pairs:tt $part:tt
        $(#[$meta:meta])* $field:ident*: $type:ty $(= $own:ident)?, $($rest:tt)*) => {
        record! {
            @ $head $struct $pairs $part
            $(#[$meta])* #[serde(default, skip_serializing_if = "crate::source::json::document::record::is_default")]
            $field: $type $(= $own)?, $($rest)*
        }
    };
    (@ $head:tt $struct:tt $pairs:tt $part:tt $(#[$meta:meta])* $field:ident: $type:ty, $($rest:tt)*) => {
        record! { @ $head $struct $pairs $part $(#[$meta])* $field: $type = $field, $($rest)* }
    };
    (@ $head:tt {$($struct:tt)*} {$($pair:tt)*} $part:tt
        $(#[$meta:meta])* $field:ident: $type:ty = $own:ident, $($rest:tt)*) => {
        record! {
            @ $head {$($struct)* $(#[$meta])* pub(in crate::source::json) $field: $type,} {$($pair)* $own $field,} $part
            $($rest)*
        }
    };
    (@ $head:tt $struct:tt $pairs:tt {} in $part:ident: $model:ident { $($field:tt)* }) => {
        record! { @ $head $struct {} {$part $model $pairs} $($field)* }
    };
    (@ $head:tt $struct:tt $pairs:tt {}) => {
        record! { @end $head $struct $pairs {} }
    };
    (@ $head:tt $struct:tt $inner:tt {$part:ident $model:ident $pairs:tt}) => {
        record! { @end $head $struct $pairs {$part $model $inner} }
    };
    (@end [{$($doc:tt)*} $name:ident {$($model:ident)*} {$($last:tt)*} $rest:tt] {$($field:tt)*} $pairs:tt $part:tt) => {
        $($doc)*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub(in crate::source::json) struct $name {
            $($field)*
            $($last)*
        }

        $(record! { @convert $name $model $rest $pairs $part })*
    };
    (@convert $name:ident $model:ident {$($rest:tt)*} {$($own:ident $key:ident,)*}
        {$($part:ident $part_model:ident {$($part_own:ident $part_key:ident,)*})?}) => {
        impl Write<$name> for model::$model {
            fn write(self) -> $name {
                $name {
                    $($key: self.$own.write(),)*
                    $($($part_key: self.$part.$part_own.write(),)*)?
                    $($rest)*
                }
            }
        }

        impl Read<model::$model> for $name {
            fn read(self, sets: &mut Sets) -> Result<model::$model> {
                Ok(model::$model {
                    $($own: self.$key.read(sets)?,)*
                    $($part: model::$part_model { $($part_own: self.$part_key.read(sets)?,)* },)?
                })
            }
        }
    };
}

/// The most memory that the sets of one document take. A machine of 8192 CPUs with three levels of caches needs
/// half of it; a short text could otherwise name sets of gigabytes.
const MAX_SETS: usize = 64 << 20;

/// The memory that the sets read so far take.
#[derive(Default)]
pub(in super::super) struct Sets(usize);

impl Sets {
    fn set<T: FromStr<Err = Error>>(&mut self, list: &str) -> Result<T> {
        let numbers = list.split(|c: char| !c.is_ascii_digit());
        let highest = numbers.filter_map(|number| number.parse::<usize>().ok()).max();
        self.0 += highest.map_or(0, |highest| highest / 8 + 1);
        if self.0 > MAX_SETS {
            return Err(Error::input("the sets of CPUs and NUMA nodes are larger than any machine's"));
        }
        list.parse()
    }
}

macro_rules! sets {
    ($($set:ty),*) => {$(
        impl Write<List> for $set {
            fn write(self) -> List {
                List(self.to_string())
            }
        }

        impl Read<$set> for List {
            fn read(self, sets: &mut Sets) -> Result<$set> {
                sets.set(&self.0)
            }
        }
    )*};
}

sets! { CpuSet, NodeSet }

/// Values of the document, each with that of the model and the way to either.
macro_rules! values {
    ($($document:ty, $model:ty, $write:expr, $read:expr;)*) => {$(
        impl Write<$document> for $model {
            fn write(self) -> $document {
                ($write)(self)
            }
        }

        impl Read<$model> for $document {
            fn read(self, _: &mut Sets) -> Result<$model> {
                Ok(($read)(self))
            }
        }
    )*};
}

macro_rules! same {
    ($($type:ty),*) => { values! { $($type, $type, |own| own, |own| own;)* } };
}

same! { bool, u8, u16, u32, u64, String, (u32, u32), BTreeMap<String, String> }

macro_rules! texts {
    ($($type:ty),*) => { values! { $(Text<$type>, $type, Text, |text: Text<$type>| text.0;)* } };
}

texts! { PciAddress, GpuUuid, ComputeCapability }

values! {
    MbPerS, Bandwidth, MbPerS, |rate: MbPerS| rate.0;
    OsNumber, u32, OsNumber, |number: OsNumber| number.0;
    String, Cow<'static, str>, Cow::into_owned, Cow::Owned;
    Option<NonZeroU32>, Option<u32>, |number: Option<u32>| number.and_then(NonZeroU32::new),
        |number: Option<NonZeroU32>| number.map(NonZeroU32::get);
}

impl<A: Write<B>, B> Write<Option<B>> for Option<A> {
    fn write(self) -> Option<B> {
        self.map(A::write)
    }
}

impl<A: Read<B>, B> Read<Option<B>> for Option<A> {
    fn read(self, sets: &mut Sets) -> Result<Option<B>> {
        self.map(|own| own.read(sets)).transpose()
    }
}

impl<Own: Write<T>, T> Write<Vec<T>> for Vec<Own> {
    fn write(self) -> Vec<T> {
        self.into_iter().map(Own::write).collect()
    }
}

impl<Own: Read<T>, T> Read<Vec<T>> for Vec<Own> {
    fn read(self, sets: &mut Sets) -> Result<Vec<T>> {
        self.into_iter().map(|own| own.read(sets)).collect()
    }
}

/// Returns true for a value that is left out.
pub(in super::super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
