//! The onboarding of a node as a folder: each object in a file, and a README that says in which order to apply them, how to
//! verify each step, and how to take it back.

use crate::claims::{ClaimOptions, Claims};
use crate::kubelet::config::{ConfigOptions, KubeletConfig};
use crate::labels::{LabelOptions, Labels, Prefix};
use crate::pod::{Gpus, PodOptions, pod};
use crate::policies::{Policies, PolicyOptions};
use crate::{Version, names};
use nvtopo::{CpuSet, Kubelet, KubeletCpus, PciAddress, Result, Topology};
use std::fmt::Write;

/// The options of a playbook.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlaybookOptions {
    /// The node's name in the cluster.
    pub node: String,
    /// The namespace of the jobs.
    pub namespace: String,
    /// The image of the test pods.
    pub image: String,
    /// Memory for each GPU of a test pod in bytes. `None`: three quarters of the memory beside it, where that is known.
    pub memory_per_gpu: Option<u64>,
    /// The prefix of labels.
    pub prefix: Prefix,
    /// The version of Kubernetes.
    pub version: Version,
    /// The PCI addresses of the GPUs by their index, for claims, where the source does not tell them.
    pub addresses: Vec<PciAddress>,
}

impl PlaybookOptions {
    /// A playbook for the node of this name.
    pub fn new(node: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            namespace: "default".to_owned(),
            image: "nvcr.io/nvidia/cuda:12.9.1-base-ubuntu24.04".to_owned(),
            memory_per_gpu: None,
            prefix: Prefix::default(),
            version: Version::default(),
            addresses: Vec::new(),
        }
    }
}

/// The files of a playbook.
///
/// ```
/// use nvtopo_k8s::playbook::{Playbook, PlaybookOptions};
///
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// let mut options = PlaybookOptions::new("node-1");
/// options.memory_per_gpu = Some(64 << 30);
/// let playbook = Playbook::of(&dgx, &options)?;
/// let names: Vec<&str> = playbook.files().map(|(name, _)| name).collect();
/// assert_eq!(names[..3], ["README.md", "1-labels.yaml", "2-kubelet.yaml"]);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playbook {
    files: Vec<(String, String)>,
    left_out: Vec<(String, String)>,
}

/// A step: its title, the files, the commands that apply, verify and take back.
struct Step {
    title: &'static str,
    files: Vec<String>,
    apply: String,
    verify: String,
    back: String,
}

impl Playbook {
    /// The playbook of a machine. An object that cannot be made of what is known is left out, with the reason in the README.
    ///
    /// Errors with [`InvalidRequest`](nvtopo::ErrorKind::InvalidRequest) for names that Kubernetes refuses, and with
    /// [`Unsatisfiable`](nvtopo::ErrorKind::Unsatisfiable) for a machine without GPUs.
    pub fn of(topology: &Topology, options: &PlaybookOptions) -> Result<Self> {
        names::object_name(&options.node)?;
        let policies = PolicyOptions {
            namespace: options.namespace.clone(),
            prefix: options.prefix.clone(),
            ..PolicyOptions::default()
        };
        let labels = Labels::of(topology, &LabelOptions::default().prefix(options.prefix.clone()));
        let mut own = Self { files: Vec::new(), left_out: Vec::new() };
        let mut steps = vec![own.label_step(&labels, options)?];
        steps.extend(own.kubelet_steps(topology, options));
        let policies = Policies::of(topology, &policies)?;
        let sizes: Vec<usize> = policies.gpu_counts().to_vec();
        steps.extend(own.claim_step(topology, &sizes, options));
        own.files.push(("5-policies.yaml".to_owned(), policies.objects()?));
        steps.push(Step {
            title: "Policies",
            files: vec!["5-policies.yaml".to_owned()],
            apply: "kubectl apply -f 5-policies.yaml".to_owned(),
            verify: "kubectl get validatingadmissionpolicies".to_owned(),
            back: "kubectl delete -f 5-policies.yaml".to_owned(),
        });
        if let Some(pods) = own.pod_step(topology, &sizes, options) {
            if let (Some(policies), Some(pod)) = (steps.last_mut(), pods.files.first()) {
                let _ = write!(
                    policies.verify,
                    "\nkubectl apply -n {} --dry-run=server -f {pod}    # admitted",
                    options.namespace
                );
            }
            steps.push(pods);
        }
        let readme = own.written(&steps, options);
        own.files.insert(0, ("README.md".to_owned(), readme));
        Ok(own)
    }

