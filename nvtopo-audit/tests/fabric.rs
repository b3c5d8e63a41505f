//! The checks of the NVLink fabric and what runs beside it, on made evidence.

use crate::baseline::{contents, machine, with};
use crate::machine::{HALVES, Machine, pci};
use crate::support::{
    self, data, finding, of, of_files, of_preset, of_text, of_texts, only_status, status, texts_since,
};
use nvtopo_audit::Report;
use nvtopo_audit::Status::{Fail, NotApplicable, Pass, Unknown, Warn};
use serde_json::{Value, json};

/// The tests whose verdicts count as cases of their checks.
pub(crate) const CASES: &[fn()] = &[
    the_fabric_manager_has_to_run_where_switches_are,
    recorded_buses_have_switches_as_their_authors_say,
    a_snapshot_tells_of_switches_and_processes,
    saved_states_of_the_service_tell_too,
    the_fabric_manager_is_of_the_drivers_version,
    without_nvswitches_the_version_of_a_fabric_manager_does_not_matter,
    the_domain_of_imex,
    the_domain_of_imex_as_json,
    a_rack_without_a_cluster_fails,
    registration_and_health_of_each_gpu_are_judged,
    nodes_get_the_verdicts_of_ocis_health_check,
    mig_and_labels_of_nvlink_groups,
    links_of_grace,
];

/// A machine with the management port of NVSwitches.
fn managed() -> Machine {
    let mut machine = Machine::new();
    machine.set(&pci(HALVES[0].nic, "vpd"), "ConnectX-7 SN=1 SMDL=SW_MNG");
    machine.link(&pci(HALVES[0].nic, "infiniband/mlx5_0/device"), "../..");
    machine.set("sys/module/ib_umad/initstate", "live");
    machine
}

#[test]
fn the_fabric_manager_has_to_run_where_switches_are() {
    let check = "fabric-manager-running";
    assert_eq!(only_status(&Machine::new().report(), check), NotApplicable);
    let mut machine = managed();
    // A container sees its own processes only.
    machine.set("proc/1/comm", "bash");
    assert_eq!(only_status(&machine.report(), check), Unknown);
    machine.set("proc/2/comm", "kthreadd");
    assert_eq!(only_status(&machine.report(), check), Fail);
    machine.set("proc/77/comm", "nv-fabricmanage");
    assert_eq!(only_status(&machine.report(), check), Pass);
    machine.remove("sys/module/ib_umad");
    assert_eq!(status(&machine.report(), check, "module ib_umad"), Fail);
}

#[test]
fn recorded_buses_have_switches_as_their_authors_say() {
    let check = "fabric-manager-running";
    let found = of_files(&["audit/gpud/lspci.nn.a100.txt"]);
    let text = "6 NVSwitches are on the PCI bus; the processes of the host cannot be seen";
    assert_eq!((only_status(&found, check), finding(&found, check, "node").text.as_str()), (Unknown, text));
    assert_eq!(only_status(&of_files(&["audit/gpud/lspci.nn.a10.txt"]), check), NotApplicable);
}

#[test]
fn a_snapshot_tells_of_switches_and_processes() {
    let mut machine = managed();
    machine.set("proc/2/comm", "kthreadd");
    let contents = machine.write().read_snapshot();
    let report = nvtopo_audit::Audit::of(&contents).run().unwrap();
    assert_eq!(only_status(&report, "fabric-manager-running"), Fail);
}

#[test]
fn saved_states_of_the_service_tell_too() {
    let check = "fabric-manager-running";
    let machine = managed();
    let show = |state: &str| {
        format!(
            "Id=sshd.service\nActiveState=active\n\nId=nvidia-fabricmanager.service\nActiveState={state}\n"
        )
    };
    for (text, expected) in [
        (show("active"), Pass),
        (show("failed"), Fail),
        (
            "● nvidia-fabricmanager.service - x\n     Loaded: loaded\n     Active: inactive (dead)\n"
                .to_owned(),
            Fail,
        ),
        ("    PID TTY  TIME CMD\n      2 ?  00:00:00 [kthreadd]\n".to_owned(), Fail),
        ("    PID TTY  TIME CMD\n   99 ?  00:00:00 /usr/bin/nv-fabricmanager -c x\n".to_owned(), Pass),
        ("    PID TTY  TIME CMD\n   99 ?  00:00:00 /usr/bin/vi nv-fabricmanager\n".to_owned(), Unknown),
        ("    PID TTY  TIME CMD\n   99 ?  00:00:00 watch pgrep -x nv-fabricmanager\n".to_owned(), Unknown),
        (
            "  PID                  STARTED COMMAND\n   99 Mon Nov 30 18:09:40 2026  \\_ nv-fabricmanager -c x\n".to_owned(),
            Pass,
        ),
    ] {
        assert_eq!(only_status(&machine.report_beside(&[("out.txt", &text)], ""), check), expected, "{text}");
    }
}

