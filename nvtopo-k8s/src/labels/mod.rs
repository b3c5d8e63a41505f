//! Node labels: the structure of a machine as a few short words that schedulers select by.
//!
//! Each label is a [`Label`] of the registry [`LABELS`]. One whose facts nobody told is left out, with the reason. All are valid by
//! construction, and equal hardware has equal labels whatever its bus numbers, but for those of single GPUs.

mod facts;
mod fingerprint;
mod node;
mod write;

pub use node::NodeLabels;

use crate::names;
use facts::Facts;
use nvtopo::{Error, Result, Topology};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// One label: its name behind the prefix, and the rule by which it follows from a machine.
#[non_exhaustive]
pub struct Label {
    /// The name, such as `nvlink.group`.
    pub name: &'static str,
    /// One line that says what its value is.
    pub summary: &'static str,
    value: fn(&Facts<'_>) -> Value,
}

/// A label's value, or why there is none.
type Value = Result<String, &'static str>;

/// All labels of a node, in the order of the documentation.
pub const LABELS: &[Label] = &[
    Label { name: "gpu.count", summary: "GPUs of the node", value: |facts| Ok(facts.gpus().to_string()) },
    Label {
        name: "gpu.model",
        summary: "model of the GPUs, or `mixed`",
        value: |facts| facts.alike(|gpu| gpu.model.clone(), "the models of the GPUs are unknown"),
    },
    Label {
        name: "gpu.usable",
        summary: "GPUs that jobs can use: those that have not fallen off the bus, and the like",
        value: |facts| Ok(facts.usable().to_string()),
    },
    Label {
        name: "gpu.degraded",
        summary: "GPUs that work less well than their peers: fewer NVLinks, or a fault in the fabric",
        value: |facts| facts.degraded(),
    },
    Label {
        name: "mig",
        summary: "`on`, `off`, or `mixed`: whether the GPUs are divided (MIG)",
        value: |facts| facts.mig(),
    },
    Label {
        name: "nvlink.group",
        summary: "sizes of the NVLink groups of two GPUs or more, the largest first: `8`, `4_4`, or `none`",
        value: |facts| facts.group_sizes(),
    },
    Label {
        name: "nvlink.group.count",
        summary: "number of NVLink groups of two GPUs or more",
        value: |facts| Ok(facts.groups()?.len().to_string()),
    },
    Label {
        name: "nvlink.group.largest",
        summary: "GPUs of the largest NVLink group; 1 where there is no NVLink",
        value: |facts| {
            Ok(facts.groups()?.iter().map(|group| group.gpus.len()).max().unwrap_or(1).to_string())
        },
    },
    Label {
        name: "nvlink.group.kind",
        summary: "`switched` (NVSwitch), `full` (each GPU linked to each other one), `partial`, `mixed`, or `none`",
        value: |facts| facts.group_kind(),
    },
    Label {
        name: "nvlink.group.numa-span",
        summary: "most NUMA nodes that the GPUs of one NVLink group are on",
        value: |facts| facts.group_span(),
    },
    Label {
        name: "numa.gpus",
        summary: "GPUs by NUMA node, for nodes that have some, the most first: `4_4`",
        value: |facts| facts.gpus_by_node(),
    },
    Label { name: "nic.count", summary: "NICs that can carry data", value: |facts| facts.nic_count() },
    Label {
        name: "nic.gpus-per-nic",
        summary: "GPUs that share a NIC where all GPUs use one",
        value: |facts| facts.gpus_per_nic(),
    },
    Label {
        name: "nic.path",
        summary: "worst path from a GPU to the NIC that is its own: `PIX`, `PXB`, `PHB`, `NODE` or `SYS`",
        value: |facts| facts.nic_path(),
    },
    Label {
        name: "fabric.clique",
        summary: "NVLink domain of several nodes and the clique in it, as UUID and number",
        value: |facts| facts.clique(),
    },
    Label {
        name: "topology.class",
        summary: "class of the node in one word: GPUs, NVLink groups, NUMA nodes",
        value: |facts| Ok(facts.class()),
    },
    Label {
        name: "topology.fingerprint",
        summary: "number that nodes of equal structure share: paths between GPUs, NVLinks, paths to NICs, NUMA nodes",
        value: |facts| facts.groups().and_then(|_| fingerprint::of(facts.topology)),
    },
];

/// The longest name of a label of a single GPU.
const LONGEST_OF_GPU: usize = "gpu.4294967295.nvlink.group".len();

/// The text before the name of each label.
///
/// ```
/// use nvtopo_k8s::labels::Prefix;
///
/// assert_eq!(Prefix::default().to_string(), "nvtopo.io/");
/// assert_eq!("gpu".parse::<Prefix>()?.key("nvlink.group"), "gpu.nvlink.group");
/// assert_eq!("example.com/rack".parse::<Prefix>()?.key("mig"), "example.com/rack.mig");
/// assert!("node.kubernetes.io/".parse::<Prefix>().is_err());
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    namespace: Option<String>,
    front: Option<String>,
}

