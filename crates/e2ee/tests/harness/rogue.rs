//! A member whose client is its own: bare OpenMLS, with none of our checks. What it makes is valid MLS as far as OpenMLS
//! lets it be; whether it may is for the others to say.

use super::{CONVERSATION, GROUP, Phone, Recorded, TENANT, World, aad, now};
use e2ee::{Pending, Suite};
use openmls::prelude::*;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::signatures::{Signer, SignerError};
use roster::reading;
use tls_codec::{DeserializeBytes, Serialize};
use trust::{GroupPolicy, LeafIdentity};
use vault::DeviceKey;
use wire::{Entry, EntryKind};
use zeroize::Zeroizing;

pub struct Rogue {
    pub identity: LeafIdentity,
    key: DeviceKey,
    provider: OpenMlsRustCrypto,
    group: Option<MlsGroup>,
}

pub struct RawSigner<'a>(pub &'a DeviceKey);

impl Signer for RawSigner<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.0.sign_mls(payload).map(|signature| signature.to_vec()).map_err(|_| SignerError::SigningError)
    }
    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

pub type Builder<'a> = CommitBuilder<'a, Initial>;

impl Rogue {
    /// A rogue with the identity and the key of `phone`.
    pub fn new(phone: &Phone) -> Self {
        let key = DeviceKey::from_sealed_storage(&phone.key.to_sealed_storage());
        Self { identity: phone.identity, key, provider: OpenMlsRustCrypto::default(), group: None }
    }

