//! The pick of NVIDIA's device plugin, found exactly: the free GPUs are divided into sets of the size asked for so that
//! the sum of the pair scores inside the sets is greatest, and the best set of that division is given out.
//!
//! For comparison, and for clusters that want the same picks faster. Nothing else here chooses this way: dividing all
//! GPUs well is not the same as choosing one set well. Source of the objective and of the scores: `bestEffortPolicy`
//! in NVIDIA/go-gpuallocator, which walks through all divisions.

use crate::error::{Error, ErrorKind, Result};
use crate::model::{PathType, Topology, tree};

/// The most GPUs that are divided.
pub const MAX_GPUS: usize = 16;

/// What a division that does not exist loses; the sum of two still fits.
const IMPOSSIBLE: i32 = i32::MAX / 4;

/// The score of each pair of GPUs, by their positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scores {
    gpus: usize,
    cells: Vec<u16>,
}

impl Scores {
    /// Scores from a function of two positions, of which the first is lower.
    pub fn new(gpus: usize, pair: impl Fn(usize, usize) -> u16) -> Result<Self> {
        if gpus > MAX_GPUS {
            let message = format!("{gpus} GPUs are more than the {MAX_GPUS} that are divided into sets");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let cell = |a: usize, b: usize| if a == b { 0 } else { pair(a.min(b), a.max(b)) };
        let cells = (0..gpus * gpus).map(|index| cell(index / gpus, index % gpus)).collect();
        Ok(Self { gpus, cells })
    }

    /// The scores that NVIDIA's device plugin gives, without a unit: for the path over PCIe and the CPUs 10 (`SYS`), 20
    /// (`NODE`), 30 (`PHB`), 40 (`PXB`) or 50 (`PIX`), nothing where it is unknown, and 100 for each NVLink.
    ///
    /// NVLinks over NVSwitches count, which the plugin itself does not see.
    pub fn of(topology: &Topology) -> Result<Self> {
        let devices = topology.devices();
        Self::new(topology.gpus().len(), |a, b| {
            let stated = topology.stated_path(devices[a], devices[b]);
            let path = stated.or_else(|| tree::path(|id| topology.node(id), devices[a], devices[b]));
            let host = match path {
                Some(PathType::Pix) => 50,
                Some(PathType::Pxb) => 40,
                Some(PathType::Phb) => 30,
                Some(PathType::Node) => 20,
                Some(PathType::Sys) => 10,
                _ => 0,
            };
            topology.pairs().pair(a, b).nvlinks.saturating_mul(100).saturating_add(host)
        })
    }

    /// How many GPUs there are.
    pub fn gpus(&self) -> usize {
        self.gpus
    }

    /// The score of a pair.
    pub fn pair(&self, a: usize, b: usize) -> u16 {
        self.cells[a * self.gpus + b]
    }

    /// The sum over the pairs of a set, one bit for each GPU.
    pub fn of_set(&self, set: u32) -> u32 {
        let (mut sum, mut left) = (0, set & ((1 << self.gpus) - 1));
        while left != 0 {
            let a = left.trailing_zeros() as usize;
            left &= left - 1;
            let mut others = left;
            while others != 0 {
                sum += u32::from(self.pair(a, others.trailing_zeros() as usize));
                others &= others - 1;
            }
        }
        sum
    }
}

/// A division of the free GPUs into sets, one bit for each GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The sets by their lowest members; one may be smaller than the others.
    pub sets: Vec<u32>,
    /// The sum over the pairs inside the sets: no division has more.
    pub total: u32,
    /// The full set with the greatest sum that holds the required GPUs; the first of several.
    pub chosen: u32,
}

