//! The client's thin shell: it carries out what the brain (`client`) wants, and decides nothing.
//!
//! Sockets, TLS, timers, the operating system's randomness and its clock are here and nowhere else in the client.

mod connect;
mod shell;
mod system;
mod verify;

pub use connect::{ConnectError, Server};
pub use shell::{Next, Shell, ShellError};
pub use system::{OsEntropy, now};
