//! Objects of Kubernetes that tell of a node's hardware, as `kubectl get … -o yaml` or `-o json` prints them: one object, a
//! list, or several documents.
//!
//! `ResourceSlice`s name the devices of a node, as drivers for dynamic resource allocation publish them ([`slices`],
//! [`devices`]). `NodeResourceTopology` counts the resources of its NUMA nodes ([`zones`]). Both of one node are one machine.

#[cfg(feature = "yaml")]
mod devices;
#[cfg(feature = "yaml")]
mod enabled;
#[cfg(feature = "yaml")]
mod quantity;
#[cfg(feature = "yaml")]
mod slices;
#[cfg(feature = "yaml")]
mod tree;
#[cfg(feature = "yaml")]
mod zones;

use super::{Input, TextFormat};
use crate::error::Result;
use crate::model::Fragment;
#[cfg(feature = "yaml")]
use enabled::read;

/// The kinds of objects that are read.
const KINDS: [&str; 2] = ["ResourceSlice", "NodeResourceTopology"];

/// The keys of a value of an attribute.
const VALUES: [&str; 5] = ["string:", "int:", "bool:", "version:", "strings:"];

/// The texts of such objects.
pub(super) struct Kubernetes;

impl TextFormat for Kubernetes {
    const NAME: &'static str = "Kubernetes' ResourceSlice and NodeResourceTopology, in YAML or JSON";

    const BEGINNINGS: &'static [&'static str] = &[
        "apiVersion: v1",
        "apiVersion: resource.k8s.io/",
        "apiVersion: topology.node.k8s.io/",
        "kubectl get",
    ];

    fn recognizes(input: &Input<'_>) -> bool {
        KINDS.iter().any(|kind| has_kind(input.decoded(), kind)) || is_piece(input.decoded())
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        read(bytes)
    }
}

/// Returns the error of a build without the feature.
#[cfg(not(feature = "yaml"))]
fn read(_bytes: &[u8]) -> Result<Fragment> {
    let error =
        crate::Error::new(crate::ErrorKind::Unsupported, "this build cannot read objects of Kubernetes");
    Err(error.help("build nvtopo-core with the feature 'yaml'"))
}

/// Returns whether a text has an object of a kind, or a list of such: `kind: ResourceSlice`, `"kind": "ResourceSliceList"`.
fn has_kind(text: &str, kind: &str) -> bool {
    text.match_indices(kind).any(|(at, _)| {
        let quotes = ['"', '\''];
        let before = text[..at].trim_end_matches(quotes).trim_end_matches(' ');
        let before =
            before.strip_suffix(':').map(|before| before.trim_end_matches(' ').trim_end_matches(quotes));
        let Some(before) = before.and_then(|before| before.strip_suffix("kind")) else { return false };
        // A quote behind a stroke is within a text.
        let before = before.trim_end_matches(quotes);
        let after = &text[at + kind.len()..];
        let after = after.strip_prefix("List").unwrap_or(after);
        let starts =
            before.is_empty() || before.ends_with(|c: char| c.is_whitespace() || matches!(c, '{' | ','));
        starts && (after.is_empty() || after.starts_with(|c: char| !c.is_alphanumeric()))
    })
}

/// Returns whether a text is a piece of a `ResourceSlice`: attributes with values that name their type.
fn is_piece(text: &str) -> bool {
    let own = |line: &str| line.trim_start_matches([' ', '-']).trim_end().to_owned();
    let mut lines = text.lines().map(own).filter(|line| !line.is_empty());
    if !lines.any(|line| line == "attributes:") {
        return false;
    }
    let mut before = String::new();
    lines.any(|line| {
        let is_value = before.ends_with(':') && VALUES.iter().any(|value| line.starts_with(value));
        before = line;
        is_value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_keys_and_no_part_of_texts() {
        for text in [
            "kind: ResourceSlice",
            "apiVersion: v1\nitems:\n- apiVersion: x\n  kind: ResourceSlice\n",
            "{\"kind\":\"ResourceSliceList\",\"items\":[]}",
            "{\"a\": 1, \"kind\" : \"ResourceSlice\"}",
            "- kind: 'ResourceSlice'",
        ] {
            assert!(has_kind(text, "ResourceSlice"), "{text}");
        }
        for text in [
            "",
            "ResourceSlice",
            "mankind: ResourceSlice",
            "kind: ResourceSlices",
            "{\"text\": \"{\\\"kind\\\": \\\"ResourceSlice\\\"}\"}",
        ] {
            assert!(!has_kind(text, "ResourceSlice"), "{text}");
        }
        assert!(is_piece("  - basic:\n      attributes:\n        index:\n          int: 3\n"));
        assert!(!is_piece("attributes:\n  index: 3\n"));
        assert!(!is_piece("index:\n  int: 3\n"));
    }
}
