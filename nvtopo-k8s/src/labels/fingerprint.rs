//! The structural fingerprint: a number that nodes of equal structure share, whatever their bus numbers and the order of
//! their devices.
//!
//! It is made of what `nvidia-smi topo -m` prints, so that a saved text and the live machine agree: the class of each path
//! between two GPUs with its number of NVLinks, the class of each path from a GPU to a NIC, and which GPUs share a NUMA node.
//! It is the colour refinement of Weisfeiler and Leman: each device has a colour, which takes in the colours of all others with the
//! edges to them, until nothing is told apart any more. Each GPU is also told apart by itself once, so that regular meshes that
//! refinement alone takes for equal differ.

use super::Value;
use nvtopo::Topology;
use nvtopo::model::Stated;
use sha2::{Digest, Sha256};

/// Machines of more GPUs are refined without telling each GPU apart: those are made of equal parts.
const MOST_TOLD_APART: usize = 32;
/// The most devices whose fingerprint is made; the work grows with the square of their number.
const MOST_DEVICES: usize = 256;
/// The most rounds of refinement: enough for any machine that is built, and a bound for long chains.
const MOST_ROUNDS: usize = 16;
/// The length in hexadecimal digits: enough that no two classes of a fleet share one by chance.
const DIGITS: usize = 16;

/// A colour, or the kind of an edge.
type Colour = [u8; 16];

/// The fingerprint of a machine.
pub(super) fn of(topology: &Topology) -> Value {
    let (gpus, count) = (topology.gpus().len(), topology.devices().len());
    if gpus == 0 {
        return Err("there is no GPU");
    }
    if count > MOST_DEVICES {
        return Err("there are more devices than are compared");
    }
    let nodes: Vec<Option<Vec<u32>>> = (0..gpus)
        .map(|gpu| match topology.local_nodes(topology.devices()[gpu]) {
            Stated::Known(nodes) => Some(nodes.iter().collect()),
            _ => None,
        })
        .collect();
    let edge = |a: usize, b: usize| {
        let pair = topology.pairs().pair(a, b);
        let near = match (nodes.get(a), nodes.get(b)) {
            (Some(Some(a)), Some(Some(b))) => u8::from(a == b),
            _ => 2,
        };
        let path = pair.path.map_or("?", |path| path.word());
        hash(&[path.as_bytes(), &pair.nvlinks.to_le_bytes(), &[near]])
    };
    let edges: Vec<Colour> = (0..count * count).map(|pair| edge(pair / count, pair % count)).collect();
    // NICs among one another are not printed in full by all versions.
    let counts = |a: usize, b: usize| a != b && (a < gpus || b < gpus);
    let start: Vec<Colour> = (0..count).map(|device| hash(&[&[u8::from(device < gpus)]])).collect();
    let refine = |colours: Vec<Colour>| refined(colours, |a, b| counts(a, b).then(|| edges[a * count + b]));
    let mut seen = vec![summary(&refine(start.clone()))];
    if gpus <= MOST_TOLD_APART {
        seen.extend((0..gpus).map(|gpu| {
            let mut colours = start.clone();
            colours[gpu] = hash(&[b"apart"]);
            summary(&refine(colours))
        }));
    }
    let number = summary(&seen);
    Ok(format!("{:032x}", u128::from_be_bytes(number))[..DIGITS].to_owned())
}

/// The colours once nothing more is told apart.
fn refined(mut colours: Vec<Colour>, edge: impl Fn(usize, usize) -> Option<Colour>) -> Vec<Colour> {
    let mut kinds = different(&colours);
    for _ in 0..MOST_ROUNDS {
        let next = |device: usize| {
            let mut around: Vec<(Colour, Colour)> =
                (0..colours.len()).filter_map(|other| Some((edge(device, other)?, colours[other]))).collect();
            around.sort_unstable();
            let around: Vec<u8> =
                around.into_iter().flat_map(|(edge, colour)| [edge, colour].concat()).collect();
            hash(&[&colours[device], &around])
        };
        colours = (0..colours.len()).map(next).collect();
        let now = different(&colours);
        if now == kinds {
            break;
        }
        kinds = now;
    }
    colours
}

fn different(colours: &[Colour]) -> usize {
    let mut sorted = colours.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len()
}

/// One colour for all of them, in any order.
fn summary(colours: &[Colour]) -> Colour {
    let mut sorted = colours.to_vec();
    sorted.sort_unstable();
    hash(&[&sorted.concat()])
}

fn hash(parts: &[&[u8]]) -> Colour {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    let mut colour = Colour::default();
    colour.copy_from_slice(&digest.finalize()[..16]);
    colour
}
