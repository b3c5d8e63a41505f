//! Taints of devices: GPUs that have lost links or have other faults, kept from claims.

use super::slices::{self, Device};
use super::{BUS_ID, at};
use crate::{Version, names, yaml};
use k8s_openapi::api::resource::{v1, v1alpha3, v1beta2};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use nvtopo::model::Gpu;
use nvtopo::{Error, Result, Topology};
use std::fmt;
use std::str::FromStr;

/// The driver of the devices.
const DRIVER: &str = "gpu.nvidia.com";

/// The effect of a taint on claims that do not tolerate it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaintEffect {
    /// The device is not given any more.
    #[default]
    NoSchedule,
    /// Pods that have it are evicted as well.
    NoExecute,
}

impl fmt::Display for TaintEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSchedule => "NoSchedule",
            Self::NoExecute => "NoExecute",
        })
    }
}

impl FromStr for TaintEffect {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::NoSchedule, Self::NoExecute];
        let found = all.into_iter().find(|effect| effect.to_string() == text);
        found.ok_or_else(|| {
            Error::request(format!("'{text}' is no effect of a taint")).help("give NoSchedule or NoExecute")
        })
    }
}

/// The request that taints are made for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaintOptions {
    /// The node's name, which the driver's pool has too.
    pub node: String,
    /// The version of Kubernetes.
    pub version: Version,
    /// The effect of the taints.
    pub effect: TaintEffect,
    /// The node's slices as text, with a name for errors: they tell the devices' names. Without them the names are those
    /// that NVIDIA's driver makes of the numbers of device files.
    pub slices: Option<(String, String)>,
}

impl TaintOptions {
    /// Taints for a node of the newest version of Kubernetes, that keep devices from being given.
    #[must_use]
    pub fn node(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            version: Version::default(),
            effect: TaintEffect::default(),
            slices: None,
        }
    }
}

/// Proposed `DeviceTaintRule`s for the GPUs of a node that have faults, as YAML; a comment where none has.
///
/// ```
/// use nvtopo_k8s::claims::{TaintOptions, taints};
///
/// let sound = nvtopo::Topology::preset("dgx-a100")?;
/// assert_eq!(taints(&sound, &TaintOptions::node("n1"))?, "# No fault of a GPU is known.\n");
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn taints(topology: &Topology, options: &TaintOptions) -> Result<String> {
    if options.version < at(33) {
        return Err(Error::unsatisfiable(format!("Kubernetes {} has no taints of devices", options.version))
            .help("give 1.33 or later"));
    }
    names::object_name(&options.node)?;
    let devices = match &options.slices {
        Some((name, text)) => {
            let slices = slices::read(name, text)?.slices.into_iter();
            let own = slices.filter(|slice| slice.node.as_deref().is_none_or(|node| node == options.node));
            Some(
                own.flat_map(|slice| slice.devices)
                    .filter(|device| device.driver == DRIVER)
                    .collect::<Vec<Device>>(),
            )
        }
        None => None,
    };
    let mut documents = Vec::new();
    for (position, gpu) in topology.gpus().enumerate() {
        let faults = topology.gpu_faults(position);
        let (key, why) = match (&gpu.unusable, faults.first()) {
            (Some(why), _) => ("unusable", why.clone()),
            (None, Some(fault)) => (fault.word(), fault.to_string()),
            (None, None) => continue,
        };
        let (pool, device) = device(gpu, devices.as_deref(), options)?;
        let mut comment = vec![format!("{}: {why}.", gpu.name())];
        comment.extend(faults.iter().skip(1).map(|fault| format!("{}: {fault}.", gpu.name())));
        comment.push(versions(options.version).to_owned());
        if devices.is_none() {
            comment.push("The device's name is the one that NVIDIA's driver makes of the device file; compare it with the slices.".to_owned());
        }
        comment
            .push("Delete the rule once the GPU is repaired: nothing else takes the taint away.".to_owned());
        let rule = Rule {
            name: format!("nvtopo-{}-gpu{}", options.node, gpu.index),
            pool,
            device,
            key: format!("nvtopo.io/{key}"),
            value: names::to_value(&why),
            effect: options.effect.to_string(),
        };
        documents.push(rule.document(options.version, &comment)?);
    }
    if documents.is_empty() {
        return Ok("# No fault of a GPU is known.\n".to_owned());
    }
    Ok(yaml::stream(&documents))
}

/// For which versions a rule holds, and behind which gates.
fn versions(version: Version) -> &'static str {
    match version {
        version if version >= at(37) => "For Kubernetes 1.37 and later.",
        version if version >= at(36) => {
            "For Kubernetes 1.36: gate DRADeviceTaintRules, and the API resource.k8s.io/v1beta2 switched on."
        }
        version if version >= at(35) => {
            "For Kubernetes 1.35: gates DRADeviceTaints and DRADeviceTaintRules (alpha), and the API resource.k8s.io/v1alpha3 switched on."
        }
        _ => {
            "For Kubernetes 1.33 and 1.34: gate DRADeviceTaints (alpha), and the API resource.k8s.io/v1alpha3 switched on."
        }
    }
}

