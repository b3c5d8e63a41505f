//! The place of a process in its job, from the variables that launchers set.
//!
//! The variables are handed in: the core reads no environment.

use crate::error::{Error, Result};

/// The variables that hold the local rank, in the order in which they are read, each with those that hold the number of
/// local ranks of the same launcher.
///
/// A launcher inside another (torchrun under srun) sets its own, so the inner ones come first, and the size is never
/// another launcher's. Global ranks (`PMI_RANK`, `PMIX_RANK`) are not among them.
pub static RANK_VARIABLES: &[(&str, &[&str])] = &[
    // torchrun and accelerate, DeepSpeed.
    ("LOCAL_RANK", &["LOCAL_WORLD_SIZE", "LOCAL_SIZE"]),
    ("HOROVOD_LOCAL_RANK", &["HOROVOD_LOCAL_SIZE"]),
    ("OMPI_COMM_WORLD_LOCAL_RANK", &["OMPI_COMM_WORLD_LOCAL_SIZE"]),
    // MPICH and Intel MPI.
    ("MPI_LOCALRANKID", &["MPI_LOCALNRANKS"]),
    ("PALS_LOCAL_RANKID", &["PALS_LOCAL_SIZE"]),
    ("MV2_COMM_WORLD_LOCAL_RANK", &["MV2_COMM_WORLD_LOCAL_SIZE"]),
    ("FLUX_TASK_LOCAL_ID", &[]),
    ("SLURM_LOCALID", &[SLURM_SIZES]),
];

/// Slurm's numbers of tasks on each node of the step, such as `8(x3),4`.
const SLURM_SIZES: &str = "SLURM_STEP_TASKS_PER_NODE";

/// The number of this node among them.
const SLURM_NODE: &str = "SLURM_NODEID";

/// Returns every variable that [`LocalRank::from_environment`] reads.
pub fn rank_variables() -> impl Iterator<Item = &'static str> {
    let each = |(rank, sizes): &'static (&str, &[&str])| std::iter::once(*rank).chain(sizes.iter().copied());
    RANK_VARIABLES.iter().flat_map(each).chain([SLURM_NODE])
}

/// The place of a process among those of its job on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalRank {
    /// The rank, counted from 0.
    pub rank: usize,
    /// The number of local ranks, where the launcher sets it. `None`: unknown, and then no resource is given that
    /// another rank might have too.
    pub size: Option<usize>,
}

impl LocalRank {
    /// Reads the local rank from the first variable that is set; `None` outside a launcher.
    ///
    /// ```
    /// use nvtopo::LocalRank;
    ///
    /// let environment = |name: &str| (name == "LOCAL_RANK").then(|| "3".to_owned());
    /// assert_eq!(LocalRank::from_environment(environment)?, Some(LocalRank { rank: 3, size: None }));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        for (name, sizes) in RANK_VARIABLES {
            if let Some(rank) = number(name, &variable)? {
                let size = sizes
                    .iter()
                    .map(|name| size_of(name, &variable))
                    .find_map(Result::transpose)
                    .transpose()?;
                return match size {
                    Some(size) if rank >= size => Err(Error::request(format!(
                        "the local rank is {rank} ({name}), but there are {size} local ranks"
                    ))
                    .help("ranks count from 0: are variables of two launchers mixed?")),
                    _ => Ok(Some(Self { rank, size })),
                };
            }
        }
        Ok(None)
    }

    /// Returns the least number of local ranks that there are.
    pub(in crate::solve) fn least_ranks(self) -> usize {
        self.size.unwrap_or(0).max(self.rank.saturating_add(1))
    }

    /// Creates a rank among `size` local ranks.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) where the rank is not below the size.
    pub fn of(rank: usize, size: usize) -> Result<Self> {
        if rank >= size {
            let message = format!("the local rank is {rank}, but there are {size} local ranks");
            return Err(Error::request(message).help("ranks count from 0"));
        }
        Ok(Self { rank, size: Some(size) })
    }

    /// Creates a rank that the caller names, with the launcher's number of ranks if the launcher gives this process the
    /// same rank.
    ///
    /// ```
    /// use nvtopo::LocalRank;
    ///
    /// let variables = [("LOCAL_RANK", "3"), ("LOCAL_WORLD_SIZE", "8")];
    /// let variable = |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string());
    /// assert_eq!(LocalRank::named(3, variable).size, Some(8));
    /// assert_eq!(LocalRank::named(2, variable).size, None);
    /// ```
    pub fn named(rank: usize, variable: impl Fn(&str) -> Option<String>) -> Self {
        // Malformed variables are ignored here: the rank does not come from them.
        let launched = Self::from_environment(variable).ok().flatten();
        launched.filter(|launched| launched.rank == rank).unwrap_or(Self { rank, size: None })
    }
}

