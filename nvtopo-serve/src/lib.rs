//! The `nvtopod` program as a library: what other programs ask of a node over the network.
//!
//! This crate alone opens sockets. It reads the node on a thread of its own, keeps the last reading, and answers from that:
//! a driver that hangs never holds up a request.

mod args;
mod exposition;
mod http;
mod metrics;
mod reading;
mod secret;
mod tls;

use args::{Cli, Command};
use clap::Parser as _;
use std::ffi::OsString;

/// Runs the program and gives its exit code: 0 done, 2 bad usage or input, or a place that cannot be listened on or written.
pub fn run<A: Into<OsString> + Clone>(arguments: impl IntoIterator<Item = A>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return code;
        }
    };
    let done = match cli.command {
        Command::Metrics(args) => metrics::serve(&args),
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("nvtopod: {error}");
            2
        }
    }
}
