//! The matrix of a test, completed: each pair that it was to measure has a cell, and none vanishes.
//!
//! Cells without a figure get a mark in its place, a number that no link reaches, by which they are found again among the
//! measurements that the core reads from the text.

use serde_json::Value;
use std::fmt::Write as _;

/// The mark of a cell that holds 0, in GB/s; greater ones are those of reasons.
const MARK: f64 = 900_000.0;

/// The reason where the output tells none.
pub(crate) const NO_FIGURE: &str = "the output holds no figure of it";

/// The most reasons of a test that are told apart.
const MOST_REASONS: usize = 32;

/// Returns the number of a reason, from 1.
fn number(place: usize) -> f64 {
    f64::from(u32::try_from(place + 1).unwrap_or(u32::MAX))
}

/// The beginnings of lines that tell why a test has no figure.
pub(crate) const TROUBLE: [&str; 9] =
    ["Waiving ", "Waived", "Error", "ERROR", "Not Found", "NVML_ERROR", "CUDA", "ASSERT", "["];

/// The marks of a test's cells that have no figure.
#[derive(Default)]
pub(crate) struct Marks {
    reasons: Vec<String>,
}

/// The meaning of a measured number.
pub(crate) enum Cell<'a> {
    Figure(f64),
    /// No figure, with the reason.
    Missing(&'a str),
}

impl Marks {
    /// Returns the mark of a reason.
    fn of(&mut self, why: String) -> String {
        let place = self.reasons.iter().position(|own| *own == why).unwrap_or_else(|| {
            if self.reasons.len() < MOST_REASONS {
                self.reasons.push(why);
            }
            self.reasons.len() - 1
        });
        (MARK + number(place)).to_string()
    }

    /// Returns what a cell is written as.
    fn cell(&mut self, cell: Option<&str>, otherwise: &str) -> String {
        let Some(cell) = cell else { return self.of(otherwise.to_owned()) };
        match cell.parse::<f64>() {
            Ok(0.0) => MARK.to_string(),
            Ok(value) if value > 0.0 && value < MARK => cell.to_owned(),
            _ if cell == "N/A" => self.of("the program prints N/A".to_owned()),
            _ => self.of(format!("'{}' is not a bandwidth", cell.chars().take(40).collect::<String>())),
        }
    }

    /// Returns what a number means.
    pub(crate) fn meaning(&self, value: f64) -> Cell<'_> {
        if value < MARK {
            return Cell::Figure(value);
        }
        let own = (0..self.reasons.len())
            .find(|place| MARK + number(*place) <= value + 0.5 && value < MARK + number(*place) + 0.5);
        own.map_or(Cell::Figure(0.0), |place| Cell::Missing(&self.reasons[place]))
    }

    /// Completes a matrix of `columns`, whose row `None` was not there.
    fn rows(
        &mut self,
        columns: &[u32],
        row: impl Fn(u32) -> Option<Vec<String>>,
        otherwise: &str,
    ) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        for from in columns {
            let cells = row(*from).unwrap_or_default();
            // Nobody knows which of them are too many.
            let strange = (cells.len() > columns.len())
                .then(|| format!("the row {from} has {} cells under {} columns", cells.len(), columns.len()));
            let cell = |(place, to): (usize, &u32)| match &strange {
                _ if from == to => "N/A".to_owned(),
                Some(why) => self.of(why.clone()),
                None => self.cell(cells.get(place).map(String::as_str), otherwise),
            };
            all.push(columns.iter().enumerate().map(cell).collect());
        }
        all
    }
}

