//! The simulation: the real client brain against the real request path of the server, both with their real databases, in
//! one thread and in virtual time. One seed gives everything: who does what, what the network loses, who crashes when.
//!
//! A [`world::World`] is moved by [`decision::Decision`]s, one after the other, which a [`generator`] draws from the seed. The
//! [`oracle`] listens to what the server accepts and knows who should read it; at the end [`check`] compares that with what
//! the devices hold. MLS seeds itself, so that a run is replayed by its trace of decisions ([`trace`]), not byte for byte.
//!
//! `docs/simulation.md` says what is simulated and what is not.
//!
//! [`fuzz`] is for single inputs, not for schedules: everything that sees bytes from outside (`docs/security/fuzzing.md`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a simulation that cannot go on is itself a finding: it stops there, and its trace is kept"
)]

pub mod check;
pub mod decision;
pub mod device;
pub mod dice;
pub mod explore;
pub mod facts;
mod faults;
pub mod fuzz;
pub mod generator;
pub mod linking;
pub mod log;
pub mod malice;
mod memory;
pub mod oracle;
pub mod people;
pub mod server;
pub mod settle;
pub mod tally;
pub mod template;
pub mod trace;
pub mod world;
