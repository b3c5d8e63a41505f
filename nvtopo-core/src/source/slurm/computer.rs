//! A node as `slurmd -C`, `scontrol show node` and `slurm.conf` tell it: the numbers of its sockets, cores and GPUs.

use super::device::{Device, error};
use super::words::{Field, find};
use crate::error::Result;
use crate::model::MAX_DEVICES;
use crate::model::cores::Layout;

/// More CPUs than any machine has.
const MOST_CPUS: u32 = 1 << 16;

/// More memory than any machine has.
const MOST_MEBIBYTES: u64 = 1 << 40;

/// The facts of a node.
#[derive(Clone, Debug, Default)]
pub(super) struct Computer {
    cpus: Option<u32>,
    boards: Option<u32>,
    /// Of all boards.
    sockets: Option<u32>,
    of_board: Option<u32>,
    cores: Option<u32>,
    threads: Option<u32>,
    /// The memory in bytes.
    pub(super) memory: Option<u64>,
    /// The GPUs of each type.
    pub(super) gpus: Vec<Device>,
    /// True where the GPUs are told, be it that there is none.
    pub(super) tells_gpus: bool,
}

/// Returns whether a line begins the facts of a node.
pub(super) fn is_sign(fields: &[Field<'_>]) -> bool {
    let keys = ["corespersocket", "cpus", "cputot", "socketsperboard", "sockets", "procs", "gres"];
    let has = |keys: &[&str]| fields.iter().any(|field| keys.contains(&field.key.as_str()));
    has(&["nodename"]) && has(&keys) && !has(&["name"])
}

impl Computer {
    /// Takes the facts of a line.
    pub(super) fn feed(&mut self, fields: &[Field<'_>]) -> Result<()> {
        let counts: [(&mut Option<u32>, &[&str]); 6] = [
            (&mut self.cpus, &["cpus", "procs", "cputot"]),
            (&mut self.boards, &["boards"]),
            (&mut self.sockets, &["sockets"]),
            (&mut self.of_board, &["socketsperboard"]),
            (&mut self.cores, &["corespersocket"]),
            (&mut self.threads, &["threadspercore"]),
        ];
        for (count, keys) in counts {
            let Some(field) = find(fields, keys) else { continue };
            match field.value.parse() {
                Ok(number @ 1..=MOST_CPUS) => *count = Some(number),
                _ => return Err(error(field, format!("'{}' is no number of {}", field.value, keys[0]))),
            }
        }
        // 1 MiB stands for a memory that nobody told.
        let memory = find(fields, &["realmemory"]).and_then(|field| field.value.parse().ok());
        let memory = memory.filter(|mebibytes| (2..=MOST_MEBIBYTES).contains(mebibytes));
        self.memory = memory.map(|mebibytes| mebibytes << 20).or(self.memory);
        if let Some(field) = fields.iter().find(|field| field.key == "gres") {
            self.tells_gpus = true;
            self.gpus = gpus(field)?;
        }
        Ok(())
    }

    /// Returns the numbers of sockets, cores and threads. `None`: unknown; an error: they contradict each other.
    pub(super) fn layout(&self) -> Option<std::result::Result<Layout, String>> {
        let boards = self.boards.unwrap_or(1);
        let sockets = self.sockets.or_else(|| self.of_board?.checked_mul(boards));
        let (sockets, cores, threads) = (sockets?, self.cores?, self.threads?);
        let layout = Layout { sockets, cores, threads };
        let of_cores = sockets.checked_mul(cores);
        let all = of_cores.and_then(|cores| cores.checked_mul(threads)).filter(|cpus| *cpus <= MOST_CPUS);
        // Slurm may count cores as CPUs.
        let is_sound =
            all.is_some() && self.cpus.is_none_or(|cpus| Some(cpus) == all || Some(cpus) == of_cores);
        Some(if is_sound {
            Ok(layout)
        } else {
            let cpus = self.cpus.map_or_else(|| "too many".to_owned(), |cpus| cpus.to_string());
            Err(format!(
                "the node has {cpus} CPUs by Slurm, and {sockets} sockets of {cores} cores of {threads} threads: cores are \
                 unknown"
            ))
        })
    }
}

/// Reads `gpu:a100:4(S:0-1),gpu:2,shard:8`.
fn gpus(field: &Field<'_>) -> Result<Vec<Device>> {
    let mut gpus = Vec::new();
    // A list of sockets may stand in brackets, with commas.
    let mut depth = 0i32;
    let parts = field.value.split(|c| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        c == ',' && depth <= 0
    });
    for part in parts {
        let part = part.split('(').next().unwrap_or_default();
        let words: Vec<&str> = part.split(':').filter(|word| *word != "no_consume").collect();
        let (kind, count) = match words[..] {
            [name, ..] if !name.eq_ignore_ascii_case("gpu") => continue,
            [_] => (None, "1"),
            [_, count] if count.starts_with(|c: char| c.is_ascii_digit()) => (None, count),
            [_, kind] => (Some(kind), "1"),
            [_, kind, count] => (Some(kind), count),
            _ => return Err(error(field, format!("'{part}' is no number of GPUs"))),
        };
        let number = count.parse().ok().filter(|number: &usize| *number <= MAX_DEVICES - gpus.len());
        let Some(number) = number else { return Err(error(field, format!("'{part}' is no number of GPUs"))) };
        let kind = kind.map(str::to_owned);
        let device = Device { kind, line: field.at.0, ..Device::default() };
        gpus.extend(std::iter::repeat_n(device, number));
    }
    Ok(gpus)
}
