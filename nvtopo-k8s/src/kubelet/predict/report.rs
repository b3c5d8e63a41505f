//! Predictions as text for people and as JSON for programs.

use super::hints::{Policy, Scope};
use super::pod::Pod;
use super::verdict::{ContainerPrediction, GpuLinks, Prediction, Verdict};
use super::{GPU_RESOURCE, Predictor};
use nvtopo::{Request, Result};
use serde::Serialize;
use std::fmt::Write;

/// A pod's predictions under several policies, and what to choose.
///
/// ```
/// use nvtopo_k8s::kubelet::predict::{Pod, Predictor, Settings, Taken};
///
/// let node = nvtopo::Topology::preset("dgx-h100")?;
/// let predictor = Predictor::new(&node, Settings::default(), &Taken::gpus([0, 1, 4, 5]))?;
/// let report = predictor.report(&Pod::gpus(4, 0), None, None)?;
/// assert!(report.to_text().contains("TopologyAffinityError"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    pod: Pod,
    predictions: Vec<Prediction>,
    /// Policies with which the kubelet does not start, and why.
    not_started: Vec<(Policy, String)>,
    instead: Vec<String>,
    remarks: Vec<String>,
}

impl Predictor {
    /// Predicts a pod under one policy and scope, or all of those that are not told.
    ///
    /// Errors as [`predict`](Self::predict) does, where the one policy that is asked for does not start.
    pub fn report(&self, pod: &Pod, policy: Option<Policy>, scope: Option<Scope>) -> Result<Report> {
        let mut predictions = Vec::new();
        let mut not_started = Vec::new();
        for asked in Policy::ALL.into_iter().filter(|one| policy.is_none_or(|policy| policy == *one)) {
            if let Err(error) = self.startable(asked) {
                if policy.is_some() {
                    return Err(error);
                }
                not_started.push((asked, error.message().to_owned()));
                continue;
            }
            let scopes = Scope::ALL.into_iter().filter(|one| scope.is_none_or(|scope| scope == *one));
            // Without a policy there is no scope.
            for scope in scopes.take(if asked == Policy::None { 1 } else { 2 }) {
                predictions.push(self.predict(pod, asked, scope)?);
            }
        }
        let instead = self.instead(pod, &predictions);
        let remarks = self.remarks(pod).into_iter().chain(self.notes.iter().cloned()).collect();
        Ok(Report { pod: pod.clone(), predictions, not_started, instead, remarks })
    }

    /// Advice for what is predicted to go wrong.
    fn instead(&self, pod: &Pod, predictions: &[Prediction]) -> Vec<String> {
        let mut advice = Vec::new();
        if predictions.iter().all(Prediction::is_good) {
            return advice;
        }
        let wanted =
            pod.containers.iter().map(|container| container.devices(GPU_RESOURCE)).max().unwrap_or(0);
        if let Some(set) = self.best_set(usize::try_from(wanted).unwrap_or(usize::MAX)) {
            let all = match super::verdict::links(&self.node.topology, &set) {
                GpuLinks::All => ", every pair linked by NVLink",
                GpuLinks::Some => ", linked by NVLink through one another",
                GpuLinks::Apart => ", though not all linked: no free set is",
                GpuLinks::Few | GpuLinks::Absent | GpuLinks::Unknown => "",
            };
            let list: Vec<String> = set.iter().map(ToString::to_string).collect();
            advice.push(format!(
                "the best {wanted} free GPUs are {}{all}; a DRA claim that names them gets them under any policy",
                list.join(",")
            ));
        } else if wanted > 0 {
            advice.push(format!("no {wanted} GPUs are free: the pod has to wait, whatever the policy"));
        }
        let good = self.predict_all(pod).unwrap_or_default();
        let good: Vec<&Prediction> = good.iter().filter(|one| one.is_good() && !one.any).collect();
        let strictest = good.iter().max_by_key(|one| (one.policy, std::cmp::Reverse(one.scope)));
        match strictest {
            Some(best) => advice.push(format!("topologyManagerPolicy {} admits it well", setting(best))),
            None if wanted > 1 => {
                advice.push("no policy of the topology manager gives linked GPUs for sure here".to_owned());
            }
            None => {}
        }
        let refuses = |one: &Prediction| {
            one.verdict == Verdict::TopologyAffinityError && one.policy == Policy::Restricted
        };
        if predictions.iter().any(refuses) && pod.guaranteed {
            advice.push(self.wider(pod).unwrap_or_default());
        }
        advice.retain(|line| !line.is_empty());
        advice
    }

