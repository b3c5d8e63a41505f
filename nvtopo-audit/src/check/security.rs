//! The isolation of GPUs from pods that have not asked for them, and modules and options of the driver.

use super::{Check, Theme};
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Status, Verdicts};
use crate::reading::host::has_module;
use nvtopo::model::Stated;

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "gpu-env-bypass",
        theme: Theme::Security,
        severity: Severity::Critical,
        claim: "A container without privileges cannot take GPUs by an environment variable.",
        evidence: "accept-nvidia-visible-devices-envvar-when-unprivileged in the config.toml of NVIDIA's container toolkit.",
        rule: "Passes where it is false. Fails where it is true or missing, which means true, and the profile says that \
               tenants share the node; warns where the profile does not say so. Does not apply where it says that none do, \
               or where there is no toolkit.",
        remedy: "Set it to false, and let the device plugin list devices by volume mounts or CDI.",
        source: "NVIDIA container toolkit, internal/config; NVIDIA device plugin, deviceListStrategy",
        run: environment,
    },
    Check {
        code: "module-signed",
        theme: Theme::Security,
        severity: Severity::Warning,
        claim: "The kernel modules of GPUs and network adapters are signed.",
        evidence: "/sys/module/*/taint, /sys/kernel/security/lockdown, and the firmware's variable SecureBoot.",
        rule: "Warns for an unsigned module (E), fails where the profile wants signed-modules. Then it warns, too, where the \
               kernel enforces nothing (lockdown none) or secure boot is off. O and P alone (out of tree, proprietary) are \
               normal.",
        remedy: "Sign the modules (DKMS with a machine owner key), and switch secure boot on.",
        source: "tainted-kernels.rst and sysfs-module of Linux's documentation; kernel_lockdown(7)",
        run: signed,
    },
    Check {
        code: "driver-params",
        theme: Theme::Security,
        severity: Severity::Warning,
        claim: "Nobody overrides the driver's defaults by registry keys.",
        evidence: "RegistryDwords and RegistryDwordsPerDevice in /proc/driver/nvidia/params.",
        rule: "Warns where they are not empty: keys force peer mappings, BAR1 modes and the like.",
        remedy: "Take NVreg_RegistryDwords out of the module's options in /etc/modprobe.d, or write down why it is there.",
        source: "NVIDIA open-gpu-kernel-modules, nv-reg.h and nv-procfs.c",
        run: params,
    },
];

/// Where the configuration of the container toolkit is: of packages, and of the GPU operator.
const TOOLKIT: &[&str] = &[
    "etc/nvidia-container-runtime/config.toml",
    "usr/local/nvidia/toolkit/.config/nvidia-container-runtime/config.toml",
];

const ENVIRONMENT: &str = "accept-nvidia-visible-devices-envvar-when-unprivileged";
const MOUNTS: &str = "accept-nvidia-visible-devices-as-volume-mounts";

fn environment(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let mut files = Vec::new();
    let mut refused = false;
    for path in TOOLKIT {
        match evidence.text(path) {
            Stated::Known(text) => files.push(((*path).to_owned(), text)),
            Stated::Unreadable => refused = true,
            _ => {}
        }
    }
    let is_toolkit = |text: &str| text.contains("[nvidia-container-cli]") || text.contains(ENVIRONMENT);
    let saved = evidence.texts().filter(|saved| is_toolkit(&saved.text));
    files.extend(saved.map(|saved| (saved.name.clone(), saved.text.clone())));
    if files.is_empty() {
        if refused {
            verdicts.unknown(NODE, "the configuration of NVIDIA's container toolkit cannot be read");
        } else if evidence.profile.expect.tenants == Some(false) {
            verdicts.not_applicable(NODE, "no tenants share the node");
        } else if !evidence.has_files() || evidence.names("etc").is_empty() {
            verdicts.unknown(NODE, "no source holds the configuration of NVIDIA's container toolkit");
        } else if evidence.profile.expect.kubernetes == Some(true) {
            verdicts.unknown(
                NODE,
                "NVIDIA's container toolkit has no configuration where packages and operator put it",
            );
        } else {
            verdicts.not_applicable(NODE, "there is no configuration of NVIDIA's container toolkit");
        }
        return;
    }
    for (name, text) in files {
        let Ok(table) = text.parse::<toml::Table>() else {
            verdicts.unknown(name, "it is no TOML");
            continue;
        };
        let is_on = |key: &str| table.get(key).and_then(toml::Value::as_bool);
        let told = match is_on(ENVIRONMENT) {
            Some(false) => {
                let text =
                    if is_on(MOUNTS) == Some(true) { ", and devices come by volume mounts" } else { "" };
                verdicts.pass(name, format!("containers without privileges cannot name GPUs{text}"));
                continue;
            }
            Some(true) => "is true",
            None => "is missing, which means true",
        };
        let text = format!("{ENVIRONMENT} {told}");
        match evidence.profile.expect.tenants {
            Some(false) => verdicts.not_applicable(name, format!("{text}, and no tenants share the node")),
            Some(true) => verdicts.fail(name, format!("{text}, and tenants share the node")),
            None => verdicts.warn(name, text),
        }
    }
}

