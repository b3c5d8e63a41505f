//! CPUs, memory and huge pages beside GPUs: the choice against every set and every way to divide what there is.

use crate::oracle::subsets;
use nvtopo::model::{
    Core, Fragment, Gpu, HugePages, NodeId, NodeKind, NumaNode, Provenance, Pu, Stated, TopologyBuilder,
    rates,
};
use nvtopo::solve::check::{Claim, Verdict, check};
use nvtopo::solve::{Allocator, Constraint};
use nvtopo::{CpuSet, ErrorKind, Placement, Request, Topology};
use proptest::prelude::*;
use std::collections::BTreeSet;

const GIB: u64 = 1 << 30;

#[test]
fn any_number_of_gpus_may_share_a_nic() {
    let dgx = Topology::preset("dgx-1-v100").unwrap();
    for gpus in [usize::MAX, usize::MAX / 4 + 1, usize::MAX / 2] {
        assert_eq!(Request::gpus(2).gpus_per_nic(gpus).solve(&dgx).unwrap().gpus().len(), 2);
    }
}

/// A NUMA node: cores of two threads, memory in GiB if that is known, and pages of 1 GiB, all and free, if those are.
#[derive(Clone, Debug)]
struct Place {
    cores: u32,
    memory: Option<u64>,
    pages: Option<(u64, u64)>,
}

/// A machine, with the nodes beside each GPU if they are known, and the pairs that NVLinks join.
#[derive(Clone, Debug)]
struct Machine {
    places: Vec<Place>,
    homes: Vec<Option<BTreeSet<usize>>>,
    links: Vec<u16>,
}

/// The needs of a job for each GPU: threads, GiB of memory, pages.
#[derive(Clone, Copy, Debug)]
struct Needs {
    cpus: u64,
    memory: u64,
    pages: u64,
}

fn machine(most: usize) -> impl Strategy<Value = Machine> {
    let place =
        (0u32..=4, prop::option::weighted(0.9, 0u64..=9), prop::option::weighted(0.7, (0u64..=3, 0u64..=3)))
            .prop_map(|(cores, memory, pages)| {
                let pages = pages.map(|(total, free)| (total, free.min(total)));
                Place { cores, memory, pages }
            });
    (prop::collection::vec(place, 1..=3), 1..=most).prop_flat_map(|(places, gpus)| {
        let home = prop::collection::btree_set(0..places.len(), 1..=2usize.min(places.len()));
        let homes = prop::collection::vec(prop::option::weighted(0.9, home), gpus);
        let links = prop::collection::vec(0u16..=3, gpus * (gpus - 1) / 2);
        (Just(places), homes, links).prop_map(|(places, homes, links)| Machine { places, homes, links })
    })
}

fn needs() -> impl Strategy<Value = Needs> {
    (0u64..=5, 0u64..=4, 0u64..=2).prop_map(|(cpus, memory, pages)| Needs { cpus, memory, pages })
}

impl Machine {
    fn cpus(&self, place: usize) -> CpuSet {
        let before: u32 = self.places[..place].iter().map(|place| place.cores).sum();
        (2 * before..2 * (before + self.places[place].cores)).collect()
    }

    /// The CPUs near a GPU: those of its nodes, and all where nobody knows.
    fn near(&self, gpu: usize) -> CpuSet {
        let all: BTreeSet<usize> = (0..self.places.len()).collect();
        let homes = self.homes[gpu].as_ref().unwrap_or(&all);
        homes.iter().fold(CpuSet::new(), |near, home| near.union(&self.cpus(*home)))
    }

