//! Arrangement of the tokens of a row in cells: in order, by tabs, by place on the screen, or taken apart.

use super::cell::{self, Word};
use super::columns::{Column, Columns, gpu_index};
use super::reader::RawRow;
use super::stops;
use super::table::{AFFINITIES, Cell, Matrix, Row, is_garbled, unknown_word};
use crate::error::{Error, Result};
use crate::source::text::Token;
use crate::units::count_of;

/// Reads one row into the matrix. `at_end`: nothing follows it in the text.
pub(super) fn place(matrix: &mut Matrix, mut row: RawRow, at_end: bool) -> Result<()> {
    let Some(mut columns) = matrix.columns.take() else { return Ok(()) };
    join_lists(&mut row.tokens);
    let result = place_in(matrix, &mut columns, &row, at_end);
    matrix.columns = Some(columns);
    result
}

fn place_in(matrix: &mut Matrix, columns: &mut Columns, row: &RawRow, at_end: bool) -> Result<()> {
    let label = &row.label;
    let here = |message: String| Error::input(message).at(label.line, label.column);
    let Some(own) = columns.number(&label.text).or_else(|| adopt(columns, row)) else {
        return Err(here(format!("there is a row {} and no such column", label.text)));
    };
    let texts: Vec<String> = row.tokens.iter().map(|token| token.text.clone()).collect();
    if let Some(earlier) = &matrix.rows[own] {
        if earlier.tokens == texts {
            let (again, first) = (label.line, earlier.line);
            matrix.damage(format!("line {again} repeats the row {} of line {first}", label.text));
            return Ok(());
        }
        let first = earlier.line;
        let message =
            format!("there is a second row {} that differs from the one in line {first}", label.text);
        return Err(here(message));
    }
    let short = row.tokens.len() < columns.kinds.len();
    let (slots, glued) = Slots::of(columns, own, row, at_end)?;
    if glued {
        matrix.damage(format!("cells of the row {} in line {} run together", label.text, label.line));
    }
    if at_end {
        let last = slots.0.iter().rposition(Option::is_some);
        matrix.tail = last.map(|column| (own, column));
    }
    let read = slots.row(matrix, columns, own, row, at_end && short);
    matrix.rows[own] = Some(Row { tokens: texts, ..read });
    Ok(())
}

/// Finds the column of a row without a header, by its own cell.
fn adopt(columns: &mut Columns, row: &RawRow) -> Option<usize> {
    let own = row.tokens.iter().position(|token| token.text == "X")?;
    (own < columns.names.len() && columns.set_name(own, &row.label.text)).then_some(own)
}

/// Joins a list that was broken at its comma: `0-23, 48-71`.
fn join_lists(tokens: &mut Vec<Token>) {
    let mut index = 1;
    while index < tokens.len() {
        let comma = tokens[index - 1].text.ends_with(',') && cell::is_list(&tokens[index - 1].text);
        if comma && cell::is_list(&tokens[index].text) && tokens[index].text != "N/A" {
            let rest = tokens.remove(index).text;
            tokens[index - 1].text.push_str(&rest);
        } else {
            index += 1;
        }
    }
}

/// The tokens of a row by column.
struct Slots(Vec<Option<Token>>);

/// The mark of a list that may contain several that ran together.
const RUN_TOGETHER: &str = " (run together)";

impl Slots {
    /// Returns the first arrangement that makes sense: in order; by tabs; by place on the screen; taken apart.
    fn of(columns: &Columns, own: usize, row: &RawRow, at_end: bool) -> Result<(Self, bool)> {
        let tokens = &row.tokens;
        if row.fielded || columns.fielded {
            let slots = Self::in_order(columns, tokens);
            slots.check(columns, own, row, at_end)?;
            return Ok((slots, false));
        }
        let in_order = Self::in_order(columns, tokens);
        let Err(error) = in_order.check(columns, own, row, at_end) else {
            return Ok((in_order.settle(columns, row, at_end), false));
        };
        let apart = mark_run_together(columns, tokens);
        let others = [
            (Self::by_tabs(columns, tokens), false),
            (Self::by_screen(columns, tokens), false),
            (Some(Self::in_order(columns, &apart)), true),
        ];
        for (slots, glued) in others {
            if let Some(slots) = slots.filter(|slots| slots.check(columns, own, row, false).is_ok()) {
                return Ok((slots, glued));
            }
        }
        Err(error)
    }

    fn in_order(columns: &Columns, tokens: &[Token]) -> Self {
        let mut slots: Vec<Option<Token>> = tokens.iter().cloned().map(Some).collect();
        slots.resize(slots.len().max(columns.kinds.len()), None);
        Self(slots)
    }

