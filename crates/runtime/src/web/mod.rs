//! The shell in a browser. It lives in a dedicated worker, because only there files can be written and flushed without
//! waiting for a promise, which one transaction at a time needs.

mod shell;
mod socket;
mod storage;
mod timer;

pub use shell::{Listener, Shell};
pub use storage::{StorageError, open_database};
