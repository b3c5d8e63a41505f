//! Line by line through the text: which line is the header, which are rows, and what the legend says.
//!
//! What a row's cells mean is for [`super::table`].

use super::cell;
use super::columns::{self, Column, Columns};
use super::table::{Matrix, place};
use super::text::{self, Line, Token};
use crate::error::{Error, Result};
use crate::model::MAX_DEVICES;

/// A row as it stands in the text.
#[derive(Debug)]
pub(super) struct RawRow {
    pub(super) label: Token,
    /// What follows the label; in a table with bars, all fields.
    pub(super) tokens: Vec<Token>,
    pub(super) fielded: bool,
    /// Whether the line ended within or right after a token, so that a terminal may have broken it there.
    open: bool,
}

/// What the line is that ends a matrix.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Rows,
    Legend,
    /// Another matrix has begun.
    Over,
}

/// Reads a text line by line.
pub(super) struct Reader {
    header: Vec<Token>,
    header_fielded: bool,
    header_open: bool,
    pending: Option<RawRow>,
    stage: Stage,
    /// Lines between rows that are none: how many, and the first.
    skipped: (usize, usize),
    skipped_pending: (usize, usize),
    /// Whether any text follows the last row.
    followed: bool,
    /// Whether the line of the last row was ended.
    terminated: bool,
    matrix: Matrix,
    begun: bool,
}

