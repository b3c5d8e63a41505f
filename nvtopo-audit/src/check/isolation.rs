//! Obstacles between a GPU and its network adapter (access control services, the IOMMU), the modules and drivers that
//! `GPUDirect` RDMA needs, and what keeps tenants apart.

use super::{Check, Theme, direct_nic};
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Verdicts};
use crate::pairing::{has_no_adapters, nic, pairing, rdma_nics};
use crate::process;
use crate::reading::host;
use crate::reading::pci::Pci;
use nvtopo::model::{NodeKind, PciFacts, Stated};
use nvtopo::{Bytes, PciAddress};

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "acs-on-p2p-path",
        theme: Theme::Isolation,
        severity: Severity::Warning,
        claim: "No PCIe port between a GPU and its RDMA adapter redirects what they exchange.",
        evidence: "The control bits of access control services (ACS) of the ports below the switch at which the two meet: from \
                   config as root, or lspci -vvv as root. On boards with Direct NIC, those of the ports towards the GPU and the \
                   adapter's DMA function, and of the root port.",
        rule: "Fails where a port between the two has ReqRedir, CmpltRedir or UpstreamFwd; SrcValid alone and ports elsewhere do \
               not matter. On boards with Direct NIC the bits must be those that rdma_topo asks for, and the two in one IOMMU \
               group. Unknown where the bits are hidden, and in a virtual machine. Does not apply where the two meet at the \
               CPU only, nor where the profile passes GPUs to virtual machines, which need ACS.",
        remedy: "Switch ACS off on these ports, in the BIOS or with setpci at each start. With Direct NIC, run rdma_topo \
                 write-grub-acs and restart.",
        source: "PCI Express base specification, ACS extended capability; rdma-core, kernel-boot/rdma_topo",
        run: acs,
    },
    Check {
        code: "iommu-mode",
        theme: Theme::Isolation,
        severity: Severity::Warning,
        claim: "The IOMMU does not translate what GPUs and RDMA adapters exchange.",
        evidence: "The type of each device's IOMMU group, else iommu= on the kernel's command line.",
        rule: "Passes for identity (passed through) and where no IOMMU stands before the device. Warns for DMA and DMA-FQ. \
               Unknown in a virtual machine. Does not apply where the profile says that GPUs go to virtual machines.",
        remedy: "Boot with iommu=pt.",
        source: "Linux, sysfs-kernel-iommu_groups and kernel-parameters (iommu=)",
        run: iommu,
    },
    Check {
        code: "gpudirect-module",
        theme: Theme::Isolation,
        severity: Severity::Critical,
        claim: "RDMA adapters can reach the memory of GPUs (GPUDirect RDMA).",
        evidence: "The kernel's release and whether the driver is NVIDIA's open kernel module (DMA-BUF); the modules \
                   nvidia_peermem and nv_peer_mem; the kernel's log; the file p2p of Amazon's EFA adapters.",
        rule: "Passes with DMA-BUF (Linux 5.12 and the open kernel module, whose drivers all have CUDA 11.7), and with Amazon's \
               EFA adapters whose driver has peer memory itself. Warns with a peer memory module and no DMA-BUF, and where \
               nvidia-peermem logged an invalid context. Fails with neither. Unknown where the kernel's release or the driver's \
               kind is not told. Does not apply without RDMA adapters beside a GPU.",
        remedy: "Install the open kernel modules; else load nvidia_peermem.",
        source: "NVIDIA, GPU Operator: GPUDirect RDMA; amzn/amzn-drivers, efa_sysfs.c",
        run: gpudirect,
    },
    Check {
        code: "gdrcopy",
        theme: Theme::Isolation,
        severity: Severity::Info,
        claim: "GDRCopy is there where it is wanted.",
        evidence: "The kernel module gdrdrv.",
        rule: "Passes where it is loaded. Fails where the profile asks for it (gdrcopy = true) and it is not. Does not apply \
               where it is not loaded and the profile does not ask for it.",
        remedy: "Install GDRCopy, and load gdrdrv.",
        source: "NVIDIA/gdrcopy; NVIDIA/gpu-operator, cmd/nvidia-validator",
        run: gdrcopy,
    },
    Check {
        code: "gpu-driver-binding",
        theme: Theme::Isolation,
        severity: Severity::Critical,
        claim: "NVIDIA's driver runs every GPU, or vfio-pci does by intent.",
        evidence: "The driver of each GPU's PCI function (the link driver, lspci -k).",
        rule: "Fails for a GPU that another driver runs, or none. A driver for virtual machines passes where the profile says \
               that GPUs go to them (passthrough = true).",
        remedy: "Bind the GPU to the driver: driverctl unset-override, or take vfio-pci.ids off the kernel's command line.",
        source: "Linux, sysfs-bus-pci (driver_override); NVIDIA/gpu-operator, vfio-manager",
        run: binding,
    },
    Check {
        code: "sriov-state",
        theme: Theme::Isolation,
        severity: Severity::Warning,
        claim: "RDMA adapters have as many virtual functions as are wanted, and each has a driver.",
        evidence: "sriov_numvfs and sriov_totalvfs of each adapter, and the links virtfn* (lspci -vvv: Number of VFs).",
        rule: "Fails where fewer are enabled than the profile asks for (virtual-functions); 0 in all means that the firmware has \
               SR-IOV off. Warns where an enabled function has no driver. Does not apply to adapters without any, unless the \
               profile asks for some.",
        remedy: "Enable SR-IOV in the firmware (mlxconfig SRIOV_EN=1), write sriov_numvfs, or mend the operator's policy.",
        source: "Linux, sysfs-bus-pci (sriov_numvfs); k8snetworkplumbingwg/sriov-network-operator",
        run: sriov,
    },
    Check {
        code: "rdma-netns-mode",
        theme: Theme::Isolation,
        severity: Severity::Warning,
        claim: "Tenants do not see each other's RDMA devices.",
        evidence: "The parameter netns_mode of ib_core (rdma system).",
        rule: "Passes where RDMA devices belong to one network namespace each (exclusive). Warns where all namespaces share them \
               although the profile says that there are tenants (tenants = true), or virtual functions are enabled. Does not \
               apply otherwise.",
        remedy: "Run rdma system set netns exclusive before any namespace is made, or set ib_core.netns_mode=0.",
        source: "iproute2, rdma-system(8); Linux, ib_core",
        run: netns,
    },
    Check {
        code: "rdma-memlock",
        theme: Theme::Isolation,
        severity: Severity::Warning,
        claim: "Processes that use RDMA may lock memory.",
        evidence: "Max locked memory of proc/PID/limits, and the capability CAP_IPC_LOCK; saved output of ulimit -a.",
        rule: "Warns below 1 GiB: adapters only use memory that is locked. Does not apply without RDMA adapters.",
        remedy: "Set LimitMEMLOCK=infinity for the container runtime, or the limit memlock of users to unlimited.",
        source: "Linux, ib_umem_get; NVIDIA/nvidia-container-toolkit, issue 2037; Open MPI, FAQ on OpenFabrics",
        run: memlock,
    },
];

