//! Comparisons of the answers by domains with those of branch and bound, on random machines that consist of domains.

use super::*;
use crate::model::{
    Fragment, Gpu, Nic, NodeId, NvSwitch, PathType, Provenance, Stated, Topology, TopologyBuilder, rates,
};
use crate::solve::objective::by_names;
use crate::solve::search::exact;
use proptest::prelude::*;

/// Racks of hosts of GPUs.
#[derive(Clone, Debug)]
struct Plan {
    /// The GPUs of each host of each rack.
    racks: Vec<Vec<usize>>,
    /// The span of NVLink: nothing, hosts, racks, or all.
    fabric: usize,
    /// The span of a NUMA node: unknown, a host, a rack, or all; or each host, unknown for odd ones.
    home: usize,
    /// The path to the NICs of odd hosts, if each host has NICs of its own, as many as GPUs.
    nics: Option<PathType>,
    /// The CPUs beside every third host are gone, and the memory of odd NUMA nodes is not allowed.
    confined: bool,
}

impl Plan {
    fn topology(&self) -> Topology {
        let mut fragment = Fragment::new(Provenance::Preset);
        let mut gpus: Vec<(NodeId, usize, usize)> = Vec::new();
        let mut nics: Vec<(NodeId, usize)> = Vec::new();
        let mut host = 0;
        fragment.machine().allowed_nodes = self.confined.then(|| [0, 2, 4, 6, 8].into_iter().collect());
        for (rack, hosts) in self.racks.iter().enumerate() {
            for count in hosts {
                for _ in 0..*count {
                    let index = gpus.len() as u32;
                    let known = (host % 2 == 0).then_some(host);
                    let home = [None, Some(host), Some(rack), Some(0), known][self.home];
                    let nodes = home
                        .map_or(Stated::Unstated, |home| Stated::Known([home as u32].into_iter().collect()));
                    let cpus = (host % 3 > 0).then_some(host as u32).into_iter().collect();
                    let cpus = if self.confined { Stated::Known(cpus) } else { Stated::Unstated };
                    let gpu = Gpu { index, cpus, nodes, ..Gpu::default() };
                    gpus.push((fragment.add(NodeId::MACHINE, gpu), rack, host));
                }
                for _ in 0..self.nics.map_or(0, |_| *count) {
                    let nic = Nic { name: format!("mlx5_{}", nics.len()), ..Nic::default() };
                    nics.push((fragment.add(NodeId::MACHINE, nic), host));
                }
                host += 1;
            }
        }
        let fabric = |rack: usize, host: usize| [None, Some(host), Some(rack), Some(0)][self.fabric];
        for place in 0..gpus.len() {
            let members: Vec<NodeId> = gpus
                .iter()
                .filter(|(_, rack, host)| fabric(*rack, *host) == Some(place))
                .map(|gpu| gpu.0)
                .collect();
            match members[..] {
                [] | [_] => {}
                [a, b] => fragment.link(a, b, rates::nvlink(3, 4)),
                _ => {
                    let switch = fragment.add(NodeId::MACHINE, NvSwitch::default());
                    for gpu in &members {
                        fragment.link(*gpu, switch, rates::nvlink(3, 4));
                    }
                }
            }
        }
        for (index, (a, rack, host)) in gpus.iter().enumerate() {
            for (b, ..) in &gpus[..index] {
                let (_, other_rack, other_host) = gpus.iter().find(|gpu| gpu.0 == *b).unwrap();
                let path = match () {
                    () if host == other_host => PathType::Pix,
                    () if rack == other_rack => PathType::Phb,
                    () => PathType::Sys,
                };
                fragment.state_path(*a, *b, path);
            }
            for (nic, near) in &nics {
                let own = if near % 2 == 1 { self.nics.unwrap_or(PathType::Pix) } else { PathType::Pix };
                fragment.state_path(*a, *nic, if near == host { own } else { PathType::Sys });
            }
        }
        TopologyBuilder::new().with(fragment).build().unwrap()
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let racks = prop::collection::vec(prop::collection::vec(1usize..=3, 1..=3), 1..=3);
    let nics = prop::option::of(prop::sample::select(vec![PathType::Pix, PathType::Pxb, PathType::Node]));
    let plan = (racks, 0usize..4, 0usize..5, nics, any::<bool>());
    plan.prop_map(|(racks, fabric, home, nics, confined)| Plan { racks, fabric, home, nics, confined })
        .prop_filter("few GPUs", |plan| plan.racks.iter().flatten().sum::<usize>() <= 10)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn domains_tell_what_a_search_finds(
        plan in plan(),
        uses in prop::collection::vec(0u8..8, 10),
        count in 1usize..=10,
        order in Just(vec!["ring", "min-pair", "numa-span", "nic", "pair-sum"]).prop_shuffle(),
        named in 0usize..=5,
        scope in any::<u16>(),
        scoped in any::<bool>(),
    ) {
        let topology = plan.topology();
        let all: Vec<usize> = (0..topology.gpus().len()).collect();
        let weights = Weights::of(&topology, &all);
        prop_assert!(weights.domains().is_some());
        let pick = |wanted: &[u8]| set::of(all.iter().copied().filter(|gpu| wanted.contains(&uses[*gpu])));
        let (free, include, barred) = (pick(&[1, 2, 3, 4, 5, 6, 7]), pick(&[7]), pick(&[6]));
        prop_assume!(free.count_ones() as usize >= count && include.count_ones() as usize <= count);
        let mut objectives = match named {
            0 => crate::solve::objective::DEFAULT_OBJECTIVES.to_vec(),
            _ => by_names(&order[..named]).unwrap(),
        };
        objectives.retain(|objective| objective.matters(&topology));
        let mix: Vec<(usize, u64)> = (1..=all.len()).map(|size| (size, (1_000_000 / all.len()) as u64)).collect();
        let scopes = [free & Set::from(scope), free & !Set::from(scope)];
        let task = Task {
            include,
            barred,
            scopes: scoped.then_some(&scopes[..]),
            ..Task::new(free, count, &objectives, &mix)
        };
        let by_domains = search(&weights, &task).expect("objectives that numbers tell");
        match (by_domains, exact::search(&weights, &task)) {
            (Ok(own), Ok(found)) => {
                prop_assert_eq!(&own.values, &found.values, "{:#b} {:#b}", own.chosen, found.chosen);
                prop_assert!(found.complete);
                // The set has the stated value.
                let only = Task { free, include: own.chosen, barred: 0, scopes: None, ..task };
                prop_assert_eq!(exact::search(&weights, &only).unwrap().values, own.values);
                prop_assert!(own.chosen & (barred | !free) == 0 && include & !own.chosen == 0);
            }
            (own, found) => prop_assert_eq!(own.map(|own| own.chosen), found.map(|found| found.chosen)),
        }
    }
}

#[test]
fn meshes_are_not_made_of_domains() {
    for (name, made) in [
        ("dgx-1-v100", false),
        ("dgx-2", true),
        ("dgx-a100", true),
        ("dgx-h100", true),
        ("rtx-a6000-4-bridged", true),
        ("l40s-8-pcie", true),
    ] {
        let topology = Topology::preset(name).unwrap();
        assert_eq!(Domains::of(&topology).is_some(), made, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn homes_tell_the_very_set_that_the_table_finds(
        sizes in prop_oneof![
            prop::collection::vec(2usize..=5, 2..=7),
            prop::collection::vec(Just(2usize), 2..=12),
            prop::collection::vec(Just(1usize), 2..=6),
        ],
        free in any::<Set>(),
        also in any::<Set>(),
        often in 0u64..3,
        count in 1usize..=20,
        home in 0usize..=1,
    ) {
        let plan = Plan { racks: vec![sizes], fabric: 3, home, nics: None, confined: false };
        let topology = plan.topology();
        let gpus = topology.gpus().len();
        let domains = Domains::of(&topology).unwrap();
        let free = (free | also) & set::all(gpus);
        let count = 1 + count % gpus;
        let mut objectives = crate::solve::objective::DEFAULT_OBJECTIVES.to_vec();
        objectives.retain(|objective| objective.matters(&topology));
        let objectives = &objectives[..];
        let mix: Vec<(usize, u64)> = (1..=gpus).map(|size| (size, often * size as u64)).collect();
        let uses: Vec<Use> =
            (0..gpus).map(|gpu| if free >> gpu & 1 == 1 { Use::Open } else { Use::Gone }).collect();
        let by_table = domains.solve(&Ask { uses: &uses, count, objectives, mix: &mix }).unwrap();
        let by_numa = domains.by_numa(&Task::new(free, count, objectives, &mix)).expect("only numa differ");
        prop_assert_eq!(
            by_numa.map(|own| (members(own.chosen).collect(), own.values)),
            by_table.map(|found| (found.gpus, found.solution.values)),
            "{:#b}", free
        );
    }
}
