//! The memory policy of the calling thread on Linux.
#![allow(unsafe_code)]

use super::linux::words;
use super::{WORD_BITS, bits};
use crate::cpuset::NodeSet;
use std::io::{Error, Result};

/// The number of machine words for 8192 nodes; the kernel needs room for its own set, and refuses more than a page.
const MASK_WORDS: usize = 128;

/// Returns the mode, with its flags, and the nodes of the calling thread's policy.
pub(crate) fn memory_policy() -> Result<(i32, NodeSet)> {
    let mut mode: libc::c_int = 0;
    let mut mask: [libc::c_ulong; MASK_WORDS] = [0; MASK_WORDS];
    // SAFETY: the kernel writes one `int` and at most the given number of bits, which `mask` holds.
    let status = unsafe {
        libc::syscall(
            libc::SYS_get_mempolicy,
            &raw mut mode,
            mask.as_mut_ptr(),
            MASK_WORDS * WORD_BITS,
            std::ptr::null_mut::<libc::c_void>(),
            0,
        )
    };
    if status != 0 {
        return Err(Error::last_os_error());
    }
    Ok((mode, bits(&mask).collect()))
}

/// Gives the calling thread, and what it starts, a policy.
pub(crate) fn set_memory_policy(mode: i32, nodes: &NodeSet) -> Result<()> {
    let words = words(nodes.iter());
    // The kernel reads one bit less than the number given. Modes without nodes take none.
    let (mask, bits) =
        if nodes.is_empty() { (std::ptr::null(), 0) } else { (words.as_ptr(), words.len() * WORD_BITS + 1) };
    // SAFETY: the kernel reads the bits of `words`, or nothing where the pointer is null; the count is one more than
    // there are, as it expects.
    let status = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) };
    if status == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{MPOL_BIND, MPOL_INTERLEAVE, MPOL_PREFERRED};

    #[test]
    fn a_policy_is_set_read_and_set_back() {
        // A sandbox may refuse; what is not refused must hold.
        std::thread::spawn(|| {
            let Ok(before) = memory_policy() else { return };
            let node = NodeSet::from_iter([0]);
            if set_memory_policy(MPOL_PREFERRED, &node).is_ok() {
                assert_eq!(memory_policy().unwrap(), (MPOL_PREFERRED, node));
                set_memory_policy(before.0, &before.1).unwrap();
                assert_eq!(memory_policy().unwrap(), before);
            }
        })
        .join()
        .unwrap();
    }

    #[test]
    fn nodes_that_there_are_not_are_refused() {
        assert!(set_memory_policy(MPOL_BIND, &NodeSet::from_iter([8000])).is_err());
        assert!(set_memory_policy(MPOL_INTERLEAVE, &NodeSet::new()).is_err());
    }
}
