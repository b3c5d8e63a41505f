//! `nvtopo k8s`: what the machine means for Kubernetes.

mod claims;
mod kubelet;
mod pod;
mod predict;

use super::open;
use crate::args::{FileArgs, K8sArgs, K8sCommand, LabelForm, LabelsArgs};
use nvtopo::{Error, Result, save_file};
use nvtopo_k8s::labels::{LabelOptions, Labels};
use std::path::Path;

/// Returns the text to print, and the exit code.
pub(crate) fn k8s(args: &K8sArgs) -> Result<(String, u8)> {
    let text = match &args.command {
        K8sCommand::Kubelet(args) => return kubelet::kubelet(args),
        K8sCommand::Labels(args) => labels(args),
        K8sCommand::Claims(args) => return claims::claims(args),
        K8sCommand::Taints(args) => claims::taints(args),
        K8sCommand::ResourceTopology(args) => claims::resource_topology(args),
        K8sCommand::Pod(args) => pod::pod(args),
        K8sCommand::Policies(args) => pod::policies(args),
        K8sCommand::Playbook(args) => pod::playbook(args),
    };
    Ok((text?, 0))
}

fn labels(args: &LabelsArgs) -> Result<String> {
    let features = args.form == LabelForm::Features;
    if args.expires.is_some() && !features {
        return Err(Error::wrong_use("only feature files expire", "leave out --expires"));
    }
    if args.node.is_some() && features {
        return Err(Error::wrong_use(
            "a feature file is read on its own node, and names none",
            "leave out --node, or give --as nodefeature",
        ));
    }
    let options = LabelOptions::default().prefix(args.prefix.clone()).per_gpu(args.per_gpu);
    let labels = Labels::of(&open(&args.source)?, &options);
    let node = args.node.as_deref().unwrap_or_default();
    let text = match args.form {
        LabelForm::Features => labels.feature_file(expiry(args.expires)?.as_deref())?,
        LabelForm::Nodefeature => labels.node_feature(node)?,
        LabelForm::Kubectl => labels.kubectl(node)?,
    };
    written(&args.file, text)
}

/// The time at which something expires that holds from now on for so long.
fn expiry(time: Option<jiff::SignedDuration>) -> Result<Option<String>> {
    let Some(time) = time else { return Ok(None) };
    let end = jiff::Timestamp::now().checked_add(time).ok().filter(|_| time.is_positive());
    let end = end.and_then(|end| end.round(jiff::Unit::Second).ok());
    let end = end.ok_or_else(|| Error::wrong_use("that is no time to hold for", "give one such as 2h"))?;
    Ok(Some(end.to_string()))
}

/// Saves an object where a file was named; the rest is printed.
fn written(file: &FileArgs, text: String) -> Result<String> {
    match &file.output {
        Some(path) if path != Path::new("-") => {
            save_file(path, text.as_bytes())?;
            Ok(String::new())
        }
        _ => Ok(text),
    }
}
