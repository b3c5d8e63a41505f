//! Small machines whose CPUs are easily dealt out wrongly, made up or recorded: cores of two classes, isolated CPUs,
//! cpusets with holes, caches that shares should not straddle.

use nvtopo::model::CoreClass;
use nvtopo::render::launch_format;
use nvtopo::solve::{core_classes, logical_cpus};
use nvtopo::source::Locator;
use nvtopo::{CpuRules, CudaOrder, Isolated, Plan, Request, Topology, VisibleGpus, share_cpus, split_cpus};
use std::path::{Path, PathBuf};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/trees").join(name)
}

/// The machine of a tree, and of the matrix beside it where there is one.
fn machine(archive: &str) -> Topology {
    let folder = crate::sysfs::unpack(&data(archive));
    let matrix = data(&format!("{}.topo.txt", archive.split('.').next().unwrap()));
    let sources = [Some(folder), matrix.is_file().then_some(matrix)];
    let sources: Vec<Locator> = sources.into_iter().flatten().map(Locator::Path).collect();
    Topology::open(&sources).unwrap()
}

fn rules(options: &[(&str, &str)]) -> CpuRules {
    let mut rules = CpuRules::default();
    for (name, value) in options {
        match *name {
            "policy" => rules.policy = value.parse().unwrap(),
            "isolated" => rules.limits.isolated = value.parse().unwrap(),
            "cores" => rules.limits.cores = value.parse().unwrap(),
            "allowed" => rules.limits.allowed = Some(value.parse().unwrap()),
            _ => panic!("{name}"),
        }
    }
    rules
}

/// The CPUs of one rank for each GPU, and what is said of them.
fn dealt(topology: &Topology, options: &[(&str, &str)]) -> (Vec<String>, String) {
    let visible = VisibleGpus::all(topology, CudaOrder::PciBusId);
    let plan = Plan::new(topology, &visible, topology.gpus().len(), &rules(options)).unwrap();
    (plan.parts().iter().map(|part| part.cpus.to_string()).collect(), plan.remarks().join("\n"))
}

#[test]
fn each_gpu_has_as_many_cores_of_each_class() {
    let hybrid = machine("hybrid2.tar.gz");
    let (cpus, remarks) = dealt(&hybrid, &[]);
    assert_eq!(cpus, ["0-7,16-23", "8-15,24-31"]);
    assert_eq!(
        remarks,
        "cores of several classes: rank 0, rank 1 have 4 performance and 8 efficiency cores each"
    );
    assert_eq!(dealt(&hybrid, &[("cores", "fast")]).0, ["0-7", "8-15"]);
    let classes = core_classes(&hybrid, &hybrid.cpus());
    let classes: Vec<_> = classes.iter().map(|(class, cpus)| (*class, cpus.to_string())).collect();
    let expected = [(CoreClass::Efficiency, "16-31"), (CoreClass::Performance, "0-15")];
    assert_eq!(classes, expected.map(|(class, cpus)| (class, cpus.to_owned())));
    // By every policy that gives each GPU CPUs of its own, with holes in the cpuset too.
    for policy in ["exclusive", "scattered", "balanced", "core-complex", "machine"] {
        for allowed in ["0-31", "2-5,8-15,18-31", "0,2,4,6,16-19", "1-7,17-23"] {
            let shares = share_cpus(&hybrid, &rules(&[("policy", policy), ("allowed", allowed)])).gpus;
            let counts = shares.iter().map(|share| {
                let classes = core_classes(&hybrid, &share.cpus);
                let count = |class| classes.iter().find(|own| own.0 == class).map_or(0, |own| own.1.len());
                (count(CoreClass::Performance), count(CoreClass::Efficiency))
            });
            let counts: Vec<_> = counts.collect();
            // Threads are counted here: a core more is two.
            assert!(counts[0].0.abs_diff(counts[1].0) <= 2, "{policy} {allowed} {counts:?}");
            assert!(counts[0].1.abs_diff(counts[1].1) <= 1, "{policy} {allowed} {counts:?}");
        }
    }
    // The workers of one process too: 8 cores of two threads and 16 of one, cut in three.
    let workers = split_cpus(&hybrid, &hybrid.cpus(), 3).unwrap();
    let classes = workers.iter().map(|cpus| core_classes(&hybrid, cpus).into_iter().map(|own| own.1.len()));
    let counts: Vec<Vec<usize>> = classes.map(Iterator::collect).collect();
    assert_eq!(counts, [[6, 4], [5, 6], [5, 6]]);
    // Cores that are alike are of no class, and are not asked for without a word.
    let alike = machine("ccx.tar.gz");
    let (cpus, remarks) = dealt(&alike, &[("cores", "fast")]);
    assert_eq!(cpus, dealt(&alike, &[]).0);
    assert!(remarks.contains("no cores are known to be faster"), "{remarks}");
}

