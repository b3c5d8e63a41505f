//! The most rings in fractions: a linear program over all cycles, by the revised simplex method. Its prices bound what whole
//! rings carry, and its solution is where the search for them begins.

use super::hops::Hops;
use crate::model::PathType;

/// The most cycles that are listed, and the most steps of the method. Bounds hold wherever it stops.
const MAX_CYCLES: usize = 720;
const MAX_STEPS: usize = 300;

/// The most looks.
const MAX_LOOKS: u32 = 60_000;

/// The part that rounding loses.
const EPSILON: f64 = 1e-7;

/// Rings in fractions.
pub(super) struct Fractions {
    /// No more rings of the speed are carried.
    pub(super) most: u64,
    /// Whole rings of the solution, with how many of each.
    pub(super) whole: Vec<(Vec<u8>, u64)>,
    /// The work that it was, in looks at hops.
    pub(super) looks: u32,
}

/// Solves for rings of a speed over hops of a class. `None` where there are too many cycles.
pub(super) fn solve(hops: &Hops, class: PathType, speed: u64) -> Option<Fractions> {
    let room: Vec<f64> = hops.capacity().iter().map(|capacity| (capacity / speed) as f64).collect();
    let mut listed =
        Listed { hops, class, room: &room, path: vec![0], cycles: Vec::new(), uses: Vec::new(), full: false };
    listed.on(1);
    if listed.full {
        return None;
    }
    let (count, cycles, uses) = (hops.count, listed.cycles, listed.uses);
    let total = cycles.len() / count;
    let stride = 2 * count;
    let uses = |cycle: usize| uses[cycle * stride..][..stride].iter().take_while(|link| **link != u16::MAX);
    // One row for each link that any cycle uses.
    let mut row_of = vec![usize::MAX; room.len()];
    let mut rows = Vec::new();
    for link in (0..total).flat_map(uses) {
        let link = usize::from(*link);
        if row_of[link] == usize::MAX {
            row_of[link] = rows.len();
            rows.push(room[link]);
        }
    }
    let size = rows.len();
    let mut method = Method::new(rows);
    let (mut most, mut looks) = (f64::INFINITY, (total * count) as u32);
    for step in 0..MAX_STEPS {
        if looks > MAX_LOOKS {
            break;
        }
        looks += (total * count / 8 + size * size / 8) as u32;
        let prices = method.prices();
        // Prices below zero bound nothing; what is priced at zero instead may make cycles dearer, never cheaper.
        let cost = |cycle: usize| uses(cycle).map(|link| prices[row_of[usize::from(*link)]]).sum::<f64>();
        let floored =
            |cycle: usize| uses(cycle).map(|link| prices[row_of[usize::from(*link)]].max(0.0)).sum::<f64>();
        let worth: f64 = method.rows.iter().zip(&prices).map(|(room, price)| room * price.max(0.0)).sum();
        let cheapest = (0..total).map(floored).fold(f64::INFINITY, f64::min);
        if cheapest > EPSILON {
            most = most.min(worth / cheapest);
        }
        // The cheapest cycle enters, or a link that is priced below zero; late the first one, so that it ends.
        let gain = |cycle: &usize| 1.0 - cost(*cycle);
        let enters = if step < MAX_STEPS / 2 {
            (0..total).max_by(|a, b| gain(a).total_cmp(&gain(b))).filter(|cycle| gain(cycle) > EPSILON)
        } else {
            (0..total).find(|cycle| gain(cycle) > EPSILON)
        };
        let slack = (0..size).find(|row| prices[*row] < -EPSILON);
        let column = match (enters, slack) {
            (Some(cycle), _) => {
                let mut column = vec![0.0; size];
                uses(cycle).for_each(|link| column[row_of[usize::from(*link)]] += 1.0);
                (column, Basic::Cycle(cycle))
            }
            (None, Some(row)) => {
                let mut column = vec![0.0; size];
                column[row] = 1.0;
                (column, Basic::Slack)
            }
            (None, None) => break,
        };
        if !method.enter(&column.0, column.1) {
            break;
        }
    }
    let whole = method.basis.iter().zip(&method.values).filter_map(|(basic, value)| match basic {
        Basic::Cycle(cycle) if *value + EPSILON >= 1.0 => {
            Some((cycles[cycle * count..][..count].to_vec(), (value + EPSILON) as u64))
        }
        _ => None,
    });
    Some(Fractions { most: if total == 0 { 0 } else { (most + 1e-4) as u64 }, whole: whole.collect(), looks })
}

