//! The topology manager's policy and scope, and which pods they let start on this board.

use super::{cpu_nodes, effective};
use crate::evidence::{Evidence, NODE};
use crate::finding::Verdicts;
use crate::reading::kubelet_state;
use nvtopo_k8s::kubelet::predict::{Configured, Pod, Predictor, Taken};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn policy(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let Some(settings) = effective(evidence, verdicts) else { return };
    let policy = settings.text("topologyManagerPolicy").unwrap_or("none");
    match cpu_nodes(evidence) {
        0 => {
            verdicts.unknown(
                NODE,
                format!("its policy is {policy}, and the NUMA nodes of the machine are not known"),
            );
            return;
        }
        1 => {
            verdicts.not_applicable(NODE, "the machine has one NUMA node");
            return;
        }
        _ => {}
    }
    match policy {
        "restricted" | "single-numa-node" => verdicts.pass(NODE, format!("its policy is {policy}")),
        "best-effort" => {
            verdicts.warn(NODE, "its policy is best-effort, and pods that are not aligned start too");
        }
        "none" => verdicts.fail(NODE, "its policy is none, and nothing is aligned"),
        other => verdicts.fail(NODE, format!("there is no policy {other:?}, and the kubelet does not start")),
    }
}

pub(super) fn scope(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let devices = kubelet_state::devices(evidence);
    let Some(settings) = effective(evidence, verdicts) else { return };
    if settings.text("topologyManagerPolicy").is_none_or(|policy| policy == "none") {
        verdicts.not_applicable(NODE, "the topology manager aligns nothing");
        return;
    }
    let scope = settings.text("topologyManagerScope").unwrap_or("container");
    if scope == "pod" {
        verdicts.pass(NODE, "its scope is pod");
        return;
    }
    let mut pods: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for held in devices.known().into_iter().flatten().filter(|held| held.is_gpus()) {
        pods.entry(&held.pod).or_default().insert(&held.container);
    }
    let several = pods.iter().find(|(_, containers)| containers.len() > 1);
    match (several, evidence.profile.expect.multi_container_pods) {
        (Some((pod, containers)), _) => {
            let text = format!(
                "its scope is {scope}, and the {} containers of pod {pod} that have GPUs are aligned each by itself",
                containers.len()
            );
            verdicts.warn(NODE, text);
        }
        (None, Some(true)) => {
            verdicts
                .warn(NODE, format!("its scope is {scope}, and pods with several containers ask for GPUs"));
        }
        (None, Some(false)) => {
            verdicts.pass(NODE, format!("its scope is {scope}, and pods have one container"));
        }
        (None, None) if !pods.is_empty() => {
            verdicts
                .pass(NODE, format!("its scope is {scope}, and no pod here has GPUs in several containers"));
        }
        (None, None) => {
            let text = format!(
                "its scope is {scope}, and whether pods have GPUs in several containers is not known"
            );
            verdicts.unknown(NODE, text);
        }
    }
}

/// The most GPUs of a pod that is predicted, so that large machines take no longer.
const MOST_GPUS: usize = 16;

pub(super) fn fits(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let Some(settings) = effective(evidence, verdicts) else { return };
    let total = evidence.topology.gpus().len();
    if total == 0 {
        verdicts.not_applicable(NODE, "there is no GPU");
        return;
    }
    if settings.text("topologyManagerPolicy").is_none_or(|policy| policy == "none") {
        verdicts.not_applicable(NODE, "the topology manager refuses no pod");
        return;
    }
    if !evidence.topology.lists_all_cpus() {
        verdicts.unknown(NODE, "pods cannot be predicted: no source lists all CPUs of the machine");
        return;
    }
    let configured = Configured::from_yaml("kubelet", &settings.to_json());
    let prepared = configured.and_then(|configured| {
        let predictor = Predictor::new(evidence.topology, configured.settings.clone(), &Taken::default())?;
        Ok((configured, predictor))
    });
    let (configured, predictor) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            verdicts.unknown(NODE, format!("pods cannot be predicted: {}", error.message()));
            return;
        }
    };
    let (policy, scope) = (configured.policy, configured.scope);
    if let Err(error) = predictor.startable(policy) {
        verdicts.fail(NODE, error.message().to_owned());
        return;
    }
    let largest = evidence.profile.expect.largest_pod;
    // A pod that is larger than the board never comes here.
    let sizes = (1..=total.min(MOST_GPUS)).chain(largest).chain([total]).filter(|size| *size <= total);
    let (mut admitted, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for size in sizes {
        match predictor.predict(&Pod::gpus(size as u64, 0), policy, scope) {
            Ok(prediction) if prediction.verdict.is_admitted() => drop(admitted.insert(size)),
            Ok(_) => drop(refused.insert(size)),
            Err(error) => {
                let text = format!("a pod of {size} GPUs cannot be predicted: {}", error.message());
                verdicts.unknown(NODE, text);
                return;
            }
        }
    }
    let subject = format!("policy {}", policy.name());
    if largest.is_some_and(|largest| largest > total) {
        let text = format!(
            "the largest pod asks for {} GPUs, and the node has {total}",
            largest.unwrap_or_default()
        );
        verdicts.fail(&subject, text);
    }
    let (Some(first), Some(last)) = (refused.first(), refused.last()) else {
        verdicts.pass(subject, format!("pods of {} start on the idle node", in_words(&admitted)));
        return;
    };
    let others = admitting(&predictor, *last);
    let text = format!(
        "pods of {} never start: no NUMA node has so many GPUs near it; {others}",
        in_words(&refused)
    );
    if largest.is_some_and(|largest| refused.contains(&largest)) {
        verdicts.fail(subject, text);
    } else if largest.is_some_and(|largest| largest < *first) {
        admitted.retain(|size| size < first);
        verdicts
            .pass(subject, format!("pods of {} start, and this fleet has no larger", in_words(&admitted)));
    } else {
        verdicts.warn(subject, text);
    }
}

/// Writes numbers of GPUs: `1 to 16 and 32 GPUs`.
fn in_words(sizes: &BTreeSet<usize>) -> String {
    let sizes: Vec<usize> = sizes.iter().copied().collect();
    let runs = sizes.chunk_by(|a, b| a + 1 == *b).filter_map(|run| Some((run.first()?, run.last()?)));
    let words: Vec<String> = runs
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first} to {last}") })
        .collect();
    let unit = if sizes == [1] { "GPU" } else { "GPUs" };
    format!("{} {unit}", words.join(" and "))
}

/// Names the policies under which a pod starts.
fn admitting(predictor: &Predictor, gpus: usize) -> String {
    let all = predictor.predict_all(&Pod::gpus(gpus as u64, 0)).unwrap_or_default();
    let mut names: Vec<&str> = Vec::new();
    for prediction in all.iter().filter(|own| own.verdict.is_admitted()) {
        // Without a policy nothing is aligned, which is no choice.
        let name = prediction.policy.name();
        if name != "none" && !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        "no policy that aligns lets them start".to_owned()
    } else {
        format!("under {} they do", names.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn sizes_that_were_not_tried_are_not_named() {
        let words = |sizes: &[usize]| in_words(&sizes.iter().copied().collect());
        assert_eq!(words(&[1]), "1 GPU");
        assert_eq!(words(&[2]), "2 GPUs");
        assert_eq!(words(&[1, 2, 3, 4, 20, 32]), "1 to 4 and 20 and 32 GPUs");
    }
}
