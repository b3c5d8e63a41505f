//! `nvtopo_shares`: the CPUs and memory of each GPU of a machine, whether or not a job uses it.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::cpuset::nvtopo_cpuset;
use crate::handle::{c_document, c_known, c_texts, element, given, or_null, owned};
use crate::rules::nvtopo_rules;
use crate::status::{Failure, answer, free, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::apply::cpus_here;
use nvtopo::render::json;
use nvtopo::share_cpus;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// The CPUs and memory of each GPU of a machine, by its position. It never changes, and any number of threads may use it at
/// once.
pub struct nvtopo_shares {
    shares: Vec<Share>,
    remarks: Vec<CString>,
    json: CString,
}

struct Share {
    cpus: nvtopo_cpuset,
    mems: Option<CString>,
}

/// Deals out the CPUs of a machine to all its GPUs, by rules; NULL are the default ones. On this machine these are the CPUs
/// that the rules allow, or else their scope; on another machine, all.
///
/// Fails with `NVTOPO_STATUS_IO` where the kernel does not say which CPUs this thread may use.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_shares(
    topology: Option<&nvtopo_topology>,
    rules: Option<&nvtopo_rules>,
    shares: Option<&mut MaybeUninit<*mut nvtopo_shares>>,
) -> nvtopo_status {
    answer(shares, "shares", || {
        let topology = &given(topology, "topology")?.topology;
        let rules = rules.cloned().unwrap_or_default();
        let mut cpu_rules = rules.rules;
        if cpu_rules.limits.allowed.is_none() {
            cpu_rules.limits.allowed = cpus_here(topology, rules.scope)?;
        }
        let shares = share_cpus(topology, &cpu_rules);
        let json = c_document(json::shares(topology, &shares));
        let share = |share: nvtopo::Share| Share { cpus: share.cpus.into(), mems: c_known(&share.mems) };
        let remarks = c_texts(&shares.remarks);
        Ok(owned(nvtopo_shares { shares: shares.gpus.into_iter().map(share).collect(), remarks, json }))
    })
}

/// Frees shares. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_shares_free(shares: Option<Box<nvtopo_shares>>) {
    free(shares);
}

/// The CPUs of a GPU, by its position. The set belongs to the shares.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_shares_cpus(
    shares: Option<&nvtopo_shares>,
    gpu: usize,
    cpus: Option<&mut MaybeUninit<*const nvtopo_cpuset>>,
) -> nvtopo_status {
    answer(cpus, "cpus", || Ok(&raw const share(shares, gpu)?.cpus))
}

/// The NUMA nodes that a GPU, by its position, takes memory from, as the kernel's list; NULL when they are not known. The
/// text belongs to the shares.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_shares_mems(
    shares: Option<&nvtopo_shares>,
    gpu: usize,
    list: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(list, "list", || Ok(or_null(share(shares, gpu)?.mems.as_ref())))
}

/// Counts the remarks: CPUs that are shared or far away, and what is not known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_shares_remark_count(
    shares: Option<&nvtopo_shares>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(shares, "shares")?.remarks.len()))
}

/// A remark by its number, from 0 on.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_shares_remark(
    shares: Option<&nvtopo_shares>,
    i: usize,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || Ok(element(&given(shares, "shares")?.remarks, i, "remark")?.as_ptr()))
}

/// The shares as JSON, as `nvtopo cpus --format json` prints them. The text belongs to the shares.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_shares_to_json(
    shares: Option<&nvtopo_shares>,
    json: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(json, "json", || Ok(given(shares, "shares")?.json.as_ptr()))
}

fn share(shares: Option<&nvtopo_shares>, gpu: usize) -> Result<&Share, Failure> {
    element(&given(shares, "shares")?.shares, gpu, "GPU")
}