#[test]
fn isolated_cpus_are_left_out_with_a_word_and_used_where_that_is_asked_for() {
    let (cpus, remarks) = dealt(&machine("isol1.tar.gz"), &[]);
    assert_eq!(cpus, ["0,2,4,6", "8,10,12,14", "16,18,20,22", "24,26,28,30"]);
    assert!(remarks.contains("near GPU2, GPU3 are left out because they are isolated"), "{remarks}");
    assert!(!remarks.contains("near GPU0"), "{remarks}");
    let (cpus, remarks) = dealt(&machine("isol1.tar.gz"), &[("isolated", "use")]);
    assert_eq!(&cpus[2..], ["1,3,5,7,9,11,13,15", "17,19,21,23,25,27,29,31"]);
    assert!(remarks.contains("rank 2, rank 3 may run on several isolated CPUs"), "{remarks}");
    assert!(!remarks.contains("left out"), "{remarks}");

    let (cpus, remarks) = dealt(&machine("isol2.tar.gz"), &[]);
    assert_eq!(cpus, ["0", "0", "1", "1"]);
    assert!(remarks.contains("near GPU0, GPU1 are left out because they are isolated"), "{remarks}");
    assert!(remarks.contains("near GPU2, GPU3 are left out because they are isolated"), "{remarks}");

    // Where there are no others they are meant.
    let (cpus, remarks) = dealt(&machine("isolcg.tar.gz"), &[]);
    assert_eq!(cpus, ["4,6", "8,10", "5,7", "9,11"]);
    assert!(remarks.contains("between which the kernel does not balance load"), "{remarks}");
    // One isolated CPU for a rank needs no balance.
    let (_, remarks) = dealt(&machine("isolcg.tar.gz"), &[("allowed", "4,5,6,7")]);
    assert!(!remarks.contains("balance"), "{remarks}");
    assert_eq!(Isolated::default().to_string(), "avoid");
}

