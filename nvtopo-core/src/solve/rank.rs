//! Which process of a job this is, from the variables that launchers set.
//!
//! The variables are handed in: the core reads no environment.

use crate::error::{Error, Result};

/// The variables that hold the local rank and the number of local ranks, in the order in which they are asked.
///
/// A launcher inside another (torchrun under srun) sets its own, so the inner ones come first. Global ranks
/// (`PMI_RANK`, `PMIX_RANK`) are not among them.
pub static RANK_VARIABLES: &[(&str, Option<&str>)] = &[
    ("LOCAL_RANK", Some("LOCAL_WORLD_SIZE")),
    ("HOROVOD_LOCAL_RANK", Some("HOROVOD_LOCAL_SIZE")),
    ("OMPI_COMM_WORLD_LOCAL_RANK", Some("OMPI_COMM_WORLD_LOCAL_SIZE")),
    ("MPI_LOCALRANKID", Some("MPI_LOCALNRANKS")),
    ("PALS_LOCAL_RANKID", None),
    ("MV2_COMM_WORLD_LOCAL_RANK", Some("MV2_COMM_WORLD_LOCAL_SIZE")),
    ("FLUX_TASK_LOCAL_ID", None),
    ("SLURM_LOCALID", None),
];

/// The place of a process among those of its job on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalRank {
    /// The rank, counted from 0.
    pub rank: usize,
    /// How many there are, where the launcher says so.
    pub size: Option<usize>,
}

impl LocalRank {
    /// The local rank by the first variable that is set; `None` outside a launcher.
    ///
    /// ```
    /// use nvtopo::LocalRank;
    ///
    /// let environment = |name: &str| (name == "LOCAL_RANK").then(|| "3".to_owned());
    /// assert_eq!(LocalRank::from_environment(environment)?, Some(LocalRank { rank: 3, size: None }));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let number = |name: &str| -> Result<Option<usize>> {
            let Some(text) = variable(name) else { return Ok(None) };
            text.trim().parse().map(Some).map_err(|_| {
                Error::request(format!("{name} is '{text}'")).help("launchers set it to a number")
            })
        };
        for (rank, size) in RANK_VARIABLES {
            if let Some(rank) = number(rank)? {
                let size = size.map(number).transpose()?.flatten();
                return Ok(Some(Self { rank, size }));
            }
        }
        Ok(None)
    }
}
