//! `nvtopod metrics` as a process: what it answers, whom it refuses, and how it ends.

use crate::program::{Program, Scratch, run};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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
    let write = |from: &str| run(&["--once", "--textfile", file.text(), "--from", from]);
    assert_eq!(write("preset:dgx-a100").0, Some(0));
    let text = std::fs::read_to_string(&file.0).unwrap();
    assert!(text.contains("nvtopo_nvlink_links_expected{gpu=\"7\"} 12.0\n"), "{text}");
    // What was there stays where the node cannot be read.
    let (code, told) = write("/nowhere/at/all");
    assert_eq!(code, Some(2), "{told}");
    assert_eq!(std::fs::read_to_string(&file.0).unwrap(), text);
}

#[test]
fn a_file_that_cannot_be_written_is_tried_again() {
    let folder = Scratch::new("folder");
    let file = folder.0.join("node.prom");
    let mut program = Command::new(env!("CARGO_BIN_EXE_nvtopod"))
        .args(["metrics", "--interval", "1s", "--from", "preset:dgx-a100", "--textfile"])
        .arg(&file)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    let told = lines.next().unwrap().unwrap();
    assert!(told.contains("cannot write") && told.contains("the next reading will be tried"), "{told}");
    std::fs::create_dir(&folder.0).unwrap();
    let begun = Instant::now();
    while !file.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60) && program.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").arg(program.id().to_string()).status().unwrap().success());
    assert_eq!(program.wait().unwrap().code(), Some(0));
}

#[test]
fn clients_that_hold_their_connections_keep_nobody_out() {
    let program = Program::start(&BOARD);
    let connect = |request: &str| {
        let mut stream = TcpStream::connect(program.address).unwrap();
        stream.set_nonblocking(true).unwrap();
        // The program may have closed it already.
        let _ = stream.write(request.as_bytes());
        stream
    };
    let metrics = "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n";
    let kinds = [
        ("send many requests and read nothing", metrics.repeat(1000), 100),
        ("ask once and stay", "GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 100),
        ("send half a request", "GET / HTTP/1.1\r\n".to_owned(), 300),
        ("send nothing", String::new(), 100),
    ];
    for (kind, request, number) in kinds {
        let held: Vec<_> = (0..number).map(|_| connect(&request)).collect();
        for path in ["/healthz", "/metrics", "/healthz"] {
            let begun = Instant::now();
            assert!(program.get(path, "").starts_with("HTTP/1.1 200"), "{kind}");
            assert!(begun.elapsed() < Duration::from_secs(3), "{kind}: {:?} for {path}", begun.elapsed());
        }
        let open = std::fs::read_dir(format!("/proc/{}/fd", program.pid())).unwrap().count();
        assert!(open < 64 + 20, "{kind}: {open} files are open");
        drop(held);
    }
}

#[test]
fn a_connection_ends_with_its_answer() {
    let program = Program::start(&BOARD);
    // No "connection: close" is asked for.
    let answer = program.send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
}
