//! The database: one `Tx`, one file per entity, migrations.
//!
//! A [`Database`] owns a directory. Everything of a tenant goes through its [`Store`], whose closures receive a [`Tx`] that
//! is bound to that tenant: no query can name another. Tenants themselves are made and deleted through [`Operator`].
//!
//! Writes are closures that wait for the one writer thread. It takes all that wait, runs them in one transaction, commits
//! once (one fsync) and only then answers: what was answered is on the disk. See [`writer`] for what a failure does.
//!
//! What is sealed, blind-indexed or public is declared column by column in [`schema`].

mod database;
mod door;
pub mod entity;
mod error;
mod keys;
mod migration;
mod queue;
mod reader;
pub mod schema;
mod session;
mod sql;
mod sqlite;
pub mod writer;

pub use database::{Counters, Database, Health, Settings};
pub use door::{Operator, Store};
pub use entity::*;
pub use error::{Cause, Error, OpenError};
pub use session::{OperatorTx, Tx};
