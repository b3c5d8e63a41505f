//! Claims held against the slices of a cluster: which devices the scheduler gives, whether that is the best there is, and what
//! breaks a claim.

use super::allocate::{Refused, allocate};
use super::slices::{self, ClaimObject, Device, Objects, Slice};
use super::{at, class};
use crate::Version;
use nvtopo::{Error, PciAddress, Request, Result, Topology, printable};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The input of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckOptions {
    /// The version of Kubernetes.
    pub version: Version,
    /// The node; may be left out where the slices are of one.
    pub node: Option<String>,
    /// Devices that others have, by name, or by driver, pool and name with slashes between.
    pub taken: Vec<String>,
    /// The names of the claims that are checked; empty: all.
    pub only: Vec<String>,
    /// The gate `DRAListTypeAttributes` is on.
    pub list_attributes: bool,
    /// The PCI addresses of the GPUs by their index, where the topology has none.
    pub addresses: Vec<PciAddress>,
}

/// A device that a claim is given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Given {
    /// The request, and with a slash the alternative.
    pub request: String,
    /// The driver, the pool and the name of the device.
    pub device: [String; 3],
    /// The position of the GPU in the topology, where it is known.
    pub gpu: Option<usize>,
}

/// The outcome for a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is given these devices.
    Given(Vec<Given>),
    /// The node has no such devices that are free; the pod waits. The reasons, one for each request and constraint.
    Waits(Vec<String>),
    /// The scheduler cannot work with it.
    Broken(String),
    /// Unknown here, whatever the scheduler does; the reason.
    Unknown(String),
}

/// The comparison of the GPUs that are given with the best that are free.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// No set is better.
    Best,
    /// These are.
    Better {
        /// The positions of their GPUs.
        gpus: Vec<usize>,
        /// The reason, in words.
        why: String,
    },
    /// It is not known; the reason.
    Unknown(String),
}

/// One claim, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// The claim's name.
    pub claim: String,
    /// The outcome.
    pub outcome: Outcome,
    /// The comparison with the best; `None` without a topology, or where no GPU is given.
    pub verdict: Option<Verdict>,
    /// The remarks on what may break the claim.
    pub remarks: Vec<String>,
}

/// Claims, checked one after the other: each has what it is given before the next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// The node.
    pub node: String,
    /// The claims.
    pub claims: Vec<Checked>,
}

/// The classes that drivers install, where no object tells.
const KNOWN_CLASSES: [(&str, &str); 3] = [
    (
        "gpu.nvidia.com",
        "device.driver == 'gpu.nvidia.com' && device.attributes['gpu.nvidia.com'].type == 'gpu'",
    ),
    ("dranet", "device.driver == 'dra.net'"),
    ("dra.cpu", "device.driver == 'dra.cpu'"),
];

