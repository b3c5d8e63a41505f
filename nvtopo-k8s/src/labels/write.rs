//! Labels as Node Feature Discovery and kubectl read them.

use super::Labels;
use crate::names::{is_value, object_name};
use crate::yaml;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use nvtopo::{Error, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The largest feature file that Node Feature Discovery reads, in bytes.
const MAX_FILE: usize = 64 << 10;

/// `NodeFeature` of `nfd.k8s-sigs.io/v1alpha1`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeFeature<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'a>,
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: String,
    labels: BTreeMap<&'static str, &'a str>,
}

#[derive(Serialize)]
struct Spec<'a> {
    labels: BTreeMap<String, &'a str>,
}

impl Labels {
    /// A feature file for Node Feature Discovery (`/etc/kubernetes/node-feature-discovery/features.d`). `expiry` is the time as
    /// RFC 3339 after which the labels no longer hold; `None`: they hold until the file goes.
    ///
    /// Errors where the file would be larger than is read (64 KiB), or the time is none.
    pub fn feature_file(&self, expiry: Option<&str>) -> Result<String> {
        let mut text = String::new();
        if let Some(expiry) = expiry {
            if serde_json::from_value::<Time>(expiry.into()).is_err() || expiry.contains(char::is_whitespace)
            {
                return Err(Error::request(format!("'{expiry}' is no time"))
                    .help("give one as RFC 3339, such as 2030-01-31T12:00:00Z"));
            }
            let _ = writeln!(text, "# +expiry-time={expiry}");
        }
        if self.prefix.node_key("").is_err() {
            text.push_str("# Node Feature Discovery puts feature.node.kubernetes.io/ before names without a namespace.\n");
        }
        for (key, value) in self.iter() {
            let _ = writeln!(text, "{key}={value}");
        }
        for (name, reason) in self.left_out() {
            let _ = writeln!(text, "# {} is left out: {reason}", self.prefix.key(name));
        }
        if text.len() > MAX_FILE {
            let message = format!("a feature file of {} bytes is not read: 64 KiB are the most", text.len());
            return Err(Error::unsatisfiable(message).help("leave the labels of single GPUs out"));
        }
        Ok(text)
    }

    /// A `NodeFeature` object for the node of this name, to be created in the namespace of Node Feature Discovery.
    pub fn node_feature(&self, node: &str) -> Result<String> {
        if !is_value(node) {
            return Err(Error::request(format!("'{node}' is longer than the value of a label may be"))
                .help("a NodeFeature names its node in a label of 63 letters; use a feature file"));
        }
        let object = NodeFeature {
            api_version: "nfd.k8s-sigs.io/v1alpha1",
            kind: "NodeFeature",
            metadata: Metadata {
                name: object_name(&format!("nvtopo-{node}"))?.to_owned(),
                labels: BTreeMap::from([("nfd.node.kubernetes.io/node-name", node)]),
            },
            spec: Spec { labels: self.iter().collect() },
        };
        let mut comment = vec!["Create it in the namespace of Node Feature Discovery.".to_owned()];
        comment.extend(
            self.left_out().iter().map(|(name, why)| format!("{} is left out: {why}", self.prefix.key(name))),
        );
        yaml::document(&comment, &object)
    }

    /// The command that sets the labels on the node of this name. Those that do not
    /// apply are removed, but for labels of single GPUs.
    pub fn kubectl(&self, node: &str) -> Result<String> {
        let mut words = vec!["kubectl label node --overwrite".to_owned(), object_name(node)?.to_owned()];
        words.extend(self.iter().map(|(key, value)| format!("{key}={value}")));
        words.extend(self.left_out().iter().map(|(name, _)| format!("{}-", self.prefix.key(name))));
        Ok(words.join(" \\\n  ") + "\n")
    }
}
