//! The server's decisions, pure: who may, in what order, to whom, for how long. A file per subject.
//!
//! Nothing here reads a clock, a database or a socket: time and state are arguments, a verdict is the result. What a
//! verdict is made of is written down where it is made, and property-tested there.

pub mod admin;
pub mod admit;
pub mod archive;
pub mod attempts;
pub mod blob;
pub mod handle;
pub mod invite;
pub mod key_package;
pub mod link;
pub mod lookup;
pub mod rate;
pub mod retention;
pub mod route;
pub mod tenant;
