//! Each machine and each fault that is discovered here is taken as a snapshot too: it replays to the same topology,
//! and redacted, it holds no serial number and no UUID.

use nvtopo::Topology;
use nvtopo::model::NodeKind;
use nvtopo::source::{Live, Redaction};
use std::io::Read;

/// Compares what was discovered with its snapshots. The driver is asked again for each.
pub(crate) fn check(live: &Live, found: &Topology) {
    let bytes = live.snapshot(Redaction::None).unwrap().to_bytes().unwrap();
    let replayed = Topology::parse("snapshot", &bytes).unwrap();
    assert!(replayed == *found, "found:\n{}\nreplayed:\n{}", found.to_json(), replayed.to_json());

    let bytes = live.snapshot(Redaction::Identifiers).unwrap().to_bytes().unwrap();
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut unpacked).unwrap();
    let unpacked = String::from_utf8_lossy(&unpacked).to_lowercase();
    for secret in identifiers(found) {
        assert!(!unpacked.contains(&secret.to_lowercase()), "{secret} is in the redacted snapshot");
    }
    let redacted = Topology::parse("snapshot", &bytes).unwrap();
    let text = |topology| serde_json::to_string_pretty(&without_identifiers(topology)).unwrap();
    let (own, expected) = (text(&redacted), text(found));
    let differs = own.lines().zip(expected.lines()).find(|(own, expected)| own != expected);
    assert!(own == expected, "{differs:?}");
    // Identifiers that differed still differ.
    assert_eq!(identifiers(&redacted).len(), identifiers(found).len() - serials(found));
}

fn identifiers(topology: &Topology) -> Vec<String> {
    let of_node = |kind: &NodeKind| match kind {
        NodeKind::Gpu(gpu) => {
            let cluster = gpu.fabric.as_ref().and_then(|fabric| fabric.cluster.clone());
            vec![gpu.uuid.map(|uuid| uuid.to_string()), gpu.serial.clone(), cluster]
        }
        NodeKind::GpuInstance(instance) => vec![instance.uuid.clone()],
        _ => Vec::new(),
    };
    let mut all: Vec<String> = topology.nodes().flat_map(|(_, node)| of_node(&node.kind)).flatten().collect();
    all.sort();
    all.dedup();
    all
}

fn serials(topology: &Topology) -> usize {
    let serials: std::collections::BTreeSet<_> =
        topology.gpus().filter_map(|gpu| gpu.serial.as_ref()).collect();
    serials.len()
}

/// Returns the document without identifiers, without the word that one was learned, and without the directories of
/// libraries, which people name.
fn without_identifiers(topology: &Topology) -> serde_json::Value {
    fn clear(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                for name in ["uuid", "serial", "cluster"] {
                    fields.shift_remove(name);
                }
                fields.values_mut().for_each(clear);
            }
            serde_json::Value::String(text) => {
                let plain = |word: &str| match word.rsplit_once('/') {
                    Some((_, name)) if name.contains(".so") => name.to_owned(),
                    _ => word.to_owned(),
                };
                *text = text.split(' ').map(plain).collect::<Vec<_>>().join(" ");
            }
            serde_json::Value::Array(elements) => {
                elements.retain(|element| element["fact"] != "serial number");
                elements.iter_mut().for_each(clear);
            }
            _ => {}
        }
    }
    let mut document = serde_json::from_str(&topology.to_json()).unwrap();
    clear(&mut document);
    document
}
