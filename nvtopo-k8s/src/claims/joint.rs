//! Devices that are claimed beside GPUs: the RDMA NIC of each, from dranet, and CPUs beside them, from dra-driver-cpu.

use super::object::{self, Choice, DeviceRequest};
use super::{Alternative, ClaimOptions, MAX_DEVICES};
use crate::Version;
use nvtopo::{Error, PathType, Result, Topology, fair_nics};
use std::collections::BTreeMap;

/// The devices that are claimed beside the GPUs of a machine.
pub(super) struct Joint<'a> {
    topology: &'a Topology,
    rdma: bool,
    cpus_per_gpu: Option<usize>,
    /// CPUs are taken of one device for each NUMA node, not one by one.
    grouped: bool,
}

impl<'a> Joint<'a> {
    pub(super) fn of(topology: &'a Topology, options: &ClaimOptions) -> Result<Self> {
        let grouped = options.version >= Version::minor(36).unwrap_or_default();
        let cpus = options.cpus_per_gpu;
        if cpus == Some(0) {
            return Err(Error::request("a claim for no CPUs is none").help("leave the CPUs out"));
        }
        if options.rdma && topology.nics().len() == 0 {
            return Err(Error::unsatisfiable("no NIC of this machine is known, so that none can be claimed"));
        }
        Ok(Self { topology, rdma: options.rdma, cpus_per_gpu: cpus, grouped })
    }

    /// Returns true where anything is claimed beside GPUs.
    pub(super) fn is_any(&self) -> bool {
        self.rdma || self.cpus_per_gpu.is_some()
    }

    /// A request for any RDMA NIC below the PCIe root of a single GPU, where each GPU has one there.
    pub(super) fn below_root(&self) -> Option<DeviceRequest> {
        let topology = self.topology;
        let gpus = topology.gpus().len();
        let near = |gpu: usize, nic: usize| {
            let path = topology.host_path(topology.devices()[gpu], topology.devices()[nic]);
            path.is_some_and(|path| path <= PathType::Phb)
        };
        let nics = gpus..topology.devices().len();
        let all = (0..gpus).all(|gpu| nics.clone().any(|nic| near(gpu, nic)));
        let rdma = "device.attributes[\"dra.net\"].rdma";
        let choice = Choice {
            name: "p0".to_owned(),
            class: "dranet".to_owned(),
            count: 1,
            selector: Some(format!("has({rdma}) && {rdma}")),
            ..Default::default()
        };
        let request = DeviceRequest { name: "nic".to_owned(), choices: vec![choice] };
        (self.rdma && self.cpus_per_gpu.is_none() && all).then_some(request)
    }

    /// Returns the requests for NICs and CPUs beside some GPUs.
    pub(super) fn requests(&self, alternative: &Alternative) -> Result<Vec<DeviceRequest>> {
        let mut requests = Vec::new();
        if self.rdma {
            requests.push(self.nics(&alternative.gpus)?);
        }
        if let Some(cpus) = self.cpus_per_gpu {
            requests.extend(self.cpus(&alternative.gpus, cpus)?);
        }
        let individual =
            requests.iter().flat_map(|request| &request.choices).map(|choice| choice.count).sum::<usize>();
        if individual + alternative.gpus.len() > MAX_DEVICES {
            let message = format!(
                "{} devices would be claimed; {MAX_DEVICES} are the most",
                individual + alternative.gpus.len()
            );
            return Err(Error::unsatisfiable(message).help("before 1.36 each CPU is a device: ask for fewer"));
        }
        Ok(requests)
    }

