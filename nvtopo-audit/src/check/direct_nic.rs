//! Boards with Direct NIC (ConnectX-8 Data Direct beside Grace): the adapter's DMA function shares a switch with the GPU,
//! and the adapter itself meets the GPU at the CPU. There the ports have to redirect in a way of their own.
//!
//! Source: rdma-core, `kernel-boot/rdma_topo`.

use crate::evidence::Evidence;
use crate::finding::Verdicts;
use crate::reading::pci::Pci;
use nvtopo::PciAddress;
use nvtopo::model::Stated;

/// The bits of access control services of a port that have to be on, and those that have to be off.
#[derive(Clone, Copy)]
struct Bits {
    on: u16,
    off: u16,
}

const SOURCE_VALIDATION: u16 = 1;
const REQUESTS: u16 = 1 << 2;
const COMPLETIONS: u16 = 1 << 3;
const UPSTREAM: u16 = 1 << 4;

/// The names of bits, as lspci prints them.
const NAMES: [(u16, &str); 4] = [
    (SOURCE_VALIDATION, "SrcValid"),
    (REQUESTS, "ReqRedir"),
    (COMPLETIONS, "CmpltRedir"),
    (UPSTREAM, "UpstreamFwd"),
];

/// The port towards the DMA function.
const TO_NIC: Bits = Bits { on: UPSTREAM | COMPLETIONS | SOURCE_VALIDATION, off: REQUESTS };

/// The port towards the GPU.
const TO_GPU: Bits = Bits { on: UPSTREAM | REQUESTS | SOURCE_VALIDATION, off: COMPLETIONS };

/// The root port: without source validation, so that all below is one IOMMU group.
const ROOT: Bits = Bits { on: UPSTREAM | COMPLETIONS | REQUESTS, off: SOURCE_VALIDATION };

impl Bits {
    /// Returns the names of bits that are other than they have to be, with their signs.
    fn wrong(self, control: u16) -> Vec<String> {
        let named = |bits: u16, sign: char| {
            NAMES.iter().filter(move |(bit, _)| bits & bit != 0).map(move |(_, name)| format!("{name}{sign}"))
        };
        named(self.on & !control, '-').chain(named(self.off & control, '+')).collect()
    }
}

/// A GPU and the DMA function that shares a switch with it.
pub(super) struct Board {
    pub(super) gpu: PciAddress,
    dma: PciAddress,
    ports: [(&'static str, PciAddress, Bits); 3],
}

/// Returns the GPUs that share a switch with a DMA function.
pub(super) fn boards(evidence: &Evidence<'_>, pci: &Pci<'_>) -> Vec<Board> {
    let mut boards = Vec::new();
    for dma in pci.data_direct() {
        let to_dma = pci.above(dma);
        for gpu in evidence.gpus().filter_map(|(_, _, gpu)| gpu.address) {
            let to_gpu = pci.above(gpu);
            // The bridge at which the two meet, and the ports just below it.
            let Some(at) = to_dma.iter().position(|bridge| to_gpu.contains(bridge)) else { continue };
            let below = |chain: &[PciAddress], bridge: PciAddress| {
                let at = chain.iter().position(|own| *own == bridge)?;
                chain.get(at.checked_sub(1)?).copied()
            };
            let ports = below(&to_dma, to_dma[at]).zip(below(&to_gpu, to_dma[at]));
            if let (Some((nic_port, gpu_port)), Some(root)) = (ports, to_dma.last()) {
                let ports = [
                    ("port towards the adapter", nic_port, TO_NIC),
                    ("port towards the GPU", gpu_port, TO_GPU),
                    ("root port", *root, ROOT),
                ];
                boards.push(Board { gpu, dma, ports });
            }
        }
    }
    boards
}

impl Board {
    /// Judges the ports of the board.
    pub(super) fn judge(&self, pci: &Pci<'_>, name: &str, verdicts: &mut Verdicts) {
        let mut hidden = false;
        for (which, port, bits) in self.ports {
            let control = match pci.acs(port) {
                Stated::Known(control) => control,
                // A port without ACS has no bit on.
                Stated::NotAvailable => 0,
                Stated::Unstated | Stated::Unreadable => {
                    hidden = true;
                    continue;
                }
            };
            let wrong = bits.wrong(control);
            if !wrong.is_empty() {
                let text =
                    format!("the {which} ({port}) has {}, and Direct NIC needs the reverse", wrong.join(" "));
                verdicts.fail(name, text);
                return;
            }
        }
        let groups = (pci.iommu_group(self.gpu), pci.iommu_group(self.dma));
        match groups {
            _ if hidden => {
                verdicts.unknown(name, "the ACS bits of its Direct NIC's ports are hidden from this reader");
            }
            (Some(gpu), Some(nic)) if gpu != nic => {
                let text = format!(
                    "it is in IOMMU group {gpu} and its Direct NIC's DMA function in {nic}, not in one"
                );
                verdicts.fail(name, text);
            }
            _ => verdicts.pass(
                name,
                format!("the ports between it and its Direct NIC ({}) redirect as they have to", self.dma),
            ),
        }
    }
}
