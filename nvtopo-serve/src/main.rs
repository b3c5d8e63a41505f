//! The `nvtopod` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(nvtopo_serve::run(std::env::args_os()))
}
