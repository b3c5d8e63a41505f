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
        let first = words.first().map_or("", |word| word.rsplit('/').next().unwrap_or_default());
        if first == name {
            return Program::Running(words.clone());
        }
        if first == "[kthreadd]" {
            found = Program::Absent;
        }
    }
    found
}

/// Returns the words of each command in the lists that `ps` printed: the program, then its arguments. They are read once.
fn listed(evidence: &Evidence<'_>) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    // The number of words before the command.
    let mut before = None;
    for line in lines(evidence) {
        let mut words = line.split_whitespace();
        let is_heading = |word: &str| matches!(word, "CMD" | "COMMAND");
        if line.contains("PID")
            && let Some(at) = words.clone().position(is_heading)
        {
            // `lstart` has five words below its one: `Mon Nov 30 18:09:40 2026`.
            let is_long = words.any(|word| word == "STARTED");
            before = Some(if is_long { at + 4 } else { at });
        } else if let Some(at) = before {
            if !words.clone().take(2).any(|word| word.parse::<u32>().is_ok()) {
                before = None;
                continue;
            }
            // A tree has marks before the program.
            let command = words.skip(at).skip_while(|word| matches!(*word, "\\_" | "|"));
            found.push(command.map(str::to_owned).collect());
        }
    }
    found
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
