//! One group as the server follows it.

use crate::reading::{self, CommitReading, LeafView, Strictness, Suite};
use crate::snapshot::{Snapshot, Stored};
use crate::{Refused, Vouch, payload};
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{
    ConfirmationTag, ContentType, GroupContext, LeafNodeIndex, MlsMessageBodyIn, OpenMlsSignaturePublicKey,
    ProcessedMessage, ProcessedMessageContent, ProposalStore, ProtocolMessage, PublicGroup, PublicMessageIn,
    PublicProcessMessageError, QueuedProposal, RatchetTreeIn, StagedCommit, ValidationError, Verifiable,
};
use openmls_rust_crypto::RustCrypto;
use tls_codec::{DeserializeBytes, Serialize as _};
use trust::{Aad, Change, Committer, GroupPolicy, Kind, LeafIdentity};
use wire::GroupId;
use wire::sabotage::{Defence, stands};

/// The public state of a group in one epoch: its tree, its context, its policy.
pub struct PublicTree {
    pub(crate) group: PublicGroup,
    group_id: GroupId,
    policy: GroupPolicy,
    suite: Suite,
    crypto: RustCrypto,
}

/// A commit that is valid and allowed, not yet taken. It fits only the tree that checked it, in the epoch in which it did.
pub struct CheckedCommit {
    staged: Box<StagedCommit>,
    base: Vec<u8>,
    /// Who made it.
    pub committer: Committer,
    /// What it does.
    pub changes: Vec<Change>,
    /// Its authenticated data, with the message id.
    pub aad: Aad,
    /// The epoch that it begins.
    pub epoch: u64,
    /// Every device in the group after it.
    pub members: Vec<LeafIdentity>,
    /// The devices that it adds: for these is the Welcome.
    pub added: Vec<LeafIdentity>,
    /// The devices that it removes, or that leave with it. A device that rejoins is not among them.
    pub removed: Vec<LeafIdentity>,
}

/// A commit that fits the epoch and the policy.
struct Staged {
    staged: Box<StagedCommit>,
    tag: ConfirmationTag,
    reading: CommitReading,
    aad: Aad,
}

impl PublicTree {
    /// Opens a new group: epoch 0, one leaf, which is its creator's and is vouched for.
    ///
    /// The GroupInfo is checked by its signature, the tree by its hash. OpenMLS compares the leaf's lifetime with the real
    /// clock.
    ///
    /// # Errors
    /// [`Refused`]; [`Refused::Context`] when the group is not new.
    pub fn create(group_info: &[u8], tree: &[u8], vouch: Vouch<'_>) -> Result<Self, Refused> {
        let created = Self::open(group_info, tree)?.0;
        created.check_new(vouch)?;
        Ok(created)
    }

    /// A group from its GroupInfo, whose signature is checked, and its tree, which is checked by its hash.
    pub(crate) fn open(group_info: &[u8], tree: &[u8]) -> Result<(Self, VerifiableGroupInfo), Refused> {
        let MlsMessageBodyIn::GroupInfo(info) = reading::message(group_info)? else { return Err(Refused::Malformed) };
        let suite = Suite::of(info.ciphersuite())?;
        check_outside(&info)?;
        let tree = RatchetTreeIn::tls_deserialize_exact_bytes(tree).map_err(|_| Refused::Malformed)?;
        let crypto = RustCrypto::default();
        let (group, _) = PublicGroup::from_external(&crypto, &Stored(None), tree, info.clone(), ProposalStore::new())
            .map_err(Refused::invalid)?;
        Ok((Self::of(group, suite, crypto)?, info))
    }

