//! Virtual machines of cloud providers, each the whole of a host with eight GPUs.
//!
//! Their kernels see neither PCIe switches nor NVSwitches, and addresses that say nothing of the board. The switches are those
//! of the NCCL topology file that the provider ships for the machine, the NVSwitches those of NVIDIA's board.

use super::layout::{Board, Bridge, Cpu, GpuModel, Item, Layout, Nvlink, domain, slot};
use Item::{Gpu, Named, Switch};

/// The remark about all of them.
const HIDDEN: &str = "a virtual machine hides PCIe switches, NVSwitches, ACS and the speeds of PCIe links: they are those of the \
    provider's NCCL topology file and of NVIDIA's board";

/// The remark about facts that no provider publishes.
const USUAL: &str = "the kernel's distances between NUMA nodes are the usual ones of such CPUs";

/// Source: `ndv4-topo.xml` in Azure's `azhpc-images`, and "ND A100 v4-series" in Azure's documentation (96 cores without
/// siblings of EPYC 7V12, 8 A100 40 GB, 8 HDR InfiniBand); names of adapters as Azure's HPC images give them.
pub(super) const ND_A100_V4: Layout = Layout {
    product: "Azure ND A100 v4",
    summary: "virtual machine: 8 A100 40 GB on 6 NVSwitches, 96 cores of EPYC 7V12 (4 NUMA nodes), 8 HDR InfiniBand",
    cpu: Cpu {
        model: "AMD EPYC 7V12 64-Core Processor",
        packages: 2,
        cores: 48,
        threads: 1,
        nodes: 2,
        memory_gib: None,
        distances: (12, 32),
    },
    gpu: GpuModel { name: "NVIDIA A100-SXM4-40GB", memory_mib: 40_960 },
    pcie: 4,
    bridges: &[
        Bridge {
            node: 1,
            below: &[Switch(&[
                Gpu(0, domain(0x0001, 0)),
                Named("mlx5_ib0", 200, domain(0x0101, 0)),
                Gpu(1, domain(0x0002, 0)),
                Named("mlx5_ib1", 200, domain(0x0102, 0)),
            ])],
        },
        Bridge {
            node: 0,
            below: &[Switch(&[
                Gpu(2, domain(0x0003, 0)),
                Named("mlx5_ib2", 200, domain(0x0103, 0)),
                Gpu(3, domain(0x0004, 0)),
                Named("mlx5_ib3", 200, domain(0x0104, 0)),
            ])],
        },
        Bridge {
            node: 3,
            below: &[Switch(&[
                Gpu(4, domain(0x000b, 0)),
                Named("mlx5_ib4", 200, domain(0x0105, 0)),
                Gpu(5, domain(0x000c, 0)),
                Named("mlx5_ib5", 200, domain(0x0106, 0)),
            ])],
        },
        Bridge {
            node: 2,
            below: &[Switch(&[
                Gpu(6, domain(0x000d, 0)),
                Named("mlx5_ib6", 200, domain(0x0107, 0)),
                Gpu(7, domain(0x000e, 0)),
                Named("mlx5_ib7", 200, domain(0x0108, 0)),
            ])],
        },
    ],
    nvlink: Nvlink::Switched {
        generation: 3,
        links: &[2, 2, 2, 2, 2, 2],
        boards: &[Board { gpus: (0, 8), switches: &[] }],
        trunk: 0,
    },
    coherent: &[],
    remarks: &[HIDDEN, USUAL],
};