    fn topology(&self) -> Topology {
        let mut fragment = Fragment::new(Provenance::Preset);
        for (place, Place { cores, memory, pages }) in self.places.iter().enumerate() {
            let huge_pages =
                pages.map(|(total, free)| HugePages::new(GIB, total, free)).into_iter().collect();
            let numa = fact!(
                NumaNode::new(place as u32),
                cpus = self.cpus(place),
                memory = memory.map(|memory| memory * GIB),
                huge_pages = huge_pages
            );
            let numa = fragment.add(NodeId::MACHINE, numa);
            let cpus: Vec<u32> = self.cpus(place).iter().collect();
            for core in 0..*cores as usize {
                let id = fragment.add(numa, Core::new(core as u32));
                for cpu in &cpus[2 * core..][..2] {
                    fragment.add(id, Pu::new(*cpu));
                }
            }
        }
        let stated = |gpu: usize| match &self.homes[gpu] {
            None => (Stated::NotAvailable, Stated::NotAvailable),
            Some(homes) => {
                let nodes = homes.iter().map(|home| *home as u32).collect();
                (Stated::Known(nodes), Stated::Known(self.near(gpu)))
            }
        };
        let gpu = |gpu: usize| {
            let (nodes, cpus) = stated(gpu);
            let gpu = fact!(Gpu::new(gpu as u32), nodes = nodes, cpus = cpus);
            NodeKind::Gpu(Box::new(gpu))
        };
        let gpus: Vec<NodeId> =
            (0..self.homes.len()).map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
        let pairs = (0..gpus.len()).flat_map(|a| (a + 1..gpus.len()).map(move |b| (a, b)));
        for ((a, b), links) in pairs.zip(&self.links).filter(|(_, links)| **links > 0) {
            fragment.link(gpus[a], gpus[b], rates::nvlink(2, *links));
        }
        TopologyBuilder::new().with(fragment).build().unwrap()
    }

    /// True where all GPUs of these jobs can have what they need, by all ways to divide it.
    fn serves(&self, jobs: &[(Vec<usize>, Needs)]) -> bool {
        let takers = || jobs.iter().flat_map(|(gpus, needs)| gpus.iter().map(move |gpu| (*gpu, *needs)));
        let mut threads: Vec<u64> = self.places.iter().map(|place| u64::from(place.cores) * 2).collect();
        let of_cpus: Vec<(u64, Vec<usize>)> = takers()
            .filter(|_| self.places.iter().any(|place| place.cores > 0))
            .map(|(gpu, needs)| {
                // A node without CPUs that nobody says is far from others is near to none.
                let all = || (0..self.places.len()).collect();
                let near = self.homes[gpu].clone().unwrap_or_else(all);
                let blind = near.iter().all(|home| self.places[*home].cores == 0);
                (needs.cpus, if blind { all().into_iter().collect() } else { near.into_iter().collect() })
            })
            .collect();
        let stock = |of: &dyn Fn(&Place) -> Option<u64>, need: &dyn Fn(Needs) -> u64| {
            let stocks: Vec<Option<u64>> = self.places.iter().map(of).collect();
            let known = |gpu: usize| {
                let homes = self.homes[gpu].as_ref()?;
                homes.iter().all(|home| stocks[*home].is_some()).then(|| homes.iter().copied().collect())
            };
            let takers: Vec<(u64, Vec<usize>)> =
                takers().filter_map(|(gpu, needs)| Some((need(needs), known(gpu)?))).collect();
            let mut left: Vec<u64> = stocks.iter().map(|stock| stock.unwrap_or(0)).collect();
            divides(&takers, &mut left)
        };
        let memory = |place: &Place| {
            let set_aside = place.pages.map_or(0, |(total, _)| total);
            place.memory.map(|memory| memory.saturating_sub(set_aside))
        };
        divides(&of_cpus, &mut threads)
            && stock(&memory, &|needs| needs.memory)
            && stock(&|place| place.pages.map(|(_, free)| free), &|needs| needs.pages)
    }
}