impl Prefix {
    /// The key of a label of this name. A word that the prefix ends with is not said twice: `gpu` makes `gpu.count` of
    /// `gpu.count`.
    pub fn key(&self, name: &str) -> String {
        let own = self.front.as_ref().and_then(|front| name.strip_prefix(front.as_str()));
        format!("{self}{}", own.and_then(|rest| rest.strip_prefix('.')).unwrap_or(name))
    }

    /// The key of a label by which nodes are selected.
    ///
    /// Errors with [`InvalidRequest`](nvtopo::ErrorKind::InvalidRequest) for a prefix without a namespace: Node Feature Discovery puts
    /// one of its own before such names, and kubectl does not.
    pub fn node_key(&self, name: &str) -> Result<String> {
        if self.namespace.is_none() {
            return Err(Error::request(format!("the labels of nodes have a namespace, and '{self}' has none"))
                .help("give one such as nvtopo.io/, or feature.node.kubernetes.io/ before what Node Feature Discovery was given"));
        }
        Ok(self.key(name))
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self { namespace: Some("nvtopo.io".to_owned()), front: None }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        match &self.front {
            Some(front) => write!(f, "{front}."),
            None => Ok(()),
        }
    }
}

impl FromStr for Prefix {
    type Err = Error;

    /// Reads a namespace with `/` behind it (`nvtopo.io/`), the beginning of names (`gpu`), or both (`example.com/gpu`).
    fn from_str(text: &str) -> Result<Self> {
        let (namespace, front) = match text.split_once('/') {
            Some((namespace, front)) => (Some(namespace), front),
            None => (None, text),
        };
        let front = front.strip_suffix('.').unwrap_or(front);
        let longest =
            LABELS.iter().map(|label| label.name.len()).max().unwrap_or_default().max(LONGEST_OF_GPU);
        let refused = |why: String, advice: &str| Err(Error::request(why).help(advice));
        if let Some(namespace) = namespace {
            if !names::is_subdomain(namespace) {
                let advice = "give a DNS name and a slash, such as nvtopo.io/";
                return refused(format!("'{namespace}' is no namespace of labels"), advice);
            }
            if !names::is_allowed_namespace(namespace) {
                let advice = "of kubernetes.io, only feature.node.kubernetes.io and profile.node.kubernetes.io are open";
                return refused(
                    format!("Node Feature Discovery refuses labels of the namespace {namespace}"),
                    advice,
                );
            }
        } else if front.is_empty() {
            return refused("a prefix is missing".to_owned(), "give one such as nvtopo.io/ or gpu");
        }
        if !front.is_empty() && !names::is_name(front) {
            return refused(format!("names of labels cannot begin with '{front}'"), "give one such as gpu");
        }
        if front.len() + 1 + longest > names::MAX_NAME {
            let most = names::MAX_NAME - 1 - longest;
            return refused(format!("'{front}' is too long"), &format!("{most} letters are the most"));
        }
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            front: (!front.is_empty()).then(|| front.to_owned()),
        })
    }
}

/// The options of labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LabelOptions {
    /// The text before each name.
    pub prefix: Prefix,
    /// Labels of each GPU too: its NVLink group, NUMA node and NIC.
    pub per_gpu: bool,
}

