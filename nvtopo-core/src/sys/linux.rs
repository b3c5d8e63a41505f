//! The Linux scheduler. Raw calls, since the C library's `cpu_set_t` ends at 1024 CPUs.
#![allow(unsafe_code)]

use super::{WORD_BITS, bits};
use crate::cpuset::CpuSet;
use std::io::{Error, Result};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Words for 65536 CPUs; the kernel refuses buffers that are smaller than its own set.
const WORDS: usize = 1024;

/// Returns the CPUs on which a thread may run; 0 is the calling thread.
pub(crate) fn affinity(thread: i32) -> Result<CpuSet> {
    let mut words: [libc::c_ulong; WORDS] = [0; WORDS];
    // SAFETY: the kernel writes at most the given number of bytes, which is the size of `words`.
    let written = unsafe {
        libc::syscall(libc::SYS_sched_getaffinity, thread, size_of_val(&words), words.as_mut_ptr())
    };
    let written = usize::try_from(written).map_err(|_| Error::last_os_error())?;
    Ok(bits(&words[..words.len().min(written / size_of::<libc::c_ulong>())]).collect())
}

/// Lets a thread run on these CPUs only; 0 is the calling thread.
pub(crate) fn set_affinity(thread: i32, cpus: &CpuSet) -> Result<()> {
    let words = words(cpus.iter());
    // SAFETY: the kernel reads the given number of bytes, which is the size of `words`.
    let status = unsafe {
        libc::syscall(libc::SYS_sched_setaffinity, thread, size_of_val(words.as_slice()), words.as_ptr())
    };
    if status == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

/// Lets the kernel kill the command when the thread that starts it ends, however that comes about.
pub(crate) fn end_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let ask = move || {
        // SAFETY: PR_SET_PDEATHSIG takes a signal's number by value; both calls touch no memory of this process.
        let (status, found) =
            unsafe { (libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL), libc::getppid()) };
        if status != 0 {
            return Err(Error::last_os_error());
        }
        // A parent that ended before the kernel was asked.
        if found.cast_unsigned() == parent { Ok(()) } else { Err(Error::from_raw_os_error(libc::ESRCH)) }
    };
    // SAFETY: between fork and exec the closure makes two system calls and builds errors without allocating.
    unsafe { command.pre_exec(ask) };
}

/// Returns the threads of this process.
pub(crate) fn threads() -> Result<Vec<i32>> {
    let mut threads = Vec::new();
    for entry in std::fs::read_dir("/proc/self/task")? {
        threads.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(threads)
}

pub(super) fn words(bits: impl Iterator<Item = u32>) -> Vec<libc::c_ulong> {
    let mut words = vec![0; 1];
    for bit in bits {
        let word = bit as usize / WORD_BITS;
        if word >= words.len() {
            words.resize(word + 1, 0);
        }
        words[word] |= 1 << (bit as usize % WORD_BITS);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_bound_and_says_so() {
        let before = affinity(0).unwrap();
        let first: CpuSet = before.iter().take(1).collect();
        std::thread::spawn(move || {
            set_affinity(0, &first).unwrap();
            assert_eq!(affinity(0).unwrap(), first);
        })
        .join()
        .unwrap();
        assert_eq!(affinity(0).unwrap(), before);
    }

    #[test]
    fn an_impossible_set_is_an_error() {
        assert!(set_affinity(0, &CpuSet::new()).is_err());
        assert!(set_affinity(0, &CpuSet::from_iter([65_535])).is_err());
    }

    #[test]
    fn a_command_ends_with_the_thread_that_started_it() {
        let start = || {
            let mut command = Command::new("sleep");
            end_with_parent(command.arg("60"));
            command.spawn().unwrap()
        };
        let mut child = std::thread::spawn(start).join().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));
    }

    #[test]
    fn this_thread_is_among_the_threads() {
        assert!(threads().unwrap().contains(&(std::process::id().cast_signed())));
    }
}
