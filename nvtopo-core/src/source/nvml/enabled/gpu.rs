//! One GPU and its MIG instances as the driver reports them, without its NVLinks.

use super::super::failures::CallFailures;
use super::super::report::{
    MAX_INSTANCES, MAX_NVLINKS, MemoryNode, ReportedFabric, ReportedGpu, ReportedInstance, ReportedPcie,
};
use super::calls::{Caller, Missing};
use crate::cpuset::{CpuSet, NodeSet};
use crate::ids::{ComputeCapability, PciAddress};
use crate::source::json::Text;
use crate::sys::nvml as sys;
use crate::sys::nvml::{FabricInfo, Memory};
use crate::sys::{WORD_BITS, bits};
use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::{MemoryInfo, PciInfo};
use nvml_wrapper::sys_exports::field_id::{
    NVML_FI_DEV_C2C_LINK_COUNT, NVML_FI_DEV_C2C_LINK_GET_MAX_BW, NVML_FI_DEV_C2C_LINK_GET_STATUS,
    NVML_FI_DEV_GET_GPU_RECOVERY_ACTION,
};
use std::collections::BTreeSet;

/// The number of machine words for 65536 CPUs.
const CPU_WORDS: usize = 65_536 / WORD_BITS;

/// The number of machine words for 1024 NUMA nodes, the most that Linux can be built for.
const NODE_WORDS: usize = 1024 / WORD_BITS;

/// NVML's number of the scope of a NUMA node, as opposed to a package.
const SCOPE_NODE: u32 = 0;

/// Reads a GPU. Address and UUID identify it, so they are read first and passed to `identified`, in case that it hangs
/// later.
pub(super) fn read(
    device: &Device<'_>,
    index: u32,
    failures: &mut CallFailures,
    identified: impl FnOnce(&ReportedGpu),
) -> ReportedGpu {
    let mut caller = Caller { device, index, failures };
    let mut gpu = ReportedGpu { index, ..ReportedGpu::default() };
    if let Some(info) = caller.fact("nvmlDeviceGetPciInfo", Device::pci_info) {
        gpu.address = address(&info).map(Text);
        gpu.pci_device = Some(info.pci_device_id);
        gpu.pci_subsystem = info.pci_sub_system_id;
    }
    gpu.uuid = caller.fact("nvmlDeviceGetUUID", Device::uuid).and_then(|uuid| uuid.parse().ok()).map(Text);
    identified(&gpu);
    gpu.minor = caller.fact("nvmlDeviceGetMinorNumber", Device::minor_number);
    gpu.serial = caller.fact("nvmlDeviceGetSerial", Device::serial);
    gpu.firmware = caller.fact("nvmlDeviceGetVbiosVersion", Device::vbios_version);
    gpu.model = caller.fact("nvmlDeviceGetName", Device::name);
    let capability = caller.fact("nvmlDeviceGetCudaComputeCapability", Device::cuda_compute_capability);
    gpu.capability = capability.and_then(|capability| {
        let (major, minor) = (capability.major.try_into().ok()?, capability.minor.try_into().ok()?);
        Some(Text(ComputeCapability { major, minor }))
    });
    if let Some(Memory { total, used, free }) = caller.memory() {
        (gpu.memory, gpu.memory_used, gpu.memory_free) = (Some(total), Some(used), Some(free));
    }
    let cpus = caller.fact("nvmlDeviceGetCpuAffinity", |device| device.cpu_affinity(CPU_WORDS));
    gpu.cpus = cpus.map(|words| bits(&words).collect::<CpuSet>().to_string()).filter(|cpus| !cpus.is_empty());
    let nodes =
        caller.fact("nvmlDeviceGetMemoryAffinity", |device| device.memory_affinity(NODE_WORDS, SCOPE_NODE));
    gpu.nodes =
        nodes.map(|words| bits(&words).collect::<NodeSet>().to_string()).filter(|nodes| !nodes.is_empty());
    gpu.memory_node = match caller.ask("nvmlDeviceGetNumaNodeId", Device::numa_node_id) {
        // NVML_NUMA_NO_NODE is -1.
        Ok(node) if node == u32::MAX => MemoryNode::None,
        Ok(node) => MemoryNode::Node(node),
        Err(Missing::NotSupported) => MemoryNode::None,
        Err(_) => MemoryNode::Unknown,
    };
    gpu.pcie = caller.pcie();
    gpu.c2c = caller.fact("nvmlDeviceGetC2cModeInfoV", sys::has_c2c) == Some(true);
    if gpu.c2c {
        caller.c2c(&mut gpu);
    }
    gpu.fabric = caller.fabric();
    gpu.recovery = caller.field(NVML_FI_DEV_GET_GPU_RECOVERY_ACTION);
    let mig = caller.fact("nvmlDeviceGetMigMode", Device::mig_mode);
    gpu.mig = mig.map(|mode| (mode.current == 1, mode.pending == 1));
    if gpu.mig.is_some_and(|(enabled, _)| enabled) {
        (gpu.instances, gpu.placements_denied) = instances(&mut caller);
    }
    gpu.processes = caller.processes();
    gpu
}

