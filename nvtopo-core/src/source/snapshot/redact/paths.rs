//! Absolute paths in texts and links: directories below those of the system are named by people, after themselves,
//! their projects and their employers.

/// Directories at the root that every system has: what is below them says nothing of who uses it. The last three are
/// those of the kernel's own names for devices.
const SYSTEM: [&str; 13] = [
    "bin", "dev", "etc", "lib", "lib32", "lib64", "proc", "sbin", "sys", "usr", "devices", "firmware", "soc",
];

/// Directories at the root that very many machines have, with the names of people or projects below them.
const USUAL: [&str; 24] = [
    "data",
    "export",
    "gpfs",
    "home",
    "lustre",
    "media",
    "mnt",
    "net",
    "nfs",
    "opt",
    "project",
    "projects",
    "root",
    "run",
    "scratch",
    "shared",
    "srv",
    "storage",
    "tmp",
    "users",
    "Users",
    "var",
    "work",
    "workspace",
];

/// Returns a path that people named at the start of a text, after the character before it: its length, and what stands
/// in. The name of a library stays, as it is what messages are about.
pub(super) fn find(before: Option<char>, text: &str) -> Option<(usize, String)> {
    let begins = before.is_none_or(|before| before.is_whitespace() || "\"'`=:(,;[<>|".contains(before));
    let length = text.find(|c: char| c.is_whitespace() || "\"'`:(),;[]<>|".contains(c)).unwrap_or(text.len());
    let path = text[..length].trim_end_matches('.');
    let mut names = path.strip_prefix('/')?.split('/').filter(|name| !name.is_empty());
    let first = names.next()?;
    let is_path = USUAL.contains(&first)
        || begins && first.len() > 1 && first.starts_with(char::is_alphabetic) && !first.contains('@');
    if !is_path || SYSTEM.contains(&first) {
        return None;
    }
    let root = if USUAL.contains(&first) { first } else { "path" };
    let library = names.next_back().filter(|name| name.contains(".so")).map(|name| format!("/{name}"));
    let user = if root == "path" { "" } else { "/user" };
    Some((path.len(), format!("/{root}{user}{}", library.unwrap_or_default())))
}

/// Returns whether a link at a path leads to where people name directories.
pub(super) fn leaves(path: &str, target: &str) -> bool {
    let mut places: Vec<&str> = if target.starts_with('/') { Vec::new() } else { path.split('/').collect() };
    places.pop();
    for name in target.split('/').filter(|name| !matches!(*name, "" | ".")) {
        if name == ".." { _ = places.pop() } else { places.push(name) }
    }
    places.first().is_some_and(|first| !SYSTEM.contains(first) && !matches!(*first, "run" | "var"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(text: &str) -> Option<String> {
        find(None, text).map(|(length, stand_in)| stand_in + &text[length..])
    }

    #[test]
    fn paths_of_people_are_replaced_and_those_of_the_system_stay() {
        for (text, expected) in [
            ("/home/alice/lib.so: no", "/home/user/lib.so: no"),
            ("/home/alice", "/home/user"),
            ("/root/merger/libnvidia-ml.so.1: cannot open", "/root/user/libnvidia-ml.so.1: cannot open"),
            ("/mnt/bob.", "/mnt/user."),
            ("/scratch/acme/a b", "/scratch/user b"),
            ("/data", "/data/user"),
            ("/acme/lib/libx.so.2)", "/path/libx.so.2)"),
            ("/acme-projects/secret", "/path"),
        ] {
            assert_eq!(replaced(text).as_deref(), Some(expected), "{text}");
        }
        let kept = [
            "/usr/lib/libnvidia-ml.so.1",
            "/sys/x",
            "/dev/nvidia0",
            "/pcie@1/x",
            "/s",
            "/",
            "//",
            "/1/0",
            "x",
        ];
        for text in kept {
            assert_eq!(replaced(text), None, "{text}");
        }
        assert!(find(Some(')'), "/Foo").is_none() && find(Some(')'), "/mnt/x").is_some());
        assert!(find(Some('='), "/acme/x").is_some());
    }

    #[test]
    fn links_are_followed_to_their_root() {
        for (path, target, expected) in [
            ("sys/class/net/eth0", "../../devices/pci0000:00/net/eth0", false),
            ("sys/class/net/eth0", "../../../data/acme", true),
            ("sys/class/net/eth0", "/sys/devices/x", false),
            ("sys/class/net/eth0", "/mnt/acme/x", true),
            ("sys/class/net/eth0", "./x", false),
            ("sys/a", "../../../../home/alice", true),
            ("sys/a", "/", false),
        ] {
            assert_eq!(leaves(path, target), expected, "{path} → {target}");
        }
    }
}
