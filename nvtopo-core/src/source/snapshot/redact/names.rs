//! Names of interfaces, bonds and RDMA devices in which the name of the machine is a part of a longer word:
//! `node17ib0`.
//!
//! Names of this kind are replaced as a whole, each by the same one everywhere. Discovery sorts the names of one device,
//! and reads the facts of the first, so if a new name would change that order all names of the device are new.

use super::super::super::sysfs::{Refused, Stored};
use crate::ids::PciAddress;
use std::collections::{BTreeMap, BTreeSet};

/// The directories with names, one for each device, and what new names start with. The first serves that is no part of
/// the name of the machine, and that no other name starts with.
const KINDS: [(&str, [&str; 4]); 2] =
    [("net", ["net", "nic", "link", "if"]), ("infiniband", ["rdma", "verbs", "hca", "ib"])];

/// Beside the interfaces, and none of them.
const BONDS: &str = "bonding_masters";

/// Returns the replacements of names that contain one of some words.
pub(super) fn stand_ins(
    entries: &BTreeMap<String, Stored>,
    refused: &Refused,
    words: &[String],
) -> BTreeMap<String, String> {
    let words: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    let mut stand_ins = BTreeMap::new();
    for (kind, starts) in KINDS {
        let names = names(kind, entries, refused);
        let held = |name: &str| {
            let name = name.to_ascii_lowercase();
            words.iter().any(|word| name.contains(word.as_str()))
        };
        let telling: BTreeSet<&String> = names.iter().filter(|name| held(name)).collect();
        if telling.is_empty() {
            continue;
        }
        let others = || names.iter().filter(|name| !telling.contains(name));
        let is_free = |start: &str| {
            let clear = words.iter().all(|word| !word.contains(start) && !start.contains(word.as_str()));
            clear && !others().any(|name| name.starts_with(start))
        };
        let free = starts.iter().copied().find(|start| is_free(start));
        let start = free.unwrap_or(starts[0]);
        // If no replacement is free, all names are new, so that they still differ.
        let mut renamed = if free.is_some() { telling.clone() } else { names.iter().collect() };
        for together in together(kind, entries, &names) {
            // Of new names the order is that of the old ones.
            let new = |name: &String| if telling.contains(name) { start.to_owned() } else { name.clone() };
            if telling.intersection(&together).next().is_some()
                && !together.iter().copied().map(new).is_sorted()
            {
                renamed.extend(together);
            }
        }
        let width = renamed.len().saturating_sub(1).to_string().len();
        for (number, name) in renamed.into_iter().enumerate() {
            stand_ins.entry(name.clone()).or_insert_with(|| format!("{start}{number:0width$}"));
        }
    }
    stand_ins
}

/// Returns the names of a kind that are anywhere in paths, in links, or in lists.
fn names(kind: &str, entries: &BTreeMap<String, Stored>, refused: &Refused) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut add = |path: &str| {
        let parts = path.split('/').zip(path.split('/').skip(1));
        names.extend(parts.filter(|(folder, _)| *folder == kind).map(|(_, name)| name.to_owned()));
    };
    for (path, stored) in entries {
        add(path);
        if let Stored::Link(target) = stored {
            add(target);
        }
    }
    refused.files.keys().chain(refused.folders.keys()).for_each(|path| add(path));
    if kind == "net" {
        for (path, stored) in entries {
            let lists = path.ends_with("/bonding_masters") || path.ends_with("/bonding/slaves");
            if let (true, Stored::File(Some(content))) = (lists, stored) {
                let content = String::from_utf8_lossy(content);
                names.extend(content.split_whitespace().map(str::to_owned));
            }
        }
    }
    names.remove(BONDS);
    names.remove("");
    names
}

