//! The rules of the house that a program can check: who may use whom, and how large a file may be.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} holds no Rust");
    found
}

/// The part of a file that is not its tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

/// What each room of the core may use; a room that is missing here is a failure.
const MAY_USE: &[(&str, &[&str])] = &[
    ("printable", &[]),
    ("error", &["printable"]),
    ("save", &["error"]),
    ("units", &["error"]),
    ("cpuset", &["error"]),
    ("ids", &["error"]),
    ("sys", &["cpuset"]),
    ("model", &["error", "printable", "units", "cpuset", "ids"]),
    ("query", &["error", "units", "cpuset", "ids", "model"]),
    // Live sources ask the driver through `sys`.
    ("source", &["error", "printable", "save", "units", "cpuset", "ids", "model", "sys"]),
    ("solve", &["error", "units", "cpuset", "ids", "model", "query"]),
    ("render", &["error", "printable", "units", "cpuset", "ids", "model", "query", "source", "solve"]),
    ("apply", &["error", "units", "cpuset", "ids", "model", "query", "source", "solve", "sys"]),
    ("schema", &["source"]),
];

#[test]
fn no_room_uses_one_below_it() {
    let rooms = root().join("nvtopo-core/src");
    for (path, text) in sources("nvtopo-core/src") {
        let inside = path.strip_prefix(&rooms).unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if room == "lib" {
            continue;
        }
        let Some((_, may)) = MAY_USE.iter().find(|(name, _)| *name == room) else {
            panic!("{room} has no line in MAY_USE");
        };
        for used in code(&text)
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| line.split("crate::").skip(1))
        {
            let name: String = used.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let known = MAY_USE.iter().any(|(room, _)| *room == name);
            assert!(!known || name == room || may.contains(&name.as_str()), "{} uses {name}", path.display());
        }
    }
}

/// The one file besides `sys` and the C face that may: Python's buffers are made of pointers.
const BUFFERS: &str = "nvtopo-py/src/matrix.rs";

#[test]
fn unsafe_stays_in_sys_in_the_c_face_and_in_pythons_buffers() {
    for folder in ["nvtopo-core/src", "nvtopo-k8s/src", "nvtopo-cli/src", "nvtopo-py/src"] {
        for (path, text) in sources(folder) {
            let inside_sys = path.components().any(|part| part.as_os_str() == "sys");
            let may = inside_sys || path.ends_with(BUFFERS);
            assert!(may || !text.contains("unsafe_code"), "{} allows unsafe code", path.display());
        }
    }
}

#[test]
fn the_core_never_prints_and_never_reads_the_environment() {
    for (path, text) in [sources("nvtopo-core/src"), sources("nvtopo-k8s/src")].concat() {
        for word in ["println!", "eprint", "dbg!", "env::var", "process::exit", "todo!", "unimplemented!"] {
            let used =
                code(&text).lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word));
            assert!(!used, "{} uses {word}", path.display());
        }
    }
}

#[test]
fn files_say_what_they_are_and_stay_small() {
    for folder in [
        "nvtopo-core/src",
        "nvtopo-k8s/src",
        "nvtopo-capi/src",
        "nvtopo-cli/src",
        "nvtopo-py/src",
        "tests",
        "benches",
    ] {
        for (path, text) in sources(folder) {
            assert!(text.starts_with("//!"), "{} does not say what it is", path.display());
            let lines = text.lines().count();
            assert!(lines <= 600, "{} has {lines} lines: where is the seam?", path.display());
        }
    }
}