#[test]
fn few_cpus_stay_below_one_cache() {
    let topology = machine("ccx.tar.gz");
    let cpus = |gpus, cpus| {
        let placement = Request::gpus(gpus).cpus_per_gpu(cpus).solve(&topology).unwrap();
        placement.gpus().iter().map(|gpu| gpu.cpus.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(cpus(2, 6), ["0-2,16-18", "8-10,24-26"]);
    // Three times 6 fit below three of the caches, and one cache holds 8 CPUs at most.
    let cache = |list: &String| {
        let set: nvtopo::CpuSet = list.parse().unwrap();
        set.iter().map(|cpu| cpu % 16 / 4).collect::<std::collections::BTreeSet<_>>().len()
    };
    for (gpus, each) in [(1, 2), (1, 8), (2, 2), (2, 4), (2, 8), (3, 2), (3, 6), (3, 8)] {
        let lists = cpus(gpus, each);
        assert!(lists.iter().all(|list| cache(list) == 1), "{gpus} of {each}: {lists:?}");
    }
    assert!(cpus(1, 10).iter().all(|list| cache(list) == 2));
}

#[test]
fn a_few_cpus_are_enough_for_each_gpu_to_have_some() {
    let (cpus, _) = dealt(&machine("seven.tar.gz"), &[]);
    assert_eq!(cpus, ["3,131", "17,145", "18,146", "19,147", "64,192", "65,193", "66", "194"]);
    assert_eq!(dealt(&machine("small2.tar.gz"), &[]).0, ["0", "1"]);
    let crowd = machine("crowd.tar.gz");
    let (near, _) = dealt(&crowd, &[]);
    assert_eq!((near[0].as_str(), near[4].as_str()), ("0-3,128-131", "64-67,192-195"));
    let (all, _) = dealt(&crowd, &[("policy", "machine")]);
    let sets: Vec<nvtopo::CpuSet> = all.iter().map(|cpus| cpus.parse().unwrap()).collect();
    assert!(sets.iter().all(|set| set.len() == crowd.cpus().len() / 8), "{all:?}");
}

#[test]
fn shares_of_gpus_that_compete_are_of_one_size() {
    let (cpus, _) = dealt(&machine("core-complex-not-one-size.tar.bz2"), &[("policy", "core-complex")]);
    let sizes: Vec<usize> = cpus.iter().map(|cpus| cpus.parse::<nvtopo::CpuSet>().unwrap().len()).collect();
    assert_eq!(sizes[0], sizes[1], "{cpus:?}");
}

/// The order is that of `hwloc-calc --logical-input --physical-output --intersect pu all` of hwloc 2.9.0.
#[test]
fn cpus_are_counted_as_hwloc_counts_them_where_a_cpuset_has_holes() {
    for (archive, order) in [
        (
            "order-r910.tar.bz2",
            "4,8,12,16,20,24,28,32,36,1,5,9,13,17,21,25,29,33,37,2,6,10,14,18,22,26,30,34,38,3,7,11,15,19,23,27,31,35,39",
        ),
        (
            "order-xeon.tar.bz2",
            "32,4,36,8,40,12,44,16,48,20,52,24,56,28,60,2,34,6,38,10,42,14,46,18,50,22,54,26,58,30,62,1,33,5,37,9,41,\
             13,45,17,49,21,53,25,57,29,61,3,35,7,39,11,43,15,47,19,51,23,55,27,59,31,63",
        ),
        ("order-cpuset.tar.bz2", "8,4,9,5,13,2,10,6,3,11,7"),
    ] {
        let own: Vec<String> = logical_cpus(&machine(archive)).iter().map(ToString::to_string).collect();
        assert_eq!(own.join(","), order, "{archive}");
    }
    let (cpus, _) = dealt(&machine("order-cpuset.tar.bz2"), &[("policy", "hwloc-distrib")]);
    assert_eq!(cpus, ["4-5,8-9,13", "2-3,6-7,10-11"]);
}

#[test]
fn a_rankfile_of_open_mpi_5_names_the_cpus_of_the_right_package() {
    for (archive, gpu1) in [("order-r910.tar.bz2", "9-18"), ("order-xeon.tar.bz2", "31-46")] {
        let topology = machine(archive);
        let visible = VisibleGpus::all(&topology, CudaOrder::PciBusId);
        let plans = Plan::new(&topology, &visible, 2, &CpuRules::default()).unwrap();
        let text = launch_format("rankfile-ompi5").unwrap().print(&plans).unwrap();
        assert!(text.contains(&format!("rank 1=localhost slot={gpu1}\n")), "{archive}: {text}");
    }
}

#[test]
fn cores_that_the_kernel_does_not_tell_of_are_noted() {
    let topology = machine("empty-topology-folder.tar.bz2");
    let notes: Vec<String> = topology.notes().iter().map(ToString::to_string).collect();
    assert!(
        notes.iter().any(|note| note.contains("does not tell which CPUs share a core or a package")),
        "{notes:?}"
    );
}

#[test]
fn ranks_without_gpus_get_as_many_cores_of_each_class_and_hear_of_isolated_ones() {
    let alone = |topology: &Topology, ranks, isolated: &str| {
        let layout = nvtopo::RankLayout { gpus: Some(0), ..nvtopo::RankLayout::default() };
        let rules = CpuRules { layout, ..rules(&[("isolated", isolated)]) };
        let plan = Plan::new(topology, &VisibleGpus::default(), ranks, &rules).unwrap();
        (plan.parts().iter().map(|part| part.cpus.to_string()).collect::<Vec<_>>(), plan.remarks().join("\n"))
    };
    let (cpus, remarks) = alone(&machine("hybrid2.tar.gz"), 3, "avoid");
    assert_eq!(cpus, ["0-3,16-20", "4-7,21-25", "8-11,26-30"]);
    assert!(remarks.contains("rank 0, rank 1, rank 2 have 2 performance and 5 efficiency cores each"));
    let isolated = machine("isol1.tar.gz");
    let (cpus, remarks) = alone(&isolated, 2, "avoid");
    let kept = &isolated.machine().isolated_cpus;
    let used: Vec<nvtopo::CpuSet> = cpus.iter().map(|cpus| cpus.parse().unwrap()).collect();
    assert!(used.iter().all(|cpus| cpus.is_disjoint(kept)), "{cpus:?}");
    assert!(remarks.contains(&format!("CPUs {kept} are left out because they are isolated")), "{remarks}");
    assert!(!alone(&isolated, 2, "use").1.contains("left out"));
}
