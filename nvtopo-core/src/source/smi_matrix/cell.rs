//! The words of the matrix, whole, cut, or run together.

use crate::model::PathType;

/// The content of a cell of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// `X`: the device itself.
    Own,
    /// `NV#`: a number of NVLinks.
    Nv(u16),
    /// A class of paths over PCIe and the CPUs.
    Path(PathType),
    /// `SOC`: what drivers before R384 print for `SYS`.
    Soc,
    /// `N/A`, or an empty cell.
    Unknown,
}

/// The words that a cell may have, for messages.
pub(super) const EXPECTED: &str = "expected X, NV#, PIX, PXB, PHB, NODE, SYS, SOC, C2C or N/A";

/// No product has more NVLinks than 18; beyond this a number is surely two things run together.
const MOST_LINKS: u16 = 64;

const FIXED: [(&str, Word); 9] = [
    ("X", Word::Own),
    ("PIX", Word::Path(PathType::Pix)),
    ("PXB", Word::Path(PathType::Pxb)),
    ("PHB", Word::Path(PathType::Phb)),
    ("NODE", Word::Path(PathType::Node)),
    ("SYS", Word::Path(PathType::Sys)),
    ("C2C", Word::Path(PathType::C2c)),
    ("SOC", Word::Soc),
    ("N/A", Word::Unknown),
];

impl Word {
    /// Reads one cell.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_prefix("NV") {
            let plain = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
            let count = digits.parse().ok().filter(|count| plain && (1..=MOST_LINKS).contains(count));
            return count.map(Self::Nv);
        }
        FIXED.iter().find(|(word, _)| *word == text).map(|(_, word)| *word)
    }

    /// Returns the path class, where it is one that NVLink is not.
    pub(super) fn path(self) -> Option<PathType> {
        match self {
            Self::Path(path) => Some(path),
            Self::Soc => Some(PathType::Sys),
            _ => None,
        }
    }

    /// Returns the word as the driver prints it.
    pub(super) fn text(self) -> String {
        match self {
            Self::Own => "X".to_owned(),
            Self::Nv(count) => format!("NV{count}"),
            Self::Path(path) => path.word().to_owned(),
            Self::Soc => "SOC".to_owned(),
            Self::Unknown => "N/A".to_owned(),
        }
    }
}

/// Returns whether the text is a cell of the matrix beyond doubt: a word other than `N/A`, which affinities use too.
pub(super) fn is_word(text: &str) -> bool {
    Word::parse(text).is_some_and(|word| word != Word::Unknown)
}

/// Returns whether the text is the start of a word, without its end.
pub(super) fn is_cut_word(text: &str) -> bool {
    !text.is_empty()
        && (text == "NV" || FIXED.iter().any(|(word, _)| *word != text && word.starts_with(text)))
}

/// Returns whether the text may be an affinity, or a part of one: digits, ranges, `N/A`.
pub(super) fn is_list(text: &str) -> bool {
    text == "N/A"
        || text.bytes().any(|byte| byte.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b',' | b'-'))
}

/// Returns the list at the start of a text that holds nothing else, or `N/A` behind it.
fn list(text: &str) -> Option<&str> {
    let list = text.strip_suffix("N/A").filter(|list| !list.is_empty()).unwrap_or(text);
    is_list(list).then_some(list)
}

/// Splits cells that run together, where there is only one way to do so: `SYSSYS`, `NV12NV12`, `NODE0-15`.
///
/// `NV120-15` is not: it is `NV12` and `0-15`, or `NV1` and `20-15`.
pub(super) fn split(text: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let length = if let Some(digits) = rest.strip_prefix("NV") {
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            // A list would go on with more of what a number is made of.
            if digits[end..].starts_with(['-', ',']) {
                return None;
            }
            2 + end
        } else if let Some((word, _)) = FIXED.iter().find(|(word, _)| rest.starts_with(word)) {
            word.len()
        } else if let Some(list) = list(rest).filter(|_| !parts.is_empty()) {
            list.len()
        } else {
            return None;
        };
        let (part, more) = rest.split_at(length);
        if Word::parse(part).is_none() && !is_list(part) {
            return None;
        }
        parts.push(part);
        rest = more;
    }
    (parts.len() > 1).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_printed() {
        for text in ["X", "NV1", "NV18", "PIX", "PXB", "PHB", "NODE", "SYS", "SOC", "C2C", "N/A"] {
            assert_eq!(Word::parse(text).map(Word::text).as_deref(), Some(text));
        }
        for text in ["", "NV", "NV0", "NV012", "NV99999", "NV+1", "nv2", "OK", "NVX", "SY"] {
            assert_eq!(Word::parse(text), None, "{text}");
        }
    }

    #[test]
    fn cells_run_together_come_apart_where_it_is_clear() {
        assert_eq!(split("SYSSYS").unwrap(), ["SYS", "SYS"]);
        assert_eq!(split("NV12NV12").unwrap(), ["NV12", "NV12"]);
        assert_eq!(split("XNODE0-31N/A").unwrap(), ["X", "NODE", "0-31", "N/A"]);
        assert_eq!(split("XNV2NODE0-3,8").unwrap(), ["X", "NV2", "NODE", "0-3,8"]);
        for text in ["SYS", "NV120-15", "NV12,3", "SYSfoo", "0-3SYS", "NV99NV99"] {
            assert_eq!(split(text), None, "{text}");
        }
    }

    #[test]
    fn cut_words_are_known() {
        assert!(["S", "SY", "NO", "NV", "N/", "P"].into_iter().all(is_cut_word));
        assert!(!["SYS", "NV1", "X", "Q", ""].into_iter().any(is_cut_word));
    }
}
