//! The widths of letters, so that no text leaves its box.
//!
//! They are those of `DejaVu` Sans, which is among the widest of usual sans-serif fonts: where a viewer shows the picture with
//! Arial, Helvetica, Liberation or Noto, its texts are narrower. PNGs are drawn with `DejaVu` Sans itself.

/// Advance widths in thousandths of the size, from the space to the tilde.
#[rustfmt::skip]
const REGULAR: [u16; 95] = [
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337,
    636, 636, 636, 636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531,
    1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863, 748, 787,
    603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500,
    500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612,
    635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
];

#[rustfmt::skip]
const BOLD: [u16; 95] = [
    348, 456, 521, 838, 696, 1002, 872, 306, 457, 457, 523, 838, 380, 415, 380, 365,
    696, 696, 696, 696, 696, 696, 696, 696, 696, 696, 400, 400, 838, 838, 838, 580,
    1000, 774, 762, 734, 830, 683, 683, 821, 837, 372, 372, 775, 637, 995, 837, 850,
    733, 850, 770, 720, 682, 812, 774, 1103, 771, 724, 725, 457, 365, 457, 838, 500,
    500, 675, 716, 593, 716, 678, 435, 716, 712, 343, 343, 665, 343, 1042, 712, 687,
    716, 716, 493, 595, 478, 712, 652, 924, 645, 652, 582, 712, 365, 712, 838,
];

/// The width of other letters, and that of the letters of East Asia and pictures.
const OTHER: u32 = 1000;
const WIDE: u32 = 1400;

/// Returns the width of a text.
pub fn text_width(content: &str, size: f64, bold: bool) -> f64 {
    let thousandths: u32 = content.chars().map(|char| advance(char, bold)).sum();
    f64::from(thousandths) * size / 1000.0
}

/// Shortens a text to a width, with an ellipsis at its end.
pub fn cut(content: &str, size: f64, bold: bool, width: f64) -> String {
    // A text of any length is looked at no further than the box is wide.
    let room = (width.max(0.0) * 1000.0 / size) as u32;
    let (mut used, mut fits) = (0, 0);
    for (at, char) in content.char_indices() {
        used += advance(char, bold);
        if used > room {
            return content[..fits].trim_end().to_owned() + "…";
        }
        if used + advance('…', bold) <= room {
            fits = at + char.len_utf8();
        }
    }
    content.to_owned()
}

fn advance(char: char, bold: bool) -> u32 {
    let table = if bold { &BOLD } else { &REGULAR };
    match char {
        ' '..='~' => u32::from(table[char as usize - 32]),
        '·' => u32::from(table[0]),
        '–' => 500,
        // Marks above letters, and what joins or turns text.
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' => 0,
        '\u{a0}'..='\u{10ff}' | '\u{2000}'..='\u{20ff}' => OTHER,
        _ => WIDE,
    }
}

#[cfg(test)]
mod tests {
    use super::{cut, text_width};

    #[test]
    fn a_text_is_cut_to_its_box() {
        assert_eq!(cut("GPU0", 10.0, false, 100.0), "GPU0");
        for width in 0..200 {
            let width = f64::from(width);
            let short = cut("NVIDIA H100 80GB HBM3 · 图形", 11.0, true, width);
            assert!(short == "…" || text_width(&short, 11.0, true) <= width, "{short} in {width}");
        }
        assert!(text_width("W", 10.0, true) > text_width("W", 10.0, false));
    }
}
