//! The rule for the first words of docs: a doc comment begins with what the item is.

use super::sources;

/// Words that begin a riddle, and not the name of a thing.
const RIDDLES: [&str; 6] = ["What", "Whether", "Those", "How many", "How much", "So many"];

/// The folders whose docs are held to the rule.
const FOLDERS: [&str; 15] = [
    "benches",
    "examples",
    "fuzz/fuzz_targets",
    "nvtopo-audit",
    "nvtopo-capi/src",
    "nvtopo-cli",
    "nvtopo-core/src",
    "nvtopo-draw",
    "nvtopo-k8s",
    "nvtopo-py/src",
    "nvtopo-report",
    "nvtopo-serve",
    "nvtopo-simulate",
    "nvtopo-validate",
    "tests",
];

/// The doc comments of a text that begin with a riddle.
fn riddles(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut before = "";
    for line in text.lines().map(str::trim_start) {
        let kind = ["/// ", "//! "].into_iter().find(|kind| line.starts_with(kind));
        if let Some(kind) = kind.filter(|kind| !before.starts_with(kind.trim_end())) {
            let begins = |word: &&str| {
                let rest = line[kind.len()..].strip_prefix(*word);
                rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
            };
            if RIDDLES.iter().any(begins) {
                found.push(line);
            }
        }
        before = line;
    }
    found
}

#[test]
fn docs_begin_with_what_the_item_is() {
    for folder in FOLDERS {
        let files = sources(folder);
        let found: Vec<String> = files
            .iter()
            .flat_map(|(path, text)| {
                riddles(text).into_iter().map(move |line| format!("{}: {line}", path.display()))
            })
            .collect();
        assert!(
            found.is_empty(),
            "docs of {folder} begin with {}; begin with what the item is, or with a verb\n{}",
            RIDDLES.join(", "),
            found.join("\n")
        );
    }
}

#[test]
fn a_riddle_is_told_from_other_words() {
    let text = "//! What it is.\n\n/// Whether so.\n/// What goes on is no beginning.\nfn a() {}\n    /// Whatever.\n/// How many there are.\n";
    let found = ["//! What it is.", "/// Whether so.", "/// How many there are."];
    // The line after a doc comment of the same kind belongs to it.
    assert_eq!(riddles(text), found[..2]);
    assert_eq!(riddles("/// How many there are.\n"), found[2..]);
}
