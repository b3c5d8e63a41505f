//! Parts around the NVLink fabric: the fabric manager, IMEX, MIG, and the C2C links of Grace.

use super::kubernetes::{ClusterNode, node};
use crate::board::{self, Board};
use crate::evidence::{Evidence, NODE};
use crate::finding::{Status, Verdicts};
use crate::reading::growth::{growth, window_of_gpus};
use crate::reading::host::{driver_version, has_module};
use crate::reading::processes::{self, Program};
use crate::reading::{c2c, fabric_manager, imex};
use nvtopo::model::{Gpu, LinkKind, NodeKind};
use std::fmt::Write as _;

/// The NVSwitches that this machine manages.
enum Switches {
    /// There are none, for this reason.
    None(&'static str),
    /// The number of NVSwitches on the PCI bus.
    OnPci(usize),
    /// Behind management ports, of these names.
    Behind(Vec<String>),
    /// The NVLinks lead to some.
    Linked,
    /// No source tells whether there are any.
    Unknown,
}

/// The words in the vital product data of a port that manages NVSwitches.
const MANAGES: &[u8] = b"SMDL=SW_MNG";
/// The bytes of vital product data that are looked at.
const VPD: usize = 4096;

fn switches(evidence: &Evidence<'_>) -> Switches {
    let topology = evidence.topology;
    let all = topology.nodes().filter_map(|(_, node)| match &node.kind {
        NodeKind::NvSwitch(switch) => Some(switch.address.is_some()),
        _ => None,
    });
    let all: Vec<bool> = all.collect();
    let on_pci = all.iter().filter(|has_address| **has_address).count();
    if on_pci > 0 {
        return Switches::OnPci(on_pci);
    }
    let manages = |device: &String| {
        let data = evidence.bytes(&format!("sys/class/infiniband/{device}/device/vpd"), 0, VPD);
        data.known().is_some_and(|data| data.windows(MANAGES.len()).any(|own| own == MANAGES))
    };
    let ports: Vec<String> = evidence.names("sys/class/infiniband").into_iter().filter(manages).collect();
    if !ports.is_empty() {
        return Switches::Behind(ports);
    }
    let gpus = || evidence.gpus().map(|(position, _, gpu)| (position, gpu, board::of(evidence, gpu)));
    // Those of HGX B200 and B300 are not on the PCI bus of the machine.
    let may_hide = |gpu: &Gpu, board: Option<Board>| match board {
        Some(board) => board.rate.is_some_and(|rate| rate > 50.0),
        None => gpu.pci.device.is_none() && gpu.model.is_none(),
    };
    match () {
        () if topology.gpus().any(board::is_of_rack) => {
            Switches::None("the NVSwitches of racks are managed elsewhere")
        }
        () if !all.is_empty() => Switches::Linked,
        () if evidence.lists_pci() && !gpus().any(|(_, gpu, board)| may_hide(gpu, board)) => {
            Switches::None("no NVSwitch is on the PCI bus")
        }
        () if topology.gpus().len() == 0 => Switches::Unknown,
        () if gpus().all(|(_, _, board)| board.is_some_and(|board| board.links == 0)) => {
            Switches::None("the boards of its GPUs have no NVLink")
        }
        // The links of two may be bridges, or lead to NVSwitches that connect more GPUs than this machine sees.
        () if topology.gpus().len() > 2
            && gpus().all(|(position, ..)| topology.nvlinks_of(position).0 > 0) =>
        {
            Switches::None("its NVLinks lead from GPU to GPU")
        }
        () => Switches::Unknown,
    }
}

const NOT_TOLD: &str = "no source tells whether there are NVSwitches";

const PROGRAM: &str = "nv-fabricmanager";

pub(super) fn running(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    // Read in any case, so that a snapshot holds them.
    let program = processes::find(evidence, PROGRAM);
    let switches = switches(evidence);
    let is_open = matches!(switches, Switches::Unknown);
    let switches = match switches {
        Switches::None(why) => return verdicts.not_applicable(NODE, why),
        Switches::Unknown => NOT_TOLD.to_owned(),
        Switches::Linked => "its NVLinks lead to NVSwitches".to_owned(),
        Switches::OnPci(count) => format!("{count} NVSwitches are on the PCI bus"),
        Switches::Behind(ports) => {
            if has_module(evidence, "ib_umad") == Some(false) {
                let text = "the NVSwitches are managed over InfiniBand, and the module ib_umad is not loaded";
                verdicts.fail("module ib_umad", text);
            }
            format!("NVSwitches are managed by {}", ports.join(" "))
        }
    };
    let state = processes::service(evidence, "nvidia-fabricmanager");
    match (program, state.as_deref()) {
        (Program::Absent | Program::Unknown, state) if is_open && state != Some("active") => {
            verdicts.unknown(NODE, switches);
        }
        (Program::Running(_), _) | (_, Some("active")) => {
            verdicts.pass(NODE, format!("{switches}, and the fabric manager runs"));
        }
        (Program::Absent, _) => {
            verdicts.fail(NODE, format!("{switches}, and the fabric manager does not run"));
        }
        (_, Some(state)) => {
            verdicts.fail(NODE, format!("{switches}, and the service of the fabric manager is {state}"));
        }
        (Program::Unknown, None) => {
            verdicts.unknown(NODE, format!("{switches}; the processes of the host cannot be seen"));
        }
    }
}

pub(super) fn version(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let driver = driver_version(evidence);
    let told = fabric_manager::version(evidence);
    let switches = switches(evidence);
    match (told, driver) {
        _ if let Switches::None(why) = switches => verdicts.not_applicable(NODE, why),
        (Some(told), Some(driver)) if told == driver => {
            verdicts.pass(NODE, format!("fabric manager and driver are {driver}"));
        }
        (Some(told), Some(driver)) => {
            let text = format!("the fabric manager is {told}, and the driver is {driver}");
            if matches!(switches, Switches::Unknown) {
                verdicts.unknown(NODE, format!("{text}; {NOT_TOLD}"));
            } else {
                verdicts.fail(NODE, text);
            }
        }
        (Some(told), None) => {
            verdicts.unknown(
                NODE,
                format!("the fabric manager is {told}; the version of the driver is not known"),
            );
        }
        (None, _) => verdicts.unknown(NODE, "no source tells the version of the fabric manager"),
    }
}

pub(super) fn imex(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let has_clique = evidence.topology.gpus().any(|gpu| {
        gpu.fabric.as_ref().is_some_and(|fabric| fabric.cluster.is_some()) && board::is_of_rack(gpu)
    });
    let is_outside = |gpu: &Gpu| {
        let is_other = (gpu.pci.device.is_some() || gpu.model.is_some()) && !board::is_of_rack(gpu);
        is_other || gpu.fabric.as_ref().is_some_and(|own| own.cluster.is_none())
    };
    let Some(domain) = imex::domain(evidence) else {
        if imex::has_no_list(evidence) {
            verdicts
                .unknown(NODE, "IMEX has no list of nodes, so there is no domain whose state it could tell");
        } else if has_clique {
            verdicts.unknown(NODE, "no source tells the state of the IMEX domain");
        } else if evidence.has_no_gpus(verdicts) {
        } else if evidence.topology.gpus().all(is_outside) {
            verdicts.not_applicable(NODE, "its GPUs are in no clique of a rack");
        } else {
            verdicts.unknown(NODE, "no source tells whether its GPUs are in a clique");
        }
        return;
    };
    let mut text = format!("the IMEX domain is {}", nvtopo::printable(&domain.state));
    if domain.versions_differ {
        text.push_str("; nodes refuse each other because their versions of IMEX differ");
    }
    if domain.lists_differ {
        text.push_str("; nodes refuse each other because their lists of nodes differ");
    }
    if let [first, rest @ ..] = domain.away.as_slice() {
        let _ = write!(text, "; node {}", nvtopo::printable(first));
        if !rest.is_empty() {
            let _ = write!(text, ", and {} others are not ready", rest.len());
        }
    }
    match domain.state.as_str() {
        "UP" => verdicts.pass(NODE, text),
        "DEGRADED" => verdicts.warn(NODE, text),
        "DOWN" => verdicts.fail(NODE, text),
        _ => verdicts.unknown(NODE, text),
    }
}

pub(super) fn mig(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let node = node(evidence);
    let label = match &node {
        ClusterNode::Known(node) => {
            let own = node.labels.iter().find(|(key, _)| key.ends_with("nvlink.group"));
            Some(own.filter(|(_, groups)| *groups != "none"))
        }
        _ => None,
    };
    evidence.has_no_gpus(verdicts);
    for (position, id, gpu) in evidence.gpus() {
        let Some(mode) = gpu.mig else {
            if evidence.is_asked(id, gpu, |own| own.tells_mig) {
                verdicts.not_applicable(gpu.name(), "the driver says that it has no MIG mode");
            } else {
                verdicts.unknown(gpu.name(), "no source tells its MIG mode");
            }
            continue;
        };
        let has_links = !gpu.nvlinks.is_empty() || evidence.topology.nvlinks_of(position).0 > 0;
        let (status, text) = match (mode.current, label) {
            (false, _) => (Status::Pass, "MIG is off".to_owned()),
            (true, Some(Some((key, groups)))) => {
                (Status::Fail, format!("MIG is on, and the node's label {key} says {groups}"))
            }
            (true, Some(None)) => {
                (Status::Pass, "MIG is on, and no label of the node names NVLink groups".to_owned())
            }
            (true, None) if has_links => {
                (Status::Unknown, "MIG is on, and the labels of the node are not known".to_owned())
            }
            (true, None) => (Status::NotApplicable, "MIG is on, and it has no NVLinks".to_owned()),
        };
        if mode.current == mode.pending {
            verdicts.add(status, gpu.name(), text);
        } else {
            let then = if mode.pending { "on" } else { "off" };
            verdicts.add(
                status.max(Status::Warn),
                gpu.name(),
                format!("{text}; it is {then} after the next reset"),
            );
        }
    }
}

pub(super) fn c2c(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let links = c2c::c2c(evidence);
    let earlier = window_of_gpus(evidence).map(|own| c2c::c2c(own.earlier)).unwrap_or_default();
    for (gpu, own) in links.iter().filter(|(_, own)| !own.up.is_empty()) {
        let count = own.up.len();
        let of = |state: Option<bool>| {
            let numbers = own.up.iter().filter(move |(_, up)| **up == state);
            numbers.map(|(number, _)| number.to_string()).collect::<Vec<_>>()
        };
        let (down, open) = (of(Some(false)), of(None));
        let grown = earlier.get(gpu).and_then(|then| {
            own.errors.iter().find_map(|(key, now)| {
                let by = growth(*then.errors.get(key)?, *now).filter(|by| *by > 0)?;
                Some(format!("{} of link {} grew by {by}", key.1, key.0))
            })
        });
        if !down.is_empty() {
            let up = count - down.len() - open.len();
            verdicts.fail(gpu, format!("{up} of {count} C2C links are up; down: link {}", down.join(", ")));
        } else if !open.is_empty() {
            verdicts.unknown(gpu, format!("the state of C2C links {} cannot be read", open.join(", ")));
        } else if let Some(grown) = grown {
            verdicts.warn(gpu, format!("all {count} C2C links are up, and {grown}"));
        } else {
            verdicts.pass(gpu, format!("all {count} C2C links are up"));
        }
    }
    let is_linked = |id| {
        let mut all = evidence.topology.links();
        all.any(|(a, b, link)| link.kind == LinkKind::C2c && (a == id || b == id))
    };
    evidence.has_no_gpus(verdicts);
    for (_, id, gpu) in evidence.gpus() {
        if links.get(&gpu.name()).is_some_and(|own| !own.up.is_empty()) {
            continue;
        }
        if is_linked(id) {
            verdicts.unknown(gpu.name(), "it has C2C links, and no source tells their state");
        } else if gpu.model.is_none() && gpu.pci.device.is_none() {
            verdicts.unknown(gpu.name(), "no source tells what GPU it is, and whether it has C2C links");
        } else {
            verdicts.not_applicable(gpu.name(), "it has no C2C links");
        }
    }
}
