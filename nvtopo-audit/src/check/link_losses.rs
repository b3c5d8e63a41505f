//! Network links that were lost again and again, by saved system logs.

use super::{Check, Theme};
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Verdicts};
use crate::reading::syslog;

pub(super) const CHECK: Check = Check {
    code: "nic-link-losses",
    theme: Theme::Rdma,
    severity: Severity::Warning,
    claim: "No network interface and no RDMA port loses its link again and again.",
    evidence: "A saved system log (syslog, journalctl, dmesg): lines that an interface lost its carrier or that its link is \
               down, and lines of the kernel that the link of an RDMA device's port is (Port: 1 Link DOWN).",
    rule: "Fails where an interface or port lost its link 5 times or more in the last 24 hours of the log. Warns from 2 times \
           on. Interfaces of containers and bridges, RDMA devices of software, and a host's virtual functions are left out. \
           Unknown without a log, and where what is saved may be an excerpt: \
           it covers less than 24 hours, and no line is of the network or of systemd.",
    remedy: "Clean or replace the cable or the optics; look at the switch port and at its error correction.",
    source: "azure_ib_link_flapping.nhc of azurehpc-health-checks (5 in 24 hours); rdma_link_flapping.py of oci-hpc",
    run: losses,
};

/// The number of losses that fails, and the one that warns.
const FAILS: usize = 5;
const WARNS: usize = 2;

fn losses(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let Some(losses) = syslog::losses(evidence) else {
        verdicts.unknown(NODE, "no saved log tells of lost links; counters of two readings do, see rdma-phy");
        return;
    };
    let mut is_good = true;
    for (interface, count) in losses.counts.iter().filter(|(_, count)| **count >= WARNS) {
        is_good = false;
        let text = format!("it lost its link {count} times in the last 24 hours of the log");
        if *count >= FAILS {
            verdicts.fail(interface, text);
        } else {
            verdicts.warn(interface, text);
        }
    }
    if is_good && !losses.is_whole {
        verdicts.unknown(NODE, "the saved log covers less than 24 hours and tells nothing of the network");
    } else if is_good {
        verdicts.pass(NODE, "no interface or port lost its link twice in the last 24 hours of the log");
    }
}
