//! NICs nearest to a GPU, and the assignment of NICs to the GPUs of a job.

use super::weight::{Weight, of_pair};
use crate::model::{LinkLayer, Nic, PathType, PortState, Topology};
use crate::units::Bandwidth;
use std::collections::{BTreeMap, BTreeSet};

/// Returns the NICs on the best path class from a GPU, as positions in [`Topology::devices`], with that class. None
/// when there is no NIC or no path is known.
///
/// ```
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// let (nics, path) = nvtopo::nearest_nics(&dgx, 0);
/// assert_eq!((dgx.device_name(nics[0]).as_str(), path), ("mlx5_0", Some(nvtopo::PathType::Pix)));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn nearest_nics(topology: &Topology, gpu: usize) -> (Vec<usize>, Option<PathType>) {
    let first = topology.gpus().len();
    let paths = (first..topology.devices().len())
        .filter_map(|nic| Some((nic, topology.pairs().pair(gpu, nic).path?)));
    let best = paths.clone().map(|(_, path)| path).min();
    (paths.filter(|(_, path)| Some(*path) == best).map(|(nic, _)| nic).collect(), best)
}

/// Assigns a NIC to each of these GPUs, both as positions in [`Topology::devices`], in the order given: the assignment
/// whose worst path is best, by bandwidth and then by class, and among those the one with the best sum. A NIC serves at
/// most `per_nic` GPUs, each of which has that part of its port; one whose port is down serves none. `None` where there
/// are not enough NICs, or a position is no GPU.
///
/// ```
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// let own = nvtopo::solve::assign_nics(&dgx, &[0, 1], 1).unwrap();
/// let names: Vec<String> = own.iter().map(|nic| dgx.device_name(*nic)).collect();
/// assert_eq!(names, ["mlx5_0", "mlx5_3"]);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn assign_nics(topology: &Topology, gpus: &[usize], per_nic: usize) -> Option<Vec<usize>> {
    if gpus.iter().any(|gpu| *gpu >= topology.gpus().len()) {
        return None;
    }
    let nics = usable_nics(topology);
    let rows: Vec<Vec<Weight>> = gpus.iter().map(|&gpu| to_nics(topology, gpu, &nics, per_nic)).collect();
    let rows: Vec<&[Weight]> = rows.iter().map(Vec::as_slice).collect();
    let least = bottleneck(&rows, per_nic)?;
    Some(best_sum(&rows, per_nic, least).into_iter().map(|nic| nics[nic]).collect())
}

/// Assigns as [`assign_nics`] does, where `room` is the number of GPUs that each usable NIC has room for.
pub(crate) fn assign_within(topology: &Topology, gpus: &[usize], room: &[usize]) -> Option<Vec<usize>> {
    let nics = usable_nics(topology);
    let per_nic = gpus_per_nic(topology);
    let row = |gpu: &usize| repeated(&to_nics(topology, *gpu, &nics, per_nic), room, gpus.len());
    let rows: Vec<Vec<Weight>> = gpus.iter().map(row).collect();
    let rows: Vec<&[Weight]> = rows.iter().map(Vec::as_slice).collect();
    let least = bottleneck(&rows, 1)?;
    let places = repeated(&nics, room, gpus.len());
    Some(best_sum(&rows, 1, least).into_iter().map(|place| places[place]).collect())
}

/// Repeats each column as often as it has room, but no more often than there are rows.
pub(crate) fn repeated<T: Copy>(columns: &[T], room: &[usize], rows: usize) -> Vec<T> {
    let times = columns.iter().zip(room);
    times.flat_map(|(column, room)| std::iter::repeat_n(*column, (*room).min(rows))).collect()
}

