//! Machines with A100 GPUs.

use super::layout::{Board, Bridge, Cpu, GpuModel, Item, Layout, Nvlink, bus, function};
use Item::{Gpu, Nic, Switch};

/// Source: "NVIDIA DGX A100 System User Guide", the 640 GB model (four NUMA nodes in each socket, eight 200 Gb/s
/// compute adapters, two dual-port storage adapters); addresses from NCCL topology dumps of the machine.
/// `mlx5_4`, `mlx5_5`, `mlx5_10` and `mlx5_11` are the storage ports.
pub(super) const DGX_A100: Layout = Layout {
    product: "NVIDIA DGX A100",
    summary: "8 A100 80 GB on 6 NVSwitches, 2 EPYC 7742 (8 NUMA nodes), 8 HDR InfiniBand and 4 storage ports",
    cpu: Cpu {
        model: "AMD EPYC 7742 64-Core Processor",
        packages: 2,
        cores: 64,
        threads: 2,
        nodes: 4,
        memory_gib: Some(256),
        distances: (12, 32),
    },
    gpu: GpuModel { name: "NVIDIA A100-SXM4-80GB", memory_mib: 81_920 },
    pcie: 4,
    bridges: &[
        Bridge {
            node: 3,
            below: &[Switch(&[
                Switch(&[Gpu(0, bus(0x07)), Gpu(1, bus(0x0f))]),
                Switch(&[Nic(0, 200, bus(0x0c))]),
                Switch(&[Nic(1, 200, bus(0x12))]),
            ])],
        },
        Bridge {
            node: 1,
            below: &[Switch(&[
                Switch(&[Gpu(2, bus(0x47)), Gpu(3, bus(0x4e))]),
                Switch(&[Nic(2, 200, bus(0x4b))]),
                Switch(&[Nic(3, 200, bus(0x54))]),
            ])],
        },
        Bridge {
            node: 0,
            below: &[Switch(&[Nic(4, 200, function(0x61, 0)), Nic(5, 200, function(0x61, 1))])],
        },
        Bridge {
            node: 7,
            below: &[Switch(&[
                Switch(&[Gpu(4, bus(0x87)), Gpu(5, bus(0x90))]),
                Switch(&[Nic(6, 200, bus(0x8d))]),
                Switch(&[Nic(7, 200, bus(0x94))]),
            ])],
        },
        Bridge {
            node: 5,
            below: &[Switch(&[
                Switch(&[Gpu(6, bus(0xb7)), Gpu(7, bus(0xbd))]),
                Switch(&[Nic(8, 200, bus(0xba))]),
                Switch(&[Nic(9, 200, bus(0xcc))]),
            ])],
        },
        Bridge {
            node: 4,
            below: &[Switch(&[Nic(10, 200, function(0xe1, 0)), Nic(11, 200, function(0xe1, 1))])],
        },
    ],
    nvlink: Nvlink::Switched {
        generation: 3,
        links: &[2, 2, 2, 2, 2, 2],
        boards: &[Board {
            gpus: (0, 8),
            switches: &[bus(0xc4), bus(0xc5), bus(0xc6), bus(0xc7), bus(0xc8), bus(0xc9)],
        }],
        trunk: 0,
    },
    coherent: &[],
    remarks: &[],
};

/// Source: "NVIDIA A100 Tensor Core GPU" data sheet and the HGX A100 4-GPU description (four NVLinks between each
/// pair, no NVSwitch). The board's maker chooses the host: two sockets with two GPUs and one adapter each are usual.
pub(super) const HGX_A100_4: Layout = Layout {
    product: "NVIDIA HGX A100 4-GPU",
    summary: "4 A100 80 GB with NVLinks between all pairs, in a usual host of 2 EPYC 7763",
    cpu: Cpu {
        model: "AMD EPYC 7763 64-Core Processor",
        packages: 2,
        cores: 64,
        threads: 2,
        nodes: 1,
        memory_gib: None,
        distances: (10, 32),
    },
    gpu: GpuModel { name: "NVIDIA A100-SXM4-80GB", memory_mib: 81_920 },
    pcie: 4,
    bridges: &[
        Bridge { node: 0, below: &[Gpu(0, None)] },
        Bridge { node: 0, below: &[Gpu(1, None)] },
        Bridge { node: 0, below: &[Nic(0, 200, None)] },
        Bridge { node: 1, below: &[Gpu(2, None)] },
        Bridge { node: 1, below: &[Gpu(3, None)] },
        Bridge { node: 1, below: &[Nic(1, 200, None)] },
    ],
    nvlink: Nvlink::Direct {
        generation: 3,
        pairs: &[(0, 1, 4), (0, 2, 4), (0, 3, 4), (1, 2, 4), (1, 3, 4), (2, 3, 4)],
    },
    coherent: &[],
    remarks: &["the host of an HGX board is its maker's choice: CPUs, memory and NICs here are a usual one"],
};
