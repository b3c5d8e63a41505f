//! The checks on recorded and on made evidence: each passes, fails and is unknown somewhere.

mod applies;
mod baseline;
mod cases;
mod drill;
mod evidence;
mod fabric;
mod fleet;
mod inventory;
mod isolation;
mod kernel;
mod kubernetes;
mod locality;
mod machine;
mod metrics;
mod nvlink;
mod nvlink_errors;
mod page;
mod pcie;
mod rdma;
mod reports;
mod roce;
mod security;
mod support;
