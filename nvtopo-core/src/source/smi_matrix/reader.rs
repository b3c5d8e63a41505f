//! The reader of lines: it finds the header, the rows and the legend.
//!
//! [`super::table`] gives a row's cells their meaning.

use super::cell;
use super::columns::{self, Columns};
use super::place::place;
use super::table::Matrix;
use crate::error::{Error, Result};
use crate::model::MAX_DEVICES;
use crate::source::text::{self, Line, Token};
use std::collections::BTreeSet;

/// The longest name of a device that a cell may be glued to, in bytes.
const MAX_NAME: usize = 64;

/// A row as it stands in the text.
#[derive(Debug)]
pub(super) struct RawRow {
    pub(super) label: Token,
    /// The tokens after the label; in a table with bars, all fields.
    pub(super) tokens: Vec<Token>,
    pub(super) fielded: bool,
    /// True if the line ended within or right after a token, so that a terminal may have broken it there.
    open: bool,
}

/// The last line that may be the header of the rows below it.
#[derive(Default)]
struct Header {
    tokens: Vec<Token>,
    names: BTreeSet<String>,
    fielded: bool,
    /// True if the line may go on, as for a row.
    open: bool,
}

impl Header {
    fn new(tokens: Vec<Token>, fielded: bool, open: bool) -> Self {
        let names = tokens.iter().map(|token| token.text.clone()).collect();
        Self { tokens, names, fielded, open }
    }
}

/// The part of the text that has been reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Before,
    Rows,
    Legend,
    /// Another matrix has begun.
    Over,
}

/// Reads a text line by line.
pub(super) struct Reader {
    header: Header,
    pending: Option<RawRow>,
    /// The line after the rows that may be the header of another matrix.
    next_header: Option<usize>,
    stage: Stage,
    /// Lines between rows that are none: how many, and the first.
    skipped: (usize, usize),
    skipped_pending: (usize, usize),
    /// True if any text follows the last row.
    followed: bool,
    /// True if the line of the last row was ended.
    terminated: bool,
    matrix: Matrix,
}

/// Returns whether a line could be one of a matrix: a header, or the row of a GPU.
pub(super) fn is_matrix_line(line: &Line<'_>) -> bool {
    if !line.text.contains("GPU") {
        return false;
    }
    let (tokens, fielded) = text::tokens(line);
    columns::header(&tokens, fielded).is_some() || Reader::new().row(&tokens, fielded, true).is_some()
}

/// Returns whether a line could be the header of a matrix.
pub(super) fn is_header(line: &Line<'_>) -> bool {
    if !line.text.contains("GPU") {
        return false;
    }
    let (tokens, fielded) = text::tokens(line);
    columns::header(&tokens, fielded).is_some()
}

/// Returns whether a line could be the row of a GPU.
pub(super) fn is_row_line(line: &Line<'_>) -> bool {
    is_matrix_line(line) && !is_header(line)
}

