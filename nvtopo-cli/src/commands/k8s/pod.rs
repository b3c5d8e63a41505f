//! `nvtopo k8s pod`, `nvtopo k8s policies` and `nvtopo k8s playbook`.

use super::written;
use crate::args::{PlaybookArgs, PodArgs, PoliciesArgs};
use crate::commands::open;
use nvtopo::{Bytes, Error, Result, save_file};
use nvtopo_k8s::playbook::{Playbook, PlaybookOptions};
use nvtopo_k8s::pod::{Gpus, PodOptions};
use nvtopo_k8s::policies::{Policies, PolicyOptions};

pub(super) fn pod(args: &PodArgs) -> Result<String> {
    let mut options = PodOptions::new(&args.name, &args.image);
    if let Some(template) = &args.claim {
        options.by = Gpus::Claim(template.clone());
    }
    if let Some(resource) = &args.resource {
        options.resource.clone_from(resource);
    }
    options.cpus_per_gpu = args.cpus_per_gpu;
    options.reserved = args.reserve.clone().unwrap_or_default();
    options.memory_per_gpu = args.memory_per_gpu.map(|Bytes(bytes)| bytes);
    options.huge_pages.clone_from(&args.hugepages_per_gpu);
    options.rdma.clone_from(&args.rdma);
    options.prefix = args.prefix.clone();
    options.version = args.version;
    written(&args.file, nvtopo_k8s::pod::pod(&open(&args.source)?, args.gpus, &options)?)
}

pub(super) fn policies(args: &PoliciesArgs) -> Result<String> {
    let mut options = PolicyOptions::default();
    options.namespace.clone_from(&args.namespace);
    options.allowed.clone_from(&args.allow);
    options.quota = args.quota;
    options.resource.clone_from(&args.resource);
    options.class.clone_from(&args.class);
    if !args.rdma.is_empty() {
        options.rdma.clone_from(&args.rdma);
    }
    options.prefix = args.prefix.clone();
    written(&args.file, Policies::of(&open(&args.source)?, &options)?.objects()?)
}

/// Writes the files, and prints the README among them.
pub(super) fn playbook(args: &PlaybookArgs) -> Result<String> {
    let mut options = PlaybookOptions::new(&args.node);
    options.namespace.clone_from(&args.namespace);
    if let Some(image) = &args.image {
        options.image.clone_from(image);
    }
    options.memory_per_gpu = args.memory_per_gpu.map(|Bytes(bytes)| bytes);
    options.prefix = args.prefix.clone();
    options.version = args.version;
    options.addresses.clone_from(&args.pci_addresses);
    let playbook = Playbook::of(&open(&args.source)?, &options)?;
    std::fs::create_dir_all(&args.output).map_err(|error| Error::cannot_write(&args.output, error))?;
    for (name, text) in playbook.files() {
        save_file(args.output.join(name), text.as_bytes())?;
    }
    Ok(playbook.readme().to_owned())
}
