//! Caches where the files of single CPUs are missing or contradict others.

use super::*;
use crate::CpuSet;
use crate::model::{Cache, CacheKind};

fn cache(made: Made, cpu: u32, index: u32, facts: [&str; 4]) -> Made {
    let names = ["level", "type", "size", "shared_cpu_map"];
    names.iter().zip(facts).filter(|(_, fact)| !fact.is_empty()).fold(made, |made, (name, fact)| {
        made.file(&format!("{CPU}/cpu{cpu}/cache/index{index}/{name}"), fact)
    })
}

/// Returns eight CPUs with a first and a second level each.
fn plain() -> Made {
    (0..8).fold(Made::new(), |made, cpu| {
        let own = format!("{:x}", 1 << cpu);
        let made = cache(made, cpu, 0, ["1", "Data", "32K", &own]);
        cache(made, cpu, 1, ["2", "Unified", "1024K", &own])
    })
}

fn without(made: Made, path: &str) -> Made {
    std::fs::remove_file(made.0.join(CPU).join(path)).unwrap();
    made
}

fn caches(made: &Made) -> Vec<Cache> {
    let topology = made.topology();
    let caches = topology.nodes().filter_map(|(_, node)| match &node.kind {
        NodeKind::Cache(cache) => Some(cache.clone()),
        _ => None,
    });
    caches.collect()
}

fn of(made: &Made, cpu: u32) -> Vec<(u8, CacheKind, Option<u64>)> {
    let mut mine = caches(made);
    mine.retain(|cache| cache.cpus.contains(cpu));
    mine.sort_by_key(|cache| cache.level);
    mine.into_iter().map(|cache| (cache.level, cache.kind, cache.size)).collect()
}

const FIRST: (u8, CacheKind, Option<u64>) = (1, CacheKind::Data, Some(32 << 10));
const SECOND: (u8, CacheKind, Option<u64>) = (2, CacheKind::Unified, Some(1 << 20));

#[test]
fn level_and_kind_are_those_of_the_first_cache_that_is_alike() {
    let made = without(without(plain(), "cpu5/cache/index0/level"), "cpu5/cache/index0/type");
    let made = cache(made, 6, 1, ["3", "Instruction", "", ""]);
    for cpu in 0..8 {
        assert_eq!(of(&made, cpu), [FIRST, SECOND], "CPU {cpu}");
    }
}

#[test]
fn a_cache_of_another_size_or_for_more_cpus_is_asked_itself() {
    let made = cache(plain(), 5, 0, ["1", "Unified", "64K", ""]);
    let made = cache(made, 6, 1, ["3", "Unified", "1024K", "c0"]);
    assert_eq!(of(&made, 4), [FIRST, SECOND]);
    assert_eq!(of(&made, 5), [(1, CacheKind::Unified, Some(64 << 10)), SECOND]);
    for cpu in [6, 7] {
        assert_eq!(of(&made, cpu), [FIRST, (3, CacheKind::Unified, Some(1 << 20))], "CPU {cpu}");
    }
    // Of another size and without a level, nothing is known of it.
    let made = without(cache(plain(), 5, 0, ["", "", "64K", ""]), "cpu5/cache/index0/level");
    assert_eq!(of(&made, 5), [SECOND]);
}

#[test]
fn sharers_and_sizes_are_never_taken_from_another_cpu() {
    let shared = |made, cpu| cache(made, cpu, 1, ["", "", "", "c"]);
    let made = without(shared(shared(plain(), 2), 3), "cpu3/cache/index0/shared_cpu_map");
    assert_eq!(of(&made, 3), [SECOND], "without sharers it is none");
    let made = without(plain(), "cpu3/cache/index0/size");
    assert_eq!(of(&made, 3), [(1, CacheKind::Data, None), SECOND]);
    let made = without(without(plain(), "cpu0/cache/index0/level"), "cpu0/cache/index0/size");
    assert_eq!((of(&made, 0), of(&made, 1)), (vec![SECOND], vec![FIRST, SECOND]));
}

#[test]
fn what_is_below_the_cache_of_one_cpu_is_of_that_cpu() {
    let made = without(plain(), "cpu3/cache/index0/shared_cpu_map");
    assert_eq!(of(&made, 3), [FIRST, SECOND]);
    // Of the same level it may be shared, and where there is nothing, nothing is concluded.
    let made = cache(plain(), 3, 2, ["2", "Instruction", "64K", "8"]);
    let made = cache(made, 2, 1, ["2", "Unified", "1024K", "c"]);
    assert_eq!(
        caches(&cache(made, 3, 1, ["", "", "", "c"])).iter().filter(|own| own.cpus.len() == 2).count(),
        1
    );
    let made = without(without(plain(), "cpu3/cache/index0/shared_cpu_map"), "cpu3/cache/index0/size");
    assert_eq!(of(&made, 3), [SECOND]);
}

/// Returns four cores of two CPUs, with a second level for each core, and a first that is shared in the given way.
fn smt(first: fn(u32) -> u32) -> Made {
    (0..8).fold(Made::empty().file(&format!("{CPU}/online"), "0-7"), |made, cpu| {
        let (core, folder) = (format!("{:x}", 3 << (cpu & !1)), format!("{CPU}/cpu{cpu}/topology"));
        let made = made.cpu(cpu, 0, "ff").file(&format!("{folder}/core_cpus"), &core);
        let made = made.file(&format!("{folder}/core_id"), &(cpu / 2).to_string());
        let made = cache(made, cpu, 0, ["1", "Data", "32K", &format!("{:x}", first(cpu))]);
        cache(made, cpu, 1, ["2", "Unified", "1024K", &core])
    })
}

#[test]
fn what_is_below_the_cache_of_one_core_is_of_that_core_where_the_first_is_so() {
    let firsts = |made: &Made| -> Vec<String> {
        let caches = caches(made).into_iter().filter(|own| own.level == 1);
        caches.map(|own| own.cpus.to_string()).collect()
    };
    let made = without(smt(|cpu| 3 << (cpu & !1)), "cpu4/cache/index0/shared_cpu_map");
    assert_eq!(firsts(&made), ["0-1", "2-3", "4-5", "6-7"]);
    // CPUs with a first level each, as in modules of two cores that the kernel calls one.
    assert_eq!(firsts(&smt(|cpu| 1 << cpu)), ["0", "1", "2", "3", "4", "5", "6", "7"]);
    // Of another size nothing is known.
    let made = cache(smt(|cpu| 3 << (cpu & !1)), 4, 0, ["", "", "64K", "10"]);
    let made = cache(made, 5, 0, ["", "", "64K", "20"]);
    assert_eq!(firsts(&made), ["0-1", "2-3", "4", "5", "6-7"]);
}

#[test]
fn a_later_cpu_with_more_caches_is_asked_for_them() {
    let made = cache(plain(), 4, 2, ["3", "Unified", "8M", "f0"]);
    let last = caches(&made).into_iter().find(|cache| cache.level == 3).unwrap();
    assert_eq!(last.cpus, "4-7".parse::<CpuSet>().unwrap());
}
