//! The lists of names that this build knows, for menus, completions and checks of configurations.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::handle::{Text, c_known, c_text, element, or_null};
use crate::status::{Failure, answer, nvtopo_status};
use nvtopo::MemoryPolicy;
use nvtopo::apply::{Export, HAZARD_VARIABLES};
use nvtopo::render::LAUNCH_FORMATS;
use nvtopo::solve::objective::OBJECTIVES;
use nvtopo::solve::{CPU_POLICIES, rank_variables};
use nvtopo::source::{PRESETS, WRITERS};
use once_cell::race::OnceBox;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// A list with its name.
struct List {
    name: &'static str,
    entries: Vec<(CString, Option<CString>)>,
}

/// Counts the names of a list. The lists are "presets" (`nvtopo_topology_preset`), "objectives" (`nvtopo_request_objectives`),
/// "policies" (`nvtopo_rules_policy`), "formats" (`nvtopo_plan_format`), "writers" (`nvtopo_topology_write`), "exports"
/// (`nvtopo_plan_environment`), "memory" (`nvtopo_bind_options_memory`), "rank-variables" (`nvtopo_local_rank_here`) and "hazards" (`nvtopo_hazards_here`).
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for another list.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_list_count(list: Text, count: Option<&mut MaybeUninit<usize>>) -> nvtopo_status {
    answer(count, "count", || Ok(named(&list)?.entries.len()))
}

/// Name number `i`, from 0 on, of a list as in `nvtopo_list_count`. The text lives as long as the program.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_list_name(
    list: Text,
    i: usize,
    name: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(name, "name", || Ok(element(&named(&list)?.entries, i, "name")?.0.as_ptr()))
}

/// One line about name number `i`, from 0 on, of a list; NULL where there is none to say. The text lives as long as the
/// program.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_list_about(
    list: Text,
    i: usize,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || Ok(or_null(element(&named(&list)?.entries, i, "name")?.1.as_ref())))
}

fn named(list: &Text) -> Result<&'static List, Failure> {
    let name = list.read("list")?;
    lists().iter().find(|list| list.name == name).ok_or_else(|| {
        let names: Vec<&str> = lists().iter().map(|list| list.name).collect();
        let message = format!("there is no list '{name}': there are {}", names.join(", "));
        Failure::new(nvtopo_status::InvalidRequest, message)
    })
}

fn lists() -> &'static [List] {
    static LISTS: OnceBox<Vec<List>> = OnceBox::new();
    LISTS.get_or_init(|| {
        let memory = MemoryPolicy::ALL.map(|policy| (policy.to_string(), ""));
        Box::new(vec![
            List::of("presets", PRESETS.iter().map(|preset| (preset.name, preset.summary))),
            List::of(
                "objectives",
                OBJECTIVES.iter().map(|objective| (objective.name(), objective.summary())),
            ),
            List::of("policies", CPU_POLICIES.iter().map(|policy| (policy.name(), policy.summary()))),
            List::of("formats", LAUNCH_FORMATS.iter().map(|format| (format.name, format.summary))),
            List::of("writers", WRITERS.iter().map(|writer| (writer.name, writer.summary))),
            List::of("exports", Export::ALL.iter().map(|export| (export.word(), ""))),
            List::of(
                "memory",
                memory.iter().map(|(word, about)| (word.as_str(), *about)).chain([("none", "")]),
            ),
            List::of("rank-variables", rank_variables().map(|name| (name, ""))),
            List::of("hazards", HAZARD_VARIABLES.iter().map(|name| (*name, ""))),
        ])
    })
}

impl List {
    fn of<'a>(name: &'static str, entries: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self { name, entries: entries.map(|(name, about)| (c_text(name), c_known(about))).collect() }
    }
}
