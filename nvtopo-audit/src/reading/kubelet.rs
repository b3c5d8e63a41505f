//! The kubelet's settings: the flags of its process over drop-in files over its configuration file; else saved copies.

use super::documents::objects;
use super::host::lines;
use super::kubelet_state;
use super::processes::{self, Program};
use crate::evidence::Evidence;
use nvtopo::model::Stated;
use nvtopo_k8s::kubelet::effective::{Effective, flag};

/// Where distributions put the configuration: kubeadm, EKS, GKE, `OpenShift`.
const FILES: &[&str] = &[
    "var/lib/kubelet/config.yaml",
    "etc/kubernetes/kubelet/config.json",
    "etc/kubernetes/kubelet/kubelet-config.json",
    "home/kubernetes/kubelet-config.yaml",
    "etc/kubernetes/kubelet.conf",
];

/// Where distributions put drop-in files, where no process tells: EKS, `OpenShift`, k3s, rke2.
const FOLDERS: &[&str] = &[
    "etc/kubernetes/kubelet/config.json.d",
    "etc/openshift/kubelet.conf.d",
    "var/lib/rancher/k3s/agent/etc/kubelet.conf.d",
    "var/lib/rancher/rke2/agent/etc/kubelet.conf.d",
];

/// Files with flags, where no process tells: kubeadm, packages, `MicroK8s`.
const FLAGS: &[&str] =
    &["var/lib/kubelet/kubeadm-flags.env", "etc/default/kubelet", "var/snap/microk8s/current/args/kubelet"];

/// The kubelet of a machine.
#[derive(Clone, Debug)]
pub(crate) enum Kubelet {
    /// Nothing tells of one.
    None,
    /// There is one, and its settings cannot be told, for this reason.
    Unreadable(String),
    /// Its settings, and where they come from.
    Known(Box<Effective>, Vec<String>),
}

/// Puts together the settings.
pub(crate) fn read(evidence: &Evidence<'_>) -> Kubelet {
    let process = processes::find(evidence, "kubelet");
    let mut builder = Builder { effective: Effective::default(), sources: Vec::new(), problem: None };
    let arguments = match &process {
        Program::Running(arguments) => arguments.iter().map(String::as_str).collect(),
        Program::Absent | Program::Unknown => Vec::new(),
    };
    let mut is_there = matches!(process, Program::Running(_));
    if let Some(path) = flag(&arguments, "config") {
        let path = path.trim_start_matches('/');
        // Beside a saved list of processes the file may be a saved text.
        let is_found =
            builder.file(evidence, path) || !evidence.has_files() && configured(evidence, &mut builder);
        if !is_found {
            builder.problem.get_or_insert_with(|| {
                if evidence.has_files() {
                    format!("{path} is not there")
                } else {
                    format!("no saved text is {path}, or it cannot be read")
                }
            });
        }
    } else if !is_there {
        _ = FILES.iter().any(|path| builder.file(evidence, path));
    }
    let folders: Vec<&str> = match flag(&arguments, "config-dir") {
        Some(folder) => vec![folder.trim_start_matches('/')],
        None if is_there => Vec::new(),
        None => FOLDERS.to_vec(),
    };
    let asked = || evidence.texts().any(|saved| saved.text.contains("\"kubeletconfig\""));
    if let (true, false, [folder]) = (is_there, evidence.has_files(), &folders[..])
        && !asked()
    {
        builder.problem.get_or_insert_with(|| format!("the files of {folder} go over it, and are not saved"));
    }
    for folder in folders {
        for name in evidence.names(folder).iter().filter(|name| name.split('.').next_back() == Some("conf")) {
            builder.file(evidence, &format!("{folder}/{name}"));
        }
    }
    if is_there {
        if arguments.is_empty() {
            builder.problem.get_or_insert_with(|| "the flags of its process cannot be read".to_owned());
        }
        builder.flags(&arguments, "flags of the process");
    } else {
        for path in FLAGS {
            if let Stated::Known(text) = evidence.text(path) {
                // A file of a shell: `KUBELET_KUBEADM_ARGS="--flag=value --flag"`.
                let text = text.replace(['"', '\''], " ").replace("_ARGS=", "_ARGS= ");
                let words: Vec<&str> = text.split_whitespace().collect();
                builder.flags(&words, path);
            }
        }
    }
    if builder.sources.is_empty() && builder.problem.is_none() {
        saved(evidence, &mut builder);
    }
    is_there |= !evidence.names("var/lib/kubelet").is_empty()
        || kubelet_state::cpus(evidence).known().is_some()
        || kubelet_state::memory(evidence).known().is_some()
        || kubelet_state::devices(evidence).known().is_some();
    match builder {
        Builder { problem: Some(problem), .. } => Kubelet::Unreadable(problem),
        Builder { sources, effective, .. } if !sources.is_empty() => {
            Kubelet::Known(Box::new(effective), sources)
        }
        _ if is_there => Kubelet::Unreadable("no configuration of it is found".to_owned()),
        _ => Kubelet::None,
    }
}

