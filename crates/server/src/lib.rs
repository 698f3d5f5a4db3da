//! The `mifengd` process: it carries messages that it cannot read.
//!
//! A device's frame travels in three hops: [`gateway`] reads it and asks [`rules`] whether the caller may, `api` has a file
//! for each operation, and the [`store`] records. What was recorded goes out through the [`hub`].

pub mod admin;
mod api;
pub mod blobs;
pub mod clock;
pub mod command;
pub mod config;
pub mod files;
pub mod gateway;
pub mod groups;
pub mod hardening;
pub mod http;
pub mod hub;
pub mod jobs;
pub mod listen;
pub mod logging;
pub mod metrics;
pub mod node;
pub mod passphrase;
pub mod password;
pub mod process;
pub mod random;
pub mod rates;
pub mod restored;
pub mod tenants;
pub mod tls;
pub mod wakes;
pub mod web;

/// The root key's file in the data directory.
pub const ROOT_KEY_FILE: &str = "root.key";
/// The database's folder in the data directory.
pub const DATABASE_FOLDER: &str = "store";
/// The folder of the parts of blobs in the data directory, unless they lie elsewhere.
pub const BLOBS_FOLDER: &str = "blobs";