/// The reason why a virtual machine's ports and IOMMU say nothing.
const IS_VIRTUAL: &str = "in a virtual machine, which does not see the real ports and IOMMU";

/// The reason why isolation is wanted.
const FOR_GUESTS: &str = "the profile says that GPUs go to virtual machines, which need it";

fn acs(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let topology = evidence.topology;
    let pci = Pci::of(evidence);
    let boards = direct_nic::boards(evidence, &pci);
    let is_virtual = pci.is_virtual() == Some(true);
    let pairing = pairing(evidence);
    if evidence.has_no_gpus(verdicts) || boards.is_empty() && has_no_adapters(evidence, verdicts) {
        return;
    }
    for (gpu, id, facts) in evidence.gpus() {
        let name = facts.name();
        if is_virtual {
            verdicts.unknown(name, IS_VIRTUAL);
        } else if evidence.profile.expect.passthrough == Some(true) {
            verdicts.not_applicable(name, FOR_GUESTS);
        } else if let Some(board) = boards.iter().find(|board| Some(board.gpu) == facts.address) {
            board.judge(&pci, &name, verdicts);
        } else if let Some(own) = pairing.own[gpu].or(pairing.near[gpu].first().copied()) {
            let adapter = topology.device_name(own);
            match topology.redirected(id, topology.devices()[own]) {
                Some(true) => {
                    let ports =
                        redirecting(&pci, facts.address, nic(topology, own).and_then(|nic| nic.address));
                    let text = match ports.as_slice() {
                        [] => format!("a port between it and {adapter} redirects"),
                        [port] => format!("port {port} between it and {adapter} redirects"),
                        [first, second, ..] => {
                            format!("ports {first} and {second} between it and {adapter} redirect")
                        }
                    };
                    verdicts.fail(name, format!("{text} their traffic to the CPU (ACS)"));
                }
                Some(false) => verdicts.pass(name, format!("no port between it and {adapter} redirects")),
                None if meets_at_switch(evidence, gpu, own) => {
                    verdicts.unknown(
                        name,
                        format!("whether ports between it and {adapter} redirect is hidden from this reader"),
                    );
                }
                None => verdicts.not_applicable(name, format!("it meets {adapter} at the CPU only")),
            }
        } else if pairing.nics.iter().any(|nic| topology.pairs().pair(gpu, *nic).path.is_none()) {
            verdicts.unknown(name, "no source tells its paths to RDMA adapters");
        } else {
            verdicts.not_applicable(name, "it meets RDMA adapters at the CPU only");
        }
    }
}

