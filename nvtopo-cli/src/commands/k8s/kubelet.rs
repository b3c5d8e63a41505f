//! `nvtopo k8s kubelet`: how to set the kubelet up, and what it will do.

use super::predict::predict;
use super::written;
use crate::args::{ConfigArgs, ConfigForm, KubeletArgs, KubeletCommand, LintArgs};
use crate::commands::open;
use nvtopo::source::read_file;
use nvtopo::{Error, Result, Topology};
use nvtopo_k8s::kubelet::config::{ConfigOptions, KubeletConfig};
use nvtopo_k8s::kubelet::lint::{LintOptions, MAX_FILE, lint as findings};
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::Path;

/// The exit code where errors were found.
const FOUND: u8 = 1;

pub(super) fn kubelet(args: &KubeletArgs) -> Result<(String, u8)> {
    match &args.command {
        KubeletCommand::Predict(args) => Ok((predict(args)?, 0)),
        KubeletCommand::Config(args) => Ok((config(args)?, 0)),
        KubeletCommand::Lint(args) => lint(args),
    }
}

fn config(args: &ConfigArgs) -> Result<String> {
    let mut options = ConfigOptions::default()
        .version(args.version)
        .huge_pages(args.hugepages.iter().copied())
        .isolated_cores(args.isolated_cores.map_or(0, NonZeroUsize::get))
        .alpha(args.alpha);
    options.reserved_cores = args.reserved_cores.map(NonZeroUsize::get);
    options.reserved_memory = args.reserved_memory;
    options.largest_pod = args.largest_pod.map(NonZeroUsize::get);
    let config = KubeletConfig::of(&open(&args.source)?, &options)?;
    let text = match args.form {
        ConfigForm::Yaml => config.to_yaml(),
        ConfigForm::Json => format!("{:#}\n", config.value()),
        ConfigForm::Cmdline => config.command_line().to_text(),
    };
    written(&args.file, text)
}

fn lint(args: &LintArgs) -> Result<(String, u8)> {
    let (name, text) = read(&args.file)?;
    let topology = if args.from.is_empty() { None } else { Some(Topology::open(&args.from)?) };
    let mut options = LintOptions::default().version(args.version);
    options.topology = topology.as_ref();
    options.largest_pod = args.largest_pod.map(NonZeroUsize::get);
    let findings = findings(&name, &text, &options)?;
    let code = if findings.has_errors() { FOUND } else { 0 };
    Ok((if args.json { findings.to_json() } else { findings.to_text() }, code))
}

/// A file's name and text.
fn read(path: &Path) -> Result<(String, String)> {
    let (name, bytes) = if path == Path::new("-") {
        let mut bytes = Vec::new();
        let limit = MAX_FILE as u64 + 1;
        std::io::stdin()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::input(format!("standard input cannot be read: {error}")))?;
        ("standard input".to_owned(), bytes)
    } else {
        (path.display().to_string(), read_file(path)?)
    };
    let text = String::from_utf8(bytes).map_err(|_| Error::input("this is no text").in_input(&name))?;
    Ok((name, text))
}
