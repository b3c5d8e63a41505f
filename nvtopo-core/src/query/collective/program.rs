//! The most cycles that the links of a set carry at once: an integer program with a column for each cycle.
//!
//! The linear relaxation is solved by the revised simplex method, and integer solutions are found by branch and bound
//! over it: a cycle of the solution is taken once more, or never again. The dual prices of links bound the rest
//! (duality). On dense meshes integer solutions reach the relaxation nearly always, and the first branch finds them.

/// No further link of a column.
pub(super) const NONE: u16 = u16::MAX;

/// The most steps of one relaxation. Bounds hold wherever it stops.
const MAX_STEPS: usize = 400;

/// The most columns that are priced before all are priced again.
const MAX_POOL: usize = 24;

/// Tolerances for rounding, of a number and of a bound.
const EPSILON: f64 = 1e-7;
const BOUND_EPSILON: f64 = 1e-4;

/// The answer to a search for a number of cycles, or of rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    Yes,
    No,
    /// The search reached its limit before all was tried.
    Unknown,
}

/// The result of the relaxation.
enum Relaxed {
    /// Fewer cycles fit than are wanted.
    Less,
    /// The search reached its limit.
    Stopped,
    /// Columns, each with how often it is taken.
    Found(Vec<(usize, f64)>),
}

/// Columns that fit together.
pub(super) struct Packed {
    /// The columns, each with how often it is taken; empty where no more were found than are known.
    pub(super) columns: Vec<(usize, u32)>,
    /// Upper bound on the number of columns.
    pub(super) most: u32,
    /// Upper bound of the relaxation.
    pub(super) fractions: f64,
}

/// Columns, and the links that they share.
pub(super) struct Program {
    /// The capacity left of each link.
    left: Vec<u32>,
    /// The links of each column, filled up with [`NONE`].
    uses: Vec<u16>,
    stride: usize,
    refused: Vec<bool>,
    /// The columns that are taken, and the longest list so far.
    taken: Vec<usize>,
    best: Vec<usize>,
    /// The work done, in looks at cycles, and the looks after which it stops.
    looks: u32,
    most_looks: u32,
}

impl Program {
    /// Creates a program of columns of `stride` links each, some of them [`NONE`], with the number of uses that each
    /// link has room for.
    pub(super) fn new(room: Vec<u32>, uses: Vec<u16>, stride: usize, most_looks: u32) -> Self {
        let columns = uses.len() / stride;
        Self {
            left: room,
            uses,
            stride,
            refused: vec![false; columns],
            taken: Vec::new(),
            best: Vec::new(),
            looks: 0,
            most_looks,
        }
    }

    /// Finds the most columns, where `known` fit and `bound` is an upper bound.
    pub(super) fn most(mut self, known: u32, bound: u32) -> (Packed, u32) {
        let (mut most, mut fractions) = (bound, f64::from(bound));
        while known.max(self.best.len() as u32) < most {
            // The relaxation alone often proves that fewer fit.
            let relaxed = self.relax(most, &mut fractions);
            let shown = (fractions + BOUND_EPSILON) as u32;
            let found = match relaxed {
                _ if shown < most => {
                    most = shown;
                    continue;
                }
                Relaxed::Less => Carried::No,
                Relaxed::Stopped => Carried::Unknown,
                Relaxed::Found(solution) => self.search(most, Some(solution)),
            };
            match found {
                Carried::Yes => {}
                Carried::No => most -= 1,
                Carried::Unknown => break,
            }
        }
        let mut columns: Vec<(usize, u32)> = Vec::new();
        if self.best.len() as u32 > known {
            self.best.sort_unstable();
            for column in self.best.chunk_by(|a, b| a == b) {
                columns.push((column[0], column.len() as u32));
            }
        }
        (Packed { columns, most, fractions }, self.looks)
    }

