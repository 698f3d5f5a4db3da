//! Users and their device chains.

use crate::UserId;
use minicbor::{Decode, Encode};

/// An entry of a device chain: the bytes that were signed, and the signatures (`docs/decisions/0004-identities.md`).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SignedEntry {
    /// The encoded entry, exactly as signed.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
    /// By the account key, or for a closing entry by the tenant authority.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub signature: [u8; 64],
    /// By the device key that the entry introduces, if it introduces one.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub possession: Option<[u8; 64]>,
}

/// Looks a user up by handle.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FindUser {
    /// The handle; any spelling that normalises to it.
    #[n(0)]
    pub handle: String,
}

/// The user and the whole chain.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FoundUser {
    /// Who.
    #[n(0)]
    pub user: UserId,
    /// The handle as it is written.
    #[n(1)]
    pub handle: String,
    /// Entries from the first.
    #[n(2)]
    pub entries: Vec<SignedEntry>,
}

/// Fetches a user's chain from a place on. Only for users with whom the caller shares a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FetchChain {
    /// Whose.
    #[n(0)]
    pub user: UserId,
    /// Skip so many entries.
    #[n(1)]
    pub skip: u32,
}

/// The rest of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Chain {
    /// The handle as it is written.
    #[n(0)]
    pub handle: String,
    /// Entries after those skipped.
    #[n(1)]
    pub entries: Vec<SignedEntry>,
}
