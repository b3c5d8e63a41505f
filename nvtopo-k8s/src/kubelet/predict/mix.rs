//! Search for a state of a node in which the kubelet refuses what the scheduler sends, again and again.
//!
//! The scheduler counts GPUs and CPUs; the kubelet looks where they are. All states of one node are walked through that
//! arrivals and departures lead to, to a stated limit. What one node comes to, all nodes of a pool can come to.

use super::admit::Admission;
use super::choice::{ByPlugin, Chooser, Plugin};
use super::hints::{Policy, Scope};
use super::node::{Resource, State};
use super::pod::Pod;
use super::verdict::{GpuLinks, links};
use super::{GPU_RESOURCE, Predictor, Settings};
use nvtopo::solve::SizeMix;
use nvtopo::{CpuSet, Error, Result, Topology};
use serde::Serialize;
use std::collections::HashMap;

/// The most states of a node that are walked through where nobody says otherwise.
pub const USUAL_LIMIT: usize = 20_000;
/// The most rounds until the shares of states stand still.
const MOST_ROUNDS: usize = 2000;

/// The outcome of a mix of pods under one policy.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MixOutcome {
    /// The policy of the topology manager.
    pub policy: Policy,
    /// The answer for refusals of pods that the scheduler sends.
    pub refused: MixAnswer,
    /// The answer for pods that get GPUs which are not linked by NVLink.
    pub unlinked: MixAnswer,
    /// The states of a node that were walked through.
    pub states: usize,
    /// Of the pods that the scheduler would send to a node, the share that the kubelet refuses, where arrivals and departures
    /// are equally often, and each running pod leaves as likely as any other. `None`: not all states were walked through.
    pub refused_share: Option<f64>,
    /// As `refused_share`, the share that gets GPUs that are not linked.
    pub unlinked_share: Option<f64>,
}

/// The answer to whether something can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MixAnswer {
    /// It can: these steps lead there from an empty node, and there are no fewer.
    Can(Vec<Step>),
    /// It cannot: all states were walked through.
    Cannot,
    /// It was not seen within the limit.
    NotSeen,
}

/// One step of a witness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "step")]
#[non_exhaustive]
pub enum Step {
    /// A pod starts, and gets these GPUs.
    Starts {
        /// By their indices.
        gpus: Vec<u32>,
    },
    /// The pod with these GPUs ends.
    Ends {
        /// By their indices.
        gpus: Vec<u32>,
    },
    /// A pod comes, and the kubelet refuses it though there are enough GPUs free.
    Refused {
        /// The number of GPUs that it asks for.
        count: usize,
        /// The GPUs that are free.
        free: Vec<u32>,
        /// The reason in its status.
        reason: &'static str,
    },
    /// A pod starts, and gets GPUs that are not linked.
    Unlinked {
        /// By their indices.
        gpus: Vec<u32>,
    },
}

/// The outcomes of a mix of pods under several policies.
#[derive(Clone, Debug)]
pub struct MixReport {
    pub(super) mix: SizeMix,
    pub(super) cpus_per_gpu: u64,
    pub(super) limit: usize,
    pub(super) outcomes: Vec<MixOutcome>,
    pub(super) remarks: Vec<String>,
    /// The links between all GPUs.
    pub(super) links: GpuLinks,
}

/// A running pod: its devices and CPUs.
type Running = (Vec<usize>, Option<CpuSet>);

/// Takes each choice in turn where the plugin leaves it open.
struct InTurn {
    turn: usize,
    /// The number of choices that there were.
    choices: usize,
    plugin: ByPlugin,
    silent: bool,
}

impl Chooser for InTurn {
    fn choose(
        &mut self,
        topology: &Topology,
        resource: &Resource,
        of: &[usize],
        given: &[usize],
        count: usize,
    ) -> Result<Vec<usize>> {
        if !self.silent {
            return self.plugin.choose(topology, resource, of, given, count);
        }
        self.choices = binomial(of.len(), count);
        Ok(combination(of, count, self.turn))
    }
}

/// The binomial coefficient, saturating.
fn binomial(of: usize, count: usize) -> usize {
    (0..count.min(of - count.min(of))).fold(1_usize, |all, at| all.saturating_mul(of - at) / (at + 1))
}

