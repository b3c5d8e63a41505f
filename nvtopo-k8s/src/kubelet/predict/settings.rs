//! The settings of the kubelet, in values and in the words of its own options.

use super::Plugin;
use super::node::{self, Devices};
use crate::Version;
use crate::kubelet::options::{Manager, PolicyOption};
use crate::quantity::Quantity;
use nvtopo::{CpuSet, Error, Kubelet, Result};
use std::collections::BTreeMap;

/// The settings of the kubelet, besides the policy and the scope of its topology manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub(crate) version: Version,
    pub(crate) static_cpus: bool,
    pub(crate) cpu_options: Kubelet,
    pub(crate) reserved_cpus: CpuSet,
    /// The number of reserved CPUs, where the kubelet chooses them.
    pub(crate) reserved_count: usize,
    pub(crate) reserved_memory: Option<BTreeMap<u32, BTreeMap<String, u64>>>,
    pub(crate) prefer_closest_numa_nodes: bool,
    pub(crate) max_allowable_numa_nodes: u32,
    pub(crate) plugin: Plugin,
    pub(crate) devices: BTreeMap<String, Devices>,
}

impl Default for Settings {
    /// A static CPU manager without options, no CPU reserved, no memory manager, GPUs as `nvidia.com/gpu`.
    fn default() -> Self {
        Self {
            version: Version::NEWEST,
            static_cpus: true,
            cpu_options: Kubelet::default(),
            reserved_cpus: CpuSet::new(),
            reserved_count: 0,
            reserved_memory: None,
            prefer_closest_numa_nodes: false,
            max_allowable_numa_nodes: 8,
            plugin: Plugin::default(),
            devices: node::default_devices(),
        }
    }
}

impl Settings {
    /// The version of Kubernetes. Before 1.37 the hints of devices name all NUMA nodes of the machine, not those with devices
    /// only: pods that are not aligned may get other CPUs.
    ///
    /// ```
    /// use nvtopo_k8s::kubelet::predict::{Predictor, Settings, Taken};
    ///
    /// let dgx = nvtopo::Topology::preset("dgx-h100")?;
    /// let spread = Settings::default().cpu_manager(Some("distribute-cpus-across-cores".parse()?));
    /// // The kubelet of 1.30 does not know this option.
    /// assert!(Predictor::new(&dgx, spread.clone().version("1.30".parse()?), &Taken::default()).is_err());
    /// assert!(Predictor::new(&dgx, spread.version("1.31".parse()?), &Taken::default()).is_ok());
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// The options of the static CPU manager (`cpuManagerPolicyOptions`). `None`: `cpuManagerPolicy: none`.
    #[must_use]
    pub fn cpu_manager(mut self, options: Option<Kubelet>) -> Self {
        self.static_cpus = options.is_some();
        self.cpu_options = options.unwrap_or_default();
        self
    }

    /// The CPUs that no container gets for itself (`reservedSystemCPUs`).
    #[must_use]
    pub fn reserved_cpus(mut self, cpus: CpuSet) -> Self {
        self.reserved_cpus = cpus;
        self
    }

    /// The memory manager `Static`, with the bytes of memory that are reserved on each node (`reservedMemory`).
    #[must_use]
    pub fn reserved_memory(mut self, memory: impl IntoIterator<Item = (u32, u64)>) -> Self {
        let node = |(node, bytes)| (node, BTreeMap::from([("memory".to_owned(), bytes)]));
        self.reserved_memory = Some(memory.into_iter().map(node).collect());
        self
    }

    /// Nodes that are near each other first (`prefer-closest-numa-nodes`).
    #[must_use]
    pub fn prefer_closest_numa_nodes(mut self, prefer: bool) -> Self {
        self.prefer_closest_numa_nodes = prefer;
        self
    }

    /// The most NUMA nodes with which a topology manager starts (`max-allowable-numa-nodes`, at least 8).
    #[must_use]
    pub fn max_allowable_numa_nodes(mut self, most: u32) -> Self {
        self.max_allowable_numa_nodes = most;
        self
    }

    /// Sets the preference of the device plugin.
    #[must_use]
    pub fn plugin(mut self, plugin: Plugin) -> Self {
        self.plugin = plugin;
        self
    }

    /// The devices behind an extended resource, such as `rdma/hca`.
    #[must_use]
    pub fn devices(mut self, resource: impl Into<String>, devices: Devices) -> Self {
        self.devices.insert(resource.into(), devices);
        self
    }
}

impl Settings {
    /// Reads the options of the static CPU manager as the kubelet does: `full-pcpus-only=true,align-by-socket=true`.
    ///
    /// ```
    /// use nvtopo_k8s::kubelet::predict::Settings;
    ///
    /// assert!(Settings::cpu_options("full-pcpus-only=true")?.full_pcpus_only);
    /// assert!(Settings::cpu_options("distribute-cpus-across-cores=true,full-pcpus-only=true").is_err());
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn cpu_options(text: &str) -> Result<Kubelet> {
        let mut names = Vec::new();
        for (name, value) in pairs(text)? {
            if switch(name, value)? {
                names.push(name);
            }
        }
        names.join(",").parse()
    }

