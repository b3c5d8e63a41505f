//! The checks of the NVLink fabric and what runs beside it, on made evidence.

use crate::beside::{beside, of_texts};
use crate::machine::{HALVES, Machine, pci};
use crate::support::{finding, of_preset, only_status, status};
use nvtopo_audit::Status::{Fail, NotApplicable, Pass, Unknown, Warn};

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
    ] {
        assert_eq!(only_status(&beside(&machine, &[("out.txt", &text)], ""), check), expected, "{text}");
    }
}

#[test]
fn the_fabric_manager_is_of_the_drivers_version() {
    let check = "fabric-manager-version";
    assert_eq!(only_status(&Machine::new().report(), check), NotApplicable);
    assert_eq!(only_status(&managed().report(), check), Unknown);
    for (version, expected) in [("570.124.06", Pass), ("570.133.20", Fail)] {
        let text = format!("Fabric Manager version is : {version}\n");
        assert_eq!(only_status(&beside(&managed(), &[("fm.txt", &text)], ""), check), expected);
    }
}

#[test]
fn the_domain_of_imex() {
    let of = |text: &str| only_status(&beside(&Machine::new(), &[("imex.txt", text)], ""), "imex-domain");
    assert_eq!(of(""), NotApplicable);
    assert_eq!(of("{\"nodes\":{\"0\":{\"status\":\"READY\"}},\n\"status\":\"UP\"}"), Pass);
    assert_eq!(of("Nodes:\nDomain State: DEGRADED\n"), Warn);
    assert_eq!(of("{\"nodes\":{},\"status\":\"DOWN\"}"), Fail);
    assert_eq!(of("{\"nodes\":{},\"status\":\"?\"}"), Unknown);
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
    let report = of_texts("rack", &[("q.txt", &query("NVIDIA GB200", "N/A", BLANK))], "");
    assert_eq!(status(&report, check, "GPU0"), Fail);
    let report = of_texts("board", &[("q.txt", &query("NVIDIA B200", "N/A", BLANK))], "");
    assert_eq!(only_status(&report, check), NotApplicable);
    let named = BLANK.replace("UUID                       : 0", "UUID                       : 7");
    let report = of_texts("named", &[("q.txt", &query("NVIDIA GB200", "N/A", &named))], "");
    assert_eq!(only_status(&report, check), Pass);
    assert_eq!(only_status(&report, "imex-domain"), Unknown);
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
        only_status(&of_texts(&format!("mig-{mig}-{}", texts.len()), &texts, ""), check)
    };
    assert_eq!(of("Disabled", Some("8")), Pass);
    assert_eq!(of("Enabled", Some("8")), Fail);
    assert_eq!(of("Enabled", Some("none")), Pass);
    assert_eq!(of("Enabled", None), NotApplicable);
    assert_eq!(of("N/A", Some("8")), NotApplicable);
    let pending = query("NVIDIA H100 80GB HBM3", "Disabled", "").replacen(
        "Pending                           : Disabled",
        "Pending                           : Enabled",
        1,
    );
    assert_eq!(only_status(&of_texts("mig-pending", &[("q.txt", &pending)], ""), check), Warn);
}

#[test]
fn links_of_grace() {
    let check = "c2c-links";
    let text = |last: &str| {
        format!(
            "GPU 0: NVIDIA GH200 480GB (UUID: GPU-00000000-0000-0000-0000-000000000001)\n\t C2C Link 0: 44.712 GB/s\n\t C2C Link 1: {last}\n"
        )
    };
    assert_eq!(only_status(&of_texts("c2c-good", &[("c2c.txt", &text("44.712 GB/s"))], ""), check), Pass);
    let report = of_texts("c2c-bad", &[("c2c.txt", &text("<inactive>"))], "");
    assert_eq!(finding(&report, check, "GPU0").text, "1 of 2 C2C links are up; down: link 1");
    assert_eq!(only_status(&of_preset("dgx-h100"), check), NotApplicable);
    assert_eq!(only_status(&of_preset("gb200-nvl72-tray"), check), Unknown);
}
