//! The commands of the README and of `docs/`, run as they stand there, and rules for their text.
//!
//! A block ```` ```sh ```` runs in one shell and must succeed. In a block ```` ```console ```` each line after `$ ` is a command,
//! and the lines below it are its output: `…` stands for any text in a line, and a line of `…` for any lines. A comment such as
//! `<!-- test: hardware -->` above a block says how it is run:
//!
//! - `hardware`: it needs GPUs or a launcher. Here the machine is a preset, nothing is bound (`--dry-run`), and the launchers are
//!   the programs of `tests/docs/programs`.
//! - `build`: it compiles the project. `scripts/test-readme.sh` runs it; here its shell is read, and the files and packages that it
//!   names must exist.
//! - `fails`: its last command exits with another status than 0.
//! - `excerpt FILE`: its lines stand in the file, in this order. `file FILE`: it is the whole file.
//!
//! `NVTOPO_UPDATE=1 cargo test --package nvtopo-cli --test docs` writes the output of commands and whole files again.
#![cfg(target_os = "linux")]

#[path = "docs/markdown.rs"]
mod markdown;

use markdown::{Block, Document, documents, root};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Its commands build on one another: `tests/kubernetes.rs` runs them.
const ELSEWHERE: &str = "docs/kubernetes.md";

/// The launchers of which programs stand in.
const LAUNCHERS: [&str; 7] =
    ["torchrun", "deepspeed", "accelerate", "horovodrun", "mpirun", "mpiexec", "srun"];

/// A folder in which the commands of a document run. Recorded files are there under the paths that they have in the repository.
fn folder(document: &Document) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs").join(document.name.replace('/', "-"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for name in ["tests", "examples", "scripts"] {
        std::os::unix::fs::symlink(root().join(name), folder.join(name)).unwrap();
    }
    let programs = root().join("nvtopo-cli/tests/docs/programs");
    fs::copy(programs.join("job"), folder.join("job")).unwrap();
    fs::create_dir(folder.join("bin")).unwrap();
    for name in LAUNCHERS {
        std::os::unix::fs::symlink(programs.join("launcher"), folder.join("bin").join(name)).unwrap();
    }
    for name in ["nvidia-smi", "python"] {
        std::os::unix::fs::symlink(programs.join(name), folder.join("bin").join(name)).unwrap();
    }
    folder
}

/// Runs a shell as a reader of the document would, who has GPUs or has not.
fn shell(script: &str, hardware: bool, folder: &Path) -> Output {
    let mut command = Command::new("sh");
    command.args(["-e", "-c", &format!("exec 2>&1\n{script}")]).current_dir(folder).env_clear();
    let mut path = format!("{}:", Path::new(env!("CARGO_BIN_EXE_nvtopo")).parent().unwrap().display());
    if hardware {
        write!(path, "{}:", folder.join("bin").display()).unwrap();
        command
            .env("NVTOPO_FROM", "preset:dgx-h100")
            .env("NVTOPO_DRY_RUN", "1")
            .env("NVTOPO_TRUST_TOPOLOGY", "1");
    }
    path += &std::env::var("PATH").unwrap_or_default();
    command.env("PATH", path).env("HOME", folder).output().unwrap()
}

/// True where the output is the one that is shown, in which `…` stands for anything.
fn matches(shown: &[String], output: &[&str]) -> bool {
    let Some((first, rest)) = shown.split_first() else { return output.is_empty() };
    if first == "…" {
        return (0..=output.len()).any(|skipped| matches(rest, &output[skipped..]));
    }
    let Some((line, others)) = output.split_first() else { return false };
    line_matches(first, line) && matches(rest, others)
}

fn line_matches(shown: &str, line: &str) -> bool {
    let Some((start, rest)) = shown.split_once('…') else { return shown == line.trim_end() };
    let Some(line) = line.strip_prefix(start) else { return false };
    (0..=line.len()).any(|skipped| line.is_char_boundary(skipped) && line_matches(rest, &line[skipped..]))
}

/// Runs a block of shell; its text as it should be, where that differs.
fn run_shell(block: &Block, folder: &Path) -> Result<(), String> {
    let output = shell(&block.text(), block.is("hardware"), folder);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() == block.is("fails") {
        return Err(format!("exits with {}:\n{printed}", output.status));
    }
    Ok(())
}

/// Runs the commands of a console; the block with what they print, where it shows something else.
fn run_console(block: &Block, folder: &Path) -> Result<Option<Vec<String>>, String> {
    let commands = block.commands();
    if commands.is_empty() {
        return Err("has no line that begins with '$ '".into());
    }
    let last = commands.len() - 1;
    let (mut lines, mut same) = (Vec::new(), true);
    for (number, (command, shown)) in commands.into_iter().enumerate() {
        let output = shell(&command, block.is("hardware"), folder);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let fails = block.is("fails") && number == last;
        if output.status.success() == fails {
            return Err(format!("{command}: exits with {}:\n{printed}", output.status));
        }
        let printed: Vec<&str> = printed.trim_end().lines().collect();
        lines.extend(
            command
                .lines()
                .enumerate()
                .map(|(at, line)| format!("{} {line}", if at == 0 { '$' } else { '>' })),
        );
        if matches(&shown, &printed) {
            lines.extend(shown);
        } else {
            same = false;
            lines.extend(printed.iter().map(|line| line.trim_end().to_owned()));
        }
    }
    Ok((!same).then_some(lines))
}

