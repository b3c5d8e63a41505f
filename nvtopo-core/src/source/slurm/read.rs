//! The reader: which lines are of one node, and the machine that they describe.

use super::computer::{self, Computer};
use super::device::{self, Device, Skipped};
use super::links;
use super::words::{Field, contains, entries, find, is_template};
use crate::error::{Error, Result};
use crate::model::{
    Fragment, Gpu, GpuInstance, MAX_DEVICES, MigMode, NodeId, Note, NoteCode, Provenance, Stated,
};
use crate::source::plain::is_number;
use crate::source::text;
use crate::source::{Input, TextFormat};
use crate::units::{listed, several};
use std::collections::{BTreeMap, BTreeSet};

/// The text of Slurm's `gres.conf`, and of `slurmd -C`, `slurmd -G` and `scontrol show node`.
pub(in crate::source) struct Slurm;

impl TextFormat for Slurm {
    const NAME: &'static str = "Slurm's gres.conf, slurmd -C or scontrol show node";

    const BEGINNINGS: &'static [&'static str] =
        &["gres.conf", "slurm.conf", "slurmd -", "scontrol show", "NodeName=", "Name=gpu", "AutoDetect="];

    fn recognizes(input: &Input<'_>) -> bool {
        entries(input.lines()).any(|entry| {
            let fields = entry.fields();
            device::is_sign(&fields) || computer::is_sign(&fields) || leaves_to_detection(&fields)
        })
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, damage) = text::decode(bytes);
        let mut reader = Reader::default();
        for entry in entries(text::lines(&text)) {
            // Other lines end the facts of a node, such as those of another tool.
            if !entry.begins_with_key() {
                reader.node = None;
            }
            reader.feed(&entry.fields())?;
        }
        reader.notes.extend(damage.map(|text| Note::new(NoteCode::Damage, text)));
        reader.fragment()
    }
}

/// Returns whether a line leaves all to Slurm's own detection: `AutoDetect=nvml`, with or without nodes.
fn leaves_to_detection(fields: &[Field<'_>]) -> bool {
    let is_part = |field: &Field<'_>| matches!(field.key.as_str(), "autodetect" | "nodename" | "name");
    let detects = |field: &Field<'_>| {
        let known = ["nvml", "nvidia", "rsmi", "oneapi", "nrt"];
        field.key == "autodetect" && known.iter().any(|name| field.value.eq_ignore_ascii_case(name))
    };
    fields.iter().all(is_part) && fields.iter().any(detects)
}

#[derive(Default)]
struct Reader {
    /// The GPUs of each line, with the list of nodes that it names.
    lines: Vec<(Option<String>, Vec<Device>)>,
    nodes: BTreeMap<String, Computer>,
    /// The facts that lines of `slurm.conf` state of all nodes that follow.
    common: Computer,
    /// The node whose facts go on in the next line.
    node: Option<String>,
    skipped: Skipped,
    detects: bool,
    notes: Vec<Note>,
}

