//! Matrices between objects: latencies between NUMA nodes, bandwidths between GPUs. The first version writes them
//! inside an object and by a factor, later ones at the end of the file.

use super::element::Element;
use super::objects::Objects;
use crate::error::Result;
use crate::model::LinkKind;
use std::collections::BTreeMap;

/// Values between objects, of which each has a word for its type and a number.
pub(super) struct Matrix<'a> {
    pub(super) ends: Vec<(&'a str, u64)>,
    values: Vec<u64>,
}

/// hwloc's mark of a matrix of latencies.
const LATENCY: u64 = 4;

/// hwloc's names for the matrices of links between GPUs.
pub(super) const FABRICS: [(LinkKind, &str); 2] =
    [(LinkKind::NvLink, "NVLinkBandwidth"), (LinkKind::Xgmi, "XGMIBandwidth")];

impl<'a> Matrix<'a> {
    /// Returns a value by the positions of its ends.
    pub(super) fn value(&self, from: usize, to: usize) -> u64 {
        self.values[from * self.ends.len() + to]
    }

    /// Reads a matrix of the second version or later.
    fn read(element: Element<'a>) -> Result<Self> {
        let kind = element.kind();
        let bad = |what: &str| element.error(format!("the matrix {what}"));
        let words = |part: Element<'a>| part.text().split_ascii_whitespace();
        let mut ends = Vec::new();
        for word in element.below("indexes").flat_map(words) {
            // In a matrix of several types, each object stands with its own.
            let (kind, number) = word.split_once(':').unwrap_or((kind, word));
            let number = number.parse().map_err(|_| bad(&format!("names '{}'", short(word))))?;
            ends.push((kind, number));
        }
        let mut values = Vec::with_capacity(ends.len());
        for part in element.below("u64values") {
            for word in words(part) {
                values
                    .push(word.parse().map_err(|_| bad(&format!("holds '{}', not a number", short(word))))?);
            }
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

/// Returns the bandwidths of the links between GPUs in MB/s, as far as the file has them.
pub(super) fn fabrics(topology: Element<'_>) -> Result<Vec<(LinkKind, Matrix<'_>)>> {
    let of = |(kind, name)| {
        let found = matrices(topology).find(|matrix| matrix.attribute("name") == Some(name))?;
        Some(Matrix::read(found).map(|matrix| (kind, matrix)))
    };
    FABRICS.into_iter().filter_map(of).collect()
}

/// Returns the distances between NUMA nodes: from, to, distance, sorted.
pub(super) fn distances(topology: Element<'_>, objects: &Objects<'_>) -> Result<Vec<(u32, u32, u32)>> {
    let by_gp: BTreeMap<u64, u32> =
        objects.nodes.iter().filter_map(|node| Some((node.element.gp()?, node.os_index))).collect();
    for element in matrices(topology).filter(|matrix| matrix.kind() == "NUMANode") {
        if element.number("kind")?.is_none_or(|kind| kind & LATENCY == 0) {
            continue;
        }
        let matrix = Matrix::read(element)?;
        let by_os_index = element.attribute("indexing") == Some("os");
        let number = |end: &(&str, u64)| {
            if by_os_index { u32::try_from(end.1).ok() } else { by_gp.get(&end.1).copied() }
        };
        let numbers: Vec<Option<u32>> = matrix.ends.iter().map(number).collect();
        return triples(objects, element, &numbers, |from, to| u32::try_from(matrix.value(from, to)).ok());
    }
    first_version(objects)
}

fn matrices(topology: Element<'_>) -> impl Iterator<Item = Element<'_>> {
    topology.children().filter(|element| element.is("distances2") || element.is("distances2hetero"))
}

fn triples(
    objects: &Objects<'_>,
    element: Element<'_>,
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

/// Reads `<distances>` in the root: latencies between the objects of a depth, as multiples of a base.
fn first_version(objects: &Objects<'_>) -> Result<Vec<(u32, u32, u32)>> {
    let matrices = || objects.root.below("distances").filter(|matrix| is_as_large(objects, *matrix));
    // hwloc 2 writes the first version with the depths of the second: then the size decides.
    let of_nodes = matrices().find(|matrix| is_of_nodes(objects, *matrix)).or_else(|| matrices().next());
    let Some(element) = of_nodes else { return Ok(Vec::new()) };
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<f64>().ok());
    let base = number(element.attribute("latency_base")).unwrap_or(1.0);
    let values: Vec<Option<f64>> =
        element.below("latency").map(|value| number(value.attribute("value"))).collect();
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

/// Returns whether a matrix of the first version is of as many objects as there are NUMA nodes.
fn is_as_large(objects: &Objects<'_>, matrix: Element<'_>) -> bool {
    let stated = matrix.number("nbobjs").ok().flatten();
    objects.nodes.len() > 1 && stated == Some(objects.nodes.len() as u64)
}

/// Returns whether a matrix of the first version is about NUMA nodes by its depth: they are that many levels below.
fn is_of_nodes(objects: &Objects<'_>, matrix: Element<'_>) -> bool {
    let depth = matrix.number("relative_depth").ok().flatten();
    let Some(depth) = depth.filter(|depth| *depth < 64) else { return false };
    let mut object = Some(objects.root);
    for _ in 0..depth {
        object = object.and_then(|object| object.below("object").next());
    }
    object.is_some_and(|object| matches!(object.kind(), "NUMANode" | "Node"))
}
