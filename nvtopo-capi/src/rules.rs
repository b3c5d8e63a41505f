//! `nvtopo_rules`: how CPUs are dealt out, for plans and bindings.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::cpuset::nvtopo_cpuset;
use crate::handle::{Text, given, owned};
use crate::status::{Failure, answer, free, guard, nvtopo_status};
use nvtopo::CpuRules;
use nvtopo::apply::Scope;
use std::mem::MaybeUninit;

/// How CPUs are dealt out. One thread at a time may change it; any number may use it while none does.
///
/// Until told otherwise: each GPU gets its own share of whole cores, with all their threads, of the CPUs that the calling
/// thread is bound to.
#[derive(Clone, Default)]
pub struct nvtopo_rules {
    pub(crate) rules: CpuRules,
    pub(crate) scope: Scope,
}

/// The default rules.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rules_new(rules: Option<&mut MaybeUninit<*mut nvtopo_rules>>) -> nvtopo_status {
    answer(rules, "rules", || Ok(owned(nvtopo_rules::default())))
}

/// Rules of their own that say the same.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rules_clone(
    rules: Option<&nvtopo_rules>,
    clone: Option<&mut MaybeUninit<*mut nvtopo_rules>>,
) -> nvtopo_status {
    answer(clone, "clone", || Ok(owned(given(rules, "rules")?.clone())))
}

/// Frees rules. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rules_free(rules: Option<Box<nvtopo_rules>>) {
    free(rules);
}

/// By which policy, such as "exclusive" or "node". The error for an unknown name lists those that there are.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rules_policy(rules: Option<&mut nvtopo_rules>, name: Text) -> nvtopo_status {
    change(rules, |rules| {
        rules.rules.policy = name.read("name")?.parse()?;
        Ok(())
    })
}

/// Which hardware threads of a core are used: "all" or "one".
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rules_smt(rules: Option<&mut nvtopo_rules>, threads: Text) -> nvtopo_status {
    change(rules, |rules| {
        rules.rules.smt = threads.read("threads")?.parse()?;
        Ok(())
    })
}

/// Leaves CPUs that the kernel keeps out of scheduling (isolcpus, isolated cpusets) out where there are others ("avoid"), or
/// deals them out as all others ("use").
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rules_isolated(rules: Option<&mut nvtopo_rules>, isolated: Text) -> nvtopo_status {
    change(rules, |rules| {
        rules.rules.limits.isolated = isolated.read("isolated")?.parse()?;
        Ok(())
    })
}

/// Gives each rank of a plan this many GPUs; 0: the ranks use no GPU, and share the CPUs of the machine equally. Until this is
/// called, each rank has one, which ranks share where they are more than the GPUs.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rules_gpus_per_rank(
    rules: Option<&mut nvtopo_rules>,
    count: usize,
) -> nvtopo_status {
    change(rules, |rules| {
        rules.rules.layout.gpus = Some(count);
        Ok(())
    })
}

/// Uses "all" cores of a machine whose cores are not alike, or the "fast" ones, which are performance cores or priority cores.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rules_cores(rules: Option<&mut nvtopo_rules>, cores: Text) -> nvtopo_status {
    change(rules, |rules| {
        rules.rules.limits.cores = cores.read("cores")?.parse()?;
        Ok(())
    })
}

/// Puts neighbouring ranks on neighbouring GPUs ("block") or in turns ("cyclic"). Until this is called,
/// ranks with several GPUs by "block", ranks that share GPUs by "cyclic".
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rules_distribution(
    rules: Option<&mut nvtopo_rules>,
    distribution: Text,
) -> nvtopo_status {
    change(rules, |rules| {
        rules.rules.layout.distribution = Some(distribution.read("distribution")?.parse()?);
        Ok(())
    })
}

/// Gives each rank of a plan this many cores of those that it would get; the rest stays free. 0: all.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rules_cores_per_rank(
    rules: Option<&mut nvtopo_rules>,
    count: usize,
) -> nvtopo_status {
    change(rules, |rules| {
        rules.rules.layout.cores = (count > 0).then_some(count);
        Ok(())
    })
}

/// The CPUs that are dealt out where `nvtopo_rules_allow_cpus` does not say it: the CPUs that the calling thread is bound to
/// ("affinity"), or all that the kernel would let it have ("cpuset"), whatever a launcher has bound it to.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rules_scope(rules: Option<&mut nvtopo_rules>, scope: Text) -> nvtopo_status {
    change(rules, |rules| {
        rules.scope = scope.read("scope")?.parse()?;
        Ok(())
    })
}

/// Only these CPUs are dealt out. The set is copied.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rules_allow_cpus(
    rules: Option<&mut nvtopo_rules>,
    cpus: Option<&nvtopo_cpuset>,
) -> nvtopo_status {
    change(rules, |rules| {
        rules.rules.limits.allowed = Some(given(cpus, "cpus")?.set.clone());
        Ok(())
    })
}

/// These CPUs are kept for others. The set is copied.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_rules_reserve_cpus(
    rules: Option<&mut nvtopo_rules>,
    cpus: Option<&nvtopo_cpuset>,
) -> nvtopo_status {
    change(rules, |rules| {
        rules.rules.limits.reserved = given(cpus, "cpus")?.set.clone();
        Ok(())
    })
}

fn change(
    rules: Option<&mut nvtopo_rules>,
    change: impl FnOnce(&mut nvtopo_rules) -> Result<(), Failure>,
) -> nvtopo_status {
    guard(|| change(given(rules, "rules")?))
}