/// True where each can get its amount of the stocks that it may use: one unit after another, by all ways.
fn divides(takers: &[(u64, Vec<usize>)], left: &mut [u64]) -> bool {
    let Some(((need, stocks), others)) = takers.split_first() else { return true };
    if *need == 0 {
        return divides(others, left);
    }
    let Some((stock, rest)) = stocks.split_first() else { return false };
    // All amounts of the first stock; the rest from the others.
    (0..=(*need).min(left[*stock])).any(|amount| {
        left[*stock] -= amount;
        let mut next = vec![(need - amount, rest.to_vec())];
        next.extend_from_slice(others);
        let found = divides(&next, left);
        left[*stock] += amount;
        found
    })
}

fn request(count: usize, needs: Needs) -> Request {
    Request::gpus(count)
        .cpus_per_gpu(needs.cpus as usize)
        .memory_per_gpu(needs.memory * GIB)
        .hugepages_per_gpu(GIB, needs.pages)
}

fn positions(placement: &Placement) -> Vec<usize> {
    placement.gpus().iter().map(|gpu| gpu.position).collect()
}

fn pair_sum(topology: &Topology, set: &[usize]) -> u64 {
    let pairs = set.iter().enumerate().flat_map(|(index, a)| set[index + 1..].iter().map(move |b| (*a, *b)));
    pairs.map(|(a, b)| topology.pairs().pair(a, b).rate.map_or(0, |rate| rate.bandwidth.as_mb_per_s())).sum()
}

