//! The structs of the document, from which its JSON Schema is made too. No logic but that of single values.
//!
//! What is unknown is left out. Inside `topology` an unknown key is an error: it would be lost.

use crate::cpuset::CpuSet;
use crate::ids::{GpuUuid, PciAddress};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt::{self, Display};
use std::str::FromStr;

/// A topology of a machine. Keys beside these three are derived from them, and ignored by readers.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(title = "nvtopo topology, version 1"))]
pub(crate) struct Document {
    pub(super) format: Format,
    /// The version of the format.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1)))]
    pub(super) version: u32,
    pub(super) topology: Body,
}

/// What kind of document this is.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) enum Format {
    #[serde(rename = "nvtopo-topology")]
    Topology,
}

/// The topology itself: everything that is known, and nothing that can be derived.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    /// Which machine this is; left out where nothing says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<Origin>,
    /// Where the nodes were learned that do not say so themselves.
    pub(super) source: Source,
    /// The word that the source of pairwise classes uses for paths between sockets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dialect: Option<Dialect>,
    /// Whether the absence of an NVLink means that there is none.
    pub(super) nvlink_known: bool,
    /// The nodes. The machine comes first, and every node after the one that contains it.
    pub(super) nodes: Vec<Node>,
    /// The links between nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) links: Vec<Link>,
    /// Classes of paths as a source stated them; they hold over what the nodes say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) paths: Vec<Path>,
    /// What a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<Note>,
}

/// Which machine a topology describes.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Origin {
    /// The layout of a product, by the preset's name.
    Preset(String),
    /// A machine, by digests of what identifies it.
    Machine(Identity),
}

/// Digests of what tells machines apart.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    /// Of the installation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) machine: Option<String>,
    /// Of the running kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) boot: Option<String>,
}

/// The word for a path between sockets.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) enum Dialect {
    /// As drivers before R384 print it.
    #[serde(rename = "SOC")]
    Soc,
}

/// One thing that a machine is made of: an object with one key, its kind.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "a NUMA node is called so")]
pub(super) enum Node {
    Machine(Box<Machine>),
    Package(Box<Package>),
    NumaNode(Box<NumaNode>),
    Cache(Box<Cache>),
    Core(Numbered),
    Pu(Numbered),
    HostBridge(Located),
    PcieSwitch(Located),
    Gpu(Box<Gpu>),
    #[serde(rename = "nvswitch")]
    NvSwitch(Located),
    Nic(Box<Nic>),
}

/// The machine as a whole.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Machine {
    /// The product's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) product: Option<String>,
    /// The CPUs that the reader of the machine may use, where that was stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allowed_cpus: Option<List>,
    /// The NUMA nodes whose memory the reader may use, where that was stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allowed_nodes: Option<List>,
    /// CPUs that are switched off.
    #[serde(default, skip_serializing_if = "List::is_empty")]
    pub(super) offline_cpus: List,
    /// CPUs that the kernel keeps out of scheduling.
    #[serde(default, skip_serializing_if = "List::is_empty")]
    pub(super) isolated_cpus: List,
}

