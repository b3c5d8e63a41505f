//! `nvtopo_cpuset`: a set of CPUs, in the kernel's syntax and number by number.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::handle::{Indices, Text, c_text, given, owned};
use crate::status::{Failure, answer, free, nvtopo_status};
use nvtopo::apply::current_cpus;
use nvtopo::{CpuSet, MAX_INDEX};
use once_cell::race::OnceBox;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// A set of CPUs by the kernel's numbers. It never changes, and any number of threads may use it at once.
pub struct nvtopo_cpuset {
    pub(crate) set: CpuSet,
    list: OnceBox<CString>,
    mask: OnceBox<CString>,
}

/// Reads the kernel's list syntax, such as "0-3,8". "" is the empty set.
///
/// Fails with `NVTOPO_STATUS_INVALID_INPUT` where the text is no list.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_parse(
    list: Text,
    cpuset: Option<&mut MaybeUninit<*mut nvtopo_cpuset>>,
) -> nvtopo_status {
    answer(cpuset, "cpuset", || {
        let set: CpuSet = list.read("list")?.parse()?;
        Ok(owned(set.into()))
    })
}

/// Reads the kernel's mask syntax, such as "00000001,000000ff", and a plain hexadecimal number with or without "0x".
///
/// Fails with `NVTOPO_STATUS_INVALID_INPUT` where the text is no mask.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_parse_mask(
    mask: Text,
    cpuset: Option<&mut MaybeUninit<*mut nvtopo_cpuset>>,
) -> nvtopo_status {
    answer(cpuset, "cpuset", || Ok(owned(CpuSet::from_mask(mask.read("mask")?)?.into())))
}

/// The set of `count` CPUs. An array of none (NULL and 0) is the empty set.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` for a CPU above 65535.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_new(
    cpus: Indices,
    count: usize,
    cpuset: Option<&mut MaybeUninit<*mut nvtopo_cpuset>>,
) -> nvtopo_status {
    answer(cpuset, "cpuset", || {
        let cpus = cpus.read(count, "cpus")?;
        cpus.iter().try_for_each(|cpu| check(*cpu))?;
        Ok(owned(cpus.iter().copied().collect::<CpuSet>().into()))
    })
}

/// The set of all CPUs from `first` to `last`, both included.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` where the last is before the first, or above 65535.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_range(
    first: u32,
    last: u32,
    cpuset: Option<&mut MaybeUninit<*mut nvtopo_cpuset>>,
) -> nvtopo_status {
    answer(cpuset, "cpuset", || {
        check(last)?;
        if last < first {
            let message = format!("the range from {first} to {last} ends before it begins");
            return Err(Failure::new(nvtopo_status::InvalidRequest, message));
        }
        Ok(owned((first..=last).collect::<CpuSet>().into()))
    })
}

/// The CPUs on which the calling thread may run now.
///
/// Fails with `NVTOPO_STATUS_IO` where the kernel does not say it.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_here(cpuset: Option<&mut MaybeUninit<*mut nvtopo_cpuset>>) -> nvtopo_status {
    answer(cpuset, "cpuset", || Ok(owned(current_cpus()?.into())))
}

/// A set of its own with the same CPUs, such as of one that belongs to a placement.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_clone(
    cpuset: Option<&nvtopo_cpuset>,
    clone: Option<&mut MaybeUninit<*mut nvtopo_cpuset>>,
) -> nvtopo_status {
    answer(clone, "clone", || Ok(owned(given(cpuset, "cpuset")?.set.clone().into())))
}

/// The CPUs that are in `a` or in `b`.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_union(
    a: Option<&nvtopo_cpuset>,
    b: Option<&nvtopo_cpuset>,
    cpuset: Option<&mut MaybeUninit<*mut nvtopo_cpuset>>,
) -> nvtopo_status {
    answer(cpuset, "cpuset", || Ok(owned(given(a, "a")?.set.union(&given(b, "b")?.set).into())))
}

/// The CPUs that are both in `a` and in `b`.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_intersection(
    a: Option<&nvtopo_cpuset>,
    b: Option<&nvtopo_cpuset>,
    cpuset: Option<&mut MaybeUninit<*mut nvtopo_cpuset>>,
) -> nvtopo_status {
    answer(cpuset, "cpuset", || Ok(owned(given(a, "a")?.set.intersection(&given(b, "b")?.set).into())))
}

