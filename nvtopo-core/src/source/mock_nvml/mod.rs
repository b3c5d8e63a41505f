//! The profile that NVIDIA's mock of NVML reads (`MOCK_NVML_CONFIG`): its `libnvidia-ml.so.1` then answers as the driver of the
//! machine does, on any machine. It is written only.
//!
//! The mock knows one version and speed of NVLink, one compute capability, one PCIe link and one MIG mode for all GPUs, three
//! classes of paths, and no instances. [`write`] notes what it shows otherwise than the topology ([`limits`]).
//!
//! Source: `engine/config_types.go`, `engine/config.go` and `engine/topology.go` in `pkg/gpu/mocknvml` of NVIDIA/k8s-test-infra.

mod limits;
mod links;
mod places;
mod profile;
mod write;

pub(super) use write::write;