/// Reads a block that compiles the project: its shell, and what it names.
fn read_build(block: &Block, folder: &Path) -> Result<(), String> {
    let checked = Command::new("sh").args(["-n", "-c", &block.text()]).current_dir(folder).output().unwrap();
    if !checked.status.success() {
        return Err(String::from_utf8_lossy(&checked.stderr).into_owned());
    }
    let text = block.text();
    let words: Vec<&str> = text.split_whitespace().collect();
    let recipes = fs::read_to_string(root().join("justfile")).unwrap();
    for pair in words.windows(2) {
        let there = match pair[0] {
            "--example" => root().join(format!("examples/rust/{}.rs", pair[1])).exists(),
            "--package" | "--path" | "install" | "sh" | "cc" | "python3" if !pair[1].starts_with('-') => {
                root().join(pair[1]).exists()
            }
            "just" => recipes
                .lines()
                .any(|line| line.strip_prefix(pair[1]).is_some_and(|rest| rest.starts_with([':', ' ']))),
            _ => true,
        };
        if !there {
            return Err(format!("there is no {} for '{}'", pair[1], pair[0]));
        }
    }
    Ok(())
}

/// The lines of the file that a block shows, where they are others.
fn compare_file(block: &Block) -> Result<Option<Vec<String>>, String> {
    let name = block.after("file").ok_or("names no file")?;
    let file = fs::read_to_string(root().join(name)).map_err(|error| format!("{name}: {error}"))?;
    let lines = file.trim_end().lines().map(str::to_owned).collect();
    Ok((file.trim_end() != block.text()).then_some(lines))
}

/// The commands in sentences that can be run: those with arguments, and without names that stand for any.
fn inline_commands(document: &Document) -> Vec<String> {
    let holds_for_any = |code: &str| {
        code.contains('…')
            || code
                .split([' ', '='])
                .any(|word| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase()))
    };
    let codes = document.inline_code().into_iter();
    codes
        .filter(|code| code.starts_with("nvtopo ") && code.split(' ').count() > 2 && !holds_for_any(code))
        .collect()
}

/// Compares an excerpt with the file that it is from.
fn compare_excerpt(block: &Block) -> Result<(), String> {
    let name = block.after("excerpt").ok_or("names no file")?;
    let file = fs::read_to_string(root().join(name)).map_err(|error| format!("{name}: {error}"))?;
    let mut lines = file.lines();
    let missing = block.text().lines().find(|line| !lines.any(|other| other == *line)).map(str::to_owned);
    missing.map_or(Ok(()), |line| Err(format!("{name} does not have this line, or not here: {line}")))
}

#[test]
fn every_command_of_the_documents_runs_and_prints_what_they_show() {
    let update = std::env::var_os("NVTOPO_UPDATE").is_some();
    let mut failures = String::new();
    let mut run = 0;
    for document in documents() {
        if document.name == ELSEWHERE {
            continue;
        }
        let folder = folder(&document);
        let mut changed = Vec::new();
        for block in &document.blocks {
            let place = format!("{}:{}", document.name, block.line);
            let done = match block.language() {
                _ if block.is("excerpt") => compare_excerpt(block),
                _ if block.is("file") => match compare_file(block) {
                    Ok(Some(lines)) if update => {
                        changed.push((block, lines));
                        Ok(())
                    }
                    Ok(None) => Ok(()),
                    Ok(Some(_)) => Err("is not the file any more".to_owned()),
                    Err(error) => Err(error),
                },
                "sh" | "console" if block.is("build") => read_build(block, &folder),
                "sh" => run_shell(block, &folder),
                "console" => match run_console(block, &folder) {
                    Ok(None) => Ok(()),
                    Ok(Some(lines)) if update => {
                        changed.push((block, lines));
                        Ok(())
                    }
                    Ok(Some(lines)) => Err(format!("prints\n{}", lines.join("\n"))),
                    Err(error) => Err(error),
                },
                "bash" | "shell" | "" => Err("say ```sh, ```console or ```text".into()),
                _ => continue,
            };
            run += 1;
            if let Err(error) = done {
                writeln!(failures, "{place}: {error}").unwrap();
            }
        }
        for command in inline_commands(&document) {
            let output = shell(&command, true, &folder);
            let printed = String::from_utf8_lossy(&output.stdout);
            run += 1;
            // Not every machine can satisfy them; and a sentence may leave out what a command needs beside.
            let usage = output.status.code() == Some(2) && !printed.contains("required arguments");
            if usage || output.status.code().is_none_or(|code| code > 2) {
                writeln!(failures, "{}: {command}: {printed}", document.name).unwrap();
            }
        }
        document.replace(&changed);
    }
    assert!(
        failures.is_empty(),
        "{failures}\nWhere the command is right, NVTOPO_UPDATE=1 cargo test --package nvtopo-cli --test docs corrects the documents"
    );
    assert!(run > 30, "only {run} blocks were found");
}

