//! The rules of the house that a program can check: who may use whom, and how large a file may be.

mod surface;
mod uses;
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use uses::Uses;

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

/// The rooms that each room of the core may use; a room that is missing here is a failure.
const MAY_USE: &[(&str, &[&str])] = &[
    ("words", &[]),
    ("printable", &[]),
    ("bits", &[]),
    ("once", &[]),
    ("error", &["printable"]),
    ("save", &["error"]),
    ("units", &["error"]),
    ("cpuset", &["error"]),
    ("ids", &["error"]),
    ("sys", &["cpuset"]),
    ("model", &["error", "printable", "once", "units", "cpuset", "ids"]),
    ("query", &["bits", "error", "units", "cpuset", "ids", "model"]),
    // Live sources ask the driver through `sys`.
    ("source", &["error", "printable", "once", "save", "units", "cpuset", "ids", "model", "sys"]),
    ("solve", &["bits", "error", "once", "units", "cpuset", "ids", "model", "query"]),
    ("render", &["error", "cpuset", "model", "query", "source", "solve"]),
    ("apply", &["error", "cpuset", "model", "query", "source", "solve", "sys"]),
    ("schema", &["source"]),
];

/// The rooms that each room of the solver may use, from the lowest up.
const SOLVER_MAY_USE: &[(&str, &[&str])] = &[
    ("quantity", &[]),
    ("constraint", &[]),
    ("process", &[]),
    ("cpus", &["process"]),
    ("search", &["quantity"]),
    ("matrix", &["search"]),
    ("objective", &["quantity", "search"]),
    ("placement", &["constraint", "cpus", "process", "quantity", "search"]),
    ("request", &["constraint", "cpus", "objective", "placement", "process", "search"]),
    ("chooser", &["objective", "request", "search"]),
    ("allocator", &["objective", "placement", "process", "request", "search"]),
    ("launch", &["cpus", "placement", "process"]),
    ("ranks", &["process", "search"]),
    ("mig", &["process"]),
    ("check", &["constraint", "cpus", "placement", "process", "quantity", "request"]),
];

/// Every use of another room is one that the table allows.
fn check(uses: &Uses, inside: &[&str], table: &[(&str, &[&str])]) -> Vec<String> {
    let mut list = BTreeSet::new();
    for (module, used) in &uses.0 {
        let Some([room, ..]) = within(module, inside) else { continue };
        let Some((_, may)) = table.iter().find(|(name, _)| name == room) else {
            panic!("{room} has no line in the table");
        };
        for other in used {
            let Some([other_room, ..]) = within(other, inside) else { continue };
            assert!(
                other_room == room || may.contains(&other_room.as_str()),
                "{} uses {}",
                module.join("::"),
                other.join("::")
            );
            list.insert((room.clone(), other_room.clone()));
        }
    }
    let uses = |(room, other): &(String, String)| format!("{room} -> {other}");
    list.iter().filter(|(room, other)| room != other).map(uses).collect()
}

/// The rest of a module's path inside of another one.
fn within<'a>(module: &'a [String], inside: &[&str]) -> Option<&'a [String]> {
    let (before, rest) = module.split_at_checked(inside.len())?;
    (before.iter().eq(inside)).then_some(rest)
}

fn core() -> Uses {
    Uses::of(&root().join("nvtopo-core/src"))
}

#[test]
fn no_room_uses_one_below_it() {
    let list = check(&core(), &[], MAY_USE);
    assert_all_used(MAY_USE, &list);
}

/// Checks that each permission of a table is needed.
fn assert_all_used(table: &[(&str, &[&str])], list: &[String]) {
    for (room, may) in table {
        for other in *may {
            assert!(
                list.contains(&format!("{room} -> {other}")),
                "{room} does not use {other}: strike it out"
            );
        }
    }
}

#[test]
fn the_rooms_of_the_solver_use_each_other_in_one_direction() {
    let uses = core();
    let list = check(&uses, &["solve"], SOLVER_MAY_USE);
    println!("{}", list.join("\n"));
    let lower = |name: &str| SOLVER_MAY_USE.iter().position(|(room, _)| *room == name);
    for (room, may) in SOLVER_MAY_USE {
        for other in *may {
            assert!(lower(other) < lower(room), "{other} stands above {room}");
        }
    }
    assert_all_used(SOLVER_MAY_USE, &list);
    let solver = |module: &Vec<String>| within(module, &["solve"]).is_some_and(|rest| !rest.is_empty());
    if let Some(circle) = uses.circle(solver) {
        panic!("files of the solver use each other in a circle: {}", circle.join(" -> "));
    }
}

/// The one file besides `sys` and the C face that may: Python's buffers are made of pointers.
const BUFFERS: &str = "nvtopo-py/src/matrix.rs";

#[test]
fn unsafe_stays_in_sys_in_the_c_face_and_in_pythons_buffers() {
    for folder in [
        "nvtopo-core/src",
        "nvtopo-draw/src",
        "nvtopo-k8s/src",
        "nvtopo-audit/src",
        "nvtopo-report/src",
        "nvtopo-serve/src",
        "nvtopo-simulate/src",
        "nvtopo-validate/src",
        "nvtopo-cli/src",
        "nvtopo-py/src",
    ] {
        for (path, text) in sources(folder) {
            let inside_sys = path.components().any(|part| part.as_os_str() == "sys");
            let may = inside_sys || path.ends_with(BUFFERS);
            assert!(may || !text.contains("unsafe_code"), "{} allows unsafe code", path.display());
        }
    }
}

#[test]
fn the_core_never_prints_and_never_reads_the_environment() {
    let silent = [
        "nvtopo-core/src",
        "nvtopo-audit/src",
        "nvtopo-draw/src",
        "nvtopo-k8s/src",
        "nvtopo-report/src",
        "nvtopo-simulate/src",
        "nvtopo-validate/src",
    ];
    for (path, text) in silent.map(sources).concat() {
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
        "nvtopo-draw/src",
        "nvtopo-draw/tests",
        "nvtopo-k8s/src",
        "nvtopo-audit",
        "nvtopo-report",
        "nvtopo-serve",
        "nvtopo-simulate/src",
        "nvtopo-validate",
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