/// Each GPU of all these jobs has what its job needs, of what is beside it, and no two have the same.
fn assert_given(machine: &Machine, jobs: &[(Needs, &Placement)]) {
    let mut cpus = CpuSet::new();
    let mut memory = vec![0; machine.places.len()];
    let mut pages = vec![0; machine.places.len()];
    for (needs, gpu) in jobs.iter().flat_map(|(needs, job)| job.gpus().iter().map(move |gpu| (needs, gpu))) {
        let counted = machine.places.iter().any(|place| place.cores > 0);
        if needs.cpus > 0 && counted {
            assert_eq!(gpu.cpus.len() as u64, needs.cpus, "{machine:?}");
            assert!(machine.near(gpu.position).is_empty() || gpu.cpus.is_subset(&machine.near(gpu.position)));
            assert!(gpu.cpus.is_disjoint(&cpus), "{machine:?}");
            cpus = cpus.union(&gpu.cpus);
        }
        let home = |node: u32| machine.homes[gpu.position].as_ref().unwrap().contains(&(node as usize));
        let homes = machine.homes[gpu.position].iter().flatten();
        let knows = |of: &dyn Fn(&Place) -> bool| {
            machine.homes[gpu.position].is_some() && homes.clone().all(|home| of(&machine.places[*home]))
        };
        assert_eq!(gpu.memory.is_some(), needs.memory > 0 && knows(&|place| place.memory.is_some()));
        if let Some(given) = &gpu.memory {
            assert_eq!(given.iter().map(|given| given.bytes).sum::<u64>(), needs.memory * GIB);
            for given in given {
                assert!(home(given.node) && gpu.mems.contains(given.node));
                memory[given.node as usize] += given.bytes;
            }
        }
        assert_eq!(gpu.huge_pages.is_some(), needs.pages > 0 && knows(&|place| place.pages.is_some()));
        if let Some(given) = &gpu.huge_pages {
            assert_eq!(given.iter().map(|given| given.count).sum::<u64>(), needs.pages);
            for given in given {
                assert!(given.size == GIB && home(given.node) && gpu.mems.contains(given.node));
                pages[given.node as usize] += given.count;
            }
        }
    }
    for (index, place) in machine.places.iter().enumerate() {
        let (total, free) = place.pages.unwrap_or((0, u64::MAX));
        assert!(place.memory.is_none_or(|all| memory[index] <= all.saturating_sub(total) * GIB));
        assert!(pages[index] <= free);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_best_set_that_can_be_served_is_chosen(
        machine in machine(7),
        needs in needs(),
        count in 1usize..=7,
        keep in prop::collection::vec(0u8..4, 7),
    ) {
        let topology = machine.topology();
        let candidates: Vec<usize> = (0..machine.homes.len()).filter(|gpu| keep[*gpu] != 0).collect();
        prop_assume!(!candidates.is_empty());
        let count = 1 + (count - 1) % candidates.len();
        let request = request(count, needs).only(candidates.iter().map(|gpu| *gpu as u32)).objectives(["pair-sum"]);
        let sets = subsets(&candidates, count);
        let served: Vec<&Vec<usize>> =
            sets.iter().filter(|set| machine.serves(&[((*set).clone(), needs)])).collect();
        let placement = match request.solve(&topology) {
            Ok(placement) => placement,
            Err(error) => {
                prop_assert_eq!(error.kind(), ErrorKind::Unsatisfiable);
                prop_assert!(served.is_empty(), "{} but {:?}", error, served);
                return Ok(());
            }
        };
        let own = positions(&placement);
        prop_assert!(served.contains(&&own), "{:?} cannot be served", own);
        let best = served.iter().map(|set| pair_sum(&topology, set)).max().unwrap();
        prop_assert_eq!(pair_sum(&topology, &own), best);
        // Of some dense meshes the search for rings cannot prove that there are no better ones.
        let first = placement.scores()[0];
        prop_assert_eq!(first.value, first.bound);
        assert_given(&machine, &[(needs, &placement)]);
        let claim = Claim::from(&placement);
        let verdict = check(&topology, &request, &claim).unwrap();
        prop_assert!(verdict.is_ok());
        prop_assert_eq!(matches!(verdict, Ok(Verdict::Proven { .. })), placement.is_optimal());
        for other in sets.iter().filter(|set| !served.contains(set)) {
            let wrong = Claim { gpus: other.clone(), ..claim.clone() };
            prop_assert!(check(&topology, &request, &wrong).unwrap().is_err());
        }
    }

    #[test]
    fn jobs_on_a_node_never_have_the_same(
        machine in machine(6),
        jobs in prop::collection::vec((1usize..=2, needs()), 1..5),
    ) {
        let mut node = Allocator::new(&machine.topology()).unwrap();
        let mut placed = Vec::new();
        for (count, needs) in &jobs {
            let request = request(*count, *needs);
            let before = node.what_if(&request).ok().map(|placement| positions(&placement));
            let Ok(job) = node.place(&request) else { continue };
            let own = node.placement(job).unwrap().clone();
            prop_assert_eq!(before, Some(positions(&own)));
            placed.push((job, *needs, own));
            let all: Vec<(Needs, &Placement)> = placed.iter().map(|(_, needs, own)| (*needs, own)).collect();
            assert_given(&machine, &all);
        }
        for (job, ..) in placed.drain(..) {
            node.release(job).unwrap();
        }
        let empty = Allocator::new(node.topology()).unwrap();
        for (count, needs) in &jobs {
            let request = request(*count, *needs);
            let given = |node: &Allocator| node.what_if(&request).ok().map(|placement| placement.gpus().to_vec());
            prop_assert_eq!(given(&node), given(&empty));
        }
    }

    #[test]
    fn a_batch_is_placed_where_there_is_room_for_all(
        machine in machine(5),
        jobs in prop::collection::vec((1usize..=2, needs()), 1..4),
    ) {
        let mut node = Allocator::new(&machine.topology()).unwrap();
        let requests: Vec<Request> = jobs.iter().map(|(count, needs)| request(*count, *needs)).collect();
        let all: Vec<usize> = (0..machine.homes.len()).collect();
        let fits = divisions(&all, &jobs.iter().map(|(count, _)| *count).collect::<Vec<_>>()).into_iter().any(|sets| {
            let jobs: Vec<_> = sets.into_iter().zip(&jobs).map(|(set, (_, needs))| (set, *needs)).collect();
            machine.serves(&jobs)
        });
        match node.place_all(&requests) {
            Err(error) => prop_assert!(!fits && error.kind() == ErrorKind::Unsatisfiable, "{}", error),
            Ok(batch) => {
                prop_assert!(fits);
                let own = |index: usize| node.placement(batch.jobs[index]).unwrap();
                let all: Vec<_> = jobs.iter().enumerate().map(|(index, (_, needs))| (*needs, own(index))).collect();
                assert_given(&machine, &all);
            }
        }
        // As many of the first as there is room for.
        let (count, needs) = jobs[0];
        let most = (0..=all.len() / count).rev().find(|jobs| {
            divisions(&all, &vec![count; *jobs]).into_iter().any(|sets| {
                machine.serves(&sets.into_iter().map(|set| (set, needs)).collect::<Vec<_>>())
            })
        });
        let empty = Allocator::new(node.topology()).unwrap();
        prop_assert_eq!(empty.room_for(&requests[0]).unwrap(), (most.unwrap(), true));
    }
}

/// All ways to give disjoint sets of these sizes away.
fn divisions(free: &[usize], sizes: &[usize]) -> Vec<Vec<Vec<usize>>> {
    let Some((size, others)) = sizes.split_first() else { return vec![vec![]] };
    let mut all = Vec::new();
    for set in subsets(free, *size) {
        let rest: Vec<usize> = free.iter().copied().filter(|gpu| !set.contains(gpu)).collect();
        all.extend(divisions(&rest, others).into_iter().map(|mut sets| {
            sets.insert(0, set.clone());
            sets
        }));
    }
    all
}

#[test]
fn what_is_missing_is_told_node_by_node() {
    let dgx = Topology::preset("dgx-h100").unwrap();
    let error = Request::gpus(3).memory_per_gpu(600 << 30).solve(&dgx).unwrap_err().to_string();
    assert_eq!(
        error,
        "no 3 of the 8 GPUs to choose from have 600 GiB of memory each beside them; at most 2 can be had, such as \
         GPU0 and GPU4; NUMA node 0 has 1 TiB of memory left, enough for 1 of GPU0, GPU1, GPU2, GPU3; NUMA node 1 has 1 TiB of \
         memory left, enough for 1 of GPU4, GPU5, GPU6, GPU7"
    );
    // A preference that the memory forbids is told so, and the next one holds.
    let steps = [Constraint::SameNumaNode, Constraint::SameNvlinkGroup];
    let explained = Request::gpus(2).memory_per_gpu(600 << 30).prefer(steps).explain(&dgx).unwrap();
    assert_eq!(explained.placement.preference(), Some(Constraint::SameNvlinkGroup));
    assert!(explained.placement.unmet()[0].witness.contains("enough for 1 of GPU0"));
    // What first fit takes has no memory there; the next best has.
    let shown = nvtopo::render::json::explanation(&explained);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let (next, first_fit) = (explained.next.unwrap(), explained.first_fit.unwrap());
    assert_eq!(
        (&shown["next"]["why"], &shown["first_fit"]["why"]),
        (&next.why().into(), &first_fit.why().into())
    );
    assert_eq!(first_fit.why(), "do not have what is asked for");
    assert!(next.meets && !first_fit.meets);
    assert_eq!((next.gpu_indices, first_fit.gpu_indices), (vec![1, 4], vec![0, 1]));
    let error = Request::gpus(1).hugepages_per_gpu(0, 1).solve(&dgx).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
}

#[test]
fn memory_of_gpus_is_none_for_jobs() {
    let gh200 = Topology::preset("gh200").unwrap();
    let host = gh200.numa_nodes().find(|node| node.gpu.is_none()).unwrap().clone();
    let all = host.memory.unwrap();
    let placement = Request::gpus(1).memory_per_gpu(all).solve(&gh200).unwrap();
    assert_eq!(placement.gpus()[0].memory.as_ref().unwrap()[0].node, host.os_index);
    assert!(Request::gpus(1).memory_per_gpu(all + 1).solve(&gh200).is_err());
}

#[test]
fn memory_of_nodes_that_this_process_may_not_use_is_none_for_jobs() {
    let dgx = Topology::preset("dgx-h100").unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&dgx.to_json()).unwrap();
    let machine = &mut document["topology"]["nodes"][0]["machine"];
    assert!(machine.is_object(), "{machine}");
    machine["allowed_nodes"] = "1".into();
    let topology = Topology::parse("one.json", document.to_string().as_bytes()).unwrap();
    let placement = Request::gpus(2).memory_per_gpu(GIB).solve(&topology).unwrap();
    assert_eq!(positions(&placement), [4, 5]);
    let nodes: Vec<u32> =
        placement.gpus().iter().flat_map(|gpu| gpu.memory.iter().flatten()).map(|own| own.node).collect();
    assert_eq!(nodes, [1, 1]);
    let error = Request::gpus(1).only([0]).memory_per_gpu(GIB).solve(&topology).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsatisfiable);
    assert_eq!(positions(&Request::gpus(1).only([0]).solve(&topology).unwrap()), [0]);
}

