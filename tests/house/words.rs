//! The rule for the first words of docs: a doc comment begins with what the item is, and a function's with a verb.

use super::sources;

/// Words that begin a riddle, and not the name of a thing.
const RIDDLES: [&str; 6] = ["What", "Whether", "Those", "How many", "How much", "So many"];

/// The most doc comments of each folder that begin with such a word. The numbers only fall.
const LIMITS: &[(&str, usize)] = &[
    ("benches", 0),
    ("fuzz/fuzz_targets", 0),
    ("nvtopo-capi/src", 61),
    ("nvtopo-cli", 0),
    ("nvtopo-core/src", 871),
    ("nvtopo-core/src/apply", 14),
    ("nvtopo-core/src/cpuset", 11),
    ("nvtopo-core/src/model", 91),
    ("nvtopo-core/src/query", 21),
    ("nvtopo-core/src/render", 17),
    ("nvtopo-core/src/solve", 354),
    ("nvtopo-core/src/source", 352),
    ("nvtopo-core/src/sys", 4),
    ("nvtopo-draw", 0),
    ("nvtopo-k8s", 0),
    ("nvtopo-py/src", 0),
    ("nvtopo-simulate", 0),
    ("tests", 20),
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
    for (folder, limit) in LIMITS {
        let files = sources(folder);
        let found: Vec<String> = files
            .iter()
            .flat_map(|(path, text)| {
                riddles(text).into_iter().map(move |line| format!("{}: {line}", path.display()))
            })
            .collect();
        assert!(
            found.len() <= *limit,
            "{} docs of {folder} begin with {}, and {limit} may: begin with what the item is, or with a verb\n{}",
            found.len(),
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
