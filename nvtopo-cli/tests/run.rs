//! `nvtopo run` with real processes: what each rank finds, and how a job ends.
#![cfg(target_os = "linux")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{machine, text};

fn start(options: &[&str], command: &[&str], environment: &[(&str, &str)]) -> Child {
    // Tests that are started in the background, or by nohup, would hand on that signals are ignored.
    let mut run = Command::new("env");
    run.arg("--default-signal").arg(env!("CARGO_BIN_EXE_nvtopo"));
    for name in ["CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MASTER_ADDR", "MASTER_PORT"]
        .into_iter()
        .chain(nvtopo::solve::rank_variables())
        .chain(["RANK", "WORLD_SIZE"])
    {
        run.env_remove(name);
    }
    run.args(["run", "--from", "-", "--trust-topology"]).args(options).arg("--").args(command);
    run.envs(environment.iter().copied());
    let mut child = run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(machine().0.as_bytes()).unwrap();
    child
}

fn run(options: &[&str], command: &[&str], environment: &[(&str, &str)]) -> Output {
    start(options, command, environment).wait_with_output().unwrap()
}

/// The plan of the same machine by `nvtopo plan`, as the JSON of each rank.
fn plan(ranks: usize) -> Vec<serde_json::Value> {
    let file = std::env::temp_dir().join(format!("nvtopo-run-{}-{ranks}", std::process::id()));
    std::fs::write(&file, machine().0).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_nvtopo"))
        .args(["plan", "--format", "json", "--ranks", &ranks.to_string(), "--from"])
        .arg(&file)
        .env_remove("CUDA_VISIBLE_DEVICES")
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    plan["ranks"].as_array().unwrap().clone()
}

const TELL: &str = "echo $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $MASTER_ADDR:$MASTER_PORT \
     $(sed -n 's/^Cpus_allowed_list:.//p' /proc/self/status) omp=$OMP_NUM_THREADS";

/// The lines of all ranks in their order.
fn told(options: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    let output = run(options, &["sh", "-c", TELL], environment);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn each_rank_finds_its_variables_and_the_cpus_of_the_plan() {
    let [first, last] = machine().1;
    let ranks = told(&["--nproc-per-node", "2"], &[]);
    assert_eq!(ranks.len(), 2);
    for ((rank, line), planned) in ranks.iter().enumerate().zip(plan(2)) {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[..2], [format!("{rank}/2"), format!("{rank}/2")]);
        assert_eq!(words[3], planned["cpus"].as_str().unwrap());
        let cores = planned["own_cores"].as_u64().unwrap();
        assert_eq!(words[4], if cores > 0 { format!("omp={cores}") } else { "omp=".to_owned() });
        // All meet at one place, on this machine.
        assert_eq!(words[2], ranks[0].split(' ').nth(2).unwrap());
        let port = words[2].strip_prefix("127.0.0.1:").unwrap();
        assert!(port.parse::<u16>().unwrap() > 0);
    }
    assert_eq!(ranks[1].split(' ').nth(3).unwrap(), last.to_string());
    // One for each GPU, where nobody says how many, and by the variable as many as it says.
    assert_eq!(told(&[], &[]).len(), 2);
    let four = told(&[], &[("NVTOPO_NPROC_PER_NODE", "4")]);
    let cpus: Vec<&str> = four.iter().map(|line| line.split(' ').nth(3).unwrap()).collect();
    assert_eq!(cpus, [first, last, first, last].map(|cpu| cpu.to_string()));
    // The chosen GPU is what there is for all ranks.
    let chosen = told(&["--gpus", "1", "--exclude", "0", "--nproc-per-node", "1"], &[]);
    assert_eq!(chosen[0].split(' ').nth(3).unwrap(), last.to_string());
}

#[test]
fn a_meeting_point_is_kept_and_foreign_ranks_are_not() {
    let set = [("MASTER_ADDR", "node7"), ("MASTER_PORT", "4711"), ("RANK", "5"), ("LOCAL_RANK", "5")];
    let ranks = told(&["--nproc-per-node", "2"], &set);
    assert!(ranks[1].starts_with("1/2 1/2 node7:4711 "), "{ranks:?}");
    let output = run(&["--nproc-per-node", "2"], &["true"], &set);
    let said = text(&output.stderr);
    assert!(said.contains("RANK=5, LOCAL_RANK=5 is set anew for each rank"), "{said}");
}