impl Reader {
    fn feed(&mut self, fields: &[Field<'_>]) -> Result<()> {
        self.detects |= leaves_to_detection(fields);
        if device::is_sign(fields) {
            self.node = None;
            let devices = device::read(fields, &mut self.skipped)?;
            let count: usize = self.lines.iter().map(|(_, devices)| devices.len()).sum();
            if count + devices.len() > 4 * MAX_DEVICES || self.lines.len() == 4 * MAX_DEVICES {
                return Err(Error::input(format!("it lists more than {MAX_DEVICES} GPUs"))
                    .at(fields.first().map_or(1, |field| field.at.0), 1));
            }
            let nodes = find(fields, &["nodename"]).map(|field| field.value.to_owned());
            self.lines.push((nodes.filter(|name| !is_template(name)), devices));
            return Ok(());
        }
        if computer::is_sign(fields) {
            let name = find(fields, &["nodename"]).map_or("", |field| field.value);
            if name.eq_ignore_ascii_case("DEFAULT") {
                self.node = None;
                return self.common.feed(fields);
            }
            let is_new = !self.nodes.contains_key(name);
            if is_new && self.nodes.len() == MAX_DEVICES {
                return Err(Error::input("it describes too many nodes").help("give the lines of one node"));
            }
            self.nodes.entry(name.to_owned()).or_insert_with(|| self.common.clone());
            self.node = Some(name.to_owned());
        }
        match self.node.as_ref().and_then(|name| self.nodes.get_mut(name)) {
            Some(node) => node.feed(fields),
            None => Ok(()),
        }
    }

    /// Chooses the lines of the only node.
    fn devices(&mut self) -> Result<Vec<Device>> {
        if self.nodes.len() > 1 {
            return Err(several_nodes(self.nodes.keys().map(String::as_str)));
        }
        let own = self.nodes.keys().next().cloned();
        if let Some(own) = own.filter(|own| !own.contains(['[', ','])) {
            // The file of the whole cluster, and what one node tells of itself.
            let is_of_it = |list: &Option<String>| list.as_ref().is_none_or(|list| contains(list, &own));
            let lists = self.lines.iter().filter_map(|(list, _)| list.clone());
            let others: Vec<String> = lists.filter(|list| !contains(list, &own)).collect();
            self.lines.retain(|(list, _)| is_of_it(list));
            if self.lines.is_empty() && !others.is_empty() {
                let names = named(others.iter().map(String::as_str));
                let text = format!("the lines of GPUs are of {names}, and none is of {own}");
                return Err(Error::input(text).help("give the texts of one node"));
            }
        }
        let lists: BTreeSet<&str> = self.lines.iter().filter_map(|(list, _)| list.as_deref()).collect();
        if lists.len() > 1 {
            return Err(several_nodes(lists.into_iter()));
        }
        if let Some(list) = lists.first().filter(|list| list.contains(['[', ','])) {
            let text = format!("the lines of GPUs are of all nodes {list}: this is each of them");
            self.notes.push(Note::new(NoteCode::Inferred, text));
        }
        let lines = std::mem::take(&mut self.lines);
        let mut devices: Vec<Device> = lines.into_iter().flat_map(|(_, devices)| devices).collect();
        // Beside GPUs with files, others are shares of these under another name.
        if devices.iter().any(|device| device.has_file) {
            devices.retain(|device| device.has_file);
        }
        Ok(devices)
    }

    fn fragment(mut self) -> Result<Fragment> {
        let listed = self.devices()?;
        let computer = std::mem::take(&mut self.nodes).into_values().next();
        let mut fragment = Fragment::new(Provenance::Scheduler);
        fragment.notes = std::mem::take(&mut self.notes);
        let counted = computer.as_ref().map(|computer| computer.gpus.clone()).unwrap_or_default();
        let tells_gpus = computer.as_ref().is_some_and(|computer| computer.tells_gpus);
        if listed.is_empty() && computer.is_none() {
            return Err(if self.detects {
                Error::input("gres.conf leaves the GPUs to Slurm's detection, and lists none")
                    .help("slurmd -G on the node prints them")
            } else {
                Error::input("it lists no GPU of Slurm, and no node")
            });
        }
        fragment.cores.memory = computer.as_ref().and_then(|computer| computer.memory);
        match computer.as_ref().and_then(Computer::layout) {
            Some(Ok(layout)) => fragment.cores.layout = Some(layout),
            Some(Err(text)) => fragment.note(NoteCode::Conflict, text),
            None => {}
        }
        let Skipped { marks, capabilities } = std::mem::take(&mut self.skipped);
        let unique =
            |all: Vec<String>| all.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
        if !marks.is_empty() {
            let text = format!("a template's marks stand for what is unknown: {}", several(&unique(marks)));
            fragment.note(NoteCode::Unknown, text);
        }
        if !capabilities.is_empty() {
            let text = format!(
                "device files that are neither of a GPU nor of a MIG instance are left out: {}",
                several(&unique(capabilities))
            );
            fragment.note(NoteCode::DeviceLeftOut, text);
        }
        if !listed.is_empty() && tells_gpus && counted.len() != listed.len() {
            let text = format!(
                "the node has {} GPUs by its line, and {} by gres.conf, which is taken",
                counted.len(),
                listed.len()
            );
            fragment.note(NoteCode::Conflict, text);
        }
        let devices = if listed.is_empty() { counted } else { listed };
        if devices.len() > MAX_DEVICES {
            let text = format!("it lists more than {MAX_DEVICES} GPUs");
            return Err(Error::input(text).at(devices.first().map_or(1, |device| device.line), 1));
        }
        add(&mut fragment, devices);
        Ok(fragment)
    }
}

fn several_nodes<'a>(names: impl Iterator<Item = &'a str>) -> Error {
    Error::input(format!("it describes several nodes: {}", named(names)))
        .help("give the lines of one of them, or what slurmd -C prints on it in the same text")
}

/// Lists the names, the first ones of many.
fn named<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    listed(&names, 10)
}

/// Sorts the devices by the numbers of their files, each GPU before its instances. False: some have none, two GPUs have one,
/// or `Links=` tells their places.
fn sort(devices: &mut [Device]) -> bool {
    let mut seen = BTreeSet::new();
    let is_told = devices.iter().all(|device| {
        let is_new = |minor| device.is_instance || seen.insert(minor);
        device.links.is_none() && device.minor.is_some_and(is_new)
    });
    if is_told {
        devices.sort_by_key(|device| (device.minor, device.is_instance));
    }
    is_told
}

