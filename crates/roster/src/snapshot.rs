//! A public group as bytes, for the server's own, sealed storage.
//!
//! The GroupInfo and the ratchet tree would not do: OpenMLS compares the lifetimes of the leaves in a tree that it is
//! handed with the real clock, so that a group with a member who has not committed for 120 days could not be opened again.

use crate::Refused;
use minicbor::{Decode, Encode};
use openmls::prelude::{Ciphersuite, GroupContext, GroupId, OpenMlsCrypto, PublicGroup};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::public_storage::PublicStorageProvider;
use openmls_traits::storage::traits;
use serde::{Serialize, de::DeserializeOwned};
use tls_codec::Serialize as _;

/// What OpenMLS keeps of a public group, each part in its own serde form, as self-describing CBOR.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct Snapshot {
    #[n(0)]
    version: u8,
    #[cbor(n(1), with = "minicbor::bytes")]
    group_id: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    tree: Vec<u8>,
    #[cbor(n(3), with = "minicbor::bytes")]
    context: Vec<u8>,
    #[cbor(n(4), with = "minicbor::bytes")]
    confirmation_tag: Vec<u8>,
    #[cbor(n(5), with = "minicbor::bytes")]
    interim_transcript_hash: Vec<u8>,
}

const VERSION: u8 = 1;

impl Snapshot {
    pub(crate) fn take(group: &PublicGroup, crypto: &RustCrypto) -> Result<Vec<u8>, Refused> {
        let interim = interim_transcript_hash(group, crypto)?;
        let snapshot = Self {
            version: VERSION,
            group_id: group.group_id().to_vec(),
            tree: to_cbor(group.treesync())?,
            context: to_cbor(group.group_context())?,
            confirmation_tag: to_cbor(group.confirmation_tag())?,
            interim_transcript_hash: to_cbor(&interim)?,
        };
        Ok(wire::encode(&snapshot))
    }

    pub(crate) fn restore(bytes: &[u8]) -> Result<PublicGroup, Refused> {
        let snapshot: Self = wire::decode(bytes).map_err(|_| Refused::Malformed)?;
        if snapshot.version != VERSION {
            return Err(Refused::Malformed);
        }
        let group_id = GroupId::from_slice(&snapshot.group_id);
        let group = PublicGroup::load(&Stored(Some(snapshot)), &group_id).map_err(Refused::invalid)?;
        group.ok_or(Refused::Malformed)
    }
}

/// RFC 9420 §8.2: the hash of the confirmed transcript hash and of the confirmation tag. OpenMLS does not show its copy.
fn interim_transcript_hash(group: &PublicGroup, crypto: &RustCrypto) -> Result<InterimTranscriptHash, Refused> {
    let (context, suite): (&GroupContext, Ciphersuite) = (group.group_context(), group.ciphersuite());
    let tag = group.confirmation_tag().tls_serialize_detached().map_err(Refused::invalid)?;
    let input = [context.confirmed_transcript_hash(), &tag].concat();
    crypto.hash(suite.hash_algorithm(), &input).map(InterimTranscriptHash).map_err(Refused::invalid)
}

/// In the form of `openmls::group::InterimTranscriptHash`, which is a newtype around the bytes.
#[derive(Serialize)]
struct InterimTranscriptHash(Vec<u8>);

fn to_cbor<T: Serialize>(value: &T) -> Result<Vec<u8>, Refused> {
    minicbor_serde::to_vec(value).map_err(|_| Refused::Malformed)
}

/// A stored part of a group is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("a stored group is damaged")]
pub(crate) struct Damaged;

/// OpenMLS's storage of public groups. It reads one snapshot and forgets what is written: snapshots are taken on purpose.
pub(crate) struct Stored(pub(crate) Option<Snapshot>);

impl Stored {
    fn part<T: DeserializeOwned>(&self, part: impl Fn(&Snapshot) -> &Vec<u8>) -> Result<Option<T>, Damaged> {
        self.0.as_ref().map(|snapshot| minicbor_serde::from_slice(part(snapshot)).map_err(|_| Damaged)).transpose()
    }
}

macro_rules! reads {
    ($($name:ident: $trait:ident;)*) => {
        $(fn $name<G: traits::GroupId<V>, T: traits::$trait<V>>(&self, _: &G) -> Result<Option<T>, Damaged> {
            self.part(|snapshot| reads!(@field snapshot $name))
        })*
    };
    (@field $snapshot:ident group_context) => { &$snapshot.context };
    (@field $snapshot:ident $name:ident) => { &$snapshot.$name };
}

macro_rules! forgets {
    ($($name:ident: $trait:ident;)*) => {
        $(fn $name<G: traits::GroupId<V>, T: traits::$trait<V>>(&self, _: &G, _: &T) -> Result<(), Damaged> {
            Ok(())
        })*
    };
}

macro_rules! deletes {
    ($($name:ident;)*) => {
        $(fn $name<G: traits::GroupId<V>>(&self, _: &G) -> Result<(), Damaged> {
            Ok(())
        })*
    };
}

const V: u16 = openmls_traits::storage::CURRENT_VERSION;

impl PublicStorageProvider<V> for Stored {
    type PublicError = Damaged;

    reads! {
        tree: TreeSync;
        group_context: GroupContext;
        interim_transcript_hash: InterimTranscriptHash;
        confirmation_tag: ConfirmationTag;
    }

    forgets! {
        write_tree: TreeSync;
        write_interim_transcript_hash: InterimTranscriptHash;
        write_context: GroupContext;
        write_confirmation_tag: ConfirmationTag;
        remove_proposal: ProposalRef;
    }

    deletes! {
        delete_tree;
        delete_confirmation_tag;
        delete_context;
        delete_interim_transcript_hash;
    }

    fn queue_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>, P: traits::QueuedProposal<V>>(
        &self,
        _: &G,
        _: &R,
        _: &P,
    ) -> Result<(), Damaged> {
        Ok(())
    }

    fn queued_proposals<G: traits::GroupId<V>, R: traits::ProposalRef<V>, P: traits::QueuedProposal<V>>(
        &self,
        _: &G,
    ) -> Result<Vec<(R, P)>, Damaged> {
        Ok(Vec::new())
    }

    fn clear_proposal_queue<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(&self, _: &G) -> Result<(), Damaged> {
        Ok(())
    }
}