    /// Sets the options of the topology manager as the kubelet reads them:
    /// `prefer-closest-numa-nodes=true,max-allowable-numa-nodes=16`.
    ///
    /// Errors with [`InvalidRequest`](nvtopo::ErrorKind::InvalidRequest) for options that it has not.
    pub fn topology_options(mut self, text: &str) -> Result<Self> {
        for (name, value) in pairs(text)? {
            match name {
                "prefer-closest-numa-nodes" => self.prefer_closest_numa_nodes = switch(name, value)?,
                "max-allowable-numa-nodes" => {
                    self.max_allowable_numa_nodes = value
                        .parse()
                        .map_err(|_| Error::request(format!("'{value}' is no number of NUMA nodes")))?;
                }
                _ => {
                    return Err(Error::request(format!("the topology manager has no option '{name}'"))
                        .help("there are prefer-closest-numa-nodes and max-allowable-numa-nodes"));
                }
            }
        }
        Ok(self)
    }

    /// Reserves memory on one node as the kubelet reads it, `0:memory=1Gi,hugepages-2Mi=64Mi`, for the memory manager
    /// `Static`.
    ///
    /// Errors with [`InvalidRequest`](nvtopo::ErrorKind::InvalidRequest) for other texts.
    pub fn reserve_memory(mut self, text: &str) -> Result<Self> {
        let wrong = || {
            Error::request(format!("'{text}' reserves no memory"))
                .help("give such as 0:memory=1Gi,hugepages-2Mi=64Mi")
        };
        let (node, kinds) = text.split_once(':').ok_or_else(wrong)?;
        let node: u32 = node.trim().parse().map_err(|_| wrong())?;
        let mut own = BTreeMap::new();
        for (kind, amount) in pairs(kinds)? {
            let known = kind == "memory" || kind.starts_with("hugepages-");
            let amount = Quantity::parse(amount).filter(|amount| known && !amount.is_negative());
            own.insert(kind.to_owned(), amount.ok_or_else(wrong)?.value());
        }
        if self.reserved_memory.get_or_insert_default().insert(node, own).is_some() {
            return Err(Error::request(format!("memory of NUMA node {node} is reserved twice")));
        }
        Ok(self)
    }
}

impl Settings {
    /// Checks that the kubelet of this version knows all options that are on.
    pub(super) fn check_version(&self) -> Result<()> {
        let cpu = &self.cpu_options;
        let options = [
            (Manager::Cpu, "full-pcpus-only", cpu.full_pcpus_only),
            (Manager::Cpu, "distribute-cpus-across-numa", cpu.distribute_cpus_across_numa),
            (Manager::Cpu, "align-by-socket", cpu.align_by_socket),
            (Manager::Cpu, "distribute-cpus-across-cores", cpu.distribute_cpus_across_cores),
            (Manager::Cpu, "strict-cpu-reservation", cpu.strict_cpu_reservation),
            (Manager::Cpu, "prefer-align-cpus-by-uncorecache", cpu.prefer_align_cpus_by_uncorecache),
            (Manager::Topology, "prefer-closest-numa-nodes", self.prefer_closest_numa_nodes),
            (Manager::Topology, "max-allowable-numa-nodes", self.max_allowable_numa_nodes != 8),
        ];
        for (manager, name, _) in options.into_iter().filter(|(.., on)| *on) {
            if PolicyOption::find(manager, name).and_then(|option| option.stage(self.version)).is_none() {
                let message = format!(
                    "the kubelet of {} does not know {name}, and does not start with it",
                    self.version
                );
                return Err(Error::request(message).help("leave the option out, or name a newer version"));
            }
        }
        Ok(())
    }
}

/// Names with their values.
fn pairs(text: &str) -> Result<Vec<(&str, &str)>> {
    let each = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    each.map(|pair| {
        pair.split_once('=').ok_or_else(|| {
            Error::request(format!("'{pair}' has no value"))
                .help("options are given as the kubelet reads them: name=value")
        })
    })
    .collect()
}

fn switch(name: &str, value: &str) -> Result<bool> {
    let on = crate::kubelet::lint::switch(value);
    on.ok_or_else(|| Error::request(format!("{name} is true or false, and not '{value}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_the_kubelet_reads_them() {
        let options = Settings::cpu_options("full-pcpus-only=true, align-by-socket=false").unwrap();
        assert_eq!(options, Kubelet { full_pcpus_only: true, ..Kubelet::default() });
        for wrong in ["full-pcpus-only", "full-pcpus-only=yes", "full-cpus=true"] {
            assert!(Settings::cpu_options(wrong).is_err(), "{wrong}");
        }
        let set = Settings::default()
            .topology_options("max-allowable-numa-nodes=16,prefer-closest-numa-nodes=true");
        let set = set.unwrap();
        assert!(set.prefer_closest_numa_nodes && set.max_allowable_numa_nodes == 16);
        for wrong in ["max-allowable-numa-nodes=x", "prefer-closest-numa=true"] {
            assert!(Settings::default().topology_options(wrong).is_err(), "{wrong}");
        }
        let set = Settings::default().reserve_memory("0:memory=1Gi,hugepages-2Mi=4Mi").unwrap();
        let set = set.reserve_memory("1:memory=1Gi").unwrap();
        assert_eq!(set.reserved_memory.as_ref().unwrap()[&0]["hugepages-2Mi"], 4 << 20);
        assert!(set.reserve_memory("1:memory=1Gi").is_err());
        for wrong in ["memory=1Gi", "x:memory=1", "0:cpu=1", "0:memory=-1", "0:memory"] {
            assert!(Settings::default().reserve_memory(wrong).is_err(), "{wrong}");
        }
    }
}