/// Divides the `free` GPUs into sets of `count`, and one of what is left over, so that the scores inside the sets sum up to
/// the most, and one full set holds all `required` GPUs. Of equal divisions it is the one whose sets have the lowest
/// members, which is the one that a walk through all divisions meets first.
///
/// `None`: there are not enough free GPUs, no GPU is asked for, or more are required than fit or are free.
///
/// ```
/// use nvtopo::solve::partition::{Scores, best};
///
/// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?;
/// let pairs = best(&Scores::of(&dgx1)?, 0xff, 0, 2).unwrap();
/// assert_eq!(pairs.total, 920);
/// // Four pairs with two NVLinks each: not the single best pair, which would break another.
/// assert_eq!(pairs.sets, [0b1001, 0b0110, 0b1001_0000, 0b0110_0000]);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn best(scores: &Scores, free: u32, required: u32, count: usize) -> Option<Partition> {
    let all = (1u32 << scores.gpus) - 1;
    let size = free.count_ones() as usize;
    let sound = free & !all == 0 && required & !free == 0 && required.count_ones() as usize <= count;
    if count == 0 || size < count || !sound {
        return None;
    }
    let (sets, total) = match size {
        // The tables of few GPUs are small enough for the stack.
        0..=8 => Task::<8>::new(scores, free, required, count).run(|task| {
            let (mut losses, mut known, mut taken) = ([0; 256], [0; 256], [0; 256]);
            task.divide(Tables { losses: &mut losses, known: &mut known, taken: &mut taken })
        }),
        _ => Task::<MAX_GPUS>::new(scores, free, required, count).run(|task| {
            let (mut losses, mut known, mut taken) =
                (vec![0; 1 << size], vec![0; 1 << size], vec![0; 1 << size]);
            task.divide(Tables { losses: &mut losses, known: &mut known, taken: &mut taken })
        }),
    };
    let whole = |set: &u32| set.count_ones() as usize == count && set & required == required;
    let chosen = sets
        .iter()
        .copied()
        .filter(whole)
        .reduce(|best, set| if scores.of_set(set) > scores.of_set(best) { set } else { best })?;
    Some(Partition { sets, total, chosen })
}

/// One question, with the free GPUs, `N` at most, numbered from 0.
struct Task<const N: usize> {
    size: usize,
    count: usize,
    /// The size of the set that is not full; 0 when there is none.
    rest: usize,
    required: u32,
    /// Whether all GPUs are free, so that the numbers are the positions.
    whole: bool,
    gpus: [u8; N],
    scores: [[i32; N]; N],
}

impl<const N: usize> Task<N> {
    fn new(scores: &Scores, free: u32, required: u32, count: usize) -> Self {
        let (mut gpus, mut size, mut needed) = ([0; N], 0, 0);
        for gpu in (0..scores.gpus).filter(|gpu| free >> gpu & 1 == 1) {
            gpus[size] = gpu as u8;
            needed |= (required >> gpu & 1) << size;
            size += 1;
        }
        let mut local = [[0; N]; N];
        for (row, a) in local.iter_mut().zip(&gpus[..size]) {
            let own = &scores.cells[usize::from(*a) * scores.gpus..][..scores.gpus];
            for (cell, b) in row.iter_mut().zip(&gpus[..size]) {
                *cell = i32::from(own[usize::from(*b)]);
            }
        }
        let whole = size == scores.gpus;
        Self { size, count, rest: size % count, required: needed, whole, gpus, scores: local }
    }

    /// The sets of the division, by the positions of their GPUs, and the sum of the scores in them.
    fn run(&self, divide: impl FnOnce(&Self) -> (Vec<u32>, u32)) -> (Vec<u32>, u32) {
        let (mut sets, total) = match self.size {
            size if self.count == 1 => ((0..size).map(|gpu| 1 << gpu).collect(), 0),
            size if size <= 2 * self.count => self.halves(),
            _ => divide(self),
        };
        if !self.whole {
            for set in &mut sets {
                *set = self.positions(*set);
            }
        }
        (sets, total)
    }

    fn positions(&self, set: u32) -> u32 {
        let members = (0..self.size).filter(|member| set >> member & 1 == 1);
        members.fold(0, |positions, member| positions | 1 << self.gpus[member])
    }

    /// Whether a full set, or the one that is not, may be part of the division.
    fn allows(&self, set: u32, full: bool) -> bool {
        let inside = set & self.required;
        inside == 0 || full && inside == self.required
    }

    /// The division into at most two sets, whose sum follows from one of them: what the two keep is all, less what is
    /// between them.
    fn halves(&self) -> (Vec<u32>, u32) {
        let all = (1u32 << self.size) - 1;
        let mut gains = [0; N];
        for (gain, row) in gains.iter_mut().zip(&self.scores) {
            *gain = -row[..self.size].iter().sum::<i32>();
        }
        let whole = -gains[..self.size].iter().sum::<i32>() / 2;
        let mut halves = Halves { task: self, all, best: -IMPOSSIBLE, set: all };
        if self.size == self.count {
            return (vec![all], whole as u32);
        }
        let first = gains[0];
        join(&mut gains, &self.scores[0]);
        halves.grow((1, 1), 1, first, &gains);
        (vec![halves.set, all & !halves.set], (whole + halves.best) as u32)
    }