/// The bits of access control services that redirect: `ReqRedir`, `CmpltRedir` and `UpstreamFwd`.
const REDIRECTS: u16 = 0x1c;

/// Returns the ports at the switch at which two devices meet that redirect what the devices exchange.
fn redirecting(pci: &Pci<'_>, a: Option<PciAddress>, b: Option<PciAddress>) -> Vec<PciAddress> {
    let [a, b] = [a, b].map(|address| address.map(|own| pci.above(own)).unwrap_or_default());
    let last = |own: &[PciAddress], other: &[PciAddress]| {
        own.iter().copied().take_while(|port| !other.contains(port)).last()
    };
    let redirects =
        |port: &PciAddress| matches!(pci.acs(*port), Stated::Known(control) if control & REDIRECTS != 0);
    [last(&a, &b), last(&b, &a)].into_iter().flatten().filter(redirects).collect()
}

/// Returns whether two devices meet at a PCIe switch, by the graph or by the class of their path.
fn meets_at_switch(evidence: &Evidence<'_>, a: usize, b: usize) -> bool {
    let path = evidence.topology.pairs().pair(a, b).path;
    path.is_none_or(|path| path <= nvtopo::PathType::Pxb)
}

/// Returns the GPUs and RDMA adapters by name, with their facts of the bus.
fn devices<'e>(evidence: &'e Evidence<'_>) -> impl Iterator<Item = (String, &'e PciFacts)> {
    let topology = evidence.topology;
    let positions = (0..topology.gpus().len()).chain(rdma_nics(evidence));
    positions.filter_map(|position| match &topology.node(topology.devices()[position]).kind {
        NodeKind::Gpu(gpu) => Some((topology.device_name(position), &gpu.pci)),
        NodeKind::Nic(nic) => Some((topology.device_name(position), &nic.pci)),
        _ => None,
    })
}