/// A kind of node: its own fields, and those that all but the machine have.
macro_rules! node {
    ($(#[$doc:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            /// The position in `nodes` of what contains it.
            pub(super) parent: u32,
            $($(#[$meta])* pub(super) $field: $type,)*
            /// Where it was learned, if elsewhere than the topology as a whole.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub(super) source: Option<Source>,
        }
    };
}

node! {
    /// A processor package.
    Package {
        /// The kernel's number.
        os_index: u32,
        /// The CPU's model name.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    }
}

node! {
    /// A NUMA node.
    NumaNode {
        /// The kernel's number.
        os_index: u32,
        /// Its CPUs that are online.
        #[serde(default, skip_serializing_if = "List::is_empty")]
        cpus: List,
        /// Its memory.
        #[serde(skip_serializing_if = "Option::is_none")]
        memory_bytes: Option<u64>,
        /// Pairs of another NUMA node's number and the kernel's distance to it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        distances: Vec<(u32, u32)>,
        /// The GPU whose memory this node is.
        #[serde(skip_serializing_if = "Option::is_none")]
        gpu: Option<Text<PciAddress>>,
    }
}

node! {
    /// A CPU cache.
    Cache {
        /// The level, 1 being the nearest to the core.
        level: u8,
        /// What it holds.
        holds: CacheKind,
        /// Its size.
        #[serde(skip_serializing_if = "Option::is_none")]
        size_bytes: Option<u64>,
        /// The CPUs that share it.
        #[serde(default, skip_serializing_if = "List::is_empty")]
        cpus: List,
    }
}

node! {
    /// A core or a processing unit.
    Numbered {
        /// The kernel's number.
        os_index: u32,
    }
}

node! {
    /// A host bridge, PCIe switch or NVSwitch.
    Located {
        /// The place on the PCI bus.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<Text<PciAddress>>,
    }
}

node! {
    /// A GPU.
    Gpu {
        /// The number by which tools name it.
        index: u32,
        /// The product's name.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// The driver's UUID.
        #[serde(skip_serializing_if = "Option::is_none")]
        uuid: Option<Text<GpuUuid>>,
        /// The place on the PCI bus.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<Text<PciAddress>>,
        /// Its memory.
        #[serde(skip_serializing_if = "Option::is_none")]
        memory_bytes: Option<u64>,
        /// The CPUs that a source names as nearest: a list, `n/a` or `unreadable`.
        #[serde(skip_serializing_if = "Option::is_none")]
        cpus: Option<StatedList>,
        /// The NUMA nodes that a source names as nearest: a list, `n/a` or `unreadable`.
        #[serde(skip_serializing_if = "Option::is_none")]
        nodes: Option<StatedList>,
        /// The NUMA node that its memory is: a number, `n/a` or `unreadable`.
        #[serde(skip_serializing_if = "Option::is_none")]
        memory_node: Option<StatedIndex>,
    }
}

node! {
    /// A network adapter.
    Nic {
        /// The name that the source uses.
        name: String,
        /// The place on the PCI bus.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<Text<PciAddress>>,
        /// The RDMA device.
        #[serde(skip_serializing_if = "Option::is_none")]
        rdma_device: Option<String>,
        /// The network interfaces.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        net_devices: Vec<String>,
        /// The rate of its port, one direction, in MB/s (1e6 bytes per second).
        #[serde(skip_serializing_if = "Option::is_none")]
        mb_per_s: Option<u64>,
        /// The CPUs that a source names as nearest: a list, `n/a` or `unreadable`.
        #[serde(skip_serializing_if = "Option::is_none")]
        cpus: Option<StatedList>,
        /// The NUMA nodes that a source names as nearest: a list, `n/a` or `unreadable`.
        #[serde(skip_serializing_if = "Option::is_none")]
        nodes: Option<StatedList>,
    }
}

/// A link between two nodes.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    /// The positions in `nodes` of its ends.
    pub(super) between: (u32, u32),
    /// What it is made of.
    pub(super) kind: LinkKind,
    /// How many NVLinks are bonded, or how wide the PCIe link is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lanes: Option<u16>,
    /// What all lanes carry together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<Rate>,
}

/// A bandwidth and how it is known.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Rate {
    /// One direction, in MB/s (1e6 bytes per second).
    pub(super) mb_per_s: u64,
    pub(super) basis: Basis,
}

/// The class of the path between two nodes, as a source stated it.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Path {
    /// The positions in `nodes` of its ends.
    pub(super) between: (u32, u32),
    pub(super) path: PathType,
}

/// Something that a person should know.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    pub(super) kind: NoteKind,
    /// One sentence.
    pub(super) text: String,
}

/// An enumeration of the document with the words for it, and the model's values that they stand for.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($word:literal $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub(super) enum $name {
            $(#[serde(rename = $word)] $variant,)*
        }

        impl From<crate::model::$name> for $name {
            fn from(value: crate::model::$name) -> Self {
                match value {
                    $(crate::model::$name::$variant => Self::$variant,)*
                }
            }
        }

        impl From<$name> for crate::model::$name {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => Self::$variant,)*
                }
            }
        }
    };
}

/// Where something was learned.
pub(super) type Source = Provenance;

words! {
    /// Where something was learned.
    Provenance { "sysfs" Sysfs, "nvidia-smi" SmiMatrix, "preset" Preset, "inferred" Inferred, }
}

words! {
    /// What a cache holds.
    CacheKind { "unified" Unified, "data" Data, "instruction" Instruction, }
}

words! {
    /// What a link is made of.
    LinkKind { "nvlink" NvLink, "c2c" C2c, "pcie" Pcie, "smp" Smp, "net" Net, }
}

words! {
    /// How a bandwidth is known.
    Basis {
        "measured" Measured, "reported" Reported, "nominal" Nominal, "typical" Typical, "assumed" Assumed,
    }
}

words! {
    /// The class of a path, in `nvidia-smi`'s words.
    PathType {
        "X" Loc, "NVL" Nvl, "NVB" Nvb, "C2C" C2c, "PIX" Pix, "PXB" Pxb, "PHB" Phb, "NODE" Node, "SYS" Sys,
        "NET" Net, "DIS" Dis,
    }
}

words! {
    /// What a note is about.
    NoteKind { "damage" Damage, "unknown" Unknown, "conflict" Conflict, "inferred" Inferred, }
}

/// A value that is written as its text.
#[derive(Debug)]
pub(super) struct Text<T>(pub(super) T);

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
    fn is_empty(&self) -> bool {
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

    use super::{List, NOT_AVAILABLE, StatedIndex, StatedList, Text, UNREADABLE};
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
        [] StatedIndex, "StatedIndex", json_schema!({"anyOf": [
            {"type": "integer", "minimum": 0, "maximum": u32::MAX},
            {"enum": [NOT_AVAILABLE, UNREADABLE]},
        ]});
    }
}