/// Checks the claims of one text against the objects of others, each with its name for errors. Claims that have devices already
/// (`status.allocation`) keep them from others.
///
/// ```
/// use nvtopo_k8s::claims::{CheckOptions, Outcome, check};
///
/// let slices = "\
/// apiVersion: resource.k8s.io/v1
/// kind: ResourceSlice
/// metadata: {name: s}
/// spec:
///   driver: gpu.nvidia.com
///   nodeName: n1
///   pool: {name: n1, generation: 1, resourceSliceCount: 1}
///   devices:
///   - {name: gpu-0, attributes: {type: {string: gpu}}}
///   - {name: gpu-1, attributes: {type: {string: gpu}}}
/// ";
/// let claim = "\
/// apiVersion: resource.k8s.io/v1
/// kind: ResourceClaim
/// metadata: {name: one}
/// spec: {devices: {requests: [{name: gpu, exactly: {deviceClassName: gpu.nvidia.com}}]}}
/// ";
/// let check = check(("claim", claim), &[("slices", slices)], None, &CheckOptions::default())?;
/// let Outcome::Given(given) = &check.claims[0].outcome else { panic!() };
/// assert_eq!(given[0].device[2], "gpu-0");
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn check(
    (name, text): (&str, &str),
    objects: &[(&str, &str)],
    topology: Option<&Topology>,
    options: &CheckOptions,
) -> Result<Check> {
    let mut own = slices::read(name, text)?;
    own.claims.retain(|claim| options.only.is_empty() || options.only.contains(&claim.name));
    if own.claims.is_empty() {
        return Err(Error::input("there is no claim without devices here").in_input(name));
    }
    let mut all = own.clone();
    for (name, text) in objects {
        let more = slices::read(name, text)?;
        // A file may be given twice, as claims and as objects: equal slices count once.
        let known: BTreeMap<&str, &Slice> =
            all.slices.iter().map(|slice| (slice.name.as_str(), slice)).collect();
        let is_new = |slice: &Slice| known.get(slice.name.as_str()) != Some(&slice);
        let new: Vec<Slice> = more.slices.into_iter().filter(is_new).collect();
        all.slices.extend(new);
        all.classes.extend(more.classes);
        all.taken.extend(more.taken);
    }
    let mut assumed = Vec::new();
    for (name, expression) in KNOWN_CLASSES {
        if !all.classes.contains_key(name) {
            assumed.push(name);
            all.classes.insert(name.to_owned(), vec![expression.to_owned()]);
        }
    }
    let node = node(&all, options)?;
    let (devices, incomplete) = devices(&all.slices, &node);
    let mut taken = taken(&all, &devices, options)?;
    let graph = match topology {
        Some(topology) => Some((topology, gpus_of(topology, &devices, &options.addresses)?)),
        None => None,
    };
    let mut claims = Vec::new();
    for claim in &own.claims {
        let mut remarks = incomplete.clone();
        let used = |class: &&&str| text.contains(**class);
        remarks.extend(
            assumed
                .iter()
                .filter(used)
                .map(|class| format!("the class {class} is taken to be as its driver installs it")),
        );
        remarks.extend(strange_addresses(claim, &devices));
        let partitions = devices.iter().filter(|device| device.counters).count();
        if partitions > 0 {
            remarks.push(format!(
                "{partitions} devices are partitions that exclude one another, which is not followed here"
            ));
        }
        let before = taken.clone();
        let result = refused_by_version(claim, options).map_or_else(
            || allocate(claim, &all, &devices, &taken, options.list_attributes && options.version >= at(37)),
            |why| Err(Refused::Broken(why)),
        );
        let (outcome, verdict) = match result {
            Err(Refused::Broken(why)) => (Outcome::Broken(why), None),
            Err(Refused::Unknown(why)) => (Outcome::Unknown(why), None),
            Err(Refused::None(reasons)) => (Outcome::Waits(reasons), None),
            Ok(chosen) => {
                taken.extend(
                    chosen.iter().filter(|chosen| !devices[chosen.device].shared).map(|chosen| chosen.device),
                );
                let gpu = |device: usize| graph.as_ref().and_then(|(_, gpus)| gpus.get(&device).copied());
                let given: Vec<Given> = chosen
                    .iter()
                    .map(|chosen| {
                        let device = &devices[chosen.device];
                        let names = [device.driver.clone(), device.pool.clone(), device.name.clone()];
                        Given { request: chosen.request.clone(), device: names, gpu: gpu(chosen.device) }
                    })
                    .collect();
                let verdict =
                    graph.as_ref().and_then(|(topology, gpus)| verdict(topology, gpus, &given, &before));
                (Outcome::Given(given), verdict)
            }
        };
        claims.push(Checked { claim: claim.name.clone(), outcome, verdict, remarks });
    }
    Ok(Check { node, claims })
}

fn refused_by_version(claim: &ClaimObject, options: &CheckOptions) -> Option<String> {
    let alternatives = claim.requests.iter().any(|request| !request.first_available.is_empty());
    let version = options.version;
    if version < at(31) {
        return Some(format!("Kubernetes {version} has no claims of this kind"));
    }
    (alternatives && version < at(33)).then(|| {
        format!("Kubernetes {version} knows no alternatives (firstAvailable); 1.33 has them behind a gate")
    })
}

/// The node that is meant.
fn node(objects: &Objects, options: &CheckOptions) -> Result<String> {
    let nodes: BTreeSet<&String> = objects.slices.iter().filter_map(|slice| slice.node.as_ref()).collect();
    let names = || nodes.iter().map(|node| node.as_str()).collect::<Vec<_>>().join(", ");
    match (&options.node, nodes.len()) {
        (Some(node), _) if nodes.contains(node) => Ok(node.clone()),
        (Some(node), _) => {
            Err(Error::request(format!("no slice is of the node {node}"))
                .help(format!("there are {}", names())))
        }
        (None, 1) => Ok(names()),
        (None, 0) if objects.slices.is_empty() => {
            Err(Error::request("there are no slices to choose devices from")
                .help("give what kubectl get resourceslices -o yaml prints"))
        }
        (None, 0) => Err(Error::input("no slice is of a node")),
        (None, count) => {
            Err(Error::request(format!("the slices are of {count} nodes"))
                .help(format!("name one: {}", names())))
        }
    }
}

