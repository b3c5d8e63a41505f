//! Claims of Dynamic Resource Allocation: which GPUs a pod may get, the best first.
//!
//! - [`Claims`]: `ResourceClaimTemplate`s from the graph of a machine.
//! - [`check()`]: which devices of a cluster's slices a claim is given, and whether there are better ones.
//! - [`taints()`]: rules that keep GPUs with faults from claims.
//! - [`AllowedSets`]: tables of the sets that may be used, such as Fabric Manager's partitions.
//!
//! A claim names GPUs by `resource.kubernetes.io/pciBusID`, which NVIDIA's driver publishes, so that nothing needs to be
//! added to a cluster. It holds for nodes whose GPUs have the same addresses: a class of nodes, which [`Claims::of`] checks.

mod allocate;
mod cel;
mod check;
mod choose;
mod class;
mod joint;
mod object;
mod pools;
mod slices;
mod taints;

pub use check::{Check, CheckOptions, Checked, Given, Outcome, Verdict, check};
pub use choose::{Alternative, MAX_ALTERNATIVES};
pub use nvtopo::solve::AllowedSets;
pub use pools::Closeness;
pub use taints::{TaintEffect, TaintOptions, taints};

use crate::{Version, yaml};
use choose::Among;
use joint::Joint;
use nvtopo::{Error, PciAddress, Result, Topology};
use object::{Claim, DeviceRequest};

/// The most devices that one claim is given.
///
/// Source: `AllocationResultsMaxSize` of the API.
pub const MAX_DEVICES: usize = 32;
/// The attribute that claims name GPUs by.
const BUS_ID: &str = "resource.kubernetes.io/pciBusID";
/// The attribute of the PCIe root that a device is below.
const PCIE_ROOT: &str = "resource.kubernetes.io/pcieRoot";
/// The derived attribute of those that belong together.
const TOGETHER: &str = "nvtopo.io/set";

/// The request that claims are made for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools, reason = "options that a person sets one by one")]
pub struct ClaimOptions {
    /// The number of GPUs.
    pub gpus: usize,
    /// The version of Kubernetes.
    pub version: Version,
    /// The name of the template; `None`: `gpus-` and the number.
    pub name: Option<String>,
    /// The device class of the GPUs.
    pub class: String,
    /// Objectives, most important first; the defaults of the core break ties.
    pub objectives: Vec<String>,
    /// The sets that may be used; `None`: any.
    pub allowed: Option<AllowedSets>,
    /// The last alternative is any GPUs.
    pub any: bool,
    /// An RDMA NIC for each GPU, claimed from dranet.
    pub rdma: bool,
    /// The number of CPUs for each GPU, claimed from dra-driver-cpu.
    pub cpus_per_gpu: Option<usize>,
    /// Derived attributes (alpha in 1.37) in place of alternatives.
    pub derived: bool,
    /// Device classes too.
    pub device_classes: bool,
    /// The PCI addresses of the GPUs by their index, where the source does not tell them.
    pub addresses: Vec<PciAddress>,
}

impl ClaimOptions {
    /// Claims for so many GPUs by the newest version of Kubernetes.
    #[must_use]
    pub fn gpus(gpus: usize) -> Self {
        Self {
            gpus,
            version: Version::default(),
            name: None,
            class: "gpu.nvidia.com".to_owned(),
            objectives: Vec::new(),
            allowed: None,
            any: false,
            rdma: false,
            cpus_per_gpu: None,
            derived: false,
            device_classes: false,
            addresses: Vec::new(),
        }
    }

    /// For another version of Kubernetes.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }
}

/// Claims for one number of GPUs, as documents of YAML.
///
/// ```
/// use nvtopo_k8s::claims::{ClaimOptions, Claims};
///
/// let dgx = nvtopo::Topology::preset("dgx-a100")?;
/// let claims = Claims::of(&[("node".to_owned(), &dgx)], &ClaimOptions::gpus(2))?;
/// assert_eq!(claims.alternatives()[0].gpus, [0, 1]);
/// assert!(claims.yaml().contains("firstAvailable:"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    alternatives: Vec<Alternative>,
    text: String,
}

