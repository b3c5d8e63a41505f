//! All cores of the machine in equal, disjoint shares, near ones first: for GPUs that crowd one NUMA node while others
//! have none.

use super::dealer::CpuPolicy;
use crate::cpuset::CpuSet;
use crate::solve::cpus::deal::{Arrangement, count_cores, deal_near, trim};
use crate::solve::cpus::pool::CpuPool;
use std::cmp::Reverse;

pub(super) const POLICY: CpuPolicy = CpuPolicy::new(
    "machine",
    "all cores of the machine in equal disjoint shares, near ones first, so that crowded GPUs get others too",
    deal,
);

fn deal(pool: &CpuPool<'_>, remarks: &mut Vec<String>) -> Vec<CpuSet> {
    let consumers: Vec<usize> = (0..pool.near.len()).filter(|gpu| !pool.near[*gpu].is_empty()).collect();
    let mut shares = vec![CpuSet::new(); pool.near.len()];
    if consumers.is_empty() {
        return shares;
    }
    if pool.cores.len() < consumers.len() {
        return deal_near(pool, Arrangement::Together, remarks);
    }
    let near = deal_near(pool, Arrangement::Together, &mut Vec::new());
    // Where a core is shared by several GPUs, all begin with nothing: there are enough whole cores elsewhere.
    let owners = |core: &CpuSet| near.iter().filter(|share| !share.is_disjoint(core)).count();
    if pool.cores.iter().all(|core| owners(core) <= 1) {
        shares = near;
    }
    let (mut held, mut dealt, mut moved) = (vec![0; shares.len()], vec![CpuSet::new(); shares.len()], false);
    for cores in pool.classes.divide(&pool.cores) {
        let all = cores.iter().collect::<CpuSet>();
        let own = shares.iter().map(|share| share.intersection(&all)).collect();
        moved |= level(pool, &consumers, &cores, own, &mut held, &mut dealt);
    }
    if moved {
        remarks
            .push("some GPUs get cores that are not near to them, so that all get equally many".to_owned());
    }
    dealt
}

/// Deals out the cores of one class, beginning with the cores that each GPU has: a GPU with too many gives some, one
/// with too few gets the nearest that are free. Tells whether a GPU gets cores that are not near.
fn level(
    pool: &CpuPool<'_>,
    consumers: &[usize],
    cores: &[CpuSet],
    mut shares: Vec<CpuSet>,
    held: &mut [usize],
    dealt: &mut [CpuSet],
) -> bool {
    let (each, more) = (cores.len() / consumers.len(), cores.len() % consumers.len());
    // The remainder goes to the GPUs that hold the least of other classes, then to those with the most near cores, so
    // that the fewest move.
    let mut by_size = consumers.to_vec();
    by_size.sort_by_key(|gpu| (held[*gpu], Reverse(count_cores(&shares[*gpu], cores)), *gpu));
    let most = |rank: usize| each + usize::from(rank < more);
    for (rank, &gpu) in by_size.iter().enumerate() {
        trim(&mut shares[gpu..=gpu], cores, most(rank));
    }
    let mut free: Vec<&CpuSet> =
        cores.iter().filter(|core| shares.iter().all(|share| share.is_disjoint(core))).collect();
    let mut moved = false;
    for (rank, &gpu) in by_size.iter().enumerate() {
        for place in pool.by_distance(gpu) {
            while count_cores(&shares[gpu], cores) < most(rank) {
                let Some(found) = free.iter().position(|core| !core.is_disjoint(&place)) else { break };
                let core = free.remove(found);
                moved |= core.is_disjoint(&pool.near[gpu]);
                shares[gpu] = shares[gpu].union(core);
            }
        }
        held[gpu] += count_cores(&shares[gpu], cores);
        dealt[gpu] = dealt[gpu].union(&shares[gpu]);
    }
    moved
}
