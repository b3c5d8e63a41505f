//! Priority flow control of this machine's network interfaces, as the kernel tells it over netlink. Everybody may ask.
//!
//! The layout of messages is that of Linux, `include/uapi/linux/dcbnl.h` and `netlink.h`.

use nvtopo::source::SavedText;
use rustix::fd::OwnedFd;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::fmt::Write as _;
use std::time::Duration;

const RTM_GETDCB: u16 = 78;
const NLM_F_REQUEST: u16 = 1;
const DCB_CMD_IEEE_GET: u8 = 21;
const DCB_ATTR_IFNAME: u16 = 1;
const DCB_ATTR_IEEE: u16 = 13;
const DCB_ATTR_IEEE_PFC: u16 = 2;

/// The size of the two headers of a message.
const HEADERS: usize = 16 + 4;

/// The kernel answers at once; a driver that hangs is not waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// Returns the settings of these interfaces as if somebody had saved what `dcb pfc show` prints. `None`: the kernel tells none.
pub(crate) fn pfc<'a>(interfaces: impl Iterator<Item = &'a str>) -> Option<SavedText> {
    let socket = open()?;
    let mut text = String::new();
    for interface in interfaces {
        let Some(answer) = ask(&socket, interface) else { break };
        if let Some(enabled) = enabled(&answer) {
            let _ = writeln!(text, "{}", printed(interface, enabled));
        }
    }
    (!text.is_empty()).then(|| SavedText::new("netlink", text))
}

fn open() -> Option<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    // No protocol is that of network interfaces.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).ok()?;
    rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0)).ok()?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).ok()?;
    Some(socket)
}

/// Returns the kernel's answer, which may be an error. `None`: it did not answer, and may do so later.
fn ask(socket: &OwnedFd, interface: &str) -> Option<Vec<u8>> {
    rustix::net::send(socket, &request(interface), SendFlags::empty()).ok()?;
    let mut answer = vec![0; 8192];
    let (length, _) = rustix::net::recv(socket, &mut answer[..], RecvFlags::empty()).ok()?;
    answer.truncate(length);
    Some(answer)
}

fn request(interface: &str) -> Vec<u8> {
    let attribute = 4 + interface.len() + 1;
    let length = (HEADERS + attribute) as u32;
    let mut message = Vec::new();
    message.extend(length.to_ne_bytes());
    message.extend(RTM_GETDCB.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([0, DCB_CMD_IEEE_GET, 0, 0]);
    message.extend((attribute as u16).to_ne_bytes());
    message.extend(DCB_ATTR_IFNAME.to_ne_bytes());
    message.extend(interface.bytes());
    message.push(0);
    message
}

/// Returns the bits of the priorities with PFC in an answer. `None`: an error, or an interface that tells none.
fn enabled(answer: &[u8]) -> Option<u8> {
    let kind = u16::from_ne_bytes([*answer.get(4)?, *answer.get(5)?]);
    if kind != RTM_GETDCB {
        return None;
    }
    let ieee = attribute(answer.get(HEADERS..)?, DCB_ATTR_IEEE)?;
    // Behind the number of priorities that can have it.
    attribute(ieee, DCB_ATTR_IEEE_PFC)?.get(1).copied()
}

/// Returns the value of an attribute among several.
fn attribute(mut from: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let [a, b, c, d, ..] = *from else { return None };
        let length = usize::from(u16::from_ne_bytes([a, b]));
        // The highest two bits say how the value is written.
        if u16::from_ne_bytes([c, d]) & 0x3fff == wanted {
            return from.get(4..length);
        }
        from = from.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn printed(interface: &str, enabled: u8) -> String {
    let mut text = format!("dcb pfc show dev {interface}\nprio-pfc");
    for priority in 0..8 {
        let state = if enabled >> priority & 1 == 1 { "on" } else { "off" };
        let _ = write!(text, " {priority}:{state}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NLMSG_ERROR: u8 = 2;

    /// An answer of a little-endian machine as the kernel builds it: the name, then ETS, PFC and the mode.
    fn answer(enabled: u8) -> Vec<u8> {
        let attribute = |kind: u16, value: &[u8]| {
            let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let mut pfc = vec![8, enabled, 0, 0, 0, 0, 0, 0];
        pfc.extend([0; 128]);
        let ieee = [attribute(1, &[7; 58]), attribute(DCB_ATTR_IEEE_PFC, &pfc)].concat();
        let mut message = [attribute(1, b"ens1f0np0\0"), attribute(DCB_ATTR_IEEE, &ieee)].concat();
        let mut headers = ((HEADERS + message.len()) as u32).to_ne_bytes().to_vec();
        headers.extend(RTM_GETDCB.to_ne_bytes());
        headers.extend([0; 10]);
        headers.extend([0, DCB_CMD_IEEE_GET, 0, 0]);
        headers.append(&mut message);
        headers
    }

    #[test]
    fn priorities_of_an_answer_are_printed_as_dcb_prints_them() {
        assert_eq!(enabled(&answer(0b1000)), Some(8));
        assert_eq!(
            printed("ens1f0np0", 8),
            "dcb pfc show dev ens1f0np0\nprio-pfc 0:off 1:off 2:off 3:on 4:off 5:off 6:off 7:off"
        );
    }

    #[test]
    fn answers_that_are_cut_or_errors_tell_nothing() {
        let whole = answer(8);
        for length in 0..whole.len() - 128 {
            let _ = enabled(&whole[..length]);
        }
        let mut error = whole.clone();
        error[4..6].copy_from_slice(&u16::from(NLMSG_ERROR).to_ne_bytes());
        assert_eq!((enabled(&error), enabled(&whole[..HEADERS]), enabled(&[])), (None, None, None));
        let mut endless = whole;
        endless[HEADERS..HEADERS + 2].copy_from_slice(&0u16.to_ne_bytes());
        assert_eq!(enabled(&endless), None);
    }

    /// The kernel answers for an interface without these settings, and for none, too: nothing waits.
    #[test]
    fn this_kernel_is_asked() {
        assert_eq!(pfc(["lo", "nvtopo-none"].into_iter()), None);
        let socket = open().unwrap();
        let kinds = ["lo", "nvtopo-none"].map(|name| ask(&socket, name).map(|answer| answer[4]));
        assert_eq!(kinds, [Some(NLMSG_ERROR); 2]);
    }
}