impl Claims {
    /// Claims for the machines of one class, each with its name for errors. They are made from the first; the others are checked
    /// to have the same GPUs at the same addresses.
    pub fn of(machines: &[(String, &Topology)], options: &ClaimOptions) -> Result<Self> {
        object::api(options.version)?;
        let Some((_, topology)) = machines.first() else {
            return Err(Error::request("there is no machine to make claims for"));
        };
        if options.gpus > MAX_DEVICES {
            let message = format!("one claim is given {MAX_DEVICES} devices at most");
            return Err(Error::unsatisfiable(message).help("ask for fewer GPUs for each pod"));
        }
        let mut with_addresses = Vec::new();
        for (number, (name, topology)) in machines.iter().enumerate() {
            let given = if number == 0 { &options.addresses[..] } else { &[] };
            let addresses = class::addresses(topology, given).map_err(|error| error.in_input(name))?;
            with_addresses.push((name.clone(), *topology, addresses));
        }
        let machines = with_addresses;
        class::check(&machines)?;
        let maker = Maker { topology, options, addresses: &machines[0].2 };
        maker.make(machines.len())
    }

    /// The sets of GPUs, in the order in which they are tried.
    pub fn alternatives(&self) -> &[Alternative] {
        &self.alternatives
    }

    /// The objects, for `kubectl apply -f`.
    pub fn yaml(&self) -> &str {
        &self.text
    }
}

/// Makes the claims of one class of nodes.
struct Maker<'a> {
    topology: &'a Topology,
    options: &'a ClaimOptions,
    addresses: &'a [PciAddress],
}

