//! Each recorded text is claimed by the readers of its own tools, and by no other.

use super::SOURCES;
use super::text::{Input, tests::CLEANED};
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
        let input = Input::new(&bytes);
        let claims: BTreeSet<&str> =
            SOURCES.iter().filter(|source| source.recognizes(&input)).map(|source| source.name()).collect();
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
        let first = super::recognized(&input).unwrap().name();
        assert!(first.contains(expected), "{name}: {first}");
        // nvtopo's own JSON comes later and takes every other document.
        let others = claims.iter().filter(|claim| !claim.contains(expected) && **claim != "nvtopo JSON");
        assert_eq!(others.count(), 0, "{name}: {claims:?}");
    }
}

/// Cleaning is what costs most in a large text that no format claims.
#[test]
fn a_text_is_cleaned_once_for_all_formats() {
    let text = "the [quick] brown fox: 1 = 2\n".repeat(500);
    let before = CLEANED.get();
    assert!(super::read_known(text.as_bytes()).is_none());
    // The last line is empty.
    assert_eq!(CLEANED.get() - before, 501);

    // With several tools in a text: once as a whole, once in parts, and once by each of its readers.
    let several = format!(
        "available: 1 nodes (0)\nnode 0 cpus: 0 1\n{text}\n17:00.0 3D controller: NVIDIA\nGPU 0: A (UUID: GPU-11111111-2222-3333-4444-555555555555)\n"
    );
    let lines = several.lines().count() + 1;
    let before = CLEANED.get();
    assert!(super::read_known(several.as_bytes()).unwrap().is_ok());
    let cleaned = CLEANED.get() - before;
    assert!((2 * lines..=6 * lines).contains(&cleaned), "{cleaned} of {lines}");
}