/// Adds the GPUs, by the numbers of their files, else by the order in which Slurm counts them.
fn add(fragment: &mut Fragment, mut devices: Vec<Device>) {
    // The files of a GPU instance and of a compute instance in it are one.
    let place = |device: &Device| Some((device.minor?, device.instance?));
    let divided: BTreeSet<_> = devices.iter().filter_map(place).collect();
    let is_divided = |(minor, (own, part)): (u32, (u32, Option<u32>))| {
        let parts = (minor, (own, Some(0)))..=(minor, (own, Some(u32::MAX)));
        part.is_none() && divided.range(parts).next().is_some()
    };
    devices.retain(|device| !place(device).is_some_and(is_divided));
    let before: Vec<Option<u32>> = devices.iter().map(|device| device.minor).collect();
    let is_by_file = sort(&mut devices);
    if is_by_file && !before.is_sorted() {
        let text = "the lines are not in the order of device files: each GPU has the number of its own, from which that of \
                    nvidia-smi may differ";
        fragment.note(NoteCode::Inferred, text);
    }
    let placed = links::place(fragment, devices);
    let has_instances = placed.iter().any(|(_, device)| device.is_instance);
    let mut of_minor: BTreeMap<u32, NodeId> = BTreeMap::new();
    let mut ids = Vec::new();
    let mut twice = Vec::new();
    let mut count = 0;
    for (place, device) in &placed {
        if device.is_instance
            && let Some(gpu) = device.minor.and_then(|minor| of_minor.get(&minor)).copied()
        {
            add_instance(fragment, gpu, device);
            ids.push(gpu);
            continue;
        }
        // Instances count as devices, and those of one GPU share its number.
        let index = match device.minor.filter(|_| is_by_file) {
            Some(minor) => minor,
            None if has_instances => count,
            None => *place as u32,
        };
        count += 1;
        let mut gpu = Gpu::new(index);
        if let Some(minor) = device.minor {
            if of_minor.contains_key(&minor) {
                twice.push(minor.to_string());
            } else {
                gpu.minor = Some(minor);
            }
        }
        gpu.model = model(device);
        gpu.mig = device.is_instance.then_some(MigMode::new(true, true));
        if device.cores.is_some() {
            gpu.cpus = Stated::Unreadable;
        }
        let id = fragment.add(NodeId::MACHINE, gpu);
        if let Some(minor) = device.minor {
            of_minor.entry(minor).or_insert(id);
        }
        if let Some(cores) = &device.cores {
            fragment.cores.near.insert(id, cores.clone());
        }
        if device.is_instance {
            add_instance(fragment, id, device);
        }
        ids.push(id);
    }
    if !twice.is_empty() {
        let text = format!("several lines name the device file {}: it is that of the first", several(&twice));
        fragment.note(NoteCode::Conflict, text);
    }
    if !fragment.cores.near.is_empty() {
        let text = "Cores= are numbers of cores and not of CPUs, so the CPUs near GPUs are unknown; lscpu -e of the same machine in \
                    a second --from tells them, and slurmd -C their count";
        fragment.note(NoteCode::CpusUnknown, text);
    }
    links::link(fragment, &placed, &ids);
}

fn add_instance(fragment: &mut Fragment, gpu: NodeId, device: &Device) {
    let mut instance = GpuInstance::default();
    if let Some((gpu_instance, compute_instance)) = device.instance {
        instance.gpu_instance = Some(gpu_instance);
        instance.compute_instance = compute_instance;
    }
    instance.profile = device.kind.as_deref().and_then(divided).map(|(_, profile)| profile.to_owned());
    fragment.add(gpu, instance);
}

/// Returns the model of the GPU: its type, without the profile of an instance.
fn model(device: &Device) -> Option<String> {
    let kind = device.kind.as_deref()?;
    match device.is_instance.then(|| divided(kind)).flatten() {
        Some((model, _)) => Some(model.to_owned()).filter(|model| !model.is_empty()),
        None => Some(kind.to_owned()),
    }
}

/// Divides the type of an instance: `a100_3g.20gb`.
fn divided(kind: &str) -> Option<(&str, &str)> {
    let start = kind.rfind('_').map_or(0, |at| at + 1);
    let (model, profile) = kind.split_at_checked(start)?;
    let (slices, memory) = profile.split_once("g.")?;
    let digits = memory.trim_end_matches(|c: char| !c.is_ascii_digit());
    (is_number(slices.trim_start_matches("1c.")) && is_number(digits))
        .then(|| (model.trim_end_matches('_'), profile))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_instances_are_divided() {
        assert_eq!(divided("nvidia_a100-sxm4-40gb_3g.20gb"), Some(("nvidia_a100-sxm4-40gb", "3g.20gb")));
        assert_eq!(divided("1g.5gb"), Some(("", "1g.5gb")));
        for kind in ["a100", "", "_", "a100_g.gb", "rtx_2080ti"] {
            assert_eq!(divided(kind), None, "{kind}");
        }
    }

    #[test]
    fn words_are_found_by_any_of_their_keys() {
        let entry = entries(text::lines("A=1 b=(null) C=3")).next().unwrap();
        let fields = entry.fields();
        assert_eq!(find(&fields, &["x", "c"]).map(|field| field.value), Some("3"));
        assert!(find(&fields, &["b"]).is_none());
    }
}
