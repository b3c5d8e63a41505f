//! A kubelet's own configuration as the settings of predictions.

use super::hints::{Policy, Scope};
use super::settings::Settings;
use crate::kubelet::cpulist;
use crate::kubelet::tree::{self, Node, Place, Value};
use crate::quantity::Quantity;
use nvtopo::{Error, Result};

/// The managers' settings in a `KubeletConfiguration`.
///
/// ```
/// use nvtopo_k8s::kubelet::predict::{Configured, Policy};
///
/// let text = "kind: KubeletConfiguration\ncpuManagerPolicy: static\ntopologyManagerPolicy: restricted\n";
/// let configured = Configured::from_yaml("kubelet.yaml", text)?;
/// assert_eq!(configured.policy, Policy::Restricted);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Configured {
    /// All but the policy and scope.
    pub settings: Settings,
    /// The policy of the topology manager.
    pub policy: Policy,
    /// Its scope.
    pub scope: Scope,
}

impl Configured {
    /// Reads a `KubeletConfiguration`. What it does not say is as in the kubelet; fields that are not of the managers are
    /// passed over, and [`lint`](crate::kubelet::lint) judges them.
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) and the place for what is none, and as the kubelet would
    /// refuse.
    pub fn from_yaml(name: &str, text: &str) -> Result<Self> {
        let documents = tree::read(name, text)?;
        let kind =
            |document: &Node| document.get("kind").and_then(Node::text) == Some("KubeletConfiguration");
        let [settings] = documents.as_slice() else {
            let message =
                format!("there are {} documents, and not one KubeletConfiguration", documents.len());
            return Err(Error::input(message).in_input(name));
        };
        if !kind(settings) {
            return Err(wrong(name, settings.place, "this is no KubeletConfiguration"));
        }
        File { name, settings }.configured()
    }
}

/// A file with its name.
struct File<'a> {
    name: &'a str,
    settings: &'a Node,
}

fn wrong(name: &str, place: Place, message: impl Into<String>) -> Error {
    Error::input(message).in_input(name).at(place.line, place.column)
}

impl<'a> File<'a> {
    fn wrong(&self, place: Place, message: impl Into<String>) -> Error {
        wrong(self.name, place, message)
    }

    /// An error of what reads a value, as one at its place.
    fn placed(&self, place: Place, error: &Error) -> Error {
        let told = self.wrong(place, error.message());
        match error.advice() {
            Some(advice) => told.help(advice),
            None => told,
        }
    }

    /// The text of a field; `None` where it is not set.
    fn text(&self, field: &str) -> Result<Option<(Place, &'a str)>> {
        let Some(node) = self.settings.get(field) else { return Ok(None) };
        match &node.value {
            Value::Null => Ok(None),
            Value::Text(text) if text.is_empty() => Ok(None),
            Value::Text(text) => Ok(Some((node.place, text))),
            _ => Err(self.wrong(node.place, format!("{field} is a text, and not {}", node.words()))),
        }
    }

    /// A policy or scope by its name.
    fn named<T: std::str::FromStr<Err = Error> + Default>(&self, field: &str) -> Result<T> {
        match self.text(field)? {
            Some((place, text)) => text.parse().map_err(|error| self.placed(place, &error)),
            None => Ok(T::default()),
        }
    }

    /// A quantity as people write it: in quotes or not.
    fn quantity(&self, node: &Node) -> Result<Quantity> {
        let text = match &node.value {
            Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            _ => return Err(self.wrong(node.place, format!("{} is no quantity", node.words()))),
        };
        Quantity::read(&text).map_err(|error| self.placed(node.place, &error))
    }

    /// The options of a manager as the kubelet reads them, each tried by itself for its place, and then together.
    fn options<T>(&self, field: &str, read: impl Fn(&str) -> Result<T>) -> Result<T> {
        let mut pairs = Vec::new();
        let mut place = self.settings.place;
        if let Some((key, options)) = self.settings.entry(field) {
            place = key.place;
            for (key, value) in options.entries() {
                let Some(text) = value.text() else {
                    let message = format!("{} is a text, and not {}", key.name, value.words());
                    return Err(self.wrong(value.place, message).help("put it in quotes"));
                };
                let pair = format!("{}={text}", key.name);
                read(&pair).map_err(|error| self.placed(key.place, &error))?;
                pairs.push(pair);
            }
        }
        read(&pairs.join(",")).map_err(|error| self.placed(place, &error))
    }

    fn configured(&self) -> Result<Configured> {
        let cpus = match self.text("cpuManagerPolicy")? {
            None | Some((_, "none")) => None,
            Some((_, "static")) => Some(self.options("cpuManagerPolicyOptions", Settings::cpu_options)?),
            Some((place, other)) => {
                return Err(self.wrong(place, format!("'{other}' is no policy of the CPU manager")));
            }
        };
        let mut settings = self
            .options("topologyManagerPolicyOptions", |text| Settings::default().topology_options(text))?
            .cpu_manager(cpus);
        if let Some((place, list)) = self.text("reservedSystemCPUs")? {
            let cpus = cpulist::read(list).map_err(|why| {
                let message = format!("{list:?} is no list of CPUs, and the kubelet does not start: {why}");
                self.wrong(place, message).help("write one such as \"0-1,64-65\"")
            })?;
            settings = settings.reserved_cpus(cpus);
        } else {
            let mut sum = Quantity::default();
            for field in ["kubeReserved", "systemReserved"] {
                if let Some(cpus) = self.settings.get(field).and_then(|list| list.get("cpu")) {
                    sum = sum.plus(self.quantity(cpus)?);
                }
            }
            settings.reserved_count = usize::try_from(sum.value()).unwrap_or(usize::MAX);
        }
        match self.text("memoryManagerPolicy")? {
            None | Some((_, "None")) => {}
            Some((_, "Static")) => settings = self.memory(settings.reserved_memory([]))?,
            Some((place, other)) => {
                return Err(self.wrong(place, format!("'{other}' is no policy of the memory manager")));
            }
        }
        Ok(Configured {
            settings,
            policy: self.named("topologyManagerPolicy")?,
            scope: self.named("topologyManagerScope")?,
        })
    }