impl LabelOptions {
    /// Another prefix.
    #[must_use]
    pub fn prefix(mut self, prefix: Prefix) -> Self {
        self.prefix = prefix;
        self
    }

    /// Labels of each GPU too.
    #[must_use]
    pub fn per_gpu(mut self, per_gpu: bool) -> Self {
        self.per_gpu = per_gpu;
        self
    }
}

/// The labels of one node.
///
/// ```
/// use nvtopo_k8s::labels::{LabelOptions, Labels};
///
/// let bridged = nvtopo::Topology::preset("rtx-a6000-4-bridged")?;
/// let labels = Labels::of(&bridged, &LabelOptions::default());
/// assert_eq!(labels.get("nvlink.group"), Some("2_2"));
/// assert_eq!(labels.get("nvlink.group.kind"), Some("full"));
/// assert!(labels.feature_file(None)?.contains("nvtopo.io/nvlink.group=2_2\n"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    prefix: Prefix,
    values: BTreeMap<String, String>,
    left_out: Vec<(String, &'static str)>,
}

impl Labels {
    /// The labels of a machine.
    pub fn of(topology: &Topology, options: &LabelOptions) -> Self {
        let facts = Facts { topology };
        let mut labels =
            Self { prefix: options.prefix.clone(), values: BTreeMap::new(), left_out: Vec::new() };
        for label in LABELS {
            labels.add(label.name.to_owned(), (label.value)(&facts));
        }
        if options.per_gpu {
            for (name, value) in facts.per_gpu() {
                labels.add(name, value);
            }
        }
        labels
    }

    fn add(&mut self, name: String, value: Value) {
        match value {
            Ok(value) => drop(self.values.insert(name, names::to_value(&value))),
            Err(reason) => self.left_out.push((name, reason)),
        }
    }

    /// The value of a label by its name behind the prefix.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// All labels as key and value, by key.
    pub fn iter(&self) -> impl Iterator<Item = (String, &str)> {
        self.values.iter().map(|(name, value)| (self.prefix.key(name), value.as_str()))
    }

    /// The names of those that were left out, each with the reason.
    pub fn left_out(&self) -> &[(String, &'static str)] {
        &self.left_out
    }
}

#[cfg(test)]
#[allow(clippy::format_collect, reason = "short texts of tests")]
mod tests {
    use super::*;
    use nvtopo::source::PRESETS;
    use proptest::prelude::*;

    fn text(topology: &str) -> Topology {
        Topology::parse("text", topology.as_bytes()).unwrap()
    }

    fn recorded() -> Vec<(String, Topology)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/topo-m");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files
            .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
            .filter_map(|path| {
                Some((path.display().to_string(), Topology::open(&[path.to_str()?.parse().ok()?]).ok()?))
            })
            .collect()
    }

    fn check(name: &str, topology: &Topology, prefix: &Prefix) {
        let options = LabelOptions::default().prefix(prefix.clone()).per_gpu(true);
        let labels = Labels::of(topology, &options);
        assert!(labels.get("gpu.count").is_some(), "{name}");
        for (key, value) in labels.iter() {
            let (namespace, own) = key.split_once('/').unwrap_or(("", &key));
            assert!(namespace.is_empty() || names::is_subdomain(namespace), "{name}: {key}");
            assert!(names::is_name(own), "{name}: {key}");
            assert!(names::is_value(value) && !value.is_empty(), "{name}: {key}={value}");
        }
        for line in labels.feature_file(None).unwrap().lines() {
            assert!(line.starts_with("# ") || line.split_once('=').is_some(), "{name}: {line}");
            assert!(!line.starts_with("# +"), "{name}: {line}");
        }
    }

    #[test]
    fn labels_of_all_presets_and_recorded_texts_are_valid() {
        for preset in PRESETS {
            check(preset.name, &Topology::preset(preset.name).unwrap(), &Prefix::default());
        }
        let recorded = recorded();
        assert!(recorded.len() > 60, "{}", recorded.len());
        for (name, topology) in &recorded {
            check(name, topology, &"example.com/gpu".parse().unwrap());
        }
    }

