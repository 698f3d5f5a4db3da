//! The client's brain: it decides, stores and encrypts; it owns no socket, no clock and no source of randomness.
//!
//! A shell (`runtime`) feeds a [`Client`] with what happens (`handle_*`) and carries out what it wants (`poll_*`). People's
//! wishes are commands (`send`, `start_direct`, `add_members`, …), which work offline too: they are durable when they return, and reach
//! the server when there is a connection.
//!
//! # Order of calls
//! 1. [`Client::open`], then [`Client::handle_timeout`] once, so that what expired meanwhile is gone; for a new profile
//!    [`Client::join`] or [`Client::link`].
//! 2. While [`Client::wants_connection`]: connect, then [`Client::handle_connected`]; every frame goes to
//!    [`Client::handle_frame`]; the end of the connection to [`Client::handle_disconnected`], always before the next one.
//!    When it no longer wants the connection, close it.
//! 3. After *every* call: write what [`Client::poll_transmit`] gives, hand [`Client::poll_event`] to the user interface,
//!    and set one timer to [`Client::poll_timeout`], which calls [`Client::handle_timeout`].
//!
//! # What is promised
//! Every call is one transaction of the local database: the message, the ratchet that sealed or opened it, the outbox and
//! the cursor become durable together or not at all, and nothing is transmitted before. When a call fails, what was in
//! memory is dropped and read again: it is never ahead of the disk. What is unanswered at the end of a connection is
//! derived anew from outbox and cursors, and repeated with the same idempotency keys.

mod archive;
mod client;
mod compose;
mod contacts;
pub mod content;
mod database;
mod departure;
mod devices;
mod enter;
mod error;
mod event;
mod expiry;
mod files;
mod group;
mod incoming;
mod key_packages;
mod link;
mod local;
mod login;
mod memory;
mod mention;
mod outcome;
mod outgoing;
mod page;
mod pump;
mod query;
mod receive;
mod renew;
mod repair;
mod restore;
mod session;
mod settings;
mod siblings;
mod start;
mod succession;
mod sweep;
mod turn;
mod typing;
mod verify;
mod welcome;

#[cfg(test)]
mod erasure;
#[cfg(test)]
mod poison;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod traces;

pub use client::Client;
pub use database::{ConversationState, Database, DatabaseError, LinePlace, MessageRow, MessageState};
pub use devices::DeviceView;
pub use e2ee::Suite;
pub use error::Error;
pub use event::Event;
pub use files::{FileState, FileView};
pub use group::{MemberView, Notice, Obstacle};
pub use link::LinkCode;
pub use page::{PageLine, Window};
pub use query::{AccountView, ContactView, ConversationView, Position, Standing, Status};
pub use settings::Settings;
pub use trust::{ChainError, DeviceState};
pub use vault::{DatabaseKey, Entropy, FILE_PART_BYTES, UnsealError};
pub use verify::Verification;
