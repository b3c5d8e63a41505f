//! The settings that a running kubelet uses: its flags over drop-in files over its configuration file.

use super::lint;
use super::tree::{self, Node, Value};
use nvtopo::{Error, Result};
use serde_json::{Map, Value as Json, json};

/// The settings of a kubelet, put together as the kubelet does it. A field that is not set has the kubelet's default.
///
/// ```
/// use nvtopo_k8s::kubelet::effective::Effective;
///
/// let mut kubelet = Effective::default();
/// kubelet.merge_file("config.yaml", "kind: KubeletConfiguration\ncpuManagerPolicy: none\n")?;
/// kubelet.merge_flags(["--cpu-manager-policy=static", "--reserved-cpus", "0-3"])?;
/// assert_eq!(kubelet.text("cpuManagerPolicy"), Some("static"));
/// assert_eq!(kubelet.text("reservedSystemCPUs"), Some("0-3"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effective {
    settings: Map<String, Json>,
}

/// The value of a flag, `--name=value` or `--name value`: the last one of its name.
///
/// ```
/// use nvtopo_k8s::kubelet::effective::flag;
///
/// assert_eq!(flag(&["kubelet", "--config", "/etc/k.yaml"], "config"), Some("/etc/k.yaml"));
/// assert_eq!(flag(&["kubelet", "--config=/etc/k.yaml"], "config"), Some("/etc/k.yaml"));
/// ```
pub fn flag<'a>(arguments: &[&'a str], name: &str) -> Option<&'a str> {
    values(arguments, name).last().copied()
}

/// All values of a flag.
fn values<'a>(arguments: &[&'a str], name: &str) -> Vec<&'a str> {
    let own = arguments.iter().enumerate().filter_map(|(at, argument)| {
        let rest = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?.strip_prefix(name)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if rest.is_empty() => arguments.get(at + 1).copied(),
            None => None,
        }
    });
    own.collect()
}

/// Flags with a text, and their fields.
const TEXTS: [(&str, &str); 5] = [
    ("cpu-manager-policy", "cpuManagerPolicy"),
    ("topology-manager-policy", "topologyManagerPolicy"),
    ("topology-manager-scope", "topologyManagerScope"),
    ("memory-manager-policy", "memoryManagerPolicy"),
    ("reserved-cpus", "reservedSystemCPUs"),
];

/// Flags with pairs, their fields, and the sign between key and value.
const PAIRS: [(&str, &str, char); 6] = [
    ("cpu-manager-policy-options", "cpuManagerPolicyOptions", '='),
    ("topology-manager-policy-options", "topologyManagerPolicyOptions", '='),
    ("kube-reserved", "kubeReserved", '='),
    ("system-reserved", "systemReserved", '='),
    ("eviction-hard", "evictionHard", '<'),
    ("feature-gates", "featureGates", '='),
];

impl Effective {
    /// Puts a file over what is there, as the kubelet does with drop-in files: maps are merged, lists and values replaced.
    /// Read are the files that [`lint`](crate::kubelet::lint::lint) reads, and the kubelet's answer of `configz`.
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) and the place for a text that is no configuration.
    pub fn merge_file(&mut self, name: &str, text: &str) -> Result<()> {
        let documents = tree::read(name, text)?;
        let settings = documents
            .iter()
            .find_map(|document| document.get("kubeletconfig").or_else(|| lint::settings_of(document)));
        let Some(Json::Object(settings)) = settings.map(json_of) else {
            return Err(Error::input("this holds no configuration of a kubelet").in_input(name));
        };
        merge(&mut self.settings, settings);
        Ok(())
    }

    /// Puts the flags of the kubelet's process over what is there. A flag with pairs replaces all pairs, but for feature
    /// gates, which are merged. Flags that are of no manager are passed over.
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) for a value that the kubelet would not start with.
    pub fn merge_flags<'a>(&mut self, arguments: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let arguments: Vec<&str> = arguments.into_iter().collect();
        for (name, field) in TEXTS {
            if let Some(text) = flag(&arguments, name) {
                self.settings.insert(field.to_owned(), json!(text));
            }
        }
        for (name, field, sign) in PAIRS {
            let all = values(&arguments, name);
            if all.is_empty() {
                continue;
            }
            let mut pairs = Map::new();
            for pair in all.iter().flat_map(|list| list.split(',')).filter(|pair| !pair.is_empty()) {
                let Some((key, value)) = pair.split_once(sign) else {
                    return Err(Error::input(format!("--{name} has {pair:?}, which is no pair")));
                };
                let value = match (name, lint::switch(value)) {
                    ("feature-gates", Some(switch)) => json!(switch),
                    _ => json!(value.trim()),
                };
                pairs.insert(key.trim().to_owned(), value);
            }
            if let (true, Some(Json::Object(own))) = (name == "feature-gates", self.settings.get_mut(field)) {
                own.extend(pairs);
            } else {
                self.settings.insert(field.to_owned(), Json::Object(pairs));
            }
        }
        let memory = values(&arguments, "reserved-memory");
        if !memory.is_empty() {
            let nodes = memory.iter().flat_map(|list| list.split(';')).filter(|node| !node.is_empty());
            let nodes = nodes.map(|node| {
                reserved(node).ok_or_else(|| {
                    Error::input(format!("--reserved-memory has {node:?}, which is no memory of a NUMA node"))
                        .help("there are such as 0:memory=1Gi")
                })
            });
            let nodes = nodes.collect::<Result<Vec<Json>>>()?;
            self.settings.insert("reservedMemory".to_owned(), Json::Array(nodes));
        }
        Ok(())
    }

    /// The value of a field at the top. `None`: it is not set.
    pub fn get(&self, field: &str) -> Option<&Json> {
        self.settings.get(field)
    }

    /// The text of a field at the top, where it is set and not empty.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.get(field).and_then(Json::as_str).filter(|text| !text.is_empty())
    }

    /// Returns true where an option is on in a field of options, such as `full-pcpus-only` in `cpuManagerPolicyOptions`.
    pub fn is_on(&self, field: &str, option: &str) -> bool {
        let value = self.get(field).and_then(|options| options.get(option)).and_then(Json::as_str);
        value.and_then(lint::switch) == Some(true)
    }

    /// The settings as one `KubeletConfiguration` in JSON, as [`lint`](crate::kubelet::lint::lint) and
    /// [`Configured`](crate::kubelet::predict::Configured) read it.
    pub fn to_json(&self) -> String {
        let mut document = self.settings.clone();
        document.insert("apiVersion".to_owned(), json!("kubelet.config.k8s.io/v1beta1"));
        document.insert("kind".to_owned(), json!("KubeletConfiguration"));
        Json::Object(document).to_string()
    }
}

