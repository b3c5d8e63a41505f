//! Machines whose GPUs are linked in pairs.

use nvtopo::Topology;
use nvtopo::model::{Fragment, Gpu, NodeId, NodeKind, Provenance, TopologyBuilder, rates};

/// Two GPUs for each pair of NVLinks, at addresses that start with `bus`, in the order of `indices`.
pub(crate) fn pairs(bus: u8, indices: &[u32]) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let gpu = |index: &u32| {
        let address = format!("{bus:02x}:{index:02x}.0").parse().ok();
        NodeKind::Gpu(Box::new(fact!(Gpu::new(*index), address = address)))
    };
    let ids: Vec<NodeId> = indices.iter().map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
    for pair in ids.chunks_exact(2) {
        fragment.link(pair[0], pair[1], rates::nvlink(3, 4));
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}