#[test]
fn an_output_that_differs_is_seen() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(matches(&shown("a … c\n…\nz"), &["a b c", "d", "e", "z"]));
    assert!(!matches(&shown("a … c\n…\nz"), &["a b d", "z"]));
    assert!(!matches(&shown("a"), &["a", "b"]));
    assert!(!matches(&shown("a\nb"), &["a"]));
}

/// The help of a command and of all below it.
fn help_of(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_nvtopo")).args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "{words:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    let commands = help.split("Commands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap();
    let names = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let below = names.filter(|name| !name.is_empty() && *name != "help");
    let below: String = below.map(|name| help_of(&[words, &[name]].concat())).collect();
    help + &below
}

#[test]
fn options_that_the_documents_name_exist() {
    let help = help_of(&[]);
    let known = |option: &str| {
        help.match_indices(option).any(|(at, _)| {
            !help[at + option.len()..].starts_with(|next: char| next.is_ascii_alphanumeric() || next == '-')
        })
    };
    assert!(known("--gpus") && !known("--gpu"));
    let mut missing = String::new();
    for document in documents() {
        // The metrics are served by a program of their own, whose tests hold that page.
        let is_other = document.name == "docs/metrics.md";
        if is_other || document.name != "README.md" && !document.name.starts_with("docs/") {
            continue;
        }
        for code in document.inline_code() {
            if !(code.starts_with("nvtopo ") || code.starts_with("--")) {
                continue;
            }
            let own = code.split(" -- ").next().unwrap();
            for word in own.split([' ', '=']).filter(|word| word.starts_with("--") && word.len() > 2) {
                if !known(word) {
                    writeln!(missing, "{}: {code}", document.name).unwrap();
                }
            }
        }
    }
    assert!(missing.is_empty(), "no command has these options:\n{missing}");
}

#[test]
fn the_readme_is_short_and_no_paragraph_is_long() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(
        readme.lines().count() <= 120,
        "the README has {} lines: details belong to docs/",
        readme.lines().count()
    );
    let mut long = String::new();
    for document in documents() {
        // Arguments for those who change the code may be somewhat longer than the pages for users.
        let most = if document.name == "README.md" || document.name.starts_with("docs/") { 80 } else { 100 };
        for (line, words) in document.paragraphs() {
            if words > most {
                writeln!(long, "{}:{line}: {words} words", document.name).unwrap();
            }
        }
    }
    assert!(long.is_empty(), "these paragraphs are too long:\n{long}");
}

#[test]
fn paragraphs_begin_with_what_they_are_about() {
    let mut odd = String::new();
    for document in documents() {
        for (line, text) in document.openings() {
            if ["What ", "Whether ", "Those ", "So many ", "How many ", "How much "]
                .iter()
                .any(|word| text.starts_with(word))
            {
                writeln!(odd, "{}:{line}: {text}", document.name).unwrap();
            }
        }
    }
    assert!(odd.is_empty(), "these begin with a riddle:\n{odd}");
}

#[test]
fn files_that_the_documents_name_exist() {
    let places = [".", "nvtopo-core/src", "nvtopo-core/src/solve"].map(|place| root().join(place));
    let is_path = |code: &str| {
        let plain = code.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        plain
            && !code.starts_with('/')
            && (code.rsplit('.').next() == Some("rs") || code.ends_with('/') || code.starts_with("tests/"))
    };
    // Names that stand for any.
    let is_example = |code: &str| code.split(['/', '.']).any(|part| ["x", "KIND", "NAME"].contains(&part));
    let (mut missing, mut found) = (String::new(), 0);
    for document in documents() {
        for code in document.inline_code().iter().filter(|code| is_path(code) && !is_example(code)) {
            found += 1;
            if !places.iter().any(|place| place.join(code).exists()) {
                writeln!(missing, "{}: {code}", document.name).unwrap();
            }
        }
    }
    assert!(missing.is_empty(), "these files are not there:\n{missing}");
    assert!(found > 20, "only {found} files are named");
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut broken = String::new();
    for document in documents() {
        for link in document.links() {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let here = root().join(&document.name);
            let file = if path.is_empty() { here } else { here.parent().unwrap().join(path) };
            let found = file.exists()
                && (heading.is_empty()
                    || markdown::headings(&fs::read_to_string(&file).unwrap()).contains(heading));
            if !found {
                writeln!(broken, "{}: {link}", document.name).unwrap();
            }
        }
    }
    assert!(broken.is_empty(), "these links lead nowhere:\n{broken}");
}
