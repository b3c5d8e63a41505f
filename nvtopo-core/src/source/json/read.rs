//! The reader: a fragment from the text, with the line and column of each error that the text alone shows.

use super::VERSION;
use super::document::{Body, Dialect, Document, Measured, Node, Origin, Read, Sets, Source};
use crate::error::{Error, Result};
use crate::model::identities::Duplicate;
use crate::model::{self, Fragment, NodeId, NodeKind};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The head of a document, of any version.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

/// Reads a document.
pub(super) fn read(bytes: &[u8]) -> Result<Fragment> {
    let head: Head = parse(bytes)?;
    if head.format != "nvtopo-topology" {
        let format: String = head.format.chars().take(40).collect();
        return Err(Error::input(format!("the document's format is '{format}', not nvtopo-topology")));
    }
    if head.version > u64::from(VERSION) {
        let version = head.version;
        return Err(Error::input(format!(
            "version {version} is later than the {VERSION} that this nvtopo reads"
        ))
        .help("use a newer nvtopo"));
    }
    if head.version == 0 {
        return Err(Error::input("there is no version 0 of the format"));
    }
    let document: Document = parse(bytes)?;
    fragment(document.topology)
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
        let text = match error.classify() {
            serde_json::error::Category::Eof => "the document ends too early",
            _ => text,
        };
        // serde_json counts columns from 0 at a line's start.
        Error::input(text).at(error.line(), error.column().max(1))
    })
}

fn fragment(body: Body) -> Result<Fragment> {
    let mut sets = Sets::default();
    let mut fragment = Fragment::new(body.source.read(&mut sets)?);
    fragment.origin = match body.origin {
        None => model::Origin::Unknown,
        Some(Origin::Preset(name)) => model::Origin::Preset(name),
        Some(Origin::Machine(identity)) => model::Origin::Machine(identity.read(&mut sets)?),
    };
    fragment.nvlink_known = body.nvlink_known;
    if let Some(Dialect::Soc) = body.dialect {
        fragment.dialect = model::Dialect::Soc;
    }
    let count = body.nodes.len();
    for (position, own) in body.nodes.into_iter().enumerate() {
        let node = node(own, body.source, position, &mut sets)
            .map_err(|error| Error::input(format!("nodes[{position}]: {error}")))?;
        if position == 0 { fragment.nodes[0] = node } else { fragment.nodes.push(node) }
    }
    if count == 0 {
        return Err(Error::input("nodes is empty: the machine at least must be there"));
    }
    check_identities(&fragment.nodes)?;
    for (position, link) in body.links.into_iter().enumerate() {
        let (a, b) = ends(link.between, count, "links", position)?;
        let (kind, rate) = (link.kind.read(&mut sets)?, link.rate.read(&mut sets)?);
        let (reported, redirects) = (link.reported_mb_per_s.read(&mut sets)?, link.redirects);
        fragment.link(a, b, model::Link { kind, lanes: link.lanes, rate, reported, redirects });
    }
    let mut seen = BTreeSet::new();
    for (position, path) in body.paths.into_iter().enumerate() {
        let (a, b) = pair(path.between, count, "paths", position, &mut seen)?;
        fragment.state_path(a, b, path.path.read(&mut sets)?);
    }
    let mut seen = BTreeSet::new();
    for (position, measured) in body.measured.into_iter().enumerate() {
        let (from, to) = ends((measured.from, measured.to), count, "measured", position)?;
        if !seen.insert((from, to)) {
            let Measured { from, to, .. } = measured;
            return Err(Error::input(format!("measured[{position}]: from {from} to {to} occurs twice")));
        }
        fragment.measure(from, to, measured.mb_per_s.0);
    }
    let mut seen = BTreeSet::new();
    for (position, p2p) in body.p2p.into_iter().enumerate() {
        let (a, b) = pair(p2p.between, count, "p2p", position, &mut seen)?;
        let (read, write) = (p2p.read.read(&mut sets)?, p2p.write.read(&mut sets)?);
        let (nvlink, atomics) = (p2p.nvlink.read(&mut sets)?, p2p.atomics.read(&mut sets)?);
        fragment.state_p2p(model::P2p { a, b, read, write, nvlink, atomics });
    }
    for note in body.notes {
        let kind: model::NoteKind = note.kind.read(&mut sets)?;
        let code = note.code.and_then(|code| code.parse::<model::NoteCode>().ok());
        let code = code.filter(|code| code.kind() == kind).unwrap_or_else(|| kind.into());
        fragment.note(code, note.text);
    }
    Ok(fragment)
}

fn node(node: Node, usual: Source, position: usize, sets: &mut Sets) -> Result<model::Node> {
    let machine = matches!(node, Node::Machine(_));
    if machine != (position == 0) {
        return Err(Error::input(format!("nodes[{position}]: the first node and no other is the machine")));
    }
    let (kind, (parent, source, learned)) = node.read(sets)?;
    if let NodeKind::NumaNode(numa) = &kind {
        let mut seen = BTreeSet::new();
        if let Some((twice, _)) = numa.distances.iter().find(|(to, _)| !seen.insert(*to)) {
            return Err(Error::input(format!("two distances to node {twice}")));
        }
    }
    if !machine && parent as usize >= position {
        return Err(Error::input(format!("the parent, {parent}, is not among the nodes before it")));
    }
    let parent = (!machine).then_some(NodeId(parent));
    let provenance = source.unwrap_or(usual).read(sets)?;
    Ok(model::Node { kind, parent, provenance, learned: learned.read(sets)? })
}

/// Errors where two devices have one UUID or PCI address.
fn check_identities(nodes: &[model::Node]) -> Result<()> {
    match model::identities::duplicates(nodes).first() {
        None => Ok(()),
        Some(Duplicate { identity, first, second }) => {
            let text = format!("nodes[{second}]: {identity} is that of nodes[{first}] too");
            Err(Error::input(text).help("each device has one of its own: correct the one that was copied"))
        }
    }
}

fn ends(between: (u32, u32), count: usize, list: &str, position: usize) -> Result<(NodeId, NodeId)> {
    let (a, b) = between;
    if let Some(outside) = [a, b].into_iter().find(|end| *end as usize >= count) {
        return Err(Error::input(format!(
            "{list}[{position}]: there is no node {outside}, but {count} nodes"
        )));
    }
    if a == b {
        return Err(Error::input(format!("{list}[{position}]: both ends are node {a}")));
    }
    Ok((NodeId(a), NodeId(b)))
}

/// Returns two nodes in any order, of which the list has named no such pair before.
fn pair(
    between: (u32, u32),
    count: usize,
    list: &str,
    position: usize,
    seen: &mut BTreeSet<(NodeId, NodeId)>,
) -> Result<(NodeId, NodeId)> {
    let (a, b) = ends(between, count, list, position)?;
    if seen.insert((a.min(b), a.max(b))) {
        return Ok((a, b));
    }
    let (a, b) = between;
    Err(Error::input(format!("{list}[{position}]: nodes {a} and {b} occur twice")))
}
