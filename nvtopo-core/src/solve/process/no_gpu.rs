//! The message for a topology without GPUs, with the reason that its source found.

use crate::error::Error;
use crate::model::Topology;

pub(in crate::solve) fn message(topology: &Topology) -> String {
    let message = "this topology has no GPU";
    topology.driver_trouble().map_or_else(|| message.to_owned(), |why| format!("{message}: {why}"))
}

/// Returns the error of every request for GPUs on a topology without.
pub(in crate::solve) fn error(topology: &Topology) -> Error {
    Error::unsatisfiable(message(topology))
}
