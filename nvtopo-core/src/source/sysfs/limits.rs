//! The CPUs and NUMA nodes that the reader of a machine may use: its cpuset (cgroup v2, v1, or the older cpuset file
//! system).
//!
//! The affinity of a thread is not here: it differs between the processes of a job, which must all see one machine.
//! Memory has no affinity, so that `/proc/self/status` shows the limits of the cpuset; it is read live and in snapshots
//! only, since the one in a copied tree belongs to the process that copied it.

use super::tree::Tree;
use crate::cpuset::{CpuSet, NodeSet};

/// The CPUs and nodes that may be used. `None`: all of them, or it is unknown.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    pub(super) cpus: Option<CpuSet>,
    pub(super) nodes: Option<NodeSet>,
}

/// A mounted hierarchy that limits CPUs, and the names of its files.
struct Mount {
    folder: String,
    prefix: &'static str,
    suffix: &'static str,
}

impl Mount {
    fn v2(folder: &str) -> Self {
        Self { folder: relative(folder), prefix: "cpuset.", suffix: ".effective" }
    }

    fn v1(folder: &str) -> Self {
        Self { folder: relative(folder), prefix: "cpuset.", suffix: "" }
    }

    fn cpuset(folder: &str) -> Self {
        Self { folder: relative(folder), prefix: "", suffix: "" }
    }

    fn file(&self, group: &str, what: &str) -> String {
        let slash = if group.is_empty() { "" } else { "/" };
        format!("{}{slash}{group}/{}{what}{}", self.folder, self.prefix, self.suffix)
    }
}

/// Reads the limits, within the CPUs and nodes that exist.
pub(super) fn read(tree: &Tree, cpus: &CpuSet, nodes: &NodeSet) -> Allowed {
    let cpuset = from_cpuset(tree);
    let nodes_now = if tree.is_own() { allowed_memory(tree) } else { None };
    // An empty set cannot hold a process: it says nothing about this one.
    let allowed_cpus = cpuset.cpus.map(|set| set.intersection(cpus));
    let allowed_nodes = nodes_now.or(cpuset.nodes).map(|set| set.intersection(nodes));
    Allowed {
        cpus: allowed_cpus.filter(|set| !set.is_empty() && set != cpus),
        nodes: allowed_nodes.filter(|set| !set.is_empty() && set != nodes),
    }
}

fn allowed_memory(tree: &Tree) -> Option<NodeSet> {
    let status = tree.text("proc/self/status")?;
    status.lines().find_map(|line| line.strip_prefix("Mems_allowed_list:"))?.parse().ok()
}

fn from_cpuset(tree: &Tree) -> Allowed {
    let found = group(tree).and_then(|group| Some((mount(tree)?, group)));
    let Some((mount, group)) = found else { return Allowed::default() };
    let read = |what: &str| {
        ancestors(&group)
            .find_map(|group| tree.text(&mount.file(group, what)).filter(|text| !text.is_empty()))
    };
    Allowed {
        cpus: read("cpus").and_then(|list| list.parse().ok()),
        nodes: read("mems").and_then(|list| list.parse().ok()),
    }
}

/// Returns the group and those that contain it: a group without limits of its own has those of the one above.
fn ancestors(group: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(group), |group| {
        (!group.is_empty()).then(|| group.rsplit_once('/').map_or("", |(above, _)| above))
    })
}

/// Finds the hierarchy with CPU limits: in the usual places, else by `/proc/mounts`.
fn mount(tree: &Tree) -> Option<Mount> {
    let usual = [
        ("sys/fs/cgroup/cpuset.cpus.effective", Mount::v2("sys/fs/cgroup")),
        ("sys/fs/cgroup/cpuset/cpuset.cpus", Mount::v1("sys/fs/cgroup/cpuset")),
        ("dev/cpuset/cpus", Mount::cpuset("dev/cpuset")),
    ];
    let found = usual.into_iter().find(|(probe, _)| tree.text(probe).is_some());
    found.map(|(_, mount)| mount).or_else(|| {
        let mounts = tree.text("proc/mounts")?;
        mounts.lines().find_map(|line| mount_of_line(tree, line))
    })
}

/// A mounted hierarchy of control groups, by its line in a list of mounts: `DEVICE FOLDER TYPE OPTIONS …`.
pub(in crate::source) struct Hierarchy<'a> {
    /// Its folder, from the root on.
    pub(in crate::source) folder: String,
    /// `cpuset`, `cgroup` or `cgroup2`.
    pub(in crate::source) kind: &'a str,
    pub(in crate::source) options: &'a str,
}

impl<'a> Hierarchy<'a> {
    pub(in crate::source) fn of_line(line: &'a str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (folder, kind) = (fields.next()?, fields.next()?);
        // Spaces and the like are written as octal escapes.
        let folder = folder.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
        let (folder, options) = (relative(&folder), fields.next().unwrap_or_default());
        matches!(kind, "cpuset" | "cgroup" | "cgroup2").then_some(Self { folder, kind, options })
    }
}

fn mount_of_line(tree: &Tree, line: &str) -> Option<Mount> {
    let Hierarchy { folder, kind, options } = Hierarchy::of_line(line)?;
    let option = |name: &str| options.split(',').any(|option| option == name);
    match kind {
        "cpuset" => Some(Mount::cpuset(&folder)),
        "cgroup" if option("cpuset") && option("noprefix") => Some(Mount::cpuset(&folder)),
        "cgroup" if option("cpuset") => Some(Mount::v1(&folder)),
        "cgroup2" => {
            let controllers = tree.text(&format!("{folder}/cgroup.controllers"))?;
            controllers.split_whitespace().any(|name| name == "cpuset").then(|| Mount::v2(&folder))
        }
        _ => None,
    }
}

/// Returns the group of the reader, without slashes around it; the top is the empty name.
fn group(tree: &Tree) -> Option<String> {
    let cpuset = tree.text("proc/self/cpuset").filter(|group| !group.is_empty());
    let name = cpuset.or_else(|| {
        let groups = tree.text("proc/self/cgroup")?;
        groups.lines().find_map(group_of).map(str::to_owned)
    })?;
    Some(parts_of(&name).collect::<Vec<_>>().join("/"))
}

/// Returns the group of a line that is of a hierarchy with CPUs: `9:cpuset:/name` in version 1, `0::/name` in version
/// 2.
pub(in crate::source) fn group_of(line: &str) -> Option<&str> {
    let (controllers, name) = line.split_once(':')?.1.split_once(':')?;
    let ours = controllers.is_empty() || controllers.split(',').any(|name| name == "cpuset");
    ours.then_some(name)
}

/// Returns the names of a group and those that contain it. A group outside our name space starts with `..`; what is
/// mounted is then the nearest that we see.
pub(in crate::source) fn parts_of(group: &str) -> impl Iterator<Item = &str> {
    group.split('/').filter(|part| !part.is_empty() && *part != "..")
}

fn relative(folder: &str) -> String {
    folder.trim_matches('/').to_owned()
}
