//! One GPU: what the driver says of it, but for its NVLinks.

use super::calls::Missing;
use super::seen::{MemoryNode, SeenGpu, SeenPcie};
use super::troubles::Troubles;
use crate::cpuset::{CpuSet, NodeSet};
use crate::ids::{ComputeCapability, PciAddress};
use crate::source::json::Text;
use crate::sys::nvml as sys;
use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::PciInfo;

/// Words for 65536 CPUs.
const CPU_WORDS: usize = 65_536 / WORD_BITS;

/// Words for 1024 NUMA nodes, the most that Linux can be built for.
const NODE_WORDS: usize = 1024 / WORD_BITS;

const WORD_BITS: usize = std::ffi::c_ulong::BITS as usize;

/// NVML's name for the NUMA node, as opposed to the package.
const SCOPE_NODE: u32 = 0;

/// Reads a GPU. Its address goes first: it is what the rest is known by.
pub(super) fn read(device: &Device<'_>, index: u32, troubles: &mut Troubles) -> SeenGpu {
    let mut caller = Caller { device, index, troubles };
    let mut gpu = SeenGpu { index, ..SeenGpu::default() };
    gpu.address = caller.fact("nvmlDeviceGetPciInfo", Device::pci_info).as_ref().and_then(address).map(Text);
    gpu.uuid = caller.fact("nvmlDeviceGetUUID", Device::uuid).and_then(|uuid| uuid.parse().ok()).map(Text);
    gpu.model = caller.fact("nvmlDeviceGetName", Device::name);
    let capability = caller.fact("nvmlDeviceGetCudaComputeCapability", Device::cuda_compute_capability);
    gpu.capability = capability.and_then(|capability| {
        let (major, minor) = (capability.major.try_into().ok()?, capability.minor.try_into().ok()?);
        Some(Text(ComputeCapability { major, minor }))
    });
    gpu.memory = caller.memory();
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
    gpu.mig = caller.fact("nvmlDeviceGetMigMode", Device::mig_mode).is_some_and(|mode| mode.current == 1);
    gpu
}

/// The address that the driver tells. One that it hides has all bits set, and is none.
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
    // Only the text tells the function.
    info.bus_id.parse().ok().filter(|_| fields().is_some()).or_else(fields)
}

struct Caller<'a, 'nvml> {
    device: &'a Device<'nvml>,
    index: u32,
    troubles: &'a mut Troubles,
}

impl<'nvml> Caller<'_, 'nvml> {
    fn ask<T>(
        &mut self,
        call: &'static str,
        question: impl FnOnce(&Device<'nvml>) -> Result<T, NvmlError>,
    ) -> Result<T, Missing> {
        if self.troubles.is_lost(self.index) {
            return Err(Missing::Failed);
        }
        let answer = question(self.device);
        self.troubles.check(self.index, call, answer)
    }

    fn fact<T>(
        &mut self,
        call: &'static str,
        question: impl FnOnce(&Device<'nvml>) -> Result<T, NvmlError>,
    ) -> Option<T> {
        self.ask(call, question).ok()
    }

    fn memory(&mut self) -> Option<u64> {
        match self.ask("nvmlDeviceGetMemoryInfo_v2", |device| Ok(device.memory_info()?.total)) {
            Err(Missing::NoSuchCall) => self.fact("nvmlDeviceGetMemoryInfo", sys::memory_before_r510),
            answer => answer.ok(),
        }
    }

    fn pcie(&mut self) -> SeenPcie {
        SeenPcie {
            generation: self.fact("nvmlDeviceGetCurrPcieLinkGeneration", Device::current_pcie_link_gen),
            width: self.fact("nvmlDeviceGetCurrPcieLinkWidth", Device::current_pcie_link_width),
            max_generation: self.fact("nvmlDeviceGetMaxPcieLinkGeneration", Device::max_pcie_link_gen),
            max_width: self.fact("nvmlDeviceGetMaxPcieLinkWidth", Device::max_pcie_link_width),
        }
    }
}

fn bits(words: &[std::ffi::c_ulong]) -> impl Iterator<Item = u32> {
    let all = words.iter().enumerate();
    all.flat_map(|(place, word)| {
        let set = (0..WORD_BITS).filter(move |bit| word >> bit & 1 == 1);
        set.map(move |bit| (place * WORD_BITS + bit) as u32)
    })
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
    fn bits_are_counted_through_the_words() {
        assert_eq!(bits(&[1 << 3, 1]).collect::<Vec<_>>(), [3, WORD_BITS as u32]);
    }
}
