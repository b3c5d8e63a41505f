//! Helpers of the tests: machines that are made up, and answers by brute force.

pub(crate) mod generate;
pub(crate) mod linked_pairs;
pub(crate) mod made_machine;
pub(crate) mod oracle;
