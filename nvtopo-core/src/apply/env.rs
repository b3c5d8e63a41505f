//! Environment variables that pass a choice to libraries. By default only variables that are safe for every program are set;
//! the others on request. Variables that would undo a binding (`OMP_PLACES` and the like) or tune NCCL are never set.

use crate::error::{Error, Result};
use crate::model::{Nic, PortState, Topology};
use crate::solve::{
    Part, Placement, VisibleDevice, VisibleGpus, cuda_environment, fair_nics, nic_at, nics_of_gpus,
};
use std::collections::BTreeSet;

words! {
    /// A variable, or several, to export on request.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum Export {
        /// `CUDA_VISIBLE_DEVICES`: the GPUs of the job by UUID, in one order for all ranks of the node.
        Gpus = "gpus",
        /// `OMP_NUM_THREADS` even where it is set, as torchrun sets it to 1.
        Threads = "threads",
        /// `NCCL_IB_HCA`: the RDMA devices that the job's GPUs use, together, the same for all ranks, each with its port where that
        /// is known. NCCL chooses among them; a list for each rank makes it hang. Where ranks may see different GPUs, those of all
        /// GPUs of the machine. [`export_remarks`] names those of the machine that are left out.
        IbHca = "ib-hca",
        /// `UCX_NET_DEVICES`: the NICs of this rank; ranks that are equally near take turns. UCX before 1.21 takes no device without
        /// a port: one of unknown port is named with the first, and [`export_remarks`] says so.
        UcxDevice = "ucx-device",
        /// `UCCL_P2P_RDMA_DEV`: the RDMA devices of this rank's NICs, for UCCL's transfers between GPUs.
        UcclDevice = "uccl-device",
        /// `NVSHMEM_HCA_LIST`: the ports of this rank's NICs, with `NVSHMEM_ENABLE_NIC_PE_MAPPING`, without which the list does
        /// not count.
        NvshmemHca = "nvshmem-hca",
        /// `VLLM_GPU_NIC_PCIE_MAPPING`: the NIC of each of the job's GPUs by PCI addresses, the same for all ranks, and
        /// `VLLM_NIC_SELECTION_VARS`, where it is not set, which vLLM wants beside it: vLLM then sets `UCX_NET_DEVICES` for each
        /// of its processes, so that `UcxDevice` sets nothing beside it.
        VllmNics = "vllm-nics",
    }
    /// The name of the option value.
    word, |text| {
        let words = Self::ALL.map(Self::word).join(", ");
        Error::request(format!("nothing called '{text}' can be told")).help(format!("there are {words}"))
    }
}

