//! The names of this machine, read only to search for them in the record.

use super::super::super::sysfs::Tree;
use super::ids::Ids;
use std::path::Path;

/// Names that very many machines have, and those of models: they identify nothing, and are also other words.
const COMMON: [&str; 30] = [
    "amd",
    "ampere",
    "arm",
    "cluster",
    "compute",
    "cpu",
    "debian",
    "dell",
    "dgx",
    "epyc",
    "fedora",
    "gpu",
    "hgx",
    "hopper",
    "host",
    "intel",
    "linux",
    "localdomain",
    "localhost",
    "machine",
    "mellanox",
    "node",
    "none",
    "nvidia",
    "server",
    "supermicro",
    "tesla",
    "ubuntu",
    "worker",
    "xeon",
];

/// Adds what the files below a root name it.
pub(super) fn add(root: &Path, ids: &mut Ids) {
    let tree = Tree::new(root);
    for file in ["proc/sys/kernel/hostname", "etc/hostname"] {
        let name = tree.secret(file).unwrap_or_default();
        add_word(ids, &name, "host");
        if let Some((first, domain)) = name.split_once('.') {
            add_word(ids, first, "host");
            add_word(ids, domain, "example.org");
        }
    }
    add_word(ids, &tree.secret("proc/sys/kernel/domainname").unwrap_or_default(), "example.org");
    for file in ["etc/machine-id", "proc/sys/kernel/random/boot_id", "sys/class/dmi/id/product_uuid"] {
        ids.add_digits(&tree.secret(file).unwrap_or_default());
    }
    for kind in ["product_serial", "board_serial", "chassis_serial", "chassis_asset_tag", "board_asset_tag"] {
        let serial = tree.secret(&format!("sys/class/dmi/id/{kind}")).unwrap_or_default();
        // Empty ones say so in words.
        if serial.bytes().any(|byte| byte.is_ascii_digit()) {
            add_word(ids, &serial, "serial");
        }
    }
    for (class, files) in
        [("sys/class/net", &["address"][..]), ("sys/class/infiniband", &["node_guid", "sys_image_guid"])]
    {
        for name in tree.names(class) {
            for file in files {
                ids.add_digits(&tree.secret(&format!("{class}/{name}/{file}")).unwrap_or_default());
            }
        }
    }
}

/// Adds a word that identifies something; one of a letter or two is in very many others.
pub(super) fn add_word(ids: &mut Ids, word: &str, stand_in: &str) {
    let word = word.trim();
    let common = COMMON.contains(&&*word.to_ascii_lowercase());
    if word.len() >= 3 && !common && word.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        ids.add_word(word, stand_in);
    }
}