/// Reads `0:memory=1Gi,hugepages-2Mi=64Mi`.
fn reserved(text: &str) -> Option<Json> {
    let (node, limits) = text.split_once(':')?;
    let node: u32 = node.trim().parse().ok()?;
    let pair =
        |pair: &str| pair.split_once('=').map(|(key, size)| (key.trim().to_owned(), json!(size.trim())));
    let limits: Map<String, Json> = limits.split(',').map(pair).collect::<Option<_>>()?;
    Some(json!({ "numaNode": node, "limits": limits }))
}

/// A merge patch of JSON (RFC 7396), as the kubelet merges drop-in files.
fn merge(into: &mut Map<String, Json>, from: Map<String, Json>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (_, Json::Null) => drop(into.remove(&key)),
            (Some(Json::Object(into)), Json::Object(from)) => merge(into, from),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

fn json_of(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => {
            i64::try_from(*value).map_or_else(|_| json!(value.to_string()), |value| json!(value))
        }
        Value::Float(value) => json!(value),
        Value::Text(text) => json!(text),
        Value::List(items) => Json::Array(items.iter().map(json_of).collect()),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (key.name.clone(), json_of(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubelet::predict::Configured;

    #[test]
    fn flags_go_over_drop_ins_over_the_file() {
        let head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
        let mut kubelet = Effective::default();
        let base = "cpuManagerPolicy: none\nevictionHard: {memory.available: 1Gi, pid.available: 5%}\n";
        kubelet.merge_file("config.yaml", &format!("{head}{base}")).unwrap();
        let over = "cpuManagerPolicy: static\nevictionHard: {memory.available: 2Gi}\n";
        kubelet.merge_file("10.conf", &format!("{head}{over}")).unwrap();
        assert_eq!(kubelet.text("cpuManagerPolicy"), Some("static"));
        assert_eq!(
            kubelet.get("evictionHard"),
            Some(&json!({ "memory.available": "2Gi", "pid.available": "5%" }))
        );
        let flags = "kubelet --cpu-manager-policy-options=full-pcpus-only=true,distribute-cpus-across-numa=false \
                     --topology-manager-policy restricted --eviction-hard=memory.available<100Mi --v=2 \
                     --memory-manager-policy=Static --reserved-memory 0:memory=1Gi --reserved-memory=1:memory=2Gi \
                     --kube-reserved=cpu=1,memory=3Gi --feature-gates=X=true";
        kubelet.merge_flags(flags.split_whitespace()).unwrap();
        assert!(kubelet.is_on("cpuManagerPolicyOptions", "full-pcpus-only"));
        assert!(!kubelet.is_on("cpuManagerPolicyOptions", "distribute-cpus-across-numa"));
        assert_eq!(kubelet.get("evictionHard"), Some(&json!({ "memory.available": "100Mi" })));
        assert_eq!(kubelet.get("featureGates"), Some(&json!({ "X": true })));
        let configured = Configured::from_yaml("k", &kubelet.to_json()).unwrap();
        assert_eq!(configured.settings.reserved_memory.unwrap()[&1]["memory"], 2 << 30);
    }

    #[test]
    fn answers_of_configz_and_wrong_texts() {
        let mut kubelet = Effective::default();
        kubelet
            .merge_file("configz", r#"{"kubeletconfig":{"topologyManagerPolicy":"best-effort"}}"#)
            .unwrap();
        assert_eq!(kubelet.text("topologyManagerPolicy"), Some("best-effort"));
        let before = kubelet.clone();
        for text in ["", "kind: Pod\n", "[", "kubeletconfig: 3\n"] {
            assert!(kubelet.merge_file("x", text).is_err(), "{text}");
        }
        for flags in ["--kube-reserved=cpu", "--reserved-memory=x:memory=1Gi", "--reserved-memory=0"] {
            assert!(kubelet.merge_flags([flags]).is_err(), "{flags}");
        }
        assert_eq!(kubelet, before);
        assert_eq!(flag(&["--config"], "config"), None);
    }
}