    /// The files by name, the README first and the others in the order of their steps.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The text of the README.
    pub fn readme(&self) -> &str {
        self.files.first().map_or("", |(_, text)| text)
    }

    /// The objects that could not be made, each with the reason.
    pub fn left_out(&self) -> impl Iterator<Item = (&str, &str)> {
        self.left_out.iter().map(|(name, why)| (name.as_str(), why.as_str()))
    }

    /// Keeps a file, or the reason why there is none. Tells whether there is one.
    fn keep(&mut self, name: String, text: Result<String>) -> bool {
        match text {
            Ok(text) => self.files.push((name, text)),
            Err(error) => {
                self.left_out.push((name, error.to_string()));
                return false;
            }
        }
        true
    }

    fn label_step(&mut self, labels: &Labels, options: &PlaybookOptions) -> Result<Step> {
        let name = "1-labels.yaml".to_owned();
        self.files.push((name.clone(), labels.node_feature(&options.node)?));
        let node = &options.node;
        Ok(Step {
            title: "Labels",
            files: vec![name],
            apply: "kubectl apply -n node-feature-discovery -f 1-labels.yaml".to_owned(),
            verify: format!(
                "kubectl get node {node} --show-labels | tr ',' '\\n' | grep '{}'",
                options.prefix
            ),
            back: "kubectl delete -n node-feature-discovery -f 1-labels.yaml".to_owned(),
        })
    }

    fn kubelet_steps(&mut self, topology: &Topology, options: &PlaybookOptions) -> Vec<Step> {
        let made = KubeletConfig::of(topology, &ConfigOptions::default().version(options.version));
        let node = &options.node;
        let (config, line) = match made {
            Ok(config) => (Ok(config.to_yaml()), Ok(config.command_line().to_text())),
            Err(error) => (Err(error), Ok(String::new())),
        };
        let mut steps = Vec::new();
        if self.keep("2-kubelet.yaml".to_owned(), config) {
            steps.push(Step {
                title: "The kubelet",
                files: vec!["2-kubelet.yaml".to_owned()],
                apply: format!(
                    "kubectl drain {node} --ignore-daemonsets --delete-emptydir-data\n\
                     # On the node: merge 2-kubelet.yaml into the kubelet's configuration, then\n\
                     systemctl stop kubelet\n\
                     mv /var/lib/kubelet/cpu_manager_state /var/lib/kubelet/memory_manager_state /var/tmp/\n\
                     systemctl start kubelet\nkubectl uncordon {node}"
                ),
                verify: format!(
                    "nvtopo k8s kubelet lint /var/lib/kubelet/config.yaml --for {}\n\
                     kubectl get --raw /api/v1/nodes/{node}/proxy/configz",
                    options.version
                ),
                back: "# The same steps with the configuration as it was.".to_owned(),
            });
            if self.keep("3-kernel-command-line.txt".to_owned(), line) {
                steps.push(Step {
                    title: "The kernel's command line",
                    files: vec!["3-kernel-command-line.txt".to_owned()],
                    apply: "# On the drained node: add it to GRUB_CMDLINE_LINUX, update-grub, reboot"
                        .to_owned(),
                    verify: "cat /proc/cmdline".to_owned(),
                    back: "# Take it out again, update-grub, reboot".to_owned(),
                });
            }
        }
        steps
    }

    fn claim_step(
        &mut self,
        topology: &Topology,
        sizes: &[usize],
        options: &PlaybookOptions,
    ) -> Option<Step> {
        let mut files = Vec::new();
        for gpus in sizes.iter().copied().filter(|gpus| *gpus > 1) {
            let name = format!("4-claim-{gpus}.yaml");
            let mut claims = ClaimOptions::gpus(gpus).version(options.version);
            claims.addresses.clone_from(&options.addresses);
            let made = Claims::of(&[(options.node.clone(), topology)], &claims);
            if self.keep(name.clone(), made.map(|claims| claims.yaml().to_owned())) {
                files.push(name);
            }
        }
        let all: Vec<String> = files.iter().map(|file| format!("-f {file}")).collect();
        (!files.is_empty()).then(|| Step {
            title: "Claims, where a DRA driver gives the GPUs",
            apply: format!("kubectl apply -n {} {}", options.namespace, all.join(" ")),
            verify: "kubectl get resourceslices -o yaml > slices.yaml\n\
                     nvtopo k8s claims check 4-claim-2.yaml --slices slices.yaml"
                .replace("4-claim-2.yaml", &files[0]),
            back: format!("kubectl delete -n {} {}", options.namespace, all.join(" ")),
            files,
        })
    }