/// The cycles of a set, each with the links that it uses.
struct Listed<'a> {
    hops: &'a Hops,
    class: PathType,
    room: &'a [f64],
    path: Vec<u8>,
    cycles: Vec<u8>,
    uses: Vec<u16>,
    full: bool,
}

impl Listed<'_> {
    fn on(&mut self, visited: u32) {
        let count = self.hops.count;
        let last = usize::from(self.path[self.path.len() - 1]);
        if self.path.len() == count {
            if !self.goes(last, 0) {
                return;
            }
            if self.cycles.len() / count >= MAX_CYCLES {
                self.full = true;
                return;
            }
            self.cycles.extend_from_slice(&self.path);
            let begin = self.uses.len();
            let next = self.path[1..].iter().chain(&self.path[..1]);
            for (a, b) in self.path.iter().zip(next) {
                self.uses.extend(self.hops.uses(usize::from(*a), usize::from(*b)));
            }
            self.uses.resize(begin + 2 * count, u16::MAX);
            return;
        }
        for member in (0..count as u8).filter(|member| visited >> member & 1 == 0) {
            if !self.full && self.goes(last, usize::from(member)) {
                self.path.push(member);
                self.on(visited | 1 << member);
                self.path.pop();
            }
        }
    }

    fn goes(&self, from: usize, to: usize) -> bool {
        self.hops.class(from, to) <= self.class
            && self.hops.uses(from, to).all(|link| self.room[usize::from(link)] >= 1.0)
    }
}

#[derive(Clone, Copy)]
enum Basic {
    Slack,
    Cycle(usize),
}

/// The basis with its inverse, row by row.
struct Method {
    rows: Vec<f64>,
    inverse: Vec<f64>,
    basis: Vec<Basic>,
    values: Vec<f64>,
}

impl Method {
    fn new(rows: Vec<f64>) -> Self {
        let size = rows.len();
        let mut inverse = vec![0.0; size * size];
        (0..size).for_each(|row| inverse[row * size + row] = 1.0);
        Self { inverse, basis: vec![Basic::Slack; size], values: rows.clone(), rows }
    }

    /// The price of each link.
    fn prices(&self) -> Vec<f64> {
        let size = self.rows.len();
        let mut prices = vec![0.0; size];
        for (row, basic) in self.basis.iter().enumerate() {
            if matches!(basic, Basic::Cycle(_)) {
                prices.iter_mut().zip(&self.inverse[row * size..]).for_each(|(price, cell)| *price += cell);
            }
        }
        prices
    }

    /// Lets a column enter; `false` where nothing bounds it.
    fn enter(&mut self, column: &[f64], basic: Basic) -> bool {
        let size = self.rows.len();
        let used: Vec<f64> = (0..size)
            .map(|row| self.inverse[row * size..][..size].iter().zip(column).map(|(a, b)| a * b).sum())
            .collect();
        let ratio = |row: &usize| self.values[*row].max(0.0) / used[*row];
        let leaves =
            (0..size).filter(|row| used[*row] > EPSILON).min_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let Some(leaves) = leaves else { return false };
        let amount = ratio(&leaves);
        for row in (0..size).filter(|row| *row != leaves) {
            self.values[row] -= amount * used[row];
        }
        self.values[leaves] = amount;
        self.basis[leaves] = basic;
        let pivot: Vec<f64> =
            self.inverse[leaves * size..][..size].iter().map(|cell| cell / used[leaves]).collect();
        for row in (0..size).filter(|row| *row != leaves && used[*row] != 0.0) {
            let factor = used[row];
            self.inverse[row * size..][..size]
                .iter_mut()
                .zip(&pivot)
                .for_each(|(cell, own)| *cell -= factor * own);
        }
        self.inverse[leaves * size..][..size].copy_from_slice(&pivot);
        true
    }
}
