//! A line of `gres.conf`, or of what `slurmd -G` prints: one GPU or several that are alike, or an instance of one.

use super::capability;
use super::words::{Field, expand, find, is_template};
use crate::cpuset::CpuSet;
use crate::error::{Error, Result};
use crate::model::MAX_DEVICES;
use crate::source::plain;

/// More links than any pair of GPUs has.
const MOST_LINKS: i32 = 64;

/// A device that Slurm gives to jobs.
#[derive(Clone, Debug, Default)]
pub(super) struct Device {
    /// The number of the device file.
    pub(super) minor: Option<u32>,
    pub(super) kind: Option<String>,
    /// The numbers of the nearest cores, as Slurm counts them.
    pub(super) cores: Option<CpuSet>,
    /// The numbers of its links to each, with -1 for itself.
    pub(super) links: Option<Vec<i32>>,
    /// True for a MIG instance.
    pub(super) is_instance: bool,
    /// The numbers of the GPU instance and the compute instance, as far as the files tell them.
    pub(super) instance: Option<(u32, Option<u32>)>,
    /// True where a line names its file.
    pub(super) has_file: bool,
    /// True for a GPU of another make than NVIDIA's.
    pub(super) is_other_make: bool,
    /// The line of the text.
    pub(super) line: usize,
}

/// Returns whether a line is one of `gres.conf` about GPUs.
pub(super) fn is_sign(fields: &[Field<'_>]) -> bool {
    let others = ["file", "files", "multiplefiles", "links", "link", "cores", "cpus", "type", "count"];
    is_gpu(fields) && fields.iter().any(|field| others.contains(&field.key.as_str()))
}

fn is_gpu(fields: &[Field<'_>]) -> bool {
    fields.iter().any(|field| field.key == "name" && field.value.eq_ignore_ascii_case("gpu"))
}

/// Returns an error at a value.
pub(super) fn error(field: &Field<'_>, what: impl Into<String>) -> Error {
    Error::input(what).at(field.at.0, field.at.1)
}

/// The parts of lines that become no device.
#[derive(Default)]
pub(super) struct Skipped {
    /// A template's marks, which are no values.
    pub(super) marks: Vec<String>,
    /// The driver's capabilities that are of no instance.
    pub(super) capabilities: Vec<String>,
}

/// Reads a line.
pub(super) fn read(fields: &[Field<'_>], skipped: &mut Skipped) -> Result<Vec<Device>> {
    let Skipped { marks, capabilities } = skipped;
    let mut told = |field: &Field<'_>| {
        let is_mark = is_template(field.value);
        if is_mark {
            marks.push(field.value.to_owned());
        }
        !is_mark
    };
    let mut device = Device { line: fields.first().map_or(1, |field| field.at.0), ..Device::default() };
    device.kind = find(fields, &["type"]).filter(|field| told(field)).map(|field| field.value.to_owned());
    if let Some(field) = find(fields, &["cores", "cpus"]).filter(|field| told(field)) {
        let list = field.value.trim_matches(['[', ']']);
        let cores = list.parse::<CpuSet>().ok().filter(|cores| !cores.is_empty());
        device.cores = Some(cores.ok_or_else(|| error(field, format!("'{list}' is no list of cores")))?);
    }
    if let Some(field) = find(fields, &["links", "link"]).filter(|field| told(field)) {
        device.links = Some(links(field)?);
    }
    if let Some(field) = find(fields, &["multiplefiles"]).filter(|field| told(field)) {
        return Ok(of_files(device, files(field)?, capabilities).into_iter().collect());
    }
    let count = find(fields, &["count"]);
    if let Some(field) = find(fields, &["file", "files"]) {
        let files = if told(field) { files(field)? } else { vec![field.value.to_owned()] };
        if device.links.is_some() && files.len() > 1 {
            return Err(error(field, "Links= is of one GPU, and the line has several files")
                .help("write a line for each GPU"));
        }
        let of = |file: String| {
            let device = Device { is_other_make: file.starts_with("/dev/dri/"), ..device.clone() };
            of_files(device, vec![file], capabilities)
        };
        return Ok(files.into_iter().filter_map(of).collect());
    }
    let number = match count {
        None => 1,
        Some(field) => match field.value.parse::<usize>() {
            Ok(number) if number <= MAX_DEVICES => number,
            _ => return Err(error(field, format!("'{}' is no number of GPUs", field.value))),
        },
    };
    Ok(vec![device; number])
}

fn files(field: &Field<'_>) -> Result<Vec<String>> {
    let files = expand(field.value, MAX_DEVICES).filter(|files| !files.is_empty());
    files.ok_or_else(|| error(field, format!("'{}' is no list of device files", field.value)))
}

/// Returns the number of a file `/dev/nvidia3`, in whatever folder.
fn minor(file: &str) -> Option<u32> {
    number(file, "nvidia")
}

fn number(file: &str, name: &str) -> Option<u32> {
    plain::number(file.rsplit('/').next()?.strip_prefix(name)?)
}

/// Returns whether a file is a capability of the driver, such as the right to use a MIG instance.
fn is_capability(file: &str) -> bool {
    file.contains("/nvidia-cap")
}

/// Makes the device one of its files: an instance where these are the driver's capabilities. Those of no instance alone are
/// no device.
fn of_files(mut device: Device, files: Vec<String>, skipped: &mut Vec<String>) -> Option<Device> {
    device.has_file = true;
    device.minor = files.iter().find_map(|file| minor(file));
    let mut numbers: Vec<u32> = files.iter().filter_map(|file| number(file, "nvidia-cap")).collect();
    // Channels between nodes (IMEX) may stand beside the file of a whole GPU.
    if !files.iter().any(|file| is_capability(file)) || (numbers.is_empty() && device.minor.is_some()) {
        return Some(device);
    }
    numbers.sort_unstable();
    device.is_instance = true;
    let first = numbers.first().and_then(|first| capability::of_file(*first));
    device.instance = match (device.minor, first) {
        (None, None) => {
            skipped.extend(files);
            return None;
        }
        // A file of the GPU instance alone, or of a compute instance alone.
        (own, Some((minor, gpu_instance, compute_instance)))
            if numbers.len() == 1 && own.is_none_or(|own| own == minor) =>
        {
            device.minor = Some(minor);
            Some((gpu_instance, compute_instance))
        }
        (own, first) => {
            device.minor = own.or(first.map(|(minor, ..)| minor));
            let read = device.minor.and_then(|minor| capability::read(minor, &numbers));
            read.map(|(gpu_instance, compute_instance)| (gpu_instance, Some(compute_instance)))
        }
    };
    Some(device)
}

fn links(field: &Field<'_>) -> Result<Vec<i32>> {
    let mut links = Vec::new();
    for word in field.value.split(',') {
        let link = word.trim().parse().ok().filter(|links| (-1..=MOST_LINKS).contains(links));
        let Some(link) = link else {
            return Err(error(field, format!("'{word}' is no number of links between two GPUs")));
        };
        if links.len() == MAX_DEVICES {
            return Err(error(field, format!("Links= has more than {MAX_DEVICES} numbers")));
        }
        links.push(link);
    }
    Ok(links)
}
