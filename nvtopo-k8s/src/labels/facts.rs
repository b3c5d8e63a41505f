//! The facts of a machine that labels tell.

use super::Value;
use nvtopo::model::{Gpu, GroupShape, NvlinkGroup, PortState, Stated};
use nvtopo::solve::{gpus_per_nic, nics_of_gpus};
use nvtopo::{Topology, fair_nics};
use std::collections::{BTreeMap, BTreeSet};

/// A machine, asked for labels.
pub(super) struct Facts<'a> {
    pub(super) topology: &'a Topology,
}

const NO_NVLINK_TOLD: &str = "nothing tells of NVLinks";
const NO_NODES_TOLD: &str = "the NUMA nodes of some GPUs are unknown";

impl Facts<'_> {
    pub(super) fn gpus(&self) -> usize {
        self.topology.gpus().len()
    }

    pub(super) fn usable(&self) -> usize {
        self.topology.gpus().filter(|gpu| gpu.unusable.is_none()).count()
    }

    pub(super) fn degraded(&self) -> Value {
        let count = (0..self.gpus()).filter(|gpu| !self.topology.gpu_faults(*gpu).is_empty()).count();
        let told = self.topology.gpus().any(|gpu| gpu.fabric.is_some() || !gpu.nvlinks.is_empty());
        if count > 0 || told { Ok(count.to_string()) } else { Err("nothing tells of the health of the GPUs") }
    }

    /// A fact that all GPUs share, or `mixed`.
    pub(super) fn alike(&self, fact: impl Fn(&Gpu) -> Option<String>, unknown: &'static str) -> Value {
        let values: Option<BTreeSet<String>> = self.topology.gpus().map(fact).collect();
        let values = values.filter(|values| !values.is_empty()).ok_or(unknown)?;
        Ok(if values.len() == 1 { values.into_iter().collect() } else { "mixed".to_owned() })
    }

    pub(super) fn mig(&self) -> Value {
        let word = |gpu: &Gpu| gpu.mig.map(|mig| if mig.current { "on" } else { "off" }.to_owned());
        self.alike(word, "nothing tells whether the GPUs are divided")
    }

    /// The NVLink groups of two GPUs or more.
    pub(super) fn groups(&self) -> Result<Vec<&NvlinkGroup>, &'static str> {
        if !self.topology.nvlink_known() {
            return Err(NO_NVLINK_TOLD);
        }
        Ok(self.topology.nvlink_groups().iter().filter(|group| group.gpus.len() > 1).collect())
    }

    pub(super) fn group_sizes(&self) -> Value {
        let sizes = self.groups()?.iter().map(|group| group.gpus.len()).collect();
        Ok(largest_first(sizes).unwrap_or_else(|| "none".to_owned()))
    }

    pub(super) fn group_kind(&self) -> Value {
        let kinds: BTreeSet<&str> = self.groups()?.iter().map(|group| kind(group.shape)).collect();
        Ok(match kinds.len() {
            0 => "none".to_owned(),
            1 => kinds.into_iter().collect(),
            _ => "mixed".to_owned(),
        })
    }

    /// The NUMA nodes of each GPU; `None` where they are unknown.
    fn nodes(&self, gpu: usize) -> Option<Vec<u32>> {
        match self.topology.local_nodes(self.topology.devices()[gpu]) {
            Stated::Known(nodes) if !nodes.is_empty() => Some(nodes.iter().collect()),
            _ => None,
        }
    }

    /// A GPU's one NUMA node.
    fn node(&self, gpu: usize) -> Result<u32, &'static str> {
        match self.nodes(gpu).as_deref() {
            Some([node]) => Ok(*node),
            Some(_) => Err("some GPUs are near several NUMA nodes"),
            None => Err(NO_NODES_TOLD),
        }
    }

    pub(super) fn group_span(&self) -> Value {
        let span = |group: &&NvlinkGroup| -> Result<usize, &'static str> {
            let nodes = group.gpus.iter().map(|gpu| self.node(*gpu)).collect::<Result<BTreeSet<u32>, _>>()?;
            Ok(nodes.len())
        };
        let spans = self.groups()?.iter().map(span).collect::<Result<Vec<usize>, _>>()?;
        spans.into_iter().max().map(|most| most.to_string()).ok_or("no GPUs are linked")
    }

    pub(super) fn gpus_by_node(&self) -> Value {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for gpu in 0..self.gpus() {
            *counts.entry(self.node(gpu)?).or_default() += 1;
        }
        largest_first(counts.into_values().collect()).ok_or("there is no GPU")
    }

    fn has_nics(&self) -> Result<(), &'static str> {
        let usable = |nic: &nvtopo::model::Nic| nic.state != Some(PortState::Down);
        if self.topology.nics().any(usable) { Ok(()) } else { Err("no NIC is known") }
    }

    pub(super) fn nic_count(&self) -> Value {
        self.has_nics()?;
        let usable = self.topology.nics().filter(|nic| nic.state != Some(PortState::Down));
        Ok(usable.count().to_string())
    }

    pub(super) fn gpus_per_nic(&self) -> Value {
        self.has_nics()?;
        if self.gpus() == 0 {
            return Err("there is no GPU");
        }
        Ok(gpus_per_nic(self.topology).to_string())
    }

    pub(super) fn nic_path(&self) -> Value {
        self.has_nics()?;
        let nics = fair_nics(self.topology);
        let own = nics.iter().enumerate();
        let paths: Option<Vec<_>> =
            own.map(|(gpu, nic)| self.topology.pairs().pair(gpu, (*nic)?).path).collect();
        let worst = paths.and_then(|paths| paths.into_iter().max());
        worst.map(|path| path.word().to_owned()).ok_or("the paths to NICs are unknown")
    }

    pub(super) fn clique(&self) -> Value {
        let clique = |gpu: &Gpu| {
            let fabric = gpu.fabric.as_ref()?;
            Some(format!("{}.{}", fabric.cluster.as_ref()?, fabric.clique?))
        };
        self.alike(clique, "the GPUs are in no NVLink domain beyond this node, or nothing tells")
    }

    /// The class of the machine, as far as it is known.
    pub(super) fn class(&self) -> String {
        let mut words = vec![format!("{}gpu", self.gpus())];
        if let (Ok(kind), Ok(sizes)) = (self.group_kind(), self.group_sizes()) {
            words.push(if sizes == "none" { "pcie".to_owned() } else { format!("{kind}-{}", brief(&sizes)) });
        }
        if let Ok(nodes) = self.gpus_by_node() {
            words.push(format!("numa-{}", brief(&nodes)));
        }
        words.join(".")
    }

    /// The labels of each GPU.
    pub(super) fn per_gpu(&self) -> Vec<(String, Value)> {
        let mut labels = Vec::new();
        let nics = nics_of_gpus(self.topology);
        for (position, gpu) in self.topology.gpus().enumerate() {
            let mut add = |name: &str, value| labels.push((format!("gpu.{}.{name}", gpu.index), value));
            let groups = self.topology.nvlink_groups();
            let group = groups.iter().position(|group| group.gpus.contains(&position));
            let known = group.filter(|_| self.topology.nvlink_known());
            add("nvlink.group", known.map(|group| group.to_string()).ok_or(NO_NVLINK_TOLD));
            let nodes = self.nodes(position).map(|nodes| joined(&nodes));
            add("numa", nodes.ok_or(NO_NODES_TOLD));
            let nic = nics[position].first().map(|nic| self.topology.device_name(*nic));
            add("nic", nic.ok_or("no NIC is known to be its own"));
        }
        labels
    }
}

/// The word for a kind of NVLink group.
fn kind(shape: GroupShape) -> &'static str {
    match shape {
        GroupShape::Switched => "switched",
        GroupShape::FullyConnected => "full",
        GroupShape::Partial => "partial",
        _ => "none",
    }
}

fn joined(numbers: &[impl ToString]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join("_")
}

/// Numbers by decreasing size; `None` where there are none.
fn largest_first(mut numbers: Vec<usize>) -> Option<String> {
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    (!numbers.is_empty()).then(|| brief(&joined(&numbers)))
}

/// Equal numbers in a row by their count, where all of them would be too long for a label: `2_2_2_2` is `4x2`.
fn brief(numbers: &str) -> String {
    if numbers.len() <= 15 {
        return numbers.to_owned();
    }
    let mut runs: Vec<(&str, usize)> = Vec::new();
    for number in numbers.split('_') {
        match runs.last_mut() {
            Some((last, count)) if *last == number => *count += 1,
            _ => runs.push((number, 1)),
        }
    }
    joined(&runs.iter().map(|(number, count)| format!("{count}x{number}")).collect::<Vec<_>>())
}
