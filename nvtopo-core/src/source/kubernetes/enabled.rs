//! The reader: finds the objects in a text, and those of the one node that they have to be of.

use super::slices::{self, Slice};
use super::tree::{self, Node};
use super::{devices, zones};
use crate::error::{Error, Result};
use crate::model::{Fragment, Note, NoteCode, Provenance};
use crate::source::text;
use crate::units::{self, count_of};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Heads for a text that was cut out of an object: each opens what its first line stands in, as `kubectl` indents it.
const HEADS: [&str; 7] = [
    "devices:\n",
    "spec:\n  devices:\n",
    "items:\n- spec:\n    devices:\n",
    "spec:\n  devices:\n  - attributes:\n",
    "items:\n- spec:\n    devices:\n    - attributes:\n",
    "spec:\n  devices:\n  - basic:\n      attributes:\n",
    "items:\n- spec:\n    devices:\n    - basic:\n        attributes:\n",
];

/// The nodes that a message names of many.
const NAMED: usize = 10;

/// Reads a text.
pub(super) fn read(bytes: &[u8]) -> Result<Fragment> {
    let (text, damage) = text::decode(bytes);
    let text = clean(&text);
    let (documents, is_cut) = documents(&text)?;
    let mut objects = Vec::new();
    for document in &documents {
        flatten(document, &mut objects);
    }
    let (mut found, mut topologies) = (Vec::new(), Vec::new());
    for object in objects {
        match object.get("kind").and_then(Node::text) {
            Some("ResourceSlice") => found.push(slices::read(object)?),
            None if slices::is_slice(object) => found.push(slices::read(object)?),
            Some("NodeResourceTopology") => topologies.push(object),
            None if object.get("zones").is_some() => topologies.push(object),
            _ => {}
        }
    }
    if found.is_empty() && topologies.is_empty() {
        return Err(Error::input("it holds no ResourceSlice and no NodeResourceTopology").at(1, 1));
    }
    let mut fragment = Fragment::new(Provenance::Kubernetes);
    fragment.set_nvlink_unknown();
    fragment.notes.extend(damage.map(|text| Note::new(NoteCode::Damage, text)));
    if is_cut {
        let text = "the text begins within an object, and what stood before is unknown";
        fragment.note(NoteCode::TextCut, text);
    }
    one_node(&found, &topologies)?;
    let found = slices::current(found, &mut fragment);
    let zones = zones::read(&topologies)?;
    let placed = devices::read(&found, &mut fragment)?;
    devices::add(&mut fragment, placed, zones);
    Ok(fragment)
}

/// Blanks the lines around the objects: fences of Markdown, prompts, and prose in front. Objects of JSON that follow each other
/// become documents.
fn clean(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut cleaned = String::with_capacity(text.len());
    let (mut has_begun, mut is_closed) = (false, false);
    let fenced = fenced(text);
    let mut blocks = fenced.iter().peekable();
    for line in text::lines(text) {
        let own = line.text.trim();
        while blocks.next_if(|block| block.end <= line.number).is_some() {}
        let is_outside = !fenced.is_empty() && blocks.peek().is_none_or(|block| line.number < block.start);
        if has_begun && blocks.peek().is_some_and(|block| line.number + 1 == block.start) {
            (is_closed, has_begun) = (false, false);
            cleaned.push_str("---");
        }
        let is_around =
            is_outside || own.starts_with("```") || own.starts_with("$ ") || own.starts_with("\u{279c} ");
        has_begun |= !is_around && begins(own);
        if has_begun && !is_around {
            if is_closed && line.text.starts_with('{') {
                cleaned.push_str("--- ");
            }
            cleaned.push_str(&line.text);
            is_closed = if own.is_empty() { is_closed } else { own.ends_with('}') };
        }
        cleaned.push('\n');
    }
    cleaned
}

