//! Lines of NVIDIA's driver in the kernel's log: Xid events of GPUs, and `SXid` events of NVSwitches. The log is that of
//! `/dev/kmsg`, `dmesg`, `journalctl -k` or a file of syslog.
//!
//! Sources: NVIDIA, "Xid Errors" and its catalog; NVIDIA, Fabric Manager User Guide, "`NVSwitch` Errors".

use super::log_time::LogTime;
use nvtopo::PciAddress;

/// The device that an event is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DriverEventKind {
    /// A GPU.
    Xid,
    /// An `NVSwitch`.
    Sxid,
}

impl DriverEventKind {
    /// The word in labels and messages, such as `xid`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Xid => "xid",
            Self::Sxid => "sxid",
        }
    }
}

/// An event that the driver wrote to the kernel's log.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DriverEvent {
    /// The kind.
    pub kind: DriverEventKind,
    /// The GPU or `NVSwitch`.
    pub device: PciAddress,
    /// NVIDIA's number of the event.
    pub code: u32,
    /// The `NVLink` of the GPU, or the port of the `NVSwitch`. `None`: the line names none.
    pub link: Option<u32>,
    /// True for an event of an `NVSwitch` that ends jobs. `None`: the line does not tell.
    pub is_fatal: Option<bool>,
    /// The process that used the GPU, as far as the driver knows. `None`: the line names none.
    pub pid: Option<u32>,
    /// The time since the start of the machine in seconds. `None`: the line does not tell.
    pub at: Option<f64>,
}

/// The Xid events of `NVLinks`: 74, those of the fifth generation, and those that its software defines.
const OF_NVLINKS: [u32; 9] = [74, 144, 145, 146, 147, 148, 149, 150, 155];

impl DriverEvent {
    /// Reads a line of the log. `None`: it tells of no event.
    pub fn parse(line: &str) -> Option<Self> {
        let (kind, before, rest) = match line.split_once("NVRM: Xid (") {
            Some((before, rest)) => (DriverEventKind::Xid, before, rest),
            None => line.split_once("SXid (").map(|(before, rest)| (DriverEventKind::Sxid, before, rest))?,
        };
        if !is_of_kernel(before) {
            return None;
        }
        let (device, rest) = rest.split_once("): ")?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (code, tail) = rest.split_at(digits);
        let tail = tail.trim_start_matches([',', ' ']);
        let mut event = Self {
            kind,
            device: address(device)?,
            code: code.parse().ok()?,
            link: None,
            is_fatal: None,
            pid: None,
            at: LogTime::of(before).and_then(|time| time.since_start),
        };
        match kind {
            DriverEventKind::Xid => {
                let pid = tail.split(',').find_map(|part| part.trim().strip_prefix("pid="));
                event.pid = pid.and_then(|pid| pid.trim_matches('\'').parse().ok());
                event.link = OF_NVLINKS.contains(&event.code).then(|| link(tail)).flatten();
            }
            DriverEventKind::Sxid => {
                let word = tail.split([',', ' ']).next().unwrap_or_default();
                // Lines of numbers follow each event.
                if word.eq_ignore_ascii_case("severity") || word.eq_ignore_ascii_case("data") {
                    return None;
                }
                event.is_fatal = match () {
                    () if word.eq_ignore_ascii_case("fatal") => Some(true),
                    () if word.eq_ignore_ascii_case("non-fatal") => Some(false),
                    () => None,
                };
                event.link = link(tail);
            }
        }
        Some(event)
    }
}

/// Returns whether the words before a message name no program but the kernel and the driver of `NVSwitches`. The log of the
/// system takes lines of any user.
pub(crate) fn is_of_kernel(before: &str) -> bool {
    // Tools that ask several hosts begin each line with the host.
    let rest = before.split_once(": ").filter(|(host, rest)| {
        host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
            && LogTime::of(rest).is_some()
    });
    let before = rest.map_or(before, |(_, rest)| rest);
    // A line of /dev/kmsg has numbers before the message.
    let is_numbers = |head: &str| head.starts_with(|c: char| c.is_ascii_digit()) && !head.contains(' ');
    let message =
        before.split_once(';').filter(|(head, _)| is_numbers(head)).map_or(before, |(_, message)| message);
    let mut tags = message.split_whitespace().filter_map(|word| word.strip_suffix(':'));
    // `dmesg -x` writes `kern  :notice:`.
    tags.all(|tag| {
        tag.is_empty() || tag.starts_with(':') || tag == "kernel" || tag.starts_with("nvidia-nvswitch")
    })
}

/// Returns whether a line is the first of the kernel after a start of the machine.
pub(crate) fn is_start(line: &str) -> bool {
    line.split_once("Linux version ").is_some_and(|(before, _)| is_of_kernel(before))
}

/// The greatest number of a link or port.
const MOST_LINK: u32 = 63;

/// Reads `PCI:0000:3b:00`, `0000:3b:00`, `PCI:0000:86:00.0`, and the first word of `PCI:0000:3b:00 GPU-I:05`.
fn address(text: &str) -> Option<PciAddress> {
    let text = text.strip_prefix("PCI:").unwrap_or(text).split_whitespace().next()?;
    if text.contains('.') { text.parse().ok() } else { format!("{text}.0").parse().ok() }
}

