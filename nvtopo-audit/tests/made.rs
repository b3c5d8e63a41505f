//! Made machines: a few files of `/sys` and `/proc`, and texts that tools would print of them.

use crate::support::Folder;
use nvtopo::source::Contents;
use nvtopo_audit::{Audit, Profile, Report};
use std::collections::BTreeMap;

/// The files of a machine by path.
#[derive(Clone, Default)]
pub(crate) struct Made(BTreeMap<String, String>);

const CLASS: &str = "sys/class/infiniband";

impl Made {
    /// A machine with eight CPUs, a boot time, and so many seconds since.
    pub(crate) fn after(seconds: u32) -> Self {
        Self::default()
            .with("sys/devices/system/cpu/online", "0-7")
            .with("sys/devices/system/cpu/cpu0/topology/core_id", "0")
            .with("proc/stat", "cpu 1 2 3\nbtime 1700000000\n")
            .with("proc/uptime", &format!("{seconds}.00 1.00"))
    }

    pub(crate) fn with(mut self, path: &str, text: &str) -> Self {
        self.0.insert(path.to_owned(), format!("{text}\n"));
        self
    }

    pub(crate) fn without(mut self, path: &str) -> Self {
        self.0.retain(|own, _| !own.starts_with(path));
        self
    }

    /// Adds an active port of an RDMA device.
    pub(crate) fn port(self, device: &str, layer: &str, gigabits: u32) -> Self {
        let port = format!("{CLASS}/{device}/ports/1");
        self.with(&format!("{CLASS}/{device}/hca_type"), "MT4129")
            .with(&format!("{port}/state"), "4: ACTIVE")
            .with(&format!("{port}/phys_state"), "5: LinkUp")
            .with(&format!("{port}/rate"), &format!("{gigabits} Gb/sec (4X NDR)"))
            .with(&format!("{port}/link_layer"), layer)
    }

    /// Adds an active Ethernet port with an interface and an address of RoCE v2.
    pub(crate) fn roce(self, device: &str, interface: &str) -> Self {
        let port = format!("{CLASS}/{device}/ports/1");
        let made = self
            .port(device, "Ethernet", 400)
            .with(&format!("sys/class/net/{interface}/mtu"), "9000")
            .with(&format!("{port}/gid_attrs/ndevs/0"), interface);
        let kinds = [
            ("IB/RoCE v1", "fe80:0000"),
            ("RoCE v2", "fe80:0000"),
            ("IB/RoCE v1", "fd00:0001"),
            ("RoCE v2", "fd00:0001"),
        ];
        kinds.into_iter().enumerate().fold(made, |made, (index, (kind, begin))| {
            made.with(&format!("{port}/gid_attrs/types/{index}"), kind)
                .with(&format!("{port}/gids/{index}"), &format!("{begin}:0000:0000:0000:0000:0000:0001"))
        })
    }

    /// Sets a file of a device's first port.
    pub(crate) fn set(self, device: &str, file: &str, text: &str) -> Self {
        self.with(&format!("{CLASS}/{device}/ports/1/{file}"), text)
    }

    /// Sets counters of a device's first port.
    pub(crate) fn counters(self, device: &str, counters: &[(&str, u64)]) -> Self {
        let of_port = [
            "link_downed",
            "link_error_recovery",
            "local_link_integrity_errors",
            "port_rcv_errors",
            "port_rcv_packets",
            "symbol_error",
        ];
        counters.iter().fold(self, |made, (name, value)| {
            let kind = if of_port.contains(name) { "counters" } else { "hw_counters" };
            made.set(device, &format!("{kind}/{name}"), &value.to_string())
        })
    }

    pub(crate) fn folder(&self, name: &str) -> Folder {
        let files: Vec<(&str, &str)> =
            self.0.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        Folder::of(name, &files)
    }

    /// Audits it.
    pub(crate) fn audit(&self, name: &str) -> Report {
        audit(&self.folder(name).read(), None, "")
    }

    /// Audits it by a profile.
    pub(crate) fn audit_by(&self, name: &str, profile: &str) -> Report {
        audit(&self.folder(name).read(), None, profile)
    }

    /// Audits it against an earlier reading.
    pub(crate) fn audit_since(&self, name: &str, earlier: &Self) -> Report {
        let (before, after) = (earlier.folder(&format!("{name}-before")), self.folder(name));
        audit(&after.read(), Some(&before.read()), "")
    }
}

/// Audits evidence against an earlier reading, by a profile.
pub(crate) fn audit(contents: &Contents, earlier: Option<&Contents>, profile: &str) -> Report {
    let themes = ["rdma", "mtu", "roce", "nvlink-errors"];
    let mut audit = Audit::of(contents).profile(Profile::parse("test.toml", profile).unwrap()).only(themes);
    if let Some(earlier) = earlier {
        audit = audit.earlier(earlier);
    }
    audit.run().unwrap()
}

/// Audits two made texts, as if they were saved outputs.
pub(crate) fn texts_since(name: &str, after: &str, before: &str, profile: &str) -> Report {
    let folder = |end: &str, text: &str| Folder::of(&format!("{name}-{end}"), &[("output.txt", text)]);
    let (then, now) = (folder("before", before), folder("after", after));
    audit(&now.read(), Some(&then.read()), profile)
}