    fn pod_step(&mut self, topology: &Topology, sizes: &[usize], options: &PlaybookOptions) -> Option<Step> {
        let mut files = Vec::new();
        let reserved = left_by_pods(topology, options.version);
        for gpus in sizes {
            let claim = format!("4-claim-{gpus}.yaml");
            let claimed = self.files.iter().any(|(name, _)| *name == claim);
            let ways = [(format!("6-pod-{gpus}.yaml"), Gpus::Plugin)].into_iter().chain(
                claimed.then(|| (format!("6-pod-{gpus}-claim.yaml"), Gpus::Claim(format!("gpus-{gpus}")))),
            );
            for (name, by) in ways {
                let mut wanted =
                    PodOptions::new(name.trim_start_matches("6-").trim_end_matches(".yaml"), &options.image);
                wanted.by = by;
                wanted.reserved = reserved.clone();
                wanted.memory_per_gpu = options.memory_per_gpu;
                wanted.prefix = options.prefix.clone();
                wanted.version = options.version;
                if self.keep(name.clone(), pod(topology, *gpus, &wanted)) {
                    files.push(name);
                }
            }
        }
        let first = files.first()?.clone();
        let pod = first.trim_start_matches("6-").trim_end_matches(".yaml").to_owned();
        Some(Step {
            title: "Test pods",
            apply: format!("kubectl apply -n {} -f {first}", options.namespace),
            verify: format!(
                "kubectl get pod -n {0} {pod} -o jsonpath='{{.status.qosClass}}'\n\
                 kubectl describe pod -n {0} {pod}    # no TopologyAffinityError",
                options.namespace
            ),
            back: format!("kubectl delete -n {} -f {first}", options.namespace),
            files,
        })
    }

    fn written(&self, steps: &[Step], options: &PlaybookOptions) -> String {
        let mut text = format!(
            "# {} for Kubernetes {}\n\nApply the steps in their order, and verify each before the next. Each file says why it is as \
             it is.\n",
            options.node, options.version
        );
        for (at, step) in steps.iter().enumerate() {
            let _ = write!(
                text,
                "\n## {}. {}\n\nFiles: {}\n\nApply:\n\n```sh\n{}\n```\n\nVerify:\n\n```sh\n{}\n```\n\nTake back:\n\n```sh\n{}\n```\n",
                at + 1,
                step.title,
                step.files.join(", "),
                step.apply,
                step.verify,
                step.back
            );
        }
        if !self.left_out.is_empty() {
            text.push_str("\n## Left out\n\n");
        }
        // Files that lack the same are told together.
        for alike in self.left_out.chunk_by(|(_, why), (_, other)| why == other) {
            let names: Vec<&str> = alike.iter().map(|(name, _)| name.as_str()).collect();
            let why = alike.first().map(|(_, why)| why.as_str()).unwrap_or_default();
            let _ = writeln!(text, "- {}: {why}", names.join(", "));
        }
        text
    }
}

