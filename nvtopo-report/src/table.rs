//! Tables of texts, written as HTML and as Markdown, and the limits that keep a report small.

use nvtopo::printable;
use nvtopo_draw::html::escape;
use std::borrow::Cow;
use std::fmt::Write;

/// The most rows of a table of a page; the JSON document has all.
const MOST_ROWS: usize = 300;
/// The most rows of a table of a ticket.
const MOST_IN_TICKET: usize = 20;

/// The most characters of one text, and those that are kept of the end of a longer one.
const LONGEST: usize = 500;
const END: usize = 80;

/// A table of texts. The first column names what a row is about.
#[derive(Default)]
pub(crate) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heads: impl Into<Vec<&'static str>>) -> Self {
        Self { heads: heads.into(), rows: Vec::new() }
    }

    /// Adds a row. One with fewer cells than columns has a wide last cell.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<String>>) {
        self.rows.push(cells.into());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Leaves out the columns of which no row says anything.
    pub(crate) fn without_empty_columns(mut self) -> Self {
        let is_told =
            |column: usize| self.rows.iter().any(|row| row.get(column).is_some_and(|cell| !cell.is_empty()));
        let told: Vec<bool> = (0..self.heads.len()).map(is_told).collect();
        let keep = |column: usize| told.get(column).copied().unwrap_or(true);
        self.heads =
            (0..).zip(self.heads).filter(|(column, _)| keep(*column)).map(|(_, head)| head).collect();
        for row in &mut self.rows {
            let cells = std::mem::take(row);
            *row = (0..).zip(cells).filter(|(column, _)| keep(*column)).map(|(_, cell)| cell).collect();
        }
        self
    }

    /// Writes the table as HTML.
    pub(crate) fn to_html(&self) -> String {
        let mut html = "<div class=\"wide\"><table class=\"list\"><thead><tr>".to_owned();
        for head in &self.heads {
            let _ = write!(html, "<th scope=\"col\">{}</th>", escape(head));
        }
        html += "</tr></thead><tbody>";
        for row in self.rows.iter().take(MOST_ROWS) {
            html += "<tr>";
            for (column, cell) in row.iter().enumerate() {
                let span = self.heads.len() - column;
                let wide = column + 1 == row.len() && span > 1;
                let wide = if wide { format!(" colspan=\"{span}\"") } else { String::new() };
                let (class, text) = (width_of(cell), text(cell));
                if column == 0 {
                    let _ = write!(html, "<th scope=\"row\"{wide}{class}>{text}</th>");
                } else {
                    let _ = write!(html, "<td{wide}{class}>{text}</td>");
                }
            }
            html += "</tr>";
        }
        html += "</tbody></table></div>";
        html + &more(self.rows.len(), MOST_ROWS)
            .map_or_else(String::new, |more| format!("<p class=\"hint\">{more}</p>"))
    }

    /// Writes the table as GitHub's Markdown.
    pub(crate) fn to_markdown(&self) -> String {
        let mut table = format!("| {} |\n|{}\n", self.heads.join(" | "), "---|".repeat(self.heads.len()));
        for row in self.rows.iter().take(MOST_IN_TICKET) {
            let empty = std::iter::repeat_n(String::new(), self.heads.len().saturating_sub(row.len()));
            let cells: Vec<String> = row.iter().map(|cell| markdown(cell)).chain(empty).collect();
            let _ = writeln!(table, "| {} |", cells.join(" | "));
        }
        table + &more(self.rows.len(), MOST_IN_TICKET).map_or_else(String::new, |more| format!("\n{more}\n"))
    }
}

/// Returns the words on what a list leaves out. `None`: nothing.
pub(crate) fn more(count: usize, most: usize) -> Option<String> {
    (count > most).then(|| format!("And {} more, which the report in JSON has.", count - most))
}

/// The most characters of a cell that stays in one line, and the least of one that needs room.
const LINE: usize = 14;
const SENTENCE: usize = 40;
/// The longest word that is not broken, and the length of its pieces.
const LONGEST_WORD: usize = 24;
const PIECE: usize = 12;

/// Returns the class of a cell by the room that it needs: short ones are not broken, sentences are not squeezed.
fn width_of(cell: &str) -> &'static str {
    match cell.chars().count() {
        0..=LINE => " class=\"line\"",
        count if count < SENTENCE => " class=\"words\"",
        _ => " class=\"sentence\"",
    }
}

/// Returns a text for a page, escaped, not too long, and with places where long words may break: behind commas and slashes,
/// where there are some.
pub(crate) fn text(content: &str) -> String {
    let content = shortened(content);
    let words = content.split(' ').map(|word| {
        if word.chars().count() <= LONGEST_WORD {
            return escape(word);
        }
        let pieces = word.split_inclusive([',', '/']).flat_map(|part| {
            let letters: Vec<char> = part.chars().collect();
            let size = if letters.len() <= LONGEST_WORD { LONGEST_WORD } else { PIECE };
            letters.chunks(size).map(String::from_iter).collect::<Vec<_>>()
        });
        pieces.map(|piece| escape(&piece)).collect::<Vec<_>>().join("<wbr/>")
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Returns a text for the title of a page, escaped and not too long.
pub(crate) fn title(content: &str) -> String {
    escape(&shortened(content))
}

/// Returns a text for a ticket, escaped and not too long: what it names is no formatting, no link and calls nobody.
pub(crate) fn markdown(content: &str) -> String {
    let safe = shortened(content).into_owned();
    let safe = printable(&safe);
    let mut escaped = String::with_capacity(safe.len() + 8);
    let mut before = ' ';
    let mut rest = safe.chars().peekable();
    while let Some(char) = rest.next() {
        let within = before.is_alphanumeric() && rest.peek().is_some_and(|next| next.is_alphanumeric());
        match char {
            // Names such as mlx5_0 are no emphasis.
            '_' if within => escaped.push('_'),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '$' => {
                escaped.extend(['\\', char]);
            }
            // Addresses become links without any brackets.
            ':' if rest.peek() == Some(&'/') => escaped += "\\:",
            '.' if escaped.ends_with("www") => escaped += "\\.",
            // People and tickets are linked by their names even where the character is escaped.
            '@' => escaped += "@\u{200b}",
            '#' => escaped += "\\#\u{200b}",
            other => escaped.push(other),
        }
        before = char;
    }
    escaped
}

fn shortened(content: &str) -> Cow<'_, str> {
    let count = content.chars().count();
    if count <= LONGEST {
        return Cow::Borrowed(content);
    }
    let begin = content.chars().take(LONGEST - END).collect::<String>();
    let end = content.chars().skip(count - END).collect::<String>();
    Cow::Owned(format!("{begin} … {end}"))
}
