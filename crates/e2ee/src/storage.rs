//! OpenMLS's storage over [`Entries`] and a [`WriteSet`]: reads see the write set first, writes go only there.
//!
//! A key is a label, a zero byte, and the encoded key or keys of OpenMLS. Secrets of signatures and pre-shared keys are
//! never stored: the device key stays in the vault, and our groups have no PSKs.

use crate::codec;
use crate::entries::{Entries, StorageFailure, WriteSet};
use openmls_traits::storage::{CURRENT_VERSION as V, StorageProvider, traits};
use serde::{Serialize, de::DeserializeOwned};
use std::cell::RefCell;

type Result<T> = std::result::Result<T, Failed>;

pub(crate) struct Storage<'a> {
    entries: &'a dyn Entries,
    writes: RefCell<WriteSet>,
    failure: RefCell<Option<StorageFailure>>,
}

/// What OpenMLS is told. Not every path of it hands an error of the storage on as such, hence what happened is kept in the
/// [`Storage`] and asked for at the end of the operation.
#[derive(Debug, thiserror::Error)]
#[error("the stored group state failed")]
pub(crate) struct Failed;

impl<'a> Storage<'a> {
    pub(crate) fn new(entries: &'a dyn Entries) -> Self {
        Self { entries, writes: RefCell::default(), failure: RefCell::default() }
    }

    /// What the operation wrote, unless the storage failed in it.
    pub(crate) fn finish(self) -> std::result::Result<WriteSet, StorageFailure> {
        self.failure.into_inner().map_or_else(|| Ok(self.writes.into_inner()), Err)
    }

    fn put<T: Serialize + ?Sized>(&self, key: Vec<u8>, value: &T) -> Result<()> {
        let value = self.kept(codec::encode(value))?;
        self.writes.borrow_mut().put(key, value);
        Ok(())
    }

    fn read<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>> {
        self.kept(self.try_read(key))
    }

    fn try_read<T: DeserializeOwned>(&self, key: &[u8]) -> std::result::Result<Option<T>, StorageFailure> {
        if let Some(written) = self.writes.borrow().value(key) {
            return written.map(|value| codec::decode(value)).transpose();
        }
        self.entries.entry(key)?.map(|value| codec::decode(&value)).transpose()
    }

    fn kept<T>(&self, result: std::result::Result<T, StorageFailure>) -> Result<T> {
        result.map_err(|failure| {
            self.failure.borrow_mut().get_or_insert(failure);
            Failed
        })
    }

    fn list<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Vec<T>> {
        Ok(self.read(key)?.unwrap_or_default())
    }

    fn delete(&self, key: Vec<u8>) -> Result<()> {
        self.writes.borrow_mut().delete(key);
        Ok(())
    }
}

fn key(label: &str, parts: &[&dyn Part]) -> Result<Vec<u8>> {
    let mut key = Vec::with_capacity(64);
    key.extend_from_slice(label.as_bytes());
    key.push(0);
    parts.iter().try_for_each(|part| part.append(&mut key))?;
    Ok(key)
}

/// A part of a key. CBOR delimits itself, so that no two lists of parts are the same bytes.
trait Part {
    fn append(&self, key: &mut Vec<u8>) -> Result<()>;
}

impl<T: Serialize> Part for T {
    fn append(&self, key: &mut Vec<u8>) -> Result<()> {
        key.extend_from_slice(&codec::encode(self).map_err(|_| Failed)?);
        Ok(())
    }
}

/// One value per group: written, read, deleted.
macro_rules! values {
    ($($label:literal: $write:ident $read:ident $delete:ident $entity:ident;)*) => { $(
        fn $write<G: traits::GroupId<V>, T: traits::$entity<V>>(&self, group: &G, value: &T) -> Result<()> {
            self.put(key($label, &[group])?, value)
        }
        fn $read<G: traits::GroupId<V>, T: traits::$entity<V>>(&self, group: &G) -> Result<Option<T>> {
            self.read(&key($label, &[group])?)
        }
        fn $delete<G: traits::GroupId<V>>(&self, group: &G) -> Result<()> {
            self.delete(key($label, &[group])?)
        }
    )* };
}

