//! The client's thin shell: it carries out what the brain (`client`) wants, and decides nothing.
//!
//! Sockets, TLS, timers, the operating system's randomness and its clock are here and nowhere else in the client. In a
//! browser the shell is another one ([`web`]), because there everything is an event.

#[cfg(not(target_family = "wasm"))]
mod connect;
#[cfg(not(target_family = "wasm"))]
mod shell;
mod system;
#[cfg(not(target_family = "wasm"))]
mod verify;
#[cfg(target_family = "wasm")]
pub mod web;

#[cfg(not(target_family = "wasm"))]
pub use connect::{ConnectError, Server};
#[cfg(not(target_family = "wasm"))]
pub use shell::{Next, Shell, ShellError};
pub use system::{OsEntropy, now};
