//! `nvtopo k8s kubelet predict`: what the kubelet does with a pod, or with a mix of pods.

use super::super::open;
use super::text_of;
use crate::args::{CpuManager, PluginKind, PredictArgs};
use nvtopo::{Error, Result};
use nvtopo_k8s::kubelet::predict::{Configured, Plugin, Pod, Predictor, Settings};

pub(super) fn predict(args: &PredictArgs) -> Result<String> {
    let (mut policy, mut scope) = (args.topology_manager_policy, args.topology_manager_scope);
    let settings = match &args.config {
        Some(file) => {
            let configured = Configured::from_yaml(&file.display().to_string(), &text_of(file)?)?;
            policy = policy.or(Some(configured.policy));
            scope = scope.or(Some(configured.scope));
            more(args, configured.settings)?
        }
        None => more(args, settings(args)?)?,
    };
    let mut taken = args.taken.clone().unwrap_or_default();
    for file in &args.state {
        taken.read(&file.display().to_string(), &text_of(file)?)?;
    }
    let pod = match &args.pod {
        Some(file) => Some(Pod::from_yaml(&file.display().to_string(), &text_of(file)?)?),
        None => None,
    };
    let predictor = Predictor::new(&open(&args.source)?, settings, &taken)?;
    match (pod, &args.mix) {
        (Some(pod), _) => {
            let report = predictor.report(&pod, policy, scope)?;
            Ok(if args.json.json { report.to_json() } else { report.to_text() })
        }
        (None, Some(mix)) => {
            let report = predictor.mix(mix, policy, args.mix_cpus.unwrap_or(0), args.states)?;
            Ok(if args.json.json { report.to_json() } else { report.to_text() })
        }
        (None, None) => Err(Error::wrong_use("there is nothing to predict", "give --pod or --mix")),
    }
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

/// Adds the settings that the kubelet's configuration does not tell.
fn more(args: &PredictArgs, settings: Settings) -> Result<Settings> {
    let mut settings = settings.version(args.version).plugin(match args.plugin {
        PluginKind::Linked => Plugin::Linked,
        PluginKind::Silent => Plugin::Silent,
    });
    for text in &args.devices {
        let (name, devices) = text.split_once('=').ok_or_else(|| {
            Error::wrong_use(format!("'{text}' names no devices"), "give such as rdma/hca=nics")
        })?;
        settings = settings.devices(name.trim(), devices.parse()?);
    }
    Ok(settings)
}