/// Returns the CPUs that pods leave: those that the kubelet's configuration for a machine reserves, and a core for the shared
/// pool, where daemons run. Empty where nothing tells the CPUs.
pub fn left_by_pods(topology: &Topology, version: Version) -> CpuSet {
    let made = KubeletConfig::of(topology, &ConfigOptions::default().version(version));
    let (Ok(config), Ok(cpus)) = (made, KubeletCpus::new(Kubelet::default(), topology)) else {
        return CpuSet::new();
    };
    let mut left = config.reserved_cpus().clone();
    if left.is_empty() {
        // Reserved by their number: the kubelet takes whole cores, the first ones.
        let count = config.value()["systemReserved"]["cpu"].as_str().and_then(|count| count.parse().ok());
        left = cpus.take(cpus.cpus(), count.unwrap_or(0), None).unwrap_or_default();
    }
    let free = cpus.cpus().difference(&left);
    left.union(&cpus.take(&free, cpus.cpus_per_core(), None).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubelet::predict::{Configured, Pod, Predictor, Taken};
    use nvtopo::source::PRESETS;

    #[test]
    fn each_preset_has_a_playbook_whose_readme_names_each_file() {
        for preset in PRESETS {
            let node = Topology::preset(preset.name).unwrap();
            for version in Version::all() {
                let mut options = PlaybookOptions::new("node-1");
                options.memory_per_gpu = Some(8 << 30);
                options.version = version;
                let playbook = Playbook::of(&node, &options).unwrap();
                let readme = playbook.readme();
                for (name, text) in playbook.files().skip(1) {
                    assert!(readme.contains(name), "{} {version}: {name}", preset.name);
                    if !name.contains(".txt") {
                        let read: Vec<serde_json::Value> = crate::yaml::read(name, text).unwrap();
                        assert!(
                            !read.is_empty() && read.iter().all(|object| object["kind"].is_string()),
                            "{name}"
                        );
                    }
                }
                for (name, why) in playbook.left_out() {
                    let told = |line: &str| line.contains(name) && line.ends_with(&format!(": {why}"));
                    assert!(readme.lines().any(told), "{}: {name}", preset.name);
                }
            }
        }
    }

    #[test]
    fn the_kubelet_of_each_playbook_admits_its_pods() {
        let text = include_bytes!("../../tests/data/topo-m/h100-8gpu-0-51-104-155.txt");
        let presets = PRESETS.iter();
        let mut machines: Vec<(&str, Topology)> =
            presets.map(|preset| (preset.name, Topology::preset(preset.name).unwrap())).collect();
        machines.push(("text", Topology::parse("text", text).unwrap()));
        let mut admitted = 0;
        for (name, topology) in machines {
            let mut options = PlaybookOptions::new("node-1");
            options.memory_per_gpu = Some(1 << 30);
            let playbook = Playbook::of(&topology, &options).unwrap();
            let (_, config) = playbook.files().find(|(file, _)| *file == "2-kubelet.yaml").unwrap();
            let configured = Configured::from_yaml("2-kubelet.yaml", config).unwrap();
            let node = Predictor::new(&topology, configured.settings, &Taken::default()).unwrap();
            for (file, text) in playbook.files().filter(|(file, _)| file.starts_with("6-pod")) {
                let pod = Pod::from_yaml(file, text).unwrap();
                let answer = node.predict(&pod, configured.policy, configured.scope).unwrap();
                assert!(answer.verdict.is_admitted(), "{name} {file}: {:?}", answer.verdict);
                admitted += 1;
            }
        }
        assert!(admitted > 20, "{admitted}");
    }

    #[test]
    fn a_text_gives_what_it_can() {
        let text =
            "\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tNV4\t0-7\t0\nGPU1\tNV4\t X \t0-7\t0\n";
        let node = Topology::parse("text", text.as_bytes()).unwrap();
        let playbook = Playbook::of(&node, &PlaybookOptions::new("node-1")).unwrap();
        let out: Vec<&str> = playbook.left_out().map(|(name, _)| name).collect();
        assert!(out.contains(&"4-claim-2.yaml") && out.contains(&"6-pod-1.yaml"), "{out:?}");
        let readme = playbook.readme();
        assert!(readme.contains("PCI addresses") && !readme.contains("Test pods"), "{readme}");
        // No command is for a file that is not there.
        let commands = readme.split("## Left out").next().unwrap();
        assert!(!commands.contains("6-pod") && !commands.contains("4-claim"), "{readme}");
        assert!(readme.contains("- 6-pod-1.yaml, 6-pod-2.yaml: "), "{readme}");
        let mut more = PlaybookOptions::new("node-1");
        more.addresses = ["0:1:0.0", "0:2:0.0"].map(|address| address.parse().unwrap()).to_vec();
        more.memory_per_gpu = Some(1 << 30);
        let playbook = Playbook::of(&node, &more).unwrap();
        let names: Vec<&str> = playbook.files().map(|(name, _)| name).collect();
        assert!(names.contains(&"4-claim-2.yaml") && names.contains(&"6-pod-2-claim.yaml"), "{names:?}");
        assert!(playbook.readme().contains("--dry-run=server -f 6-pod-1.yaml"));
        assert!(Playbook::of(&node, &PlaybookOptions::new("Node 1")).is_err());
    }
}
