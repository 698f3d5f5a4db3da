//! A member whose client is its own: bare OpenMLS with none of our checks, and a cryptography that does harm. What it makes is
//! valid in everything that the server, and every member but its victims, can see. For tests; never shipped.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a rogue that cannot do what a test asks of it fails the test"
)]

mod poison;

use openmls::prelude::*;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::signatures::{Signer, SignerError};
use poison::Poison;
use roster::reading::{self, Suite};
use tls_codec::{DeserializeBytes, Serialize};
use trust::{Aad, LeafIdentity};
use vault::DeviceKey;
use wire::UnixMillis;

/// One leaf in one group.
pub struct Rogue {
    identity: LeafIdentity,
    key: DeviceKey,
    provider: OpenMlsRustCrypto,
    group: Option<MlsGroup>,
}

/// A commit whose victims cannot open their part of its path, with what travels with it.
#[derive(Debug, Clone)]
pub struct Poisoned {
    /// `MLSMessage` holding a `PublicMessage` commit.
    pub commit: Vec<u8>,
    /// `MLSMessage` holding the GroupInfo of the epoch that it begins.
    pub group_info: Vec<u8>,
    /// The ratchet tree of that epoch.
    pub tree: Vec<u8>,
    /// The epoch in which it was made.
    pub epoch: u64,
}

struct RawSigner<'a>(&'a DeviceKey);

impl Signer for RawSigner<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.0.sign_mls(payload).map(|signature| signature.to_vec()).map_err(|_| SignerError::SigningError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl Rogue {
    /// A rogue device with the key that its user's chain certifies.
    pub fn new(identity: LeafIdentity, key: DeviceKey) -> Self {
        Self { identity, key, provider: OpenMlsRustCrypto::default(), group: None }
    }

    /// A key package, `MLSMessage`, with which others can add it.
    pub fn key_package(&self, suite: Suite, now: UnixMillis) -> Vec<u8> {
        let signature_key = self.key.public().as_bytes().as_slice().into();
        let credential = CredentialWithKey { credential: reading::credential(&self.identity), signature_key };
        let now_s = now / 1_000;
        let bundle = KeyPackage::builder()
            .key_package_lifetime(Lifetime::init(now_s - 3_600, now_s + 3_600))
            .leaf_node_capabilities(reading::capabilities())
            .build(suite.ciphersuite(), &self.provider, &RawSigner(&self.key), credential)
            .unwrap();
        MlsMessageOut::from(bundle.into_key_package()).tls_serialize_detached().unwrap()
    }

    /// Joins a group by a Welcome and its tree.
    pub fn join(&mut self, welcome: &[u8], tree: &[u8]) {
        let MlsMessageBodyIn::Welcome(welcome) = extracted(welcome) else { panic!("no Welcome") };
        let tree = RatchetTreeIn::tls_deserialize_exact_bytes(tree).unwrap();
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .padding_size(256)
            .build();
        let staged = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, Some(tree)).unwrap();
        self.group = Some(staged.into_group(&self.provider).unwrap());
    }

    /// Renews its keys so that a member cannot follow, or nobody, and goes on without them. A victim stands beside the rogue in
    /// the tree, or has no sibling that it shares a key with.
    pub fn poison(&mut self, victim: Option<LeafIdentity>, aad: &Aad) -> Poisoned {
        let Self { key, provider, group, .. } = self;
        let group = group.as_mut().unwrap();
        let epoch = group.epoch().as_u64();
        let key_of = |who: LeafIdentity| {
            let is_who = |member: &Member| member.credential == reading::credential(&who);
            group.members().find(is_who).unwrap().encryption_key
        };
        let poison = Poison::new(victim.map(key_of));
        group.set_aad(wire::encode(aad));
        let bundle = group
            .commit_builder()
            .force_self_update(true)
            .load_psks(provider.storage())
            .unwrap()
            .create_group_info(true)
            .build(provider.rand(), &poison, &RawSigner(key), |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        assert!(poison.used() > 0, "the victim has a ciphertext of its own");
        let (commit, _, group_info) = bundle.into_messages();
        group.merge_pending_commit(provider).unwrap();
        Poisoned {
            commit: commit.tls_serialize_detached().unwrap(),
            group_info: group_info.unwrap().tls_serialize_detached().unwrap(),
            tree: group.export_ratchet_tree().tls_serialize_detached().unwrap(),
            epoch,
        }
    }

    /// Takes a commit of another member, or reads what it says.
    pub fn hear(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let Self { provider, group, .. } = self;
        let group = group.as_mut().unwrap();
        let message = match extracted(payload) {
            MlsMessageBodyIn::PublicMessage(message) => ProtocolMessage::from(message),
            MlsMessageBodyIn::PrivateMessage(message) => ProtocolMessage::from(message),
            _ => panic!("no message of a group"),
        };
        match group.process_message(provider, message).unwrap().into_content() {
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                group.merge_staged_commit(provider, *staged).unwrap();
                None
            }
            ProcessedMessageContent::ApplicationMessage(said) => Some(said.into_bytes()),
            _ => panic!("neither a commit nor a message"),
        }
    }

    /// Says something.
    pub fn say(&mut self, aad: &Aad, plaintext: &[u8]) -> Vec<u8> {
        let Self { key, provider, group, .. } = self;
        let group = group.as_mut().unwrap();
        group.set_aad(wire::encode(aad));
        group.create_message(provider, &RawSigner(key), plaintext).unwrap().tls_serialize_detached().unwrap()
    }

    /// The epoch that it is in.
    pub fn epoch(&self) -> u64 {
        self.group.as_ref().map_or(0, |group| group.epoch().as_u64())
    }
}

impl std::fmt::Debug for Rogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rogue").field("identity", &self.identity).finish_non_exhaustive()
    }
}

fn extracted(bytes: &[u8]) -> MlsMessageBodyIn {
    MlsMessageIn::tls_deserialize_exact_bytes(bytes).unwrap().extract()
}