/// Source: `ndv5-topo.xml` in Azure's `azhpc-images`, and "ND H100 v5-series" in Azure's documentation (96 cores without
/// siblings of Xeon Platinum 8480C, 8 H100 80 GB, 8 NDR InfiniBand); names of adapters as Azure's HPC images give them.
pub(super) const ND_H100_V5: Layout = Layout {
    product: "Azure ND H100 v5",
    summary: "virtual machine: 8 H100 80 GB on 4 NVSwitches, 96 cores of 2 Xeon Platinum 8480C, 8 NDR InfiniBand",
    cpu: Cpu {
        model: "Intel(R) Xeon(R) Platinum 8480C",
        packages: 2,
        cores: 48,
        threads: 1,
        nodes: 1,
        memory_gib: None,
        distances: (10, 21),
    },
    gpu: GpuModel { name: "NVIDIA H100 80GB HBM3", memory_mib: 81_559 },
    pcie: 5,
    bridges: &[
        Bridge {
            node: 0,
            below: &[Switch(&[Gpu(0, domain(0x0001, 0)), Named("mlx5_ib0", 400, domain(0x0101, 0))])],
        },
        Bridge {
            node: 0,
            below: &[Switch(&[Gpu(1, domain(0x0002, 0)), Named("mlx5_ib1", 400, domain(0x0102, 0))])],
        },
        Bridge {
            node: 0,
            below: &[Switch(&[Gpu(2, domain(0x0003, 0)), Named("mlx5_ib2", 400, domain(0x0103, 0))])],
        },
        Bridge {
            node: 0,
            below: &[Switch(&[Gpu(3, domain(0x0008, 0)), Named("mlx5_ib3", 400, domain(0x0104, 0))])],
        },
        Bridge {
            node: 1,
            below: &[Switch(&[Gpu(4, domain(0x0009, 0)), Named("mlx5_ib4", 400, domain(0x0105, 0))])],
        },
        Bridge {
            node: 1,
            below: &[Switch(&[Gpu(5, domain(0x000a, 0)), Named("mlx5_ib5", 400, domain(0x0106, 0))])],
        },
        Bridge {
            node: 1,
            below: &[Switch(&[Gpu(6, domain(0x000b, 0)), Named("mlx5_ib6", 400, domain(0x0107, 0))])],
        },
        Bridge {
            node: 1,
            below: &[Switch(&[Gpu(7, domain(0x000c, 0)), Named("mlx5_ib7", 400, domain(0x0108, 0))])],
        },
    ],
    nvlink: Nvlink::Switched {
        generation: 4,
        links: &[4, 5, 5, 4],
        boards: &[Board { gpus: (0, 8), switches: &[] }],
        trunk: 0,
    },
    coherent: &[],
    remarks: &[HIDDEN, USUAL],
};

/// Source: `p4d-24xl-topo.xml` in Amazon's `aws-ofi-nccl`, and "Amazon EC2 P4 Instances" (8 A100 40 GB, 96 CPUs of Xeon
/// Platinum 8275CL, 4 Elastic Fabric Adapters of 100 Gb/s); names of adapters as rdma-core makes them of their addresses.
pub(super) const P4D_24XLARGE: Layout = Layout {
    product: "AWS p4d.24xlarge",
    summary: "virtual machine: 8 A100 40 GB on 6 NVSwitches, 2 Xeon Platinum 8275CL, 4 100 Gb/s EFA",
    cpu: Cpu {
        model: "Intel(R) Xeon(R) Platinum 8275CL CPU @ 3.00GHz",
        packages: 2,
        cores: 24,
        threads: 2,
        nodes: 1,
        memory_gib: None,
        distances: (10, 21),
    },
    gpu: GpuModel { name: "NVIDIA A100-SXM4-40GB", memory_mib: 40_960 },
    pcie: 3,
    bridges: &[
        Bridge {
            node: 0,
            below: &[Switch(&[
                Gpu(0, slot(0x10, 0x1c)),
                Gpu(1, slot(0x10, 0x1d)),
                Named("rdmap16s27", 100, slot(0x10, 0x1b)),
            ])],
        },
        Bridge {
            node: 0,
            below: &[Switch(&[
                Gpu(2, slot(0x20, 0x1c)),
                Gpu(3, slot(0x20, 0x1d)),
                Named("rdmap32s27", 100, slot(0x20, 0x1b)),
            ])],
        },
        Bridge {
            node: 1,
            below: &[Switch(&[
                Gpu(4, slot(0x90, 0x1c)),
                Gpu(5, slot(0x90, 0x1d)),
                Named("rdmap144s27", 100, slot(0x90, 0x1b)),
            ])],
        },
        Bridge {
            node: 1,
            below: &[Switch(&[
                Gpu(6, slot(0xa0, 0x1c)),
                Gpu(7, slot(0xa0, 0x1d)),
                Named("rdmap160s27", 100, slot(0xa0, 0x1b)),
            ])],
        },
    ],
    nvlink: Nvlink::Switched {
        generation: 3,
        links: &[2, 2, 2, 2, 2, 2],
        boards: &[Board { gpus: (0, 8), switches: &[] }],
        trunk: 0,
    },
    coherent: &[],
    remarks: &[HIDDEN, USUAL],
};