/// Returns whether what follows a name makes a row of it: a line of prose may start with the name of a GPU as well.
fn is_row(cells: &[Token]) -> bool {
    let prose = |token: &Token| {
        columns::is_device(columns::bare(&token.text))
            || token.text.starts_with(|c: char| c.is_ascii_lowercase())
    };
    let worded = |token: &&Token| cell::is_word(&token.text) || cell::split(&token.text).is_some();
    let words = cells.iter().filter(worded).count();
    let others = cells.iter().filter(|token| !token.text.is_empty() && !cell::is_list(&token.text)).count();
    words > 0 && 2 * words >= others && !cells.first().is_some_and(prose)
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            header: Header::default(),
            pending: None,
            next_header: None,
            stage: Stage::Before,
            skipped: (0, 0),
            skipped_pending: (0, 0),
            followed: false,
            terminated: false,
            matrix: Matrix::default(),
        }
    }

    /// Takes the next line.
    pub(super) fn feed(&mut self, line: &Line<'_>) -> Result<()> {
        self.terminated |= self.pending.is_some();
        let blank = |c: char| c.is_whitespace() || c == char::REPLACEMENT_CHARACTER;
        if self.stage == Stage::Over || line.text.chars().all(blank) {
            return Ok(());
        }
        let (tokens, fielded) = text::tokens(line);
        let ruler = |token: &Token| token.text.bytes().all(|byte| matches!(byte, b'-' | b':' | b'='));
        if fielded && tokens.iter().all(ruler) {
            return Ok(());
        }
        let open = !line.text.ends_with(char::is_whitespace);
        let indented = line.text.starts_with(char::is_whitespace);
        if self.stage == Stage::Before {
            self.command(&line.text);
        }
        if let Some((label, cells)) = self.row(&tokens, fielded, false) {
            let row = RawRow { label, tokens: cells, fielded, open };
            return self.begin_row(row);
        }
        if let Some(header) = columns::header(&tokens, fielded) {
            // A broken header may go on with GPUs that it has not named yet.
            let new = !header.iter().any(|token| self.header.names.contains(&token.text));
            if self.stage == Stage::Before && new && !fielded && self.continue_header(&tokens, open, indented)
            {
                return Ok(());
            }
            self.begin_header(header, fielded, open);
            return Ok(());
        }
        if self.stage == Stage::Before {
            self.continue_header(&tokens, open, indented);
        } else if !self.continue_row(&tokens, open, indented) {
            self.other(line, &tokens)?;
        }
        Ok(())
    }

    /// Reads the last row, and hands over what was read.
    pub(super) fn finish(mut self) -> Result<Matrix> {
        let at_end = !self.followed && self.stage == Stage::Rows;
        self.flush(at_end)?;
        if self.stage == Stage::Before {
            let error = Error::input("there is no row of a matrix in it");
            return Err(match self.header.tokens.first() {
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

    /// Returns the label of a row and what follows it, if the tokens are a row. `any` takes labels of GPUs only.
    fn row(&self, tokens: &[Token], fielded: bool, any: bool) -> Option<(Token, Vec<Token>)> {
        let columns = self.matrix.columns.as_ref();
        let named = columns.filter(|columns| !columns.names.iter().any(Option::is_none));
        let known = |name: &str| match (named, self.stage) {
            (_, Stage::Before) => {
                columns::gpu_index(name).is_some() || !any && self.header.names.contains(name)
            }
            (Some(columns), _) => columns.number(name).is_some() || columns::is_device(name),
            _ => columns::could_be_device(name),
        };
        let worded = |text: &str| cell::is_word(text) || cell::split(text).is_some();
        let label = |text: &str| !text.is_empty() && !cell::is_word(text) && known(text);
        let at = tokens
            .iter()
            .position(|token| label(columns::bare(&token.text)) || self.unglue(&token.text).is_some());
        let at = at.filter(|at| fielded || !tokens[..*at].iter().any(|token| worded(&token.text)))?;
        let mut label = tokens[at].clone();
        let mut rest = if fielded { tokens.to_vec() } else { tokens[at + 1..].to_vec() };
        let glued = self.unglue(&label.text).filter(|_| !fielded);
        let name =
            glued.as_ref().map_or_else(|| columns::bare(&label.text).to_owned(), |(name, _)| name.clone());
        let cells = glued.map_or(String::new(), |(_, cells)| cells);
        label.column += label.text.chars().count() - name.chars().count() - cells.chars().count();
        label.text = name;
        if !cells.is_empty() {
            let column = label.column + label.text.chars().count();
            rest.insert(0, Token { text: cells, column, ..label.clone() });
        }
        let cells = if fielded { &rest[at + 1..] } else { &rest[..] };
        is_row(cells).then_some((label, rest))
    }

    /// Returns a label that its first cell was glued to: `mlx5_10PXB`.
    fn unglue(&self, text: &str) -> Option<(String, String)> {
        let columns = self.matrix.columns.as_ref();
        let known = |name: &str| match columns {
            Some(columns) => columns.number(name).is_some(),
            None => self.header.names.contains(name) && columns::could_be_device(name),
        };
        let text = text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        if known(text) || known(columns::bare(text)) {
            return None;
        }
        // Beyond the longest name there is nothing to find, and a line may be as long as its file.
        let starts = text.match_indices(|c: char| c.is_ascii_uppercase()).map(|(at, _)| at);
        let starts = starts.take_while(|at| *at <= MAX_NAME);
        let mut cuts = starts.filter(|at| {
            let (name, cells) = text.split_at(*at);
            known(name) && (cell::is_word(cells) || cell::split(cells).is_some())
        });
        cuts.next().map(|at| (text[..at].to_owned(), text[at..].to_owned()))
    }

    fn begin_row(&mut self, row: RawRow) -> Result<()> {
        let again = self.followed && self.has(&row.label.text);
        if self.stage == Stage::Legend || again || self.next_header.is_some() {
            self.over(self.next_header.unwrap_or(row.label.line));
            return Ok(());
        }
        if self.stage == Stage::Before {
            self.stage = Stage::Rows;
            if self.header.names.contains(&row.label.text) {
                self.mend_header(&row);
                let columns = Columns::from_header(&self.header.tokens, self.header.fielded)?;
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

    /// Puts back the empty cell above the rows' names, where the header of a table with bars lost it.
    fn mend_header(&mut self, row: &RawRow) {
        let named = |tokens: &[Token]| tokens.first().is_some_and(|token| columns::is_device(&token.text));
        let header = &mut self.header;
        if !header.fielded || !row.fielded || !named(&header.tokens) || !named(&row.tokens) {
            return;
        }
        let first = Token { text: String::new(), ..header.tokens[0].clone() };
        // An empty one may have been put behind the others for it.
        if header.tokens.len() > row.tokens.len() - 1
            && header.tokens.last().is_some_and(|last| last.text.is_empty())
        {
            header.tokens.pop();
        }
        header.tokens.insert(0, first);
        let line = header.tokens[0].line;
        self.matrix.damage(format!("the header in line {line} lacks the cell above the names of the rows"));
    }

    /// Returns whether the row was there already.
    fn has(&self, name: &str) -> bool {
        let number = self.matrix.columns.as_ref().and_then(|columns| columns.number(name));
        let read = number.and_then(|number| self.matrix.rows.get(number)?.as_ref());
        read.is_some() || self.pending.as_ref().is_some_and(|row| row.label.text == name)
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
        if self.stage == Stage::Before {
            self.header = Header::new(header, fielded, open);
        } else {
            // A header is followed by a row; prose names GPUs as well.
            self.next_header = self.next_header.or(Some(header[0].line));
            self.followed = true;
        }
    }

    /// Continues a header that the terminal broke; returns whether the line was taken.
    fn continue_header(&mut self, tokens: &[Token], open: bool, indented: bool) -> bool {
        let Some(last) = self.header.tokens.last().filter(|_| !self.header.fielded) else { return false };
        let (Some(first), part) = (tokens.first(), columns::is_header_part) else { return false };
        let adjacent = last.line + 1 == first.line;
        let joins = self.header.open && !indented && !(part(&last.text) && part(&first.text));
        // The last of them may be broken in turn.
        let more = &tokens[usize::from(joins)..];
        let whole = more.len().saturating_sub(usize::from(open));
        let sound = more[..whole].iter().all(|token| part(&token.text))
            && more[whole..].iter().all(|token| part(&token.text) || columns::is_cut_part(&token.text));
        let joined = format!("{}{}", last.text, first.text);
        let last_whole = part(&joined) || more.is_empty() && open;
        if !adjacent || !sound || joins && !last_whole {
            return false;
        }
        let mut header = std::mem::take(&mut self.header.tokens);
        if joins && let Some(last) = header.last_mut() {
            last.text = joined;
        }
        header.extend_from_slice(&tokens[usize::from(joins)..]);
        if let Some(last) = header.last_mut() {
            last.line = first.line;
        }
        self.header = Header::new(header, false, open);
        self.matrix.damage(format!("the header is broken over lines {} and {}", first.line - 1, first.line));
        true
    }

    /// Continues a row that the terminal broke; returns whether the line was taken.
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
        // The text may end within the last of them.
        let fits_at = |at: usize, text: &str| fits(text) || at + 1 == tokens.len() && cell::is_cut_word(text);
        let mut more = tokens.iter().enumerate().skip(usize::from(joins));
        if !more.all(|(at, token)| fits_at(at, &token.text)) {
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

    /// Takes a line that is neither header nor row, after the first row.
    fn other(&mut self, line: &Line<'_>, tokens: &[Token]) -> Result<()> {
        let cells = |token: &Token| cell::is_word(&token.text) || cell::is_list(&token.text);
        if self.stage == Stage::Rows
            && tokens.iter().all(cells)
            && tokens.iter().any(|t| cell::is_word(&t.text))
        {
            let error = Error::input("there are cells that belong to no row");
            return Err(error.at(line.number, tokens.first().map_or(1, |token| token.column)));
        }
        let text = line.text.trim();
        // A closing fence or an ellipsis does not hide that the text was cut.
        self.followed |= text.contains(char::is_alphanumeric);
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
        Ok(())
    }

    /// Records the matrix that a command line asks for.
    fn command(&mut self, line: &str) {
        for word in text::command_words(line).skip_while(|word| *word != "topo").skip(1) {
            match word {
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
