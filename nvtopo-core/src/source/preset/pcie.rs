//! Machines with PCIe GPUs: usual builds, not those of one product.

use super::layout::{Bridge, Cpu, GpuModel, Item, Layout, Nvlink};
use Item::{Gpu, Nic, Switch};

/// Source: "NVIDIA L40S" product brief for the GPU; the host is the usual one of eight-GPU servers in NVIDIA's
/// certified-systems configuration guide: four GPUs to a socket, behind two PCIe switches with an adapter each.
pub(super) const L40S_8: Layout = Layout {
    product: "Usual L40S server",
    summary: "8 L40S behind PCIe switches, without NVLink, 2 Xeon Platinum 8462Y+, 4 200 Gb/s NICs",
    cpu: Cpu {
        model: "Intel(R) Xeon(R) Platinum 8462Y+",
        packages: 2,
        cores: 32,
        threads: 2,
        nodes: 1,
        memory_gib: None,
        distances: (10, 21),
    },
    gpu: GpuModel { name: "NVIDIA L40S", memory_mib: 46_068 },
    pcie: 4,
    bridges: &[
        Bridge { node: 0, below: &[Switch(&[Gpu(0, None), Gpu(1, None), Nic(0, 200, None)])] },
        Bridge { node: 0, below: &[Switch(&[Gpu(2, None), Gpu(3, None), Nic(1, 200, None)])] },
        Bridge { node: 1, below: &[Switch(&[Gpu(4, None), Gpu(5, None), Nic(2, 200, None)])] },
        Bridge { node: 1, below: &[Switch(&[Gpu(6, None), Gpu(7, None), Nic(3, 200, None)])] },
    ],
    nvlink: Nvlink::None,
    coherent: &[],
    remarks: &["a usual build, not one product: CPUs, PCIe switches and NICs differ between makers"],
};

/// Source: "NVIDIA RTX A6000" data sheet and the NVLink bridge's (four links between two boards); the
/// host is a usual workstation of one socket.
pub(super) const RTX_A6000_4: Layout = Layout {
    product: "Usual RTX A6000 workstation",
    summary: "4 RTX A6000 in two NVLink-bridged pairs, 1 Threadripper PRO 5975WX",
    cpu: Cpu {
        model: "AMD Ryzen Threadripper PRO 5975WX 32-Cores",
        packages: 1,
        cores: 32,
        threads: 2,
        nodes: 1,
        memory_gib: None,
        distances: (10, 10),
    },
    gpu: GpuModel { name: "NVIDIA RTX A6000", memory_mib: 49_140 },
    pcie: 4,
    bridges: &[
        Bridge { node: 0, below: &[Gpu(0, None)] },
        Bridge { node: 0, below: &[Gpu(1, None)] },
        Bridge { node: 0, below: &[Gpu(2, None)] },
        Bridge { node: 0, below: &[Gpu(3, None)] },
    ],
    nvlink: Nvlink::Bridges { pairs: &[(0, 1, 4), (2, 3, 4)] },
    coherent: &[],
    remarks: &["a usual build, not one product: CPU and PCIe slots differ between makers"],
};
