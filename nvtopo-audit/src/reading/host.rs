//! The kernel, its modules and the driver, from files, else from saved outputs of `uname -a`, `lsmod` and the kernel log.

use super::kernel_log::is_start;
use crate::evidence::Evidence;
use nvtopo::model::Stated;

/// Returns the kernel's release as major and minor number.
pub(crate) fn kernel(evidence: &Evidence<'_>) -> Option<(u32, u32)> {
    let release = kernel_release(evidence)?;
    let mut parts = release.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Returns the kernel's release, such as `5.15.0-1050-nvidia`.
pub(crate) fn kernel_release(evidence: &Evidence<'_>) -> Option<String> {
    let release = evidence.text("proc/sys/kernel/osrelease").known().filter(|own| !own.is_empty()).cloned();
    let version = || {
        let text = evidence.text("proc/version").known()?.clone();
        text.strip_prefix("Linux version ")?.split_whitespace().next().map(str::to_owned)
    };
    // `Linux HOST 5.15.0-1050-nvidia #50-Ubuntu SMP …`, and the first line of a kernel log.
    let saved = || {
        lines(evidence).find_map(|line| {
            if let Some((_, rest)) = line.split_once("Linux version ").filter(|_| is_start(line)) {
                rest.split_whitespace().next().map(str::to_owned)
            } else {
                let mut words = line.strip_prefix("Linux ")?.split_whitespace().skip(1);
                let release = words.next()?;
                words.next()?.starts_with('#').then(|| release.to_owned())
            }
        })
    };
    release.or_else(version).or_else(saved)
}

/// Returns the kernel's command line.
pub(crate) fn command_line(evidence: &Evidence<'_>) -> Stated<String> {
    let read = evidence.text("proc/cmdline");
    if read.known().is_some() {
        return read;
    }
    let saved = lines(evidence).find_map(|line| {
        let own = line.starts_with("BOOT_IMAGE=").then_some(line);
        own.or_else(|| Some(line.split_once("Command line: ")?.1)).map(str::to_owned)
    });
    saved.map_or(read, Stated::Known)
}

/// Returns whether a kernel module is loaded or built in. `None`: unknown.
pub(crate) fn has_module(evidence: &Evidence<'_>, name: &str) -> Option<bool> {
    let loaded = evidence.names("sys/module");
    if !loaded.is_empty() {
        return Some(loaded.iter().any(|own| own == name));
    }
    // The output of lsmod: a heading, then a line for each module.
    let (mut in_list, mut found) = (false, None);
    for line in lines(evidence) {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        let is_heading = first == "Module" && line.contains("Used by");
        let is_entry = words.next().is_some_and(|size| size.parse::<u64>().is_ok());
        in_list = is_heading || (in_list && is_entry);
        if is_heading {
            found = found.or(Some(false));
        } else if in_list && first == name {
            found = Some(true);
        }
    }
    found
}

/// Returns the line that NVIDIA's kernel module tells of itself: `NVRM version: NVIDIA UNIX Open Kernel Module …`.
pub(crate) fn driver_line(evidence: &Evidence<'_>) -> Stated<String> {
    let read = evidence.text("proc/driver/nvidia/version");
    if read.known().is_some() {
        return read;
    }
    let saved = lines(evidence).find(|line| line.starts_with("NVRM version:"));
    saved.map_or(read, |line| Stated::Known(line.to_owned()))
}

/// Returns the version of NVIDIA's kernel module.
pub(crate) fn driver_version(evidence: &Evidence<'_>) -> Option<String> {
    let line = driver_line(evidence);
    if let Stated::Known(version) = evidence.text("sys/module/nvidia/version") {
        return Some(version);
    }
    let told = line.known().and_then(|line| line.split_whitespace().find(|word| is_version(word)));
    told.map(str::to_owned).or_else(|| evidence.topology.machine().driver.clone())
}

/// Returns whether a text is a version such as `570.124.06`.
pub(crate) fn is_version(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    (2..=4).contains(&parts.len())
        && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        && parts[0].len() >= 3
}

/// Returns the lines of all saved texts.
pub(crate) fn lines<'e>(evidence: &'e Evidence<'_>) -> impl Iterator<Item = &'e str> {
    evidence.texts().flat_map(|saved| saved.text.lines()).map(str::trim_end)
}
