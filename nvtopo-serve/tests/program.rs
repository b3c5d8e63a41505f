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
            .args(["metrics", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .envs(variables.iter().cloned())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut read = BufReader::new(child.stderr.take().unwrap()).lines();
        let line =
            read.by_ref().find(|line| line.as_ref().is_ok_and(|line| line.contains("listening on"))).unwrap();
        let address = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
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

/// Writes the metrics of a place once, and returns them.
pub(crate) fn exposition(arguments: &[&str]) -> String {
    let file = Scratch::new("prom");
    let mut command = Command::new(env!("CARGO_BIN_EXE_nvtopod"));
    command.args(["metrics", "--once", "--textfile"]).arg(&file.0).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
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
