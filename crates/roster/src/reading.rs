//! How a commit, a leaf and a group context are read. Shared with `e2ee`; the types of OpenMLS stay behind the two.

mod commit;
mod context;
mod leaf;
mod succession;

pub use commit::{CommitReading, Strictness, admit, judge, read};
pub use context::{Suite, capabilities, extensions, group_id, leaf_is_plain, policy};
pub use leaf::{LeafView, credential, device_key, identity, leaf, members};
pub use succession::judge_succession;

use crate::Refused;
use openmls::prelude::{MlsMessageBodyIn, MlsMessageIn};
use tls_codec::DeserializeBytes;

/// Reads exactly one `MLSMessage` (RFC 9420 §6).
///
/// # Errors
/// [`Refused::Malformed`].
pub fn message(bytes: &[u8]) -> Result<MlsMessageBodyIn, Refused> {
    MlsMessageIn::tls_deserialize_exact_bytes(bytes).map(MlsMessageIn::extract).map_err(|_| Refused::Malformed)
}
