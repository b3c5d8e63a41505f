//! Binding as a real process does it. One test at a time: all of them move the threads of this process.
#![cfg(target_os = "linux")]

use nvtopo::MemoryPolicy;
use nvtopo::apply::{
    BindOptions, Scope, Threads, Trust, allowed_cpus, bind, bind_scoped, current_cpus, plan_here,
    scope_remark, widest_cpus,
};
use nvtopo::{CpuLimits, CpuRules, CpuSet, ErrorKind, NodeSet, Part, Topology};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard};
use std::thread::JoinHandle;

static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Threads that a library has started before, such as those of OpenMP; each tells its CPUs when asked.
struct Pool {
    ask: Vec<Sender<()>>,
    told: Receiver<CpuSet>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    fn start(count: usize) -> Self {
        let (tell, told) = channel();
        let mut pool = Self { ask: Vec::new(), told, threads: Vec::new() };
        for _ in 0..count {
            let (ask, asked) = channel();
            let tell = tell.clone();
            pool.ask.push(ask);
            pool.threads.push(std::thread::spawn(move || {
                while asked.recv().is_ok() {
                    tell.send(current_cpus().unwrap()).unwrap();
                }
            }));
        }
        pool
    }

    fn cpus(&self) -> Vec<CpuSet> {
        self.ask.iter().for_each(|ask| ask.send(()).unwrap());
        self.ask.iter().map(|_| self.told.recv().unwrap()).collect()
    }

