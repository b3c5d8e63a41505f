//! The version of the fabric manager: what it and the lists of packages tell.

use super::host::{is_version, lines};
use super::log_device::KernelLog;
use crate::evidence::Evidence;
use nvtopo::source::SavedText;
use std::path::Path;

/// Its names as a package, before the branch of the driver in some of them.
const PACKAGES: [&str; 2] = ["nvidia-fabricmanager", "nvidia-fabric-manager"];

/// The words before its version, as it prints it and in its log.
const TOLD: &str = "fabric manager version";

/// The largest list of packages that is read.
const MOST: u64 = 64 << 20;

/// Returns the version of the fabric manager: as it prints it (`Fabric Manager version is : 570.124.06`), of its log, or of
/// its package in a list of `dpkg -l` or `rpm -qa`.
pub(crate) fn version(evidence: &Evidence<'_>) -> Option<String> {
    let version = |text: &str| {
        let word = text.split([' ', ':', '\t', '-', '_']).find(|word| is_version(word));
        word.map(str::to_owned)
    };
    let mut told = None;
    for line in lines(evidence) {
        let lower = line.to_ascii_lowercase();
        if let Some(at) = lower.find(TOLD) {
            // A log has a line for each start: the last counts.
            told = line.get(at..).and_then(version).or(told);
        } else if told.is_none() {
            let line = ["ii ", "hi "].into_iter().find_map(|state| lower.strip_prefix(state));
            let line = line.unwrap_or(&lower).trim_start();
            let rest = PACKAGES.into_iter().find_map(|name| line.strip_prefix(name));
            told = rest.filter(|rest| !rest.contains("-dev")).and_then(version);
        }
    }
    told
}

/// Returns what this machine tells of it, as if somebody had saved it: the lines of its log, and the package as `dpkg -l` lists
/// it. `None`: nothing.
pub(crate) fn told_here() -> Option<SavedText> {
    told_by("/var/log/fabricmanager.log".as_ref(), "/var/lib/dpkg/status".as_ref())
}

fn told_by(log: &Path, packages: &Path) -> Option<SavedText> {
    let (log, _) = KernelLog::new(log.into()).read();
    let mut lines: Vec<String> =
        log.lines().filter(|line| line.to_ascii_lowercase().contains(TOLD)).map(str::to_owned).collect();
    let is_small = packages.metadata().is_ok_and(|own| own.is_file() && own.len() < MOST);
    let packages = if is_small { std::fs::read(packages).unwrap_or_default() } else { Vec::new() };
    lines.extend(installed(&String::from_utf8_lossy(&packages)));
    (!lines.is_empty()).then(|| SavedText::new("fabric manager", lines.join("\n")))
}

/// Returns the packages in a file of dpkg by which the fabric manager is installed.
fn installed(packages: &str) -> impl Iterator<Item = String> {
    packages.split("\n\n").filter_map(|package| {
        let field = |name: &str| package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let name = field("Package").filter(|name| PACKAGES.iter().any(|own| name.starts_with(own)))?;
        let is_installed = field("Status")?.ends_with(" installed");
        is_installed.then(|| format!("ii  {name}  {}", field("Version").unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn version_of(log: &str, packages: &str) -> Option<String> {
        let folder =
            std::env::temp_dir().join(format!("nvtopo-manager-{}-{}", std::process::id(), log.len()));
        std::fs::create_dir_all(&folder).unwrap();
        let (log_file, package_file) = (folder.join("fabricmanager.log"), folder.join("status"));
        std::fs::write(&log_file, log).unwrap();
        std::fs::write(&package_file, packages).unwrap();
        let told = told_by(&log_file, &package_file);
        std::fs::remove_dir_all(folder).unwrap();
        let texts: Vec<SavedText> = told.into_iter().collect();
        let (topology, profile) = (nvtopo::Topology::preset("dgx-h100").unwrap(), Profile::default());
        version(&Evidence::of_texts(&topology, &texts, &profile))
    }

    #[test]
    fn the_last_start_in_the_log_counts_before_the_package() {
        let log = "[Sep 12 2022 12:31:45] [INFO] [tid 4081] Fabric Manager version 510.73.08 is running with the following \
                   configuration options\n[Oct 01 2022 08:00:00] [INFO] [tid 1] Connected to 1 node.\n\
                   [Oct 02 2022 08:00:00] [INFO] [tid 9] Fabric Manager version 515.65.01 is running with the following \
                   configuration options\n";
        let package = "Package: libc6\nStatus: install ok installed\nVersion: 2.35\n\nPackage: nvidia-fabricmanager-515\n\
                       Status: install ok installed\nPriority: optional\nVersion: 515.86.01-1\nConffiles:\n /etc/x 1\n\n\
                       Package: nvidia-fabricmanager-510\nStatus: deinstall ok config-files\nVersion: 510.73.08-1\n";
        assert_eq!(version_of(log, package), Some("515.65.01".to_owned()));
        assert_eq!(version_of("", package), Some("515.86.01".to_owned()));
        assert_eq!(version_of("[INFO] started\n", "Package: nvidia-fabricmanager-dev-515\n"), None);
    }
}