#[test]
fn cpus_come_from_the_own_share_first() {
    let dgx = Topology::preset("dgx-h100").unwrap();
    let cpus =
        |placement: &Placement| placement.gpus().iter().map(|gpu| gpu.cpus.to_string()).collect::<Vec<_>>();
    let small = Request::gpus(2).cpus_per_gpu(3).solve(&dgx).unwrap();
    assert_eq!(cpus(&small), ["0-1,112", "14-15,126"]);
    assert!(small.remarks().is_empty());
    // More than the share: those of GPUs that nobody else has before those of GPUs that were excluded.
    let large = Request::gpus(1).only([0, 3]).cpus_per_gpu(32).solve(&dgx).unwrap();
    assert_eq!(cpus(&large), ["0-13,42-43,112-125,154-155"]);
    assert!(large.remarks()[0].contains("of the shares of GPU3"), "{:?}", large.remarks());
    // On a node it is known what jobs have, and a job that asks for nothing leaves it to them.
    let mut node = Allocator::new(&dgx).unwrap();
    let first = node.place(&Request::gpus(1).only([0]).cpus_per_gpu(32)).unwrap();
    assert_eq!(cpus(node.placement(first).unwrap()), ["0-15,112-127"]);
    assert!(node.placement(first).unwrap().remarks().is_empty());
    let other = node.what_if(&Request::gpus(1).only([1])).unwrap();
    assert_eq!(cpus(&other), ["16-27,128-139"]);
    // Where nothing is left of a share, others near the GPU are given, as many as it had.
    node.release(first).unwrap();
    let first = node.place(&Request::gpus(1).only([0]).cpus_per_gpu(60)).unwrap();
    assert_eq!(cpus(node.placement(first).unwrap()), ["0-29,112-141"]);
    let other = node.what_if(&Request::gpus(1).only([1])).unwrap();
    assert_eq!(cpus(&other), ["30-43,142-155"]);
    // Two GPUs of one job of whose shares nothing is left get others that are not the same.
    node.release(first).unwrap();
    let first = node.place(&Request::gpus(1).only([0]).cpus_per_gpu(84)).unwrap();
    assert_eq!(cpus(node.placement(first).unwrap()), ["0-41,112-153"]);
    let both = node.what_if(&Request::gpus(2).only([1, 2])).unwrap();
    let sets: Vec<CpuSet> = both.gpus().iter().map(|gpu| gpu.cpus.clone()).collect();
    assert!(sets.iter().all(|own| !own.is_empty()) && sets[0].is_disjoint(&sets[1]), "{sets:?}");
}

