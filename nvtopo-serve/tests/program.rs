//! `nvtopod metrics` as a running process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A running program, which is ended with the test.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    /// The lines that it wrote to standard error.
    lines: Arc<Mutex<Vec<String>>>,
}

impl Program {
    /// Starts it, and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let program = Self::begin(arguments, &[]);
        program.wait("/readyz", "HTTP/1.1 200");
        program
    }

    /// Starts it.
    pub(crate) fn begin(arguments: &[&str], variables: &[(&str, String)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nvtopod"))
            .arg("metrics")
            .args(arguments)
            .env("NVTOPOD_LISTEN", "127.0.0.1:0")
            .envs(variables.iter().cloned())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut read = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut first = Vec::new();
        let address = loop {
            let line = read.next().expect("it listens").unwrap();
            let address = line.rsplit_once("listening on ").map(|(_, own)| own.parse().unwrap());
            first.push(line);
            if let Some(address) = address {
                break address;
            }
        };
        let lines = Arc::new(Mutex::new(first));
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in read.map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Self { child, address, lines }
    }

    /// Waits until the answer on a path contains some words, and returns it.
    #[track_caller]
    pub(crate) fn wait(&self, path: &str, words: &str) -> String {
        let start = Instant::now();
        loop {
            let answer = self.get(path, "");
            if answer.contains(words) {
                return answer;
            }
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "no '{words}' in time on {path}: {answer}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn get(&self, path: &str, headers: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n"))
    }

    pub(crate) fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Returns what it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to end, and waits for that.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let told = Command::new("kill").arg(self.pid().to_string()).status().unwrap();
        assert!(told.success());
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs it to its end, and returns its exit code and what it wrote to standard error.
pub(crate) fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nvtopod"));
    let output = command.arg("metrics").args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Writes the metrics of a place once, and returns them.
pub(crate) fn exposition(arguments: &[&str]) -> String {
    let file = Scratch::new("prom");
    let (code, told) = run(&[&["--once", "--textfile", file.text()], arguments].concat());
    assert_eq!(code, Some(0), "{told}");
    std::fs::read_to_string(&file.0).unwrap()
}

/// A place below the directory of temporary files, removed at the end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(ending: &str) -> Self {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("nvtopod-{}-{number}.{ending}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