    /// Searches for `wanted` columns more, first among those of a solution where one is given.
    fn search(&mut self, wanted: u32, mut given: Option<Vec<(usize, f64)>>) -> Carried {
        if self.taken.len() > self.best.len() {
            self.best.clone_from(&self.taken);
        }
        if wanted == 0 {
            return Carried::Yes;
        }
        let (mut refused, mut unknown, mut shown) = (Vec::new(), false, f64::INFINITY);
        let fit = loop {
            let mut rest = if let Some(solution) = given.take() {
                solution
            } else {
                match self.relax(wanted, &mut shown) {
                    Relaxed::Less if !unknown => break Carried::No,
                    Relaxed::Less | Relaxed::Stopped => break Carried::Unknown,
                    Relaxed::Found(solution) => solution,
                }
            };
            let widest = || rest.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(column, _)| *column);
            // Numbers that drifted may offer a column that no longer fits.
            let next = whole(&rest).or_else(widest).filter(|next| self.fits(*next));
            let Some(next) = next else { break Carried::Unknown };
            rest.iter_mut().filter(|(column, _)| *column == next).for_each(|(_, times)| *times -= 1.0);
            self.change(next, true);
            self.taken.push(next);
            let found = self.search(wanted - 1, Some(rest).filter(|rest| whole(rest).is_some()));
            self.taken.pop();
            self.change(next, false);
            match found {
                Carried::Yes => break Carried::Yes,
                Carried::No => {}
                Carried::Unknown => unknown = true,
            }
            self.refused[next] = true;
            refused.push(next);
        };
        for column in refused {
            self.refused[column] = false;
        }
        fit
    }

    /// Solves the relaxation until the wanted number is reached; lowers `bound` to the proven upper bound.
    fn relax(&mut self, wanted: u32, bound: &mut f64) -> Relaxed {
        let open: Vec<usize> = (0..self.refused.len()).filter(|column| self.fits(*column)).collect();
        self.looks += (self.refused.len() / 8) as u32 + 1;
        if open.is_empty() {
            *bound = 0.0;
            return Relaxed::Less;
        }
        let (wanted, mut rows) = (f64::from(wanted), Rows::default());
        rows.of.resize(self.left.len(), usize::MAX);
        for link in open.iter().flat_map(|column| self.links(*column)) {
            if rows.of[link] == usize::MAX {
                rows.of[link] = rows.links.len();
                rows.links.push(link);
            }
        }
        let size = rows.links.len();
        let mut method = Method::new(rows.links.iter().map(|link| f64::from(self.left[*link])).collect());
        let (mut prices, mut floored) = (vec![0.0; self.left.len()], vec![0.0; self.left.len()]);
        let mut pool: Vec<(f64, usize)> = Vec::new();
        for step in 0..MAX_STEPS {
            if method.carried() + EPSILON >= wanted {
                break;
            }
            if self.looks >= self.most_looks {
                return Relaxed::Stopped;
            }
            self.looks += (size * size / 32) as u32 + 1;
            let own = method.prices();
            for (link, price) in rows.links.iter().zip(&own) {
                (prices[*link], floored[*link]) = (*price, price.max(0.0));
            }
            let gains = |cost: &f64| *cost < 1.0 - EPSILON;
            for (cost, column) in &mut pool {
                *cost = self.cost(&prices, *column);
            }
            pool.retain(|(cost, _)| gains(cost));
            if pool.is_empty() {
                self.looks += (open.len() * self.stride / 32) as u32 + 1;
                // Negative prices give no bound; raising them to zero makes cycles dearer, never cheaper.
                let cheapest =
                    open.iter().map(|column| self.cost(&floored, *column)).fold(f64::INFINITY, f64::min);
                if cheapest > EPSILON {
                    *bound = bound.min(method.worth(&own) / cheapest);
                }
                if *bound + BOUND_EPSILON < wanted {
                    return Relaxed::Less;
                }
                let costs = open.iter().map(|column| (self.cost(&prices, *column), *column));
                pool.extend(costs.filter(|(cost, _)| gains(cost)));
                if step >= MAX_STEPS / 2 {
                    // After many steps the first column enters, so that the method terminates.
                    pool.truncate(1);
                } else if pool.len() > MAX_POOL {
                    pool.select_nth_unstable_by(MAX_POOL, |a, b| a.0.total_cmp(&b.0));
                    pool.truncate(MAX_POOL);
                }
            }
            // The cheapest cycle enters, or the slack of a link with a negative price.
            let cheapest = pool.iter().min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, column)| *column);
            let mut column = vec![0.0; size];
            let basic = if let Some(cheapest) = cheapest {
                self.links(cheapest).for_each(|link| column[rows.of[link]] += 1.0);
                Basic::Column(cheapest)
            } else if let Some(row) = own.iter().position(|price| *price < -EPSILON) {
                column[row] = 1.0;
                Basic::Slack
            } else {
                break;
            };
            if !method.enter(&column, basic) {
                break;
            }
        }
        Relaxed::Found(method.solution())
    }

    /// Returns the links of a column.
    fn links(&self, column: usize) -> impl Iterator<Item = usize> + '_ {
        let links = self.uses[column * self.stride..][..self.stride].iter();
        links.take_while(|link| **link != NONE).map(|link| usize::from(*link))
    }

    /// Takes the capacity that a column uses of its links, or gives it back.
    fn change(&mut self, column: usize, take: bool) {
        for link in self.uses[column * self.stride..][..self.stride].iter().take_while(|link| **link != NONE)
        {
            let left = &mut self.left[usize::from(*link)];
            *left = if take { *left - 1 } else { *left + 1 };
        }
    }

    fn cost(&self, prices: &[f64], column: usize) -> f64 {
        self.links(column).map(|link| prices[link]).sum()
    }

    /// Tells whether a column can be taken once more; a relay may use a link twice.
    fn fits(&self, column: usize) -> bool {
        let enough = |link: usize| match self.left[link] {
            0 => false,
            1 => self.links(column).filter(|other| *other == link).count() == 1,
            _ => true,
        };
        !self.refused[column] && self.links(column).all(enough)
    }
}