    pub fn signer(&self) -> RawSigner<'_> {
        RawSigner(&self.key)
    }

    pub fn credential(&self) -> CredentialWithKey {
        credential(&self.identity, &self.key)
    }

    /// A key package with any lifetime, capabilities and leaf extensions.
    pub fn key_package(
        &self,
        suite: Ciphersuite,
        build: impl FnOnce(KeyPackageBuilder) -> KeyPackageBuilder,
    ) -> Vec<u8> {
        let now_s = now() / 1_000;
        let builder = KeyPackage::builder()
            .key_package_lifetime(Lifetime::init(now_s - 3_600, now_s + 3_600))
            .leaf_node_capabilities(reading::capabilities());
        let bundle = build(builder).build(suite, &self.provider, &self.signer(), self.credential()).unwrap();
        MlsMessageOut::from(bundle.into_key_package()).tls_serialize_detached().unwrap()
    }

    /// Makes a group of its own with any extensions and suite, and the ids of the conversation.
    pub fn create(&mut self, suite: Ciphersuite, extensions: Extensions<GroupContext>) -> (Vec<u8>, Vec<u8>) {
        let now_s = now() / 1_000;
        let group = MlsGroup::builder()
            .with_group_id(GroupId::from_slice(GROUP.as_bytes()))
            .ciphersuite(suite)
            .with_wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .lifetime(Lifetime::init(now_s - 3_600, now_s + 3_600))
            .with_capabilities(wide_capabilities())
            .with_group_context_extensions(extensions)
            .build(&self.provider, &self.signer(), self.credential())
            .unwrap();
        let info = group.export_group_info(self.provider.crypto(), &self.signer(), false).unwrap();
        let tree = group.export_ratchet_tree().tls_serialize_detached().unwrap();
        self.group = Some(group);
        (info.tls_serialize_detached().unwrap(), tree)
    }

    pub fn join(&mut self, recorded: &Recorded) {
        let MlsMessageBodyIn::Welcome(welcome) = message(recorded.pending.welcome.as_ref().unwrap()) else { panic!() };
        let tree = RatchetTreeIn::tls_deserialize_exact_bytes(&recorded.tree).unwrap();
        let staged = StagedWelcome::new_from_welcome(&self.provider, &config(), welcome, Some(tree)).unwrap();
        self.group = Some(staged.into_group(&self.provider).unwrap());
    }

    pub fn mls(&mut self) -> &mut MlsGroup {
        self.group.as_mut().unwrap()
    }

    pub fn index_of(&mut self, identity: &LeafIdentity) -> LeafNodeIndex {
        let credential = reading::credential(identity);
        self.mls().member_leaf_index(&credential).unwrap()
    }

    /// Any commit that OpenMLS agrees to build, without taking it: the group stays in its epoch.
    pub fn commit(
        &mut self,
        world: &World,
        build: impl FnOnce(Builder<'_>) -> Builder<'_>,
    ) -> Result<Recorded, Box<dyn std::error::Error>> {
        let Self { identity, key, provider, group } = self;
        let group = group.as_mut().unwrap();
        let (message_id, epoch) = (world.message_id(), group.epoch().as_u64());
        group.set_aad(wire::encode(&aad(message_id)));
        let bundle = build(group.commit_builder().force_self_update(true))
            .load_psks(provider.storage())?
            .create_group_info(true)
            .build(provider.rand(), provider.crypto(), &RawSigner(key), |_| true)?
            .stage_commit(provider)?;
        let pending = pending(bundle)?;
        group.clear_pending_commit(provider.storage())?;
        let entry = world.entry(EntryKind::Commit, epoch, identity.device, message_id, &pending.commit);
        Ok(Recorded { entry, pending, tree: Vec::new() })
    }

    /// An honest commit, but for the ratchet tree in its GroupInfo.
    pub fn commit_with_tree(&mut self, world: &World) -> Recorded {
        let Self { identity, key, provider, group } = self;
        let group = group.as_mut().unwrap();
        let (message_id, epoch) = (world.message_id(), group.epoch().as_u64());
        group.set_aad(wire::encode(&aad(message_id)));
        let loaded = group.commit_builder().force_self_update(true).load_psks(provider.storage()).unwrap();
        let bundle = loaded
            .use_ratchet_tree_extension(true)
            .build(provider.rand(), provider.crypto(), &RawSigner(key), |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        let pending = pending(bundle).unwrap();
        group.clear_pending_commit(provider.storage()).unwrap();
        let entry = world.entry(EntryKind::Commit, epoch, identity.device, message_id, &pending.commit);
        Recorded { entry, pending, tree: Vec::new() }
    }

    /// As [`Rogue::commit`], and takes it.
    pub fn commit_and_take(
        &mut self,
        world: &World,
        build: impl FnOnce(Builder<'_>) -> Builder<'_>,
    ) -> Result<Recorded, Box<dyn std::error::Error>> {
        let Self { identity, key, provider, group } = self;
        let group = group.as_mut().unwrap();
        let (message_id, epoch) = (world.message_id(), group.epoch().as_u64());
        group.set_aad(wire::encode(&aad(message_id)));
        let bundle = build(group.commit_builder().force_self_update(true))
            .load_psks(provider.storage())?
            .create_group_info(true)
            .build(provider.rand(), provider.crypto(), &RawSigner(key), |_| true)?
            .stage_commit(provider)?;
        let pending = pending(bundle)?;
        group.merge_pending_commit(provider)?;
        let tree = group.export_ratchet_tree().tls_serialize_detached()?;
        let entry = world.entry(EntryKind::Commit, epoch, identity.device, message_id, &pending.commit);
        Ok(Recorded { entry, pending, tree })
    }

    /// A commit that also changes the signature key of the rogue's leaf.
    pub fn commit_with_key(&mut self, world: &World, other: &DeviceKey, as_whom: &LeafIdentity) -> Recorded {
        let Self { identity, key, provider, group } = self;
        let group = group.as_mut().unwrap();
        let (message_id, epoch) = (world.message_id(), group.epoch().as_u64());
        group.set_aad(wire::encode(&aad(message_id)));
        let signer = RawSigner(other);
        let bundle = NewSignerBundle { signer: &signer, credential_with_key: credential(as_whom, other) };
        let bundle = group
            .commit_builder()
            .load_psks(provider.storage())
            .unwrap()
            .create_group_info(true)
            .build_with_new_signer(provider.rand(), provider.crypto(), &RawSigner(key), bundle, |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        let pending = pending(bundle).unwrap();
        group.clear_pending_commit(provider.storage()).unwrap();
        let entry = world.entry(EntryKind::Commit, epoch, identity.device, message_id, &pending.commit);
        Recorded { entry, pending, tree: Vec::new() }
    }

    /// Any proposal on its own.
    pub fn propose(
        &mut self,
        world: &World,
        propose: impl FnOnce(&mut MlsGroup, &OpenMlsRustCrypto, &RawSigner<'_>) -> MlsMessageOut,
    ) -> Entry {
        let Self { identity, key, provider, group } = self;
        let group = group.as_mut().unwrap();
        let (message_id, epoch) = (world.message_id(), group.epoch().as_u64());
        group.set_aad(wire::encode(&aad(message_id)));
        let bytes = propose(group, provider, &RawSigner(key)).tls_serialize_detached().unwrap();
        world.entry(EntryKind::Proposal, epoch, identity.device, message_id, &bytes)
    }

    /// An application message with any authenticated data.
    pub fn send(&mut self, world: &World, aad: Vec<u8>, text: &[u8]) -> Entry {
        let Self { identity, key, provider, group } = self;
        let group = group.as_mut().unwrap();
        let (message_id, epoch) = (world.message_id(), group.epoch().as_u64());
        group.set_aad(aad);
        let payload = group.create_message(provider, &RawSigner(key), text).unwrap().tls_serialize_detached().unwrap();
        world.entry(EntryKind::Application, epoch, identity.device, message_id, &payload)
    }

    pub fn storage(&self) -> &OpenMlsRustCrypto {
        &self.provider
    }
}

fn pending(bundle: CommitMessageBundle) -> Result<Pending, tls_codec::Error> {
    let (commit, welcome, group_info) = bundle.into_messages();
    Ok(Pending {
        commit: commit.tls_serialize_detached()?,
        group_info: group_info.map(|info| info.tls_serialize_detached()).transpose()?.unwrap_or_default(),
        welcome: welcome.map(|welcome| welcome.tls_serialize_detached()).transpose()?,
    })
}

pub fn credential(identity: &LeafIdentity, key: &DeviceKey) -> CredentialWithKey {
    let signature_key = key.public().as_bytes().as_slice().into();
    CredentialWithKey { credential: reading::credential(identity), signature_key }
}

pub fn other_key() -> DeviceKey {
    DeviceKey::from_sealed_storage(&Zeroizing::new([0x77; 32]))
}

/// Ours and more, so that OpenMLS itself does not refuse what a test wants to send.
pub fn wide_capabilities() -> Capabilities {
    let ours = reading::capabilities();
    Capabilities::builder()
        .versions(vec![ProtocolVersion::Mls10])
        .ciphersuites(vec![
            Suite::XWing.ciphersuite(),
            Suite::Classical.ciphersuite(),
            Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519,
        ])
        .extensions(ours.extensions().to_vec())
        .proposals(ours.proposals().to_vec())
        .credentials(ours.credentials().to_vec())
        .build()
}

pub fn config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder().wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY).build()
}

pub fn message(bytes: &[u8]) -> MlsMessageBodyIn {
    MlsMessageIn::tls_deserialize_exact_bytes(bytes).unwrap().extract()
}

pub fn package(bytes: &[u8]) -> KeyPackage {
    let MlsMessageBodyIn::KeyPackage(package) = message(bytes) else { panic!("no key package") };
    package.validate(OpenMlsRustCrypto::default().crypto(), ProtocolVersion::Mls10).unwrap()
}

pub fn policy_of_another(change: impl FnOnce(&mut GroupPolicy)) -> Extensions<GroupContext> {
    let mut policy = GroupPolicy::group(TENANT, CONVERSATION, super::user(b'a'));
    change(&mut policy);
    extensions_unchecked(&policy)
}

/// The two extensions, whatever the policy says.
pub fn extensions_unchecked(policy: &GroupPolicy) -> Extensions<GroupContext> {
    let ours = reading::extensions(&GroupPolicy::group(TENANT, CONVERSATION, super::user(b'a'))).unwrap();
    let list = ours.iter().map(|extension| match extension {
        Extension::Unknown(number, _) => Extension::Unknown(*number, UnknownExtension(policy.to_bytes())),
        other => other.clone(),
    });
    Extensions::from_vec(list.collect()).unwrap()
}
