//! The registry of the kubelet's policies, their options and feature gates, for each version of Kubernetes.
//!
//! Sources, in the tree of Kubernetes: `pkg/kubelet/cm/cpumanager/policy_options.go`,
//! `pkg/kubelet/cm/topologymanager/policy_options.go`, `pkg/kubelet/cm/memorymanager/memory_manager.go` and
//! `pkg/features/kube_features.go`; for the versions in which an option changed its stage, the pull requests that changed it:
//! 130290 and 134388 (`strict-cpu-reservation`), 132970 and 137055 (`prefer-align-cpus-by-uncorecache`), 130541
//! (`full-pcpus-only`), 130491 (`distribute-cpus-across-numa`), 128124 (`prefer-closest-numa-nodes`), 134614
//! (`max-allowable-numa-nodes`), 140573 (`PodLevelResourceManagers`).

use crate::Version;

/// A manager of the kubelet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Manager {
    /// The CPU manager.
    Cpu,
    /// The topology manager.
    Topology,
    /// The memory manager.
    Memory,
}

impl Manager {
    /// The field of the configuration that names its policy.
    pub const fn policy_field(self) -> &'static str {
        match self {
            Self::Cpu => "cpuManagerPolicy",
            Self::Topology => "topologyManagerPolicy",
            Self::Memory => "memoryManagerPolicy",
        }
    }

    /// The field of the configuration that holds the options of its policy.
    pub const fn options_field(self) -> Option<&'static str> {
        match self {
            Self::Cpu => Some("cpuManagerPolicyOptions"),
            Self::Topology => Some("topologyManagerPolicyOptions"),
            Self::Memory => None,
        }
    }
}

/// The maturity of an option or a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Off, and behind a gate.
    Alpha,
    /// There unless its gate is switched off.
    Beta,
    /// There always.
    Stable,
}

impl Stage {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Alpha => "alpha",
            Self::Beta => "beta",
            Self::Stable => "stable",
        }
    }
}

/// The stages of something, each with the minor version from which on it holds.
type Stages = &'static [(u8, Stage)];

fn stage_in(stages: Stages, version: Version) -> Option<Stage> {
    let held = |(minor, _): &&(u8, Stage)| *minor <= version.number();
    stages.iter().rfind(held).map(|(_, stage)| *stage)
}

/// A policy of a manager.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// Whose policy it is.
    pub manager: Manager,
    /// Its name, as the configuration spells it.
    pub name: &'static str,
    /// One line that says what it does.
    pub summary: &'static str,
}

/// The policies that there are on Linux, in every version.
pub const POLICIES: &[Policy] = &[
    Policy { manager: Manager::Cpu, name: "none", summary: "all containers share all CPUs" },
    Policy {
        manager: Manager::Cpu,
        name: "static",
        summary: "containers of Guaranteed pods that ask for whole CPUs have them for themselves",
    },
    Policy { manager: Manager::Topology, name: "none", summary: "nothing is aligned" },
    Policy {
        manager: Manager::Topology,
        name: "best-effort",
        summary: "CPUs, memory and devices of one NUMA node where there are some, else of several",
    },
    Policy {
        manager: Manager::Topology,
        name: "restricted",
        summary: "refuses pods that need more NUMA nodes than the empty machine would need for them",
    },
    Policy {
        manager: Manager::Topology,
        name: "single-numa-node",
        summary: "refuses pods that need more than one NUMA node",
    },
    Policy { manager: Manager::Memory, name: "None", summary: "memory comes from any NUMA node" },
    Policy {
        manager: Manager::Memory,
        name: "Static",
        summary: "the memory of Guaranteed pods comes from as few NUMA nodes as can be",
    },
];

/// The scopes of the topology manager.
pub const SCOPES: &[&str] = &["container", "pod"];

/// The values that an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionValue {
    /// `"true"` or `"false"`.
    Switch,
    /// A number, at least this.
    AtLeast(u32),
}

/// An option of a policy.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PolicyOption {
    /// Whose option it is.
    pub manager: Manager,
    /// Its name, as the configuration spells it.
    pub name: &'static str,
    /// One line that says what it does.
    pub summary: &'static str,
    /// The values that it takes.
    pub value: OptionValue,
    /// The options with which the kubelet does not start.
    pub excludes: &'static [&'static str],
    stages: Stages,
}