    fn nics(&self, gpus: &[usize]) -> Result<DeviceRequest> {
        // The NIC of each GPU as all of the machine use them, so that claims of two pods do not ask for the same.
        let fair = fair_nics(self.topology);
        let own: Option<Vec<usize>> = gpus.iter().map(|gpu| fair[*gpu]).collect();
        let none = || Error::unsatisfiable("the NICs of these GPUs, or the paths to them, are unknown");
        let mut nics = own.ok_or_else(none)?;
        nics.sort_unstable();
        nics.dedup();
        let nic = |at: &usize| self.topology.node(self.topology.devices()[*at]).kind.as_nic();
        let addresses: Option<Vec<String>> =
            nics.iter().map(|at| Some(format!("\"{}\"", nic(at)?.address?))).collect();
        let devices: Option<Vec<String>> =
            nics.iter().map(|at| Some(format!("\"{}\"", nic(at)?.rdma_device.as_ref()?))).collect();
        let (attribute, values) = match (addresses, devices) {
            (Some(addresses), _) => ("pciAddress", addresses),
            (None, Some(devices)) => ("rdmaDevice", devices),
            (None, None) => {
                return Err(Error::unsatisfiable(
                    "neither the PCI addresses nor the RDMA devices of these NICs are known",
                )
                .help("add what tells them: a snapshot, a recorded /sys, hwloc's XML"));
            }
        };
        let nic = format!("device.attributes[\"dra.net\"].{attribute}");
        let selector = format!("has({nic}) && {nic} in [{}]", values.join(", "));
        let choice = Choice {
            name: "p0".to_owned(),
            class: "dranet".to_owned(),
            count: nics.len(),
            selector: Some(selector),
            ..Default::default()
        };
        Ok(DeviceRequest { name: "nic".to_owned(), choices: vec![choice] })
    }

    fn cpus(&self, gpus: &[usize], each: usize) -> Result<Vec<DeviceRequest>> {
        let mut nodes: BTreeMap<u32, usize> = BTreeMap::new();
        for gpu in gpus {
            let near = self.topology.local_nodes(self.topology.devices()[*gpu]);
            let node =
                near.known().filter(|near| near.iter().count() == 1).and_then(|near| near.iter().next());
            let unknown = || {
                let name = self.topology.device_name(*gpu);
                Error::unsatisfiable(format!("no one NUMA node is known to be nearest to {name}"))
            };
            *nodes.entry(node.ok_or_else(unknown)?).or_default() += each;
        }
        let choice = |(node, cpus): (u32, usize)| {
            let std = "device.attributes[\"resource.kubernetes.io\"].numaNode";
            let own = "device.attributes[\"dra.cpu\"].numaNodeID";
            let (count, capacity) =
                if self.grouped { (1, Some(("dra.cpu/cpu".to_owned(), cpus))) } else { (cpus, None) };
            Choice {
                name: "p0".to_owned(),
                class: "dra.cpu".to_owned(),
                count,
                // The attribute is the standard's in later versions of the driver.
                selector: Some(format!("has({std}) ? {std} == {node} : {own} == {node}")),
                capacity,
                ..Default::default()
            }
        };
        let choices = nodes.into_iter().map(choice).enumerate();
        Ok(choices
            .map(|(number, choice)| DeviceRequest { name: format!("cpu{number}"), choices: vec![choice] })
            .collect())
    }
}

/// The device classes that claims refer to, as examples: the drivers' charts install such ones.
pub(super) fn classes(options: &ClaimOptions) -> Result<Vec<String>> {
    let comment = |driver: &str| {
        vec![format!("As the chart of {driver} installs it; leave it out where that is done.")]
    };
    let class = |name: &str, driver: &str, expression: &str| {
        object::device_class(options.version, name, expression, &comment(driver))
    };
    let gpu = "device.driver == \"gpu.nvidia.com\" && device.attributes[\"gpu.nvidia.com\"].type == \"gpu\"";
    let mut classes = vec![class(&options.class, "NVIDIA's DRA driver", gpu)?];
    if options.rdma {
        let rdma = "device.driver == \"dra.net\" && has(device.attributes[\"dra.net\"].rdma) && device.attributes[\"dra.net\"].rdma";
        classes.push(class("dranet", "dranet, for RDMA only", rdma)?);
    }
    if options.cpus_per_gpu.is_some() {
        classes.push(class("dra.cpu", "dra-driver-cpu", "device.driver == \"dra.cpu\"")?);
    }
    Ok(classes)
}
