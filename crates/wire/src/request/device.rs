//! Devices of a user: linking one, revoking one, and learning that somebody's devices have changed
//! (`docs/decisions/0010-devices.md`).

use super::SignedEntry;
use crate::{ConversationId, UserId};
use minicbor::{Decode, Encode, bytes::ByteArray};

/// What a link offer is found by: derived from the code's secret, which the server never learns.
pub type LinkLookup = ByteArray<32>;

/// A person asks for their own device chain, to prepare the entry that would add a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FetchOwnChain {}

/// The person's chain.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OwnChain {
    /// The handle as it is written.
    #[n(0)]
    pub handle: String,
    /// Entries from the first.
    #[n(1)]
    pub entries: Vec<SignedEntry>,
}

/// Leaves what a new device has to say to the person's other devices. It takes the place of an earlier one of the same
/// lookup id that was not answered.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OfferLink {
    /// What it is found by.
    #[n(0)]
    pub lookup: LinkLookup,
    /// Sealed by the new device.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub offer: Vec<u8>,
}

/// Asks whether another device has answered an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CollectLink {
    /// Which offer.
    #[n(0)]
    pub lookup: LinkLookup,
}

/// How an offer stands.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CollectedLink {
    /// Sealed by the device that confirmed; absent until one has.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub answer: Option<Vec<u8>>,
    /// The length of the person's chain.
    #[n(1)]
    pub chain_len: u32,
}

/// Fetches the offer of a device that wants to be linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FetchOffer {
    /// Which.
    #[n(0)]
    pub lookup: LinkLookup,
}

/// The offer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FetchedOffer {
    /// As the new device sealed it.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub offer: Vec<u8>,
}

/// Links the device: the chain grows by it, and what it needs waits for it. Both or neither. A repeat changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AnswerLink {
    /// Which offer.
    #[n(0)]
    pub lookup: LinkLookup,
    /// The chain's next entry, `Add`.
    #[n(1)]
    pub entry: SignedEntry,
    /// Sealed for the new device.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub answer: Vec<u8>,
}

/// Revokes one of the caller's user's devices. A repeat changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RevokeDevice {
    /// The chain's next entry, `Revoke`.
    #[n(0)]
    pub entry: SignedEntry,
}

/// Asks whose device chains have grown, among those with whom the caller shares a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FetchChainChanges {
    /// Since this mark; 0 for the first time.
    #[n(0)]
    pub after: u64,
}

/// Whose chains have grown.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ChainChanges {
    /// Whose, each once.
    #[n(0)]
    pub users: Vec<UserId>,
    /// The mark to ask after the next time.
    #[n(1)]
    pub mark: u64,
    /// There are more: ask again at once.
    #[n(2)]
    pub more: bool,
}

/// Asks in which conversations another device of the caller's user has a leaf and the caller has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FetchJoinable {}

/// The conversations that the device may join from outside.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Joinable {
    /// At most [`crate::limits::JOINABLE_MAX`]; the rest when these were joined.
    #[n(0)]
    pub conversations: Vec<ConversationId>,
}

/// Asks where the device's own part of a log begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FetchStay {
    /// Where.
    #[n(0)]
    pub conversation: ConversationId,
}

/// Where the device's log begins: after the commit that let it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Stay {
    /// The sequence number of the commit.
    #[n(0)]
    pub seq: u64,
    /// The generation of the log.
    #[n(1)]
    pub generation: u32,
    /// `EntryHash(seq)`, to be confirmed by the first message of a member.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub entry_hash: [u8; 32],
}
