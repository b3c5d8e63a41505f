//! The times of lines of logs: those of syslog, `journalctl`, `dmesg` and `/dev/kmsg`.

use jiff::Timestamp;
use jiff::civil::DateTime;

const DAY: i64 = 24 * 3600;

/// The year that stands for any, for syslog names none. It has a 29th of February.
const ANY_YEAR: &str = "2024";

/// The time of a line, as far as it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LogTime {
    /// The seconds since the machine's start.
    pub(crate) since_start: Option<f64>,
    date: Option<Date>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Date {
    /// In seconds since 1970.
    Full(i64),
    /// Of any year.
    WithoutYear(DateTime),
}

impl LogTime {
    /// Reads the time at the begin of a line: `Aug 17 06:18:01`, `2026-08-17T06:18:01.5+00:00`, `[Mon Aug 17 06:18:01 2026]`,
    /// `[ 1234.567890]`, which may stand behind one of the first two, and `6,1234,5678901,-;`. `None`: it has none.
    pub(crate) fn of(line: &str) -> Option<Self> {
        let line = line.trim_start();
        let time = Self { since_start: since_start(line), date: date(line) };
        (time != Self::default()).then_some(time)
    }

    /// Returns the seconds from this time to another of the same log. `None`: they cannot be compared. `is_leap`: the log has a
    /// 29th of February, which counts where it names no year.
    pub(crate) fn until(self, end: Self, is_leap: bool) -> Option<i64> {
        match (self.date, end.date) {
            (Some(Date::Full(own)), Some(Date::Full(end))) => Some(end - own),
            (Some(Date::WithoutYear(own)), Some(Date::WithoutYear(end))) => {
                let place = |time: DateTime| {
                    let lacks_day = i64::from(!is_leap && time.month() > 2);
                    let clock = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60;
                    (i64::from(time.day_of_year()) - lacks_day) * DAY + clock + i64::from(time.second())
                };
                Some((place(end) - place(own)).rem_euclid((365 + i64::from(is_leap)) * DAY))
            }
            _ => Some((end.since_start? - self.since_start?) as i64),
        }
    }
}

fn since_start(line: &str) -> Option<f64> {
    let valid = |seconds: &f64| seconds.is_finite() && *seconds >= 0.0;
    if let Some((head, _)) = line.split_once(';') {
        let mut numbers = head.split(',').map(str::parse::<u64>);
        if let (Some(Ok(_)), Some(Ok(_)), Some(Ok(micros))) = (numbers.next(), numbers.next(), numbers.next())
        {
            return Some(micros as f64 / 1e6);
        }
    }
    // The number of a process stands in brackets too, right behind its name.
    let mut places = line.match_indices('[').map(|(at, _)| line.split_at(at));
    places.find_map(|(before, rest)| {
        let is_apart = before.is_empty() || before.ends_with(' ');
        let inner = rest.get(1..)?.split_once(']')?.0.trim();
        inner.parse().ok().filter(|seconds| is_apart && valid(seconds))
    })
}

fn date(line: &str) -> Option<Date> {
    if let Some(inner) = line.strip_prefix('[').and_then(|line| Some(line.split_once(']')?.0)) {
        return of_words(inner.split_whitespace().skip(1));
    }
    let word = line.split_whitespace().next()?;
    if let Ok(time) = word.parse::<Timestamp>() {
        return Some(Date::Full(time.as_second()));
    }
    match line.get(..19).map(str::parse::<DateTime>) {
        Some(Ok(time)) => Some(full(time)),
        _ => of_words(line.split_whitespace().take(3)),
    }
}

fn full(time: DateTime) -> Date {
    Date::Full(time.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).as_secs())
}

/// Reads `Aug 17 06:18:01` and `Aug 17 06:18:01 2026`.
fn of_words<'t>(words: impl Iterator<Item = &'t str>) -> Option<Date> {
    let words: Vec<&str> = words.take(4).collect();
    let [month, day, clock, rest @ ..] = words.as_slice() else { return None };
    let year = rest.first().filter(|year| year.len() == 4);
    let text = format!("{} {month} {day} {clock}", year.unwrap_or(&ANY_YEAR));
    let time = DateTime::strptime("%Y %b %d %H:%M:%S", text).ok()?;
    Some(if year.is_some() { full(time) } else { Date::WithoutYear(time) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_any_log_are_read() {
        let of = |line: &str| LogTime::of(line).unwrap();
        let start = |seconds| LogTime { since_start: Some(seconds), date: None };
        assert_eq!(of("[ 1234.567890] mlx5_core x"), start(1_234.567_890));
        assert_eq!(of("4,1127,52001234,-;NVRM: x"), start(52.001_234));
        let full = of("2026-08-17T06:18:01.123456+00:00 node kernel: x");
        assert_eq!(full, LogTime { since_start: None, date: Some(Date::Full(1_786_947_481)) });
        for same in [
            "2026-08-17T08:18:01+0200 node kernel: x",
            "2026-08-17T06:18:01 node kernel: x",
            "[Mon Aug 17 06:18:01 2026] mlx5_core x",
        ] {
            assert_eq!(of(same), full, "{same}");
        }
        let both = of("Aug 17 06:18:01 node kernel: [   12.5] x");
        assert!(both.since_start == Some(12.5) && matches!(both.date, Some(Date::WithoutYear(_))));
        let by_process = of("Aug 17 06:18:01 node systemd-networkd[5398]: ib6: Lost carrier");
        assert_eq!(by_process.since_start, None);
        let letters = "\u{e9}".repeat(10);
        for text in ["", "words of no log", "[x] y", "[nan] y", "Aug 77 06:18:01 a", "[", &letters] {
            assert_eq!(LogTime::of(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_compared_over_the_ends_of_months_and_years() {
        let hours = |own: &str, end: &str, is_leap: bool| {
            let [own, end] = [own, end].map(|text| LogTime::of(&format!("{text} node x: y")).unwrap());
            own.until(end, is_leap).map(|seconds| seconds / 3600)
        };
        assert_eq!(hours("2026-12-31T23:00:00Z", "2027-01-01T01:00:00Z", false), Some(2));
        assert_eq!(hours("2025-12-31T23:00:00Z", "2027-01-01T01:00:00Z", false), Some(2 + 365 * 24));
        assert_eq!(hours("Dec 31 23:00:00", "Jan  1 01:00:00", false), Some(2));
        assert_eq!(hours("Dec 31 23:00:00", "Jan  1 01:00:00", true), Some(2));
        assert_eq!(hours("Feb 28 23:00:00", "Mar  1 01:00:00", false), Some(2));
        assert_eq!(hours("Feb 28 23:00:00", "Mar  1 01:00:00", true), Some(26));
        assert_eq!(hours("[3600.0]", "[7300.0]", false), Some(1));
        assert_eq!(hours("[3600.0]", "Mar  1 01:00:00", false), None);
    }
}