/// The set that comes at this turn, in the order of the first ones.
fn combination(of: &[usize], count: usize, mut turn: usize) -> Vec<usize> {
    let mut set = Vec::new();
    for (at, one) in of.iter().enumerate() {
        let left = count - set.len();
        if left == 0 {
            break;
        }
        let with = binomial(of.len() - at - 1, left - 1);
        if turn < with {
            set.push(*one);
        } else {
            turn -= with;
        }
    }
    set
}

/// The states of one node, walked through.
struct Walk<'a> {
    predictor: &'a Predictor,
    policy: Policy,
    pods: Vec<(usize, f64, Pod)>,
    chooser: InTurn,
    states: Vec<Vec<Running>>,
    known: HashMap<Vec<Running>, usize>,
    /// The state before, and the step from it.
    from: Vec<Option<(usize, Step)>>,
    /// The states that a state leads to, with their probabilities.
    leads: Vec<Vec<(usize, f64)>>,
    /// The probabilities that an arrival is sent here, is refused, is unlinked.
    shares: Vec<[f64; 3]>,
    refused: Option<(usize, Step)>,
    unlinked: Option<(usize, Step)>,
    limit: usize,
    over: bool,
}

impl Predictor {
    /// Walks through all states of a node to which pods of a mix lead, under one policy or all, each pod with one container.
    ///
    /// Errors with [`InvalidRequest`](nvtopo::ErrorKind::InvalidRequest) for a limit of 0, and as
    /// [`predict`](Self::predict) does where the one policy that is asked for does not start.
    ///
    /// ```
    /// use nvtopo_k8s::kubelet::predict::{MixAnswer, Policy, Predictor, Settings, Taken};
    ///
    /// let node = nvtopo::Topology::preset("dgx-h100")?;
    /// let predictor = Predictor::new(&node, Settings::default(), &Taken::default())?;
    /// let report = predictor.mix(&"2:.5,4:.5".parse()?, Some(Policy::Restricted), 0, 1000)?;
    /// assert!(matches!(report.outcomes()[0].refused, MixAnswer::Can(_)));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn mix(
        &self,
        mix: &SizeMix,
        policy: Option<Policy>,
        cpus_per_gpu: u64,
        limit: usize,
    ) -> Result<MixReport> {
        if limit == 0 {
            return Err(Error::request("no state is no answer").help("give a limit of at least 1"));
        }
        let mut remarks = self.notes.clone();
        let mut own = self.clone();
        if own.settings.reserved_memory.take().is_some() {
            own.state.memory.clear();
            remarks.push("memory is left out of a mix: its manager may refuse more".to_owned());
        }
        let mut outcomes = Vec::new();
        for asked in Policy::ALL.into_iter().filter(|one| policy.is_none_or(|policy| policy == *one)) {
            if let Err(error) = own.startable(asked) {
                if policy.is_some() {
                    return Err(error);
                }
                remarks.push(format!("{asked}: {}", error.message()));
                continue;
            }
            outcomes.push(own.walk(mix, asked, cpus_per_gpu, limit)?);
        }
        if self.settings.plugin == Plugin::Linked {
            remarks.push(
                "the device plugin is taken to prefer GPUs that are linked best; of one that does not, more can go wrong"
                    .to_owned(),
            );
        }
        let gpus: Vec<u32> = self.node.topology.gpus().map(|gpu| gpu.index).collect();
        let links = links(&self.node.topology, &gpus);
        Ok(MixReport { mix: mix.clone(), cpus_per_gpu, limit, outcomes, remarks, links })
    }

    fn walk(&self, mix: &SizeMix, policy: Policy, cpus_per_gpu: u64, limit: usize) -> Result<MixOutcome> {
        let pods = mix.sizes().iter().map(|(size, share)| {
            (*size, *share, Pod::gpus(*size as u64, (*size as u64).saturating_mul(cpus_per_gpu)))
        });
        let plugin = self.settings.plugin;
        let mut walk = Walk {
            predictor: self,
            policy,
            pods: pods.collect(),
            chooser: InTurn {
                turn: 0,
                choices: 1,
                plugin: ByPlugin::new(plugin),
                silent: plugin == Plugin::Silent,
            },
            states: Vec::new(),
            known: HashMap::new(),
            from: Vec::new(),
            leads: Vec::new(),
            shares: Vec::new(),
            refused: None,
            unlinked: None,
            limit,
            over: false,
        };
        walk.reach(Vec::new(), None);
        let mut next = 0;
        while next < walk.states.len() {
            walk.expand(next)?;
            next += 1;
        }
        Ok(walk.outcome())
    }
}

