//! Machines with H100 GPUs.

use super::layout::{Board, Bridge, Coherent, Cpu, GpuModel, Item, Layout, Nvlink, bus, domain, function};
use Item::{Gpu, Nic, Switch};

/// Source: "NVIDIA DGX H100/H200 System User Guide", tables "Network Port Mapping" and "Network Modules" (which
/// adapter belongs to which GPU, names and addresses). `mlx5_1`, `mlx5_2`, `mlx5_7` and `mlx5_8` are the ports of
/// the two storage adapters; the management adapter in slot 3 is left out.
pub(super) const DGX_H100: Layout = Layout {
    product: "NVIDIA DGX H100",
    summary: "8 H100 80 GB on 4 NVSwitches, 2 Xeon Platinum 8480C, 8 NDR InfiniBand and 4 storage ports",
    cpu: Cpu {
        model: "Intel(R) Xeon(R) Platinum 8480C",
        packages: 2,
        cores: 56,
        threads: 2,
        nodes: 1,
        memory_gib: Some(1024),
        distances: (10, 21),
    },
    gpu: GpuModel { name: "NVIDIA H100 80GB HBM3", memory_mib: 81_559 },
    pcie: 5,
    bridges: &[
        Bridge { node: 0, below: &[Switch(&[Nic(0, 400, bus(0x18)), Gpu(0, bus(0x1b))])] },
        Bridge {
            node: 0,
            below: &[Switch(&[Nic(1, 400, function(0x29, 0)), Nic(2, 400, function(0x29, 1))])],
        },
        Bridge { node: 0, below: &[Switch(&[Nic(3, 400, bus(0x40)), Gpu(1, bus(0x43))])] },
        Bridge { node: 0, below: &[Switch(&[Nic(4, 400, bus(0x4f)), Gpu(2, bus(0x52))])] },
        Bridge { node: 0, below: &[Switch(&[Nic(5, 400, bus(0x5e)), Gpu(3, bus(0x61))])] },
        Bridge { node: 1, below: &[Switch(&[Nic(6, 400, bus(0x9a)), Gpu(4, bus(0x9d))])] },
        Bridge {
            node: 1,
            below: &[Switch(&[Nic(7, 400, function(0xaa, 0)), Nic(8, 400, function(0xaa, 1))])],
        },
        Bridge { node: 1, below: &[Switch(&[Nic(9, 400, bus(0xc0)), Gpu(5, bus(0xc3))])] },
        Bridge { node: 1, below: &[Switch(&[Nic(10, 400, bus(0xce)), Gpu(6, bus(0xd1))])] },
        Bridge { node: 1, below: &[Switch(&[Nic(11, 400, bus(0xdc)), Gpu(7, bus(0xdf))])] },
    ],
    nvlink: Nvlink::Switched {
        generation: 4,
        links: &[4, 5, 5, 4],
        boards: &[Board { gpus: (0, 8), switches: &[] }],
        trunk: 0,
    },
    coherent: &[],
    remarks: &[],
};

/// Source: "NVIDIA GH200 Grace Hopper Superchip Architecture" white paper, the model with 96 GB of HBM3 and 480 GB
/// of LPDDR5X; distances as the firmware of the product reports them.
pub(super) const GH200: Layout = Layout {
    product: "NVIDIA GH200",
    summary: "1 Grace CPU and 1 H100 96 GB over NVLink-C2C",
    cpu: Cpu {
        model: "NVIDIA Grace CPU",
        packages: 1,
        cores: 72,
        threads: 1,
        nodes: 1,
        memory_gib: Some(480),
        distances: (10, 10),
    },
    gpu: GpuModel { name: "NVIDIA GH200 480GB", memory_mib: 97_871 },
    pcie: 5,
    bridges: &[Bridge { node: 0, below: &[Gpu(0, domain(9, 1))] }],
    nvlink: Nvlink::None,
    coherent: &[Coherent { gpu: 0, cpu_node: 0, memory_node: 1, distances: (80, 80), links: 10 }],
    remarks: &["the superchip fixes no NIC: its server's maker does"],
};