    /// Arranges by tabs: two in a row enclose an empty cell.
    fn by_tabs(columns: &Columns, tokens: &[Token]) -> Option<Self> {
        let mut slots = vec![None; columns.kinds.len()];
        let mut next = 0;
        for token in tokens {
            let at = next + token.tabs.checked_sub(1)?;
            // `GPU NUMA ID` is two tab stops from `NUMA Affinity`, whose name is longer than one.
            let at = at.min(slots.len().checked_sub(1)?.max(next));
            *slots.get_mut(at)? = Some(token.clone());
            next = at + 1;
        }
        Some(Self(slots))
    }

    /// Arranges by place on the screen: a cell belongs to the column whose name starts nearest.
    fn by_screen(columns: &Columns, tokens: &[Token]) -> Option<Self> {
        let mut slots = vec![None; columns.kinds.len()];
        let mut free = 0;
        for token in tokens {
            let starts = columns.starts.iter().enumerate().skip(free);
            let (at, _) = starts.min_by_key(|(_, start)| start.abs_diff(token.screen))?;
            slots[at] = Some(token.clone());
            free = at + 1;
        }
        Some(Self(slots))
    }

    /// Moves what follows the matrix under its headings, where the row has fewer cells than they.
    fn settle(mut self, columns: &Columns, row: &RawRow, at_end: bool) -> Self {
        let tokens = &row.tokens;
        let devices = columns.devices();
        let (all, given) = (columns.kinds.len(), tokens.len());
        let leading = columns.kinds[..devices].iter().all(|kind| matches!(kind, Column::Device(_)));
        if !leading || given <= devices || given >= all {
            return self;
        }
        let after = &tokens[devices..];
        let known = columns.kinds[devices..].iter().eq(AFFINITIES[..(all - devices).min(3)].iter());
        let stops = stops::after(&row.label, tokens, devices).filter(|_| known);
        let places = if let Some(stops) = stops {
            // On the screen the driver's headings are one, two and four tab stops from the matrix.
            let place = |stop| match stop {
                0 | 1 => 0,
                2 | 3 => 1,
                _ => 2,
            };
            stops.into_iter().map(place).collect()
        } else {
            let by_heading = after.first().filter(|token| token.tabs == 0).map_or(0, |token| {
                let starts = columns.starts.get(devices..).unwrap_or_default();
                starts.iter().rposition(|start| *start <= token.screen).unwrap_or(0)
            });
            let by_heading: Vec<usize> = (by_heading..).take(after.len()).collect();
            if known { by_content(after, all - devices, at_end).unwrap_or(by_heading) } else { by_heading }
        };
        let rising = places.windows(2).all(|pair| pair[0] < pair[1]);
        if rising && places.last().is_some_and(|last| devices + last < all) {
            self.0[devices..].fill(None);
            for (place, token) in places.into_iter().zip(after) {
                self.0[devices + place] = Some(token.clone());
            }
        }
        self
    }

    /// Checks that each token can be what its column says. At the end of the text the row may be short.
    fn check(&self, columns: &Columns, own: usize, row: &RawRow, at_end: bool) -> Result<()> {
        let name = &row.label.text;
        let last = self.0.iter().rposition(Option::is_some);
        let devices = columns.devices();
        let wrong = |token: &Token, message: String| Err(Error::input(message).at(token.line, token.column));
        let short = |token: &Token| {
            let cells = row.tokens.iter().take_while(|token| cell::is_word(&token.text)).count();
            let (cells, devices) = (count_of(cells, "cell"), count_of(devices, "column"));
            let message = format!("the row {name} has {cells}, and the matrix {devices}");
            wrong(token, message)
        };
        for (index, slot) in self.0.iter().enumerate() {
            let kind = columns.kinds.get(index).copied();
            match (kind, slot) {
                (Some(Column::Device(_)), None) if at_end && Some(index) > last => {}
                (Some(Column::Device(device)), None)
                    if device != own && (columns.fielded || self.0[index..].iter().any(Option::is_some)) => {}
                (Some(Column::Device(_)), None) => return short(&row.label),
                (Some(Column::Device(device)), Some(token)) => {
                    let cut = at_end && Some(index) == last && cell::is_cut_word(&token.text);
                    match Word::parse(&token.text) {
                        Some(Word::Own) if device != own => {
                            let message = format!("the X of the row {name} is not under {name}");
                            return wrong(token, message);
                        }
                        Some(word) if device == own && word != Word::Own => {
                            let message = format!("{name} to itself is {}, not X", token.text);
                            return wrong(token, message);
                        }
                        Some(_) => {}
                        None if cut || is_garbled(&token.text) || token.text.is_empty() => {}
                        None if cell::is_list(&token.text) => return short(token),
                        None => return unknown_word(token),
                    }
                }
                (Some(Column::Label), _) | (_, None) => {}
                (_, Some(token)) if cell::is_word(&token.text) => {
                    let message =
                        format!("the row {name} has more cells than the matrix has columns, {devices}");
                    return wrong(token, message);
                }
                (None, Some(token)) if columns.fielded => {
                    return wrong(token, format!("the row {name} has more fields than the header"));
                }
                (_, Some(_)) => {}
            }
        }
        Ok(())
    }