/// Returns the names of each device, as discovery takes them together: those of a PCI function, and those of all other
/// hardware.
fn together<'n>(
    kind: &str,
    entries: &BTreeMap<String, Stored>,
    names: &'n BTreeSet<String>,
) -> Vec<BTreeSet<&'n String>> {
    let mut together: BTreeMap<Option<PciAddress>, BTreeSet<&String>> = BTreeMap::new();
    for name in names {
        let path = format!("sys/class/{kind}/{name}");
        let link = |path: &str| match entries.get(path) {
            Some(Stored::Link(target)) => Some(target.as_str()),
            _ => None,
        };
        let target = link(&path).or_else(|| link(&format!("{path}/device")));
        // A device that software makes has no place among devices.
        if let Some(target) = target.filter(|target| !target.contains("/virtual/")) {
            let function = target.rsplit('/').find_map(|part| part.parse().ok());
            together.entry(function).or_default().insert(name);
        }
    }
    together.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the replacements where these interfaces belong to these functions.
    fn of(words: &[&str], links: &[(&str, &str)]) -> BTreeMap<String, String> {
        let entry = |(name, device): &(&str, &str)| {
            let class = if name.contains("mlx") { "infiniband" } else { "net" };
            let target = format!("../../devices/{device}/{class}/{name}");
            (format!("sys/class/{class}/{name}"), Stored::Link(target))
        };
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        stand_ins(&links.iter().map(entry).collect(), &Refused::default(), &words)
    }

    fn pairs(stand_ins: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
        stand_ins.iter().map(|(name, new)| (name.as_str(), new.as_str())).collect()
    }

    const A: &str = "pci0000:00/0000:01:00.0";
    const B: &str = "pci0000:00/0000:02:00.0";

    #[test]
    fn names_that_hold_the_word_are_replaced() {
        let links = [("dgx07ib0", A), ("ibDGX07p1", B), ("eth0", B), ("dgx07_mlx5_0", A), ("mlx5_1", B)];
        let new = of(&["dgx07"], &links);
        // Beside eth0 the new name comes after it as the old one did.
        let expected = [("dgx07_mlx5_0", "rdma0"), ("dgx07ib0", "net0"), ("ibDGX07p1", "net1")];
        assert_eq!(pairs(&new), expected);
        assert!(of(&["dgx08"], &links).is_empty() && of(&[], &links).is_empty());
    }

    #[test]
    fn the_names_of_one_device_keep_their_order() {
        let new = of(&["dgx07"], &[("dgx07ib0", A), ("eth0", A), ("enp1", B), ("zdgx07", B)]);
        assert_eq!(pairs(&new), [("dgx07ib0", "net0"), ("eth0", "net1"), ("zdgx07", "net2")]);
        let many: Vec<(String, &str)> = (10..22).map(|number| (format!("dgx07p{number}"), A)).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, device)| (name.as_str(), *device)).collect();
        let new = of(&["dgx07"], &many);
        assert_eq!((&*new["dgx07p10"], &*new["dgx07p21"]), ("net00", "net11"));
    }

    #[test]
    fn new_names_are_free_and_do_not_tell_the_word() {
        let new = of(&["dgx07"], &[("dgx07ib0", A), ("net0", B)]);
        assert_eq!(pairs(&new), [("dgx07ib0", "nic0")]);
        assert_eq!(of(&["net"], &[("net5", A)])["net5"], "nic0");
        assert_eq!(of(&["netserver"], &[("netserver0", A)])["netserver0"], "nic0");
        // No replacement contains another word of the machine: here ink in link, and net in a second word.
        assert_eq!(of(&["ink"], &[("ink0", A), ("net0", B), ("nic0", B)])["ink0"], "if0");
        assert_eq!(of(&["dgx07", "netserver"], &[("dgx07ib0", A)])["dgx07ib0"], "nic0");
        let taken = [("dgx07", A), ("net0", B), ("nic0", B), ("link0", B), ("if0", B)];
        assert_eq!(of(&["dgx07"], &taken).values().collect::<BTreeSet<_>>().len(), 5);
    }

    #[test]
    fn lists_and_refusals_are_looked_through() {
        let file = |text: &str| Stored::File(Some(text.as_bytes().to_vec()));
        let entries = BTreeMap::from([
            ("sys/class/net/bonding_masters".to_owned(), file("bond0 dgx07bond\n")),
            ("sys/class/net/bond0/bonding/slaves".to_owned(), file("dgx07p0 dgx07p1\n")),
        ]);
        let refused = Refused {
            files: BTreeMap::from([("sys/class/net/dgx07x/mtu".to_owned(), "no".to_owned())]),
            ..Refused::default()
        };
        let new = stand_ins(&entries, &refused, &["dgx07".to_owned()]);
        assert_eq!(new.into_keys().collect::<Vec<_>>(), ["dgx07bond", "dgx07p0", "dgx07p1", "dgx07x"]);
        // The file is none of them, whatever the machine is called.
        assert!(!stand_ins(&entries, &refused, &["bonding".to_owned()]).contains_key(BONDS));
    }
}
