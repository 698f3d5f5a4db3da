//! What a process that holds keys and connections asks of the kernel: no core dumps, no other process of the same user in
//! its memory, as many files as it may have.

use std::io;

/// Forbids core dumps, and with them attaching and reading `/proc/PID/mem` for all but root.
///
/// # Errors
/// What the system says.
pub fn forbid_core_dumps() -> io::Result<()> {
    kernel::no_core_limit()?;
    kernel::not_dumpable()
}

/// Raises the number of files that may be open to what the system allows, and says how many that is.
///
/// # Errors
/// What the system says.
pub fn raise_open_files() -> io::Result<u64> {
    kernel::raise_open_files()
}

#[expect(
    unsafe_code,
    reason = "system calls that the standard library does not have; their pointers are to one struct on the stack"
)]
mod kernel {
    use std::io;

    pub(super) fn no_core_limit() -> io::Result<()> {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the pointer is to a live, initialised struct of the type that the call reads.
        outcome(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) })
    }

    pub(super) fn raise_open_files() -> io::Result<u64> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the pointer is to a live, initialised struct of the type that the call writes.
        outcome(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the pointer is to a live, initialised struct of the type that the call reads.
        outcome(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
        Ok(limit.rlim_cur)
    }

    pub(super) fn not_dumpable() -> io::Result<()> {
        // SAFETY: this option takes a number and no pointer.
        outcome(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
    }

    fn outcome(code: libc::c_int) -> io::Result<()> {
        if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