fn iommu(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let is_virtual = Pci::of(evidence).is_virtual() == Some(true);
    let command_line = host::command_line(evidence);
    let has = |words: &[&str]| {
        command_line.known().is_some_and(|line| line.split_whitespace().any(|word| words.contains(&word)))
    };
    let by_command_line = || match () {
        () if has(&["iommu=off", "intel_iommu=off", "amd_iommu=off"]) => Some("off"),
        () if has(&["iommu=pt", "iommu.passthrough=1"]) => Some("identity"),
        () => None,
    };
    if devices(evidence).next().is_none() {
        evidence.has_no_gpus(verdicts);
    }
    for (name, pci) in devices(evidence) {
        if is_virtual {
            verdicts.unknown(name, IS_VIRTUAL);
            continue;
        }
        if evidence.profile.expect.passthrough == Some(true) {
            verdicts.not_applicable(name, FOR_GUESTS);
            continue;
        }
        match pci.iommu_mode.as_deref().or_else(by_command_line) {
            Some("off") => verdicts.pass(name, "no IOMMU stands before it"),
            Some("identity") => verdicts.pass(name, "the IOMMU passes it through (identity)"),
            Some(mode @ ("DMA" | "DMA-FQ")) => {
                verdicts.warn(
                    name,
                    format!("the IOMMU translates its addresses ({mode}), and identity was expected"),
                );
            }
            Some(mode) => {
                verdicts.unknown(name, format!("its IOMMU mode is {mode}, which says nothing known"));
            }
            None => verdicts.unknown(name, "no source tells its IOMMU mode"),
        }
    }
}

/// The first kernel with DMA-BUF for RDMA.
const DMA_BUF: (u32, u32) = (5, 12);

fn gpudirect(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let topology = evidence.topology;
    let nics = rdma_nics(evidence);
    let kernel = host::kernel(evidence);
    let driver = host::driver_line(evidence);
    let modules = ["nvidia_peermem", "nv_peer_mem"].map(|name| (name, host::has_module(evidence, name)));
    let by_efa = nics.iter().find_map(|position| {
        let rdma = nic(topology, *position)?.rdma_device.as_ref()?;
        evidence
            .text(&format!("sys/class/infiniband/{rdma}/device/p2p"))
            .known()
            .filter(|own| !own.is_empty())
            .cloned()
    });
    if evidence.has_no_gpus(verdicts) || has_no_adapters(evidence, verdicts) {
        return;
    }
    let is_open = match &driver {
        Stated::Known(line) => Some(line.contains("Open Kernel Module")),
        Stated::NotAvailable => Some(false),
        Stated::Unstated | Stated::Unreadable => None,
    };
    let dma_buf = match (kernel.map(|own| own >= DMA_BUF), is_open) {
        (Some(true), Some(true)) => Some(true),
        (Some(false), _) | (_, Some(false)) => Some(false),
        _ => None,
    };
    let loaded = modules.iter().find(|(_, loaded)| *loaded == Some(true)).map(|(name, _)| *name);
    let complaint = host::lines(evidence).find(|line| {
        (line.contains("nvidia-peermem") || line.contains("nvidia_peermem"))
            && line.contains("detected invalid context")
    });
    match (dma_buf, loaded) {
        (_, Some(_)) if complaint.is_some() => {
            verdicts.warn(NODE, "nvidia-peermem logged an invalid context, so transfers were cut off");
        }
        (Some(true), _) => verdicts.pass(NODE, "by DMA-BUF: the kernel and the open kernel module have it"),
        (Some(false), Some(module)) => {
            verdicts.warn(NODE, format!("by {module} only; DMA-BUF is what NVIDIA advises"));
        }
        (None, Some(module)) => verdicts.unknown(
            NODE,
            format!("{module} is loaded; no source tells whether kernel and driver have DMA-BUF, too"),
        ),
        (_, None) if by_efa.is_some() => {
            verdicts.pass(NODE, format!("by the EFA driver itself ({})", by_efa.unwrap_or_default()));
        }
        (Some(false), None) if modules.iter().all(|(_, loaded)| *loaded == Some(false)) => {
            let why = match (&driver, kernel) {
                (Stated::NotAvailable, _) => "NVIDIA's driver is not loaded".to_owned(),
                (_, Some((major, minor))) if (major, minor) < DMA_BUF => {
                    format!(
                        "Linux {major}.{minor} has no DMA-BUF for RDMA, and no peer memory module is loaded"
                    )
                }
                _ => {
                    "the driver is not the open kernel module, and no peer memory module is loaded".to_owned()
                }
            };
            verdicts.fail(NODE, why);
        }
        _ => verdicts.unknown(NODE, "not enough is told of the kernel, its modules and the driver"),
    }
}