/// The CPUs of `a` that are not in `b`.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_difference(
    a: Option<&nvtopo_cpuset>,
    b: Option<&nvtopo_cpuset>,
    cpuset: Option<&mut MaybeUninit<*mut nvtopo_cpuset>>,
) -> nvtopo_status {
    answer(cpuset, "cpuset", || Ok(owned(given(a, "a")?.set.difference(&given(b, "b")?.set).into())))
}

/// True where two sets have the same CPUs.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_is_equal(
    a: Option<&nvtopo_cpuset>,
    b: Option<&nvtopo_cpuset>,
    is_equal: Option<&mut MaybeUninit<bool>>,
) -> nvtopo_status {
    answer(is_equal, "is_equal", || Ok(given(a, "a")?.set == given(b, "b")?.set))
}

/// True where all CPUs of `a` are in `b`.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_is_subset(
    a: Option<&nvtopo_cpuset>,
    b: Option<&nvtopo_cpuset>,
    is_subset: Option<&mut MaybeUninit<bool>>,
) -> nvtopo_status {
    answer(is_subset, "is_subset", || Ok(given(a, "a")?.set.is_subset(&given(b, "b")?.set)))
}

/// Frees a set that you own: one that was made, parsed, cloned or computed. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_free(cpuset: Option<Box<nvtopo_cpuset>>) {
    free(cpuset);
}

/// The set in the kernel's list syntax, such as "0-3,8".
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_to_list(
    cpuset: Option<&nvtopo_cpuset>,
    list: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(list, "list", || {
        let cpuset = given(cpuset, "cpuset")?;
        Ok(cpuset.list.get_or_init(|| Box::new(c_text(&cpuset.set))).as_ptr())
    })
}

/// The set in the kernel's mask syntax: groups of 32 bits in hexadecimal, highest first.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_to_mask(
    cpuset: Option<&nvtopo_cpuset>,
    mask: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(mask, "mask", || {
        let cpuset = given(cpuset, "cpuset")?;
        Ok(cpuset.mask.get_or_init(|| Box::new(c_text(cpuset.set.to_mask()))).as_ptr())
    })
}

/// Counts the CPUs of the set.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_count(
    cpuset: Option<&nvtopo_cpuset>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(cpuset, "cpuset")?.set.len()))
}

/// True where a CPU is in the set.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_contains(
    cpuset: Option<&nvtopo_cpuset>,
    cpu: u32,
    contains: Option<&mut MaybeUninit<bool>>,
) -> nvtopo_status {
    answer(contains, "contains", || Ok(given(cpuset, "cpuset")?.set.contains(cpu)))
}

/// The lowest CPU of the set above `previous`, or -1 when there is none. Start with -1:
///
///     int64_t cpu = -1;
///     while (nvtopo_cpuset_next(cpuset, cpu, &cpu) == NVTOPO_STATUS_OK && cpu >= 0)
///         CPU_SET(cpu, &cpus);
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_cpuset_next(
    cpuset: Option<&nvtopo_cpuset>,
    previous: i64,
    cpu: Option<&mut MaybeUninit<i64>>,
) -> nvtopo_status {
    answer(cpu, "cpu", || {
        let set = &given(cpuset, "cpuset")?.set;
        let first = u32::try_from(previous.saturating_add(1).max(0)).unwrap_or(u32::MAX);
        Ok((first..=MAX_INDEX).find(|cpu| set.contains(*cpu)).map_or(-1, i64::from))
    })
}

/// A number that a set holds.
fn check(cpu: u32) -> Result<(), Failure> {
    if cpu <= MAX_INDEX {
        return Ok(());
    }
    let message = format!("there is no CPU {cpu}: the highest number is {MAX_INDEX}");
    Err(Failure::new(nvtopo_status::InvalidRequest, message))
}

impl From<CpuSet> for nvtopo_cpuset {
    fn from(set: CpuSet) -> Self {
        Self { set, list: OnceBox::new(), mask: OnceBox::new() }
    }
}
