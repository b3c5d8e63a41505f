//! Presets: the published layouts of products, for trying things out and for tests.
//!
//! A preset is a table of facts ([`layout::Layout`]), one file for each family of machines; [`expand`] turns it
//! into a fragment. A preset is never a machine: its origin says so, and nothing binds by it.

mod ampere;
mod blackwell;
mod cloud;
mod expand;
mod hopper;
mod layout;
mod pcie;
mod volta;

use crate::error::{Error, Result};
use crate::model::Fragment;
use layout::Layout;

/// A product whose published layout nvtopo knows.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Preset {
    /// The name after `preset:`.
    pub name: &'static str,
    /// The maker's name of it, or a description where there are several makers.
    pub product: &'static str,
    /// One line about what is in it.
    pub summary: &'static str,
    layout: &'static Layout,
}

impl Preset {
    const fn new(name: &'static str, layout: &'static Layout) -> Self {
        Self { name, product: layout.product, summary: layout.summary, layout }
    }
}

/// Every preset.
pub static PRESETS: &[Preset] = &[
    Preset::new("dgx-1-v100", &volta::DGX_1),
    Preset::new("dgx-2", &volta::DGX_2),
    Preset::new("dgx-a100", &ampere::DGX_A100),
    Preset::new("hgx-a100-4", &ampere::HGX_A100_4),
    Preset::new("dgx-h100", &hopper::DGX_H100),
    Preset::new("dgx-b200", &blackwell::DGX_B200),
    Preset::new("gb200-nvl72-tray", &blackwell::GB200_NVL72_TRAY),
    Preset::new("gh200", &hopper::GH200),
    Preset::new("l40s-8-pcie", &pcie::L40S_8),
    Preset::new("rtx-a6000-4-bridged", &pcie::RTX_A6000_4),
    Preset::new("nd-a100-v4", &cloud::ND_A100_V4),
    Preset::new("nd-h100-v5", &cloud::ND_H100_V5),
    Preset::new("p4d-24xlarge", &cloud::P4D_24XLARGE),
];

/// Reads the preset of this name, in letters of any size, as a fragment.
pub(super) fn read(name: &str) -> Result<Fragment> {
    match PRESETS.iter().find(|preset| preset.name.eq_ignore_ascii_case(name)) {
        Some(preset) => Ok(expand::expand(preset.name, preset.layout)),
        None => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> Error {
    let all: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    let all = all.join(", ");
    let help = match nearest(name) {
        Some(near) => format!("did you mean {near}? There are {all}"),
        None => format!("there are {all}"),
    };
    Error::request(format!("there is no preset '{name}'")).help(help)
}

/// Returns the preset that the name of a missing file was meant to be, such as `DGX-H100` or `preset=dgx-h100`; none
/// for the name of a file with an ending.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    let start = name.get(..6).filter(|start| start.eq_ignore_ascii_case("preset")).map_or(0, str::len);
    let name = name.get(start..)?;
    let same = PRESETS.iter().find(|preset| plain(preset.name) == plain(name)).map(|preset| preset.name);
    same.or_else(|| nearest(name).filter(|_| !name.contains('.')))
}

/// Returns the preset whose name differs least, if it is near enough to be a slip.
fn nearest(name: &str) -> Option<&'static str> {
    let name = plain(name);
    let slips = |preset: &Preset| strsim::levenshtein(&name, &plain(preset.name));
    let near = PRESETS.iter().min_by_key(|preset| slips(preset))?;
    (!name.is_empty() && slips(near) <= 3.min(name.len() / 2)).then_some(near.name)
}

/// Returns the letters and digits of a name in lower case, no more than any preset has.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_the_name() {
        for (slip, name) in [
            ("dgxh100", Some("dgx-h100")),
            ("DGX_A100", Some("dgx-a100")),
            ("dgx1-v100", Some("dgx-1-v100")),
            ("gh20", Some("gh200")),
            ("zzzzzzzzzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(slip), name, "{slip}");
        }
    }
}
