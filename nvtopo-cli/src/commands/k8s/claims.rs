//! `nvtopo k8s claims`, `taints` and `resource-topology`.

use super::written;
use crate::args::{CheckArgs, ClaimsArgs, ClaimsCommand, ResourceTopologyArgs, TaintsArgs};
use crate::commands::{allowed_sets, open};
use nvtopo::source::read_text;
use nvtopo::{Result, Topology};
use nvtopo_k8s::claims::{CheckOptions, ClaimOptions, Claims, TaintOptions};
use nvtopo_k8s::resource_topology::ResourceTopologyOptions;
use std::path::PathBuf;

/// Claims, or the check of some: the exit code is 1 where one is not given what it asks for.
pub(super) fn claims(args: &ClaimsArgs) -> Result<(String, u8)> {
    if let Some(ClaimsCommand::Check(args)) = &args.command {
        return check(args);
    }
    Ok((make(args)?, 0))
}

fn make(args: &ClaimsArgs) -> Result<String> {
    let mut options = ClaimOptions::gpus(args.gpus.unwrap_or_default()).version(args.version);
    options.name.clone_from(&args.name);
    options.class.clone_from(&args.class);
    options.objectives.clone_from(&args.objective);
    options.allowed = args.allowed.as_deref().map(allowed_sets).transpose()?;
    options.any = args.any;
    options.rdma = args.rdma;
    options.cpus_per_gpu = args.cpus_per_gpu;
    options.derived = args.derived;
    options.device_classes = args.device_classes;
    options.addresses.clone_from(&args.pci_addresses);
    let first = open(&args.source)?;
    let mut machines = vec![("the node of --from".to_owned(), first)];
    for source in &args.with_node {
        machines.push((source.to_string(), Topology::open(std::slice::from_ref(source))?));
    }
    let machines: Vec<(String, &Topology)> =
        machines.iter().map(|(name, topology)| (name.clone(), topology)).collect();
    written(&args.file, Claims::of(&machines, &options)?.yaml().to_owned())
}

fn check(args: &CheckArgs) -> Result<(String, u8)> {
    let mut options = CheckOptions::default();
    options.version = args.version;
    options.node.clone_from(&args.node);
    options.taken.clone_from(&args.taken);
    options.only.clone_from(&args.only);
    options.list_attributes = args.list_attributes;
    options.addresses.clone_from(&args.pci_addresses);
    let topology = if args.from.is_empty() { None } else { Some(Topology::open(&args.from)?) };
    let read = |path: &PathBuf| Ok((path.display().to_string(), read_text(path)?));
    let (name, claim) = read(&args.claim)?;
    let objects: Vec<(String, String)> = args.slices.iter().map(read).collect::<Result<_>>()?;
    let objects: Vec<(&str, &str)> =
        objects.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let check = nvtopo_k8s::claims::check((&name, &claim), &objects, topology.as_ref(), &options)?;
    Ok((written(&args.file, check.to_string())?, u8::from(!check.all_given())))
}

pub(super) fn taints(args: &TaintsArgs) -> Result<String> {
    let mut options = TaintOptions::node(&args.node);
    options.version = args.version;
    options.effect = args.effect;
    let read = |path: &PathBuf| Ok((path.display().to_string(), read_text(path)?));
    options.slices = args.slices.as_ref().map(read).transpose()?;
    written(&args.file, nvtopo_k8s::claims::taints(&open(&args.source)?, &options)?)
}

pub(super) fn resource_topology(args: &ResourceTopologyArgs) -> Result<String> {
    let mut options = ResourceTopologyOptions::node(&args.node);
    options.policy = args.topology_manager_policy;
    options.scope = args.topology_manager_scope;
    options.reserved = args.reserve.clone().unwrap_or_default();
    options.gpu_resource.clone_from(&args.resource);
    options.nic_resource.clone_from(&args.rdma);
    written(&args.file, nvtopo_k8s::resource_topology::resource_topology(&open(&args.source)?, &options)?)
}
