//! The checks on recorded and on made evidence: each passes, fails and is unknown somewhere.

mod nvlink;
mod page;
mod reports;
mod support;
