//! What a process that holds keys asks of the kernel: no core dumps, no other process of the same user in its memory.

use std::io;

/// Forbids core dumps, and with them attaching and reading `/proc/PID/mem` for all but root.
///
/// # Errors
/// What the system says.
pub fn forbid_core_dumps() -> io::Result<()> {
    kernel::no_core_limit()?;
    kernel::not_dumpable()
}

#[expect(
    unsafe_code,
    reason = "two system calls that the standard library does not have; they take no pointers of ours but one"
)]
mod kernel {
    use std::io;

    pub(super) fn no_core_limit() -> io::Result<()> {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the pointer is to a live, initialised struct of the type that the call reads.
        outcome(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) })
    }

    pub(super) fn not_dumpable() -> io::Result<()> {
        // SAFETY: this option takes a number and no pointer.
        outcome(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
    }

    fn outcome(code: libc::c_int) -> io::Result<()> {
        if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
