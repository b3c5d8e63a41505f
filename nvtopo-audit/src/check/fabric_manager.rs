//! Parts around the NVLink fabric: the fabric manager, IMEX, MIG, and the C2C links of Grace.

use super::kubernetes::{ClusterNode, node};
use crate::evidence::{Evidence, NODE};
use crate::finding::Verdicts;
use crate::reading::host::{driver_version, has_module, is_version, lines};
use crate::reading::processes::{self, Program};
use nvtopo::model::{LinkKind, NodeKind};
use serde_json::Value;

/// The NVSwitches that this machine manages.
enum Switches {
    None,
    /// The number of NVSwitches on the PCI bus.
    OnPci(usize),
    /// Behind management ports, of these names.
    Behind(Vec<String>),
}

/// The words in the vital product data of a port that manages NVSwitches.
const MANAGES: &[u8] = b"SMDL=SW_MNG";
/// The bytes of vital product data that are looked at.
const VPD: usize = 4096;

fn switches(evidence: &Evidence<'_>) -> Switches {
    let on_pci = evidence
        .topology
        .nodes()
        .filter(|(_, node)| matches!(&node.kind, NodeKind::NvSwitch(switch) if switch.address.is_some()));
    let on_pci = on_pci.count();
    if on_pci > 0 {
        return Switches::OnPci(on_pci);
    }
    let manages = |device: &String| {
        let data = evidence.bytes(&format!("sys/class/infiniband/{device}/device/vpd"), 0, VPD);
        data.known().is_some_and(|data| data.windows(MANAGES.len()).any(|own| own == MANAGES))
    };
    let ports: Vec<String> = evidence.names("sys/class/infiniband").into_iter().filter(manages).collect();
    if ports.is_empty() { Switches::None } else { Switches::Behind(ports) }
}

const PROGRAM: &str = "nv-fabricmanager";

pub(super) fn running(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    // Read in any case, so that a snapshot holds them.
    let program = processes::find(evidence, PROGRAM);
    let switches = match switches(evidence) {
        Switches::None => return,
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
    let told = lines(evidence).find_map(|line| {
        let at = line.to_ascii_lowercase().find("fabric manager version")?;
        line.get(at..)?.split([' ', ':', '\t']).find(|word| is_version(word)).map(str::to_owned)
    });
    match (told, driver) {
        (Some(told), Some(driver)) if told == driver => {
            verdicts.pass(NODE, format!("fabric manager and driver are {driver}"));
        }
        (Some(told), Some(driver)) => {
            verdicts.fail(NODE, format!("the fabric manager is {told}, and the driver is {driver}"));
        }
        (Some(told), None) => {
            verdicts.unknown(
                NODE,
                format!("the fabric manager is {told}; the version of the driver is not known"),
            );
        }
        (None, _) if matches!(switches(evidence), Switches::None) => {}
        (None, _) => verdicts.unknown(NODE, "no source tells the version of the fabric manager"),
    }
}

/// Returns the state of the domain in saved outputs of `nvidia-imex-ctl -N`.
fn domain(evidence: &Evidence<'_>) -> Option<String> {
    let of_json = |text: &str| -> Option<String> {
        // Other texts may stand before the document.
        let begin = text.lines().position(|line| line.starts_with('{'))?;
        let rest: Vec<&str> = text.lines().skip(begin).collect();
        let rest = rest.join("\n");
        let document: Value = serde_json::Deserializer::from_str(&rest).into_iter().next()?.ok()?;
        document.get("nodes")?;
        document.get("status").and_then(Value::as_str).map(str::to_owned)
    };
    let documents = evidence.texts().filter(|saved| saved.text.contains("\"nodes\""));
    let mut states = documents.filter_map(|saved| of_json(&saved.text));
    states.next().or_else(|| {
        let own = lines(evidence).find_map(|line| line.trim().strip_prefix("Domain State:"))?;
        Some(own.trim().to_owned())
    })
}

pub(super) fn imex(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let has_clique = evidence.topology.gpus().any(|gpu| {
        gpu.fabric.as_ref().is_some_and(|fabric| fabric.cluster.is_some()) && crate::board::is_of_rack(gpu)
    });
    match domain(evidence).as_deref() {
        Some("UP") => verdicts.pass(NODE, "the IMEX domain is UP"),
        Some("DEGRADED") => {
            verdicts.warn(NODE, "the IMEX domain is DEGRADED: not all of its nodes are connected");
        }
        Some("DOWN") => verdicts.fail(NODE, "the IMEX domain is DOWN"),
        Some(state) => verdicts.unknown(NODE, format!("the IMEX domain is {}", nvtopo::printable(state))),
        None if has_clique => verdicts.unknown(NODE, "no source tells the state of the IMEX domain"),
        None => {}
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
    for (position, _, gpu) in evidence.gpus() {
        let Some(mode) = gpu.mig else { continue };
        if mode.current != mode.pending {
            let (now, then) = if mode.current { ("on", "off") } else { ("off", "on") };
            verdicts.warn(gpu.name(), format!("MIG is {now}, and {then} after the next reset"));
            continue;
        }
        let has_links = !gpu.nvlinks.is_empty() || evidence.topology.nvlinks_of(position).0 > 0;
        match (mode.current, label) {
            (false, _) => verdicts.pass(gpu.name(), "MIG is off"),
            (true, Some(Some((key, groups)))) => {
                verdicts.fail(gpu.name(), format!("MIG is on, and the node's label {key} says {groups}"));
            }
            (true, Some(None)) => {
                verdicts.pass(gpu.name(), "MIG is on, and no label of the node names NVLink groups");
            }
            (true, None) if has_links => {
                verdicts.unknown(gpu.name(), "MIG is on, and the labels of the node are not known");
            }
            (true, None) => verdicts.not_applicable(gpu.name(), "MIG is on, and it has no NVLinks"),
        }
    }
}

pub(super) fn c2c(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    // `GPU 0: …`, and below it `C2C Link 0: 44.712 GB/s` or `C2C Link 0: <inactive>`.
    let mut links: Vec<(String, usize, Vec<String>)> = Vec::new();
    let mut gpu = NODE.to_owned();
    for line in lines(evidence).map(str::trim) {
        if let Some((number, _)) = line.strip_prefix("GPU ").and_then(|rest| rest.split_once(':'))
            && number.parse::<u32>().is_ok()
        {
            gpu = format!("GPU{number}");
        }
        let Some((number, state)) = line.strip_prefix("C2C Link ").and_then(|rest| rest.split_once(':'))
        else {
            continue;
        };
        if links.last().is_none_or(|(own, _, _)| *own != gpu) {
            links.push((gpu.clone(), 0, Vec::new()));
        }
        let Some((_, count, down)) = links.last_mut() else { continue };
        *count += 1;
        if state.to_ascii_lowercase().contains("inactive") {
            down.push(number.trim().to_owned());
        }
    }
    for (gpu, count, down) in &links {
        if down.is_empty() {
            verdicts.pass(gpu, format!("all {count} C2C links are up"));
        } else {
            let text =
                format!("{} of {count} C2C links are up; down: link {}", count - down.len(), down.join(", "));
            verdicts.fail(gpu, text);
        }
    }
    let is_linked = |id| {
        let mut all = evidence.topology.links();
        all.any(|(a, b, link)| link.kind == LinkKind::C2c && (a == id || b == id))
    };
    for (_, _, gpu) in evidence.gpus().filter(|(_, id, _)| is_linked(*id)) {
        if !links.iter().any(|(own, _, _)| *own == gpu.name()) {
            verdicts.unknown(gpu.name(), "it has C2C links, and no source tells their state");
        }
    }
}