/// Reads saved configurations and answers of `configz`. Returns false where there are none.
fn configured(evidence: &Evidence<'_>, builder: &mut Builder) -> bool {
    let before = builder.sources.len();
    for saved in evidence.texts() {
        // A text about a kubelet that is no configuration, such as a log, tells nothing.
        let mut is_good = |text: &str| builder.effective.merge_file(&saved.name, text).is_ok();
        let found = if saved.text.contains(KIND) {
            is_good(&saved.text) || configurations(&saved.text).iter().any(|text| is_good(text))
        } else {
            saved.text.contains("\"kubeletconfig\"")
                && objects(&saved.text)
                    .iter()
                    .any(|own| own.get("kubeletconfig").is_some() && is_good(&own.to_string()))
        };
        if found {
            builder.sources.push(saved.name.clone());
        }
    }
    builder.sources.len() > before
}

/// Reads saved copies: configurations, and the process in a list of `ps`.
fn saved(evidence: &Evidence<'_>, builder: &mut Builder) {
    configured(evidence, builder);
    for line in lines(evidence) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| word.rsplit('/').next() == Some("kubelet"));
        if let Some(at) = at.filter(|at| words.get(at + 1).is_some_and(|word| word.starts_with("--"))) {
            builder.flags(&words[at..], "saved list of processes");
            break;
        }
    }
}

const KIND: &str = "KubeletConfiguration";

/// Returns the configurations that stand among other lines of a text: objects of JSON, and runs of lines that YAML may
/// have.
fn configurations(text: &str) -> Vec<String> {
    let mut found: Vec<String> = objects(text)
        .into_iter()
        .filter(|own| own.get("kind").and_then(|kind| kind.as_str()) == Some(KIND))
        .map(|own| own.to_string())
        .collect();
    let is_key = |line: &str| {
        let name = line.split(':').next().unwrap_or_default();
        let rest = &line[name.len()..];
        let is_word = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_word && (rest == ":" || rest.starts_with(": "))
    };
    let is_yaml = |line: &str| line.starts_with([' ', '-', '#']) && line != "---" || is_key(line);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    for run in lines.split(|line| !is_yaml(line)) {
        if run.iter().any(|line| line.strip_prefix("kind:").is_some_and(|kind| kind.trim() == KIND)) {
            found.push(run.join("\n"));
        }
    }
    found
}

struct Builder {
    effective: Effective,
    sources: Vec<String>,
    problem: Option<String>,
}

impl Builder {
    /// Puts a file over what is there. Returns false for one that is not there.
    fn file(&mut self, evidence: &Evidence<'_>, path: &str) -> bool {
        match evidence.text(path) {
            Stated::Known(text) => match self.effective.merge_file(path, &text) {
                Ok(()) => self.sources.push(path.to_owned()),
                Err(error) => drop(self.problem.get_or_insert_with(|| error.to_string())),
            },
            Stated::Unreadable => drop(self.problem.get_or_insert_with(|| format!("{path} cannot be read"))),
            Stated::NotAvailable | Stated::Unstated => return false,
        }
        true
    }

    fn flags(&mut self, arguments: &[&str], source: &str) {
        match self.effective.merge_flags(arguments.iter().copied()) {
            Ok(()) => self.sources.push(source.to_owned()),
            Err(error) => drop(self.problem.get_or_insert_with(|| error.to_string())),
        }
    }
}
