//! The growth of counters between two readings of one machine. One value of a counter says nothing.

use crate::evidence::Evidence;
use nvtopo::GpuUuid;
use nvtopo::model::{MachineIdentity, Origin};
use std::collections::BTreeMap;

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
    let (own, other) = (identity(evidence), identity(earlier));
    let is_same = own.zip(other).and_then(|(own, other)| own.is_same(other));
    let names_both = [own, other].iter().flatten().filter(|own| own.machine.is_some()).count() == 2;
    let is_other = is_same == Some(false) && names_both;
    if is_other || (is_same != Some(true) && has_other_gpus(evidence, earlier)) {
        return Err("the earlier reading is of another machine");
    }
    // The kernel computes the time of the boot from the clock, which is set now and then.
    let moved = boot.zip(boot_time(earlier)).is_some_and(|(now, then)| now.abs_diff(then) > SLACK);
    let boots = own.and_then(|own| own.boot.as_ref()).zip(other.and_then(|own| own.boot.as_ref()));
    let is_restarted = boots.map_or(moved, |(now, then)| now != then);
    let seconds = uptime.zip(self::uptime(earlier)).map(|(now, then)| now - then);
    if is_restarted || seconds.is_some_and(|seconds| seconds < 0.0) {
        return Err("the machine was started anew between the two readings");
    }
    Ok(Window { earlier, seconds: seconds.filter(|seconds| *seconds > 0.0) })
}

/// Returns the two readings for counters that are told by the numbers of GPUs, which change where a GPU is lost.
pub(crate) fn window_of_gpus<'e>(evidence: &'e Evidence<'_>) -> Result<Window<'e>, &'static str> {
    let window = window(evidence)?;
    let then: BTreeMap<u32, &GpuUuid> = uuids(window.earlier).collect();
    let is_other = |(index, uuid): (u32, &GpuUuid)| then.get(&index).is_some_and(|own| *own != uuid);
    if uuids(evidence).any(is_other) {
        return Err("the numbers of GPUs are of others than in the earlier reading");
    }
    Ok(window)
}

fn identity<'e>(evidence: &Evidence<'e>) -> Option<&'e MachineIdentity> {
    match evidence.topology.origin() {
        Origin::Machine(identity) => Some(identity),
        _ => None,
    }
}

fn uuids<'e>(evidence: &Evidence<'e>) -> impl Iterator<Item = (u32, &'e GpuUuid)> {
    evidence.topology.gpus().filter_map(|gpu| Some((gpu.index, gpu.uuid.as_ref()?)))
}

/// Returns whether both readings tell UUIDs of GPUs, and none of them is in both.
fn has_other_gpus(now: &Evidence<'_>, then: &Evidence<'_>) -> bool {
    let known: Vec<&GpuUuid> = uuids(then).map(|(_, uuid)| uuid).collect();
    let mut own = uuids(now).map(|(_, uuid)| known.contains(&uuid)).peekable();
    !known.is_empty() && own.peek().is_some() && own.all(|is_known| !is_known)
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

/// The least number of events that make a rate: one or two in a short time are chance.
const LEAST_EVENTS: u64 = 3;

/// Returns whether events among so many (seconds, packets) are more than `most` of each. `None`: among how many is unknown.
pub(crate) fn exceeds(events: u64, among: Option<f64>, most: f64) -> Option<bool> {
    if events < LEAST_EVENTS { Some(false) } else { among.map(|among| events as f64 / among > most) }
}
