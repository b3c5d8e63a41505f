//! The processes of the machine, from its files, else from saved outputs of `ps` and `systemctl`.

use super::host::lines;
use crate::evidence::Evidence;

/// A program among the processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// It runs, with these arguments; without any where they cannot be read.
    Running(Vec<String>),
    /// It does not run.
    Absent,
    /// Not all processes can be seen.
    Unknown,
}

/// The length to which the kernel cuts the name of a process.
const NAME: usize = 15;

/// Looks for a program by the name of its file.
pub(crate) fn find(evidence: &Evidence<'_>, name: &str) -> Program {
    let cut = &name[..name.len().min(NAME)];
    let pids = evidence.processes();
    if let Some((pid, _)) = pids.iter().find(|(_, own)| own == cut) {
        let line = evidence.text(&format!("proc/{pid}/cmdline")).known().cloned().unwrap_or_default();
        return Program::Running(
            line.split('\0').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        );
    }
    // Process 2 of the kernel is its maker of threads. Who does not see it sees a container's processes only.
    if pids.iter().any(|(pid, own)| *pid == 2 && own == "kthreadd") {
        return Program::Absent;
    }
    saved(evidence, name)
}

/// Looks into saved lists of processes.
fn saved(evidence: &Evidence<'_>, name: &str) -> Program {
    let mut found = Program::Unknown;
    for words in evidence.readings.listed_processes.get_or_init(|| listed(evidence)) {
        let is_own = |word: &String| word.rsplit('/').next() == Some(name);
        // The program stands behind numbers and times; a word of arguments is no program.
        if let Some(at) = words.iter().position(is_own).filter(|at| is_first(words, *at)) {
            return Program::Running(words[at..].to_vec());
        }
        if words.iter().any(|word| word == "[kthreadd]") {
            found = Program::Absent;
        }
    }
    found
}

/// Returns the words of each line of the lists that `ps` printed. They are read once.
fn listed(evidence: &Evidence<'_>) -> Vec<Vec<String>> {
    let (mut found, mut in_list) = (Vec::new(), false);
    for line in lines(evidence) {
        if line.contains("PID") && (line.contains("CMD") || line.contains("COMMAND")) {
            in_list = true;
        } else if in_list {
            in_list = line.split_whitespace().take(2).any(|word| word.parse::<u32>().is_ok());
            if in_list {
                found.push(line.split_whitespace().map(str::to_owned).collect());
            }
        }
    }
    found
}

/// Returns whether a word of a line of `ps` is the program: no path or option stands before it.
fn is_first(words: &[String], at: usize) -> bool {
    !words[..at].iter().any(|word| word.starts_with('/') || word.starts_with("--"))
}

/// The state of a service, from saved outputs of `systemctl show` or `status`, such as `active`. `None`: not told.
pub(crate) fn service(evidence: &Evidence<'_>, name: &str) -> Option<String> {
    let unit = format!("{name}.service");
    for saved in evidence.texts() {
        let (mut id, mut state, mut in_status) = (false, None, false);
        for line in saved.text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with("Id=") && id {
                (id, state, in_status) = (false, None, false);
            }
            if let Some(own) = line.strip_prefix("Id=") {
                id = own == unit;
            } else if let Some(own) = line.strip_prefix("ActiveState=") {
                state = Some(own.to_owned());
            } else if line.split_whitespace().take(2).any(|word| word == unit) {
                in_status = true;
            } else if let Some(own) = line.strip_prefix("Active: ").filter(|_| in_status) {
                return own.split_whitespace().next().map(str::to_owned);
            }
            if id && state.is_some() {
                return state;
            }
        }
    }
    None
}