/// The devices of a node in the order in which they are tried: pools and slices by name; and what is wrong with pools.
fn devices(slices: &[Slice], node: &str) -> (Vec<Device>, Vec<String>) {
    let mut remarks = Vec::new();
    let mut pools: BTreeMap<(&str, &str), Vec<&Slice>> = BTreeMap::new();
    for slice in slices {
        if slice.by_selector {
            remarks.push(format!(
                "the slice {} is of nodes that a selector chooses, which is not followed here",
                slice.name
            ));
        } else if slice.node.as_deref().is_none_or(|own| own == node) {
            pools.entry((&slice.driver, &slice.pool)).or_default().push(slice);
        }
    }
    let mut devices = Vec::new();
    for ((driver, pool), mut slices) in pools {
        let newest = slices.iter().map(|slice| slice.generation).max();
        slices.retain(|slice| Some(slice.generation) == newest);
        slices.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(of) = slices[0].of.filter(|of| *of != slices.len()) {
            remarks.push(format!(
                "the pool {driver}/{pool} has {} of {of} slices: nothing is given of it",
                slices.len()
            ));
            continue;
        }
        let names: BTreeSet<&String> =
            slices.iter().flat_map(|slice| &slice.devices).map(|device| &device.name).collect();
        let count: usize = slices.iter().map(|slice| slice.devices.len()).sum();
        if names.len() != count {
            remarks.push(format!(
                "the pool {driver}/{pool} has two devices of one name: nothing is given of it"
            ));
            continue;
        }
        devices.extend(slices.into_iter().flat_map(|slice| slice.devices.iter().cloned()));
    }
    (devices, remarks)
}

fn taken(objects: &Objects, devices: &[Device], options: &CheckOptions) -> Result<BTreeSet<usize>> {
    let is = |device: &Device, names: &[String; 3]| {
        device.driver == names[0] && device.pool == names[1] && device.name == names[2]
    };
    let mut taken: BTreeSet<usize> = (0..devices.len())
        .filter(|at| objects.taken.iter().any(|names| is(&devices[*at], names)) && !devices[*at].shared)
        .collect();
    for name in &options.taken {
        let found: Vec<usize> = (0..devices.len())
            .filter(|at| devices[*at].name == *name || devices[*at].title() == *name)
            .collect();
        if found.is_empty() {
            return Err(Error::request(format!("the node has no device {name}")));
        }
        taken.extend(found);
    }
    Ok(taken)
}

/// The position of the GPU that each device is, by its address or UUID.
fn gpus_of(topology: &Topology, devices: &[Device], given: &[PciAddress]) -> Result<BTreeMap<usize, usize>> {
    let addresses = if given.is_empty() { Vec::new() } else { class::addresses(topology, given)? };
    let mut gpus = BTreeMap::new();
    for (at, device) in devices.iter().enumerate() {
        if device.text("gpu.nvidia.com/type").is_some_and(|kind| kind != "gpu") {
            continue;
        }
        let address: Option<PciAddress> = device.text(super::BUS_ID).and_then(|text| text.parse().ok());
        let uuid = device.text("gpu.nvidia.com/uuid");
        let gpu = topology.gpus().enumerate().find(|(position, gpu)| {
            let own = addresses.get(*position).copied().or(gpu.address);
            own.is_some() && own == address
                || gpu.uuid.as_ref().is_some_and(|own| Some(own.to_string().as_str()) == uuid)
        });
        if let Some((position, _)) = gpu {
            gpus.insert(at, position);
        }
    }
    Ok(gpus)
}

