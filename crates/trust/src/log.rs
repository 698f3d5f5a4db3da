//! The conversation log's hash chain, and what every message authenticates (`docs/decisions/0005-…`).

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use wire::{ConversationId, Entry, EntryKind, MessageId, TenantId};

/// The hash of a log entry and of all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryHash(pub [u8; 32]);

impl EntryHash {
    /// The hash before the first entry.
    pub const GENESIS: Self = Self([0; 32]);

    /// The hash after `entry`, which follows the entry that `self` is the hash of.
    #[must_use]
    pub fn then(&self, tenant: TenantId, conversation: ConversationId, entry: &Entry) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"mifeng/v1 log entry\0");
        hash.update(tenant.as_bytes());
        hash.update(conversation.as_bytes());
        hash.update(entry.generation.to_be_bytes());
        hash.update(entry.seq.to_be_bytes());
        hash.update([kind_number(entry.kind)]);
        hash.update(entry.epoch.to_be_bytes());
        hash.update(entry.sender.as_bytes());
        hash.update(entry.message_id.as_bytes());
        hash.update(Sha256::digest(&entry.payload));
        hash.update(self.0);
        Self(hash.finalize().into())
    }
}

const fn kind_number(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::Application => 0,
        EntryKind::Commit => 1,
        EntryKind::Proposal => 2,
        EntryKind::Succession => 3,
    }
}

/// The authenticated data of every application message and commit. The server sees it; MLS authenticates it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Aad {
    /// 1.
    #[n(0)]
    pub version: u8,
    /// The message's id; its author is the MLS leaf.
    #[n(1)]
    pub message_id: MessageId,
    /// HMAC-SHA-256 over the plaintext under a key inside the plaintext; zeros on a commit.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub commitment: [u8; 32],
    /// The last entry that the sender had processed.
    #[n(3)]
    pub seen_seq: u64,
    /// That entry's hash.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub seen_hash: [u8; 32],
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::DeviceId;

    fn entry(seq: u64) -> Entry {
        Entry {
            seq,
            kind: EntryKind::Application,
            epoch: 3,
            sender: DeviceId::from_bytes([4; 16]),
            message_id: MessageId::from_bytes([5; 16]),
            at: 6,
            payload: b"sealed".to_vec(),
            generation: 0,
        }
    }

    fn hash(entry: &Entry) -> EntryHash {
        EntryHash::GENESIS.then(TenantId::from_bytes([1; 16]), ConversationId::from_bytes([2; 16]), entry)
    }

    #[test]
    fn the_hash_is_pinned() {
        let hex: String = hash(&entry(1)).0.iter().map(|byte| format!("{byte:02x}")).collect();
        insta::assert_snapshot!(hex);
    }

    #[test]
    fn every_field_but_the_clock_counts() {
        let whole = hash(&entry(1));
        let changed = [
            Entry { seq: 2, ..entry(1) },
            Entry { kind: EntryKind::Commit, ..entry(1) },
            Entry { epoch: 4, ..entry(1) },
            Entry { sender: DeviceId::from_bytes([9; 16]), ..entry(1) },
            Entry { message_id: MessageId::from_bytes([9; 16]), ..entry(1) },
            Entry { payload: b"other".to_vec(), ..entry(1) },
            Entry { generation: 1, ..entry(1) },
        ];
        assert!(changed.iter().all(|entry| hash(entry) != whole));
        assert_eq!(hash(&Entry { at: 7, ..entry(1) }), whole);
    }
}
