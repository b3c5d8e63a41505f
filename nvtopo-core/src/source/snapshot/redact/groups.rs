//! Control groups: their names identify containers, users and jobs. Their depth and the places of their limits are
//! kept.

use super::super::super::sysfs::{Hierarchy, Stored, group_of, parts_of};
use std::collections::BTreeMap;

/// The usual mount points of hierarchies with cpusets.
const USUAL: [&str; 3] = ["sys/fs/cgroup", "sys/fs/cgroup/cpuset", "dev/cpuset"];

/// The names of groups and unusual mounts, and what stands in.
#[derive(Default)]
pub(super) struct Groups {
    /// The made-up name of each name.
    names: BTreeMap<String, String>,
    /// The reader's groups, name by name.
    chains: Vec<Vec<String>>,
    /// The folders of mounts, and what stands in; longest first.
    mounts: Vec<(String, String)>,
}

impl Groups {
    /// Returns the groups that the recorded files name.
    pub(super) fn of(entries: &BTreeMap<String, Stored>) -> Self {
        let mut groups = Self {
            mounts: USUAL.map(|usual| (usual.to_owned(), usual.to_owned())).into(),
            ..Self::default()
        };
        for (path, stored) in entries {
            let Stored::File(Some(content)) = stored else { continue };
            for line in String::from_utf8_lossy(content).lines() {
                match path.as_str() {
                    "proc/mounts" | "proc/self/mounts" => groups.add_mount(line),
                    "proc/self/cgroup" => groups.add(group_of(line)),
                    "proc/self/cpuset" => groups.add(Some(line)),
                    _ => break,
                }
            }
        }
        groups.mounts.sort_by_key(|(mount, _)| std::cmp::Reverse(mount.len()));
        groups
    }

    /// Returns the names of all groups.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// Returns a file about control groups with made-up names. `None`: it is another. Lines that discovery has no use for
    /// are left out.
    pub(super) fn replace(&self, path: &str, text: &str) -> Option<String> {
        let line = |line: &str| match path {
            "proc/self/cgroup" => {
                let group = group_of(line)?;
                Some(format!("{}{}", line.strip_suffix(group)?, self.group(group)))
            }
            "proc/self/cpuset" => Some(self.group(line)),
            _ => self.mount(line),
        };
        let is_one =
            matches!(path, "proc/mounts" | "proc/self/mounts" | "proc/self/cgroup" | "proc/self/cpuset");
        is_one.then(|| text.lines().filter_map(line).map(|line| line + "\n").collect())
    }

    /// Returns the new path of a file of a group. `None`: it is unchanged.
    pub(super) fn path(&self, path: &str) -> Option<String> {
        let below = |mount: &str| {
            let rest = path.strip_prefix(mount)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/').to_owned())
        };
        let (mount, rest) = self.mounts.iter().find_map(|(mount, to)| Some((to, below(mount)?)))?;
        let parts: Vec<&str> = rest.split('/').collect();
        let common = |chain: &Vec<String>| chain.iter().zip(&parts).take_while(|(a, b)| a == b).count();
        let depth = self.chains.iter().map(common).max().unwrap_or_default();
        let parts =
            parts.iter().enumerate().map(|(at, part)| if at < depth { self.name(part) } else { part });
        let rest = parts.collect::<Vec<_>>().join("/");
        Some(if rest.is_empty() { mount.clone() } else { format!("{mount}/{rest}") })
    }

