//! Blocks, paragraphs, code and links of the documents, as far as the tests need them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The documents at the root that readers follow step by step; those of `docs/` are all read.
const AT_THE_ROOT: &[&str] = &["README.md", "CONTRIBUTING.md", "COMPARE.md", "DESIGN.md", "ARCHITECTURE.md"];

/// The start of a comment that says how the block below it is run.
const MARK: &str = "<!-- test:";

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A Markdown file of the repository.
pub(crate) struct Document {
    /// Its path from the root.
    pub(crate) name: String,
    text: String,
    pub(crate) blocks: Vec<Block>,
}

/// A fenced block.
pub(crate) struct Block {
    language: String,
    /// The words of the comment above it.
    marks: Vec<String>,
    /// The number of the line that opens it.
    pub(crate) line: usize,
    lines: Vec<String>,
}

pub(crate) fn documents() -> Vec<Document> {
    let mut names: Vec<String> = AT_THE_ROOT.iter().map(|name| (*name).to_owned()).collect();
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            names.push(format!("docs/{name}"));
        }
    }
    names.sort();
    names.into_iter().map(Document::read).collect()
}

impl Document {
    fn read(name: String) -> Self {
        let text = fs::read_to_string(root().join(&name)).unwrap();
        let mut blocks: Vec<Block> = Vec::new();
        let mut open = false;
        let mut marks = Vec::new();
        for (number, line) in text.lines().enumerate() {
            match line.strip_prefix("```") {
                Some(_) if open => open = false,
                Some(language) => {
                    open = true;
                    let (language, marks) = (language.to_owned(), std::mem::take(&mut marks));
                    blocks.push(Block { language, marks, line: number + 1, lines: Vec::new() });
                }
                None if open => blocks.last_mut().unwrap().lines.push(line.to_owned()),
                None => {
                    let comment = line.strip_prefix(MARK).and_then(|rest| rest.strip_suffix("-->"));
                    marks = comment.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
                }
            }
        }
        assert!(!open, "{name}: a block is not closed");
        Self { name, text, blocks }
    }

    /// Writes the document with other lines in some of its blocks.
    pub(crate) fn replace(&self, changed: &[(&Block, Vec<String>)]) {
        if changed.is_empty() {
            return;
        }
        let mut lines: Vec<String> = self.text.lines().map(str::to_owned).collect();
        for (block, new) in changed.iter().rev() {
            lines.splice(block.line..block.line + block.lines.len(), new.iter().cloned());
        }
        fs::write(root().join(&self.name), lines.join("\n") + "\n").unwrap();
    }

    /// The lines outside of blocks, with their numbers.
    fn prose(&self) -> Vec<(usize, &str)> {
        let inside = |number: usize| {
            self.blocks
                .iter()
                .any(|block| (block.line..=block.line + block.lines.len() + 1).contains(&number))
        };
        self.text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
            .filter(|(number, _)| !inside(*number))
            .collect()
    }

    /// The line and the number of words of each paragraph and each item of a list; tables are neither.
    pub(crate) fn paragraphs(&self) -> Vec<(usize, usize)> {
        let mut found: Vec<(usize, usize)> = Vec::new();
        let mut last = 0;
        for (number, line) in self.prose() {
            let text = line.trim_start();
            if text.is_empty() || text.starts_with(['|', '#']) || text.starts_with(MARK) {
                continue;
            }
            let item =
                text.starts_with("- ") || text.split_once(". ").is_some_and(|(n, _)| n.parse::<u8>().is_ok());
            if item || number != last + 1 || found.is_empty() {
                found.push((number, 0));
            }
            found.last_mut().unwrap().1 += text.split_whitespace().filter(|word| *word != "-").count();
            last = number;
        }
        found
    }

    /// The first line of each heading, paragraph and item of a list, without its mark.
    pub(crate) fn openings(&self) -> Vec<(usize, &str)> {
        let starts: BTreeSet<usize> = self.paragraphs().into_iter().map(|(line, _)| line).collect();
        let prose = self.prose().into_iter();
        let lines = prose.filter(|(number, line)| line.starts_with('#') || starts.contains(number));
        lines
            .map(|(number, line)| (number, line.trim_start_matches(|c: char| " #-*.0123456789`".contains(c))))
            .collect()
    }

    /// The texts between backticks in the prose.
    pub(crate) fn inline_code(&self) -> Vec<String> {
        let prose: Vec<&str> = self.prose().into_iter().map(|(_, line)| line).collect();
        let text = prose.join("\n");
        text.split("\n\n")
            .flat_map(|part| part.split('`').skip(1).step_by(2))
            .map(|code| code.replace('\n', " "))
            .collect()
    }

    /// The targets of `[text](target)`.
    pub(crate) fn links(&self) -> Vec<String> {
        let prose: Vec<&str> = self.prose().into_iter().map(|(_, line)| line).collect();
        let text = prose.join("\n");
        text.split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
            .map(|(target, _)| target.to_owned())
            .collect()
    }
}

impl Block {
    pub(crate) fn language(&self) -> &str {
        &self.language
    }

    /// True where the comment above the block has this word.
    pub(crate) fn is(&self, mark: &str) -> bool {
        self.marks.iter().any(|word| word == mark)
    }

    /// The word behind another in the comment above the block.
    pub(crate) fn after(&self, mark: &str) -> Option<&str> {
        let at = self.marks.iter().position(|word| word == mark)?;
        self.marks.get(at + 1).map(String::as_str)
    }

    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// The commands of a console, each with the output that is shown.
    pub(crate) fn commands(&self) -> Vec<(String, Vec<String>)> {
        let mut found: Vec<(String, Vec<String>)> = Vec::new();
        for line in &self.lines {
            if let Some(command) = line.strip_prefix("$ ") {
                found.push((command.to_owned(), Vec::new()));
                continue;
            }
            let Some((command, output)) = found.last_mut() else { continue };
            match line.strip_prefix("> ") {
                Some(more) if output.is_empty() => {
                    command.push('\n');
                    command.push_str(more);
                }
                _ => output.push(line.clone()),
            }
        }
        // Empty lines at the end are for the reader.
        for (_, output) in &mut found {
            while output.last().is_some_and(String::is_empty) {
                output.pop();
            }
        }
        found
    }
}

/// The names under which the headings of a text are linked, as GitHub makes them.
pub(crate) fn headings(text: &str) -> BTreeSet<String> {
    let name = |heading: &str| -> String {
        let kept = heading.trim().to_lowercase();
        kept.chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    text.lines().filter(|line| line.starts_with('#')).map(|line| name(line.trim_start_matches('#'))).collect()
}