fn gdrcopy(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let is_wanted = evidence.profile.expect.gdrcopy == Some(true);
    match host::has_module(evidence, "gdrdrv") {
        Some(true) => verdicts.pass(NODE, "gdrdrv is loaded"),
        Some(false) if is_wanted => verdicts.fail(NODE, "gdrdrv is not loaded, and the profile asks for it"),
        None if is_wanted => verdicts.unknown(NODE, "no source tells the kernel's modules"),
        _ => verdicts.not_applicable(NODE, "nobody asks for it"),
    }
}

/// Drivers that hold a GPU for virtual machines.
const GUEST_DRIVERS: [&str; 4] = ["vfio-pci", "nvgrace-gpu-vfio-pci", "pci-stub", "xen-pciback"];

fn binding(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let pci = Pci::of(evidence);
    for (_, _, gpu) in evidence.gpus().filter(|(_, _, gpu)| gpu.address.is_none()) {
        verdicts.unknown(gpu.name(), "no source tells its PCI address, by which its driver would be found");
    }
    if pci.gpus().is_empty() {
        evidence.has_no_gpus(verdicts);
    }
    for address in pci.gpus() {
        let own = evidence.gpus().find(|(_, _, gpu)| gpu.address == Some(address));
        let name = own.map_or_else(|| address.to_string(), |(_, _, gpu)| gpu.name());
        let passthrough = evidence.profile.expect.passthrough == Some(true);
        match pci.driver(address) {
            Stated::Known(driver) if driver == "nvidia" => verdicts.pass(name, "NVIDIA's driver runs it"),
            Stated::Known(driver) if GUEST_DRIVERS.contains(&driver.as_str()) => {
                if passthrough {
                    verdicts
                        .pass(name, format!("{driver} holds it for virtual machines, as the profile says"));
                } else {
                    verdicts.fail(
                        name,
                        format!("{driver} holds it for virtual machines, and nvidia was expected"),
                    );
                }
            }
            Stated::Known(driver) => {
                verdicts.fail(name, format!("{driver} runs it, and nvidia was expected"));
            }
            Stated::NotAvailable => verdicts.fail(name, "no driver runs it, and nvidia was expected"),
            Stated::Unstated if in_drivers_list(evidence, address) => {
                verdicts.pass(name, "NVIDIA's driver lists it");
            }
            Stated::Unstated | Stated::Unreadable => verdicts.unknown(name, "no source tells its driver"),
        }
    }
}

/// Returns whether the driver itself lists a GPU.
fn in_drivers_list(evidence: &Evidence<'_>, address: PciAddress) -> bool {
    let names = evidence.names("proc/driver/nvidia/gpus");
    names.iter().any(|name| name.parse().is_ok_and(|own: PciAddress| own == address))
}

fn sriov(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let topology = evidence.topology;
    let wanted = evidence.profile.expect.virtual_functions;
    has_no_adapters(evidence, verdicts);
    for position in rdma_nics(evidence) {
        let Some(nic) = nic(topology, position) else { continue };
        let name = topology.device_name(position);
        let folder = nic.address.map(|address| format!("sys/bus/pci/devices/{address}"));
        let Some(functions) = nic.pci.virtual_functions else {
            let is_shown =
                folder.is_some_and(|own| evidence.text(&format!("{own}/vendor")).known().is_some());
            match wanted.filter(|wanted| *wanted > 0) {
                None if is_shown => verdicts.not_applicable(name, "it has no virtual functions, and nobody asks"),
                Some(wanted) if is_shown => verdicts.fail(
                    name,
                    format!("it has no virtual functions, as the firmware has SR-IOV off, and {wanted} were expected"),
                ),
                _ => verdicts.unknown(name, "no source tells its virtual functions"),
            }
            continue;
        };
        let (enabled, total) = (functions.enabled, functions.total);
        let idle = folder.map_or(0, |folder| without_driver(evidence, &folder));
        match wanted {
            Some(wanted) if enabled < wanted && total == 0 => verdicts.fail(
                name,
                format!("its firmware has SR-IOV off (0 virtual functions), and {wanted} were expected"),
            ),
            Some(wanted) if enabled < wanted => {
                verdicts.fail(
                    name,
                    format!("{enabled} of {total} virtual functions are enabled, and {wanted} were expected"),
                );
            }
            _ if idle > 0 => {
                verdicts.warn(name, format!("{idle} of {enabled} virtual functions have no driver"));
            }
            None if enabled == 0 => {
                verdicts.not_applicable(
                    name,
                    format!("none of its {total} virtual functions is enabled, and nobody asks"),
                );
            }
            _ => verdicts.pass(name, format!("{enabled} of {total} virtual functions are enabled")),
        }
    }
}