#[test]
fn the_fabric_manager_is_of_the_drivers_version() {
    let check = "fabric-manager-version";
    assert_eq!(only_status(&Machine::new().report(), check), NotApplicable);
    assert_eq!(only_status(&managed().report(), check), Unknown);
    // As the program prints it, its log, and the packages of Debian and of Red Hat.
    for (text, expected) in [
        ("\n\n\tFabric Manager version is : 570.124.06\n\n", Pass),
        ("\tFabric Manager version is : 570.133.20\n", Fail),
        (
            "[Jan 1 2025 00:00:01] [INFO] [tid 1] Fabric Manager version 570.133.20 is running\n\
          [Jan 2 2025 00:00:01] [INFO] [tid 1] Fabric Manager version 570.124.06 is running\n",
            Pass,
        ),
        ("ii  nvidia-fabricmanager-570   570.124.06-0ubuntu0.22.04.1  amd64  Fabric Manager\n", Pass),
        ("hi  nvidia-fabricmanager-570   570.124.06-0ubuntu0.22.04.1  amd64  Fabric Manager\n", Pass),
        ("ii  nvidia-fabricmanager-dev-570   570.133.20-1  amd64  headers\n", Unknown),
        ("nvidia-fabric-manager-570.133.20-1.x86_64\n", Fail),
        ("Fabric Manager version is :\n", Unknown),
    ] {
        assert_eq!(only_status(&managed().report_beside(&[("fm.txt", text)], ""), check), expected, "{text}");
    }
}

#[test]
fn without_nvswitches_the_version_of_a_fabric_manager_does_not_matter() {
    let check = "fabric-manager-version";
    // Made: a package that an image brings along.
    let of = |gpu: &str| {
        let list = format!("GPU 0: {gpu} (UUID: GPU-00000000-0000-0000-0000-000000000018)\n");
        let driver = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.124.06  Thu\n";
        let package = "ii  nvidia-fabricmanager-550  550.90.07-1  amd64  x\n";
        only_status(&of_texts(&[("L.txt", &list), ("version.txt", driver), ("dpkg.txt", package)], ""), check)
    };
    assert_eq!(of("NVIDIA L40S"), NotApplicable);
    assert_eq!(of("NVIDIA H100 80GB HBM3"), Unknown, "nothing tells whether it has NVSwitches");
}

/// The output of `nvidia-imex-ctl -N` for two nodes, made in the form that NVIDIA's tool prints.
fn imex(second: &str, cell: &str, state: &str) -> String {
    format!(
        "READY\nConnectivity Table Legend:\nI - Invalid - Node wasn't reachable, no connection status available\n\
         N - Never Connected\n!V! - Version mismatch, communication disabled.\n\
         !M! - Node map mismatch, communication disabled.\nC - Connected - Ready for operation\n\n\
         3/25/2025 10:42:08.082\nNodes:\nNode #0   - 10.0.0.1   - READY                - Version: 570.172\n\
         Node #1   - 10.0.0.2   - {second}                - Version: 570.172\n\n Nodes From\\To  0  1\n\
         \x20      0        C  {cell}\n       1        {cell}  C\nDomain State: {state}\n"
    )
}

