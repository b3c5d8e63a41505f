//! Notes on GPUs that several sources draw alike: MIG modes, and NVLink fabrics that are not ready.

use crate::model::{Fabric, FabricFault, FabricState, Fragment, Gpu, NodeId, NodeKind, NoteKind};
use crate::units::several;
use std::collections::BTreeSet;

/// The sign of a fabric that is not ready.
type Sign = fn(&Fabric) -> bool;

/// The notes on GPUs that are not part of their fabric. Source of the error: CUDA's `CUDA_ERROR_SYSTEM_NOT_READY`.
const FABRIC_NOTES: [(Sign, &str); 3] = [
    (
        |fabric| fabric.state == FabricState::NotStarted,
        "its registration with the NVLink fabric has not begun, so that NVLinks cannot be used, and CUDA may not start at all \
         (error 802); is the fabric manager running?",
    ),
    (
        |fabric| fabric.state == FabricState::InProgress,
        "its registration with the NVLink fabric is in progress; until it ends NVLinks cannot be used, and CUDA may not start \
         at all (error 802)",
    ),
    (
        |fabric| fabric.state == FabricState::Completed && fabric.is_up() == Some(false),
        "its registration with the NVLink fabric failed, so that NVLinks cannot be used",
    ),
];

/// Notes the GPUs that are not part of their NVLink fabric, and the faults of others in theirs.
pub(super) fn note_fabric(fragment: &mut Fragment) {
    let of = |gpu: &Gpu, is: &dyn Fn(&Fabric) -> bool| gpu.fabric.as_ref().is_some_and(is);
    for (is, text) in FABRIC_NOTES {
        let gpus = which(fragment, |_, gpu| of(gpu, &is));
        note(fragment, &gpus, text);
    }
    let gpus = fragment.nodes.iter().filter_map(|node| node.kind.as_gpu());
    let faults: BTreeSet<FabricFault> =
        gpus.flat_map(|gpu| gpu.fabric.iter().flat_map(Fabric::faults)).collect();
    for fault in faults {
        let rule = if fault.excludes() {
            "such GPUs are not chosen together with others unless named"
        } else {
            "such GPUs are chosen last"
        };
        let gpus = which(fragment, |_, gpu| of(gpu, &|fabric| fabric.faults().contains(&fault)));
        note(fragment, &gpus, &format!("{fault}; {rule}"));
    }
}

/// Notes MIG modes that have no instance, or will change.
pub(super) fn note_mig(fragment: &mut Fragment) {
    let instances = fragment.nodes.iter().filter(|node| matches!(node.kind, NodeKind::GpuInstance(_)));
    let divided: BTreeSet<NodeId> = instances.filter_map(|node| node.parent).collect();
    let mig = |gpu: &Gpu| gpu.mig.unwrap_or_default();
    let empty = which(fragment, |id, gpu| mig(gpu).current && !divided.contains(&id));
    note(fragment, &empty, "MIG is enabled, and there is no instance that a job could use");
    let changing = which(fragment, |_, gpu| mig(gpu).current != mig(gpu).pending);
    note(fragment, &changing, "its MIG mode changes with its next reset");
}

/// Returns the indices of the GPUs of which something is true.
fn which(fragment: &Fragment, is: impl Fn(NodeId, &Gpu) -> bool) -> BTreeSet<u32> {
    let nodes = (0..).map(NodeId).zip(&fragment.nodes);
    let gpus = nodes.filter_map(|(id, node)| Some((id, node.kind.as_gpu()?)));
    gpus.filter(|(id, gpu)| is(*id, gpu)).map(|(_, gpu)| gpu.index).collect()
}

fn note(fragment: &mut Fragment, gpus: &BTreeSet<u32>, text: &str) {
    if !gpus.is_empty() {
        let names: Vec<String> = gpus.iter().map(|index| format!("GPU{index}")).collect();
        fragment.note(NoteKind::Unknown, format!("{}: {text}", several(&names)));
    }
}
