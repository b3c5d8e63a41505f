//! `nvtopod metrics` as a process: what it answers, whom it refuses, and how it ends.

use crate::program::{Program, Scratch};
use std::net::TcpStream;
use std::process::Command;

const BOARD: [&str; 2] = ["--from", "preset:dgx-h100"];

#[test]
fn metrics_are_answered_in_the_format_that_is_asked_for() {
    let program = Program::start(&BOARD);
    let classic = program.get("/metrics", "");
    assert!(classic.contains("text/plain; version=0.0.4"), "{classic}");
    assert!(
        classic.contains("nvtopo_gpu_pair_info{gpu=\"0\",peer_gpu=\"1\",path=\"NVL\"} 1.0\n"),
        "{classic}"
    );
    // 18 links of 25 GB/s.
    let rate = "nvtopo_gpu_pair_bandwidth_bytes_per_second{gpu=\"0\",peer_gpu=\"1\"} 450000000000.0\n";
    assert!(classic.contains(rate), "{classic}");
    assert!(!classic.contains("# EOF") && !classic.contains("nvtopo_nvlink_up"), "{classic}");
    let open = program.get("/metrics", "accept: application/openmetrics-text; version=1.0.0\r\n");
    assert!(open.contains("application/openmetrics-text") && open.ends_with("# EOF\n"), "{open}");
    assert!(program.get("/healthz", "").ends_with("\r\n\r\nok\n"));
}

#[test]
fn other_requests_are_refused() {
    let program = Program::start(&BOARD);
    assert!(program.get("/etc/passwd", "").starts_with("HTTP/1.1 404"));
    let post = "POST /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert!(program.send(post).starts_with("HTTP/1.1 405"));
    assert!(program.send("nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
    assert!(program.get("/metrics", &"x: y\r\n".repeat(200)).starts_with("HTTP/1.1 431"));
    assert!(program.get("/healthz", "").ends_with("ok\n"));
}

#[test]
fn a_token_is_asked_for() {
    let file = Scratch::new("token");
    std::fs::write(&file.0, "open sesame\n").unwrap();
    let program = Program::start(&[&BOARD[..], &["--token-file", file.text()]].concat());
    assert!(program.get("/metrics", "").starts_with("HTTP/1.1 401"));
    assert!(program.get("/metrics", "authorization: Bearer open sesamE\r\n").starts_with("HTTP/1.1 401"));
    assert!(program.get("/metrics", "authorization: Bearer open sesame\r\n").starts_with("HTTP/1.1 200"));
    assert!(program.get("/healthz", "").starts_with("HTTP/1.1 200"), "probes bring no token");
}

#[test]
fn it_ends_when_it_is_told_to() {
    let mut program = Program::start(&BOARD);
    // A client that sends nothing does not hold it up for ever.
    let _silent = TcpStream::connect(program.address).unwrap();
    assert!(program.end().success());
}

#[test]
fn a_file_is_written_for_the_textfile_collector() {
    let file = Scratch::new("prom");
    let write = |from: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nvtopod"));
        command.args(["metrics", "--once", "--textfile", file.text(), "--from", from]);
        command.output().unwrap()
    };
    assert!(write("preset:dgx-a100").status.success());
    let text = std::fs::read_to_string(&file.0).unwrap();
    assert!(text.contains("nvtopo_nvlink_links_expected{gpu=\"7\"} 12.0\n"), "{text}");
    // What was there stays where the node cannot be read.
    let failed = write("/nowhere/at/all");
    assert_eq!(failed.status.code(), Some(2), "{}", String::from_utf8_lossy(&failed.stderr));
    assert_eq!(std::fs::read_to_string(&file.0).unwrap(), text);
}