/// The pool and the name of the device that a GPU is.
fn device(gpu: &Gpu, devices: Option<&[Device]>, options: &TaintOptions) -> Result<(String, String)> {
    let Some(devices) = devices else {
        let minor = gpu.minor.ok_or_else(|| {
            Error::unsatisfiable(format!(
                "the number of the device file of {} is unknown, and so is its name as a device",
                gpu.name()
            ))
            .help("give the node's slices: kubectl get resourceslices -o yaml")
        })?;
        return Ok((options.node.clone(), format!("gpu-{minor}")));
    };
    let is = |device: &&Device| {
        let address = device.text(BUS_ID).and_then(|text| text.parse().ok());
        let uuid = device.text("gpu.nvidia.com/uuid");
        gpu.address.is_some() && gpu.address == address
            || gpu.uuid.as_ref().is_some_and(|own| Some(own.to_string().as_str()) == uuid)
    };
    let found = devices.iter().find(is).map(|device| (device.pool.clone(), device.name.clone()));
    found.ok_or_else(|| {
        Error::unsatisfiable(format!(
            "no device of the slices of {} is known to be {}",
            options.node,
            gpu.name()
        ))
        .help("they are compared by PCI address and UUID")
    })
}

struct Rule {
    name: String,
    pool: String,
    device: String,
    key: String,
    value: String,
    effect: String,
}

/// A rule in the shape of one version of the API.
macro_rules! rule {
    ($api:ident, $own:expr, $comment:expr) => {{
        let own = $own;
        let object = $api::DeviceTaintRule {
            metadata: ObjectMeta {
                name: Some(names::object_name(&own.name)?.to_owned()),
                ..ObjectMeta::default()
            },
            spec: $api::DeviceTaintRuleSpec {
                device_selector: Some($api::DeviceTaintSelector {
                    device: Some(own.device.clone()),
                    driver: Some(DRIVER.to_owned()),
                    pool: Some(own.pool.clone()),
                }),
                taint: $api::DeviceTaint {
                    effect: own.effect.clone(),
                    key: own.key.clone(),
                    value: Some(own.value.clone()),
                    ..Default::default()
                },
            },
            ..Default::default()
        };
        yaml::document($comment, &object)
    }};
}

impl Rule {
    fn document(&self, version: Version, comment: &[String]) -> Result<String> {
        if version >= at(37) {
            rule!(v1, self, comment)
        } else if version >= at(36) {
            rule!(v1beta2, self, comment)
        } else {
            rule!(v1alpha3, self, comment)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A DGX A100 of which a GPU has a cable less, and one is gone.
    fn broken() -> Topology {
        let text = nvtopo::render::json::topology(&Topology::preset("dgx-a100").unwrap());
        let mut machine: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut gpus = 0;
        for node in machine["topology"]["nodes"].as_array_mut().unwrap() {
            if let Some(gpu) = node.get_mut("gpu") {
                if gpus == 3 {
                    gpu["unusable"] = "has fallen off the bus".into();
                }
                gpu["minor"] = (7 - gpus).into();
                gpus += 1;
            }
        }
        assert_eq!(gpus, 8);
        Topology::parse("broken", machine.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn broken_gpus_are_tainted_in_the_shape_of_each_version() {
        let broken = broken();
        for version in Version::all() {
            let options = TaintOptions { version, ..TaintOptions::node("n1") };
            let Ok(text) = taints(&broken, &options) else {
                assert!(version < at(33));
                continue;
            };
            let own: Vec<serde_json::Value> = yaml::read("own", &text).unwrap();
            let again = match own[0]["apiVersion"].as_str().unwrap() {
                "resource.k8s.io/v1" => serde_json::to_value(
                    serde_json::from_value::<v1::DeviceTaintRule>(own[0].clone()).unwrap(),
                ),
                "resource.k8s.io/v1beta2" => serde_json::to_value(
                    serde_json::from_value::<v1beta2::DeviceTaintRule>(own[0].clone()).unwrap(),
                ),
                "resource.k8s.io/v1alpha3" => serde_json::to_value(
                    serde_json::from_value::<v1alpha3::DeviceTaintRule>(own[0].clone()).unwrap(),
                ),
                other => panic!("{other}"),
            };
            assert_eq!(again.unwrap(), own[0]);
            assert_eq!(own.len(), 1);
            assert_eq!(own[0]["spec"]["deviceSelector"]["device"], "gpu-4");
            assert_eq!(own[0]["spec"]["taint"]["value"], "has-fallen-off-the-bus");
            assert!(text.starts_with("# GPU3: has fallen off the bus.\n"), "{text}");
        }
    }

    #[test]
    fn slices_tell_the_names_of_devices() {
        let broken = broken();
        let address = broken.gpus().nth(3).unwrap().address.unwrap();
        let slice = |address: &str| {
            format!(
                "kind: ResourceSlice\nmetadata: {{name: s}}\nspec: {{driver: gpu.nvidia.com, nodeName: n1, pool: {{name: p}}, devices: [{{name: gpu-9, \
                 attributes: {{resource.kubernetes.io/pciBusID: {{string: '{address}'}}}}}}]}}\n"
            )
        };
        let with =
            |text: String| TaintOptions { slices: Some(("s".to_owned(), text)), ..TaintOptions::node("n1") };
        let text = taints(&broken, &with(slice(&address.to_string()))).unwrap();
        assert!(text.contains("device: gpu-9") && text.contains("pool: p"), "{text}");
        let error = taints(&broken, &with(slice("0000:ff:00.0"))).unwrap_err();
        assert!(error.to_string().contains("GPU3"), "{error}");
        assert!(taints(&broken, &TaintOptions::node("N 1")).is_err());
        assert!("None".parse::<TaintEffect>().is_err());
    }
}