/// Returns the address that the driver reports. One that it hides has all bits set.
pub(super) fn address(info: &PciInfo) -> Option<PciAddress> {
    let fields = || {
        let (bus, device) = (u8::try_from(info.bus).ok()?, u8::try_from(info.device).ok()?);
        let hidden = bus == u8::MAX && device >= 32;
        let any = info.domain | info.bus | info.device != 0;
        (!hidden && device < 32 && any).then_some(PciAddress {
            domain: info.domain,
            bus,
            device,
            function: 0,
        })
    };
    // Only the text has the function.
    info.bus_id.parse().ok().filter(|_| fields().is_some()).or_else(fields)
}

impl Caller<'_, '_> {
    fn memory(&mut self) -> Option<Memory> {
        let by_latest = |device: &Device<'_>| {
            let MemoryInfo { total, used, free, .. } = device.memory_info()?;
            Ok(Memory { total, used, free })
        };
        match self.ask("nvmlDeviceGetMemoryInfo_v2", by_latest) {
            Err(Missing::NoSuchCall) => self.fact("nvmlDeviceGetMemoryInfo", sys::memory_before_r510),
            answer => answer.ok(),
        }
    }

    /// Returns the number of processes, each once. Of a MIG-enabled GPU only administrators are told, and older drivers
    /// lack the calls: then it is unknown, which is no fault of the GPU.
    fn processes(&mut self) -> Option<u32> {
        if self.failures.is_lost(self.index) {
            return None;
        }
        let lists = [
            ("nvmlDeviceGetComputeRunningProcesses_v3", self.device.running_compute_processes()),
            ("nvmlDeviceGetGraphicsRunningProcesses_v3", self.device.running_graphics_processes()),
        ];
        let mut own = BTreeSet::new();
        for (call, list) in lists {
            match list {
                Ok(list) => own.extend(list.into_iter().map(|process| process.pid)),
                Err(error @ (NvmlError::GpuLost | NvmlError::ResetRequired)) => {
                    return self.failures.check::<u32>(self.index, call, Err(error)).ok();
                }
                Err(_) => return None,
            }
        }
        u32::try_from(own.len()).ok()
    }

    fn pcie(&mut self) -> ReportedPcie {
        ReportedPcie {
            generation: self.fact("nvmlDeviceGetCurrPcieLinkGeneration", Device::current_pcie_link_gen),
            own_generation: self.fact("nvmlDeviceGetGpuMaxPcieLinkGeneration", sys::own_pcie_generation),
            width: self.fact("nvmlDeviceGetCurrPcieLinkWidth", Device::current_pcie_link_width),
            max_generation: self.fact("nvmlDeviceGetMaxPcieLinkGeneration", Device::max_pcie_link_gen),
            max_width: self.fact("nvmlDeviceGetMaxPcieLinkWidth", Device::max_pcie_link_width),
        }
    }

    fn field(&mut self, field: u32) -> Option<u32> {
        self.fields(&[(field, 0)])[0].and_then(|value| u32::try_from(value).ok())
    }

    /// Reads the C2C links. Only links that are up have a bandwidth.
    fn c2c(&mut self, gpu: &mut ReportedGpu) {
        gpu.c2c_links = self.field(NVML_FI_DEV_C2C_LINK_COUNT);
        let links = 0..gpu.c2c_links.unwrap_or_default().min(MAX_NVLINKS as u32);
        let of_link = [NVML_FI_DEV_C2C_LINK_GET_STATUS, NVML_FI_DEV_C2C_LINK_GET_MAX_BW];
        let fields: Vec<_> = links.flat_map(|link| of_link.map(|field| (field, link))).collect();
        for answer in self.fields(&fields).chunks(of_link.len()) {
            if let [Some(1), speed] = answer {
                gpu.c2c_up.push(speed.filter(|speed| *speed > 0));
            }
        }
    }

    fn fabric(&mut self) -> Option<ReportedFabric> {
        let info = self.fact("nvmlDeviceGetGpuFabricInfoV", sys::fabric)?;
        let FabricInfo { cluster, status, clique, state, health, health_summary } = info;
        let cluster = (cluster != [0; 16]).then(|| uuid(cluster));
        Some(ReportedFabric { state, status, cluster, clique, health, health_summary })
    }
}

