//! The number of tabs before each cell beside the matrix, also where they became spaces.

use crate::source::text::Token;

/// Returns the number of stops from the last cell of the matrix to each token behind it; `None` where it is unknown.
///
/// The cells of the matrix are one tab apart, so they show how tabs were changed: not at all, to spaces up to the next
/// stop of the screen, or to some number of spaces each.
pub(super) fn after(label: &Token, tokens: &[Token], devices: usize) -> Option<Vec<usize>> {
    let row: Vec<&Token> = std::iter::once(label).chain(tokens).collect();
    let gaps: Vec<Gap> = row.windows(2).map(|pair| Gap::between(pair[0], pair[1])).collect();
    let (inside, beside) = gaps.split_at_checked(devices)?;
    let mut styles = vec![TabStyle::Tabs];
    // The prefix of a line may have been put before it afterwards.
    for width in [8, 4] {
        styles.extend(edges(tokens, devices).map(|edge| TabStyle::Stops { width, edge: edge % width }));
    }
    // One space everywhere, also around the `X`, is what is left of any white space.
    styles.extend(inside.iter().filter_map(Gap::spaces).min().filter(|each| *each > 0).map(TabStyle::Spaces));
    let style = styles.into_iter().find(|style| {
        let one = inside.iter().all(|gap| style.tabs(gap) == Some(1));
        one && beside.iter().all(|gap| style.tabs(gap).is_some_and(|tabs| tabs > 0))
    })?;
    let mut stop = 0;
    let stops = beside.iter().filter_map(|gap| {
        stop += style.tabs(gap)?;
        Some(stop)
    });
    Some(stops.collect())
}

/// Returns the possible stops, by the cells of the matrix. The driver puts a space on either side of an `X`.
fn edges(tokens: &[Token], devices: usize) -> impl Iterator<Item = usize> {
    let cells = &tokens[..devices.min(tokens.len())];
    let plain = cells.iter().find(|token| token.text != "X").map(|token| token.screen);
    let own = cells.first().filter(|_| plain.is_none()).and_then(|token| token.screen.checked_sub(1));
    plain.into_iter().chain(own)
}

/// The white space between two tokens.
struct Gap {
    tabs: usize,
    blanks: usize,
    /// On the screen.
    from: usize,
    to: usize,
    /// Beside an `X`, whose cell is one character wider on either side.
    padded: [bool; 2],
}

impl Gap {
    fn between(a: &Token, b: &Token) -> Self {
        let from = a.screen + a.text.chars().count();
        let padded = [a, b].map(|token| token.text == "X");
        Self { tabs: b.tabs, blanks: b.screen.saturating_sub(from), from, to: b.screen, padded }
    }

    /// Returns the spaces that are not the `X`'s own.
    fn spaces(&self) -> Option<usize> {
        self.blanks.checked_sub(self.padded.map(usize::from).iter().sum())
    }
}

/// The replacement of tabs.
#[derive(Clone, Copy)]
enum TabStyle {
    Tabs,
    /// Spaces up to the next stop: one every `width` columns, the first at the edge.
    Stops {
        width: usize,
        edge: usize,
    },
    /// A number of spaces for each.
    Spaces(usize),
}

impl TabStyle {
    /// Returns the tabs of a gap, if it can be explained so.
    fn tabs(self, gap: &Gap) -> Option<usize> {
        let [left, right] = gap.padded.map(usize::from);
        match self {
            Self::Tabs => Some(gap.tabs).filter(|tabs| *tabs > 0),
            Self::Stops { width, edge } => {
                let (from, to) = (gap.from + left, gap.to.checked_sub(right)?);
                // Stops count from the edge, which may be behind the label.
                let shift = width - edge;
                let on_stop = (to + shift).is_multiple_of(width) && gap.tabs == 0;
                on_stop.then(|| ((to + shift) / width).saturating_sub((from + shift) / width))
            }
            Self::Spaces(each) => {
                let blanks = gap.spaces().filter(|_| gap.tabs == 0)?;
                blanks.is_multiple_of(each).then(|| blanks / each)
            }
        }
    }
}
