//! `nvtopo_diff`: the differences between two topologies.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::handle::{c_document, c_texts, element, given, owned};
use crate::status::{answer, free, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::diff::Diff;
use nvtopo::render::json;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// The differences between two machines, or one at two times. It never changes, and any number of threads may use it at
/// once.
pub struct nvtopo_diff {
    changes: Vec<CString>,
    json: CString,
}

/// Compares two machines. GPUs are matched by UUID, else by PCI address, else by number; a fact that only one of the two
/// machines tells is no difference.
///
/// With `structure`, only what the machines are built of and how it is connected counts, without numbers, names, addresses,
/// serial numbers, software and settings.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_diff(
    before: Option<&nvtopo_topology>,
    after: Option<&nvtopo_topology>,
    structure: bool,
    diff: Option<&mut MaybeUninit<*mut nvtopo_diff>>,
) -> nvtopo_status {
    answer(diff, "diff", || {
        let (before, after) = (&given(before, "before")?.topology, &given(after, "after")?.topology);
        let diff = if structure { Diff::of_structure(before, after) } else { Diff::new(before, after) };
        let changes = c_texts(diff.changes.iter().map(ToString::to_string));
        Ok(owned(nvtopo_diff { changes, json: c_document(json::diff(&diff)) }))
    })
}

/// Frees differences. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_diff_free(diff: Option<Box<nvtopo_diff>>) {
    free(diff);
}

/// Counts the changes: 0 for equal machines.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_diff_change_count(
    diff: Option<&nvtopo_diff>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(diff, "diff")?.changes.len()))
}

/// A change by its number, from 0 on, in words: "GPU0 to GPU3: NVLinks 2 -> 1". The text belongs to the differences.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_diff_change(
    diff: Option<&nvtopo_diff>,
    index: usize,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || Ok(element(&given(diff, "diff")?.changes, index, "change")?.as_ptr()))
}

/// The differences as JSON, as `nvtopo diff --format json` prints them: each change with its kind, part and values. The text
/// belongs to the differences.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_diff_to_json(
    diff: Option<&nvtopo_diff>,
    json: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(json, "json", || Ok(given(diff, "diff")?.json.as_ptr()))
}