/// The modules of GPUs, of `GPUDirect`, and of RDMA adapters.
const MODULES: &[&str] = &[
    "nvidia",
    "nvidia_uvm",
    "nvidia_modeset",
    "nvidia_peermem",
    "nvidia_fs",
    "gdrdrv",
    "mlx5_core",
    "mlx5_ib",
    "ib_core",
    "ib_uverbs",
];

/// The firmware's variable: four bytes of attributes, then 1 where it is on.
const SECURE_BOOT: &str = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

fn signed(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let is_wanted = evidence.profile.expect.signed_modules == Some(true);
    let loaded = evidence.names("sys/module");
    let lockdown = evidence.text("sys/kernel/security/lockdown");
    let secure = evidence.bytes(SECURE_BOOT, 4, 1);
    if loaded.is_empty() {
        return verdicts.unknown(NODE, "no source tells the loaded kernel modules");
    }
    for module in MODULES.iter().filter(|name| loaded.iter().any(|own| own == *name)) {
        let subject = format!("module {module}");
        match evidence.text(&format!("sys/module/{module}/taint")) {
            Stated::Known(taint) if taint.contains('E') => {
                let status = if is_wanted { Status::Fail } else { Status::Warn };
                verdicts.add(status, subject, format!("it is not signed (taint {taint})"));
            }
            Stated::Known(taint) if taint.is_empty() => {
                verdicts.pass(subject, "it is signed and of the kernel");
            }
            Stated::Known(taint) => verdicts.pass(subject, format!("it is signed (taint {taint})")),
            // The kernel tells the taint of modules that are loaded, not of those that are built in.
            Stated::NotAvailable if !evidence.names(&format!("sys/module/{module}")).is_empty() => {
                verdicts.pass(subject, "it is built into the kernel");
            }
            _ => verdicts.unknown(subject, "whether it is signed cannot be read"),
        }
    }
    if !is_wanted {
        return verdicts.otherwise_not_applicable("no kernel module of GPUs and network adapters is loaded");
    }
    match &lockdown {
        Stated::Known(text) if text.contains("[none]") => {
            verdicts.warn(NODE, "the kernel would load unsigned modules (lockdown is none)");
        }
        Stated::Known(text) => verdicts.pass(NODE, format!("lockdown is {text}")),
        _ => verdicts.unknown(NODE, "whether the kernel enforces signatures cannot be read"),
    }
    match secure {
        Stated::Known(bytes) if bytes == [1] => verdicts.pass("secure boot", "it is on"),
        Stated::Known(bytes) if bytes == [0] => verdicts.warn("secure boot", "it is off"),
        _ => verdicts.unknown("secure boot", "the firmware's variable cannot be read"),
    }
}

fn params(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let text = match evidence.text("proc/driver/nvidia/params") {
        Stated::Known(text) => text,
        Stated::Unreadable => {
            verdicts.unknown(NODE, "/proc/driver/nvidia/params cannot be read");
            return;
        }
        _ if has_module(evidence, "nvidia") == Some(false) => {
            return verdicts.not_applicable(NODE, "NVIDIA's driver is not loaded");
        }
        _ => return verdicts.unknown(NODE, "no source tells the options of the driver"),
    };
    let mut is_told = false;
    for key in ["RegistryDwords", "RegistryDwordsPerDevice"] {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let Some(value) = value.map(|value| value.trim().trim_matches('"')) else { continue };
        is_told = true;
        if value.is_empty() {
            verdicts.pass(key, "it is empty");
        } else {
            verdicts.warn(key, format!("the driver's defaults are overridden: {}", nvtopo::printable(value)));
        }
    }
    if !is_told {
        verdicts.unknown(NODE, "/proc/driver/nvidia/params tells no registry keys");
    }
}
