//! The CPUs that the kubelet's static CPU manager gives containers of one GPU each, with equal numbers of CPUs, one
//! after the other, with the GPU's NUMA node as the topology manager's hint.

use super::dealer::CpuPolicy;
use crate::cpuset::CpuSet;
use crate::solve::cpus::kubelet::Kubelet;
use crate::solve::cpus::pool::CpuPool;

pub(super) const PACKED: CpuPolicy = CpuPolicy::new(
    "kubelet",
    "as the kubelet's static CPU manager gives pods of one GPU each, with full-pcpus-only",
    |pool, remarks| deal(pool, remarks, Kubelet { full_pcpus_only: true, ..Kubelet::default() }),
);

pub(super) const ACROSS_NUMA: CpuPolicy =
    CpuPolicy::new("kubelet-across-numa", "as kubelet, with distribute-cpus-across-numa", |pool, remarks| {
        deal(
            pool,
            remarks,
            Kubelet { full_pcpus_only: true, distribute_cpus_across_numa: true, ..Kubelet::default() },
        )
    });

pub(super) const BY_SOCKET: CpuPolicy =
    CpuPolicy::new("kubelet-by-socket", "as kubelet, with align-by-socket", |pool, remarks| {
        deal(pool, remarks, Kubelet { full_pcpus_only: true, align_by_socket: true, ..Kubelet::default() })
    });

pub(super) const ACROSS_CORES: CpuPolicy = CpuPolicy::new(
    "kubelet-across-cores",
    "as kubelet, with distribute-cpus-across-cores and not full-pcpus-only",
    |pool, remarks| deal(pool, remarks, Kubelet { distribute_cpus_across_cores: true, ..Kubelet::default() }),
);

pub(super) const BY_UNCORE: CpuPolicy = CpuPolicy::new(
    "kubelet-by-uncorecache",
    "as kubelet, with prefer-align-cpus-by-uncorecache",
    |pool, remarks| {
        deal(
            pool,
            remarks,
            Kubelet { full_pcpus_only: true, prefer_align_cpus_by_uncorecache: true, ..Kubelet::default() },
        )
    },
);

fn deal(pool: &CpuPool<'_>, remarks: &mut Vec<String>, mut kubelet: Kubelet) -> Vec<CpuSet> {
    let consumers: Vec<usize> = (0..pool.near.len()).filter(|gpu| !pool.near[*gpu].is_empty()).collect();
    let mut shares = vec![CpuSet::new(); pool.near.len()];
    if consumers.is_empty() {
        return shares;
    }
    let threads = pool.cores.iter().map(CpuSet::len).max().unwrap_or(1);
    let whole = pool.cores.iter().filter(|core| core.len() == threads).count() / consumers.len() * threads;
    let count =
        if kubelet.full_pcpus_only && whole > 0 { whole } else { pool.usable.len() / consumers.len() };
    // Where there is less than a core for each, or siblings are left out, the kubelet would refuse every pod.
    kubelet.full_pcpus_only &= whole > 0;
    let mut free = pool.usable.clone();
    for &gpu in &consumers {
        let near = pool.topology.nodes_of_cpus(&pool.near[gpu]);
        let hint = Some(&near).filter(|near| !near.is_empty());
        let given = kubelet.allocate(pool.topology, &free, count, hint).or_else(|_| {
            let loose = Kubelet { full_pcpus_only: false, ..kubelet };
            loose.allocate(pool.topology, &free, count, hint)
        });
        match given {
            Ok(cpus) if !cpus.is_empty() => {
                free = free.difference(&cpus);
                shares[gpu] = cpus;
            }
            _ => {
                let name = pool.topology.device_name(gpu);
                remarks.push(format!(
                    "the kubelet has no CPUs left for {name}; those near it are taken, and GPUs share CPUs"
                ));
                shares[gpu].clone_from(&pool.near[gpu]);
            }
        }
    }
    shares
}