/// Returns the lines inside the fences of Markdown that hold objects. None where objects stand outside of fences too.
fn fenced(text: &str) -> Vec<Range<usize>> {
    let holds = |text: &str| super::KINDS.iter().any(|kind| super::has_kind(text, kind));
    let (mut blocks, mut outside, mut block) = (Vec::new(), String::new(), String::new());
    let mut start = None;
    let mut end = 1;
    for line in text::lines(text) {
        end = line.number + 1;
        if line.text.trim_start().starts_with("```") {
            match start.take() {
                Some(start) if holds(&block) => blocks.push(start..line.number),
                Some(_) => {}
                None => start = Some(line.number + 1),
            }
            block.clear();
            continue;
        }
        let own = if start.is_some() { &mut block } else { &mut outside };
        own.push_str(&line.text);
        own.push('\n');
    }
    blocks.extend(start.filter(|_| holds(&block)).map(|start| start..end));
    if holds(&outside) { Vec::new() } else { blocks }
}

/// Returns whether an object may begin with a line: a key, a document, or JSON.
fn begins(line: &str) -> bool {
    let is_key = |key: &str| {
        !key.is_empty()
            && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '-' | '_'))
    };
    let key = line.trim_start_matches(['-', ' ']).split_once(':');
    line.starts_with(['{', '[', '%'])
        || line.starts_with("---")
        || key.is_some_and(|(key, rest)| {
            is_key(key.trim_matches('"')) && (rest.is_empty() || rest.starts_with(' '))
        })
}

/// Reads the documents. True: the first begins within an object.
fn documents(text: &str) -> Result<(Vec<Node>, bool)> {
    let has_objects = |documents: &[Node]| {
        let mut objects = Vec::new();
        for document in documents {
            flatten(document, &mut objects);
        }
        objects.iter().any(|object| object.get("kind").is_some() || slices::is_slice(object))
    };
    let read = tree::read(text, 0);
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let is_within = first.starts_with([' ', '-']) && !first.starts_with("---");
    if is_within && !read.as_ref().is_ok_and(|documents| has_objects(documents)) {
        for head in HEADS {
            let headed = tree::read(&format!("{head}{text}"), head.lines().count());
            if let Ok(documents) = headed
                && documents.first().is_some_and(slices::begins_within)
            {
                return Ok((documents, true));
            }
        }
    }
    read.map(|documents| (documents, false))
}

/// Lists the objects of a document: itself, the items of a list, or of a list that an object holds.
fn flatten<'a>(document: &'a Node, objects: &mut Vec<&'a Node>) {
    match document.items().or_else(|| document.get("items")?.items()) {
        Some(items) => objects.extend(items),
        None => objects.push(document),
    }
}

/// Errors where the objects are of several nodes, or of a node and of nobody knows which.
fn one_node(slices: &[Slice<'_>], topologies: &[&Node]) -> Result<()> {
    let of_slices = slices.iter().flat_map(Slice::nodes);
    let names =
        topologies.iter().map(|object| (object.at(&["metadata", "name"]).and_then(Node::text), *object));
    let mut nodes: BTreeMap<&str, &Node> = BTreeMap::new();
    let mut unnamed = None;
    for (name, at) in of_slices.chain(names) {
        match name {
            Some(name) => _ = nodes.entry(name).or_insert(at),
            None => unnamed = Some(at),
        }
    }
    let help = "give the objects of one node: kubectl get resourceslices --field-selector spec.nodeName=NAME -o yaml, \
                kubectl get noderesourcetopologies NAME -o yaml";
    if let Some(second) = nodes.values().nth(1) {
        let names: Vec<String> = nodes.keys().map(|name| (*name).to_owned()).collect();
        let text = format!("these are {}: {}", count_of(names.len(), "node"), units::listed(&names, NAMED));
        return Err(second.error(text).help(help));
    }
    match (unnamed, nodes.keys().next()) {
        (Some(at), Some(name)) => {
            Err(at.error(format!("this object names no node, and others are of {name}")).help(help))
        }
        _ => Ok(()),
    }
}

/// Lists names, each once.
pub(super) fn listed(names: impl Iterator<Item = String>) -> String {
    let names: BTreeSet<String> = names.collect();
    units::several(&names.into_iter().collect::<Vec<_>>())
}