#[test]
fn the_domain_of_imex() {
    let check = "imex-domain";
    let of = |text: &str| {
        let report = Machine::new().report_beside(&[("imex.txt", text)], "");
        let found = crate::support::findings(&report, check)[0].clone();
        (only_status(&report, check), found.text)
    };
    assert_eq!(of("").0, NotApplicable);
    assert_eq!(of(&imex("READY", "C", "UP")), (Pass, "the IMEX domain is UP".to_owned()));
    let (status, text) = of(&imex("UNAVAILABLE", "I", "DEGRADED"));
    assert_eq!((status, text.as_str()), (Warn, "the IMEX domain is DEGRADED; node 10.0.0.2 is UNAVAILABLE"));
    let (status, text) = of(&imex("READY", "!M!", "DOWN"));
    let expected = "the IMEX domain is DOWN; nodes refuse each other because their lists of nodes differ";
    assert_eq!((status, text.as_str()), (Fail, expected));
    // Of a domain that was watched, the last state counts.
    let watched = format!("{}{}", imex("UNAVAILABLE", "I", "DEGRADED"), imex("READY", "C", "UP"));
    assert_eq!(of(&watched).0, Pass);
    let none = "Failed to read node configuration file /etc/nvidia-imex/nodes_config.cfg\n";
    assert_eq!(of(none).0, Unknown);
}

#[test]
fn the_domain_of_imex_as_json() {
    let check = "imex-domain";
    let of = |text: &str| only_status(&Machine::new().report_beside(&[("imex.txt", text)], ""), check);
    // The form of `nvidia-imex-ctl -N -j -H`, among other lines.
    let json = |second: &str, state: &str| {
        format!(
            "$ nvidia-imex-ctl -N -j -H\n{{\"nodes\":{{\"1\":{{\"status\":\"{second}\",\"host\":\"10.0.0.2\",\"connections\":{{\"0\":\
             {{\"host\":\"10.0.0.1\",\"status\":\"INVALID\",\"changed\":false}}}},\"hostName\":\"N/A\"}},\"0\":{{\"status\":\"READY\",\
             \"host\":\"10.0.0.1\",\"connections\":{{}},\"hostName\":\"a\"}}}},\"timestamp\":\"9/4/2026 00:00:00.000\",\
             \"status\":\"{state}\"}}\n# uname\n"
        )
    };
    assert_eq!(of(&json("READY", "UP")), Pass);
    assert_eq!(of(&json("UNAVAILABLE", "DEGRADED")), Warn);
    assert_eq!(of(&json("UNAVAILABLE", "DOWN")), Fail);
    assert_eq!(of(&json("READY", "?")), Unknown);
    assert_eq!(of("{\"nodes\":[]}\n{\"nodes\": \"oops\", \"status\": \"UP\"}\n"), NotApplicable);
}

/// A GPU of `nvidia-smi -q`.
fn query(model: &str, mig: &str, fabric: &str) -> String {
    format!(
        "==============NVSMI LOG==============\n\nDriver Version                            : 570.124.06\n\nAttached GPUs                             : 1\n\
         GPU 00000000:19:00.0\n    Product Name                          : {model}\n    MIG Mode\n        Current                           : {mig}\n        \
         Pending                           : {mig}\n    GPU UUID                              : GPU-00000000-0000-0000-0000-000000000001\n{fabric}"
    )
}

const BLANK: &str = "    Fabric\n        State                             : Completed\n        Status                            : Success\n        \
                     CliqueId                          : 0\n        ClusterUUID                       : 00000000-0000-0000-0000-000000000000\n";

#[test]
fn a_rack_without_a_cluster_fails() {
    let check = "fabric-clique-consistent";
    let report = of_texts(&[("q.txt", &query("NVIDIA GB200", "N/A", BLANK))], "");
    assert_eq!(status(&report, check, "GPU0"), Fail);
    let report = of_texts(&[("q.txt", &query("NVIDIA B200", "N/A", BLANK))], "");
    assert_eq!(only_status(&report, check), NotApplicable);
    let named = BLANK.replace("UUID                       : 0", "UUID                       : 7");
    let report = of_texts(&[("q.txt", &query("NVIDIA GB200", "N/A", &named))], "");
    assert_eq!(only_status(&report, check), Pass);
    assert_eq!(only_status(&report, "imex-domain"), Unknown);
}

fn of_machine(document: &Value) -> Report {
    of(&contents("fabric", document))
}