impl StorageProvider<V> for Storage<'_> {
    type Error = Failed;

    values! {
        "config": write_mls_join_config mls_group_join_config delete_group_config MlsGroupJoinConfig;
        "tree": write_tree tree delete_tree TreeSync;
        "interim": write_interim_transcript_hash interim_transcript_hash delete_interim_transcript_hash InterimTranscriptHash;
        "context": write_context group_context delete_context GroupContext;
        "confirmation": write_confirmation_tag confirmation_tag delete_confirmation_tag ConfirmationTag;
        "messages": write_message_secrets message_secrets delete_message_secrets MessageSecrets;
        "resumption": write_resumption_psk_store resumption_psk_store delete_all_resumption_psk_secrets ResumptionPskStore;
        "own index": write_own_leaf_index own_leaf_index delete_own_leaf_index LeafNodeIndex;
        "epoch": write_group_epoch_secrets group_epoch_secrets delete_group_epoch_secrets GroupEpochSecrets;
    }

    // Its type parameters stand the other way round.
    fn write_group_state<T: traits::GroupState<V>, G: traits::GroupId<V>>(&self, group: &G, state: &T) -> Result<()> {
        self.put(key("state", &[group])?, state)
    }
    fn group_state<T: traits::GroupState<V>, G: traits::GroupId<V>>(&self, group: &G) -> Result<Option<T>> {
        self.read(&key("state", &[group])?)
    }
    fn delete_group_state<G: traits::GroupId<V>>(&self, group: &G) -> Result<()> {
        self.delete(key("state", &[group])?)
    }

    fn write_encryption_key_pair<K: traits::EncryptionKey<V>, T: traits::HpkeKeyPair<V>>(
        &self,
        public: &K,
        pair: &T,
    ) -> Result<()> {
        self.put(key("leaf key", &[public])?, pair)
    }
    fn encryption_key_pair<T: traits::HpkeKeyPair<V>, K: traits::EncryptionKey<V>>(
        &self,
        public: &K,
    ) -> Result<Option<T>> {
        self.read(&key("leaf key", &[public])?)
    }
    fn delete_encryption_key_pair<K: traits::EncryptionKey<V>>(&self, public: &K) -> Result<()> {
        self.delete(key("leaf key", &[public])?)
    }

    fn write_key_package<K: traits::HashReference<V>, T: traits::KeyPackage<V>>(
        &self,
        id: &K,
        package: &T,
    ) -> Result<()> {
        self.put(key("key package", &[id])?, package)
    }
    fn key_package<K: traits::HashReference<V>, T: traits::KeyPackage<V>>(&self, id: &K) -> Result<Option<T>> {
        self.read(&key("key package", &[id])?)
    }
    fn delete_key_package<K: traits::HashReference<V>>(&self, id: &K) -> Result<()> {
        self.delete(key("key package", &[id])?)
    }

    fn write_encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>, K: traits::HpkeKeyPair<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
        pairs: &[K],
    ) -> Result<()> {
        self.put(key("path keys", &[group, epoch, &leaf])?, pairs)
    }
    fn encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>, K: traits::HpkeKeyPair<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
    ) -> Result<Vec<K>> {
        self.list(&key("path keys", &[group, epoch, &leaf])?)
    }
    fn delete_encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
    ) -> Result<()> {
        self.delete(key("path keys", &[group, epoch, &leaf])?)
    }

    fn append_own_leaf_node<G: traits::GroupId<V>, L: traits::LeafNode<V>>(&self, group: &G, node: &L) -> Result<()> {
        let key = key("own leaves", &[group])?;
        let mut nodes: Vec<serde_node::Node> = self.list(&key)?;
        nodes.push(serde_node::Node::of(node)?);
        self.put(key, &nodes)
    }
    fn own_leaf_nodes<G: traits::GroupId<V>, L: traits::LeafNode<V>>(&self, group: &G) -> Result<Vec<L>> {
        let nodes: Vec<serde_node::Node> = self.list(&key("own leaves", &[group])?)?;
        nodes.iter().map(serde_node::Node::read).collect()
    }
    fn delete_own_leaf_nodes<G: traits::GroupId<V>>(&self, group: &G) -> Result<()> {
        self.delete(key("own leaves", &[group])?)
    }

    fn queue_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>, P: traits::QueuedProposal<V>>(
        &self,
        group: &G,
        reference: &R,
        proposal: &P,
    ) -> Result<()> {
        let list = key("proposals", &[group])?;
        let mut references: Vec<serde_node::Node> = self.list(&list)?;
        references.push(serde_node::Node::of(reference)?);
        self.put(list, &references)?;
        self.put(key("proposal", &[group, reference])?, proposal)
    }
    fn queued_proposal_refs<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(&self, group: &G) -> Result<Vec<R>> {
        let references: Vec<serde_node::Node> = self.list(&key("proposals", &[group])?)?;
        references.iter().map(serde_node::Node::read).collect()
    }
    fn queued_proposals<G: traits::GroupId<V>, R: traits::ProposalRef<V>, P: traits::QueuedProposal<V>>(
        &self,
        group: &G,
    ) -> Result<Vec<(R, P)>> {
        let with_proposal = |reference: R| {
            let proposal = self.read(&key("proposal", &[group, &reference])?)?;
            proposal.map(|proposal| (reference, proposal)).ok_or(Failed)
        };
        self.queued_proposal_refs(group)?.into_iter().map(with_proposal).collect()
    }
    fn remove_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group: &G,
        reference: &R,
    ) -> Result<()> {
        let list = key("proposals", &[group])?;
        let mut references: Vec<serde_node::Node> = self.list(&list)?;
        let removed = serde_node::Node::of(reference)?;
        references.retain(|reference| *reference != removed);
        self.put(list, &references)?;
        self.delete(key("proposal", &[group, reference])?)
    }
    fn clear_proposal_queue<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(&self, group: &G) -> Result<()> {
        for reference in self.queued_proposal_refs::<G, R>(group)? {
            self.delete(key("proposal", &[group, &reference])?)?;
        }
        self.delete(key("proposals", &[group])?)
    }

    // Called by applications, not by OpenMLS: the device key stays in the vault, and our groups have no PSKs.
    fn write_signature_key_pair<K: traits::SignaturePublicKey<V>, T: traits::SignatureKeyPair<V>>(
        &self,
        _: &K,
        _: &T,
    ) -> Result<()> {
        Err(Failed)
    }
    fn signature_key_pair<K: traits::SignaturePublicKey<V>, T: traits::SignatureKeyPair<V>>(
        &self,
        _: &K,
    ) -> Result<Option<T>> {
        Ok(None)
    }
    fn delete_signature_key_pair<K: traits::SignaturePublicKey<V>>(&self, _: &K) -> Result<()> {
        Ok(())
    }
    fn write_psk<K: traits::PskId<V>, T: traits::PskBundle<V>>(&self, _: &K, _: &T) -> Result<()> {
        Err(Failed)
    }
    fn psk<T: traits::PskBundle<V>, K: traits::PskId<V>>(&self, _: &K) -> Result<Option<T>> {
        Ok(None)
    }
    fn delete_psk<K: traits::PskId<V>>(&self, _: &K) -> Result<()> {
        Ok(())
    }
}

/// Lists hold their items encoded, so that a list can be changed without knowing the type of its items.
mod serde_node {
    use super::{Failed, Result, codec};
    use serde::{Deserialize, Serialize, de::DeserializeOwned};

    #[derive(Serialize, Deserialize, PartialEq)]
    pub(super) struct Node(Vec<u8>);

    impl Node {
        pub(super) fn of<T: Serialize>(value: &T) -> Result<Self> {
            codec::encode(value).map(|bytes| Self(bytes.to_vec())).map_err(|_| Failed)
        }

        pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T> {
            codec::decode(&self.0).map_err(|_| Failed)
        }
    }
}
