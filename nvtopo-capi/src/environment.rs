//! `nvtopo_environment`: the variables that tell libraries what was chosen, and `nvtopo_hazards`: those that undo a binding.
//! The variables of this process are read here.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::handle::{Text, Texts, c_text, c_texts, element, given, owned};
use crate::placement::nvtopo_variable;
use crate::plan::nvtopo_plan;
use crate::status::{Failure, answer, free, nvtopo_status};
use nvtopo::apply::{self, Export};
use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// Variables to set for a process. It never changes.
pub struct nvtopo_environment {
    variables: Vec<(CString, CString)>,
}

/// Warnings for the variables that undo a binding. It never changes.
pub struct nvtopo_hazards {
    warnings: Vec<CString>,
}

/// The variables that go with a rank of a plan. Unasked, only `OMP_NUM_THREADS`, where the process that the plan is for does not have it set and
/// the cores are the rank's own. `exports` says what else to tell, in words, separated by commas: "gpus"
/// (`CUDA_VISIBLE_DEVICES`, the same for all ranks), "threads" (`OMP_NUM_THREADS` even where it is set), "ib-hca"
/// (`NCCL_IB_HCA`, the same for all ranks), "ucx-device" (`UCX_NET_DEVICES`), "uccl-device"
/// (`UCCL_P2P_RDMA_DEV`), "nvshmem-hca" (`NVSHMEM_HCA_LIST`), "vllm-nics" (`VLLM_GPU_NIC_PCIE_MAPPING`, the same for all
/// ranks); "" is nothing else.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for other words, and where there is no such rank.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_plan_environment(
    plan: Option<&nvtopo_plan>,
    rank: usize,
    exports: Text,
    environment: Option<&mut MaybeUninit<*mut nvtopo_environment>>,
) -> nvtopo_status {
    answer(environment, "environment", || {
        let plan = given(plan, "plan")?;
        let (here, words) = (&plan.here, exports.list("exports")?.into_iter());
        let exports: Vec<Export> = words.map(str::parse).collect::<Result<_, _>>()?;
        element(here.plan.parts(), rank, "rank")?;
        let part = here.plan.part(rank).unwrap_or_default();
        let told = apply::environment(here.plan.topology(), &here.visible, &part, &exports, |name| {
            plan.variable(name)
        });
        let variables = told.into_iter().map(|(name, value)| (c_text(name), c_text(value))).collect();
        Ok(owned(nvtopo_environment { variables }))
    })
}

/// Frees an environment. What was set by it stays set. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_environment_free(environment: Option<Box<nvtopo_environment>>) {
    free(environment);
}

/// Counts the variables.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_environment_count(
    environment: Option<&nvtopo_environment>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(environment, "environment")?.variables.len()))
}

/// Variable number `i`, from 0 on. Its name and value belong to the environment.
///
///     for (i = 0; i < count && nvtopo_environment_variable(environment, i, &variable) == NVTOPO_STATUS_OK; i++)
///         setenv(variable.name, variable.value, 1);
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_environment_variable(
    environment: Option<&nvtopo_environment>,
    i: usize,
    variable: Option<&mut MaybeUninit<nvtopo_variable>>,
) -> nvtopo_status {
    answer(variable, "variable", || {
        let (name, value) = element(&given(environment, "environment")?.variables, i, "variable")?;
        Ok(nvtopo_variable { name: name.as_ptr(), value: value.as_ptr() })
    })
}

/// Looks at the variables of this process that undo a binding after it was made: `OMP_PLACES`, `OMP_PROC_BIND`,
/// `GOMP_CPU_AFFINITY` and `KMP_AFFINITY`. Nothing is set or unset.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_hazards_here(
    hazards: Option<&mut MaybeUninit<*mut nvtopo_hazards>>,
) -> nvtopo_status {
    answer(hazards, "hazards", || Ok(owned(nvtopo_hazards::of(own))))
}

/// Looks at `count` variables of another process as `nvtopo_hazards_here` does at those of this one. Each is a text such as
/// `OMP_PROC_BIND=close`.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` where a text has no "=".
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_hazards_of(
    variables: Texts,
    count: usize,
    hazards: Option<&mut MaybeUninit<*mut nvtopo_hazards>>,
) -> nvtopo_status {
    answer(hazards, "hazards", || {
        let given = Variables::read(&variables, count)?;
        Ok(owned(nvtopo_hazards::of(|name| given.get(name))))
    })
}

/// Frees hazards. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_hazards_free(hazards: Option<Box<nvtopo_hazards>>) {
    free(hazards);
}

/// Counts the variables that undo a binding; 0 where none does.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_hazards_count(
    hazards: Option<&nvtopo_hazards>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(hazards, "hazards")?.warnings.len()))
}

/// The warning about variable number `i`, from 0 on: its effect, and advice. The text belongs to the hazards.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_hazards_warning(
    hazards: Option<&nvtopo_hazards>,
    i: usize,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || Ok(element(&given(hazards, "hazards")?.warnings, i, "warning")?.as_ptr()))
}

impl nvtopo_hazards {
    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        Self { warnings: c_texts(apply::hazards(variable)) }
    }
}

/// A variable of this process.
pub(crate) fn own(name: &str) -> Option<String> {
    // What is not UTF-8 is set all the same.
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The variables of another process, as C gives them.
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(crate) fn read(variables: &Texts, count: usize) -> Result<Self, Failure> {
        let mut read = BTreeMap::new();
        for text in variables.read(count, "variables")? {
            let Some((name, value)) = text.split_once('=') else {
                let message = format!("'{text}' is no variable: expected NAME=VALUE");
                return Err(Failure::new(nvtopo_status::InvalidRequest, message));
            };
            // As getenv does, of several the first.
            read.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        Ok(Self(read))
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}