/// Returns the variables for a process that is bound to its part: by default only `OMP_NUM_THREADS`, where it is not set and
/// the cores are the process's own. Unknown values are not exported.
///
/// ```
/// use nvtopo::apply::{Export, environment};
/// use nvtopo::{CpuLimits, CudaOrder, LocalRank, Part, Topology, VisibleGpus};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let visible = VisibleGpus::all(&dgx, CudaOrder::PciBusId);
/// let rank = LocalRank { rank: 1, size: Some(8) };
/// let part = Part::of_visible(&dgx, &visible, Some(rank), &CpuLimits::default())?;
/// let nothing = |_: &str| None;
/// assert_eq!(environment(&dgx, &visible, &part, &[], nothing), [("OMP_NUM_THREADS", "14".to_owned())]);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn environment(
    topology: &Topology,
    visible: &VisibleGpus,
    part: &Part,
    exports: &[Export],
    variable: impl Fn(&str) -> Option<String>,
) -> Vec<(&'static str, String)> {
    let mut variables = Vec::new();
    let set = variable("OMP_NUM_THREADS").is_some_and(|value| !value.trim().is_empty());
    if part.own_cores > 0 && (!set || exports.contains(&Export::Threads)) {
        variables.push(("OMP_NUM_THREADS", part.own_cores.to_string()));
    }
    // A list of MIG instances stays as it is: CUDA shows a process one of them only.
    let whole = !visible.devices.is_empty() && visible.devices.iter().all(|device| device.instance.is_none());
    if exports.contains(&Export::Gpus) && whole {
        variables.extend(cuda_environment(topology, &visible.positions()));
    }
    if exports.contains(&Export::IbHca) {
        let ports = job_ports(topology, visible);
        if !ports.is_empty() {
            // Without the sign, mlx5_1 would also be mlx5_10.
            variables.push(("NCCL_IB_HCA", format!("={}", ports.join(","))));
        }
    }
    let pairs = exports.contains(&Export::VllmNics).then(|| vllm_pairs(topology, visible)).flatten();
    let asked =
        [Export::UcxDevice, Export::UcclDevice, Export::NvshmemHca].iter().any(|own| exports.contains(own));
    let own = if asked { nics_of(topology, part) } else { Vec::new() };
    let own: Vec<&Nic> =
        own.into_iter().filter_map(|nic| nic_at(topology, nic)).filter(|nic| may_carry_data(nic)).collect();
    let ports: Vec<String> = own.iter().filter_map(|nic| port(topology, nic)).collect();
    // Where vLLM knows the pairs, it sets the variable itself.
    if exports.contains(&Export::UcxDevice) && pairs.is_none() && !ports.is_empty() {
        variables.push(("UCX_NET_DEVICES", ports.join(",")));
    }
    if exports.contains(&Export::UcclDevice) {
        let devices: Vec<&str> = own.iter().filter_map(|nic| nic.rdma_device.as_deref()).collect();
        if !devices.is_empty() {
            variables.push(("UCCL_P2P_RDMA_DEV", devices.join(",")));
        }
    }
    if exports.contains(&Export::NvshmemHca) && !ports.is_empty() {
        variables.push(("NVSHMEM_ENABLE_NIC_PE_MAPPING", "1".to_owned()));
        variables.push(("NVSHMEM_HCA_LIST", ports.join(",")));
    }
    if let Some(pairs) = pairs {
        variables.push(("VLLM_GPU_NIC_PCIE_MAPPING", pairs.addresses));
        if variable("VLLM_NIC_SELECTION_VARS").is_none() {
            variables.push(("VLLM_NIC_SELECTION_VARS", format!("UCX_NET_DEVICES:{}", pairs.port)));
        }
    }
    variables
}

/// Returns the variables for all ranks of a job on the GPUs of a placement: `CUDA_VISIBLE_DEVICES` with its order, and of
/// `exports` those that are the same for all ranks.
///
/// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for a variable that differs between ranks.
///
/// ```
/// use nvtopo::apply::{Export, placement_environment};
/// use nvtopo::{Request, Topology};
///
/// let placement = Request::gpus(2).solve(&Topology::preset("dgx-h100")?)?;
/// let variables = placement_environment(&placement, &[Export::IbHca], |_| None)?;
/// assert_eq!(variables.last().unwrap(), &("NCCL_IB_HCA", "=mlx5_0,mlx5_3".to_owned()));
/// assert!(placement_environment(&placement, &[Export::UcxDevice], |_| None).is_err());
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn placement_environment(
    placement: &Placement,
    exports: &[Export],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(&'static str, String)>> {
    let same = |export: &Export| matches!(export, Export::Gpus | Export::IbHca | Export::VllmNics);
    if let Some(own) = exports.iter().find(|export| !same(export)) {
        let message = format!("'{own}' differs between ranks, and a placement is for all of them");
        return Err(Error::request(message).help("ask the part of a rank"));
    }
    let devices = placement.gpus().iter().map(|gpu| VisibleDevice { gpu: gpu.position, instance: None });
    let visible = VisibleGpus { devices: devices.collect(), same_for_all: true, ..VisibleGpus::default() };
    let mut variables = placement.cuda_environment();
    let further = environment(placement.topology(), &visible, &Part::default(), exports, variable);
    variables.extend(further.into_iter().filter(|(name, _)| !name.starts_with("CUDA_")));
    Ok(variables)
}

/// Returns the remarks on exported variables: RDMA devices of the machine that NCCL is not given, and given ones that may
/// carry no data.
///
/// ```
/// use nvtopo::apply::{Export, export_remarks};
/// use nvtopo::{CudaOrder, Topology, VisibleGpus};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let visible = VisibleGpus::resolve(&dgx, Some("0,1"), CudaOrder::PciBusId);
/// let remarks = export_remarks(&dgx, &visible, &[Export::IbHca]);
/// assert!(remarks[0].starts_with("NCCL_IB_HCA leaves out mlx5_1, mlx5_2"), "{remarks:?}");
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn export_remarks(topology: &Topology, visible: &VisibleGpus, exports: &[Export]) -> Vec<String> {
    let mut remarks = Vec::new();
    if exports.contains(&Export::VllmNics) {
        if vllm_pairs(topology, visible).is_none() {
            remarks.push(
                "VLLM_GPU_NIC_PCIE_MAPPING is not set: the NICs of the job's GPUs, or the PCI addresses of both, are not \
                 known, or the NICs use ports of different numbers"
                    .to_owned(),
            );
        } else if exports.contains(&Export::UcxDevice) {
            remarks.push(
                "UCX_NET_DEVICES is left to vLLM, which sets it by VLLM_GPU_NIC_PCIE_MAPPING for each process".to_owned(),
            );
        }
    }
    if exports.contains(&Export::IbHca) {
        remarks.extend(hca_remarks(topology, visible));
    }
    remarks.extend(unknown_ports(topology, visible, exports));
    remarks
}

/// Returns a remark where the number of threads was requested and is not exported: the cores are not the process's own.
///
/// ```
/// use nvtopo::Part;
/// use nvtopo::apply::{Export, thread_remark};
///
/// let shared = Part { cpus: "0-7".parse()?, ..Part::default() };
/// assert!(thread_remark(&shared, &[Export::Threads]).unwrap().starts_with("OMP_NUM_THREADS is left as it is"));
/// assert_eq!(thread_remark(&shared, &[]), None);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn thread_remark(part: &Part, exports: &[Export]) -> Option<String> {
    let why = if part.cpus.is_empty() { "no CPUs near it are known" } else { "other ranks share its CPUs" };
    (part.own_cores == 0 && exports.contains(&Export::Threads))
        .then(|| format!("OMP_NUM_THREADS is left as it is: this process has no cores of its own, as {why}"))
}