#[test]
fn memory_of_several_nodes_serves_gpus_that_share_some_of_them() {
    let place = |memory| Place { cores: 2, memory: Some(memory), pages: None };
    let home = |nodes: &[usize]| Some(nodes.iter().copied().collect());
    let machine = Machine {
        places: [2, 2, 1, 9].map(place).into(),
        homes: vec![home(&[0, 1]), home(&[1, 2]), home(&[3])],
        links: vec![0; 3],
    };
    let needs = Needs { cpus: 0, memory: 3, pages: 0 };
    let topology = machine.topology();
    let placement = request(2, needs).solve(&topology).unwrap();
    assert_given(&machine, &[(needs, &placement)]);
    // The first two need six of the five that they reach.
    let error = request(2, needs).only([0, 1]).solve(&topology).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsatisfiable);
    let all = Machine { places: [2, 2, 3, 9].map(place).into(), ..machine };
    let placement = request(3, needs).solve(&all.topology()).unwrap();
    assert_given(&all, &[(needs, &placement)]);
}

#[test]
fn memory_that_only_three_gpus_together_exceed_is_told_apart() {
    let place = |memory| Place { cores: 2, memory: Some(memory), pages: None };
    let home = |nodes: &[usize]| Some(nodes.iter().copied().collect());
    // Each two of the first three are served, and all three need nine of the eight that they reach.
    let machine = Machine {
        places: [1, 3, 3, 1, 9].map(place).into(),
        homes: vec![home(&[0, 1]), home(&[1, 2]), home(&[2, 3]), home(&[4])],
        links: vec![0; 6],
    };
    let needs = Needs { cpus: 0, memory: 3, pages: 0 };
    let topology = machine.topology();
    for two in [[0, 1], [0, 2], [1, 2]] {
        assert_given(&machine, &[(needs, &request(2, needs).only(two).solve(&topology).unwrap())]);
    }
    let error = request(3, needs).only([0, 1, 2]).solve(&topology).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsatisfiable);
    let placement = request(3, needs).solve(&topology).unwrap();
    assert_given(&machine, &[(needs, &placement)]);
    assert!(placement.gpus().iter().any(|gpu| gpu.index == 3));
}

