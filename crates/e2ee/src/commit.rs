//! Commits of this device: made, merged, discarded.

use crate::device::{Device, Provider, bytes};
use crate::group::{Changed, Group};
use crate::{Error, Refused};
use openmls::prelude::{
    KeyPackage, LeafNodeIndex, MlsGroupStateError, OpenMlsProvider, Proposal, ProposalOrRefType, QueuedProposal, Sender,
};
use roster::reading::{self, CommitReading, Strictness};
use roster::{Vouch, key_package};
use trust::{Aad, Change, Committer, GroupPolicy, LeafIdentity};
use wire::UnixMillis;

/// What a commit is to do. An empty one renews this device's keys.
#[derive(Debug, Clone, Default)]
pub struct Proposed {
    /// Key packages of the devices to add, each an `MLSMessage` as it was claimed.
    pub add: Vec<Vec<u8>>,
    /// Devices to remove. Never this one: it leaves by SelfRemove.
    pub remove: Vec<LeafIdentity>,
    /// A new policy.
    pub policy: Option<GroupPolicy>,
}

/// A commit that waits for its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// `MLSMessage` holding a `PublicMessage` commit.
    pub commit: Vec<u8>,
    /// `MLSMessage` holding the GroupInfo of the epoch that it begins, without the tree.
    pub group_info: Vec<u8>,
    /// `MLSMessage` holding the Welcome, if it adds anyone.
    pub welcome: Option<Vec<u8>>,
}

/// A commit that took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Who made it.
    pub committer: Committer,
    /// What it did.
    pub changes: Vec<Change>,
    /// Devices that it added although by now they are revoked or their users have left: remove them next.
    pub gone: Vec<LeafIdentity>,
    /// The epoch that it began.
    pub epoch: u64,
    /// It was this device's own.
    pub own: bool,
    /// It removed this device: the group is deleted.
    pub self_removed: bool,
}

impl Group {
    /// Makes a commit, which waits until it is [merged](Group::merge_pending) or [discarded](Group::discard_pending).
    /// It also carries out what leavers have proposed.
    ///
    /// # Errors
    /// [`Error::CommitPending`], [`Error::NotInGroup`], [`Error::NeedsIdentities`]; [`Error::Refused`] when a key package
    /// is unusable, or the policy or a device chain forbids it.
    pub fn commit(
        mut self,
        device: &Device<'_>,
        proposed: &Proposed,
        aad: &Aad,
        now: UnixMillis,
        vouch: Vouch<'_>,
    ) -> Result<Changed<Pending>, Error> {
        if self.has_pending_commit() {
            return Err(Error::CommitPending);
        }
        let open = |bytes: &Vec<u8>| key_package::open(bytes, now, self.suite).map(|(package, _)| package);
        let added = proposed.add.iter().map(open).collect::<Result<Vec<KeyPackage>, _>>()?;
        let removed = proposed.remove.iter().map(|identity| self.index(identity)).collect::<Result<Vec<_>, _>>()?;
        device.change(|provider| {
            let output = self.stage(device, provider, added, removed, proposed.policy.as_ref(), aad)?;
            let pending = self.mls.pending_commit().ok_or(Error::NoCommitPending)?;
            let reading = reading::read(self.mls.public_group(), &Sender::Member(self.mls.own_leaf_index()), pending)?;
            reading::judge(&self.policy, self.mls.public_group(), &reading, vouch, Strictness::Recording)?;
            Ok((output, Some(self)))
        })
    }

    pub(crate) fn stage(
        &mut self,
        device: &Device<'_>,
        provider: &Provider<'_>,
        added: Vec<KeyPackage>,
        removed: Vec<LeafNodeIndex>,
        policy: Option<&GroupPolicy>,
        aad: &Aad,
    ) -> Result<Pending, Error> {
        self.mls.set_aad(wire::encode(aad));
        let mut builder =
            self.mls.commit_builder().force_self_update(true).propose_adds(added).propose_removals(removed);
        if let Some(policy) = policy {
            builder = builder.propose_group_context_extensions(reading::extensions(policy)?).map_err(Error::invalid)?;
        }
        let bundle = builder
            .load_psks(provider.storage())
            .map_err(Error::invalid)?
            .create_group_info(true)
            .build(provider.rand(), provider.crypto(), &device.signer(), is_ours)
            .map_err(Error::invalid)?
            .stage_commit(provider)
            .map_err(Error::invalid)?;
        let (commit, welcome, group_info) = bundle.into_messages();
        Ok(Pending {
            commit: bytes(&commit)?,
            group_info: bytes(&group_info.ok_or(Refused::GroupInfo)?)?,
            welcome: welcome.map(|welcome| bytes(&welcome)).transpose()?,
        })
    }

    pub(crate) fn merge_own(mut self, provider: &Provider<'_>) -> Result<(Committed, Self), Error> {
        let pending = self.mls.pending_commit().ok_or(Error::NoCommitPending)?;
        let reading = reading::read(self.mls.public_group(), &Sender::Member(self.mls.own_leaf_index()), pending)?;
        let committed = committed(reading, pending.epoch().as_u64(), Vec::new(), true, false);
        self.mls.merge_pending_commit(provider).map_err(|cause| match cause {
            openmls::prelude::MergePendingCommitError::MlsGroupStateError(MlsGroupStateError::UseAfterEviction) => {
                Error::NotMember
            }
            cause => Error::invalid(cause),
        })?;
        Ok((committed, Self::of(self.mls)?))
    }

    fn index(&self, identity: &LeafIdentity) -> Result<LeafNodeIndex, Error> {
        let leaf = self.members()?.into_iter().find(|leaf| leaf.identity == *identity);
        leaf.map(|leaf| LeafNodeIndex::new(leaf.index)).ok_or(Error::NotInGroup(*identity))
    }
}

/// Of the proposals that others have sent, only SelfRemove is ever committed.
fn is_ours(queued: &QueuedProposal) -> bool {
    queued.proposal_or_ref_type() == ProposalOrRefType::Proposal || matches!(queued.proposal(), Proposal::SelfRemove)
}

pub(crate) fn committed(
    reading: CommitReading,
    epoch: u64,
    gone: Vec<LeafIdentity>,
    own: bool,
    self_removed: bool,
) -> Committed {
    Committed { committer: reading.committer, changes: reading.changes, gone, epoch, own, self_removed }
}
