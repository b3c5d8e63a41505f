//! Evidence of other kinds: snapshots, and damaged texts.

use crate::machine::Machine;
use crate::support::{Folder, audit, finding};
use nvtopo::source::{Contents, Locator, Redaction, Snapshot};
use nvtopo_audit::Status::{Fail, Pass, Warn};
use nvtopo_audit::{Report, record};
use std::path::PathBuf;

const COUNTERS: [(&str, u64); 6] = [
    ("link_downed", 1),
    ("symbol_error", 5),
    ("out_of_sequence", 7),
    ("np_cnp_sent", 9),
    ("out_of_buffer", 2),
    ("port_rcv_packets", 5000),
];

fn machine(seconds: u32, more: u64) -> Machine {
    let counters = COUNTERS.map(|(name, value)| (name, value + more));
    Machine::bare(seconds)
        .roce("mlx5_0", "eth0")
        .roce("mlx5_1", "eth1")
        .counters("mlx5_0", &counters)
        .with("sys/class/net/eth0/qos/trust", "pcp")
        .with("sys/class/infiniband_verbs/abi_version", "6")
        .with("sys/class/infiniband_verbs/uverbs0/ibdev", "mlx5_0")
}

fn verdicts(report: &Report, leave_out: &[&str]) -> Vec<String> {
    let own = report.findings().iter().filter(|own| {
        ["rdma", "mtu", "roce"].contains(&own.check.theme.word()) && !leave_out.contains(&own.check.code)
    });
    own.map(|own| format!("{} {} {}: {}", own.status, own.check.code, own.subject, own.text)).collect()
}

/// A file that is removed at the end.
struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn snapshot(name: &str, made: &Machine, redaction: Redaction) -> (File, Contents) {
    let written = made.write();
    let path = std::env::temp_dir().join(format!("nvtopo-audit-{}-{name}.tar.gz", std::process::id()));
    let taken = Snapshot::take_with(&Locator::Path(written.0.clone()), redaction, record).unwrap();
    taken.write(&path).unwrap();
    let contents = Contents::open(&[Locator::Path(path.clone())]).unwrap();
    (File(path), contents)
}

#[test]
fn two_snapshots_give_the_verdicts_of_two_trees() {
    let (before, after) = (machine(50, 0), machine(60, 100));
    let of_trees = verdicts(&after.report_since(&before), &[]);
    let of = |redaction| {
        let (_first, then) = snapshot("then", &before, redaction);
        let (_second, now) = snapshot("now", &after, redaction);
        audit(&now, Some(&then), "")
    };
    assert_eq!(verdicts(&of(Redaction::None), &[]), of_trees);
    assert!(of_trees.iter().any(|own| own.starts_with("fail rdma-phy mlx5_0 port 1")), "{of_trees:#?}");
    // Addresses are left out of a redacted snapshot, and all else stays.
    let gids = ["rocev2-gid"];
    assert_eq!(verdicts(&of(Redaction::Identifiers), &gids), verdicts(&after.report_since(&before), &gids));
    let redacted = of(Redaction::Identifiers);
    let of_gids: Vec<_> = redacted.findings().iter().filter(|own| own.check.code == "rocev2-gid").collect();
    assert!(of_gids.iter().all(|own| own.status == nvtopo_audit::Status::Unknown), "{of_gids:#?}");
}

/// Writes a snapshot (made) in which the driver counts the replays and recoveries of a link.
fn counted(name: &str, replays: u64, recoveries: u64) -> (File, Contents) {
    let driver = format!(
        "{{\"seen\":{{\"gpus\":[{{\"index\":0,\"model\":\"NVIDIA H100 80GB HBM3\"}}],\"counters\":[{{\"gpu\":0,\"link\":4,\
         \"replays\":{replays},\"recoveries\":{recoveries}}}]}}}}"
    );
    let head =
        "{\"format\":\"nvtopo-snapshot\",\"version\":1,\"nvtopo\":\"0\",\"redacted\":false,\"own\":false}";
    let files = [
        ("nvtopo/snapshot.json", head),
        ("nvtopo/nvml.json", driver.as_str()),
        ("sys/devices/system/cpu/cpu0/topology/core_id", "0\n"),
        ("sys/devices/system/cpu/online", "0\n"),
    ];
    let mut archive =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o444);
        archive.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    let path = std::env::temp_dir().join(format!("nvtopo-audit-{}-{name}.tar.gz", std::process::id()));
    std::fs::write(&path, archive.into_inner().unwrap().finish().unwrap()).unwrap();
    let contents = Contents::open(&[Locator::Path(path.clone())]).unwrap();
    (File(path), contents)
}