impl PolicyOption {
    /// The option of this name.
    pub fn find(manager: Manager, name: &str) -> Option<&'static Self> {
        OPTIONS.iter().find(|option| option.manager == manager && option.name == name)
    }

    /// The stage in a version; `None` where the kubelet does not know it.
    ///
    /// ```
    /// use nvtopo_k8s::Version;
    /// use nvtopo_k8s::kubelet::options::{Manager, PolicyOption, Stage};
    ///
    /// let option = PolicyOption::find(Manager::Cpu, "strict-cpu-reservation").unwrap();
    /// let stage = |version: &str| option.stage(version.parse().unwrap());
    /// assert_eq!(stage("1.31"), None);
    /// assert_eq!(stage("1.32"), Some(Stage::Alpha));
    /// assert_eq!(stage("1.35"), Some(Stage::Stable));
    /// ```
    pub fn stage(&self, version: Version) -> Option<Stage> {
        stage_in(self.stages, version)
    }

    /// The gate that decides on it in a version; `None` where none does, or the option is unknown.
    pub fn gate(&self, version: Version) -> Option<&'static str> {
        match (self.manager, self.stage(version)?) {
            (Manager::Cpu, Stage::Alpha) => Some("CPUManagerPolicyAlphaOptions"),
            (Manager::Cpu, Stage::Beta) => Some("CPUManagerPolicyBetaOptions"),
            (Manager::Topology, Stage::Alpha) => Some("TopologyManagerPolicyAlphaOptions"),
            (Manager::Topology, Stage::Beta) => Some("TopologyManagerPolicyBetaOptions"),
            _ => None,
        }
    }
}

/// All options.
pub const OPTIONS: &[PolicyOption] = &[
    PolicyOption {
        manager: Manager::Cpu,
        name: "full-pcpus-only",
        summary: "whole cores only; pods that ask for parts of cores are refused",
        value: OptionValue::Switch,
        excludes: &["distribute-cpus-across-cores"],
        stages: &[(22, Stage::Alpha), (23, Stage::Beta), (33, Stage::Stable)],
    },
    PolicyOption {
        manager: Manager::Cpu,
        name: "strict-cpu-reservation",
        summary: "no container runs on the reserved CPUs",
        value: OptionValue::Switch,
        excludes: &[],
        stages: &[(32, Stage::Alpha), (33, Stage::Beta), (35, Stage::Stable)],
    },
    PolicyOption {
        manager: Manager::Cpu,
        name: "prefer-align-cpus-by-uncorecache",
        summary: "CPUs from as few level 3 caches as can be",
        value: OptionValue::Switch,
        excludes: &["distribute-cpus-across-numa", "distribute-cpus-across-cores"],
        stages: &[(32, Stage::Alpha), (34, Stage::Beta), (36, Stage::Stable)],
    },
    PolicyOption {
        manager: Manager::Cpu,
        name: "distribute-cpus-across-numa",
        summary: "equally many CPUs from each NUMA node where one is not enough",
        value: OptionValue::Switch,
        excludes: &["distribute-cpus-across-cores", "prefer-align-cpus-by-uncorecache"],
        stages: &[(23, Stage::Alpha), (33, Stage::Beta)],
    },
    PolicyOption {
        manager: Manager::Cpu,
        name: "align-by-socket",
        summary: "a hint for a NUMA node stands for its whole socket",
        value: OptionValue::Switch,
        excludes: &[],
        stages: &[(25, Stage::Alpha)],
    },
    PolicyOption {
        manager: Manager::Cpu,
        name: "distribute-cpus-across-cores",
        summary: "threads of different cores first",
        value: OptionValue::Switch,
        excludes: &["full-pcpus-only", "distribute-cpus-across-numa", "prefer-align-cpus-by-uncorecache"],
        stages: &[(31, Stage::Alpha)],
    },
    PolicyOption {
        manager: Manager::Topology,
        name: "prefer-closest-numa-nodes",
        summary: "of as many NUMA nodes, those that are nearest to each other",
        value: OptionValue::Switch,
        excludes: &[],
        stages: &[(26, Stage::Alpha), (28, Stage::Beta), (32, Stage::Stable)],
    },
    PolicyOption {
        manager: Manager::Topology,
        name: "max-allowable-numa-nodes",
        summary: "the most NUMA nodes with which the kubelet starts; 8 without it",
        value: OptionValue::AtLeast(8),
        excludes: &[],
        stages: &[(31, Stage::Beta), (35, Stage::Stable)],
    },
];

/// The most NUMA nodes with which a kubelet starts that aligns anything, unless `max-allowable-numa-nodes` allows more.
pub const MAX_NUMA_NODES: usize = 8;

/// A feature gate of these managers.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Gate {
    /// Its name.
    pub name: &'static str,
    stages: Stages,
    /// The minor version from which on the kubelet does not know it any more, and does not start with it.
    removed: Option<u8>,
}

