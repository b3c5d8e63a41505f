//! The writer: the document of a topology.

use super::VERSION;
use super::document::{
    Body, Dialect, Document, Format, Link, Measured, Node, Note, Origin, P2p, Path, Write,
};
use crate::model::{self, NodeId, Topology};

impl Document {
    /// Returns the document of a topology.
    pub(crate) fn of(topology: &Topology) -> Self {
        let source = topology.node(NodeId::MACHINE).provenance;
        let links = topology.links().map(|(a, b, link)| Link {
            between: (a.0, b.0),
            kind: link.kind.write(),
            lanes: link.lanes,
            rate: link.rate.write(),
            reported_mb_per_s: link.reported.write(),
            redirects: link.redirects,
        });
        let paths = topology.stated_paths().iter();
        let paths = paths.map(|path| Path { between: (path.a.0, path.b.0), path: path.path.write() });
        let measured = topology.measurements().iter().map(|measured| Measured {
            from: measured.from.0,
            to: measured.to.0,
            mb_per_s: measured.bandwidth.write(),
        });
        let p2p = topology.all_p2p().iter().map(|p2p| P2p {
            between: (p2p.a.0, p2p.b.0),
            read: p2p.read.write(),
            write: p2p.write.write(),
            nvlink: p2p.nvlink.write(),
            atomics: p2p.atomics.write(),
        });
        let notes = topology.notes().iter();
        let notes = notes.map(|note| Note {
            kind: note.kind().write(),
            code: Some(note.code().name().to_owned()),
            text: note.text.clone(),
        });
        let topology = Body {
            origin: origin(topology.origin()),
            source: source.write(),
            dialect: (topology.dialect() == model::Dialect::Soc).then_some(Dialect::Soc),
            nvlink_known: topology.nvlink_known(),
            nodes: topology.nodes().map(|(_, own)| node(own, source)).collect(),
            links: links.collect(),
            paths: paths.collect(),
            measured: measured.collect(),
            p2p: p2p.collect(),
            notes: notes.collect(),
        };
        Self { format: Format::Topology, version: VERSION, topology }
    }
}

fn origin(origin: &model::Origin) -> Option<Origin> {
    match origin {
        model::Origin::Unknown => None,
        model::Origin::Preset(name) => Some(Origin::Preset(name.clone())),
        model::Origin::Machine(identity) => Some(Origin::Machine(identity.clone().write())),
    }
}

fn node(node: &model::Node, usual: model::Provenance) -> Node {
    let source = (node.provenance != usual).then(|| node.provenance.write());
    let parent = node.parent.map_or(0, |parent| parent.0);
    Node::of(node.kind.clone(), (parent, source, node.learned.clone().write()))
}
