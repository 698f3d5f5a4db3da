//! Parameters and answers of every operation, a file per subject.

mod archive;
mod blob;
mod conversation;
mod device;
mod identity;
mod key_package;
mod propose;
mod restore;
mod session;

pub use archive::*;
pub use blob::*;
pub use conversation::*;
pub use device::*;
pub use identity::*;
pub use key_package::*;
pub use propose::*;
pub use restore::*;
pub use session::*;

use minicbor::{Decode, Encode};

/// An answer that says only that it was done, durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Done {}