impl Walk<'_> {
    /// The number of a state; a new one where it was not known. `None`: it is beyond the limit.
    fn reach(&mut self, mut running: Vec<Running>, from: Option<(usize, Step)>) -> Option<usize> {
        running.sort_unstable();
        if let Some(known) = self.known.get(&running) {
            return Some(*known);
        }
        if self.states.len() >= self.limit {
            self.over = true;
            return None;
        }
        let number = self.states.len();
        self.known.insert(running.clone(), number);
        self.states.push(running);
        self.from.push(from);
        self.leads.push(Vec::new());
        self.shares.push([0.0; 3]);
        Some(number)
    }

    fn state(&self, running: &[Running]) -> State {
        let mut state = self.predictor.state.clone();
        let taken = state.taken.entry(GPU_RESOURCE.to_owned()).or_default();
        for (devices, cpus) in running {
            taken.extend(devices.iter().copied());
            if let Some(cpus) = cpus {
                state.shared = state.shared.difference(cpus);
            }
        }
        taken.sort_unstable();
        state
    }

    fn resource(&self) -> Option<&Resource> {
        self.predictor.node.resources.get(GPU_RESOURCE)
    }

    fn indices(&self, devices: &[usize]) -> Vec<u32> {
        let all = self.resource().map(|resource| resource.devices.as_slice()).unwrap_or_default();
        devices.iter().filter_map(|device| all.get(*device)?.gpu).collect()
    }

    /// Follows all arrivals and departures of a state.
    fn expand(&mut self, number: usize) -> Result<()> {
        let running = self.states[number].clone();
        let state = self.state(&running);
        let taken = state.taken.get(GPU_RESOURCE).cloned().unwrap_or_default();
        let all = self.resource().map_or(0, |resource| resource.devices.len());
        let free: Vec<usize> = (0..all).filter(|device| !taken.contains(device)).collect();
        let settings: &Settings = &self.predictor.settings;
        let free_cpus = state.shared.difference(&settings.reserved_cpus).len() as u64;
        // What stays as it is.
        let mut stays = 0.0;
        for at in 0..self.pods.len() {
            let (size, share, pod) = self.pods[at].clone();
            if size > free.len() || settings.static_cpus && pod.all_exclusive_cpus() > free_cpus {
                stays += share / 2.0;
                continue;
            }
            self.shares[number][0] += share;
            let mut turn = 0;
            loop {
                (self.chooser.turn, self.chooser.choices) = (turn, 1);
                let how = (self.policy, Scope::Container);
                let admission = self.predictor.admit(&pod, &state, how, &mut self.chooser)?;
                let likely = share / 2.0 / self.chooser.choices as f64;
                stays += self.arrived(number, &running, &free, (size, likely), admission);
                turn += 1;
                if turn >= self.chooser.choices || self.over {
                    break;
                }
            }
        }
        for at in 0..running.len() {
            let mut rest = running.clone();
            let (devices, _) = rest.remove(at);
            let step = Step::Ends { gpus: self.indices(&devices) };
            if let Some(target) = self.reach(rest, Some((number, step))) {
                self.leads[number].push((target, 0.5 / running.len() as f64));
            }
        }
        if running.is_empty() {
            stays += 0.5;
        }
        self.leads[number].push((number, stays));
        Ok(())
    }

    /// One way that an arrival ends. The likelihood that nothing changes.
    fn arrived(
        &mut self,
        number: usize,
        running: &[Running],
        free: &[usize],
        (size, likely): (usize, f64),
        admission: Admission,
    ) -> f64 {
        if let Some(failure) = admission.failure {
            self.shares[number][1] += likely * 2.0;
            if self.refused.is_none() {
                let (free, reason) = (self.indices(free), failure.reason());
                self.refused = Some((number, Step::Refused { count: size, free, reason }));
            }
            return likely;
        }
        let Some(given) = admission.given.into_iter().next() else { return likely };
        let devices = given.devices.get(GPU_RESOURCE).cloned().unwrap_or_default();
        let gpus = self.indices(&devices);
        if links(&self.predictor.node.topology, &gpus) == GpuLinks::Apart {
            self.shares[number][2] += likely * 2.0;
            if self.unlinked.is_none() {
                self.unlinked = Some((number, Step::Unlinked { gpus: gpus.clone() }));
            }
        }
        let mut next = running.to_vec();
        next.push((devices, given.cpus));
        if let Some(target) = self.reach(next, Some((number, Step::Starts { gpus }))) {
            self.leads[number].push((target, likely));
        }
        0.0
    }

    fn outcome(self) -> MixOutcome {
        let answer = |found: &Option<(usize, Step)>| match found {
            Some((number, last)) => {
                let mut steps = vec![last.clone()];
                let mut at = *number;
                while let Some((before, step)) = &self.from[at] {
                    steps.push(step.clone());
                    at = *before;
                }
                steps.reverse();
                MixAnswer::Can(steps)
            }
            None if self.over => MixAnswer::NotSeen,
            None => MixAnswer::Cannot,
        };
        let shares = (!self.over).then(|| self.settled());
        let share = |at: usize| shares.map(|all| if all[0] > 0.0 { all[at] / all[0] } else { 0.0 });
        MixOutcome {
            policy: self.policy,
            refused: answer(&self.refused),
            unlinked: answer(&self.unlinked),
            states: self.states.len(),
            refused_share: share(1),
            unlinked_share: share(2),
        }
    }

    /// The probabilities that an arrival is sent here, refused, unlinked, once the shares of states stand still.
    fn settled(&self) -> [f64; 3] {
        let mut now = vec![0.0; self.states.len()];
        now[0] = 1.0;
        for _ in 0..MOST_ROUNDS {
            let mut next = vec![0.0; now.len()];
            for (share, leads) in now.iter().zip(&self.leads) {
                for (target, likely) in leads {
                    next[*target] += share * likely;
                }
            }
            let moved: f64 = now.iter().zip(&next).map(|(a, b)| (a - b).abs()).sum();
            now = next;
            if moved < 1e-9 {
                break;
            }
        }
        let mut sums = [0.0; 3];
        for (share, own) in now.iter().zip(&self.shares) {
            for (sum, part) in sums.iter_mut().zip(own) {
                *sum += share * part;
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::super::Taken;
    use super::super::boards::Board;
    use super::*;

    fn mix(board: &Board, mix: &str, plugin: Plugin, cpus: u64, limit: usize) -> MixReport {
        let predictor =
            Predictor::new(&board.topology(), Settings::default().plugin(plugin), &Taken::default()).unwrap();
        predictor.mix(&mix.parse().unwrap(), None, cpus, limit).unwrap()
    }

    fn of(report: &MixReport, policy: Policy) -> &MixOutcome {
        report.outcomes().iter().find(|outcome| outcome.policy == policy).unwrap()
    }

    /// The witness, played with predictions alone.
    fn play(board: &Board, policy: Policy, steps: &[Step], plugin: Plugin) {
        let mut taken: Vec<u32> = Vec::new();
        for step in steps {
            let settings = Settings::default().plugin(plugin);
            let predictor = Predictor::new(&board.topology(), settings, &Taken::gpus(taken.clone())).unwrap();
            let ask = |count: usize| {
                predictor.predict(&Pod::gpus(count as u64, 0), policy, Scope::Container).unwrap()
            };
            match step {
                Step::Starts { gpus } => {
                    let answer = ask(gpus.len());
                    assert!(answer.verdict.is_admitted());
                    assert!(answer.any || answer.containers[0].gpus == *gpus, "{step} {answer:?}");
                    taken.extend(gpus);
                }
                Step::Ends { gpus } => taken.retain(|gpu| !gpus.contains(gpu)),
                Step::Refused { count, free, .. } => {
                    assert!(free.len() >= *count && free.iter().all(|gpu| !taken.contains(gpu)));
                    assert!(!ask(*count).verdict.is_admitted());
                }
                Step::Unlinked { gpus } => {
                    let answer = ask(gpus.len());
                    assert!(answer.any || answer.has_unlinked() && answer.containers[0].gpus == *gpus);
                }
            }
        }
    }

    #[test]
    fn pods_of_four_and_two_are_refused_on_two_times_four() {
        let board = Board::two_of_four();
        let report = mix(&board, "1:.5,4:.3,8:.2", Plugin::Linked, 0, USUAL_LIMIT);
        for policy in [Policy::Restricted, Policy::SingleNumaNode] {
            let MixAnswer::Can(steps) = &of(&report, policy).refused else { panic!("{policy}") };
            play(&board, policy, steps, Plugin::Linked);
            assert!(of(&report, policy).refused_share.unwrap() > 0.0);
        }
        for policy in [Policy::None, Policy::BestEffort] {
            assert_eq!(of(&report, policy).refused, MixAnswer::Cannot);
            assert_eq!(of(&report, policy).unlinked, MixAnswer::Cannot, "all are linked");
            assert_eq!(of(&report, policy).refused_share, Some(0.0));
        }
        assert!(
            report.to_text().contains("Both are kept away by none and best-effort"),
            "{}",
            report.to_text()
        );
    }

    #[test]
    fn whole_halves_are_never_refused_where_they_stay_whole() {
        let board = Board::two_of_four();
        let report = mix(&board, "4:1", Plugin::Silent, 0, USUAL_LIMIT);
        assert_eq!(of(&report, Policy::SingleNumaNode).refused, MixAnswer::Cannot);
        assert_eq!(of(&report, Policy::Restricted).refused, MixAnswer::Cannot);
        // Eight never fit on one node, from the first on.
        let report = mix(&board, "4:.5,8:.5", Plugin::Silent, 0, USUAL_LIMIT);
        let MixAnswer::Can(steps) = &of(&report, Policy::SingleNumaNode).refused else { panic!() };
        assert_eq!(steps.len(), 1);
    }

    #[test]
    fn pairs_come_apart_after_singles() {
        let board = Board::linked_across_nodes();
        let report = mix(&board, "1:.5,2:.5", Plugin::Linked, 0, USUAL_LIMIT);
        for policy in [Policy::BestEffort, Policy::Restricted] {
            let MixAnswer::Can(steps) = &of(&report, policy).unlinked else { panic!("{policy}") };
            play(&board, policy, steps, Plugin::Linked);
        }
        assert!(report.to_text().contains("No policy keeps both away"));
    }

    #[test]
    fn machines_without_links_are_told_so() {
        let topology = Topology::preset("l40s-8-pcie").unwrap();
        let predictor = Predictor::new(&topology, Settings::default(), &Taken::default()).unwrap();
        let told = predictor.mix(&"1:.5,2:.5".parse().unwrap(), None, 0, 100).unwrap().to_text();
        assert!(told.contains("no GPUs of this machine are linked by NVLink"), "{told}");
        assert!(told.contains("Refusals are kept away by") && !told.contains("not linked"), "{told}");
    }

    #[test]
    fn a_limit_is_told_and_kept() {
        let report = mix(&Board::two_of_four(), "1:1", Plugin::Silent, 0, 10);
        let outcome = of(&report, Policy::Restricted);
        assert_eq!(
            (outcome.states, &outcome.refused, outcome.refused_share),
            (10, &MixAnswer::NotSeen, None)
        );
        assert!(report.to_text().contains("in 10 states; there are more"));
        let predictor =
            Predictor::new(&Board::two_of_four().topology(), Settings::default(), &Taken::default()).unwrap();
        assert!(predictor.mix(&"1:1".parse().unwrap(), None, 0, 0).is_err());
    }

    #[test]
    fn cpus_count_too() {
        // 24 CPUs for each GPU fill a node with four of them.
        let report = mix(&Board::two_of_four(), "2:.5,4:.5", Plugin::Linked, 24, 2000);
        assert!(matches!(of(&report, Policy::Restricted).refused, MixAnswer::Can(_)));
        let value: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(value["outcomes"][2]["refused"]["answer"], "can");
    }

    #[test]
    fn sets_come_in_turn_and_once() {
        let of = [2, 3, 5, 7, 11];
        let all: std::collections::BTreeSet<_> = (0..10).map(|turn| combination(&of, 3, turn)).collect();
        assert_eq!((all.len(), binomial(5, 3), binomial(5, 5), binomial(3, 0)), (10, 10, 1, 1));
        assert!(all.iter().all(|set| set.len() == 3));
    }
}