    fn end(self) {
        drop(self.ask);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

fn machine() -> Topology {
    Topology::discover().unwrap()
}

fn first_cpu() -> CpuSet {
    current_cpus().unwrap().iter().take(1).collect()
}

fn part(cpus: CpuSet) -> Part {
    Part { cpus, ..Part::default() }
}

#[test]
fn mistake_8_only_one_thread_of_the_process_is_bound() {
    let _alone = alone();
    let before = current_cpus().unwrap();
    let pool = Pool::start(4);
    let guard = bind_scoped(&machine(), &part(first_cpu()), BindOptions::default()).unwrap();
    let wanted = guard.bound().after.clone();
    assert_eq!((wanted.len(), guard.bound().before.clone()), (1, before.clone()));
    assert!(pool.cpus().iter().all(|cpus| *cpus == wanted), "{:?}", pool.cpus());
    // On a machine of one CPU there is nothing to move.
    assert!(guard.bound().threads >= if before.len() > 1 { 5 } else { 1 }, "{:?}", guard.bound());
    guard.restore().unwrap();
    assert!(pool.cpus().iter().all(|cpus| *cpus == before), "{:?}", pool.cpus());
    assert_eq!(current_cpus().unwrap(), before);
    pool.end();
}

#[test]
fn a_guard_sends_each_thread_back_to_where_it_was() {
    let _alone = alone();
    let before = current_cpus().unwrap();
    let last: CpuSet = before.iter().last().into_iter().collect();
    let (ready, is_ready) = channel();
    let (done, is_done) = channel::<()>();
    let (tell, told) = channel();
    let own = last.clone();
    let thread = std::thread::spawn(move || {
        let options = BindOptions::default().with_memory(None).with_threads(Threads::Calling);
        bind(&machine(), &Part { cpus: own.clone(), ..Part::default() }, options).unwrap();
        ready.send(()).unwrap();
        is_done.recv().unwrap();
        tell.send(current_cpus().unwrap()).unwrap();
    });
    is_ready.recv().unwrap();
    {
        let _guard = bind_scoped(&machine(), &part(first_cpu()), BindOptions::default()).unwrap();
        assert_eq!(current_cpus().unwrap().len(), 1);
    }
    assert_eq!(current_cpus().unwrap(), before, "dropping undoes it");
    done.send(()).unwrap();
    assert_eq!(told.recv().unwrap(), last, "a thread that had its own place has it again");
    thread.join().unwrap();
}

#[test]
fn the_calling_thread_alone_is_bound_on_request() {
    let _alone = alone();
    let before = current_cpus().unwrap();
    let pool = Pool::start(1);
    let options = BindOptions::default().with_threads(Threads::Calling);
    let guard = bind_scoped(&machine(), &part(first_cpu()), options).unwrap();
    assert_eq!(pool.cpus(), [before]);
    assert_eq!(guard.bound().threads, 1);
    drop(guard);
    pool.end();
}

#[test]
fn mistake_5_a_soft_mask_is_taken_for_a_hard_one() {
    let _alone = alone();
    let before = current_cpus().unwrap();
    // As Open MPI does to two ranks: one core each.
    let first = first_cpu();
    let guard = bind_scoped(&machine(), &part(first.clone()), BindOptions::default()).unwrap();
    let (soft, hard) = (current_cpus().unwrap(), widest_cpus().unwrap());
    assert_eq!(current_cpus().unwrap(), soft, "asking changes nothing");
    assert!(before.is_subset(&hard), "{before} is allowed, and {hard} was found");
    assert_eq!(soft, first, "the soft mask is what was set");
    // The hard one is what the process had before at least, so a remark tells of both where it had more than one CPU.
    assert_eq!(
        (allowed_cpus(Scope::Affinity).unwrap(), allowed_cpus(Scope::Cpuset).unwrap()),
        (soft.clone(), hard.clone())
    );
    let remark = scope_remark(&soft, &hard);
    if before.len() > 1 {
        assert!(hard.len() > 1, "{hard}");
        let remark = remark.expect("bound more narrowly than it must be");
        assert!(remark.contains(&format!("bound to CPUs {soft} of {hard}")), "{remark}");
    } else {
        assert_eq!(remark.is_some(), hard.len() > 1, "{remark:?}");
    }
    drop(guard);
    assert_eq!(current_cpus().unwrap(), before, "and is given back");
}

#[test]
fn mistake_10_a_refused_memory_policy_ends_the_process() {
    let _alone = alone();
    let nowhere: NodeSet = "1023".parse().unwrap();
    for policy in [MemoryPolicy::Preferred, MemoryPolicy::Bind, MemoryPolicy::Interleave] {
        let options = BindOptions::default().with_memory(Some(policy));
        let done = bind(&machine(), &Part { mems: nowhere.clone(), ..Part::default() }, options).unwrap();
        assert_eq!((done.memory, &done.mems), (None, &None), "{done:?}");
        assert!(done.warnings[0].contains(policy.word()), "{:?}", done.warnings);
    }
    assert_eq!(BindOptions::default().memory, Some(MemoryPolicy::Preferred), "never a hard limit unasked");
}

#[test]
fn memory_policies_are_set_told_and_set_back() {
    let _alone = alone();
    let topology = machine();
    let here: NodeSet = topology.numa_nodes().map(|numa| numa.os_index).take(1).collect();
    for policy in MemoryPolicy::ALL {
        let part = Part { cpus: current_cpus().unwrap(), mems: here.clone(), ..Part::default() };
        let options = BindOptions::default().with_memory(Some(policy));
        let guard = bind_scoped(&topology, &part, options).unwrap();
        // A sandbox refuses with a warning; what is not refused is in force.
        if guard.bound().memory.is_none() {
            assert!(!guard.bound().warnings.is_empty() || here.is_empty(), "{:?}", guard.bound());
            continue;
        }
        let options = BindOptions::default().with_memory(None);
        let now = bind(&topology, &Part::default(), options).unwrap().memory_before.unwrap();
        assert_eq!(now.policy, Some(policy));
        guard.restore().unwrap();
        let again = bind(&topology, &Part::default(), options).unwrap();
        assert_eq!(again.memory_before, None);
    }
}

#[test]
fn what_the_kernel_refuses_is_an_error_and_changes_nothing() {
    let _alone = alone();
    let before = current_cpus().unwrap();
    let error = bind_scoped(&machine(), &part("65000".parse().unwrap()), BindOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let preset = Topology::preset("dgx-h100").unwrap();
    let error = bind_scoped(&preset, &part(first_cpu()), BindOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongMachine);
    assert_eq!(current_cpus().unwrap(), before);
    let trusted = BindOptions::default().with_trust(Trust::Unknown);
    assert!(bind_scoped(&preset, &part(before), trusted).is_ok());
}

#[test]
fn a_thread_that_moved_itself_in_between_stays_there() {
    let _alone = alone();
    let before = current_cpus().unwrap();
    if before.len() < 2 {
        return;
    }
    let last: CpuSet = before.iter().last().into_iter().collect();
    let (go, may_go) = channel::<()>();
    let (tell, told) = channel();
    let own = last.clone();
    let thread = std::thread::spawn(move || {
        may_go.recv().unwrap();
        let options = BindOptions::default().with_memory(None).with_threads(Threads::Calling);
        bind(&machine(), &Part { cpus: own.clone(), ..Part::default() }, options).unwrap();
        tell.send(current_cpus().unwrap()).unwrap();
        may_go.recv().unwrap();
        tell.send(current_cpus().unwrap()).unwrap();
    });
    let pool = Pool::start(1);
    let guard = bind_scoped(&machine(), &part(first_cpu()), BindOptions::default()).unwrap();
    go.send(()).unwrap();
    assert_eq!(told.recv().unwrap(), last);
    guard.restore().unwrap();
    go.send(()).unwrap();
    assert_eq!(told.recv().unwrap(), last, "it chose this after it was bound");
    assert_eq!(pool.cpus(), [before], "another one is sent back");
    thread.join().unwrap();
    pool.end();
}

#[test]
fn the_gpus_of_a_part_are_told_by_their_indices() {
    let _alone = alone();
    let text = "\tGPU1\tGPU3\tGPU6\nGPU1\t X \tNV4\tNV4\nGPU3\tNV4\t X \tNV4\nGPU6\tNV4\tNV4\t X \n";
    let topology = Topology::parse("topo.txt", text.as_bytes()).unwrap();
    let own = Part { gpus: vec![2, 1], remarks: vec!["said".to_owned()], ..Part::default() };
    let options = BindOptions::default().with_memory(None).with_trust(Trust::Unknown);
    let done = bind(&topology, &own, options).unwrap();
    assert_eq!((done.gpus, done.remarks), (vec![3, 6], vec!["said".to_owned()]));
}

#[test]
fn a_plan_for_this_machine_keeps_to_the_cpus_that_it_was_given() {
    let _alone = alone();
    let (live, own) = (machine(), first_cpu());
    let plan = |topology: &Topology, allowed: Option<CpuSet>| {
        let limits = CpuLimits { allowed, ..CpuLimits::default() };
        let rules = CpuRules { limits, ..CpuRules::default() };
        plan_here(topology, None, rules, Scope::Affinity, None, &|_| None).unwrap().rules.limits.allowed
    };
    assert_eq!(plan(&live, Some(own.clone())), Some(own.clone()));
    assert_eq!(plan(&live, None), Some(current_cpus().unwrap()));
    // What this process may use says nothing of another machine.
    let preset = Topology::preset("dgx-h100").unwrap();
    assert_eq!((plan(&preset, None), plan(&preset, Some(own.clone()))), (None, Some(own)));
}