    /// The CPUs that a refused pod of one container would have to ask for, so that CPUs prefer as many nodes as its GPUs.
    fn wider(&self, pod: &Pod) -> Option<String> {
        let [container] = pod.containers.as_slice() else { return None };
        let gpus = container.devices(GPU_RESOURCE);
        if gpus < 2 {
            return None;
        }
        let now = pod.exclusive_cpus(container);
        let most = self.node.cpus.cpus().len() as u64;
        let threads = self.node.cpus.cpus_per_core() as u64;
        let sizes = (now.saturating_add(threads)..=most).step_by(usize::try_from(threads).unwrap_or(1));
        let fits = |cpus: u64| {
            let answer = self.predict(&Pod::gpus(gpus, cpus), Policy::Restricted, Scope::Container);
            answer.is_ok_and(|answer| answer.is_good())
        };
        let cpus = sizes.take(256).find(|cpus| fits(*cpus))?;
        Some(format!(
            "under restricted, {cpus} CPUs instead of {now} would let {gpus} GPUs in, as they need as many nodes"
        ))
    }

    /// The best free GPUs, by their indices.
    fn best_set(&self, count: usize) -> Option<Vec<u32>> {
        let resource = self.node.resources.get(GPU_RESOURCE)?;
        let taken = self.state.taken.get(GPU_RESOURCE)?;
        let free = resource.devices.iter().enumerate().filter(|(at, _)| !taken.contains(at));
        let free: Vec<u32> = free.filter_map(|(_, device)| device.gpu).collect();
        if count == 0 || free.len() < count {
            return None;
        }
        let mut set = Request::gpus(count).only(free).solve(&self.node.topology).ok()?.gpu_indices();
        set.sort_unstable();
        Some(set)
    }
}

/// A policy with its scope, as a person names them.
fn setting(prediction: &Prediction) -> String {
    match prediction.policy {
        Policy::None => "none".to_owned(),
        policy => format!("{policy} with scope {}", prediction.scope),
    }
}

fn outcome(prediction: &Prediction) -> String {
    match (&prediction.verdict, prediction.has_unlinked()) {
        (Verdict::Admitted, false) => "admitted".to_owned(),
        (Verdict::Admitted, true) => "admitted with GPUs that are not linked by NVLink".to_owned(),
        (verdict, _) => format!("refused: {}", verdict.reason().unwrap_or_default()),
    }
}

fn words(container: &ContainerPrediction, any: bool) -> Vec<String> {
    let mut words = Vec::new();
    for (resource, devices) in &container.devices {
        let on = if container.gpus.is_empty() || resource != GPU_RESOURCE || container.gpu_nodes.is_empty() {
            String::new()
        } else {
            format!(" on NUMA {}", container.gpu_nodes)
        };
        let chance = if any { ", or others that would do" } else { "" };
        words.push(format!("{resource} {}{on}{chance}", devices.join(",")));
    }
    match container.links {
        GpuLinks::All => words.push("all linked by NVLink".to_owned()),
        GpuLinks::Some => words.push("linked by NVLink, not every pair".to_owned()),
        GpuLinks::Apart => words.push("not linked by NVLink".to_owned()),
        GpuLinks::Unknown => words.push("whether NVLink joins them is not known".to_owned()),
        GpuLinks::Few | GpuLinks::Absent => {}
    }
    match &container.cpus {
        Some(cpus) => words.push(format!("CPUs {cpus} on NUMA {}", container.cpu_nodes)),
        None => words.push("shared CPUs".to_owned()),
    }
    let beside = |node: &u32| container.cpu_nodes.contains(*node);
    let far: Vec<u32> = container.gpu_nodes.iter().filter(|node| !beside(node)).collect();
    if container.cpus.is_some() && !far.is_empty() {
        let far: Vec<String> = far.iter().map(ToString::to_string).collect();
        words.push(format!("none beside the GPUs on NUMA {}", far.join(",")));
    }
    if let Some(memory) = &container.memory {
        words.push(format!("memory of NUMA {}", memory.nodes));
    }
    words
}