impl Gate {
    /// The gate of this name, where it is one of these managers.
    pub fn find(name: &str) -> Option<&'static Self> {
        GATES.iter().find(|gate| gate.name == name)
    }

    /// The stage in a version; `None` where the kubelet does not start with it.
    pub fn stage(&self, version: Version) -> Option<Stage> {
        let removed = self.removed.is_some_and(|minor| minor <= version.number());
        stage_in(self.stages, version).filter(|_| !removed)
    }
}

/// The gates of these managers.
pub const GATES: &[Gate] = &[
    Gate { name: "CPUManagerPolicyAlphaOptions", stages: &[(23, Stage::Alpha)], removed: None },
    Gate { name: "CPUManagerPolicyBetaOptions", stages: &[(23, Stage::Beta)], removed: None },
    Gate {
        name: "CPUManagerPolicyOptions",
        stages: &[(22, Stage::Alpha), (23, Stage::Beta), (33, Stage::Stable)],
        removed: None,
    },
    Gate {
        name: "MemoryManager",
        stages: &[(21, Stage::Alpha), (22, Stage::Beta), (32, Stage::Stable)],
        removed: None,
    },
    Gate {
        name: "PodLevelResourceManagers",
        stages: &[(36, Stage::Alpha), (37, Stage::Beta)],
        removed: None,
    },
    Gate {
        name: "TopologyManager",
        stages: &[(16, Stage::Alpha), (18, Stage::Beta), (27, Stage::Stable)],
        removed: Some(29),
    },
    Gate { name: "TopologyManagerPolicyAlphaOptions", stages: &[(26, Stage::Alpha)], removed: None },
    Gate { name: "TopologyManagerPolicyBetaOptions", stages: &[(26, Stage::Beta)], removed: None },
    Gate {
        name: "TopologyManagerPolicyOptions",
        stages: &[(26, Stage::Alpha), (28, Stage::Beta), (32, Stage::Stable)],
        removed: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn stages(manager: Manager, name: &str) -> String {
        let option = PolicyOption::find(manager, name).unwrap();
        let letter = |version| match option.stage(version) {
            None => '-',
            Some(Stage::Alpha) => 'a',
            Some(Stage::Beta) => 'b',
            Some(Stage::Stable) => 's',
        };
        Version::all().map(letter).collect()
    }

    #[test]
    fn stages_are_those_of_each_version() {
        // 1.30 to 1.37.
        for (manager, name, expected) in [
            (Manager::Cpu, "full-pcpus-only", "bbbsssss"),
            (Manager::Cpu, "strict-cpu-reservation", "--abbsss"),
            (Manager::Cpu, "prefer-align-cpus-by-uncorecache", "--aabbss"),
            (Manager::Cpu, "distribute-cpus-across-numa", "aaabbbbb"),
            (Manager::Cpu, "align-by-socket", "aaaaaaaa"),
            (Manager::Cpu, "distribute-cpus-across-cores", "-aaaaaaa"),
            (Manager::Topology, "prefer-closest-numa-nodes", "bbssssss"),
            (Manager::Topology, "max-allowable-numa-nodes", "-bbbbsss"),
        ] {
            assert_eq!(stages(manager, name), expected, "{name}");
        }
        assert_eq!(OPTIONS.len(), 8);
    }

    #[test]
    fn exclusions_are_mutual_and_name_options() {
        let mut pairs = BTreeSet::new();
        for option in OPTIONS {
            for other in option.excludes {
                let other = PolicyOption::find(option.manager, other).unwrap();
                assert!(other.excludes.contains(&option.name), "{} and {}", option.name, other.name);
                pairs.insert([option.name, other.name].into_iter().collect::<BTreeSet<_>>());
            }
        }
        assert_eq!(pairs.len(), 4);
    }

    #[test]
    fn exclusions_are_those_that_the_solver_knows() {
        let switches: Vec<&PolicyOption> =
            OPTIONS.iter().filter(|option| option.manager == Manager::Cpu).collect();
        for a in &switches {
            for b in &switches {
                let both = format!("{},{}", a.name, b.name).parse::<nvtopo::Kubelet>();
                assert_eq!(both.is_err(), a.excludes.contains(&b.name), "{} and {}", a.name, b.name);
            }
        }
    }

    #[test]
    fn gates_of_options_are_in_the_registry() {
        for version in Version::all() {
            for option in OPTIONS {
                let Some(gate) = option.gate(version) else { continue };
                assert_eq!(
                    Gate::find(gate).unwrap().stage(version),
                    option.stage(version),
                    "{}",
                    option.name
                );
            }
            assert_eq!(Gate::find("TopologyManager").unwrap().stage(version), None);
        }
    }
}
