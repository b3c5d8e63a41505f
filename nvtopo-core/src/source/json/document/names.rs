//! Enumerations of the document: values of the model, each written as its word.

use super::record::{Read, Sets, Write};
use crate::error::Result;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Enumerations of the model, each with what its words are called there.
macro_rules! names {
    ($(#[doc = $doc:literal] $name:ident $word:ident,)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub(in super::super) struct $name(crate::model::$name);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.$word())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let found = crate::model::$name::ALL.into_iter().find(|own| own.$word() == text);
                found.map(Self).ok_or_else(|| D::Error::unknown_variant(&text, crate::model::$name::WORDS))
            }
        }

        impl Write<$name> for crate::model::$name {
            fn write(self) -> $name {
                $name(self)
            }
        }

        impl Read<crate::model::$name> for $name {
            fn read(self, _: &mut Sets) -> Result<crate::model::$name> {
                Ok(self.0)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"description": $doc.trim(), "type": "string", "enum": crate::model::$name::WORDS})
            }
        }
    )*};
}

/// The source of a fact.
pub(in super::super) type Source = Provenance;

names! {
    /// The source of a fact.
    Provenance name,
    /// The kind of a cache's content.
    CacheKind name,
    /// The kind of a group of CPUs.
    GroupKind name,
    /// The kind of a link.
    LinkKind name,
    /// The basis of a bandwidth.
    Basis name,
    /// The class of a path, in `nvidia-smi`'s words.
    PathType word,
    /// The subject of a note.
    NoteKind name,
    /// The class of a core on a machine whose cores differ.
    CoreClass name,
    /// The state of a port.
    PortState word,
    /// The link layer of a port.
    LinkLayer word,
    /// The state of the registration of a GPU with its NVLink fabric.
    FabricState word,
    /// The status of peer-to-peer access, in the words of `nvidia-smi topo -p2p`.
    P2pStatus word,
    /// A fault of a GPU's place in its NVLink fabric.
    FabricFault word,
}
