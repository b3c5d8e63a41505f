//! The answers of nvtopo for Kubernetes: node labels, kubelet settings, predictions of the kubelet, claims and policies, all
//! from one [`Topology`](nvtopo::Topology).
//!
//! - [`labels`]: node labels, for Node Feature Discovery or kubectl.
//! - [`kubelet::config`]: the kubelet's configuration for a machine; [`kubelet::lint`]: what is wrong with one.
//! - [`kubelet::predict`]: what the kubelet does with a pod.
//! - [`claims`]: claims of Dynamic Resource Allocation.
//! - [`pod`]: a pod for a placement. [`node_affinity`]: the labels that a pod asks of its node.
//! - [`resource_topology`]: the NUMA nodes and what is beside them, as an object.
//! - [`policies`]: admission policies, quotas and networks.
//! - [`playbook`]: all of it as a folder, with the order in which to apply it.
//!
//! Nothing here opens a socket, reads a clock, or asks a cluster: objects of a cluster come in as YAML, and what is to be
//! applied goes out as YAML. Each object says for which versions of Kubernetes it holds; [`Version`] names one.
//!
//! ```
//! use nvtopo_k8s::labels::{LabelOptions, Labels};
//!
//! let dgx = nvtopo::Topology::preset("dgx-h100")?;
//! let labels = Labels::of(&dgx, &LabelOptions::default());
//! assert_eq!(labels.get("nvlink.group"), Some("8"));
//! # Ok::<(), nvtopo::Error>(())
//! ```

pub mod claims;
pub mod kubelet;
pub mod labels;
mod names;
pub mod node_affinity;
pub mod playbook;
pub mod pod;
pub mod policies;
mod quantity;
pub mod resource_topology;
mod version;
mod yaml;

pub use version::Version;
