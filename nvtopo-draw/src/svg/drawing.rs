//! Drawings with a size, and their layout beside and below each other.

use super::font::{cut, text_width};
use super::palette::{Theme, style};
use ::svg::node::element::{Description, Group, Line, Rectangle, Style, Text, Title};
use ::svg::{Document, Node};

/// Room around and between things, in pixels.
pub const GAP: f64 = 10.0;
/// Room between the lines of a group, in pixels.
pub const TIGHT: f64 = 3.0;

/// The width that rows are broken at, in pixels.
pub const WIDTH: f64 = 1160.0;

/// The class of names.
pub const INK: &str = "ink";
/// The class of the text beside a name.
pub const FAINT: &str = "faint";
/// The class of faults in words.
pub const BAD: &str = "bad";
/// The class of bars.
pub const GREEN: &str = "green";

/// The size of the letters of titles.
pub const HEAD: f64 = 18.0;
/// The size of the letters of names.
pub const NAME: f64 = 13.0;
/// The size of the letters beside names.
pub const SMALL: f64 = 11.0;

/// A drawing, from its upper left corner on.
pub struct Drawing {
    /// The width in pixels.
    pub width: f64,
    /// The height in pixels.
    pub height: f64,
    /// The elements.
    pub group: Group,
}

impl Drawing {
    /// Creates an empty drawing of a size.
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, group: Group::new() }
    }

    /// Draws an element.
    pub fn draw(&mut self, node: impl Node) {
        self.group.append(node);
    }

    /// Places a drawing within this one.
    pub fn put(&mut self, x: f64, y: f64, part: Self) {
        self.draw(part.group.set("transform", format!("translate({} {})", short(x), short(y))));
    }

    /// Lays drawings out in rows with a gap and a greatest width; a wider drawing gets a row of its own.
    pub fn flow(gap: f64, parts: impl IntoIterator<Item = Self>, width: f64) -> Self {
        let mut all = Self::new(0.0, 0.0);
        let (mut x, mut y, mut row) = (0.0, 0.0, 0.0_f64);
        for part in parts {
            if x > 0.0 && x + part.width > width {
                (x, y, row) = (0.0, y + row + gap, 0.0);
            }
            row = row.max(part.height);
            all.width = all.width.max(x + part.width);
            all.height = y + row;
            let right = x + part.width + gap;
            all.put(x, y, part);
            x = right;
        }
        all
    }

    /// Lays drawings out in a column with a gap.
    pub fn stack(gap: f64, parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::new(0.0, 0.0);
        for part in parts.into_iter().filter(|part| part.height > 0.0) {
            let y = if all.height > 0.0 { all.height + gap } else { 0.0 };
            all.width = all.width.max(part.width);
            all.height = y + part.height;
            all.put(0.0, y, part);
        }
        all
    }

    /// Adds a frame of a class.
    pub fn framed(self, class: &str) -> Self {
        let mut framed = Self::new(self.width + 2.0 * GAP, self.height + 2.0 * GAP);
        framed.draw(rectangle(0.0, 0.0, framed.width, framed.height).set("rx", 6).set("class", class));
        framed.put(GAP, GAP, self);
        framed
    }

    /// Creates a line of text of a class.
    pub fn line(content: &str, size: f64, bold: bool, class: &str) -> Self {
        Self::line_within(content, size, bold, class, WIDTH)
    }

    /// Creates a line of text no wider than a width. A longer one is cut, and is whole in the tooltip.
    pub fn line_within(content: &str, size: f64, bold: bool, class: &str, width: f64) -> Self {
        let shown = cut(content, size, bold, width);
        let mut line = Self::new(text_width(&shown, size, bold).ceil(), (size * 1.3).round());
        let text = text(0.0, size, &shown).set("font-size", size).set("class", class);
        line.draw(if bold { text.set("font-weight", "bold") } else { text });
        if shown == content { line } else { line.saying(content) }
    }

    /// Adds a tooltip.
    pub fn saying(mut self, words: &str) -> Self {
        self.draw(title(words));
        self
    }

    /// Writes the picture as SVG, with a title and a description for those who do not see it.
    pub fn document(self, name: &str, description: &str, theme: Theme) -> String {
        let mut whole = Self::new((self.width + 4.0 * GAP).ceil(), (self.height + 4.0 * GAP).ceil());
        whole.put(2.0 * GAP, 2.0 * GAP, self);
        let (width, height) = (whole.width, whole.height);
        let document = Document::new()
            .set("class", "nvtopo")
            .set("role", "img")
            // The crate does not escape quotation marks in attributes.
            .set("aria-label", printable(name).replace('"', "'"))
            .set("width", width)
            .set("height", height)
            .set("viewBox", (0, 0, width, height))
            .set("font-family", "DejaVu Sans,Liberation Sans,Arial,Helvetica,sans-serif")
            .set("font-size", NAME)
            .add(title(name))
            .add(Description::new().add(::svg::node::Text::new(printable(description))))
            .add(Style::new(style(theme)))
            .add(rectangle(0.0, 0.0, width, height).set("class", "page"))
            .add(whole.group);
        format!("{document}\n")
    }
}

/// Draws a heading within the picture.
pub fn heading(words: &str) -> Drawing {
    Drawing::line(words, NAME + 1.0, true, INK)
}

/// Returns a rectangle.
pub fn rectangle(x: f64, y: f64, width: f64, height: f64) -> Rectangle {
    Rectangle::new()
        .set("x", short(x))
        .set("y", short(y))
        .set("width", short(width))
        .set("height", short(height))
}

/// Returns a line between two places.
pub fn line(from: (f64, f64), to: (f64, f64)) -> Line {
    Line::new()
        .set("x1", short(from.0))
        .set("y1", short(from.1))
        .set("x2", short(to.0))
        .set("y2", short(to.1))
}

/// Returns text that begins at a place of its base line.
pub fn text(x: f64, y: f64, content: &str) -> Text {
    Text::new(printable(content)).set("x", short(x)).set("y", short(y)).set("class", INK)
}

/// Returns text around the middle of a place.
pub fn centred(x: f64, y: f64, content: &str) -> Text {
    text(x, y, content).set("text-anchor", "middle")
}

/// Returns the tooltip of a thing.
pub fn title(words: &str) -> Title {
    Title::new(printable(words))
}

/// Rounds to a tenth of a pixel.
pub(super) fn short(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// Removes control characters: XML forbids most, even escaped.
fn printable(content: &str) -> String {
    content.chars().filter(|char| !char.is_control() && !matches!(char, '\u{fffe}' | '\u{ffff}')).collect()
}
