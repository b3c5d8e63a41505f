//! The number by which two runs of a program are compared: its wall time, or one that it prints.

use nvtopo::{Error, Result};
use std::time::Duration;

/// The direction in which a number is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Better {
    /// More is better, as of a throughput.
    Higher,
    /// Less is better, as of a time.
    Lower,
}

impl Better {
    /// The word in options and documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
        }
    }
}

/// A number of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Measure {
    /// The pattern of the line that holds it. `None`: the wall time in seconds.
    pattern: Option<Pattern>,
    /// The direction in which it is better.
    pub better: Better,
}

impl Default for Measure {
    /// The wall time: less is better.
    fn default() -> Self {
        Self { pattern: None, better: Better::Lower }
    }
}

/// The text before and behind a number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    text: String,
    before: Vec<String>,
    behind: Vec<String>,
}

impl Measure {
    /// Creates the measure of a number that the program prints. The pattern has `{}` in the place of the number; spaces in it
    /// stand for any white space.
    ///
    /// Errors for a pattern without exactly one `{}`, or with nothing else.
    ///
    /// ```
    /// use nvtopo_validate::workload::{Better, Measure};
    /// use std::time::Duration;
    ///
    /// let measure = Measure::of("throughput: {} img/s", Better::Higher)?;
    /// let value = measure.read("step 1\nthroughput:   812.5 img/s\n", "", Duration::ZERO)?;
    /// assert_eq!(value.to_string(), "812.5");
    /// assert!(Measure::of("throughput", Better::Higher).is_err());
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn of(pattern: &str, better: Better) -> Result<Self> {
        let help = "write the text around the number and {} in its place, as in 'throughput: {} img/s'";
        let mut parts = pattern.split("{}");
        let (Some(before), Some(behind), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Error::request(format!("'{pattern}' does not have one {{}} in it")).help(help));
        };
        if before.trim().is_empty() && behind.trim().is_empty() {
            return Err(Error::request("a pattern of {} alone finds any number").help(help));
        }
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let pattern = Pattern { text: pattern.to_owned(), before: words(before), behind: words(behind) };
        Ok(Self { pattern: Some(pattern), better })
    }

    /// Returns the pattern, or `seconds`.
    pub fn name(&self) -> &str {
        self.pattern.as_ref().map_or("seconds", |pattern| &pattern.text)
    }

    /// Writes a value with the words around it, which hold its unit.
    pub(crate) fn show_in_full(&self, value: f64) -> String {
        let own = self.show(value);
        self.pattern.as_ref().map_or(own.clone(), |pattern| pattern.text.replacen("{}", &own, 1))
    }

    /// Writes a value, with the unit of a time.
    pub(crate) fn show(&self, value: f64) -> String {
        let unit = if self.pattern.is_some() { "" } else { " s" };
        let digits = if value.abs() >= 100.0 { 1 } else { 3 };
        format!("{value:.digits$}{unit}")
    }

    /// Returns the number of a run. Where the program prints it several times, the last one counts.
    ///
    /// Errors where it prints none, and for a number of which there is no ratio: below 0, infinite, not a number.
    pub fn read(&self, stdout: &str, stderr: &str, time: Duration) -> Result<f64> {
        let Some(pattern) = &self.pattern else { return Ok(time.as_secs_f64()) };
        let last = |text: &str| text.lines().rev().find_map(|line| pattern.find(line));
        let value = last(stdout).or_else(|| last(stderr)).ok_or_else(|| {
            let text = format!("the program printed no line with '{}'", pattern.text);
            Error::input(text)
                .help("{} stands for the number alone, and the other words have to be those of the line")
        })?;
        if is_sound(value) {
            return Ok(value);
        }
        let text = format!("the program printed {value} for '{}', of which there is no ratio", pattern.text);
        Err(Error::input(text)
            .help("let it print a number that is finite and not below 0, or compare another one"))
    }
}

/// Returns whether a number can be compared by ratios.
pub(super) fn is_sound(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

impl Pattern {
    /// Returns the number in a line that has the words around it.
    fn find(&self, line: &str) -> Option<f64> {
        let words: Vec<&str> = line.split_whitespace().collect();
        (0..words.len()).rev().find_map(|at| {
            let (before, rest) = words.split_at(at);
            let (number, behind) = rest.split_first()?;
            // The words beside the number may touch it, as in `812.5img/s`.
            let touches = |own: Option<&String>, end: bool| {
                let own = own.map_or("", String::as_str);
                let is_glued = if end { number.ends_with(own) } else { number.starts_with(own) };
                if is_glued { own.len() } else { 0 }
            };
            let (start, end) = (touches(self.before.last(), false), touches(self.behind.first(), true));
            let value = number.get(start..number.len().checked_sub(end)?)?.parse::<f64>().ok()?;
            let wanted_before = &self.before[..self.before.len() - usize::from(start > 0)];
            let wanted_behind = &self.behind[usize::from(end > 0)..];
            let fits = ends_with(before, wanted_before) && starts_with(behind, wanted_behind);
            fits.then_some(value)
        })
    }
}

fn ends_with(words: &[&str], wanted: &[String]) -> bool {
    words.len() >= wanted.len() && words[words.len() - wanted.len()..].iter().eq(wanted.iter())
}

fn starts_with(words: &[&str], wanted: &[String]) -> bool {
    words.len() >= wanted.len() && words[..wanted.len()].iter().eq(wanted.iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pattern: &str, text: &str) -> Option<String> {
        let measure = Measure::of(pattern, Better::Higher).unwrap();
        measure.read(text, "", Duration::ZERO).ok().map(|value| value.to_string())
    }

    #[test]
    fn the_last_number_in_the_place_counts() {
        assert_eq!(read("loss {} lr", "loss 3.5 lr 0.1\nloss 2.5 lr 0.1\n").as_deref(), Some("2.5"));
        assert_eq!(read("{} img/s", "a 12 img/s b 13.5 img/s\nend\n").as_deref(), Some("13.5"));
        assert_eq!(read("time={}s", "x time=0.25s y").as_deref(), Some("0.25"));
        assert_eq!(read("busbw: {}", "busbw:\t1e2").as_deref(), Some("100"));
        assert_eq!(read("rate {}", "rate fast\nrate nan\nrate inf"), None);
        assert_eq!(read("rate {}", "other 3"), None);
        assert_eq!(read("a {} b", "a b"), None);
        assert_eq!(read("é{}é", "é7é").as_deref(), Some("7"));
    }

    #[test]
    fn a_pattern_has_one_place() {
        for wrong in ["", "{}", " {} ", "a", "{} and {}"] {
            assert!(Measure::of(wrong, Better::Lower).is_err(), "{wrong}");
        }
    }
}