/// The report of a made DGX H100 whose first GPU tells this of its fabric, and the others that all is well.
fn registered(first: &Value) -> Report {
    let good = json!({ "state": "completed", "status": 0, "cluster": "c", "clique": 1, "health_summary": 1 });
    let document = (0..8).fold(machine(), |document, number| {
        let own = if number == 0 { first } else { &good };
        with(document, "gpu", number, |gpu| gpu["fabric"] = own.clone())
    });
    of_machine(&document)
}

#[test]
fn registration_and_health_of_each_gpu_are_judged() {
    let state = |state: &str, status: Option<u32>| {
        let report = registered(&json!({ "state": state, "status": status, "cluster": "c", "clique": 1 }));
        support::status(&report, "fabric-state", "GPU0")
    };
    assert_eq!(state("completed", Some(0)), Pass);
    assert_eq!(state("in-progress", None), Warn);
    assert_eq!(state("not-started", None), Fail);
    assert_eq!(state("completed", Some(999)), Fail);
    assert_eq!(state("completed", None), Unknown, "the status is not told");
    assert_eq!(state("unknown", None), Unknown);
    let health = |own: Value| support::status(&registered(&own), "fabric-health", "GPU0");
    let with_mask = |mask: u32| json!({ "state": "completed", "status": 0, "health": mask });
    assert_eq!(health(json!({ "state": "completed", "status": 0, "health_summary": 1 })), Pass);
    assert_eq!(health(with_mask(0b10)), Pass, "bandwidth is not degraded");
    assert_eq!(health(with_mask(0b01)), Fail, "bandwidth is degraded");
    assert_eq!(health(with_mask(0b01_00)), Warn, "a route is being recovered");
    assert_eq!(health(json!({ "state": "unknown" })), Unknown);
    assert_eq!(health(with_mask(0)), NotApplicable, "no fault is supported");
    assert_eq!(health(json!({ "state": "completed", "status": 0, "health_summary": 0 })), NotApplicable);
    // One GPU is in another clique, or does not tell its own.
    let check = "fabric-clique-consistent";
    let other = json!({ "state": "completed", "status": 0, "cluster": "c", "clique": 2 });
    assert_eq!(only_status(&registered(&other), check), Fail);
    assert_eq!(only_status(&registered(&Value::Null), check), Unknown);
    let blank = json!({ "state": "completed", "status": 0, "clique": 1 });
    assert_eq!(only_status(&registered(&blank), check), Unknown, "its UUID is all zeros");
    assert_eq!(only_status(&registered(&json!({ "state": "in-progress" })), check), Unknown);
}

