//! Equal, disjoint shares that keep to core complexes: the cores under one level 3 cache.
//!
//! Each GPU gets as many whole complexes as all can have. Where there are fewer complexes than GPUs, several GPUs divide
//! one, and none reaches into another. Shares of GPUs that compete are then cut down to one size.

use super::dealer::CpuPolicy;
use crate::cpuset::CpuSet;
use crate::solve::cpus::cores::complexes;
use crate::solve::cpus::deal::{
    Arrangement, count_cores, deal, deal_atoms, deal_near, overlapping, shared, trim, trim_alike,
};
use crate::solve::cpus::pool::CpuPool;

pub(super) const POLICY: CpuPolicy = CpuPolicy::new(
    "core-complex",
    "disjoint shares of one size that keep to whole level 3 caches, or inside one where these are few",
    deal_complexes,
)
.or("l3");

fn deal_complexes(pool: &CpuPool<'_>, remarks: &mut Vec<String>) -> Vec<CpuSet> {
    let (complexes, unknown) = complexes(pool.topology, &pool.cores);
    if !unknown.is_empty() {
        remarks
            .push("which cores share a level 3 cache is unknown; they are dealt out one by one".to_owned());
        return deal_near(pool, Arrangement::Together, remarks);
    }
    let complexes: Vec<CpuSet> = complexes.iter().map(|cores| cores.iter().collect::<CpuSet>()).collect();
    let mut shares = vec![CpuSet::new(); pool.near.len()];
    for group in overlapping(&pool.near) {
        let whole = deal_atoms(&group, &pool.near, &complexes, &pool.classes, Arrangement::Together);
        let dealt = match whole {
            Some(whole) => Some(same_number(whole, &complexes)),
            None => divide(pool, &group, &complexes)
                .or_else(|| deal(&group, &pool.near, &pool.cores, &pool.classes, Arrangement::Together)),
        };
        let mut dealt = dealt.unwrap_or_else(|| shared(pool, &group, remarks));
        trim_alike(&mut dealt, &pool.cores, &pool.classes);
        for (gpu, cpus) in group.into_iter().zip(dealt) {
            shares[gpu] = cpus;
        }
    }
    shares
}

/// Takes complexes away until all shares have the same number.
fn same_number(mut shares: Vec<CpuSet>, complexes: &[CpuSet]) -> Vec<CpuSet> {
    let least = shares.iter().map(|share| count_cores(share, complexes)).min().unwrap_or(0);
    trim(&mut shares, complexes, least);
    shares
}

/// Assigns each GPU to the complex with the most room beside the GPUs that are there already, and divides each complex.
/// `None` where there are too few CPUs for that.
fn divide(pool: &CpuPool<'_>, group: &[usize], complexes: &[CpuSet]) -> Option<Vec<CpuSet>> {
    let mut there: Vec<Vec<usize>> = vec![Vec::new(); complexes.len()];
    for (consumer, &gpu) in group.iter().enumerate() {
        // Whole cores for all of them count before threads.
        let room = |complex: usize| {
            let near = complexes[complex].intersection(&pool.near[gpu]);
            let (cores, consumers) = (count_cores(&near, &pool.cores), there[complex].len() + 1);
            let whole = cores >= consumers;
            (whole, if whole { cores } else { near.len() }, consumers)
        };
        let reachable = (0..complexes.len()).filter(|complex| room(*complex).1 > 0);
        let best = reachable.max_by(|&a, &b| {
            let ((a_whole, a_room, a_consumers), (b_whole, b_room, b_consumers)) = (room(a), room(b));
            a_whole.cmp(&b_whole).then((a_room * b_consumers).cmp(&(b_room * a_consumers))).then(b.cmp(&a))
        })?;
        there[best].push(consumer);
    }
    let mut shares = vec![CpuSet::new(); group.len()];
    for (complex, consumers) in complexes.iter().zip(&there).filter(|(_, consumers)| !consumers.is_empty()) {
        let near: Vec<CpuSet> =
            consumers.iter().map(|&consumer| pool.near[group[consumer]].intersection(complex)).collect();
        let everyone: Vec<usize> = (0..consumers.len()).collect();
        let parts = deal(&everyone, &near, &pool.cores, &pool.classes, Arrangement::Together)?;
        for (&consumer, part) in consumers.iter().zip(parts) {
            shares[consumer] = part;
        }
    }
    Some(shares)
}
