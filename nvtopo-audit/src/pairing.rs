//! RDMA adapters, and which of them belongs to which GPU: a maximum matching over those below the same PCIe switches.

use crate::evidence::{Evidence, NODE};
use crate::finding::Verdicts;
use crate::reading::ports::{self, Ports};
use nvtopo::model::{LinkKind, Nic};
use nvtopo::{PathType, Topology};

/// An RDMA adapter by its position among the devices.
pub(crate) fn nic(topology: &Topology, position: usize) -> Option<&Nic> {
    topology.node(*topology.devices().get(position)?).kind.as_nic()
}

/// Returns the positions of the adapters that do RDMA: those with an RDMA device, or, where no source names such devices,
/// those whose model or class says so. Ports that manage NVSwitches are left out when a machine is read.
pub(crate) fn rdma_nics(evidence: &Evidence<'_>) -> Vec<usize> {
    let topology = evidence.topology;
    let all = topology.gpus().len()..topology.devices().len();
    let named = |position: &usize| nic(topology, *position).is_some_and(|nic| nic.rdma_device.is_some());
    let by_name: Vec<usize> = all.clone().filter(named).collect();
    if !by_name.is_empty() {
        return by_name;
    }
    all.filter(|position| nic(topology, *position).is_some_and(does_rdma)).collect()
}

/// Returns true where there is no adapter that does RDMA, or none is known. The reason is then a verdict.
pub(crate) fn has_no_adapters(evidence: &Evidence<'_>, verdicts: &mut Verdicts) -> bool {
    if !rdma_nics(evidence).is_empty() {
        return false;
    }
    let lists_others = evidence.lists_pci() || evidence.topology.nics().len() > 0;
    match ports::ports(evidence) {
        Ports::Known(_) if !lists_others => verdicts.unknown(NODE, "no source places its RDMA devices"),
        Ports::Unknown if !lists_others => verdicts.unknown(NODE, "no source lists RDMA adapters"),
        _ => verdicts.not_applicable(NODE, "there is no RDMA adapter"),
    }
    true
}

/// The makers of adapters that all do RDMA, and words in the names of such adapters.
pub(crate) const MELLANOX: u16 = 0x15b3;
const MODELS: [&str; 5] = ["ConnectX", "BlueField", "Elastic Fabric Adapter", "Omni-Path", "Connect-IB"];

/// The class of InfiniBand controllers.
const INFINIBAND: u32 = 0x0207;

fn does_rdma(nic: &Nic) -> bool {
    let model = nic.model.as_deref().unwrap_or_default();
    nic.pci.vendor == Some(MELLANOX)
        || nic.pci.class.is_some_and(|class| class >> 8 == INFINIBAND)
        || MODELS.iter().any(|word| model.contains(word))
}

/// The adapters of the GPUs of a machine.
pub(crate) struct Pairing {
    /// The adapters that do RDMA.
    pub(crate) nics: Vec<usize>,
    /// For each GPU the adapters below the same switches, the nearest first.
    pub(crate) near: Vec<Vec<usize>>,
    /// For each GPU the adapter that is its alone.
    pub(crate) own: Vec<Option<usize>>,
}

/// Returns the farthest path that counts as "below the same switches". A GPU whose memory the CPU reaches over NVLink-C2C
/// shares no switch with an adapter, by design: there it is the NUMA node.
pub(crate) fn farthest(topology: &Topology, gpu: usize) -> PathType {
    let id = topology.devices()[gpu];
    let has_c2c = topology.links_of(id).any(|(_, link)| link.kind == LinkKind::C2c);
    if has_c2c { PathType::Node } else { PathType::Pxb }
}

/// Pairs GPUs with adapters.
pub(crate) fn pairing(evidence: &Evidence<'_>) -> Pairing {
    let topology = evidence.topology;
    let nics = rdma_nics(evidence);
    let near = |gpu: usize| {
        let path = |nic: &usize| topology.pairs().pair(gpu, *nic).path;
        let farthest = farthest(topology, gpu);
        let mut near: Vec<usize> =
            nics.iter().copied().filter(|nic| path(nic).is_some_and(|path| path <= farthest)).collect();
        // The faster of adapters that are as near is the one for the GPU.
        let rate = |nic: usize| self::nic(topology, nic).and_then(|nic| nic.rate);
        near.sort_by_key(|nic| (path(nic), std::cmp::Reverse(rate(*nic))));
        near
    };
    let near: Vec<Vec<usize>> = (0..topology.gpus().len()).map(near).collect();
    let own = matching(&near, topology.devices().len());
    Pairing { nics, near, own }
}

/// Returns a maximum matching of rows to columns, by augmenting paths (Kuhn).
fn matching(rows: &[Vec<usize>], columns: usize) -> Vec<Option<usize>> {
    let mut taken: Vec<Option<usize>> = vec![None; columns];
    for row in 0..rows.len() {
        augment(rows, row, &mut taken, &mut vec![false; columns]);
    }
    let mut own = vec![None; rows.len()];
    for (column, row) in taken.iter().enumerate() {
        if let Some(row) = row {
            own[*row] = Some(column);
        }
    }
    own
}

fn augment(rows: &[Vec<usize>], row: usize, taken: &mut [Option<usize>], seen: &mut [bool]) -> bool {
    if let Some(free) = rows[row].iter().find(|column| taken[**column].is_none()) {
        taken[*free] = Some(row);
        return true;
    }
    for column in &rows[row] {
        if std::mem::replace(&mut seen[*column], true) {
            continue;
        }
        if taken[*column].is_none_or(|other| augment(rows, other, taken, seen)) {
            taken[*column] = Some(row);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_moves_for_another() {
        assert_eq!(matching(&[vec![0, 1], vec![0]], 2), [Some(1), Some(0)]);
        assert_eq!(matching(&[vec![0], vec![0]], 1), [Some(0), None]);
        assert_eq!(matching(&[vec![], vec![1]], 2), [None, Some(1)]);
    }
}
