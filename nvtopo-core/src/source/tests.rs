//! Each recorded text is claimed by the readers of its own tools, and by no other.

use super::SOURCES;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The readers of the system's tools, by a word of their names.
const TOOLS: [&str; 5] = ["text of lscpu", "JSON of lscpu", "numactl", "ibdev2netdev", "lspci"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn texts_are_claimed_by_their_own_readers_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    let mut found = Vec::new();
    files(&root, &mut found);
    for path in found.iter().filter(|path| path.extension().is_none_or(|end| end != "md")) {
        let bytes = std::fs::read(path).unwrap();
        let claims: BTreeSet<&str> =
            SOURCES.iter().filter(|source| source.recognizes(&bytes)).map(|source| source.name()).collect();
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
        let is_json = path.extension().is_some_and(|end| end == "json");
        let is_plain = path.extension().is_some_and(|end| end == "txt");
        let is_lspci = is_plain && path.file_name().unwrap().to_str().unwrap().starts_with("lspci");
        let expected = match name.split_once('/') {
            Some(("numa", _)) if is_json => Some("JSON of lscpu"),
            Some(("numa", file)) if file.starts_with("lscpu") => Some("text of lscpu"),
            Some(("numa", _)) => Some("numactl"),
            Some(("rdma", _)) if is_json => Some("JSON of rdma"),
            Some(("rdma", _)) => Some("ibdev2netdev"),
            Some(("lspci", _) | (_, "dell-8xh100.lspci")) => Some("lspci"),
            Some(("audit", _)) if is_lspci => Some("lspci"),
            _ => None,
        };
        let Some(expected) = expected else {
            let tools = TOOLS.iter().filter(|tool| claims.iter().any(|claim| claim.contains(**tool)));
            assert_eq!(tools.count(), 0, "{name}: {claims:?}");
            continue;
        };
        let first = SOURCES.iter().find(|source| source.recognizes(&bytes)).unwrap().name();
        assert!(first.contains(expected), "{name}: {first}");
        // nvtopo's own JSON comes later and takes every other document.
        let others = claims.iter().filter(|claim| !claim.contains(expected) && **claim != "nvtopo JSON");
        assert_eq!(others.count(), 0, "{name}: {claims:?}");
    }
}
