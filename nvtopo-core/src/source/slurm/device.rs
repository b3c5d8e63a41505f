//! A line of `gres.conf`, or of what `slurmd -G` prints: one GPU or several that are alike, or an instance of one.

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
    /// The numbers of the GPU instance and the compute instance, where the files tell them.
    pub(super) instance: Option<(u32, u32)>,
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

/// Reads a line. `marks` gets what is a template's mark and no value.
pub(super) fn read(fields: &[Field<'_>], marks: &mut Vec<String>) -> Result<Vec<Device>> {
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
        return Ok(vec![of_several_files(device, &files(field)?)]);
    }
    let count = find(fields, &["count"]);
    if let Some(field) = find(fields, &["file", "files"]) {
        let files = if told(field) { files(field)? } else { vec![field.value.to_owned()] };
        if device.links.is_some() && files.len() > 1 {
            return Err(error(field, "Links= is of one GPU, and the line has several files")
                .help("write a line for each GPU"));
        }
        let of = |file: &String| Device {
            minor: minor(file),
            has_file: true,
            is_other_make: file.starts_with("/dev/dri/"),
            ..device.clone()
        };
        return Ok(files.iter().map(of).collect());
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

/// Makes the device one of several files: an instance where these are the driver's capabilities.
fn of_several_files(mut device: Device, files: &[String]) -> Device {
    device.has_file = true;
    device.minor = files.iter().find_map(|file| minor(file));
    let mut numbers: Vec<u32> = files.iter().filter_map(|file| number(file, "nvidia-cap")).collect();
    if !numbers.is_empty() {
        numbers.sort_unstable();
        device.is_instance = true;
        device.instance = device.minor.and_then(|minor| super::capability::read(minor, &numbers));
    }
    device
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
