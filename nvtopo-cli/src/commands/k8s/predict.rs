//! `nvtopo k8s kubelet predict`: what the kubelet does with a pod, or with a mix of pods.

use super::super::open;
use crate::args::{CpuManager, PluginKind, PredictArgs};
use nvtopo::source::read_text;
use nvtopo::{Error, Result};
use nvtopo_k8s::kubelet::predict::{Plugin, Pod, Settings, Setup};

pub(super) fn predict(args: &PredictArgs) -> Result<String> {
    let setup = setup(args)?;
    let report = match (&args.pod, &args.mix) {
        (Some(file), _) => {
            let pod = Pod::from_yaml(&file.display().to_string(), &read_text(file)?)?;
            let report = setup.report(&open(&args.source)?, &pod)?;
            if args.json.json { report.to_json() } else { report.to_text() }
        }
        (None, Some(mix)) => {
            let report = setup.mix(&open(&args.source)?, mix, args.mix_cpus.unwrap_or(0), args.states)?;
            if args.json.json { report.to_json() } else { report.to_text() }
        }
        (None, None) => return Err(Error::wrong_use("there is nothing to predict", "give --pod or --mix")),
    };
    Ok(report)
}

/// The kubelet that the options describe.
fn setup(args: &PredictArgs) -> Result<Setup> {
    let setup = match &args.config {
        Some(file) => Setup::from_config(&file.display().to_string(), &read_text(file)?)?,
        None => Setup::new(settings(args)?),
    };
    let mut setup = setup
        .version(args.version)
        .plugin(match args.plugin {
            PluginKind::Linked => Plugin::Linked,
            PluginKind::Silent => Plugin::Silent,
        })
        .policy(args.topology_manager_policy)
        .scope(args.topology_manager_scope)
        .taken(args.taken.clone().unwrap_or_default());
    for text in &args.devices {
        let (name, devices) = text.split_once('=').ok_or_else(|| {
            Error::wrong_use(format!("'{text}' names no devices"), "give such as rdma/hca=nics")
        })?;
        setup = setup.devices(name.trim(), devices)?;
    }
    for file in &args.state {
        setup = setup.checkpoint(&file.display().to_string(), &read_text(file)?)?;
    }
    Ok(setup)
}

fn settings(args: &PredictArgs) -> Result<Settings> {
    let options = Settings::cpu_options(&args.cpu_manager_policy_options)?;
    let cpus = match args.cpu_manager_policy {
        CpuManager::Static => Some(options),
        CpuManager::None if args.cpu_manager_policy_options.is_empty() => None,
        CpuManager::None => {
            return Err(Error::wrong_use(
                "the CPU manager none has no options",
                "leave out --cpu-manager-policy-options",
            ));
        }
    };
    let mut settings = Settings::default()
        .cpu_manager(cpus)
        .reserved_cpus(args.reserved_cpus.clone().unwrap_or_default())
        .topology_options(&args.topology_manager_policy_options)?;
    for text in &args.reserved_memory {
        settings = settings.reserve_memory(text)?;
    }
    Ok(settings)
}
