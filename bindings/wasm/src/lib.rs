//! The client in a browser: what JavaScript calls, and what it is told. Every function is one call of the brain (`client`),
//! and every type is one of its views in JavaScript's clothes; what is decided, is decided there.
//!
//! It runs in a dedicated worker ([`runtime::web`]). The types are written for TypeScript by `tsify`.
#![cfg(target_family = "wasm")]

mod content;
mod error;
mod event;
mod file;
mod manage;
mod person;
mod profile;
mod standing;
mod view;

pub use event::Event;
pub use profile::Profile;