/// Reads the instances of a MIG-enabled GPU, and whether the driver hides from this user where they lie. Their numbers
/// may have gaps.
fn instances(gpu: &mut Caller<'_, '_>) -> (Vec<ReportedInstance>, bool) {
    let most = gpu.fact("nvmlDeviceGetMaxMigDeviceCount", Device::mig_device_count).unwrap_or_default();
    let (mut instances, mut denied) = (Vec::new(), false);
    for number in 0..most.min(MAX_INSTANCES as u32) {
        let answer =
            gpu.fact("nvmlDeviceGetMigDeviceHandleByIndex", |gpu| match gpu.mig_device_by_index(number) {
                Err(NvmlError::NotFound | NvmlError::InvalidArg) => Ok(None),
                answer => answer.map(Some),
            });
        if let Some(device) = answer.flatten() {
            instances.push(instance(gpu, &device, &mut denied));
        }
    }
    (instances, denied)
}

/// Reads one instance.
fn instance(gpu: &mut Caller<'_, '_>, device: &Device<'_>, denied: &mut bool) -> ReportedInstance {
    let attributes = gpu.fact("nvmlDeviceGetAttributes", |_| device.attributes());
    let gpu_instance = gpu.fact("nvmlDeviceGetGpuInstanceId", |_| sys::gpu_instance(device));
    ReportedInstance {
        uuid: gpu.fact("nvmlDeviceGetUUID", |_| device.uuid()),
        name: gpu.fact("nvmlDeviceGetName", |_| device.name()),
        gpu_instance,
        compute_instance: gpu.fact("nvmlDeviceGetComputeInstanceId", |_| sys::compute_instance(device)),
        slices: attributes.as_ref().map(|attributes| attributes.compute_instance_slice_count),
        memory: attributes.as_ref().map(|attributes| attributes.memory_size_mb),
        placement: gpu_instance.and_then(|instance| placement(gpu, instance, denied)),
    }
}

/// Reads where an instance lies, which drivers tell administrators only.
fn placement(gpu: &mut Caller<'_, '_>, instance: u32, denied: &mut bool) -> Option<(u32, u32)> {
    let answer = gpu.fact("nvmlGpuInstanceGetInfo", |gpu| match sys::placement(gpu, instance) {
        Err(NvmlError::NoPermission) => {
            *denied = true;
            Ok(None)
        }
        answer => answer.map(Some),
    });
    answer.flatten()
}

/// Formats a UUID: `5c3ee4a8-6b1c-4c5e-8d9a-0123456789ab`.
fn uuid(bytes: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    let groups = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(bus_id: &str, domain: u32, bus: u32, device: u32) -> PciInfo {
        PciInfo { bus, bus_id: bus_id.to_owned(), device, domain, pci_device_id: 0, pci_sub_system_id: None }
    }

    #[test]
    fn hidden_addresses_are_none() {
        let some = |info| address(&info).map(|address| address.to_string());
        assert_eq!(some(info("00000000:1B:00.0", 0, 0x1b, 0)).as_deref(), Some("0000:1b:00.0"));
        assert_eq!(some(info("", 2, 0x1b, 0)).as_deref(), Some("0002:1b:00.0"));
        assert_eq!(some(info("FFFFFFF:FFFF:FF.0", u32::MAX, u32::MAX, u32::MAX)), None);
        assert_eq!(some(info("FFFFFFFF:FF:FF.0", u32::MAX, 0xff, 0xff)), None);
        assert_eq!(some(info("", 0, 0, 0)), None);
    }

    #[test]
    fn uuids_are_written_in_groups() {
        assert_eq!(uuid(std::array::from_fn(|place| place as u8)), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    }

    #[test]
    fn bits_are_counted_through_the_words() {
        assert_eq!(bits(&[1 << 3, 1]).collect::<Vec<_>>(), [3, WORD_BITS as u32]);
    }
}