    /// Brings a group back from its [`snapshot`](Self::snapshot) and the commits and proposals recorded after it, in their order. They
    /// were checked when they were recorded, so that neither the policy nor the device chains are asked again.
    ///
    /// A key package's lifetime is compared with the real clock whenever an Add is processed, and ends after 120 days at
    /// most: the server takes a snapshot with every commit that adds, so that none is replayed.
    ///
    /// # Errors
    /// [`Refused`] when the snapshot is damaged or a commit does not fit.
    pub fn restore<'b>(snapshot: &[u8], commits: impl IntoIterator<Item = &'b [u8]>) -> Result<Self, Refused> {
        let group = Snapshot::restore(snapshot)?;
        let suite = Suite::of(group.ciphersuite())?;
        let mut tree = Self::of(group, suite, RustCrypto::default())?;
        for bytes in commits {
            let MlsMessageBodyIn::PublicMessage(message) = reading::message(bytes)? else {
                return Err(Refused::Malformed);
            };
            if message.content_type() == ContentType::Proposal {
                tree.replay_proposal(message)?;
                continue;
            }
            let (processed, _) = tree.process(message)?;
            let staged = staged(processed)?;
            tree.merge(*staged)?;
        }
        Ok(tree)
    }

    /// Checks a commit against this epoch, with the GroupInfo and the Welcome that travel with it.
    ///
    /// Checked are: the committer's signature, and that its leaf is in the tree; the proposals and the path (RFC 9420 §12.4);
    /// the policy; that those who join are vouched for; the authenticated data; that the GroupInfo is the committer's, for
    /// the next epoch, of exactly the group context, the confirmation tag and the signer that the commit leads to, with an
    /// external key and without the tree; that the Welcome names exactly the key packages that are added.
    ///
    /// What only members can check stays the committer's claim: the membership and confirmation tags, the path secrets and
    /// the group secrets inside path and Welcome, and whether the external key is the group's.
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed.
    pub fn check(
        &self,
        commit: &[u8],
        group_info: &[u8],
        welcome: Option<&[u8]>,
        vouch: Vouch<'_>,
    ) -> Result<CheckedCommit, Refused> {
        let Staged { staged, tag, reading, aad } = self.judged(commit, vouch, Strictness::Recording)?;
        if stands(Defence::GroupInfoOfCommit) {
            self.check_info(group_info, staged.group_context().clone(), &reading.committer_leaf, tag)?;
        }
        if stands(Defence::WelcomeOfCommit) {
            self.check_welcome(welcome, &staged)?;
        }
        self.checked(staged, reading, aad)
    }

    /// Checks a commit that was recorded once and lost: as [`check`](Self::check), but without GroupInfo and Welcome, which
    /// were lost with it, and a device that it adds may be gone by now.
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed.
    pub fn check_supplied(&self, commit: &[u8], vouch: Vouch<'_>) -> Result<CheckedCommit, Refused> {
        let Staged { staged, reading, aad, .. } = self.judged(commit, vouch, Strictness::Following)?;
        self.checked(staged, reading, aad)
    }

    /// Checks a GroupInfo of this epoch that a member has made anew: of exactly this group context and confirmation tag,
    /// signed by that member's leaf.
    ///
    /// # Errors
    /// [`Refused::GroupInfo`], [`Refused::Malformed`].
    pub fn check_renewed_group_info(&self, group_info: &[u8], signer: &LeafIdentity) -> Result<(), Refused> {
        let leaf = self.members()?.into_iter().find(|leaf| leaf.identity == *signer).ok_or(Refused::GroupInfo)?;
        let tag = self.group.confirmation_tag().clone();
        self.check_info(group_info, self.group.group_context().clone(), &leaf, tag)
    }

    /// Takes a commit that was recorded: begins the next epoch.
    ///
    /// # Errors
    /// [`Refused::Epoch`] when the commit was checked in another epoch, or against another group; nothing has changed.
    pub fn apply(&mut self, commit: CheckedCommit) -> Result<(), Refused> {
        if commit.base != self.base() {
            return Err(Refused::Epoch { epoch: commit.epoch.saturating_sub(1), current: self.epoch() });
        }
        self.merge(*commit.staged)
    }

    /// The tree for joiners (RFC 9420 §12.4.3.3).
    ///
    /// # Errors
    /// [`Refused::Invalid`] if it is too large to encode, which a group of ours cannot be.
    pub fn tree_bytes(&self) -> Result<Vec<u8>, Refused> {
        self.group.export_ratchet_tree().tls_serialize_detached().map_err(Refused::invalid)
    }

    /// The group in this epoch, for [`restore`](Self::restore). Public keys and ids only, but the server's own: it is not
    /// checked again when it is read.
    ///
    /// # Errors
    /// [`Refused::Malformed`] if it cannot be encoded, which has no known cause.
    pub fn snapshot(&self) -> Result<Vec<u8>, Refused> {
        Snapshot::take(&self.group, &self.crypto)
    }

    /// The group's id.
    pub const fn group_id(&self) -> GroupId {
        self.group_id
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.group.group_context().epoch().as_u64()
    }

    /// The policy.
    pub const fn policy(&self) -> &GroupPolicy {
        &self.policy
    }

    /// The cipher suite.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Every leaf, from the left.
    ///
    /// # Errors
    /// [`Refused::Malformed`] if one is not ours, which no check lets in.
    pub fn members(&self) -> Result<Vec<LeafView>, Refused> {
        reading::members(&self.group)
    }

    fn of(group: PublicGroup, suite: Suite, crypto: RustCrypto) -> Result<Self, Refused> {
        let group_id = reading::group_id(group.group_id())?;
        let policy = reading::policy(group.group_context().extensions())?;
        Ok(Self { group, group_id, policy, suite, crypto })
    }

    fn check_new(&self, vouch: Vouch<'_>) -> Result<(), Refused> {
        let members = self.members()?;
        let [creator] = members.as_slice() else { return Err(Refused::Context) };
        let identity = creator.identity;
        let belongs = match self.policy.kind {
            Kind::Direct => self.policy.users.contains(&identity.user),
            Kind::Group => self.policy.admins.contains(&identity.user),
        };
        let plain = self.group.leaf(LeafNodeIndex::new(creator.index)).is_some_and(reading::leaf_is_plain);
        if self.epoch() != 0 || identity.tenant != self.policy.tenant || !belongs || !plain {
            return Err(Refused::Context);
        }
        reading::admit(&members, vouch, Strictness::Recording).map(|_| ())
    }

    pub(crate) fn process(
        &self,
        message: PublicMessageIn,
    ) -> Result<(ProcessedMessage, openmls::prelude::Sender), Refused> {
        let (epoch, current) = (message.epoch().as_u64(), self.epoch());
        if message.group_id().as_slice() != self.group_id.as_bytes() {
            return Err(Refused::WrongGroup);
        }
        let sender = message.sender().clone();
        let processed = self.group.process_message(&self.crypto, ProtocolMessage::from(message));
        match processed {
            Ok(processed) => Ok((processed, sender)),
            Err(PublicProcessMessageError::ValidationError(ValidationError::WrongEpoch)) => {
                Err(Refused::Epoch { epoch, current })
            }
            Err(cause) => Err(Refused::invalid(cause)),
        }
    }

    fn judged(&self, commit: &[u8], vouch: Vouch<'_>, strictness: Strictness) -> Result<Staged, Refused> {
        let message = public_commit(commit)?;
        let tag = message.confirmation_tag().cloned().ok_or(Refused::Malformed)?;
        let (processed, sender) = self.process(message)?;
        let aad = payload::aad(processed.aad())?;
        let staged = staged(processed)?;
        let reading = reading::read(&self.group, &sender, &staged)?;
        reading::judge(&self.policy, &self.group, &reading, vouch, strictness)?;
        Ok(Staged { staged, tag, reading, aad })
    }

    fn check_info(
        &self,
        bytes: &[u8],
        context: GroupContext,
        signer: &LeafView,
        tag: ConfirmationTag,
    ) -> Result<(), Refused> {
        let MlsMessageBodyIn::GroupInfo(info) = reading::message(bytes)? else { return Err(Refused::GroupInfo) };
        check_outside(&info)?;
        let expected = VerifiableGroupInfo::new(
            context,
            info.extensions().clone(),
            tag,
            LeafNodeIndex::new(signer.index),
            info.signature().clone(),
        );
        if expected != info {
            return Err(Refused::GroupInfo);
        }
        let scheme = self.suite.ciphersuite().signature_algorithm();
        let key = OpenMlsSignaturePublicKey::new(signer.key.as_bytes().to_vec().into(), scheme);
        info.verify(&self.crypto, &key.map_err(Refused::invalid)?).map(|_| ()).map_err(|_| Refused::GroupInfo)
    }

    fn check_welcome(&self, bytes: Option<&[u8]>, staged: &StagedCommit) -> Result<(), Refused> {
        let reference = |add: openmls::prelude::QueuedAddProposal<'_>| {
            add.add_proposal().key_package().hash_ref(&self.crypto).map_err(Refused::invalid)
        };
        let mut added = staged.add_proposals().map(reference).collect::<Result<Vec<_>, _>>()?;
        let mut welcomed = match bytes.map(reading::message).transpose()? {
            None => Vec::new(),
            Some(MlsMessageBodyIn::Welcome(welcome)) if welcome.ciphersuite() == self.suite.ciphersuite() => {
                welcome.secrets().iter().map(|secrets| secrets.new_member()).collect()
            }
            Some(_) => return Err(Refused::Welcome),
        };
        added.sort_unstable();
        welcomed.sort_unstable();
        // A Welcome for nobody is refused too: it would be kept for nobody.
        if added == welcomed && bytes.is_some() != added.is_empty() { Ok(()) } else { Err(Refused::Welcome) }
    }

    fn checked(&self, staged: Box<StagedCommit>, reading: CommitReading, aad: Aad) -> Result<CheckedCommit, Refused> {
        let CommitReading { committer, changes, joining, leaving, .. } = reading;
        let stays = |leaf: &LeafView| !leaving.iter().any(|leaver| leaver.index == leaf.index);
        let staying = self.members()?.into_iter().filter(stays);
        let members: Vec<LeafIdentity> = staying.chain(joining.iter().copied()).map(|leaf| leaf.identity).collect();
        let added = changes.iter().filter_map(|change| match change {
            Change::Add(identity) => Some(*identity),
            _ => None,
        });
        let gone = leaving.iter().map(|leaf| leaf.identity).filter(|identity| !members.contains(identity));
        Ok(CheckedCommit {
            base: self.base(),
            committer,
            aad,
            epoch: staged.epoch().as_u64(),
            added: added.collect(),
            removed: gone.collect(),
            members,
            changes,
            staged,
        })
    }

    fn merge(&mut self, staged: StagedCommit) -> Result<(), Refused> {
        let policy = reading::policy(staged.group_context().extensions())?;
        self.group.merge_commit(&Stored(None), staged).map_err(Refused::invalid)?;
        self.policy = policy;
        Ok(())
    }

    /// Keeps a proposal for the commit that names it. A snapshot does not hold it: it is taken with a commit, which ends all.
    pub(crate) fn keep(&mut self, proposal: QueuedProposal) -> Result<(), Refused> {
        self.group.add_proposal(&Stored(None), proposal).map_err(Refused::invalid)
    }

    /// What tells this epoch of this group from every other: its interim transcript, by way of the confirmation tag.
    pub(crate) fn base(&self) -> Vec<u8> {
        let tag = self.group.confirmation_tag().tls_serialize_detached().unwrap_or_default();
        [self.group_id.as_bytes().as_slice(), &self.epoch().to_be_bytes(), &tag].concat()
    }
}

/// What every GroupInfo of ours has outside its group context: an external key, no tree, nothing else.
fn check_outside(info: &VerifiableGroupInfo) -> Result<(), Refused> {
    let extensions = info.extensions();
    let plain = extensions.external_pub().is_some() && extensions.iter().count() == 1;
    if plain { Ok(()) } else { Err(Refused::GroupInfo) }
}

fn public_commit(bytes: &[u8]) -> Result<PublicMessageIn, Refused> {
    match reading::message(bytes)? {
        MlsMessageBodyIn::PublicMessage(message) if message.content_type() == ContentType::Commit => Ok(message),
        _ => Err(Refused::Malformed),
    }
}

fn staged(processed: ProcessedMessage) -> Result<Box<StagedCommit>, Refused> {
    match processed.into_content() {
        ProcessedMessageContent::StagedCommitMessage(staged) => Ok(staged),
        _ => Err(Refused::Malformed),
    }
}

impl std::fmt::Debug for PublicTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublicTree")
            .field("group_id", &self.group_id)
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for CheckedCommit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckedCommit")
            .field("epoch", &self.epoch)
            .field("changes", &self.changes)
            .finish_non_exhaustive()
    }
}
