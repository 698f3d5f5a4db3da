//! The database: one `Tx`, one file per entity, migrations.
//!
//! A [`Database`] is an SQLite file in a directory of its own, or a PostgreSQL database ([`Location`]); what is done to it is
//! said once, in one SQL text for both. Everything of a tenant goes through its [`Store`], whose closures receive a [`Tx`] that
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
mod link;
mod migration;
mod postgres;
mod queue;
mod reader;
pub mod schema;
mod scope;
mod session;
mod sql;
mod sqlite;
pub mod writer;

pub use database::{Counters, Database, Health, Location, Settings};
pub use door::{Operator, Store};
pub use entity::*;
pub use error::{Cause, Error, OpenError};
pub use postgres::{Login, Postgres};
pub use session::{OperatorTx, Tx};
