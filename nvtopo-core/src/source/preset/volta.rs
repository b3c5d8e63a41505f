//! Machines with V100 GPUs.

use super::layout::{Board, Bridge, Cpu, GpuModel, Item, Layout, Nvlink, bus, function};
use Item::{Gpu, Nic, Switch};

/// Source: "NVIDIA DGX-1 with Tesla V100 System Architecture" white paper (cube mesh, PCIe tree, four 100 Gb/s
/// adapters); addresses from NCCL topology dumps of the machine.
pub(super) const DGX_1: Layout = Layout {
    product: "NVIDIA DGX-1",
    summary: "8 V100 32 GB in a cube mesh of NVLinks, 2 Xeon E5-2698 v4, 4 EDR InfiniBand",
    cpu: Cpu {
        model: "Intel(R) Xeon(R) CPU E5-2698 v4 @ 2.20GHz",
        packages: 2,
        cores: 20,
        threads: 2,
        nodes: 1,
        memory_gib: Some(256),
        distances: (10, 21),
    },
    gpu: GpuModel { name: "Tesla V100-SXM2-32GB", memory_mib: 32_768 },
    pcie: 3,
    bridges: &[
        Bridge {
            node: 0,
            below: &[
                Switch(&[Gpu(0, bus(0x06)), Gpu(1, bus(0x07)), Nic(0, 100, bus(0x05))]),
                Switch(&[Gpu(2, bus(0x0a)), Gpu(3, bus(0x0b)), Nic(1, 100, bus(0x0c))]),
            ],
        },
        Bridge {
            node: 1,
            below: &[
                Switch(&[Gpu(4, bus(0x85)), Gpu(5, bus(0x86)), Nic(2, 100, bus(0x84))]),
                Switch(&[Gpu(6, bus(0x89)), Gpu(7, bus(0x8a)), Nic(3, 100, bus(0x8b))]),
            ],
        },
    ],
    nvlink: Nvlink::Direct {
        generation: 2,
        pairs: &[
            (0, 1, 1),
            (0, 2, 1),
            (0, 3, 2),
            (0, 4, 2),
            (1, 2, 2),
            (1, 3, 1),
            (1, 5, 2),
            (2, 3, 2),
            (2, 6, 1),
            (3, 7, 1),
            (4, 5, 1),
            (4, 6, 1),
            (4, 7, 2),
            (5, 6, 2),
            (5, 7, 1),
            (6, 7, 2),
        ],
    },
    coherent: &[],
    remarks: &[],
};

/// Source: "NVIDIA DGX-2 System User Guide" and the NVSwitch technical overview (two boards of eight GPUs and six
/// NVSwitches, eight links between each switch and its counterpart); the PCIe tree and addresses as in hwloc's
/// recorded DGX-2. `mlx5_4` and `mlx5_5` are the ports of the storage adapter.
pub(super) const DGX_2: Layout = Layout {
    product: "NVIDIA DGX-2",
    summary: "16 V100 32 GB on 12 NVSwitches, 2 Xeon Platinum 8168, 8 EDR InfiniBand and 2 storage ports",
    cpu: Cpu {
        model: "Intel(R) Xeon(R) Platinum 8168 CPU @ 2.70GHz",
        packages: 2,
        cores: 24,
        threads: 2,
        nodes: 1,
        memory_gib: Some(768),
        distances: (10, 21),
    },
    gpu: GpuModel { name: "Tesla V100-SXM3-32GB", memory_mib: 32_768 },
    pcie: 3,
    bridges: &[
        Bridge {
            node: 0,
            below: &[Switch(&[
                Switch(&[Gpu(0, bus(0x34)), Gpu(1, bus(0x36)), Nic(0, 100, bus(0x35))]),
                Switch(&[Gpu(2, bus(0x39)), Gpu(3, bus(0x3b)), Nic(1, 100, bus(0x3a))]),
            ])],
        },
        Bridge {
            node: 0,
            below: &[Switch(&[
                Switch(&[Gpu(4, bus(0x57)), Gpu(5, bus(0x59)), Nic(2, 100, bus(0x58))]),
                Switch(&[Gpu(6, bus(0x5c)), Gpu(7, bus(0x5e)), Nic(3, 100, bus(0x5d))]),
            ])],
        },
        Bridge {
            node: 1,
            below: &[Switch(&[Nic(4, 100, function(0x86, 0)), Nic(5, 100, function(0x86, 1))])],
        },
        Bridge {
            node: 1,
            below: &[Switch(&[
                Switch(&[Gpu(8, bus(0xb7)), Gpu(9, bus(0xb9)), Nic(6, 100, bus(0xb8))]),
                Switch(&[Gpu(10, bus(0xbc)), Gpu(11, bus(0xbe)), Nic(7, 100, bus(0xbd))]),
            ])],
        },
        Bridge {
            node: 1,
            below: &[Switch(&[
                Switch(&[Gpu(12, bus(0xe0)), Gpu(13, bus(0xe2)), Nic(8, 100, bus(0xe1))]),
                Switch(&[Gpu(14, bus(0xe5)), Gpu(15, bus(0xe7)), Nic(9, 100, bus(0xe6))]),
            ])],
        },
    ],
    nvlink: Nvlink::Switched {
        generation: 2,
        links: &[1, 1, 1, 1, 1, 1],
        boards: &[
            Board {
                gpus: (0, 8),
                switches: &[bus(0x61), bus(0x62), bus(0x63), bus(0x65), bus(0x66), bus(0x67)],
            },
            Board {
                gpus: (8, 16),
                switches: &[bus(0xc1), bus(0xc2), bus(0xc3), bus(0xc5), bus(0xc6), bus(0xc7)],
            },
        ],
        trunk: 8,
    },
    coherent: &[],
    remarks: &[],
};