fn verdict(
    topology: &Topology,
    gpus: &BTreeMap<usize, usize>,
    given: &[Given],
    taken: &BTreeSet<usize>,
) -> Option<Verdict> {
    let of_gpus: Vec<&Given> = given.iter().filter(|given| given.device[0] == "gpu.nvidia.com").collect();
    if of_gpus.is_empty() {
        return None;
    }
    let own: Option<Vec<usize>> = of_gpus.iter().map(|given| given.gpu).collect();
    let Some(own) = own else {
        return Some(Verdict::Unknown(
            "the devices tell neither addresses nor UUIDs that the topology has".to_owned(),
        ));
    };
    let free: Vec<usize> =
        gpus.iter().filter(|(device, _)| !taken.contains(device)).map(|(_, gpu)| *gpu).collect();
    let solve = |among: &[usize]| {
        let index = |gpu: &usize| topology.gpus().nth(*gpu).map_or(0, |gpu| gpu.index);
        Request::gpus(own.len()).only(among.iter().map(index)).solve(topology)
    };
    let (Ok(mine), Ok(best)) = (solve(&own), solve(&free)) else {
        return Some(Verdict::Unknown(
            "a device that is given is a GPU that no job can use whole".to_owned(),
        ));
    };
    let mut best_gpus: Vec<usize> = best.gpus().iter().map(|gpu| gpu.position).collect();
    best_gpus.sort_unstable();
    let pairs = mine.scores().iter().zip(best.scores()).filter(|(own, _)| own.objective != "remainder");
    for (own, best) in pairs {
        let better = match (own.value, best.value) {
            (Some(own), Some(best)) => best.is_better_than(own),
            (None, Some(_)) => true,
            _ => false,
        };
        if better {
            return Some(Verdict::Better {
                gpus: best_gpus,
                why: format!("{}: {best}, not {own}", best.objective),
            });
        }
        if own.value != best.value {
            break;
        }
    }
    Some(Verdict::Best)
}

/// The PCI addresses that a claim names and the node does not have.
fn strange_addresses(claim: &ClaimObject, devices: &[Device]) -> Vec<String> {
    let mut expressions = Vec::new();
    for request in &claim.requests {
        let exactly = if request.first_available.is_empty() { request.exactly().ok() } else { None };
        for wanted in request.first_available.iter().chain(&exactly) {
            expressions.extend(wanted.selectors.iter().map(|selector| selector.cel.expression.clone()));
        }
    }
    let known: BTreeSet<&str> = devices
        .iter()
        .flat_map(|device| &device.attributes)
        .filter_map(|(_, value)| match value {
            slices::Attribute::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let mut strange = BTreeSet::new();
    for expression in &expressions {
        for word in expression.split(['"', '\'']) {
            let address = word.len() >= 12 && word.parse::<PciAddress>().is_ok();
            if address && !known.contains(word) {
                strange.insert(word.to_owned());
            }
        }
    }
    let told = |address| {
        format!("it names {address}, which no device of this node has: its alternative is never given here")
    };
    strange.into_iter().map(told).collect()
}

impl Check {
    /// Returns true where each claim is given devices.
    pub fn all_given(&self) -> bool {
        self.claims.iter().all(|claim| matches!(claim.outcome, Outcome::Given(_)))
    }
}

impl fmt::Display for Check {
    /// The answer for people, one paragraph for each claim.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, claim) in self.claims.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            let name = printable(&claim.claim);
            match &claim.outcome {
                Outcome::Given(given) => {
                    writeln!(f, "{name} on {}: given", printable(&self.node))?;
                    for given in given {
                        let gpu = given.gpu.map(|gpu| format!("  GPU{gpu}")).unwrap_or_default();
                        writeln!(
                            f,
                            "  {}  {}{gpu}",
                            printable(&given.request),
                            printable(&given.device.join("/"))
                        )?;
                    }
                }
                Outcome::Waits(reasons) => {
                    writeln!(
                        f,
                        "{name} on {}: waits, for the node has no such devices",
                        printable(&self.node)
                    )?;
                    for reason in reasons {
                        writeln!(f, "  {}", printable(reason))?;
                    }
                }
                Outcome::Unknown(why) => {
                    writeln!(f, "{name}: what the scheduler does is not known here: {}", printable(why))?;
                }
                Outcome::Broken(why) => writeln!(f, "{name}: the scheduler refuses it: {}", printable(why))?,
            }
            match &claim.verdict {
                Some(Verdict::Best) => writeln!(f, "  no free GPUs are better")?,
                Some(Verdict::Better { gpus, why }) => {
                    let names: Vec<String> = gpus.iter().map(|gpu| format!("GPU{gpu}")).collect();
                    writeln!(f, "  better: {} ({why})", names.join(", "))?;
                }
                Some(Verdict::Unknown(why)) => {
                    writeln!(f, "  whether there are better GPUs is unknown: {why}")?;
                }
                None => {}
            }
            for remark in &claim.remarks {
                writeln!(f, "  note: {}", printable(remark))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