/// Whether a line could be one of a matrix: a header, or the row of a GPU.
pub(super) fn is_matrix_line(line: &Line<'_>) -> bool {
    if !line.text.contains("GPU") {
        return false;
    }
    let fielded = text::is_fielded(&line.text);
    let tokens = if fielded { text::fields(line) } else { text::words(line) };
    if columns::header(&tokens, fielded).is_some() {
        return true;
    }
    let reader = Reader::new();
    reader.row(&tokens, fielded, true).is_some()
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            header: Vec::new(),
            header_fielded: false,
            header_open: false,
            pending: None,
            stage: Stage::Rows,
            skipped: (0, 0),
            skipped_pending: (0, 0),
            followed: false,
            terminated: false,
            matrix: Matrix::default(),
            begun: false,
        }
    }

    /// Takes the next line.
    pub(super) fn feed(&mut self, line: &Line<'_>) -> Result<()> {
        self.terminated |= self.pending.is_some();
        let blank = |c: char| c.is_whitespace() || c == char::REPLACEMENT_CHARACTER;
        if self.stage == Stage::Over || line.text.chars().all(blank) {
            return Ok(());
        }
        let fielded = text::is_fielded(&line.text);
        let tokens = if fielded { text::fields(line) } else { text::words(line) };
        let ruler = |token: &Token| token.text.bytes().all(|byte| matches!(byte, b'-' | b':' | b'='));
        if fielded && tokens.iter().all(ruler) {
            return Ok(());
        }
        let open = !line.text.ends_with(char::is_whitespace);
        let indented = line.text.starts_with(char::is_whitespace);
        if !self.begun {
            self.command(&tokens);
        }
        if let Some((label, cells)) = self.row(&tokens, fielded, false) {
            let row = RawRow { label, tokens: cells, fielded, open };
            return self.begin_row(row);
        }
        if let Some(header) = columns::header(&tokens, fielded) {
            self.begin_header(header, fielded, open);
            return Ok(());
        }
        if !self.begun {
            self.continue_header(&tokens, open, indented);
        } else if !self.continue_row(&tokens, open, indented) {
            self.other(line, &tokens);
        }
        Ok(())
    }

    /// Reads the last row, and hands over what was read.
    pub(super) fn finish(mut self) -> Result<Matrix> {
        let at_end = !self.followed && self.stage == Stage::Rows;
        self.flush(at_end)?;
        if !self.begun {
            let error = Error::input("there is no row of a matrix in it");
            return Err(match self.header.first() {
                Some(token) => error.at(token.line, token.column).help("only its header was found"),
                None => error.help("expected the text of 'nvidia-smi topo -m'"),
            });
        }
        let (count, first) = self.skipped;
        if count > 0 {
            let text = format!("{count} lines between the rows are not of the matrix, first line {first}");
            self.matrix.damage(text);
        }
        self.matrix.terminated = self.terminated;
        Ok(self.matrix)
    }

    /// The label of a row and what follows it, if the tokens are a row. `any` takes labels of GPUs only.
    fn row(&self, tokens: &[Token], fielded: bool, any: bool) -> Option<(Token, Vec<Token>)> {
        let known = |name: &str| match (&self.matrix.columns, self.begun) {
            (Some(columns), true) if !columns.names.iter().any(Option::is_none) => {
                columns.number(name).is_some() || columns::is_device(name)
            }
            (_, true) => columns::is_header_part(name) && !matches!(name, "CPU" | "NUMA" | "GPU" | "ID"),
            _ => {
                columns::gpu_index(name).is_some()
                    || !any && self.header.iter().any(|token| token.text == name)
            }
        };
        let worded = |text: &str| cell::is_word(text) || cell::split(text).is_some();
        let at = tokens.iter().position(|token| known(columns::bare(&token.text)) || self.glued(&token.text));
        let at = at.filter(|at| fielded || !tokens[..*at].iter().any(|token| worded(&token.text)))?;
        let mut label = tokens[at].clone();
        let bare = columns::bare(&label.text);
        label.column += label.text.chars().count() - bare.chars().count();
        label.text = bare.to_owned();
        let mut rest = if fielded { tokens.to_vec() } else { tokens[at + 1..].to_vec() };
        if !fielded && let Some((name, cells)) = self.unglue(&label.text) {
            let mut first = label.clone();
            first.column += name.len();
            (first.text, label.text) = (cells, name);
            rest.insert(0, first);
        }
        // A line of prose may start with the name of a GPU; a row holds at least one cell.
        rest.iter().any(|token| worded(&token.text)).then_some((label, rest))
    }

    fn glued(&self, text: &str) -> bool {
        self.unglue(columns::bare(text)).is_some()
    }

    /// A label that its first cell was glued to: `mlx5_10PXB`.
    fn unglue(&self, text: &str) -> Option<(String, String)> {
        let columns = self.matrix.columns.as_ref()?;
        if columns.number(text).is_some() {
            return None;
        }
        let starts = text.match_indices(|c: char| c.is_ascii_uppercase()).map(|(at, _)| at);
        let mut cuts = starts.filter(|at| {
            let (name, cells) = text.split_at(*at);
            columns.number(name).is_some() && (cell::is_word(cells) || cell::split(cells).is_some())
        });
        cuts.next().map(|at| (text[..at].to_owned(), text[at..].to_owned()))
    }

    fn begin_row(&mut self, row: RawRow) -> Result<()> {
        if self.stage == Stage::Legend {
            self.over(row.label.line);
            return Ok(());
        }
        if !self.begun {
            self.begun = true;
            let named = self.header.iter().any(|token| token.text == row.label.text);
            if named {
                let columns = Columns::from_header(&self.header, self.header_fielded)?;
                self.matrix.set_columns(columns);
            } else {
                self.matrix.damage(format!(
                    "there is no header above line {}; the columns are taken to be in the order of the rows",
                    row.label.line
                ));
            }
        }
        self.flush(false)?;
        let (count, first) = std::mem::take(&mut self.skipped_pending);
        self.skipped = (self.skipped.0 + count, if self.skipped.1 == 0 { first } else { self.skipped.1 });
        (self.followed, self.terminated) = (false, false);
        self.pending = Some(row);
        Ok(())
    }

    fn flush(&mut self, at_end: bool) -> Result<()> {
        let Some(row) = self.pending.take() else { return Ok(()) };
        if self.matrix.columns.is_none() {
            let devices = row.tokens.iter().take_while(|token| cell::is_word(&token.text)).count();
            if devices > MAX_DEVICES {
                let message = format!("the row has more than {MAX_DEVICES} cells");
                return Err(Error::input(message).at(row.label.line, row.label.column));
            }
            self.matrix.set_columns(Columns::nameless(devices, row.tokens.len() - devices));
        }
        place(&mut self.matrix, row, at_end)
    }

    fn begin_header(&mut self, header: Vec<Token>, fielded: bool, open: bool) {
        if self.begun {
            self.over(header[0].line);
        } else {
            (self.header, self.header_fielded, self.header_open) = (header, fielded, open);
        }
    }

    /// A header that the terminal broke goes on in the next line.
    fn continue_header(&mut self, tokens: &[Token], open: bool, indented: bool) {
        let Some(last) = self.header.last().filter(|_| !self.header_fielded) else { return };
        let (Some(first), part) = (tokens.first(), columns::is_header_part) else { return };
        let adjacent = last.line + 1 == first.line;
        let joins = self.header_open && !indented && !(part(&last.text) && part(&first.text));
        let sound = tokens[usize::from(joins)..].iter().all(|token| part(&token.text));
        let joined = format!("{}{}", last.text, first.text);
        if !adjacent || !sound || joins && !part(&joined) {
            return;
        }
        if joins && let Some(last) = self.header.last_mut() {
            last.text = joined;
        }
        self.header.extend_from_slice(&tokens[usize::from(joins)..]);
        if let Some(last) = self.header.last_mut() {
            last.line = first.line;
        }
        self.header_open = open;
        self.matrix.damage(format!("the header is broken over lines {} and {}", first.line - 1, first.line));
    }

    /// A row that the terminal broke goes on in the next line.
    fn continue_row(&mut self, tokens: &[Token], open: bool, indented: bool) -> bool {
        let wanted = self.matrix.columns.as_ref().map(|columns| columns.kinds.len());
        let (Some(row), Some(wanted)) = (self.pending.as_mut(), wanted) else { return false };
        let (Some(last), Some(first)) = (row.tokens.last(), tokens.first()) else { return false };
        let adjacent = last.line + 1 == first.line && !row.fielded;
        let broken = row.tokens.len() < wanted || last.text.ends_with([',', '-']);
        if self.followed || !adjacent || !broken {
            return false;
        }
        let joined = format!("{}{}", last.text, first.text);
        let may_join = row.open && !indented;
        let lists = cell::is_list(&last.text) && cell::is_list(&first.text);
        let joins = may_join
            && if lists {
                last.text.ends_with([',', '-'])
                    || first.text.starts_with([',', '-'])
                    || row.tokens.len() + tokens.len() > wanted
            } else {
                cell::Word::parse(&joined).is_some()
            };
        let fits = |text: &str| cell::is_word(text) || cell::is_list(text);
        let sound = joins || fits(&first.text);
        if !sound || !tokens[1..].iter().all(|token| fits(&token.text)) {
            return false;
        }
        let line = first.line;
        if joins && let Some(last) = row.tokens.last_mut() {
            (last.text, last.line) = (joined, line);
        }
        row.tokens.extend_from_slice(&tokens[usize::from(joins)..]);
        row.open = open;
        self.matrix.wrapped(line);
        true
    }

    /// A line that is neither header nor row, after the first row.
    fn other(&mut self, line: &Line<'_>, tokens: &[Token]) {
        self.followed = true;
        let text = line.text.trim();
        let legend = text.contains("Legend") || text.contains("Where:") || text.contains("= Self");
        if legend {
            self.stage = Stage::Legend;
        }
        self.matrix.lists_nvlink |= text.contains("NV#");
        if let [name, device, rest @ ..] = tokens {
            let device = if matches!(device.text.as_str(), "=" | ":") { rest.first() } else { Some(device) };
            let name = columns::bare(name.text.trim_end_matches(':'));
            if let Some(device) = device {
                self.matrix.name_nic(name, &device.text);
            }
        }
        if self.stage == Stage::Rows {
            let (count, first) = self.skipped_pending;
            self.skipped_pending = (count + 1, if first == 0 { line.number } else { first });
        }
    }

    /// Which matrix the command line above it asked for.
    fn command(&mut self, tokens: &[Token]) {
        let Some(at) = tokens.iter().position(|token| token.text == "topo") else { return };
        for token in &tokens[at + 1..] {
            match token.text.trim_matches(['`', '"', '\'']) {
                "-mp" | "--matrix_pci" => self.matrix.pci_only = Some(true),
                "-m" | "--matrix" => self.matrix.pci_only = Some(false),
                _ => {}
            }
        }
    }

    fn over(&mut self, line: usize) {
        self.stage = Stage::Over;
        self.followed = true;
        self.matrix.damage(format!("line {line} begins another matrix; only the first one was read"));
    }
}

impl Columns {
    /// Whether a row without this column's cell lacks something.
    pub(super) fn devices(&self) -> usize {
        self.kinds.iter().filter(|kind| matches!(kind, Column::Device(_))).count()
    }
}