#[test]
fn counters_of_nvlinks_are_compared_between_snapshots() {
    let (_before, then) = counted("links-then", 5, 0);
    let verdict = |name: &str, replays, recoveries| {
        let (_file, now) = counted(name, replays, recoveries);
        let report = audit(&now, Some(&then), "");
        let found = finding(&report, "nvlink-errors", "GPU0");
        (found.status, found.text.clone())
    };
    assert_eq!(verdict("links-rest", 5, 0), (Pass, "no error counter grew of 1 NVLink".to_owned()));
    assert_eq!(verdict("links-replay", 6, 0), (Warn, "counters grew: replays of link 4 by 1".to_owned()));
    assert_eq!(verdict("links-fail", 5, 1), (Fail, "counters grew: recoveries of link 4 by 1".to_owned()));
}

/// Texts that tools print, one after the other.
const TEXT: &str = "# ibstat\nCA 'mlx5_0'\n\tCA type: MT4129\n\tPort 1:\n\t\tState: Active\n\t\tPhysical state: LinkUp\n\t\tRate: 400\n\
    \t\tLink layer: Ethernet\nhca_id:\tmlx5_1\n\tport:\t1\n\t\tstate:\t\tPORT_ACTIVE (4)\n\t\tactive_mtu:\t4096 (5)\n\
    link mlx5_0/1 state ACTIVE physical_state LINK_UP netdev eth0\n\
    mlx5_0  1  3  fd00:0000:0000:0000:0000:0000:0000:0001  v2  eth0\nn_gids_found=1\n\
    # mlnx_qos -i eth0\nPriority trust state: dscp\nprio:3 dscp:31,30,\n\tenabled 0 0 0 1 0 0 0 0\n\
    # dcb pfc show dev eth0\nprio-pfc 0:off 1:off 2:off 3:on 4:off 5:off 6:off 7:off\n\
    # ip link\n2: eth0: <UP> mtu 9000 qdisc mq\n3: vx@eth0: <UP> mtu 8950\n    vxlan id 1 dev eth0\n\
    # rdma resource show qp\nlink mlx5_0/1 lqpn 7 type RC state RTS pid 42 comm python\n\
    # ethtool -S eth0\nNIC statistics:\n     rx_prio3_pause: 18446744073709551615\n     tx_prio3_pause_duration: 3\n\
    # nvidia-smi nvlink -e\nGPU 0: NVIDIA B200 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n\t Link 0: Rx Errors: 1\n";

#[test]
fn damaged_texts_break_nothing() {
    let places: Vec<usize> = TEXT.char_indices().map(|(at, _)| at).collect();
    let whole = Folder::of("damage-whole", &[("a.txt", TEXT)]).read();
    let mut read = 0;
    for (round, at) in places.iter().step_by(5).enumerate() {
        let word = ["", ":", "-1", "99999999999999999999", "\u{e9}", "\n", " "][round % 7];
        let cut = round % 3 == 0;
        let text = format!("{}{word}{}", &TEXT[..*at], if cut { "" } else { &TEXT[at + 1..] });
        let folder = Folder::of("damage", &[("a.txt", &text)]);
        // Some damage is an error of the readers of topologies.
        let Ok(contents) = Contents::open(&[Locator::Path(folder.path().to_owned())]) else { continue };
        read += 1;
        audit(&contents, Some(&whole), "");
        audit(&whole, Some(&contents), "");
    }
    assert!(read > places.len() / 10, "{read} of {}", places.len() / 5);
}