/// Completes the matrix below a heading. `most` is the number of GPUs that there can be, `named` the number that the text names,
/// and `is_sure` says that even one row is a matrix of pairs.
///
/// Returns the lines of the body. `None`: it is no matrix of this machine's pairs.
pub(crate) fn of_text(
    body: &str,
    named: usize,
    most: usize,
    is_sure: bool,
    marks: &mut Marks,
) -> Option<String> {
    let lines: Vec<&str> = body.lines().collect();
    let words = |line: &str| -> Vec<String> {
        // A mark of where the line comes from, such as `[1,0]<stdout>:`.
        let line = line
            .trim_start()
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .map_or(line, |own| own.1);
        let line = line.strip_prefix("<stdout>:").unwrap_or(line);
        line.split_whitespace().filter(|word| *word != "D\\D" && *word != "#").map(str::to_owned).collect()
    };
    let numbers = |line: &&str| -> Option<Vec<u32>> {
        let words = words(line);
        let numbers: Option<Vec<u32>> = words.iter().take(most + 1).map(|word| word.parse().ok()).collect();
        numbers.filter(|numbers| !numbers.is_empty())
    };
    let trouble = lines.iter().find(|line| TROUBLE.iter().any(|word| line.trim_start().starts_with(word)));
    let otherwise = trouble.map_or(NO_FIGURE.to_owned(), |line| {
        format!("the program says: {}", line.trim().chars().take(160).collect::<String>())
    });
    let start = lines.iter().position(|line| numbers(line).is_some());
    let columns = start.and_then(|at| numbers(&lines[at]));
    let columns = columns.unwrap_or_else(|| (0..).take(named).collect());
    let mut rows: Vec<(u32, Vec<String>)> = Vec::new();
    let first = start.map_or(lines.len(), |at| at + 1);
    for line in &lines[first..] {
        let words = words(line);
        let Some((row, cells)) = words.split_first() else { break };
        let Ok(row) = row.parse() else { break };
        rows.push((row, cells.to_vec()));
    }
    let end = first + rows.len();
    // The last number of an output that was cut may lack its last digits.
    if end == lines.len()
        && !body.ends_with('\n')
        && let Some((_, cells)) = rows.last_mut().filter(|(_, cells)| cells.len() < columns.len())
    {
        cells.pop();
    }
    if columns.len() > most || !is_sure && rows.len() < 2 {
        return None;
    }
    let row = |number: u32| rows.iter().find(|(own, _)| *own == number).map(|(_, cells)| cells.clone());
    let rows = marks.rows(&columns, row, &otherwise);
    let mut text: String = lines[..start.unwrap_or(0)].iter().flat_map(|line| [line, "\n"]).collect();
    let header: Vec<String> = columns.iter().map(u32::to_string).collect();
    let _ = writeln!(text, "{}", header.join(" "));
    for (number, cells) in header.iter().zip(rows) {
        let _ = writeln!(text, "{number} {}", cells.join(" "));
    }
    text.push('\n');
    text.extend(
        lines[end.min(lines.len())..].iter().filter(|_| start.is_some()).flat_map(|line| [line, "\n"]),
    );
    Some(text)
}

/// Completes the matrix of a test in JSON. Parameters as of [`of_text`].
pub(crate) fn of_json(test: &mut Value, named: usize, most: usize, marks: &mut Marks) {
    let cells = |row: &Value| -> Vec<String> {
        let cell = |cell: &Value| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
        row.as_array().into_iter().flatten().map(cell).collect()
    };
    let rows: Vec<Vec<String>> =
        test["bandwidth_matrix"].as_array().into_iter().flatten().map(cells).collect();
    let columns = match rows.len().max(named) {
        0 => most,
        own => own,
    };
    let columns: Vec<u32> = (0..).take(columns).collect();
    if columns.len() > most {
        return;
    }
    let word = |name: &str| test[name].as_str().filter(|word| *word != "Passed").map(str::to_owned);
    let otherwise = word("error")
        .or_else(|| word("status"))
        .map_or(NO_FIGURE.to_owned(), |word| format!("the program says: {word}"));
    let row = |number: u32| rows.get(number as usize).cloned();
    test["bandwidth_matrix"] = marks.rows(&columns, row, &otherwise).into();
    // Its reasons stand in the cells now.
    test["status"] = "Passed".into();
}