    /// The division into any number of sets. All tables have a cell for each part of the GPUs, filled with zeros.
    fn divide(&self, Tables { losses, known, taken }: Tables<'_>) -> (Vec<u32>, u32) {
        let all = (1u32 << self.size) - 1;
        let mut ceilings = [0; N];
        for (ceiling, row) in ceilings.iter_mut().zip(&self.scores[..self.size]) {
            let mut row = *row;
            row[..self.size].sort_unstable_by(|a, b| b.cmp(a));
            *ceiling = row[..self.count - 1].iter().sum();
        }
        self.fill(losses, &ceilings, 1);
        let mut scale = 1;
        if self.size > 8 {
            // Worth it where the search is long: ceilings that some set through each GPU comes nearer to.
            let mut spare = [IMPOSSIBLE; N];
            self.every(self.count, |set| {
                for (_, spare) in spare.iter_mut().enumerate().filter(|(gpu, _)| set >> gpu & 1 == 1) {
                    *spare = losses[set as usize].min(*spare);
                }
            });
            scale = i32::from(self.count as u8);
            for (ceiling, spare) in ceilings.iter_mut().zip(&spare[..self.size]) {
                *ceiling = *ceiling * scale - spare;
            }
            self.fill(losses, &ceilings, scale);
        }
        let losses = &*losses;
        let mut spared = IMPOSSIBLE;
        if self.rest > 0 {
            self.every(self.rest, |set| spared = losses[set as usize].min(spared));
        }
        let mut search = Division { task: self, losses, spared, known, taken };
        let limit = search.nearby(all) + 1;
        let loss = search.least(all, limit);
        let (mut sets, mut part) = (Vec::with_capacity(self.size.div_ceil(self.count)), all);
        while part != 0 {
            let set = search.taken[part as usize];
            sets.push(set);
            part &= !set;
        }
        let ceiling: i32 = ceilings[..self.size].iter().sum();
        let spared = if self.rest > 0 { spared } else { 0 };
        (sets, ((ceiling - spared - loss) / (2 * scale)) as u32)
    }

    /// What each set loses: its ceilings less twice the sum over its pairs, times the scale.
    fn fill(&self, losses: &mut [i32], ceilings: &[i32; N], scale: i32) {
        for (high, ceiling) in ceilings.iter().enumerate().take(self.size) {
            let (below, with) = losses.split_at_mut(1 << high);
            with[0] = *ceiling;
            for low in 0..high {
                // Sets whose second highest GPU is this one, from those without it.
                let pair = 2 * scale * self.scores[high][low];
                let (known, new) = with.split_at_mut(1 << low);
                let (without, own) = below.split_at(1 << low);
                let cells = new.iter_mut().zip(known).zip(without.iter().zip(own));
                cells.for_each(|((new, known), (without, own))| *new = *known + own - without - pair);
            }
        }
    }

    /// Calls with each set of so many GPUs.
    fn every(&self, count: usize, mut call: impl FnMut(u32)) {
        for low in 0..self.size {
            let above = ((1 << self.size) - 1) & !((2 << low) - 1);
            each(1 << low, above, count, 0, &mut |set, _| {
                call(set);
                true
            });
        }
    }
}

/// What a search writes down for each part of the GPUs.
struct Tables<'a> {
    losses: &'a mut [i32],
    known: &'a mut [i32],
    taken: &'a mut [u32],
}

/// The search for the division that loses least.
///
/// The ceiling of a GPU is what it can have at most to the others in its set. What a set loses is the ceilings of its members
/// less what they have, twice the sum over its pairs. No set loses less than nothing, so one that loses more than a whole
/// division does is in no better one, and a division that loses nothing ends the search.
struct Division<'a, const N: usize> {
    task: &'a Task<N>,
    /// What each full set loses.
    losses: &'a [i32],
    /// The least that a set of the rest's size loses by the ceilings of full ones, which are not meant for it.
    spared: i32,
    /// No division of the part loses less.
    known: &'a mut [i32],
    /// The set with the lowest GPU in the division that loses just that, the first of several; 0 where none was found yet.
    taken: &'a mut [u32],
}

