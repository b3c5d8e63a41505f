//! Network interfaces: their largest packets, what they stand on, and their kinds, from `sys/class/net` or from a saved
//! output of `ip link`.

use crate::evidence::Evidence;
use std::collections::BTreeMap;

/// A network interface.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interface {
    /// The largest packet in bytes.
    pub(crate) mtu: Option<u32>,
    /// The bond or bridge that it belongs to.
    pub(crate) master: Option<String>,
    /// The interface below, of a VLAN or a tunnel.
    pub(crate) below: Option<String>,
    /// The kind of one that software makes: `vlan`, `bond`, `vxlan`, `geneve`, `ipip`, `wireguard`.
    pub(crate) kind: Option<String>,
}

/// More interfaces than are looked at; a node with many pods has one for each.
const MAX_INTERFACES: usize = 8192;

/// Returns the interfaces by name.
pub(crate) fn interfaces(evidence: &Evidence<'_>) -> BTreeMap<String, Interface> {
    let mut found = of_files(evidence);
    for saved in evidence.texts() {
        of_ip_link(&saved.text, &mut found);
    }
    for nic in evidence.topology.nics() {
        if let (Some(mtu), Some(name)) = (nic.mtu, nic.net_devices.first()) {
            found.entry(name.clone()).or_default().mtu.get_or_insert(mtu);
        }
    }
    found
}

/// The hardware types of tunnels, and their kinds. Source: Linux, `include/uapi/linux/if_arp.h`.
const TUNNELS: [(&str, &str); 2] = [("768", "ipip"), ("776", "sit")];

fn of_files(evidence: &Evidence<'_>) -> BTreeMap<String, Interface> {
    let names = evidence.names("sys/class/net");
    let text = |name: &str, file: &str| {
        evidence
            .text(&format!("sys/class/net/{name}/{file}"))
            .known()
            .filter(|text| !text.is_empty())
            .cloned()
    };
    let mut by_index: BTreeMap<String, String> = BTreeMap::new();
    let mut found = BTreeMap::new();
    let mut lower = Vec::new();
    for name in names.into_iter().filter(|name| name != "bonding_masters").take(MAX_INTERFACES) {
        let mtu = text(&name, "mtu").and_then(|mtu| mtu.parse().ok());
        let uevent = text(&name, "uevent").unwrap_or_default();
        let kind = uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE=")).map(str::to_owned);
        let kind = kind.or_else(|| {
            let own = text(&name, "type")?;
            TUNNELS.iter().find(|(number, _)| *number == own).map(|(_, kind)| (*kind).to_owned())
        });
        let master = evidence.link(&format!("sys/class/net/{name}/master"));
        let master = master.and_then(|target| target.rsplit('/').next().map(str::to_owned));
        if let Some(index) = text(&name, "ifindex") {
            if let Some(below) = text(&name, "iflink").filter(|below| *below != index && below != "0") {
                lower.push((name.clone(), below));
            }
            by_index.insert(index, name.clone());
        }
        found.insert(name, Interface { mtu, master, below: None, kind });
    }
    for (name, below) in lower {
        if let Some(own) = found.get_mut(&name) {
            own.below = by_index.get(&below).cloned();
        }
    }
    found
}

/// Reads `ip link` and `ip -d link`: `5: eth0.100@eth0: <BROADCAST,UP> mtu 9000 qdisc … master bond0 …`.
fn of_ip_link(text: &str, found: &mut BTreeMap<String, Interface>) {
    let mut last: Option<String> = None;
    for line in text.lines() {
        let Some((name, rest)) = heading(line) else {
            // With -d a line follows that begins with the kind.
            let kind = line.split_whitespace().next().filter(|_| line.starts_with(' '));
            let is_kind =
                |kind: &&str| ["vlan", "bond", "vxlan", "geneve", "ipip", "wireguard"].contains(kind);
            if let (Some(kind), Some(name)) = (kind.filter(is_kind), &last) {
                let own = found.entry(name.clone()).or_default();
                own.kind.get_or_insert_with(|| kind.to_owned());
                if own.below.is_none() {
                    own.below = after(line, "dev");
                }
            }
            continue;
        };
        if found.len() >= MAX_INTERFACES {
            return;
        }
        let (name, below) = match name.split_once('@') {
            Some((name, below)) => {
                (name, Some(below).filter(|below| *below != "NONE" && !below.starts_with("if")))
            }
            None => (name, None),
        };
        let own = found.entry(name.to_owned()).or_default();
        own.mtu = own.mtu.or_else(|| after(rest, "mtu")?.parse().ok());
        own.master = own.master.take().or_else(|| after(rest, "master"));
        own.below = own.below.take().or_else(|| below.map(str::to_owned));
        last = Some(name.to_owned());
    }
}

/// Returns the name and the rest of a line that begins an interface.
fn heading(line: &str) -> Option<(&str, &str)> {
    let (number, rest) = line.split_once(": ")?;
    let (name, rest) = rest.split_once(": ")?;
    let is_heading = number.parse::<u32>().is_ok() && rest.starts_with('<') && !name.contains(' ');
    is_heading.then_some((name, rest))
}

fn after(line: &str, key: &str) -> Option<String> {
    let mut words = line.split_whitespace().skip_while(|word| *word != key);
    words.nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ip_link_tells_what_stands_on_what() {
        let text = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue\n\
                    2: eth0: <BROADCAST,UP> mtu 9000 qdisc mq master bond0 state UP\n    link/ether 00:00:00:00:00:01\n\
                    3: bond0.7@bond0: <BROADCAST,UP> mtu 1500 qdisc noqueue\n\
                    4: flannel.1: <BROADCAST,UP> mtu 8950 qdisc noqueue\n    vxlan id 1 local 10.0.0.1 dev eth1 srcport 0 0\n\
                    5: veth1@if2: <BROADCAST> mtu 1500\nnothing: here\n";
        let mut found = BTreeMap::new();
        of_ip_link(text, &mut found);
        assert_eq!(found.len(), 5);
        assert_eq!((found["eth0"].mtu, found["eth0"].master.as_deref()), (Some(9000), Some("bond0")));
        assert_eq!(found["bond0.7"].below.as_deref(), Some("bond0"));
        let tunnel = &found["flannel.1"];
        assert_eq!((tunnel.kind.as_deref(), tunnel.below.as_deref()), (Some("vxlan"), Some("eth1")));
        assert_eq!(found["veth1"].below, None);
    }
}
