//! The search for the best set of GPUs: bits in, the best set out. It knows no request and no text.

pub(in crate::solve) mod answers;
mod bounded;
pub(in crate::solve) mod clique;
pub(in crate::solve) mod domains;
pub(in crate::solve) mod exact;
pub(in crate::solve) mod kept;
pub(in crate::solve) mod links;
pub(in crate::solve) mod memo;
pub(in crate::solve) mod quota;
pub(in crate::solve) mod set;
pub(in crate::solve) mod surroundings;
pub(in crate::solve) mod weights;
