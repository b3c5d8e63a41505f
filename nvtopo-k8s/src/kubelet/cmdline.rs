//! The kernel command line that goes with a configuration of the kubelet.

use super::board::{Board, Processor};
use super::config::ConfigOptions;
use nvtopo::model::Stated;
use nvtopo::{Bytes, CpuSet, Error, Result};
use std::fmt::{self, Write};

/// Arguments for the kernel, each with the reason.
///
/// ```
/// use nvtopo_k8s::kubelet::config::{ConfigOptions, KubeletConfig};
///
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// let options = ConfigOptions::default().huge_pages(["1GiB:16".parse()?]);
/// let config = KubeletConfig::of(&dgx, &options)?;
/// assert_eq!(config.command_line().to_string(), "iommu=pt hugepagesz=1G hugepages=0:16,1:16");
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    arguments: Vec<(String, String)>,
    notes: Vec<String>,
}

impl CommandLine {
    /// The arguments, each with the reason.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + '_ {
        self.arguments.iter().map(|(argument, why)| (argument.as_str(), why.as_str()))
    }

    /// The remarks beside the parameters.
    pub fn notes(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        self.notes.iter().map(String::as_str)
    }

    /// The arguments and notes as sentences.
    pub(super) fn comments(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.arguments.is_empty() {
            lines.push(format!("Kernel command line: {self}"));
        }
        lines.extend(self.arguments.iter().map(|(argument, why)| format!("- {argument}: {why}")));
        lines.extend(self.notes.iter().cloned());
        lines
    }

    /// A file with the arguments in one line, and the reasons as comments above it.
    pub fn to_text(&self) -> String {
        let reasons = self.arguments.iter().map(|(argument, why)| format!("# {argument}: {why}\n"));
        let notes = self.notes.iter().map(|note| format!("# {note}\n"));
        let mut text: String = reasons.chain(notes).collect();
        let _ = writeln!(text, "{self}");
        text
    }

    fn add(&mut self, argument: impl Into<String>, why: impl Into<String>) {
        self.arguments.push((argument.into(), why.into()));
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.arguments.iter().map(|(argument, _)| argument.as_str()).collect();
        f.write_str(&words.join(" "))
    }
}

/// The arguments for a machine.
pub(super) fn of(board: &Board<'_>, options: &ConfigOptions, isolated: &CpuSet) -> Result<CommandLine> {
    let mut line = CommandLine::default();
    iommu(&mut line, board);
    huge_pages(&mut line, board, options)?;
    if !isolated.is_empty() {
        line.add(
            format!("isolcpus={isolated}"),
            "for programs outside Kubernetes; all of them are in reservedSystemCPUs, so that none is in the shared pool",
        );
    }
    let shared = board.isolated().difference(isolated);
    if !shared.is_empty() {
        line.notes.push(format!(
            "Take isolcpus off the command line: CPUs {shared} are isolated now, and the shared pool has them, where the kernel does not \
             balance load over them."
        ));
    }
    let gpus: Vec<u32> = board.gpu_nodes().map(|node| node.os_index).collect();
    if !gpus.is_empty() {
        line.notes.push(format!(
            "{} memory of GPUs as the driver is loaded here. With NVreg_CoherentGPUMemoryMode=driver (an option of the module nvidia) the \
             driver manages it, as Kubernetes needs it: no pod gets it as main memory, and the kubelet has few NUMA nodes to try.",
            super::board::nodes_are(&gpus)
        ));
    }
    Ok(line)
}

fn iommu(line: &mut CommandLine, board: &Board<'_>) {
    if let Stated::Known(hypervisor) = &board.topology.machine().hypervisor {
        line.notes.push(format!(
            "This is a virtual machine ({}): how its devices' addresses are translated is decided on the host.",
            nvtopo::printable(hypervisor)
        ));
        return;
    }
    let why = "where the IOMMU is on, GPUs and NICs reach memory and each other without translation of addresses: translation slows GPUDirect and peer-to-peer down or breaks it";
    match board.processor() {
        Some(Processor::X86) => line.add("iommu=pt", why),
        Some(Processor::Arm) => line.add("iommu.passthrough=1", format!("{why} (on Arm, what iommu=pt is on x86)")),
        None => line.notes.push(
            "The processors are unknown here: on x86 add iommu=pt, on Arm iommu.passthrough=1, so that GPUs and NICs reach memory \
             without translation."
                .to_owned(),
        ),
    }
}

fn huge_pages(line: &mut CommandLine, board: &Board<'_>, options: &ConfigOptions) -> Result<()> {
    let nodes: Vec<u32> =
        board.cpu_nodes().filter(|node| node.memory != Some(0)).map(|node| node.os_index).collect();
    if options.huge_pages.is_empty() {
        return Ok(());
    }
    if nodes.is_empty() {
        return Err(Error::unsatisfiable("no NUMA node is known here to set huge pages aside on")
            .help("leave them out, or read the topology on the machine itself"));
    }
    for need in &options.huge_pages {
        let Some(size) = page_size(need.size) else {
            return Err(Error::request(format!("there are no huge pages of {}", need.size))
                .help("there are 2MiB and 1GiB on x86; 64KiB, 2MiB, 32MiB, 512MiB, 1GiB and 16GiB on Arm"));
        };
        let counts: Vec<String> = nodes.iter().map(|node| format!("{node}:{}", need.count)).collect();
        line.add(format!("hugepagesz={size}"), "the size of the pages that follow");
        line.add(
            format!("hugepages={}", counts.join(",")),
            format!("{} on each NUMA node, set aside at boot while memory is in one piece (kernel 5.16 and later)", need.count),
        );
    }
    Ok(())
}

/// A size as the kernel spells it.
fn page_size(size: Bytes) -> Option<&'static str> {
    const SIZES: [(u64, &str); 6] = [
        (64 << 10, "64K"),
        (2 << 20, "2M"),
        (32 << 20, "32M"),
        (512 << 20, "512M"),
        (1 << 30, "1G"),
        (16 << 30, "16G"),
    ];
    SIZES.into_iter().find(|(bytes, _)| *bytes == size.0).map(|(_, word)| word)
}
