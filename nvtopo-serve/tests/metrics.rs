//! `nvtopod metrics` as a process: what it answers, whom it refuses, and how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running program, which is ended with the test.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nvtopod"))
            .args(["metrics", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines
            .by_ref()
            .find(|line| line.as_ref().is_ok_and(|line| line.contains("listening on")))
            .unwrap();
        let address = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        let program = Self { child, address };
        let start = Instant::now();
        while !program.get("/readyz", "").starts_with("HTTP/1.1 200") {
            assert!(start.elapsed() < Duration::from_secs(60), "no reading in time");
            std::thread::sleep(Duration::from_millis(20));
        }
        program
    }

    fn get(&self, path: &str, headers: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n"))
    }

    fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
    let file = std::env::temp_dir().join(format!("nvtopod-token-{}", std::process::id()));
    std::fs::write(&file, "open sesame\n").unwrap();
    let program = Program::start(&[&BOARD[..], &["--token-file", file.to_str().unwrap()]].concat());
    std::fs::remove_file(file).unwrap();
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
    let ended = Command::new("kill").arg(program.child.id().to_string()).status().unwrap();
    assert!(ended.success() && program.child.wait().unwrap().success());
}

#[test]
fn a_file_is_written_for_the_textfile_collector() {
    let file = std::env::temp_dir().join(format!("nvtopod-{}.prom", std::process::id()));
    let write = |from: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nvtopod"));
        command.args(["metrics", "--once", "--textfile", file.to_str().unwrap(), "--from", from]);
        command.output().unwrap()
    };
    assert!(write("preset:dgx-a100").status.success());
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("nvtopo_nvlink_links_expected{gpu=\"7\"} 12.0\n"), "{text}");
    // What was there stays where the node cannot be read.
    let failed = write("/nowhere/at/all");
    assert_eq!(failed.status.code(), Some(2), "{}", String::from_utf8_lossy(&failed.stderr));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    std::fs::remove_file(file).unwrap();
}
