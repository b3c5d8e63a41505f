//! Peer-to-peer access between GPUs, in words.

use crate::model::{Gpu, NodeId, P2p, P2pStatus, Topology};

/// The most pairs of GPUs that are named.
const MOST_PAIRS: usize = 8;

/// What the driver allows pairs of GPUs to do with each other's memory: the pairs, and the answer in the words of
/// `nvidia-smi topo -p2p`. Pairs of which the same is true stand together.
pub(super) fn p2p(topology: &Topology) -> Vec<(String, String)> {
    let mut told: Vec<(String, Vec<String>)> = Vec::new();
    for pair in topology.all_p2p() {
        let facts = p2p_facts(pair);
        let name = |id: NodeId| topology.node(id).kind.as_gpu().map_or(String::new(), Gpu::name);
        let names = format!("{}-{}", name(pair.a), name(pair.b).trim_start_matches("GPU"));
        match told.iter_mut().find(|(own, _)| *own == facts) {
            Some((_, pairs)) => pairs.push(names),
            None => told.push((facts, vec![names])),
        }
    }
    let gpus = topology.gpus().len();
    let all = gpus * gpus.saturating_sub(1) / 2;
    let list = |pairs: Vec<String>| match pairs.len() {
        count if count == all && count > 1 => format!("all {count} pairs"),
        count if count > MOST_PAIRS => {
            format!("{} and {} more", pairs[..MOST_PAIRS].join(" "), count - MOST_PAIRS)
        }
        _ => pairs.join(" "),
    };
    told.into_iter().map(|(facts, pairs)| (list(pairs), facts)).collect()
}

fn p2p_facts(pair: &P2p) -> String {
    let questions =
        [("read", pair.read), ("write", pair.write), ("NVLink", pair.nvlink), ("atomics", pair.atomics)];
    let mut answers: Vec<(P2pStatus, Vec<&str>)> = Vec::new();
    for (question, status) in questions {
        let Some(status) = status else { continue };
        match answers.iter_mut().find(|(own, _)| *own == status) {
            Some((_, questions)) => questions.push(question),
            None => answers.push((status, vec![question])),
        }
    }
    let say = |(status, questions): (P2pStatus, Vec<&str>)| {
        let meaning = match status {
            P2pStatus::Ok => return format!("{} OK", questions.join(", ")),
            P2pStatus::ChipsetNotSupported => "the chipset does not support it",
            P2pStatus::GpuNotSupported => "the GPU does not support it",
            P2pStatus::TopologyNotSupported => "the path does not support it",
            P2pStatus::DisabledBySetting => "disabled by a setting of the driver",
            P2pStatus::NotSupported => "not supported",
            P2pStatus::Unknown => "unknown to the driver",
        };
        format!("{} {} ({meaning})", questions.join(", "), status.word())
    };
    answers.into_iter().map(say).collect::<Vec<_>>().join(" · ")
}
