//! The `nvtopo` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(nvtopo_cli::run(std::env::args_os()))
}