/// Returns the number of virtual functions that no driver runs.
fn without_driver(evidence: &Evidence<'_>, folder: &str) -> usize {
    let names = evidence.names(folder);
    let functions = names.iter().filter(|name| name.starts_with("virtfn"));
    let addresses = functions.filter_map(|name| {
        let target = evidence.link(&format!("{folder}/{name}"))?;
        target.rsplit('/').next()?.parse::<PciAddress>().ok()
    });
    let link =
        |address: PciAddress, name: &str| evidence.link(&format!("sys/bus/pci/devices/{address}/{name}"));
    // A copy without links says nothing.
    let idle = |own: &PciAddress| link(*own, "driver").is_none() && link(*own, "subsystem").is_some();
    addresses.filter(idle).count()
}

fn netns(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let topology = evidence.topology;
    let told = evidence.text("sys/module/ib_core/parameters/netns_mode");
    // `rdma system` prints `netns shared copy-on-fork on`.
    let saved =
        || host::lines(evidence).find_map(|line| line.strip_prefix("netns ")?.split_whitespace().next());
    let is_shared = match told.known().map(String::as_str).or_else(saved) {
        Some("Y" | "y" | "1" | "shared") => Some(true),
        Some("N" | "n" | "0" | "exclusive") => Some(false),
        _ => None,
    };
    let nics = rdma_nics(evidence);
    if has_no_adapters(evidence, verdicts) {
        return;
    }
    let mut functions = nics.iter().filter_map(|position| nic(topology, *position)?.pci.virtual_functions);
    let has_functions = functions.any(|own| own.enabled > 0);
    let why = match evidence.profile.expect.tenants {
        Some(true) => Some("the profile says that there are tenants"),
        Some(false) => None,
        None => has_functions.then_some("virtual functions are enabled"),
    };
    match (is_shared, why) {
        (Some(false), _) => verdicts.pass(NODE, "each RDMA device belongs to one network namespace"),
        (Some(true), Some(why)) => {
            verdicts.warn(NODE, format!("all network namespaces share RDMA devices, and {why}"));
        }
        (Some(true) | None, None) => verdicts.not_applicable(NODE, "there are no tenants to keep apart"),
        (None, Some(_)) => verdicts.unknown(NODE, "no source tells the mode of RDMA devices"),
    }
}

/// The least memory that a process with RDMA should be able to lock.
const LEAST_LOCKED: u64 = 1 << 30;

fn memlock(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let folders = process::folders(evidence);
    let limits: Vec<Option<u64>> =
        folders.iter().map(|folder| process::locked_memory(evidence, folder)).collect();
    // `ulimit -a` prints `max locked memory           (kbytes, -l) unlimited`.
    let saved = || {
        let line = host::lines(evidence).find(|line| line.starts_with("max locked memory"))?;
        match line.split_whitespace().next_back()? {
            "unlimited" => Some(u64::MAX),
            kibibytes => kibibytes.parse::<u64>().ok()?.checked_mul(1024),
        }
    };
    if has_no_adapters(evidence, verdicts) {
        return;
    }
    match limits.iter().flatten().min().copied().or_else(saved) {
        Some(u64::MAX) => verdicts.pass(NODE, "any memory may be locked"),
        Some(limit) if limit < LEAST_LOCKED => {
            verdicts.warn(NODE, format!("{} may be locked, and at least 1 GiB was expected", Bytes(limit)));
        }
        Some(limit) => verdicts.pass(NODE, format!("{} may be locked", Bytes(limit))),
        None => verdicts.unknown(NODE, "no source tells the limit of locked memory"),
    }
}