fn number(name: &str, variable: &impl Fn(&str) -> Option<String>) -> Result<Option<usize>> {
    let Some(text) = variable(name) else { return Ok(None) };
    text.trim().parse().map(Some).map_err(|_| not_a_number(name, &text))
}

fn not_a_number(name: &str, text: &str) -> Error {
    Error::request(format!("{name} is '{text}'")).help("launchers set it to a number")
}

fn size_of(name: &str, variable: &impl Fn(&str) -> Option<String>) -> Result<Option<usize>> {
    if name != SLURM_SIZES {
        return number(name, variable);
    }
    let Some(text) = variable(name) else { return Ok(None) };
    let sizes = slurm_sizes(&text).ok_or_else(|| not_a_number(name, &text))?;
    if let [(size, _)] = sizes[..] {
        return Ok(Some(size));
    }
    let Some(mut node) = number(SLURM_NODE, variable)? else { return Ok(None) };
    for (size, nodes) in sizes {
        if node < nodes {
            return Ok(Some(size));
        }
        node -= nodes;
    }
    Ok(None)
}

/// Reads `8(x3),4` as pairs of tasks and nodes.
fn slurm_sizes(text: &str) -> Option<Vec<(usize, usize)>> {
    let entry = |entry: &str| {
        let Some((tasks, nodes)) = entry.split_once("(x") else { return Some((entry.parse().ok()?, 1)) };
        Some((tasks.parse().ok()?, nodes.strip_suffix(')')?.parse().ok()?))
    };
    text.trim().split(',').map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(variables: &[(&str, &str)]) -> Result<Option<(usize, Option<usize>)>> {
        let variable = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        };
        Ok(LocalRank::from_environment(variable)?.map(|rank| (rank.rank, rank.size)))
    }

    #[test]
    fn sizes_are_of_the_same_launcher() {
        let slurm = [("SLURM_LOCALID", "0"), ("SLURM_STEP_TASKS_PER_NODE", "1(x4)")];
        assert_eq!(rank(&slurm).unwrap(), Some((0, Some(1))));
        // torchrun under srun: its children all have Slurm's local rank 0.
        let inner = [&slurm[..], &[("LOCAL_RANK", "3"), ("LOCAL_WORLD_SIZE", "8")]].concat();
        assert_eq!(rank(&inner).unwrap(), Some((3, Some(8))));
        let unsized_inner = [&slurm[..], &[("LOCAL_RANK", "3")]].concat();
        assert_eq!(rank(&unsized_inner).unwrap(), Some((3, None)));
        assert_eq!(rank(&[("LOCAL_RANK", "1"), ("LOCAL_SIZE", "2")]).unwrap(), Some((1, Some(2))));
        assert_eq!(
            rank(&[("PALS_LOCAL_RANKID", "1"), ("PALS_LOCAL_SIZE", "4")]).unwrap(),
            Some((1, Some(4)))
        );
        assert_eq!(rank(&[("FLUX_TASK_LOCAL_ID", "2")]).unwrap(), Some((2, None)));
    }

    #[test]
    fn global_ranks_are_no_local_ranks() {
        assert_eq!(rank(&[("PMI_RANK", "9"), ("PMIX_RANK", "9"), ("RANK", "9")]).unwrap(), None);
    }

    #[test]
    fn slurm_tells_the_tasks_of_each_node() {
        let on = |node: &str, sizes: &str| {
            rank(&[("SLURM_LOCALID", "2"), ("SLURM_NODEID", node), ("SLURM_STEP_TASKS_PER_NODE", sizes)])
        };
        assert_eq!(on("2", "8(x3),4").unwrap(), Some((2, Some(8))));
        assert_eq!(on("3", "8(x3),4").unwrap(), Some((2, Some(4))));
        assert_eq!(on("4", "8(x3),4").unwrap(), Some((2, None)));
        let without = rank(&[("SLURM_LOCALID", "2"), ("SLURM_STEP_TASKS_PER_NODE", "5,4(x3)")]);
        assert_eq!(without.unwrap(), Some((2, None)));
        assert!(on("0", "8(x").is_err());
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        assert!(rank(&[("LOCAL_RANK", "one")]).is_err());
        let mixed = rank(&[("LOCAL_RANK", "3"), ("LOCAL_WORLD_SIZE", "2")]).unwrap_err();
        assert!(mixed.to_string().contains("there are 2 local ranks"), "{mixed}");
    }
}
