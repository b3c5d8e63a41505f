//! The checks on recorded and on made evidence: each passes, fails and is unknown somewhere.

mod isolation;
mod locality;
mod machine;
mod nvlink;
mod page;
mod pcie;
mod reports;
mod support;
