//! The growth of counters between two readings of one machine. One value of a counter says nothing.

use crate::evidence::Evidence;

/// The readings between which counters are judged.
pub(crate) struct Window<'e> {
    /// The earlier reading.
    pub(crate) earlier: &'e Evidence<'e>,
    /// The time between them in seconds. `None`: unknown.
    pub(crate) seconds: Option<f64>,
}

/// Returns the two readings; else the reason why nothing can be said of counters.
pub(crate) fn window<'e>(evidence: &'e Evidence<'_>) -> Result<Window<'e>, &'static str> {
    // Both are read even where there is no earlier reading, so that a snapshot can be one.
    let (boot, uptime) = (boot_time(evidence), uptime(evidence));
    let Some(earlier) = evidence.earlier.as_deref() else {
        return Err("counters were read once, and only their growth between two readings tells");
    };
    // The kernel computes the time of the boot from the clock, which is set now and then.
    let moved = boot.zip(boot_time(earlier)).is_some_and(|(now, then)| now.abs_diff(then) > SLACK);
    let seconds = uptime.zip(self::uptime(earlier)).map(|(now, then)| now - then);
    if moved || seconds.is_some_and(|seconds| seconds < 0.0) {
        return Err("the machine was started anew between the two readings");
    }
    Ok(Window { earlier, seconds: seconds.filter(|seconds| *seconds > 0.0) })
}

/// The most seconds by which the time of one boot differs between readings.
const SLACK: u64 = 5;

pub(crate) fn boot_time(evidence: &Evidence<'_>) -> Option<u64> {
    let text = evidence.text("proc/stat");
    text.known()?.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Returns the seconds since the machine's start.
pub(crate) fn uptime(evidence: &Evidence<'_>) -> Option<f64> {
    let text = evidence.text("proc/uptime");
    let seconds: f64 = text.known()?.split_whitespace().next()?.parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

/// Returns the time of the reading in seconds since 1970. `None`: unknown.
pub(crate) fn taken(evidence: &Evidence<'_>) -> Option<u64> {
    boot_time(evidence)?.checked_add(uptime(evidence)? as u64)
}

/// Returns the time of the reading, such as `2026-11-30T10:00:00Z`. `None`: unknown.
pub(crate) fn taken_at(evidence: &Evidence<'_>) -> Option<String> {
    written(taken(evidence)?)
}

/// Writes a time in seconds since 1970, such as `2026-11-30T10:00:00Z`.
pub(crate) fn written(seconds: u64) -> Option<String> {
    let seconds = i64::try_from(seconds).ok()?;
    jiff::Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}

/// Returns the growth of a counter. `None`: it shrank, so it was reset.
pub(crate) fn growth(then: u64, now: u64) -> Option<u64> {
    now.checked_sub(then)
}

impl Window<'_> {
    /// Returns whether a growth is above a rate in events per hour. `None`: the time between the readings is unknown.
    pub(crate) fn exceeds(&self, growth: u64, per_hour: f64) -> Option<bool> {
        self.seconds.map(|seconds| growth as f64 / seconds * 3600.0 > per_hour)
    }
}
