//! hwloc's synthetic string (`lstopo -i "Package:2 …"`): the levels of a machine that is alike everywhere. Devices, and the
//! memory of GPUs, have no words in it.

use super::super::writers::{WriteOptions, Written};
use super::write::cache_name;
use super::write::objects::{Kind, Object, Tree};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{CacheKind, Note, NoteCode, NoteKind, NumaNode, Topology};

/// Writes the string.
///
/// Errors where the machine is not alike everywhere: the string has one number for each level.
pub(in super::super) fn write(topology: &Topology, _options: &WriteOptions) -> Result<Written> {
    let tree = Tree::build(topology, &[])?;
    let mut remarks = tree.remarks.clone();
    let mut words = Vec::new();
    let mut level = vec![0];
    memory(&tree, &level, &mut words, &mut remarks)?;
    while let Some(next) = below(&tree, &level)? {
        let count = tree.objects[level[0]].children.len();
        let objects = || next.iter().map(|at| &tree.objects[*at]);
        words.push(format!("{}:{count}{}", name(tree.objects[next[0]].kind), own(objects)));
        level = next;
        memory(&tree, &level, &mut words, &mut remarks)?;
    }
    let mut written = Written::new(words.join(" ") + "\n");
    for remark in remarks {
        written.note(Note::new(NoteKind::Unknown, remark));
    }
    let gpus = tree.memory.iter().filter(|memory| memory.of_gpu).count();
    if gpus > 0 {
        let text = format!("{gpus} NUMA nodes that are memory of GPUs were left out");
        written.note(Note::new(NoteCode::NotExpressed, text));
    }
    if !topology.devices().is_empty() {
        let text = "GPUs and NICs were left out: the string has no words for devices";
        written.note(Note::new(NoteCode::NotExpressed, text));
    }
    Ok(written)
}

/// Returns the objects below those of a level. `None` below PUs.
fn below(tree: &Tree<'_>, level: &[usize]) -> Result<Option<Vec<usize>>> {
    let first = &tree.objects[level[0]];
    let next: Vec<usize> = level.iter().flat_map(|at| tree.objects[*at].children.iter().copied()).collect();
    if let Some(other) = level.iter().find(|at| tree.objects[**at].children.len() != first.children.len()) {
        let count = |object: &Object<'_>| {
            let kind = object.children.first().map_or("objects", |child| name(tree.objects[*child].kind));
            format!("{} {kind}", object.children.len())
        };
        let (own, far) = (count(first), count(&tree.objects[*other]));
        return Err(uneven(&format!(
            "the {} with CPU {} has {far} below it, and another has {own}",
            name(first.kind),
            tree.objects[*other].cpus.first().unwrap_or_default()
        )));
    }
    let Some(kind) = next.first().map(|at| name(tree.objects[*at].kind)) else { return Ok(None) };
    if let Some(other) = next.iter().map(|at| name(tree.objects[*at].kind)).find(|other| *other != kind) {
        return Err(uneven(&format!("some CPUs are in a {kind} where others are in a {other}")));
    }
    Ok(Some(next))
}

/// Adds the NUMA nodes of a level.
fn memory(
    tree: &Tree<'_>,
    level: &[usize],
    words: &mut Vec<String>,
    remarks: &mut Vec<String>,
) -> Result<()> {
    let of = |at: &usize| -> Vec<&NumaNode> {
        let all = tree.objects[*at].memory.iter().map(|memory| &tree.memory[*memory]);
        all.filter(|memory| !memory.of_gpu).map(|memory| &memory.node).collect()
    };
    let nodes: Vec<Vec<&NumaNode>> = level.iter().map(of).collect();
    let count = nodes[0].len();
    if let Some(other) = nodes.iter().find(|own| own.len() != count) {
        let kind = name(tree.objects[level[0]].kind);
        return Err(uneven(&format!("one {kind} has {count} NUMA nodes, another {}", other.len())));
    }
    for place in 0..count {
        let all = || nodes.iter().map(|own| own[place]);
        let size = nodes[0][place].memory.filter(|memory| *memory > 0);
        if all().any(|node| node.memory.filter(|memory| *memory > 0) != size) {
            remarks.push("NUMA nodes differ in memory; the string tells that of the first".to_owned());
        }
        let size = size.map(|size| format!("memory={size}"));
        // Several nodes of one object are numbered one after another, which the kernel need not do.
        let numbers = indexes(all().map(|node| node.os_index)).filter(|_| count == 1);
        words.push(format!("[NUMANode{}]", list(size.into_iter().chain(numbers))));
    }
    Ok(())
}

/// Returns the attributes of a level: the size of caches, the kernel's numbers of PUs.
fn own<'t, I: Iterator<Item = &'t Object<'t>>>(objects: impl Fn() -> I) -> String {
    let sizes = || {
        objects().map(|object| match object.kind {
            Kind::Cache { size, .. } => size,
            _ => None,
        })
    };
    let first = sizes().next().flatten().filter(|first| sizes().all(|size| size == Some(*first)));
    let size = first.map(|size| format!("size={size}"));
    let number = |object: &Object<'_>| match object.kind {
        Kind::Pu { os_index } => Some(os_index),
        _ => None,
    };
    let numbers: Option<Vec<u32>> = objects().map(number).collect();
    list(size.into_iter().chain(numbers.and_then(|numbers| indexes(numbers.into_iter()))))
}

/// Returns the kernel's numbers, where they are not those by place.
fn indexes(numbers: impl Iterator<Item = u32> + Clone) -> Option<String> {
    if numbers.clone().zip(0..).all(|(number, place)| number == place) {
        return None;
    }
    let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
    Some(format!("indexes={}", numbers.join(",")))
}

fn list(attributes: impl Iterator<Item = String>) -> String {
    let attributes: Vec<String> = attributes.collect();
    if attributes.is_empty() { String::new() } else { format!("({})", attributes.join(" ")) }
}

fn name(kind: Kind<'_>) -> &'static str {
    match kind {
        Kind::Machine => "Machine",
        Kind::Package { .. } => "Package",
        Kind::Group(crate::model::GroupKind::Die) => "Die",
        Kind::Group(_) | Kind::MemoryGroup | Kind::IoGroup => "Group",
        Kind::Cache { level: 1, kind: CacheKind::Data | CacheKind::Unified, .. } => "L1dCache",
        Kind::Cache { level, kind, .. } => cache_name(level, kind == CacheKind::Instruction),
        Kind::Core { .. } => "Core",
        Kind::Pu { .. } => "PU",
    }
}

fn uneven(reason: &str) -> Error {
    let text =
        format!("the machine is not alike everywhere, which hwloc's synthetic string demands: {reason}");
    Error::new(ErrorKind::Unsatisfiable, text).help("write hwloc-xml instead")
}
