//! The product's name of a machine, as its firmware gives it.

/// What firmware writes where the maker left a name empty.
const PLACEHOLDERS: [&str; 7] = [
    "to be filled by o.e.m.",
    "system product name",
    "default string",
    "not specified",
    "not applicable",
    "none",
    "product name",
];

/// The name, unless it says nothing.
pub(super) fn name(text: &str) -> Option<String> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    (!text.is_empty() && !PLACEHOLDERS.contains(&lower.as_str())).then(|| text.to_owned())
}