/// Returns a remark on RDMA devices of unknown port, where a variable needs one.
fn unknown_ports(topology: &Topology, visible: &VisibleGpus, exports: &[Export]) -> Option<String> {
    let pairs = exports.contains(&Export::VllmNics) && vllm_pairs(topology, visible).is_some();
    let ucx = exports.contains(&Export::UcxDevice) && !pairs;
    let names = [(ucx, "UCX_NET_DEVICES"), (exports.contains(&Export::NvshmemHca), "NVSHMEM_HCA_LIST")];
    let names: Vec<&str> = names.into_iter().filter_map(|(told, name)| told.then_some(name)).collect();
    let nics = job_nics(topology, visible).into_iter().filter(|nic| nic.port.is_none());
    let mut devices: Vec<&str> = nics.filter_map(|nic| nic.rdma_device.as_deref()).collect();
    in_order(&mut devices);
    let say = if names.len() == 1 { "says" } else { "say" };
    (!names.is_empty() && !devices.is_empty()).then(|| {
        format!("which port of {} is used is unknown; {} {say} 1", devices.join(", "), names.join(" and "))
    })
}

/// Returns the remarks on `NCCL_IB_HCA`.
fn hca_remarks(topology: &Topology, visible: &VisibleGpus) -> Vec<String> {
    let told = job_devices(topology, visible);
    if told.is_empty() {
        return vec![
            "NCCL_IB_HCA is not set: no RDMA device with a port that carries data is known beside the job's GPUs"
                .to_owned(),
        ];
    }
    let devices = |which: &dyn Fn(&Nic, &str) -> bool| {
        let mut devices: Vec<&str> = topology
            .nics()
            .filter_map(|nic| nic.rdma_device.as_deref().filter(|device| which(nic, device)))
            .collect();
        in_order(&mut devices);
        devices.join(", ")
    };
    let unknown = devices(&|nic, device| nic.state.is_none() && told.contains(&device));
    let left_out = devices(&|_, device| !told.contains(&device));
    let mut remarks: Vec<String> = Vec::new();
    if !left_out.is_empty() {
        remarks.push(format!("NCCL_IB_HCA leaves out {left_out}: no GPU of the job uses them"));
    }
    if !unknown.is_empty() {
        remarks.push(format!("whether the ports of {unknown} carry data is unknown; NCCL_IB_HCA names them"));
    }
    remarks
}

/// Returns the GPUs of the job: all of the machine where each rank may see other GPUs, so that all ranks get one result.
fn job_gpus(topology: &Topology, visible: &VisibleGpus) -> Vec<usize> {
    let gpus = visible.positions();
    if visible.unresolved || visible.differs_by_rank || (gpus.len() <= 1 && !visible.same_for_all) {
        return (0..topology.gpus().len()).collect();
    }
    gpus
}

