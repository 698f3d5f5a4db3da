//! Proposals that travel on their own.

use crate::{ConversationId, MessageId};
use minicbor::{Decode, Encode};

/// Says that the sender's own leaf leaves (SelfRemove, draft-ietf-mls-extensions): any other member's next commit carries
/// it out. It counts in its epoch only.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Propose {
    /// Where.
    #[n(0)]
    pub conversation: ConversationId,
    /// The epoch in which it was made; must be the current one.
    #[n(1)]
    pub epoch: u64,
    /// Idempotency key, and the id in the authenticated data.
    #[n(2)]
    pub message_id: MessageId,
    /// `MLSMessage` holding a `PublicMessage` proposal.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
}
