//! The roles of colours, in light and dark.
//!
//! Hues are those of Okabe and Ito ("Color Universal Design", 2008), which all kinds of colour vision tell apart; whatever a
//! colour says is said by a shape, a word or dashes as well. Fields of the matrix are from the scheme "light" of Paul Tol
//! ("Colour Schemes", SRON/EPS/TN/09-002, 2021), made for dark text on them in both themes.

use nvtopo::{Error, Result};
use std::fmt::Write;

/// The colours of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Theme {
    /// As the viewer prefers, light where it does not say.
    #[default]
    Auto,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// Every theme, with its name.
    const NAMES: [(&str, Self); 3] = [("auto", Self::Auto), ("light", Self::Light), ("dark", Self::Dark)];

    /// Finds a theme by its name: `auto`, `light` or `dark`.
    ///
    /// Errors where there is no such theme, and says which there are.
    pub fn by_name(name: &str) -> Result<Self> {
        let found = Self::NAMES.into_iter().find(|(own, _)| *own == name);
        found.map(|(_, theme)| theme).ok_or_else(|| {
            Error::request(format!("there is no theme '{name}'")).help("there are auto, light and dark")
        })
    }
}

/// A class of elements, its style in light, and what is different in dark.
type Role = (&'static str, &'static str, &'static str);

const ROLES: &[Role] = &[
    ("page", "fill:#fff", "fill:#14171c"),
    ("ink", "fill:#1c2128", "fill:#e8eaed"),
    ("faint", "fill:#57606a", "fill:#a7b0ba"),
    ("bad", "fill:#a13a00", "fill:#ff9a5c"),
    ("green", "fill:#009e73", "fill:#2fb98f"),
    ("package", "fill:none;stroke:#8a929b;stroke-dasharray:7 3", "stroke:#6b7480"),
    ("numa", "fill:#f5f6f8;stroke:#b4bac2", "fill:#1d2229;stroke:#49525d"),
    ("bus", "fill:#e8ebef;stroke:#b4bac2", "fill:#282e37;stroke:#545d68"),
    ("card", "fill:none;stroke:#b4bac2", "stroke:#49525d"),
    ("gpu", "fill:#cdeee2;stroke:#00795a", "fill:#0c4536;stroke:#2fc199"),
    ("nic", "fill:#d3e6f6;stroke:#0072b2", "fill:#103a55;stroke:#56b4e9"),
    ("disk", "fill:#fff;stroke:#7d8590", "fill:#14171c;stroke:#8b949e"),
    ("cpu", "fill:#efe3f0;stroke:#8a4f86", "fill:#46284a;stroke:#cc79a7"),
    ("chosen", "fill:#f7cf6b;stroke:#1c2128;stroke-width:3", "fill:#7d5400;stroke:#ffe08a"),
    ("fault", "stroke:#b94700;stroke-dasharray:4 2;stroke-width:2", "stroke:#ff8a45"),
    ("cross", "fill:none;stroke:#b94700;stroke-width:2", "stroke:#ff8a45"),
    ("slice", "fill:#00795a", "fill:#2fc199"),
    ("nvswitch", "fill:#3f4a8a;stroke:#3f4a8a", "fill:#aab4ee;stroke:#aab4ee"),
    ("on-switch", "fill:#fff", "fill:#14171c"),
    ("nvlink", "fill:none;stroke:#00795a", "stroke:#2fc199"),
    ("pcie", "fill:none;stroke:#7d8590", "stroke:#8b949e"),
    ("c2c", "fill:none;stroke:#8a4f86", "stroke:#cc79a7"),
    ("used", "fill:none;stroke:#c77700", "stroke:#ffb733"),
    ("lost", "fill:none;stroke:#b94700;stroke-dasharray:5 4", "stroke:#ff8a45"),
    ("cell-ink", "fill:#14171c", ""),
    ("m-x", "fill:#e3e5e8", "fill:#8b949e"),
    ("m-nv4", "fill:#44bb99", ""),
    ("m-nv3", "fill:#73ccb3", ""),
    ("m-nv2", "fill:#a2ddcc", ""),
    ("m-nv1", "fill:#c7ebe0", ""),
    ("m-nvb", "fill:#d5f0e8", ""),
    ("m-c2c", "fill:#bbbb44", ""),
    ("m-pix", "fill:#77aadd", ""),
    ("m-pxb", "fill:#99ddff", ""),
    ("m-phb", "fill:#eedd88", ""),
    ("m-node", "fill:#d2dc7a", ""),
    ("m-sys", "fill:#ee8866", ""),
    ("m-net", "fill:#ffaabb", ""),
    ("m-dis", "fill:#bbb", "fill:#777"),
    ("m-none", "fill:#fff;stroke:#b4bac2", ""),
];

/// The rule that makes the chosen links stand out of the others.
const REST: &str = ".nvtopo .rest{opacity:.4}";

/// Returns the style of a picture.
pub(crate) fn style(theme: Theme) -> String {
    let light = || rules("", |role| role.1) + REST;
    let dark = || rules("", |role| role.2);
    match theme {
        Theme::Light => light(),
        Theme::Dark => light() + &dark(),
        Theme::Auto => format!("{}@media(prefers-color-scheme:dark){{{}}}", light(), dark()),
    }
}

/// Returns the dark rules below a selector.
pub(crate) fn dark_rules(below: &str) -> String {
    rules(below, |role| role.2)
}

fn rules(below: &str, style: impl Fn(&Role) -> &'static str) -> String {
    let mut rules = String::new();
    for role in ROLES.iter().filter(|role| !style(role).is_empty()) {
        let _ = write!(rules, "{below}.nvtopo .{}{{{}}}", role.0, style(role));
    }
    rules
}