impl Report {
    /// The predictions.
    pub fn predictions(&self) -> &[Prediction] {
        &self.predictions
    }

    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let name = if self.pod.name.is_empty() { "the pod" } else { &self.pod.name };
        let _ = writeln!(text, "{}:", nvtopo::printable(name));
        let rows = self.rows();
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, prediction) in rows {
            let _ = writeln!(text, "  {name:<width$}  {}", outcome(prediction));
            let several = self.pod.containers.len() > 1;
            if prediction.verdict.is_admitted() {
                for container in &prediction.containers {
                    let own = words(container, prediction.any).join("; ");
                    let front = if several { format!("{}: ", container.name) } else { String::new() };
                    let _ =
                        writeln!(text, "  {:<width$}    {}", "", nvtopo::printable(&format!("{front}{own}")));
                }
            } else if let (Some(message), false) =
                (prediction.verdict.message(), prediction.verdict == Verdict::TopologyAffinityError)
            {
                let _ = writeln!(text, "  {:<width$}    {}", "", nvtopo::printable(message));
            }
        }
        for (policy, why) in &self.not_started {
            let _ = writeln!(text, "  {:<width$}  {why}", policy.name());
        }
        for (title, lines) in [("Instead", &self.instead), ("Remarks", &self.remarks)] {
            if !lines.is_empty() {
                let _ = writeln!(text, "\n{title}:");
            }
            for line in lines {
                let _ = writeln!(text, "- {}", nvtopo::printable(line));
            }
        }
        text
    }

    /// The predictions with their names, both scopes as one where they end alike.
    fn rows(&self) -> Vec<(String, &Prediction)> {
        let mut rows: Vec<(String, &Prediction)> = Vec::new();
        for prediction in &self.predictions {
            match rows.last_mut() {
                Some((name, before)) if before.ends_as(prediction) => {
                    *name = format!("{}, either scope", prediction.policy);
                }
                _ => rows.push((setting(prediction), prediction)),
            }
        }
        rows
    }

    /// The report for programs.
    pub fn to_json(&self) -> String {
        let document = Document {
            format: "nvtopo-kubelet-prediction",
            version: 1,
            pod: &self.pod.name,
            guaranteed: self.pod.guaranteed,
            claims: &self.pod.claims,
            predictions: self.predictions.iter().map(Entry::of).collect(),
            not_started: self
                .not_started
                .iter()
                .map(|(policy, why)| NotStarted { policy: policy.name(), why })
                .collect(),
            instead: &self.instead,
            remarks: &self.remarks,
        };
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: u32,
    pod: &'a str,
    guaranteed: bool,
    claims: &'a [String],
    predictions: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_started: Vec<NotStarted<'a>>,
    instead: &'a [String],
    remarks: &'a [String],
}

#[derive(Serialize)]
struct NotStarted<'a> {
    policy: &'static str,
    why: &'a str,
}

#[derive(Serialize)]
struct Entry<'a> {
    policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    admitted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    unlinked: bool,
    any: bool,
    containers: Vec<ContainerEntry<'a>>,
}

#[derive(Serialize)]
struct ContainerEntry<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    preferred: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpus: Option<String>,
    cpu_nodes: String,
    gpus: &'a [u32],
    gpu_nodes: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    nvlink: Option<&'static str>,
    devices: &'a std::collections::BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryEntry<'a>>,
}

#[derive(Serialize)]
struct MemoryEntry<'a> {
    nodes: String,
    bytes: &'a std::collections::BTreeMap<String, u64>,
}

impl<'a> Entry<'a> {
    fn of(prediction: &'a Prediction) -> Self {
        Self {
            policy: prediction.policy.name(),
            scope: (prediction.policy != Policy::None).then_some(prediction.scope.name()),
            admitted: prediction.verdict.is_admitted(),
            reason: prediction.verdict.reason(),
            message: prediction.verdict.message(),
            unlinked: prediction.has_unlinked(),
            any: prediction.any,
            containers: prediction.containers.iter().map(ContainerEntry::of).collect(),
        }
    }
}