    fn memory(&self, mut settings: Settings) -> Result<Settings> {
        for item in self.settings.get("reservedMemory").map(Node::items).unwrap_or_default() {
            let node = match item.get("numaNode").map(|node| (node.place, &node.value)) {
                Some((place, Value::Int(number))) => u32::try_from(*number)
                    .map_err(|_| self.wrong(place, format!("{number} is no NUMA node")))?,
                _ => return Err(self.wrong(item.place, "reservedMemory has a numaNode and limits")),
            };
            let mut limits = Vec::new();
            for (key, size) in item.get("limits").map(Node::entries).unwrap_or_default() {
                limits.push(format!("{}={}", key.name, self.quantity(size)?.shown()));
            }
            let text = format!("{node}:{}", limits.join(","));
            settings = settings.reserve_memory(&text).map_err(|error| self.placed(item.place, &error))?;
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::super::boards::Board;
    use super::super::{Pod, Predictor, Taken};
    use super::*;

    #[test]
    fn a_kubelets_file_is_what_is_predicted() {
        let text = "
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cpuManagerPolicy: static
cpuManagerPolicyOptions: {full-pcpus-only: 'true'}
kubeReserved: {cpu: 500m, memory: 1Gi}
systemReserved: {cpu: 1}
topologyManagerPolicy: single-numa-node
topologyManagerScope: pod
topologyManagerPolicyOptions: {prefer-closest-numa-nodes: 'true'}
memoryManagerPolicy: Static
reservedMemory:
- {numaNode: 0, limits: {memory: 1Gi}}
maxPods: 110
";
        let configured = Configured::from_yaml("k", text).unwrap();
        assert_eq!((configured.policy, configured.scope), (Policy::SingleNumaNode, Scope::Pod));
        let settings = configured.settings;
        assert!(settings.cpu_options.full_pcpus_only && settings.prefer_closest_numa_nodes);
        assert_eq!(settings.reserved_memory.as_ref().unwrap()[&0]["memory"], 1 << 30);
        // Two CPUs are reserved by number: those of the first core.
        let predictor =
            Predictor::new(&Board::two_of_four().topology(), settings, &Taken::default()).unwrap();
        let answer = predictor.predict(&Pod::gpus(1, 2), configured.policy, configured.scope).unwrap();
        assert_eq!(answer.containers[0].cpus.as_ref().unwrap().to_string(), "1,97");
    }

    #[test]
    fn what_the_kubelet_would_not_start_with_is_told() {
        for wrong in [
            "kind: Pod\n",
            "",
            "kind: KubeletConfiguration\n---\nkind: KubeletConfiguration\n",
            "kind: KubeletConfiguration\ncpuManagerPolicy: Static\n",
            "kind: KubeletConfiguration\ntopologyManagerPolicy: strict\n",
            "kind: KubeletConfiguration\ncpuManagerPolicy: static\ncpuManagerPolicyOptions: {full: 'true'}\n",
            "kind: KubeletConfiguration\nmemoryManagerPolicy: static\n",
        ] {
            assert_eq!(Configured::from_yaml("k", wrong).unwrap_err().input_name(), Some("k"), "{wrong}");
        }
        let head = "kind: KubeletConfiguration\n";
        for (text, place) in [
            ("cpuManagerPolicy: static\ncpuManagerPolicyOptions:\n  full: 'true'\n", (4, 3)),
            ("cpuManagerPolicy: static\ncpuManagerPolicyOptions:\n  full-pcpus-only: true\n", (4, 20)),
            ("topologyManagerPolicy: strict\n", (2, 24)),
            ("topologyManagerScope: 1\n", (2, 23)),
            ("reservedSystemCPUs: 0-x\n", (2, 21)),
            ("reservedSystemCPUs: 0-3, 64-67\n", (2, 21)),
            ("reservedSystemCPUs: '0-8:2'\n", (2, 21)),
            ("kubeReserved: {cpu: 1x}\n", (2, 21)),
            (
                "memoryManagerPolicy: Static\nreservedMemory:\n- numaNode: -1\n  limits: {memory: 1Gi}\n",
                (4, 13),
            ),
            ("memoryManagerPolicy: Static\nreservedMemory:\n- {numaNode: 0, limits: {memory: -1}}\n", (4, 3)),
            ("memoryManagerPolicy: Static\nreservedMemory:\n- limits: {memory: 1Gi}\n", (4, 3)),
        ] {
            let error = Configured::from_yaml("k", &format!("{head}{text}")).unwrap_err();
            let (line, column) = place;
            assert!(error.to_string().contains(&format!("{line}:{column}")), "{text}: {error}");
        }
        let plain = Configured::from_yaml("k", "kind: KubeletConfiguration\n").unwrap();
        assert_eq!((plain.policy, plain.settings.static_cpus), (Policy::None, false));
    }
}
