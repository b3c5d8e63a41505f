//! The checks of security, on a made machine.

use crate::machine::Machine;
use crate::support::{only_status, status};
use nvtopo_audit::Status::{Fail, NotApplicable, Pass, Unknown, Warn};

/// The tests whose verdicts count as cases of their checks.
pub(crate) const CASES: &[fn()] =
    &[containers_do_not_take_gpus_by_environment, modules_are_signed, the_driver_has_no_overrides];

const CONFIG: &str = "etc/nvidia-container-runtime/config.toml";

#[test]
fn containers_do_not_take_gpus_by_environment() {
    let check = "gpu-env-bypass";
    let mut machine = Machine::new();
    assert_eq!(only_status(&machine.report(), check), Unknown, "nothing is told of /etc");
    assert_eq!(only_status(&machine.report_expecting("tenants = true"), check), Unknown);
    assert_eq!(only_status(&machine.report_expecting("tenants = false"), check), NotApplicable);
    let other = machine.with("etc/hostname", "a");
    assert_eq!(only_status(&other.report(), check), NotApplicable, "there is no toolkit");
    machine.set(CONFIG, "disable-require = false\n[nvidia-container-cli]\nenvironment = []");
    assert_eq!(only_status(&machine.report(), check), Warn);
    assert_eq!(only_status(&machine.report_expecting("tenants = true"), check), Fail);
    assert_eq!(only_status(&machine.report_expecting("tenants = false"), check), NotApplicable);
    machine.set(CONFIG, "accept-nvidia-visible-devices-envvar-when-unprivileged = false");
    assert_eq!(only_status(&machine.report_expecting("tenants = true"), check), Pass);
    machine.set(CONFIG, "[");
    assert_eq!(only_status(&machine.report(), check), Unknown);
}

#[test]
fn modules_are_signed() {
    let (check, wanted) = ("module-signed", "signed-modules = true");
    let mut machine = Machine::new();
    for module in ["ib_core", "mlx5_core", "nvidia"] {
        machine.set(&format!("sys/module/{module}/taint"), "");
    }
    assert_eq!(only_status(&machine.report(), check), Pass);
    machine.set("sys/module/nvidia/taint", "OE");
    assert_eq!(status(&machine.report(), check, "module nvidia"), Warn);
    let report = machine.report_expecting(wanted);
    assert_eq!((status(&report, check, "module nvidia"), status(&report, check, "node")), (Fail, Unknown));
    machine.set("sys/kernel/security/lockdown", "[none] integrity confidentiality");
    assert_eq!(status(&machine.report_expecting(wanted), check, "node"), Warn);
    machine.bytes(
        "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
        vec![6, 0, 0, 0, 1],
    );
    assert_eq!(status(&machine.report_expecting(wanted), check, "secure boot"), Pass);
}

#[test]
fn the_driver_has_no_overrides() {
    let check = "driver-params";
    let mut machine = Machine::new();
    let path = "proc/driver/nvidia/params";
    machine.set(path, "ResmanDebugLevel: 4294967295\nRegistryDwords: \"\"\nRegistryDwordsPerDevice: \"\"");
    assert_eq!(only_status(&machine.report(), check), Pass);
    machine.set(path, "RegistryDwords: \"PeerMappingOverride=1;\"");
    assert_eq!(only_status(&machine.report(), check), Warn);
    machine.set(path, "x");
    assert_eq!(only_status(&machine.report(), check), Unknown);
}