/// The verdicts of `check_gpu_setup.py` of oci-hpc, as that program gives them on these texts (which are made).
#[test]
fn nodes_get_the_verdicts_of_ocis_health_check() {
    let fabric = |state: &str, status: &str| {
        let text = format!("    Fabric\n        State : {state}\n        Status : {status}\n");
        let files = [
            ("q.txt", query("NVIDIA H100 80GB HBM3", "Disabled", &text)),
            ("proc/uptime", "4000.00 1.00".to_owned()),
            ("sys/devices/system/cpu/online", "0".to_owned()),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        only_status(&of_texts(&files, ""), "fabric-state")
    };
    assert_eq!(fabric("Completed", "Success"), Pass);
    assert_eq!(fabric("Completed", "Insufficient Resources"), Fail);
    assert_eq!(fabric("In Progress", "N/A"), Fail);
    let links = |rate: &str, last: &str| {
        let ports: Vec<String> = (0..17).map(|port| format!("\t Link {port}: {rate}\n")).collect();
        let ports = ports.concat();
        let text = format!(
            "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n{ports}\t Link 17: {last}\n"
        );
        let report = of_text(&text);
        ["nvlink-links-active", "nvlink-speed"].map(|check| only_status(&report, check)).into_iter().max()
    };
    assert_eq!(links("26.562 GB/s", "26.562 GB/s"), Some(Pass));
    assert_eq!(links("25 GB/s", "25 GB/s"), Some(Pass));
    assert_eq!(links("26.562 GB/s", "13.281 GB/s"), Some(Fail));
    assert_eq!(links("26.562 GB/s", "<inactive>"), Some(Fail));
}

#[test]
fn mig_and_labels_of_nvlink_groups() {
    let check = "mig-vs-nvlink";
    let node = |groups: &str| {
        format!("kind: Node\nmetadata:\n  name: a\n  labels: {{nvtopo.io/nvlink.group: '{groups}'}}\n")
    };
    let of = |mig: &str, label: Option<&str>| {
        let (query, label) = (query("NVIDIA H100 80GB HBM3", mig, ""), label.map(node));
        let mut texts = vec![("q.txt", query.as_str())];
        texts.extend(label.as_ref().map(|text| ("node.yaml", text.as_str())));
        only_status(&of_texts(&texts, ""), check)
    };
    assert_eq!(of("Disabled", Some("8")), Pass);
    assert_eq!(of("Enabled", Some("8")), Fail);
    assert_eq!(of("Enabled", Some("none")), Pass);
    assert_eq!(of("Enabled", None), NotApplicable);
    assert_eq!(of("N/A", Some("8")), NotApplicable);
    let mode = json!({ "current": true, "pending": true });
    let divided = with(machine(), "gpu", 0, |gpu| gpu["mig"] = mode.clone());
    assert_eq!(
        support::status(&of_machine(&divided), check, "GPU0"),
        Unknown,
        "it has NVLinks, and no labels are saved"
    );
    // What comes with the next reset excuses nothing.
    let leaves = |label: Option<&str>| {
        let query = query("NVIDIA H100 80GB HBM3", "Enabled", "").replacen(
            "Pending                           : Enabled",
            "Pending                           : Disabled",
            1,
        );
        let label = label.map(node);
        let mut texts = vec![("q.txt", query.as_str())];
        texts.extend(label.as_ref().map(|text| ("node.yaml", text.as_str())));
        let report = of_texts(&texts, "");
        let found = finding(&report, check, "GPU0");
        (found.status, found.text.clone())
    };
    let (found, text) = leaves(Some("8"));
    let expected =
        "MIG is on, and the node's label nvtopo.io/nvlink.group says 8; it is off after the next reset";
    assert_eq!((found, text.as_str()), (Fail, expected));
    assert_eq!(leaves(Some("none")).0, Warn);
    let pending = query("NVIDIA H100 80GB HBM3", "Disabled", "").replacen(
        "Pending                           : Disabled",
        "Pending                           : Enabled",
        1,
    );
    assert_eq!(only_status(&of_texts(&[("q.txt", &pending)], ""), check), Warn);
}

#[test]
fn links_of_grace() {
    let check = "c2c-links";
    let recorded = "audit/virtualclient/nvidia-smi.c2c.gh200.txt";
    assert_eq!(finding(&of_files(&[recorded]), check, "GPU0").text, "all 10 C2C links are up");
    let text = std::fs::read_to_string(data(recorded)).unwrap();
    let down = text.replacen("44.712 GB/s", "<inactive>", 1);
    let report = of_text(&down);
    assert_eq!(finding(&report, check, "GPU0").text, "9 of 10 C2C links are up; down: link 0");
    assert_eq!(status(&report, check, "GPU0"), Fail);
    assert_eq!(only_status(&of_text(&text.replacen("44.712 GB/s", "N/A", 1)), check), Unknown);
    assert_eq!(only_status(&of_preset("dgx-h100"), check), NotApplicable);
    assert_eq!(only_status(&of_preset("gb200-nvl72-tray"), check), Unknown);
    // Counters of errors are no links, and are judged by their growth.
    let with = |replays: u32| {
        format!(
            "{text}$ nvidia-smi c2c -e\nGPU 0: NVIDIA GH200 480GB (UUID: GPU-00000000-0000-0000-0000-000000000000)\n\
                 \t C2C Link 3: Error Replay Count: {replays}\n"
        )
    };
    let report = texts_since(&with(9), &with(7));
    let expected = "all 10 C2C links are up, and Error Replay Count of link 3 grew by 2";
    assert_eq!(
        (status(&report, check, "GPU0"), finding(&report, check, "GPU0").text.as_str()),
        (Warn, expected)
    );
    assert_eq!(only_status(&texts_since(&with(9), &with(9)), check), Pass);
    assert_eq!(only_status(&of_preset("dgx-h100"), check), NotApplicable);
}
