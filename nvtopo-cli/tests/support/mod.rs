//! Helpers of the tests: running the command.
#![allow(dead_code, reason = "not every file of tests uses all of it")]

#[cfg(target_os = "linux")]
#[path = "../../../tests/support/beside_one_cpu.rs"]
mod beside_one_cpu;

use std::io::Write;
use std::process::{Command, Output, Stdio};

pub(crate) fn nvtopo(arguments: &[&str]) -> Output {
    run(arguments, "", &[])
}

pub(crate) fn run(arguments: &[&str], input: &str, environment: &[(&str, &str)]) -> Output {
    run_after(&[], arguments, input, environment)
}

/// As [`run`], started by another command such as `taskset`.
pub(crate) fn run_after(
    before: &[&str],
    arguments: &[&str],
    input: &str,
    environment: &[(&str, &str)],
) -> Output {
    let words = [before, &[env!("CARGO_BIN_EXE_nvtopo")]].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    for variable in
        ["CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "SLURM_LOCALID"]
    {
        command.env_remove(variable);
    }
    command.args(arguments).envs(environment.iter().copied());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that fails early closes its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn json(output: &Output) -> serde_json::Value {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Two GPUs, each beside another CPU that this process may use, as a text.
#[cfg(target_os = "linux")]
pub(crate) fn machine() -> (String, [u32; 2]) {
    let cpus: Vec<u32> = nvtopo::apply::current_cpus().unwrap().iter().collect();
    let (first, last) = (cpus[0], cpus[cpus.len() - 1]);
    let rows = format!("GPU0\t X \tNV4\t{first}\t0\nGPU1\tNV4\t X \t{last}\t0\n");
    (format!("\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\n{rows}"), [first, last])
}

/// Three GPUs beside one CPU that this process may use, of which two have NVLink, as a text.
#[cfg(target_os = "linux")]
pub(crate) fn three_gpus() -> String {
    beside_one_cpu::beside_one_cpu(&["X\tNV4\tSYS", "NV4\tX\tSYS", "SYS\tSYS\tX"])
}