/// Returns a NIC for each GPU of the machine, by the GPU's position: [assigned](assign_nics) so that none serves more
/// than [its share](gpus_per_nic). All GPUs are counted, whoever uses them, so that two jobs agree. `None` where there
/// is no NIC or no path is known.
///
/// ```
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// let nics = nvtopo::fair_nics(&dgx);
/// assert_eq!(dgx.device_name(nics[0].unwrap()), "mlx5_0");
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn fair_nics(topology: &Topology) -> Vec<Option<usize>> {
    let gpus: Vec<usize> = (0..topology.gpus().len()).collect();
    let Some(mut nics) = assign_nics(topology, &gpus, gpus_per_nic(topology)) else {
        return vec![None; gpus.len()];
    };
    // GPUs on InfiniBand and GPUs on Ethernet cannot talk: where a port is down, another of its kind takes over.
    let of_layer = |nics: &[usize], layer: LinkLayer| {
        let of_layer = |nic: &usize| nic_at(topology, *nic).and_then(|nic| nic.link_layer) == Some(layer);
        nics.iter().copied().filter(of_layer).collect::<Vec<usize>>()
    };
    let [infiniband, ethernet] =
        [LinkLayer::InfiniBand, LinkLayer::Ethernet].map(|layer| of_layer(&nics, layer).len());
    if infiniband > 0 && ethernet > 0 {
        let layer = if infiniband >= ethernet { LinkLayer::InfiniBand } else { LinkLayer::Ethernet };
        let alike = of_layer(&usable_nics(topology), layer);
        let is_alike: BTreeSet<usize> = alike.iter().copied().collect();
        let mut users = BTreeMap::<usize, usize>::new();
        for nic in &nics {
            *users.entry(*nic).or_default() += 1;
        }
        for gpu in gpus {
            if is_alike.contains(&nics[gpu]) {
                continue;
            }
            // It shares the port with the GPU that the NIC was assigned to.
            let weights = to_nics(topology, gpu, &alike, 2);
            let best = weights.into_iter().zip(&alike).max_by_key(|(weight, nic)| {
                (*weight, std::cmp::Reverse(users.get(nic).copied()), std::cmp::Reverse(**nic))
            });
            if let Some((_, nic)) = best {
                nics[gpu] = *nic;
                *users.entry(*nic).or_default() += 1;
            }
        }
    }
    let known = |gpu: usize, nic: usize| topology.pairs().pair(gpu, nic).path.is_some();
    nics.into_iter().enumerate().map(|(gpu, nic)| known(gpu, nic).then_some(nic)).collect()
}

/// Returns the NICs for each GPU of the machine, by the GPU's position: the [fair](fair_nics) one first, then others of
/// its kind that are as near, where more than half of the GPUs have one more. NICs for storage and management are
/// fewer, of another kind, or farther.
///
/// ```
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// assert_eq!(nvtopo::solve::nics_of_gpus(&dgx)[0].len(), 1);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn nics_of_gpus(topology: &Topology) -> Vec<Vec<usize>> {
    let mut own: Vec<Vec<usize>> =
        fair_nics(topology).iter().map(|nic| nic.iter().copied().collect()).collect();
    let used: BTreeSet<usize> = own.iter().flatten().copied().collect();
    let mut open = usable_nics(topology);
    open.retain(|nic| !used.contains(nic));
    let served = own.iter().filter(|own| !own.is_empty()).count();
    if gpus_per_nic(topology) > 1 || served == 0 {
        return own;
    }
    let kind = |nic: usize| nic_at(topology, nic).map(|nic| (nic.link_layer, nic.model.clone(), nic.rate));
    loop {
        let alike = |(gpu, own): (usize, &Vec<usize>)| {
            let first = own.first().copied();
            let as_near = |nic: usize, first: usize| {
                let path = |nic| topology.pairs().pair(gpu, nic).path;
                path(nic) == path(first) && kind(nic) == kind(first)
            };
            open.iter()
                .map(|nic| Weight(u64::from(first.is_some_and(|first| as_near(*nic, first)))))
                .collect()
        };
        let rows: Vec<Vec<Weight>> = own.iter().enumerate().map(alike).collect();
        let rows: Vec<&[Weight]> = rows.iter().map(Vec::as_slice).collect();
        let mut matching =
            Matching { rows: &rows, most: 1, taken: vec![Vec::new(); open.len()], seen: Vec::new() };
        let mut found = 0;
        for row in 0..rows.len() {
            matching.seen = vec![false; open.len()];
            found += usize::from(matching.find(row, Weight(1)));
        }
        if found * 2 <= served {
            return own;
        }
        let taken: Vec<Option<usize>> = matching.taken.iter().map(|rows| rows.first().copied()).collect();
        for (nic, gpu) in open.iter().zip(&taken) {
            if let Some(gpu) = gpu {
                own[*gpu].push(*nic);
            }
        }
        open = open.into_iter().zip(taken).filter(|(_, gpu)| gpu.is_none()).map(|(nic, _)| nic).collect();
    }
}

/// Returns a NIC by its position among the devices.
pub(crate) fn nic_at(topology: &Topology, position: usize) -> Option<&Nic> {
    topology.node(*topology.devices().get(position)?).kind.as_nic()
}

/// Returns the number of GPUs that one NIC serves where all GPUs of the machine use NICs: ⌈GPUs / NICs⌉, where there
/// are any.
///
/// ```
/// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?; // 8 GPUs, 4 NICs
/// assert_eq!(nvtopo::solve::gpus_per_nic(&dgx1), 2);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn gpus_per_nic(topology: &Topology) -> usize {
    topology.gpus().len().div_ceil(usable_nics(topology).len().max(1))
}

/// Returns the NICs that can carry data, as far as is known.
pub(crate) fn usable_nics(topology: &Topology) -> Vec<usize> {
    let first = topology.gpus().len();
    let down = |nic: usize| nic_at(topology, nic).and_then(|nic| nic.state) == Some(PortState::Down);
    (first..topology.devices().len()).filter(|nic| !down(*nic)).collect()
}