/// Returns the number behind the word `link`.
fn link(tail: &str) -> Option<u32> {
    let mut words = tail.split_whitespace().skip_while(|word| !word.eq_ignore_ascii_case("link")).skip(1);
    let word = words.next()?;
    let number = word[..word.bytes().take_while(u8::is_ascii_digit).count()].parse();
    number.ok().filter(|number| *number <= MOST_LINK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_gpus_are_read_in_each_form_of_the_log() {
        let parse = |line: &str| {
            DriverEvent::parse(line).map(|own| (own.device.to_string(), own.code, own.link, own.pid, own.at))
        };
        let at = |bus: &str| format!("0000:{bus}:00.0");
        for (line, expected) in [
            (
                "[449410.332316] NVRM: Xid (PCI:0003:00:00): 74, pid='<unknown>', name=<unknown>, NVLink: fatal error detected \
                 on link 14(0x0, 0x0, 0x10000, 0x0, 0x0, 0x0, 0x0)",
                ("0003:00:00.0".to_owned(), 74, Some(14), None, Some(449_410.332_316)),
            ),
            (
                "[171167.620236] NVRM: Xid (PCI:0009:01:00): 149, NETIR_LINK_EVT  Fatal   XC0 i0 Link 01 (0x021425c6 0x0)",
                ("0009:01:00.0".to_owned(), 149, Some(1), None, Some(171_167.620_236)),
            ),
            (
                "4,1127,52001234,-;NVRM: Xid (PCI:0000:3b:00): 31, pid=207955, name=python3, channel 0x00000007",
                (at("3b"), 31, None, Some(207_955), Some(52.001_234)),
            ),
            (
                "Nov 22 18:29:55 host kernel: NVRM: Xid (0000:01:00): 31, Ch 0000000b",
                (at("01"), 31, None, None, None),
            ),
            (
                "NVRM: Xid (PCI:0000:01:00 GPU-I:05): 43, pid='12', name=x",
                (at("01"), 43, None, Some(12), None),
            ),
            // A link in the words of another event is none of the GPU's.
            (
                "NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus, link 3",
                (at("01"), 79, None, None, None),
            ),
        ] {
            assert_eq!(parse(line), Some(expected), "{line}");
        }
        for line in [
            "",
            "NVRM: Xid error: xyz, invalid",
            "NVRM: Xid (PCI:0000:zz:00): 79",
            "NVRM: Xid (PCI:0000:01:00): x",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn programs_of_users_tell_no_events() {
        let xid = "NVRM: Xid (PCI:0000:1b:00): 79, pid=1, name=x, GPU has fallen off the bus.";
        let is_told = |before: &str| DriverEvent::parse(&format!("{before}{xid}")).is_some();
        for before in [
            "",
            "[ 12.5] ",
            "[   12.5][ T1234] ",
            "[Mon Nov 30 14:40:00 2026] ",
            "<4>[ 12.5] ",
            "4,1127,52001234,-;",
            "4,1127,52001234,-,caller=T77;",
            "Nov 30 14:40:00 host kernel: ",
            "Nov 30 14:40:00 host kernel: [ 12.5] ",
            "2026-11-30T14:40:00.5+00:00 host kernel: ",
            "[ 12.5] host kernel: ",
            "kern  :warn  : [ 12.5] ",
            "kern  :notice: [ 12.5] ",
            "node-1: [ 12.5] ",
            "node-1: Nov 30 14:40:00 host kernel: ",
        ] {
            assert!(is_told(before), "{before}");
        }
        for before in [
            "Nov 30 14:40:00 host bob[123]: ",
            "Nov 30 14:40:00 host bob: ",
            "Nov 30 14:40:00 host bob: kernel: ",
            "Nov 30 14:40:00 host bob: kernel: [ 12.5] ",
            "Nov 30 14:40:00 host kernel: [ 12.0] bob: ",
            "2026-11-30T14:40:00.5+00:00 host bob[123]: ",
            "Nov 30 14:40:00 host bob[123]: a;",
            "12,1127,52001234,-;bob[123]: ",
            "bob[123]: ",
        ] {
            assert!(!is_told(before), "{before}");
        }
        let line = |link: u64| {
            let line = format!(
                "NVRM: Xid (PCI:0000:1b:00): 74, pid=1, NVLink: fatal error detected on link {link}(0x0)"
            );
            DriverEvent::parse(&line).unwrap().link
        };
        assert_eq!([17, 63, 64, 4_294_967_295, u64::MAX].map(line), [Some(17), Some(63), None, None, None]);
    }

    #[test]
    fn events_of_switches_are_told_once() {
        let line = |tail: &str| format!("kernel: [123.5] nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): {tail}");
        let event =
            DriverEvent::parse(&line("24007, Fatal, Link 30 sourcetrack timeout error (First)")).unwrap();
        assert_eq!((event.kind, event.code, event.link), (DriverEventKind::Sxid, 24_007, Some(30)));
        assert_eq!((event.is_fatal, event.at), (Some(true), Some(123.5)));
        let event = DriverEvent::parse(&line("20009, Non-fatal, Link 28 RX Short Error Rate")).unwrap();
        assert_eq!((event.link, event.is_fatal), (Some(28), Some(false)));
        assert_eq!(
            DriverEvent::parse(&line("24007, Severity 1 Engine instance 30 Sub-engine instance 00")),
            None
        );
        assert_eq!(DriverEvent::parse(&line("24007, Data {0x00000000, 0x00000000}")), None);
        assert_eq!(DriverEvent::parse(&line("garbled, Fatal")), None);
    }
}