#[test]
fn nics_are_counted_over_all_jobs() {
    let dgx1 = Topology::preset("dgx-1-v100").unwrap();
    let mut node = Allocator::new(&dgx1).unwrap();
    let pair = Request::gpus(2).gpus_per_nic(1);
    assert_eq!(node.room_for(&pair).unwrap(), (2, true));
    let batch = node.place_all(&[pair.clone(), pair.clone()]).unwrap();
    let jobs = batch.jobs.iter().flat_map(|job| node.placement(*job).unwrap().gpus());
    let nics: BTreeSet<String> = jobs.filter_map(|gpu| gpu.nic.clone()).collect();
    assert_eq!(nics.len(), 4);
    let error = node.what_if(&Request::gpus(1).gpus_per_nic(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsatisfiable);
    assert!(error.to_string().contains("the NICs can serve 0 more GPUs so"), "{error}");
    assert!(node.what_if(&Request::gpus(1).gpus_per_nic(2)).is_ok());
    // The answer and its check agree on what NICs are worth then.
    for count in 1..=4 {
        let request = Request::gpus(count).gpus_per_nic(1).objectives(["nic"]);
        let claim = Claim::from(&request.solve(&dgx1).unwrap());
        assert!(matches!(check(&dgx1, &request, &claim).unwrap(), Ok(Verdict::Proven { .. })), "{count}");
    }
}

#[test]
fn a_nic_of_a_gpu_alone_is_not_said_to_be_shared() {
    let dgx = Topology::preset("dgx-1-v100").unwrap();
    let shared = |request: Request| -> Vec<(String, Vec<u32>)> {
        let placement = request.only([0, 1]).solve(&dgx).unwrap();
        let own = |gpu: &nvtopo::PlacedGpu| (gpu.nic.clone().unwrap(), gpu.nic_shared_with.clone());
        placement.gpus().iter().map(own).collect()
    };
    assert_eq!(shared(Request::gpus(2)), [("mlx5_0".into(), vec![1]), ("mlx5_0".into(), vec![0])]);
    assert_eq!(
        shared(Request::gpus(2).gpus_per_nic(1)),
        [("mlx5_0".into(), vec![]), ("mlx5_1".into(), vec![])]
    );
}