/// Returns the first column that is taken at least once.
fn whole(solution: &[(usize, f64)]) -> Option<usize> {
    solution.iter().find(|(_, times)| *times >= 1.0 - EPSILON).map(|(column, _)| *column)
}

/// The links that open columns use, and the row of each.
#[derive(Default)]
struct Rows {
    links: Vec<usize>,
    of: Vec<usize>,
}

#[derive(Clone, Copy)]
enum Basic {
    Slack,
    Column(usize),
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

    /// Returns the columns, each with how often it is taken.
    fn solution(&self) -> Vec<(usize, f64)> {
        let taken = self.basis.iter().zip(&self.values).filter_map(|(basic, value)| match basic {
            Basic::Column(column) if *value > EPSILON => Some((*column, *value)),
            _ => None,
        });
        taken.collect()
    }

    fn carried(&self) -> f64 {
        let value =
            |(basic, value): (&Basic, &f64)| if matches!(basic, Basic::Column(_)) { *value } else { 0.0 };
        self.basis.iter().zip(&self.values).map(value).sum()
    }

    /// Returns the dual price of each row.
    fn prices(&self) -> Vec<f64> {
        let size = self.rows.len();
        let mut prices = vec![0.0; size];
        for (row, basic) in self.basis.iter().enumerate() {
            if matches!(basic, Basic::Column(_)) {
                prices.iter_mut().zip(&self.inverse[row * size..]).for_each(|(price, cell)| *price += cell);
            }
        }
        prices
    }

    /// Returns the dual value: the sum of room times price over the rows with a price above zero.
    fn worth(&self, prices: &[f64]) -> f64 {
        self.rows.iter().zip(prices).map(|(room, price)| room * price.max(0.0)).sum()
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
