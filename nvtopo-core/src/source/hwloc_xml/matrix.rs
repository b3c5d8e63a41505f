//! Matrices between objects: latencies between NUMA nodes, bandwidths between GPUs. The first version writes them inside
//! an object and by a factor, later ones at the end of the file.

use super::element::Element;
use super::objects::Objects;
use crate::error::Result;
use std::collections::BTreeMap;

/// Values between objects, of which each has a word for its type and a number.
pub(super) struct Matrix<'a> {
    pub(super) ends: Vec<(&'a str, u64)>,
    values: Vec<u64>,
}

/// hwloc's mark of a matrix of latencies.
const LATENCY: u64 = 4;

/// hwloc's name for the matrix of NVLinks.
const NVLINK: &str = "NVLinkBandwidth";

impl<'a> Matrix<'a> {
    /// A value by the positions of its ends.
    pub(super) fn value(&self, from: usize, to: usize) -> u64 {
        self.values[from * self.ends.len() + to]
    }

    /// Reads a matrix of the second version or later.
    fn read(element: Element<'a, '_>) -> Result<Self> {
        let words = |name| {
            let texts = element.below(name).filter_map(|part| part.0.text());
            texts.flat_map(str::split_whitespace)
        };
        let kind = element.kind();
        let bad = |what: &str| element.error(format!("the matrix {what}"));
        let mut ends = Vec::new();
        for word in words("indexes") {
            // Objects of several types are told each with its own.
            let (kind, number) = word.split_once(':').unwrap_or((kind, word));
            let number = number.parse().map_err(|_| bad(&format!("names '{}'", short(word))))?;
            ends.push((kind, number));
        }
        let mut values = Vec::new();
        for word in words("u64values") {
            values.push(word.parse().map_err(|_| bad(&format!("holds '{}', not a number", short(word))))?);
        }
        let stated = element.number("nbobjs")?;
        if stated.is_some_and(|stated| stated != ends.len() as u64)
            || ends.len().checked_mul(ends.len()) != Some(values.len())
        {
            let (objects, values) = (ends.len(), values.len());
            return Err(bad(&format!("of {objects} objects holds {values} values")));
        }
        Ok(Self { ends, values })
    }
}

fn short(word: &str) -> String {
    word.chars().take(40).collect()
}

/// The bandwidths of NVLinks in MB/s, if the file tells them.
pub(super) fn nvlinks<'a>(topology: Element<'a, '_>) -> Result<Option<Matrix<'a>>> {
    let mut matrices = matrices(topology).filter(|matrix| matrix.text("name") == Some(NVLINK));
    matrices.next().map(Matrix::read).transpose()
}

/// The distances between NUMA nodes: from, to, distance, sorted.
pub(super) fn distances(
    topology: Element<'_, '_>,
    objects: &Objects<'_, '_>,
) -> Result<Vec<(u32, u32, u32)>> {
    let by_gp: BTreeMap<u64, u32> =
        objects.nodes.iter().filter_map(|node| Some((node.element.gp()?, node.os_index))).collect();
    for element in matrices(topology).filter(|matrix| matrix.kind() == "NUMANode") {
        if element.number("kind")?.is_none_or(|kind| kind & LATENCY == 0) {
            continue;
        }
        let matrix = Matrix::read(element)?;
        let by_os_index = element.text("indexing") == Some("os");
        let number = |end: &(&str, u64)| {
            if by_os_index { u32::try_from(end.1).ok() } else { by_gp.get(&end.1).copied() }
        };
        let numbers: Vec<Option<u32>> = matrix.ends.iter().map(number).collect();
        return triples(objects, element, &numbers, |from, to| u32::try_from(matrix.value(from, to)).ok());
    }
    first_version(objects)
}

fn matrices<'a, 'd>(topology: Element<'a, 'd>) -> impl Iterator<Item = Element<'a, 'd>> {
    topology
        .elements()
        .filter(|element| matches!(element.0.tag_name().name(), "distances2" | "distances2hetero"))
}

fn triples(
    objects: &Objects<'_, '_>,
    element: Element<'_, '_>,
    numbers: &[Option<u32>],
    value: impl Fn(usize, usize) -> Option<u32>,
) -> Result<Vec<(u32, u32, u32)>> {
    let known: Vec<(usize, u32)> =
        numbers.iter().enumerate().filter_map(|(place, number)| Some((place, (*number)?))).collect();
    let known: Vec<(usize, u32)> =
        known.into_iter().filter(|(_, number)| objects.numbers().contains(*number)).collect();
    let mut triples = Vec::new();
    for (from, a) in &known {
        for (to, b) in known.iter().filter(|(to, _)| to != from) {
            let distance = value(*from, *to);
            let distance =
                distance.ok_or_else(|| element.error("the matrix holds a distance that is none"))?;
            triples.push((*a, *b, distance));
        }
    }
    triples.sort_unstable();
    if let Some(twice) = triples.windows(2).find(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1)) {
        return Err(element.error(format!("the matrix names NUMA node {} twice", twice[0].1)));
    }
    Ok(triples)
}

/// `<distances>` in the root: latencies between the objects of a depth, as multiples of a base.
fn first_version(objects: &Objects<'_, '_>) -> Result<Vec<(u32, u32, u32)>> {
    let Some(element) = objects.root.below("distances").find(|matrix| is_of_nodes(objects, *matrix)) else {
        return Ok(Vec::new());
    };
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<f64>().ok());
    let base = number(element.text("latency_base")).unwrap_or(1.0);
    let values: Vec<Option<f64>> =
        element.below("latency").map(|value| number(value.text("value"))).collect();
    let count = objects.nodes.len();
    if values.len() != count * count {
        return Err(element.error(format!("the matrix of {count} NUMA nodes holds {} values", values.len())));
    }
    let numbers: Vec<Option<u32>> = objects.nodes.iter().map(|node| Some(node.os_index)).collect();
    triples(objects, element, &numbers, |from, to| {
        let value = (values[from * count + to]? * base).round();
        (0.0..=f64::from(u32::MAX)).contains(&value).then_some(value as u32)
    })
}

/// Whether a matrix of the first version is about NUMA nodes: they are that many levels below.
fn is_of_nodes(objects: &Objects<'_, '_>, matrix: Element<'_, '_>) -> bool {
    let attribute = |name| matrix.number(name).ok().flatten();
    let Some(depth) = attribute("relative_depth").filter(|depth| *depth < 64) else { return false };
    let first = |object: Element<'_, '_>| object.below("object").next().map(|object| object.0.id());
    let mut object = Some(objects.root.0.id());
    for _ in 0..depth {
        object = object
            .and_then(|id| objects.root.0.document().get_node(id))
            .and_then(|node| first(Element(node)));
    }
    let found = object.and_then(|id| objects.root.0.document().get_node(id));
    let is_node = found.is_some_and(|node| matches!(Element(node).kind(), "NUMANode" | "Node"));
    is_node && attribute("nbobjs") == Some(objects.nodes.len() as u64)
}