    #[test]
    fn what_nobody_told_is_left_out() {
        let labels = Labels::of(
            &text("\tGPU0\tGPU1\nGPU0\t X \tSYS\nGPU1\tSYS\t X \n"),
            &LabelOptions::default().per_gpu(true),
        );
        for name in ["gpu.model", "gpu.degraded", "mig", "numa.gpus", "nic.count", "gpu.0.numa"] {
            assert_eq!(labels.get(name), None, "{name}");
            assert!(labels.left_out().iter().any(|(left, _)| left == name), "{name}");
        }
        // The matrix of `topo -mp` looks alike and shows no NVLinks.
        for name in ["nvlink.group", "nvlink.group.kind", "topology.fingerprint"] {
            assert_eq!(labels.get(name), None, "{name}");
        }
        assert_eq!(labels.get("topology.class"), Some("2gpu"));
    }

    /// A text of GPUs in this order, of which the pairs have these links.
    fn mesh(order: &[usize], links: &[u8]) -> Topology {
        let count = order.len();
        let pair = |a: usize, b: usize| {
            let (low, high) = (a.min(b), a.max(b));
            links[(low * 7 + high * 3) % links.len()]
        };
        let cell = |a: usize, b: usize| match (a == b, pair(a, b)) {
            (true, _) => "\t X ".to_owned(),
            (_, 0) => "\tSYS".to_owned(),
            (_, links) => format!("\tNV{links}"),
        };
        let row = |(row, a): (usize, &usize)| {
            let cells: String = order.iter().map(|b| cell(*a, *b)).collect();
            format!("GPU{row}{cells}\t{0}\t{0}\n", a % 2)
        };
        let rows: String = order.iter().enumerate().map(row).collect();
        let names: String = (0..count).map(|gpu| format!("\tGPU{gpu}")).collect();
        text(&format!("{names}\tCPU Affinity\tNUMA Affinity\n{rows}"))
    }

    proptest! {
        #[test]
        fn the_order_of_devices_changes_no_label(
            order in (2usize..8).prop_flat_map(|count| Just((0..count).collect::<Vec<_>>()).prop_shuffle()),
            links in proptest::collection::vec(0u8..3, 5..25),
        ) {
            let sorted: Vec<usize> = (0..order.len()).collect();
            let of = |order: &[usize]| Labels::of(&mesh(order, &links), &LabelOptions::default());
            prop_assert_eq!(of(&order), of(&sorted));
        }

        #[test]
        fn prefixes_are_refused_or_make_valid_keys(text in "[a-zA-Z0-9./_-]{0,40}") {
            if let Ok(prefix) = text.parse::<Prefix>() {
                for label in LABELS {
                    let key = prefix.key(label.name);
                    let own = key.rsplit_once('/').map_or(key.as_str(), |(_, own)| own);
                    prop_assert!(names::is_name(own), "{}", key);
                }
            }
        }
    }

    #[test]
    fn meshes_that_refinement_alone_takes_for_equal_have_other_fingerprints() {
        // Two triangles, and a ring of six: each GPU has two links in both.
        let mesh = |pairs: &[(usize, usize)]| {
            let linked = |a, b| pairs.contains(&(a, b)) || pairs.contains(&(b, a));
            let cell = |a, b| {
                if a == b {
                    "\t X "
                } else if linked(a, b) {
                    "\tNV1"
                } else {
                    "\tSYS"
                }
            };
            let row = |a| format!("GPU{a}{}\n", (0..6).map(|b| cell(a, b)).collect::<String>());
            let names: String = (0..6).map(|gpu| format!("\tGPU{gpu}")).collect();
            text(&format!("{names}\n{}", (0..6).map(row).collect::<String>()))
        };
        let triangles = mesh(&[(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)]);
        let ring = mesh(&[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)]);
        let print = |topology| fingerprint::of(topology).unwrap();
        assert_ne!(print(&triangles), print(&ring));
        let other = mesh(&[(0, 2), (2, 4), (4, 0), (1, 3), (3, 5), (5, 1)]);
        assert_eq!(print(&triangles), print(&other));
    }
}