#[test]
fn the_exit_code_is_that_of_the_first_rank_that_failed() {
    let code = |script: &str| run(&["--nproc-per-node", "2"], &["sh", "-c", script], &[]).status.code();
    assert_eq!(code("exit 0"), Some(0));
    assert_eq!(code("[ $RANK = 0 ] || exit 7"), Some(7));
    assert_eq!(code("[ $RANK = 0 ] && exit 3; sleep 60"), Some(3));
    assert_eq!(code("[ $RANK = 1 ] && kill -SEGV $$; sleep 60"), Some(128 + 11));
    let missing = run(&["--nproc-per-node", "2"], &["/nowhere/at/all"], &[]);
    assert_eq!(missing.status.code(), Some(127));
    assert!(text(&missing.stderr).contains("cannot run /nowhere/at/all"), "{}", text(&missing.stderr));
    assert_eq!(run(&["--nproc-per-node", "2"], &["/dev/null"], &[]).status.code(), Some(126));
    for wrong in ["0", "5000"] {
        assert_eq!(run(&["--nproc-per-node", wrong], &["true"], &[]).status.code(), Some(2));
    }
}

#[test]
fn a_rank_that_fails_ends_the_others() {
    // The first hears it, and what it started hears it too; the second fails when both listen.
    let script = "if [ $RANK = 1 ]; then read go; fi; exit 5";
    let listens = "trap 'echo rank heard; exit 0' TERM; \
         sh -c 'trap \"echo child heard; exit 0\" TERM; echo ready; while :; do sleep 0.05; done' & \
         while :; do sleep 0.05; done";
    let begun = Instant::now();
    let fifo = std::env::temp_dir().join(format!("nvtopo-run-fifo-{}", std::process::id()));
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let whole = format!("if [ $RANK = 0 ]; then {listens}; fi; exec < {}; {script}", fifo.display());
    let mut job = start(&["--nproc-per-node", "2"], &["sh", "-c", &whole], &[]);
    let mut lines = BufReader::new(job.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "ready");
    std::fs::write(&fifo, "go\n").unwrap();
    let mut heard: Vec<String> = lines.collect();
    heard.sort();
    assert_eq!(heard, ["child heard", "rank heard"]);
    assert_eq!(job.wait().unwrap().code(), Some(5));
    assert!(begun.elapsed() < Duration::from_secs(8), "waited for the grace time: {:?}", begun.elapsed());
    std::fs::remove_file(&fifo).unwrap();
    // One that does not listen is killed after the time it was given.
    let deaf = "if [ $RANK = 0 ]; then trap '' TERM; while :; do sleep 0.05; done; fi; sleep 0.3; exit 6";
    let begun = Instant::now();
    let killed = run(&["--nproc-per-node", "2", "--grace", "1"], &["sh", "-c", deaf], &[]);
    assert_eq!(killed.status.code(), Some(6));
    assert!((1.0..9.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn signals_reach_all_ranks() {
    // After those that ask for the end, a rank that ends first does not disturb the others.
    for (name, code) in [("TERM", 4), ("INT", 4), ("HUP", 4), ("USR1", 0), ("USR2", 0)] {
        let script = format!(
            "trap 'echo $RANK heard; exit {code}' {name}; echo $RANK ready; while :; do sleep 0.05; done"
        );
        let mut job = start(&["--nproc-per-node", "2"], &["sh", "-c", &script], &[]);
        let mut lines = BufReader::new(job.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut ready = [lines.next().unwrap(), lines.next().unwrap()];
        ready.sort();
        assert_eq!(ready, ["0 ready", "1 ready"]);
        signal(name, job.id());
        let mut heard: Vec<String> = lines.collect();
        heard.sort();
        assert_eq!(heard, ["0 heard", "1 heard"], "{name}");
        assert_eq!(job.wait().unwrap().code(), Some(code), "{name}");
    }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let (topology, _) = machine();
    let nvtopo = env!("CARGO_BIN_EXE_nvtopo");
    let inner = "echo ready; sleep 0.5; echo lived";
    let mut job = Command::new("nohup")
        .args([nvtopo, "run", "--from", "-", "--trust-topology", "--nproc-per-node", "1", "--"])
        .args(["sh", "-c", inner])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    job.stdin.take().unwrap().write_all(topology.as_bytes()).unwrap();
    let mut lines = BufReader::new(job.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "ready");
    signal("HUP", job.id());
    assert_eq!(lines.next().unwrap(), "lived");
    assert_eq!(job.wait().unwrap().code(), Some(0));
}

#[test]
fn no_rank_is_left_when_nvtopo_is_killed() {
    let mut job = start(&["--nproc-per-node", "2"], &["sh", "-c", "echo $$; exec sleep 60"], &[]);
    let mut lines = BufReader::new(job.stdout.take().unwrap()).lines().map(Result::unwrap);
    let ranks = [lines.next().unwrap(), lines.next().unwrap()];
    job.kill().unwrap();
    job.wait().unwrap();
    // The pipe ends when both are gone.
    assert_eq!(lines.next(), None);
    // Files close a moment before a process is gone.
    let is_gone = |rank: &String| {
        let state = std::fs::read_to_string(format!("/proc/{rank}/stat")).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    };
    let end = Instant::now() + Duration::from_secs(5);
    while !ranks.iter().all(is_gone) {
        assert!(Instant::now() < end, "ranks {ranks:?} are still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn labels_stand_before_whole_lines() {
    let script = "i=0; while [ $i -lt 200 ]; do printf 'aaaaaaaa'; printf 'bbbbbbbb %d\\n' $i; i=$((i+1)); done; \
         printf 'out of %s' $RANK; printf 'err of %s\\n' $RANK >&2";
    let output = run(&["--nproc-per-node", "2", "--label"], &["sh", "-c", script], &[]);
    assert_eq!(output.status.code(), Some(0));
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    for rank in 0..2 {
        let of_rank: Vec<&str> =
            out.lines().filter_map(|line| line.strip_prefix(&format!("{rank}: "))).collect();
        let mut expected: Vec<String> = (0..200).map(|i| format!("aaaaaaaabbbbbbbb {i}")).collect();
        expected.push(format!("out of {rank}"));
        assert_eq!(of_rank, expected);
        assert!(err.lines().any(|line| line == format!("{rank}: err of {rank}")), "{err}");
    }
    assert_eq!(out.lines().count(), 402);
    // With eleven ranks the numbers stand below each other; ten have one digit each.
    let many = text(&run(&["--nproc-per-node", "11", "--label"], &["echo", "here"], &[]).stdout);
    assert!(many.lines().any(|line| line == " 9: here") && many.contains("10: here\n"), "{many}");
    let ten = text(&run(&["--nproc-per-node", "10", "--label"], &["echo", "here"], &[]).stdout);
    assert_eq!(ten.lines().filter(|line| line.len() == "9: here".len()).count(), 10, "{ten}");
}

#[test]
fn rank_0_reads_the_standard_input() {
    let file = std::env::temp_dir().join(format!("nvtopo-run-input-{}", std::process::id()));
    std::fs::write(&file, machine().0).unwrap();
    let mut job = Command::new(env!("CARGO_BIN_EXE_nvtopo"))
        .args(["run", "--nproc-per-node", "2", "--label", "--trust-topology", "--from"])
        .arg(&file)
        .args(["--", "sh", "-c", "read line; echo \"got $line\""])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    job.stdin.take().unwrap().write_all(b"a word\n").unwrap();
    let output = job.wait_with_output().unwrap();
    std::fs::remove_file(&file).unwrap();
    let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["0: got a word", "1: got "]);
}

#[test]
fn what_would_be_done_and_what_was_done_is_said_for_each_rank() {
    let [_, last] = machine().1;
    let dry = run(&["--nproc-per-node", "2", "--dry-run"], &["false"], &[]);
    assert_eq!(dry.status.code(), Some(0));
    let said = text(&dry.stdout);
    assert!(
        said.starts_with("rank 0\ncpus: ") && said.contains(&format!("\nrank 1\ncpus: {last}\n")),
        "{said}"
    );
    assert!(said.contains("LOCAL_RANK=1\nWORLD_SIZE=2\n") && said.ends_with("command: false\n"), "{said}");
    let done = text(&run(&["--nproc-per-node", "2", "--report"], &["true"], &[]).stderr);
    assert!(done.contains(&format!("nvtopo: rank 1 of 2 beside GPU1 on CPUs {last} (before ")), "{done}");
    // A machine that is not known to be this one is refused before anything starts.
    let mut other = Command::new(env!("CARGO_BIN_EXE_nvtopo"));
    other.args(["run", "--from", "preset:dgx-h100", "--", "echo", "started"]);
    let refused = other.output().unwrap();
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0));
}

/// The standard error and the exit code of a job.
fn said(options: &[&str], script: &str) -> (String, Option<i32>) {
    let output = run(options, &["sh", "-c", script], &[]);
    (text(&output.stderr), output.status.code())
}

#[test]
fn the_rank_that_failed_is_named_with_how_it_failed() {
    let two = ["--nproc-per-node", "2"];
    let (failed, code) = said(&two, "[ $RANK = 1 ] && exit 7; exec sleep 60");
    assert!(failed.contains("nvtopo: rank 1 failed with exit code 7; rank 0 asked to end\n"), "{failed}");
    assert_eq!(code, Some(7));
    let (killed, code) = said(&two, "[ $RANK = 0 ] && kill -SEGV $$; exec sleep 60");
    assert!(killed.contains("nvtopo: rank 0 was ended by signal 11 (SIGSEGV); rank 1 asked"), "{killed}");
    assert_eq!(code, Some(139));
    let (late, code) = said(
        &["--nproc-per-node", "3", "--grace", "1"],
        "trap '' TERM; [ $RANK = 0 ] && sleep 0.4 && exit 2; sleep 60",
    );
    assert!(late.contains("ranks 1-2 did not end within 1 s: killed"), "{late}");
    assert_eq!(code, Some(2));
    assert_eq!(said(&two, "exit 0").0.matches("rank").count(), 0);
}

#[test]
fn who_asked_for_the_end_does_not_matter_to_those_that_ignore_it() {
    let deaf = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let mut job = start(&["--nproc-per-node", "2", "--grace", "1"], &["sh", "-c", deaf], &[]);
    let mut lines = BufReader::new(job.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!([lines.next().unwrap(), lines.next().unwrap()], ["ready", "ready"]);
    let begun = Instant::now();
    signal("TERM", job.id());
    assert_eq!(job.wait().unwrap().code(), Some(128 + 9));
    assert!((0.9..9.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
}

#[test]
fn what_a_rank_left_behind_ends_with_the_job() {
    // It ignores TERM, and its rank is gone before the other fails.
    let script = "if [ $RANK = 0 ]; then trap '' TERM; sleep 61 & echo $!; exit 0; fi; sleep 0.5; exit 4";
    let begun = Instant::now();
    let output = run(&["--nproc-per-node", "2", "--grace", "1"], &["sh", "-c", script], &[]);
    assert_eq!(output.status.code(), Some(4));
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    let left = text(&output.stdout).trim().to_owned();
    let state = std::fs::read_to_string(format!("/proc/{left}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
    assert!(text(&output.stderr).contains("left behind did not end within 1 s"), "{}", text(&output.stderr));
}

#[test]
fn a_job_that_is_the_first_process_of_a_container_comes_back() {
    // As in a container, nobody else waits for what a rank leaves behind.
    let file = std::env::temp_dir().join(format!("nvtopo-run-first-{}", std::process::id()));
    std::fs::write(&file, machine().0).unwrap();
    let script = std::fs::read_to_string("../tests/data/launch/rank-that-stays.sh").unwrap();
    let mut first = Command::new("timeout");
    first.args(["30", "unshare", "-rfp", "--mount-proc", "--kill-child", env!("CARGO_BIN_EXE_nvtopo")]);
    first.args(["run", "--trust-topology", "--grace", "1", "--nproc-per-node", "2", "--from"]).arg(&file);
    let output = first.args(["--", "sh", "-c", &script]).env_remove("LOCAL_RANK").output().unwrap();
    std::fs::remove_file(&file).unwrap();
    let told = text(&output.stderr);
    if told.contains("unshare") {
        // Not everyone may make a namespace.
        return;
    }
    assert_eq!(output.status.code(), Some(5), "{told}");
    assert!(told.contains("rank 1 failed with exit code 5"), "{told}");
}

#[test]
fn a_job_that_cannot_have_threads_says_so() {
    // Root has no limit, so this is for another user where root runs it.
    for limit in [1, 2, 3, 4, 5, 6, 7, 8] {
        let command = format!(
            "ulimit -u {limit}; exec '{}' run --label --nproc-per-node 2 --from preset:gh200 --trust-topology -- true",
            env!("CARGO_BIN_EXE_nvtopo")
        );
        let Ok(output) = Command::new("timeout")
            .args(["20", "setpriv", "--reuid", "64123", "--clear-groups", "--", "bash", "-c", &command])
            .output()
        else {
            return;
        };
        let told = text(&output.stderr);
        if told.contains("setpriv") || told.contains("Permission denied") {
            // Only root may become another user, and that user may not reach what was built here.
            return;
        }
        assert!(!told.contains("panicked"), "{limit}: {told}");
        assert_ne!(output.status.code(), Some(124), "{limit}: it hangs: {told}");
        assert_ne!(output.status.code(), Some(101), "{limit}: {told}");
    }
}

#[test]
fn output_that_cannot_be_written_is_told() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let file = std::env::temp_dir().join(format!("nvtopo-run-full-{}", std::process::id()));
    std::fs::write(&file, machine().0).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_nvtopo"))
        .args(["run", "--nproc-per-node", "1", "--label", "--trust-topology", "--from"])
        .arg(&file)
        .args(["--", "echo", "lost"])
        .stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("cannot write standard output"), "{}", text(&output.stderr));
}