    /// Returns whether a directory is above an unusual mount: it has a name that somebody gave, and nothing but that
    /// mount.
    pub(super) fn is_above(&self, path: &str) -> bool {
        let moved = self.mounts.iter().filter(|(mount, to)| mount != to);
        moved.into_iter().any(|(mount, _)| mount.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }

    fn add(&mut self, group: Option<&str>) {
        let chain: Vec<String> = parts_of(group.unwrap_or_default()).map(str::to_owned).collect();
        for name in &chain {
            let number = self.names.len() + 1;
            self.names.entry(name.clone()).or_insert_with(|| format!("group{number}"));
        }
        self.chains.push(chain);
    }

    fn add_mount(&mut self, line: &str) {
        let Some(Hierarchy { folder, .. }) = Hierarchy::of_line(line) else { return };
        let is_usual = folder.starts_with("sys/fs/cgroup") || folder.starts_with("dev/cpuset");
        let number = self.mounts.len() - USUAL.len() + 1;
        if !folder.is_empty() && !self.mounts.iter().any(|(known, _)| *known == folder) {
            let to = if is_usual { folder.clone() } else { format!("mnt/cgroup{number}") };
            self.mounts.push((folder, to));
        }
    }

    fn name<'a>(&'a self, name: &'a str) -> &'a str {
        self.names.get(name).map_or(name, String::as_str)
    }

    fn group(&self, group: &str) -> String {
        group.split('/').map(|name| self.name(name)).collect::<Vec<_>>().join("/")
    }

    /// Returns the part of a mount's line that discovery reads.
    fn mount(&self, line: &str) -> Option<String> {
        let Hierarchy { folder, kind, options } = Hierarchy::of_line(line)?;
        let options = options.split(',');
        let options: Vec<&str> = options.filter(|option| matches!(*option, "cpuset" | "noprefix")).collect();
        let to = self.mounts.iter().find(|(mount, _)| *mount == folder).map(|(_, to)| to)?;
        let options = if options.is_empty() { "rw".to_owned() } else { options.join(",") };
        Some(format!("none /{} {kind} {options} 0 0", to.replace(' ', "\\040")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(files: &[(&str, &str)]) -> Groups {
        let stored = |text: &str| Stored::File(Some(text.as_bytes().to_vec()));
        Groups::of(&files.iter().map(|(path, text)| ((*path).to_owned(), stored(text))).collect())
    }

    #[test]
    fn groups_lose_their_names_and_keep_their_places() {
        let text = "9:memory:/secret\n3:cpuset:/docker/abc\n0::/user.slice/user-1000.slice\n";
        let groups = groups(&[("proc/self/cgroup", text)]);
        let expected = "3:cpuset:/group1/group2\n0::/group3/group4\n";
        assert_eq!(groups.replace("proc/self/cgroup", text).unwrap(), expected);
        for (from, to) in [
            ("sys/fs/cgroup/cpuset/docker/abc/cpuset.cpus", "sys/fs/cgroup/cpuset/group1/group2/cpuset.cpus"),
            ("sys/fs/cgroup/cpuset/docker", "sys/fs/cgroup/cpuset/group1"),
            ("sys/fs/cgroup/user.slice/cpuset.cpus.effective", "sys/fs/cgroup/group3/cpuset.cpus.effective"),
            ("sys/fs/cgroup/cpuset.cpus.effective", "sys/fs/cgroup/cpuset.cpus.effective"),
            ("sys/fs/cgroup", "sys/fs/cgroup"),
        ] {
            assert_eq!(groups.path(from).as_deref(), Some(to));
        }
        assert_eq!(groups.path("sys/devices/docker/abc"), None);
    }

    #[test]
    fn steps_up_are_no_names() {
        let text = "0::/../../job7\n";
        let groups = groups(&[("proc/self/cgroup", text)]);
        assert_eq!(groups.replace("proc/self/cgroup", text).unwrap(), "0::/../../group1\n");
        assert_eq!(
            groups.path("sys/fs/cgroup/job7/cpuset.cpus").unwrap(),
            "sys/fs/cgroup/group1/cpuset.cpus"
        );
        assert_eq!(groups.names().collect::<Vec<_>>(), ["job7"]);
    }

    #[test]
    fn mounts_below_the_usual_places_stay() {
        let mounts =
            "none /sys/fs/cgroup/cpu,cpuset cgroup rw,cpuset 0 0\nnone /dev/cpuset/all cpuset rw 0 0\n";
        let groups = groups(&[("proc/mounts", mounts), ("proc/self/cpuset", "/job7\n")]);
        let expected =
            "none /sys/fs/cgroup/cpu,cpuset cgroup cpuset 0 0\nnone /dev/cpuset/all cpuset rw 0 0\n";
        assert_eq!(groups.replace("proc/mounts", mounts).unwrap(), expected);
        for mount in ["sys/fs/cgroup/cpu,cpuset", "dev/cpuset/all"] {
            assert_eq!(groups.path(&format!("{mount}/job7/cpus")).unwrap(), format!("{mount}/group1/cpus"));
        }
        assert!(!groups.is_above("sys/fs") && !groups.is_above("dev"));
    }

    #[test]
    fn mounts_in_unusual_places_move() {
        let mounts =
            "nas:/home/me /home/me nfs rw 0 0\nnone /my\\040cg cgroup rw,cpuset,release_agent=/me 0 0\n";
        let groups = groups(&[("proc/mounts", mounts), ("proc/self/cpuset", "/job\n")]);
        let text = groups.replace("proc/mounts", mounts).unwrap();
        let folder = groups.path("my cg/job/cpuset.cpus").unwrap();
        let mount = folder.strip_suffix("/group1/cpuset.cpus").unwrap();
        assert_eq!(text, format!("none /{mount} cgroup cpuset 0 0\n"));
        assert!(!groups.is_above("my") && !groups.is_above("my cg/job") && !groups.is_above("sys"));
    }
}
