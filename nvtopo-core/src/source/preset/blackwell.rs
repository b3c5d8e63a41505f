//! Machines with B200 GPUs.

use super::layout::{Board, Bridge, Coherent, Cpu, GpuModel, Item, Layout, Nvlink, domain};
use Item::{Gpu, Nic, Switch};

/// Source: "NVIDIA DGX B200 User Guide", component descriptions (eight single-port ConnectX-7, two dual-port
/// BlueField-3, two NVSwitches). The adapters are counted as in DGX H100, whose motherboard it shares: `mlx5_1`,
/// `mlx5_2`, `mlx5_7` and `mlx5_8` are the ports of the BlueField-3.
pub(super) const DGX_B200: Layout = Layout {
    product: "NVIDIA DGX B200",
    summary: "8 B200 180 GB on 2 NVSwitches, 2 Xeon Platinum 8570, 8 NDR InfiniBand and 4 storage ports",
    cpu: Cpu {
        model: "INTEL(R) XEON(R) PLATINUM 8570",
        packages: 2,
        cores: 56,
        threads: 2,
        nodes: 1,
        memory_gib: Some(1024),
        distances: (10, 21),
    },
    gpu: GpuModel { name: "NVIDIA B200", memory_mib: 183_359 },
    pcie: 5,
    bridges: &[
        Bridge { node: 0, below: &[Switch(&[Nic(0, 400, None), Gpu(0, None)])] },
        Bridge { node: 0, below: &[Switch(&[Nic(1, 400, None), Nic(2, 400, None)])] },
        Bridge { node: 0, below: &[Switch(&[Nic(3, 400, None), Gpu(1, None)])] },
        Bridge { node: 0, below: &[Switch(&[Nic(4, 400, None), Gpu(2, None)])] },
        Bridge { node: 0, below: &[Switch(&[Nic(5, 400, None), Gpu(3, None)])] },
        Bridge { node: 1, below: &[Switch(&[Nic(6, 400, None), Gpu(4, None)])] },
        Bridge { node: 1, below: &[Switch(&[Nic(7, 400, None), Nic(8, 400, None)])] },
        Bridge { node: 1, below: &[Switch(&[Nic(9, 400, None), Gpu(5, None)])] },
        Bridge { node: 1, below: &[Switch(&[Nic(10, 400, None), Gpu(6, None)])] },
        Bridge { node: 1, below: &[Switch(&[Nic(11, 400, None), Gpu(7, None)])] },
    ],
    nvlink: Nvlink::Switched {
        generation: 5,
        links: &[9, 9],
        boards: &[Board { gpus: (0, 8), switches: &[] }],
        trunk: 0,
    },
    coherent: &[],
    remarks: &[],
};

/// Source: "NVIDIA GB200 NVL Multi-Node Tuning Guide" (a compute tray: two Grace CPUs, four GPUs) and "North-South
/// Networking for DGX GB200", table "Compute Tray Network Ports" (names and addresses of the four ConnectX-7; the
/// two BlueField-3 are left out). The NVSwitches are in trays of their own: one node stands for that fabric. Each
/// GPU has eight NUMA nodes in firmware, of which the first is its memory while MIG is off.
pub(super) const GB200_NVL72_TRAY: Layout = Layout {
    product: "NVIDIA GB200 NVL72 compute tray",
    summary: "4 B200 on the rack's NVLink fabric, 2 Grace CPUs, 4 NDR InfiniBand",
    cpu: Cpu {
        model: "NVIDIA Grace CPU",
        packages: 2,
        cores: 72,
        threads: 1,
        nodes: 1,
        memory_gib: Some(480),
        distances: (10, 40),
    },
    gpu: GpuModel { name: "NVIDIA GB200", memory_mib: 189_471 },
    pcie: 5,
    bridges: &[
        Bridge { node: 0, below: &[Nic(0, 400, domain(0x00, 3))] },
        Bridge { node: 0, below: &[Nic(1, 400, domain(0x02, 3))] },
        Bridge { node: 0, below: &[Gpu(0, domain(0x08, 1))] },
        Bridge { node: 0, below: &[Gpu(1, domain(0x09, 1))] },
        Bridge { node: 1, below: &[Nic(4, 400, domain(0x10, 3))] },
        Bridge { node: 1, below: &[Nic(5, 400, domain(0x12, 3))] },
        Bridge { node: 1, below: &[Gpu(2, domain(0x18, 1))] },
        Bridge { node: 1, below: &[Gpu(3, domain(0x19, 1))] },
    ],
    nvlink: Nvlink::Switched {
        generation: 5,
        links: &[18],
        boards: &[Board { gpus: (0, 4), switches: &[] }],
        trunk: 0,
    },
    coherent: &[
        Coherent { gpu: 0, cpu_node: 0, memory_node: 2, distances: (80, 120), links: 5 },
        Coherent { gpu: 1, cpu_node: 0, memory_node: 10, distances: (80, 120), links: 5 },
        Coherent { gpu: 2, cpu_node: 1, memory_node: 18, distances: (80, 120), links: 5 },
        Coherent { gpu: 3, cpu_node: 1, memory_node: 26, distances: (80, 120), links: 5 },
    ],
    remarks: &["the NVSwitches are outside of the tray, and reach the 68 other GPUs of the rack too"],
};
