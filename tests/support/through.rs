//! An input on its way through the library: the readers, all writers, the readers again, a comparison and a picture.
//!
//! Tests and fuzz targets share it.

use nvtopo::Topology;
use nvtopo::diff::Diff;
use nvtopo::source::{WRITERS, WriteOptions};

/// Whatever is read can be written, read again, compared and drawn. Returns false for what is refused.
pub(crate) fn through(bytes: &[u8], original: Option<&Topology>) -> bool {
    let Ok(topology) = Topology::parse("damaged", bytes) else { return false };
    let mut options = WriteOptions::default();
    options.node = Some("n1".to_owned());
    for writer in WRITERS {
        let Ok(written) = writer.write(&topology, &options) else { continue };
        assert!(written.text.ends_with('\n'), "{} does not end its line", writer.name);
        let again = Topology::parse("written", written.text.as_bytes());
        match writer.name {
            "json" => assert_eq!(again.expect("JSON is read again"), topology),
            "nccl-xml" | "hwloc-xml" | "graphml" => {
                let xml = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
                let parsed = roxmltree::Document::parse_with_options(&written.text, xml);
                assert!(parsed.is_ok(), "{}: {:?}", writer.name, parsed.err());
                assert!(writer.name == "graphml" || again.is_ok(), "{}: {}", writer.name, again.unwrap_err());
            }
            "topo-m" | "gres.conf" => {
                let again =
                    again.unwrap_or_else(|error| panic!("{}: {error}\n{}", writer.name, written.text));
                assert!(writer.name != "topo-m" || again.gpus().len() == topology.gpus().len());
            }
            #[cfg(feature = "yaml")]
            "mock-nvml" => {
                _ = serde_saphyr::from_str::<serde_json::Value>(&written.text).expect("YAML is read");
            }
            _ => {}
        }
    }
    assert!(Diff::new(&topology, &topology).changes.is_empty());
    if let Some(original) = original {
        _ = Diff::new(original, &topology);
        _ = Diff::of_structure(original, &topology);
    }
    if topology.devices().len() <= 128 {
        let picture = nvtopo_draw::svg::topology(&topology);
        assert!(roxmltree::Document::parse(&picture).is_ok(), "the picture is no XML");
    }
    true
}