impl Maker<'_> {
    fn make(&self, machines: usize) -> Result<Claims> {
        let options = self.options;
        if options.derived && options.version < at(37) {
            return Err(Error::unsatisfiable("derived attributes are an alpha of Kubernetes 1.37"));
        }
        let joint = Joint::of(self.topology, options)?;
        // Before there are alternatives, and where requests cannot be tied to one another, each set has a template of its own.
        let root = joint.below_root().filter(|_| options.gpus == 1 && !options.derived);
        let tied = !joint.is_any() || options.derived || root.is_some();
        let separate = options.version < at(33) || !tied;
        let allowed = options.allowed.as_ref().map(|table| table.bits(self.topology)).transpose()?;
        let among = match &allowed {
            Some(sets) => Among::Allowed(sets),
            None if joint.is_any() && root.is_none() => Among::Sets,
            None => Among::Pools,
        };
        let most = MAX_ALTERNATIVES - usize::from(options.any && !separate);
        let mut choice = choose::choose(self.topology, options.gpus, most, among, &options.objectives)?;
        let name = options.name.clone().unwrap_or_else(|| format!("gpus-{}", options.gpus));
        let mut documents = if options.device_classes { joint::classes(options)? } else { Vec::new() };
        if separate {
            if options.any {
                return Err(Error::unsatisfiable(
                    "any GPUs cannot be the last alternative of templates for single sets",
                ));
            }
            for (number, alternative) in choice.alternatives.iter().enumerate() {
                let mut requests = vec![self.gpus(std::slice::from_ref(alternative))];
                requests.extend(joint.requests(alternative)?);
                let claim = Claim { name: format!("{name}-p{number}"), requests, same: Vec::new() };
                let mut comment = vec![format!(
                    "Template {} of {}: {}.",
                    number + 1,
                    choice.alternatives.len(),
                    self.describe(alternative)
                )];
                if number == 0 {
                    comment.push(if options.version < at(33) {
                        "Kubernetes 1.32 has no alternatives: a pod names the template of one set, the best first.".to_owned()
                    } else {
                        "Requests of one claim cannot be tied to one another before 1.37's derived attributes: a pod names the template of one set."
                            .to_owned()
                    });
                    comment.append(&mut self.notes(machines, &choice));
                }
                documents.push(claim.template(options.version, &comment)?);
            }
        } else {
            let claim = match root {
                Some(nic) => self.with_root(&name, &choice.alternatives, nic),
                None => self.one(&name, &mut choice, &joint)?,
            };
            let described = choice.alternatives.iter().enumerate();
            let letter = if options.derived && !joint.is_any() { 'g' } else { 'p' };
            let mut notes: Vec<String> = described
                .map(|(number, alternative)| format!("{letter}{number}: {}.", self.describe(alternative)))
                .collect();
            notes.append(&mut self.notes(machines, &choice));
            documents.push(claim.template(options.version, &notes)?);
        }
        Ok(Claims { alternatives: choice.alternatives, text: yaml::stream(&documents) })
    }

    /// One GPU, and a NIC below the same PCIe root.
    fn with_root(&self, name: &str, alternatives: &[Alternative], nic: DeviceRequest) -> Claim {
        let requests = vec![self.gpus(alternatives), nic];
        let names = requests.iter().map(|request| request.name.clone()).collect();
        Claim { name: name.to_owned(), requests, same: vec![(names, PCIE_ROOT.to_owned())] }
    }

    /// All alternatives in one claim. Those that need another number of requests than the first are dropped.
    fn one(&self, name: &str, choice: &mut choose::Choice, joint: &Joint<'_>) -> Result<Claim> {
        let mut claim = Claim { name: name.to_owned(), ..Claim::default() };
        if self.options.derived && !joint.is_any() {
            return self.by_group(claim, choice);
        }
        let count = |alternative: &Alternative| joint.requests(alternative).map(|requests| requests.len());
        let numbers = choice.alternatives.iter().map(count).collect::<Result<Vec<usize>>>()?;
        let (first, before) = (numbers.first().copied(), numbers.len());
        let mut numbers = numbers.into_iter();
        choice.alternatives.retain(|_| numbers.next() == first);
        choice.dropped = before - choice.alternatives.len();
        let alternatives = &choice.alternatives;
        let mut gpus = self.gpus(alternatives);
        if self.options.any {
            let class = self.options.class.clone();
            let name = format!("p{}", alternatives.len());
            gpus.choices.push(object::Choice { name, class, count: self.options.gpus, ..Default::default() });
        }
        claim.requests.push(gpus);
        if joint.is_any() {
            // Each alternative of one request goes with the alternative of the same name of the others.
            for (number, alternative) in alternatives.iter().enumerate() {
                for other in joint.requests(alternative)? {
                    let choices = other
                        .choices
                        .into_iter()
                        .map(|choice| object::Choice { name: format!("p{number}"), ..choice });
                    match claim.requests.iter_mut().find(|request| request.name == other.name) {
                        Some(request) => request.choices.extend(choices),
                        None => claim
                            .requests
                            .push(DeviceRequest { name: other.name, choices: choices.collect() }),
                    }
                }
            }
            for request in &mut claim.requests {
                for choice in &mut request.choices {
                    choice.derived = Some((TOGETHER.to_owned(), format!("\"{}\"", choice.name)));
                }
            }
            let names = claim.requests.iter().map(|request| request.name.clone()).collect();
            claim.same.push((names, TOGETHER.to_owned()));
        }
        Ok(claim)
    }

    /// One request for GPUs of one group, by an attribute that is derived from the address.
    fn by_group(&self, mut claim: Claim, choice: &mut choose::Choice) -> Result<Claim> {
        let count = self.options.gpus;
        let mut alternatives: Vec<Alternative> = Vec::new();
        for group in self.topology.nvlink_groups() {
            let usable = |gpu: &usize| choice.left_out.iter().all(|(out, _)| out != gpu);
            let gpus: Vec<usize> = group.gpus.iter().copied().filter(usable).collect();
            if gpus.len() < count {
                continue;
            }
            if count > 1 && group.shape == nvtopo::model::GroupShape::Partial {
                let message = "the NVLinks are a mesh in which GPUs are of several linked sets: one derived attribute cannot tell them";
                return Err(
                    Error::unsatisfiable(message).help("leave derived attributes out: alternatives can")
                );
            }
            alternatives.push(Alternative { gpus, closeness: Closeness::Linked });
        }
        if alternatives.is_empty() {
            return Err(Error::unsatisfiable(format!("no NVLink group has {count} GPUs that can be used")));
        }
        // Any linked set is of one group.
        choice.served = choice.servable;
        choice.alternatives = alternatives;
        let gpus = self.gpus(&choice.alternatives);
        let pools: Vec<&[usize]> = choice.alternatives.iter().map(|group| &group.gpus[..]).collect();
        let last = pools.len() - 1;
        let step = |(number, pool): (usize, &&[usize])| match number {
            number if number == last => format!("\"g{number}\""),
            number => format!("{} in {} ? \"g{number}\" : ", id(), self.list(pool)),
        };
        let expression = pools.iter().enumerate().map(step).collect::<Vec<_>>().concat();
        let all: Vec<usize> = pools.iter().flat_map(|pool| pool.iter().copied()).collect();
        let choice = object::Choice {
            selector: Some(self.selector(&all)),
            derived: Some(("nvtopo.io/nvlinkGroup".to_owned(), expression)),
            ..gpus.choices[0].clone()
        };
        claim.requests.push(DeviceRequest { name: gpus.name.clone(), choices: vec![choice] });
        claim.same.push((vec![gpus.name], "nvtopo.io/nvlinkGroup".to_owned()));
        Ok(claim)
    }

    /// The request for GPUs.
    fn gpus(&self, alternatives: &[Alternative]) -> DeviceRequest {
        let choice = |(number, alternative): (usize, &Alternative)| object::Choice {
            name: format!("p{number}"),
            class: self.options.class.clone(),
            count: self.options.gpus,
            selector: Some(self.selector(&alternative.gpus)),
            ..Default::default()
        };
        DeviceRequest {
            name: "gpu".to_owned(),
            choices: alternatives.iter().enumerate().map(choice).collect(),
        }
    }

    fn list(&self, gpus: &[usize]) -> String {
        let ids: Vec<String> = gpus.iter().map(|gpu| format!("\"{}\"", self.addresses[*gpu])).collect();
        format!("[{}]", ids.join(", "))
    }

    /// The expression for some GPUs. An attribute that is missing would stop the scheduling of the pod on all nodes.
    fn selector(&self, gpus: &[usize]) -> String {
        format!("has({id}) && {id} in {}", self.list(gpus), id = id())
    }

    /// Describes an alternative in words.
    fn describe(&self, alternative: &Alternative) -> String {
        let names: Vec<String> = alternative.gpus.iter().map(|gpu| self.topology.device_name(*gpu)).collect();
        let spare = alternative.gpus.len() - self.options.gpus;
        let of = if spare > 0 { format!("any {} of ", self.options.gpus) } else { String::new() };
        let words = if alternative.gpus.len() == 1 { "" } else { alternative.closeness.words() };
        let comma = if words.is_empty() { "" } else { ", " };
        format!("{of}{}{comma}{words}", names.join(", "))
    }

    fn notes(&self, machines: usize, choice: &choose::Choice) -> Vec<String> {
        let options = self.options;
        let mut notes = Vec::new();
        let sample = if choice.sampled { " that were looked at" } else { "" };
        if choice.dropped == 0 {
            notes.push(format!(
                "Of the {} states{sample} in which such GPUs are free, whichever others are taken, {} find one of these.",
                choice.servable, choice.served
            ));
        } else {
            notes.push(format!(
                "{} more alternatives are dropped: their CPUs are of more NUMA nodes or fewer, and would need other requests.",
                choice.dropped
            ));
        }
        for (gpu, why) in &choice.left_out {
            notes.push(format!("{} is left out: {why}.", self.topology.device_name(*gpu)));
        }
        notes.push(format!(
            "It holds for nodes whose GPUs have these PCI addresses; {}.",
            if machines == 1 { "one was looked at".to_owned() } else { format!("{machines} were compared") }
        ));
        notes.push(format!(
            "The driver must publish {BUS_ID}; a node whose addresses change needs a new claim."
        ));
        notes.push(versions(options));
        notes
    }
}

/// For which versions a claim holds, and behind which gates.
fn versions(options: &ClaimOptions) -> String {
    let version = options.version;
    let mut text = match version {
        version if version >= at(34) => "For Kubernetes 1.34 and later".to_owned(),
        version if version == at(33) => {
            "For Kubernetes 1.33: gates DynamicResourceAllocation and DRAPrioritizedList (alpha), and the API \
             resource.k8s.io/v1beta1 switched on"
                .to_owned()
        }
        _ => "For Kubernetes 1.32: gate DynamicResourceAllocation, and the API resource.k8s.io/v1beta1 switched on".to_owned(),
    };
    if options.derived {
        "For Kubernetes 1.37: gate DRADerivedAttributes (alpha)".clone_into(&mut text);
    } else if options.cpus_per_gpu.is_some() && version >= at(36) {
        "For Kubernetes 1.36 and later".clone_into(&mut text);
    }
    text + "."
}

/// The version 1.`minor`.
fn at(minor: u8) -> Version {
    Version::minor(minor).unwrap_or_default()
}

/// The expression for the address of a device.
fn id() -> &'static str {
    "device.attributes[\"resource.kubernetes.io\"].pciBusID"
}

#[cfg(test)]
mod tests;