/// Returns the NICs that the GPUs of the job use, without those known to carry no data.
fn job_nics<'a>(topology: &'a Topology, visible: &VisibleGpus) -> Vec<&'a Nic> {
    let nics = nics_of_gpus(topology);
    let own = job_gpus(topology, visible).into_iter().filter_map(|gpu| nics.get(gpu)).flatten();
    own.filter_map(|nic| nic_at(topology, *nic)).filter(|nic| may_carry_data(nic)).collect()
}

/// Returns the RDMA devices of these NICs.
fn job_devices<'a>(topology: &'a Topology, visible: &VisibleGpus) -> Vec<&'a str> {
    let nics = job_nics(topology, visible).into_iter();
    let mut devices: Vec<&str> = nics.filter_map(|nic| nic.rdma_device.as_deref()).collect();
    in_order(&mut devices);
    devices
}

/// Returns the RDMA devices of these NICs, each with its port. Without a known port a name stands for all ports.
fn job_ports(topology: &Topology, visible: &VisibleGpus) -> Vec<String> {
    let nics = job_nics(topology, visible);
    let with_ports = |device: &str| {
        let own = nics.iter().filter(|nic| nic.rdma_device.as_deref() == Some(device));
        let ports: Option<BTreeSet<u32>> = own.map(|nic| nic.port).collect();
        match ports {
            Some(ports) => ports.into_iter().map(|port| format!("{device}:{port}")).collect(),
            None => vec![device.to_owned()],
        }
    };
    job_devices(topology, visible).into_iter().flat_map(with_ports).collect()
}

fn may_carry_data(nic: &Nic) -> bool {
    nic.state.is_none_or(|state| state == PortState::Active)
}

/// Returns the NICs of a part: where it has the fair ones, those of all its GPUs.
fn nics_of(topology: &Topology, part: &Part) -> Vec<usize> {
    let all = nics_of_gpus(topology);
    let own: Vec<usize> = part.gpus.iter().filter_map(|gpu| all.get(*gpu)).flatten().copied().collect();
    if part.nics.iter().all(|nic| own.contains(nic)) && !part.nics.is_empty() {
        own
    } else {
        part.nics.clone()
    }
}

/// Returns the RDMA device of a NIC with its port, for libraries that need one. An unknown port is taken as the first, which
/// each device has, unless the device stands for several NICs.
fn port(topology: &Topology, nic: &Nic) -> Option<String> {
    let device = nic.rdma_device.as_deref()?;
    if let Some(port) = nic.port {
        return Some(format!("{device}:{port}"));
    }
    let ports = topology.nics().filter(|other| other.rdma_device.as_deref() == Some(device)).count();
    (ports == 1).then(|| format!("{device}:1"))
}

/// The values of vLLM's variables for the GPUs of a job.
struct VllmPairs {
    /// The PCI addresses of the GPUs, each with that of its NIC.
    addresses: String,
    /// The port that all of these NICs use, the first where it is unknown.
    port: u32,
}

/// Returns the pairs of GPUs and NICs, where all addresses are known and all NICs use one port number: vLLM takes one NIC for
/// each GPU, and one port for all.
fn vllm_pairs(topology: &Topology, visible: &VisibleGpus) -> Option<VllmPairs> {
    let nics = fair_nics(topology);
    let mut ports = BTreeSet::new();
    let mut pair = |gpu: usize| {
        let nic = nic_at(topology, (*nics.get(gpu)?)?)?;
        ports.insert(nic.port.unwrap_or(1));
        Some(format!("{}={}", topology.gpus().nth(gpu)?.address?, nic.address?))
    };
    let pairs: Vec<String> = job_gpus(topology, visible).into_iter().map(&mut pair).collect::<Option<_>>()?;
    let (Some(port), 1) = (ports.first(), ports.len()) else { return None };
    Some(VllmPairs { addresses: pairs.join(","), port: *port })
}

/// Sorts, `mlx5_2` before `mlx5_10`, and removes repetitions.
fn in_order(devices: &mut Vec<&str>) {
    devices.sort_unstable_by_key(|device| (device.len(), *device));
    devices.dedup();
}
