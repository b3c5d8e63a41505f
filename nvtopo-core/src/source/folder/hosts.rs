//! The machines that files are of: by the names of hosts in them, and by the UUIDs of their GPUs.

use crate::error::{Error, Result};
use crate::ids::{GpuUuid, PciAddress};
use crate::model::{Fragment, Gpu, NoteKind, Provenance, Stated};
use crate::source::SOURCES;
use crate::source::text::{self, Line};
use crate::units::count_of;
use std::collections::{BTreeMap, BTreeSet};

/// The number of bytes of a file in which the name of a host is searched.
const HEAD: usize = 256 << 10;

/// The names of hosts, each with the first file that tells it.
#[derive(Default)]
pub(super) struct Hosts(BTreeMap<String, String>);

impl Hosts {
    /// Looks for the name of the host in a file. Returns true for a file that tells nothing else.
    pub(super) fn look(&mut self, name: &str, bytes: &[u8]) -> bool {
        let (text, _) = text::decode(&bytes[..bytes.len().min(HEAD)]);
        let file = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        let is_name = file == "hostname" || file.starts_with("hostname.") || file.starts_with("hostname_");
        let (host, is_own) = if is_name {
            (text.lines().find_map(plain), true)
        } else if let Some(host) = text.lines().find_map(of_uname) {
            (Some(host), file.starts_with("uname"))
        } else {
            (text::raw_lines(&text).find_map(of_prompt), false)
        };
        if let Some(host) = host.and_then(short) {
            self.0.entry(host).or_insert_with(|| name.to_owned());
        }
        is_own
    }

    /// Errors where the files are of several machines.
    pub(super) fn check(&self, fragments: &[Fragment]) -> Result<()> {
        const HELP: &str = "put the files of each machine into a directory of its own";
        check_matrices(fragments).map_err(|error| error.help(HELP))?;
        check_listings(fragments).map_err(|error| error.help(HELP))?;
        let mut hosts = self.0.iter();
        if let (Some((one, in_one)), Some((other, in_other))) = (hosts.next(), hosts.next()) {
            let text = format!("these are two machines: {one} in {in_one}, {other} in {in_other}");
            return Err(Error::input(text).help(HELP));
        }
        // Most files tell the same GPUs, and each such list is compared once.
        let mut known = BTreeSet::new();
        let mut seen: Vec<(&Fragment, Vec<&Gpu>)> = Vec::new();
        for fragment in fragments {
            let gpus: Vec<&Gpu> = fragment.nodes.iter().filter_map(|node| node.kind.as_gpu()).collect();
            if !known.insert(gpus.iter().map(|gpu| (gpu.uuid, gpu.address, gpu.index)).collect::<Vec<_>>()) {
                continue;
            }
            if let Some((other, _)) = seen.iter().find(|(_, others)| contradict(others, &gpus)) {
                let name = |of: &Fragment| of.file.as_deref().unwrap_or("the files of /sys").to_owned();
                let (one, other) = (name(other), name(fragment));
                let text = format!("these are two machines: no UUID of a GPU in {one} is in {other}");
                return Err(Error::input(text).help(HELP));
            }
            seen.push((fragment, gpus));
        }
        Ok(())
    }
}

/// Errors where a matrix, which shows all GPUs of its machine, lacks some that another text of `nvidia-smi` has.
pub(in crate::source) fn check_matrices(fragments: &[Fragment]) -> Result<()> {
    let numbers = |own: &Fragment| -> BTreeSet<u32> {
        own.nodes.iter().filter_map(|node| Some(node.kind.as_gpu()?.index)).collect()
    };
    // Most texts tell the same GPUs, and each such list is compared once.
    let mut seen = BTreeSet::new();
    let by_smi = fragments.iter().filter(|own| own.provenance == Provenance::Smi);
    let told = by_smi.map(|own| (own, is_whole_matrix(own), numbers(own)));
    let told: Vec<_> = told.filter(|(_, whole, numbers)| seen.insert((*whole, numbers.clone()))).collect();
    for (matrix, _, own) in told.iter().filter(|(_, is_whole, _)| *is_whole) {
        for (other, _, numbers) in &told {
            let Some(missing) = numbers.difference(own).next().copied() else { continue };
            let (one, two) = match (&matrix.file, &other.file) {
                (Some(one), Some(two)) => (format!("the matrix in {one}"), two.to_string()),
                _ => ("the matrix".to_owned(), "another text of nvidia-smi".to_owned()),
            };
            let (count, others) = (count_of(own.len(), "GPU"), numbers.len());
            let text = format!(
                "these are two machines, or one as two containers see it: {one} shows {count}, and {two} {others}, with GPU{missing}"
            );
            return Err(Error::input(text).help("give the texts of one machine"));
        }
    }
    Ok(())
}