impl<const N: usize> Division<'_, N> {
    /// The least that a division of the part loses, if that is below the limit; else something not below it.
    fn least(&mut self, part: u32, limit: i32) -> i32 {
        let index = part as usize;
        if part == 0 || self.taken[index] != 0 || self.known[index] >= limit {
            return self.known[index];
        }
        let (task, losses, spared) = (self.task, self.losses, self.spared);
        let (mut least, mut taken) = (limit, 0);
        let low = part & part.wrapping_neg();
        each(low, part & !low, task.count, self.rest(part), &mut |set, full| {
            let loss = losses[set as usize] - if full { 0 } else { spared };
            if loss < least && task.allows(set, full) {
                let loss = loss + self.least(part & !set, least - loss);
                if loss < least {
                    (least, taken) = (loss, set);
                }
            }
            least > 0
        });
        (self.known[index], self.taken[index]) = (least, taken);
        least
    }

    /// What a division loses that takes the set that loses least each time: something to begin with.
    fn nearby(&self, mut part: u32) -> i32 {
        let mut sum = 0;
        while part != 0 {
            let (mut least, mut taken) = (IMPOSSIBLE, part);
            let low = part & part.wrapping_neg();
            each(low, part & !low, self.task.count, self.rest(part), &mut |set, full| {
                let loss = self.losses[set as usize] - if full { 0 } else { self.spared };
                if loss < least && self.task.allows(set, full) {
                    (least, taken) = (loss, set);
                }
                least > 0
            });
            sum = least.saturating_add(sum);
            part &= !taken;
        }
        sum.min(IMPOSSIBLE)
    }

    /// The size of the set that is not full, while it is in the part.
    fn rest(&self, part: u32) -> usize {
        if (part.count_ones() as usize).is_multiple_of(self.task.count) { 0 } else { self.task.rest }
    }
}

/// The search for the set with the lowest GPU where two sets are all.
struct Halves<'a, const N: usize> {
    task: &'a Task<N>,
    all: u32,
    best: i32,
    set: u32,
}

impl<const N: usize> Halves<'_, N> {
    /// Tries every set that adds GPUs from `next` on to one of a size. `gains` is what each would add to the sum of the
    /// division.
    fn grow(&mut self, (set, size): (u32, usize), next: usize, sum: i32, gains: &[i32; N]) {
        let task = self.task;
        if size + 1 == task.count {
            for (member, gain) in gains.iter().enumerate().take(task.size).skip(next) {
                if sum + gain > self.best {
                    self.record(set | 1 << member, sum + gain);
                }
            }
        } else if size < task.count {
            // No more than leaves enough GPUs for the smaller set, or for the full one.
            let aim = if size < task.rest { task.rest } else { task.count };
            for member in next..(task.size + size + 1).saturating_sub(aim) {
                let mut more = *gains;
                join(&mut more, &task.scores[member]);
                self.grow((set | 1 << member, size + 1), member + 1, sum + gains[member], &more);
            }
        }
        // The smaller set with the lowest GPU: it comes after the full ones that begin like it.
        if size == task.rest && sum > self.best {
            self.record(set, sum);
        }
    }

    fn record(&mut self, set: u32, sum: i32) {
        let full = |set: u32| set.count_ones() as usize == self.task.count;
        let other = self.all & !set;
        let held = full(set) && set & self.task.required == self.task.required
            || full(other) && other & self.task.required == self.task.required;
        if held {
            (self.best, self.set) = (sum, set);
        }
    }
}

fn join<const N: usize>(gains: &mut [i32; N], scores: &[i32; N]) {
    for (gain, score) in gains.iter_mut().zip(scores) {
        *gain += 2 * score;
    }
}

/// Calls with each set that extends the given one by some of the `open` GPUs to `full` of them, and those of `rest`, until a
/// call says to stop; says whether none did. The order is by members, a smaller set after the full ones that begin like it.
fn each(set: u32, open: u32, full: usize, rest: usize, call: &mut impl FnMut(u32, bool) -> bool) -> bool {
    let size = set.count_ones() as usize;
    let aim = if size < rest { rest } else { full };
    let mut left = open;
    if size == full {
        return call(set, true);
    }
    if size + 1 == full {
        while left != 0 {
            if !call(set | left & left.wrapping_neg(), true) {
                return false;
            }
            left &= left - 1;
        }
    } else {
        while size + left.count_ones() as usize >= aim {
            let member = left & left.wrapping_neg();
            left &= left - 1;
            if !each(set | member, left, full, rest, call) {
                return false;
            }
        }
    }
    size != rest || call(set, false)
}