/// Returns the weights from a GPU to NICs, each shared by the GPUs that it serves: the bandwidth is at most that of the
/// path, and at most its part of the port.
pub(crate) fn to_nics(topology: &Topology, gpu: usize, nics: &[usize], per_nic: usize) -> Vec<Weight> {
    let to = |nic: usize| {
        let weight = of_pair(topology.pairs().pair(gpu, nic));
        let port = nic_at(topology, nic).and_then(port_rate);
        let share = port.map(|rate| rate.as_mb_per_s() / per_nic.max(1) as u64);
        share.map_or(weight, |share| weight.at_most(Bandwidth::from_mb_per_s(share)))
    };
    nics.iter().map(|&nic| to(nic)).collect()
}

/// Returns the rate of a NIC's port: the measured one, at most its nominal rate.
fn port_rate(nic: &Nic) -> Option<Bandwidth> {
    [nic.rate, nic.measured].into_iter().flatten().min()
}

/// Returns the worst weight of the best assignment of a column to each row, where a column takes at most `most` rows.
/// `None`: there are too few columns.
pub(crate) fn bottleneck(rows: &[&[Weight]], most: usize) -> Option<Weight> {
    let columns = rows.first().map_or(0, |row| row.len());
    if rows.len() > columns.saturating_mul(most) {
        return None;
    }
    let mut levels: Vec<Weight> = rows.iter().flat_map(|row| row.iter().copied()).collect();
    levels.sort_unstable_by(|a, b| b.cmp(a));
    levels.dedup();
    let mut matching = Matching { rows, most, taken: vec![Vec::new(); columns], seen: vec![false; columns] };
    let mut unmatched: Vec<usize> = (0..rows.len()).collect();
    for level in levels {
        unmatched.retain(|row| {
            matching.seen.fill(false);
            !matching.find(*row, level)
        });
        if unmatched.is_empty() {
            return Some(level);
        }
    }
    (rows.is_empty()).then_some(Weight::MAX)
}

/// A bipartite matching of rows to columns.
struct Matching<'a> {
    rows: &'a [&'a [Weight]],
    most: usize,
    taken: Vec<Vec<usize>>,
    seen: Vec<bool>,
}

impl Matching<'_> {
    /// Finds a column of at least `level` for a row; others may have to move (an augmenting path).
    fn find(&mut self, row: usize, level: Weight) -> bool {
        for column in 0..self.taken.len() {
            if self.rows[row][column] < level || std::mem::replace(&mut self.seen[column], true) {
                continue;
            }
            if self.taken[column].len() < self.most {
                self.taken[column].push(row);
                return true;
            }
            for place in 0..self.taken[column].len() {
                if self.find(self.taken[column][place], level) {
                    self.taken[column][place] = row;
                    return true;
                }
            }
        }
        false
    }
}

/// Returns the columns of the assignment with the greatest sum among those that use no weight below `least`. Adds row
/// by row, each by the augmenting path that gains most (successive longest paths).
fn best_sum(rows: &[&[Weight]], most: usize, least: Weight) -> Vec<usize> {
    let columns = rows.first().map_or(0, |row| row.len());
    let gain = |row: usize, column: usize| {
        let weight = rows[row][column];
        (weight >= least).then_some(weight.0.cast_signed())
    };
    let mut own: Vec<usize> = Vec::with_capacity(rows.len());
    for new in 0..rows.len() {
        // The most that the new row can gain with one more row in each column, and the row that moves there.
        let mut best: Vec<Option<(i64, usize)>> =
            (0..columns).map(|column| gain(new, column).map(|gain| (gain, new))).collect();
        loop {
            let mut changed = false;
            for row in 0..new {
                let from = own[row];
                let Some((so_far, _)) = best[from] else { continue };
                for to in (0..columns).filter(|to| *to != from) {
                    let Some(moved) = gain(row, to) else { continue };
                    let total = so_far - rows[row][from].0.cast_signed() + moved;
                    if best[to].is_none_or(|(best, _)| total > best) {
                        best[to] = Some((total, row));
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        let taken = |column: usize| own.iter().filter(|own| **own == column).count();
        let open = (0..columns).filter(|column| taken(*column) < most);
        let end = open.filter_map(|column| Some((best[column]?.0, std::cmp::Reverse(column)))).max();
        // An assignment of all rows exists, so there is always an augmenting path.
        let Some((_, std::cmp::Reverse(mut column))) = end else { return own };
        own.push(column);
        while let Some((_, row)) = best[column].filter(|(_, row)| *row != new) {
            column = std::mem::replace(&mut own[row], column);
        }
        own[new] = column;
    }
    own
}