/// Errors where two listings of PCI devices have no GPU's address in common. One of a single device is no listing.
fn check_listings(fragments: &[Fragment]) -> Result<()> {
    let listings = fragments.iter().filter(|own| own.provenance == Provenance::SystemTool);
    let mut seen: Vec<(&Fragment, BTreeSet<PciAddress>)> = Vec::new();
    for listing in listings {
        let kinds = || listing.nodes.iter().map(|node| &node.kind);
        let gpus: BTreeSet<_> = kinds().filter_map(|kind| kind.as_gpu()?.address).collect();
        let nics = kinds().filter_map(|kind| kind.as_nic()?.address).count();
        if gpus.is_empty() || gpus.len() + nics < 2 || seen.iter().any(|(_, other)| *other == gpus) {
            continue;
        }
        if let Some((other, _)) = seen.iter().find(|(_, other)| other.is_disjoint(&gpus)) {
            let name = |of: &Fragment| of.file.as_deref().unwrap_or("a listing").to_owned();
            let (one, other) = (name(other), name(listing));
            let text = format!(
                "these are two machines, or one at two times: no GPU of {one} is at the PCI address of one in {other}"
            );
            return Err(Error::input(text));
        }
        seen.push((listing, gpus));
    }
    Ok(())
}

/// Returns whether a fragment is of a matrix that was not cut: others do not tell what is near GPUs or between them.
fn is_whole_matrix(own: &Fragment) -> bool {
    let tells_near = |gpu: &Gpu| gpu.cpus != Stated::Unstated || gpu.nodes != Stated::Unstated;
    let is_matrix = !own.paths.is_empty()
        || !own.p2p.is_empty()
        || own.nodes.iter().filter_map(|node| node.kind.as_gpu()).any(tells_near);
    let is_whole = own.notes.iter().all(|note| note.kind() != NoteKind::Damage);
    own.provenance == Provenance::Smi && is_matrix && is_whole
}

/// Errors where the prompts of two hosts stand before the names of tools in one text.
pub(in crate::source) fn check_prompts(text: &str) -> Result<()> {
    if !text.contains('@') {
        return Ok(());
    }
    let mut first: Option<(String, usize)> = None;
    for (line, number) in text::raw_lines(text).zip(1..) {
        let Some(host) = of_prompt(line).and_then(short) else { continue };
        match &first {
            Some((known, at)) if *known != host => {
                let text = format!("these are two machines: {known} in line {at}, {host} here");
                return Err(Error::input(text).at(number, 1).help("give the texts of one machine"));
            }
            _ => _ = first.get_or_insert((host, number)),
        }
    }
    Ok(())
}

/// Returns true where GPUs of one place or number have different UUIDs, and no UUID is that of a GPU of both.
fn contradict(a: &[&Gpu], b: &[&Gpu]) -> bool {
    let uuids = |gpus: &[&Gpu]| gpus.iter().filter_map(|gpu| gpu.uuid).collect::<BTreeSet<GpuUuid>>();
    let (own, others) = (uuids(a), uuids(b));
    if own.is_empty() || others.is_empty() || !own.is_disjoint(&others) {
        return false;
    }
    let places = a.iter().filter(|gpu| gpu.uuid.is_some()).filter_map(|gpu| gpu.address);
    let places: BTreeSet<_> = places.collect();
    let numbers: BTreeSet<u32> = a.iter().filter(|gpu| gpu.uuid.is_some()).map(|gpu| gpu.index).collect();
    b.iter().filter(|gpu| gpu.uuid.is_some()).any(|gpu| match gpu.address {
        Some(address) if !places.is_empty() => places.contains(&address),
        _ => numbers.contains(&gpu.index),
    })
}

/// Returns a line that is the name of a host.
fn plain(line: &str) -> Option<&str> {
    let line = line.trim();
    is_host(line).then_some(line)
}

/// Reads `Linux node17 5.15.0-91-generic #101-Ubuntu SMP …`, with a heading or without.
fn of_uname(line: &str) -> Option<&str> {
    let mut words = line.strip_prefix("uname: ").unwrap_or(line).split_ascii_whitespace();
    let (system, host, release) = (words.next()?, words.next()?, words.next()?);
    let is_release = release.starts_with(|c: char| c.is_ascii_digit()) && release.contains('.');
    let is_version = words.next()?.starts_with('#');
    (system == "Linux" && is_release && is_version && is_host(host)).then_some(host)
}

/// Reads `[root@node17 ~]# nvidia-smi` and `user@node17:~$ nvidia-smi`: a prompt before the name of a tool.
fn of_prompt(line: &str) -> Option<&str> {
    let (user, rest) = line.trim_start().split_once('@')?;
    let user = user.rsplit(['[', '(', ' ', '>']).next()?;
    let is_user = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if user.is_empty() || !user.chars().all(is_user) {
        return None;
    }
    let end = rest.find([':', ' '])?;
    let (host, rest) = rest.split_at(end);
    let command = rest.find("$ ").or_else(|| rest.find("# "))?;
    let command = &rest[command + 2..];
    let command = Line { number: 1, offset: 0, text: command.into() };
    let is_tool = SOURCES.iter().any(|source| source.begins(&command));
    (is_host(host) && is_tool).then_some(host)
}

fn is_host(name: &str) -> bool {
    let of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    !name.is_empty() && name.len() <= 253 && name.chars().all(of_name)
}

/// Returns the name without its domain. Names that any machine has, and those of containers, tell nothing.
fn short(name: &str) -> Option<String> {
    let name = name.split('.').next()?.to_ascii_lowercase();
    let is_container = name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_common =
        matches!(&*name, "" | "localhost" | "host" | "hostname" | "node" | "server" | "ubuntu" | "machine");
    (!is_container && !is_common).then_some(name)
}