impl<'a> ContainerEntry<'a> {
    fn of(container: &'a ContainerPrediction) -> Self {
        Self {
            name: &container.name,
            hint: container.hint.as_ref().map(ToString::to_string),
            preferred: container.preferred,
            cpus: container.cpus.as_ref().map(ToString::to_string),
            cpu_nodes: container.cpu_nodes.to_string(),
            gpus: &container.gpus,
            gpu_nodes: container.gpu_nodes.to_string(),
            nvlink: match container.links {
                GpuLinks::Few | GpuLinks::Absent => None,
                GpuLinks::All => Some("all"),
                GpuLinks::Some => Some("some"),
                GpuLinks::Apart => Some("none"),
                GpuLinks::Unknown => Some("unknown"),
            },
            devices: &container.devices,
            memory: container
                .memory
                .as_ref()
                .map(|memory| MemoryEntry { nodes: memory.nodes.to_string(), bytes: &memory.bytes }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::boards::Board;
    use super::super::{Plugin, Settings, Taken};
    use super::*;

    fn report(board: &Board, gpus: u64, cpus: u64, taken: &Taken) -> Report {
        let settings = Settings::default().plugin(Plugin::Silent).reserved_cpus("0".parse().unwrap());
        let predictor = Predictor::new(&board.topology(), settings, taken).unwrap();
        predictor.report(&Pod::gpus(gpus, cpus), None, None).unwrap()
    }

    #[test]
    fn what_goes_wrong_is_told_with_what_would_not() {
        let text = report(&Board::linked_across_nodes(), 2, 8, &Taken::default()).to_text();
        assert!(text.contains("  restricted, either scope        refused: TopologyAffinityError"), "{text}");
        assert!(text.contains("CPUs 1-4,65-68 on NUMA 0; none beside the GPUs on NUMA 1"), "{text}");
        assert!(text.contains("the best 2 free GPUs are 0,1, every pair linked by NVLink"), "{text}");
        assert!(text.contains("34 CPUs instead of 8 would let 2 GPUs in"), "{text}");
        let text = report(&Board::linked_across_nodes(), 2, 0, &Taken::gpus([0])).to_text();
        assert!(text.contains("admitted with GPUs that are not linked"), "{text}");
        assert!(text.contains("best 2 free GPUs are 2,3"), "{text}");
        let text = report(&Board::linked_across_nodes(), 5, 0, &Taken::default()).to_text();
        assert!(text.contains("UnexpectedAdmissionError") && text.contains("no 5 GPUs are free"), "{text}");
    }

    #[test]
    fn gpus_of_a_machine_without_nvlink_are_not_called_apart() {
        let board = Board { links: vec![], ..Board::two_of_four() };
        let report = report(&board, 4, 8, &Taken::default());
        assert!(report.predictions().iter().all(Prediction::is_good));
        assert!(!report.to_text().contains("NVLink"), "{}", report.to_text());
    }

    #[test]
    fn a_good_pod_needs_no_advice() {
        let report = report(&Board::two_of_four(), 4, 8, &Taken::default());
        assert!(report.predictions().iter().all(Prediction::is_good));
        assert!(!report.to_text().contains("Instead"), "{}", report.to_text());
    }

    #[test]
    fn programs_get_the_same() {
        let report = report(&Board::two_of_four(), 4, 8, &Taken::gpus([0, 1, 4, 5]));
        let value: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        let of = |policy: &str| {
            let all = value["predictions"].as_array().unwrap();
            all.iter().find(|one| one["policy"] == policy).unwrap().clone()
        };
        assert_eq!(of("restricted")["reason"], "TopologyAffinityError");
        assert_eq!(of("best-effort")["containers"][0]["gpus"], serde_json::json!([2, 3, 6, 7]));
        assert_eq!(of("none")["scope"], serde_json::Value::Null);
    }

    #[test]
    fn one_policy_can_be_asked_for() {
        let predictor =
            Predictor::new(&Board::two_of_four().topology(), Settings::default(), &Taken::default()).unwrap();
        let one = predictor.report(&Pod::gpus(1, 2), Some(Policy::Restricted), Some(Scope::Pod)).unwrap();
        assert_eq!(one.predictions().len(), 1);
        assert_eq!(predictor.report(&Pod::gpus(1, 2), None, None).unwrap().predictions().len(), 7);
    }
}