    fn row(self, matrix: &mut Matrix, columns: &Columns, own: usize, raw: &RawRow, cut: bool) -> Row {
        let mut row = Row {
            line: raw.label.line,
            cells: vec![None; columns.names.len()],
            affinities: [None, None, None],
            tokens: Vec::new(),
        };
        let gpu = gpu_index(&raw.label.text).is_some();
        let last = self.0.iter().rposition(Option::is_some);
        let vague = self.0.iter().flatten().any(|token| token.text.ends_with(RUN_TOGETHER));
        let mut holes = 0;
        for (index, slot) in self.0.iter().enumerate() {
            match (columns.kinds.get(index), slot) {
                (Some(Column::Device(device)), Some(token)) => {
                    let word = match Word::parse(&token.text) {
                        Some(word) => word,
                        None if token.text.is_empty() => Word::Unknown,
                        None if *device == own => Word::Own,
                        None => {
                            let (line, name, text) = (token.line, &raw.label.text, &token.text);
                            matrix.damage(format!(
                                "a cell of the row {name} in line {line} is damaged: '{text}'"
                            ));
                            matrix.garbled.push((own, *device, token.clone()));
                            continue;
                        }
                    };
                    let (line, column) = (token.line as u32, token.column as u32);
                    row.cells[*device] = Some(Cell { word, line, column });
                }
                (Some(Column::Device(_)), None) => holes += usize::from(!cut),
                (Some(kind), slot) => {
                    let Some(which) = AFFINITIES.iter().position(|affinity| affinity == kind) else {
                        continue;
                    };
                    row.affinities[which] = match slot.as_ref().filter(|token| gpu || !token.text.is_empty())
                    {
                        Some(token) => Some(token.text.clone()),
                        // Drivers leave these cells of NICs empty.
                        None if (cut || vague) && Some(index) > last || !gpu => None,
                        None => Some(String::new()),
                    };
                }
                (None, Some(token)) => {
                    let (line, text) = (token.line, &token.text);
                    if !columns.has(Column::Other) {
                        matrix.damage(format!(
                            "line {line} has more cells than the header: '{text}' is left out"
                        ));
                    }
                }
                (None, None) => {}
            }
        }
        if holes > 0 {
            matrix.damage(format!(
                "the row {} in line {} has {}",
                raw.label.text,
                row.line,
                count_of(holes, "empty cell")
            ));
        }
        row
    }
}

/// Returns the columns of the cells beside the matrix by their content, where neither place nor number decides: no GPU
/// has one CPU only, and drivers print `N/A` last. `None`: they are in order.
fn by_content(after: &[Token], headings: usize, at_end: bool) -> Option<Vec<usize>> {
    let number = |token: &Token| token.text.bytes().all(|byte| byte.is_ascii_digit());
    let none = |token: &Token| token.text == "N/A";
    match (after, headings) {
        ([only], 2 | 3) if number(only) && !at_end => Some(vec![1]),
        ([only], 3) if none(only) && !at_end => Some(vec![2]),
        ([first, last], 3) if number(first) && (none(last) || number(last)) => Some(vec![1, 2]),
        ([first, last], 3) if !none(first) && none(last) && !at_end => Some(vec![0, 2]),
        _ => None,
    }
}

/// Returns the tokens with cells taken apart. Where fewer are left beside the matrix than there are headings, a list
/// may be several that ran together, and is marked so that it is not believed.
fn mark_run_together(columns: &Columns, tokens: &[Token]) -> Vec<Token> {
    let mut apart: Vec<Token> = tokens.iter().flat_map(take_apart).collect();
    let glued = tokens.last().is_some_and(|last| take_apart(last).len() > 1);
    let (devices, all) = (columns.devices(), columns.kinds.len());
    if glued && apart.len() > devices && apart.len() < all {
        let list: String = apart.drain(devices + 1..).map(|token| token.text).collect();
        apart[devices].text += &(list + RUN_TOGETHER);
    }
    apart
}

/// Returns a token as several, where cells run together.
fn take_apart(token: &Token) -> Vec<Token> {
    let Some(parts) = cell::split(&token.text) else { return vec![token.clone()] };
    let mut column = token.column;
    let part = |text: &str| {
        let part = Token { text: text.to_owned(), column, ..token.clone() };
        column += text.len();
        part
    };
    parts.into_iter().map(part).collect()
}
