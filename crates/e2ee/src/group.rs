//! One MLS group of this device, in one epoch.

use crate::commit::Committed;
use crate::device::{Device, bytes};
use crate::entries::WriteSet;
use crate::{Error, Refused};
use openmls::prelude::{
    CreateMessageError, GroupId as MlsGroupId, LeafNodeIndex, MlsGroup, MlsGroupStateError, OpenMlsProvider,
};
use roster::reading::{self, LeafView, Suite};
use std::fmt;
use trust::registry::EPHEMERAL_EXPORTER;
use trust::{Aad, GroupPolicy};
use wire::{GroupId, limits};
use zeroize::Zeroizing;

/// A group as it is stored. See the crate's first page for why every change consumes it.
pub struct Group {
    pub(crate) mls: MlsGroup,
    pub(crate) id: GroupId,
    pub(crate) policy: GroupPolicy,
    pub(crate) suite: Suite,
}

/// An operation that happened, if `writes` become durable. Drop all of it if they do not.
#[derive(Debug)]
#[must_use = "the operation happened only if the write set becomes durable"]
pub struct Changed<T> {
    /// What came of it.
    pub output: T,
    /// What the transaction has to store.
    pub writes: WriteSet,
    /// The group from then on; `None` when the device is no longer a member. Only for after the transaction, or for a
    /// further operation inside it, on a [`Device`] that reads what was written.
    pub group: Option<Group>,
}

impl Group {
    /// Loads a group; `None` when the device has none with this id.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn load(device: &Device<'_>, id: GroupId) -> Result<Option<Self>, Error> {
        let (loaded, _) = device.run(|provider| Ok(MlsGroup::load(provider.storage(), &mls_id(id))?))?;
        loaded.map(Self::of).transpose()
    }

    /// Seals an application message in the current epoch: an `MLSMessage` holding a `PrivateMessage`, padded.
    ///
    /// # Errors
    /// [`Error::ProposalsPending`], [`Error::NotMember`], [`Error::TooLarge`], [`Error::Storage`].
    pub fn seal(mut self, device: &Device<'_>, aad: &Aad, plaintext: &[u8]) -> Result<Changed<Vec<u8>>, Error> {
        if self.mls.has_pending_proposals() {
            return Err(Error::ProposalsPending);
        }
        if plaintext.len() > limits::PAYLOAD_MAX_BYTES {
            return Err(Error::TooLarge);
        }
        device.change(|provider| {
            self.mls.set_aad(wire::encode(aad));
            let message =
                self.mls.create_message(provider, &device.signer(), plaintext).map_err(|cause| match cause {
                    CreateMessageError::GroupStateError(MlsGroupStateError::UseAfterEviction) => Error::NotMember,
                    cause => Error::invalid(cause),
                })?;
            let payload = bytes(&message)?;
            if payload.len() > limits::PAYLOAD_MAX_BYTES {
                return Err(Error::TooLarge);
            }
            Ok((payload, Some(self)))
        })
    }

    /// The commit of this device that waits was recorded: begins its epoch. Processing the commit's own log entry with
    /// [`Group::open`] does the same.
    ///
    /// # Errors
    /// [`Error::NoCommitPending`], [`Error::Storage`].
    pub fn merge_pending(self, device: &Device<'_>) -> Result<Changed<Committed>, Error> {
        device.change(|provider| self.merge_own(provider).map(|(committed, group)| (committed, Some(group))))
    }

    /// The commit of this device that waits was refused, or lost the epoch to another: forgets it. Without one, nothing
    /// changes.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn discard_pending(mut self, device: &Device<'_>) -> Result<Changed<()>, Error> {
        device.change(|provider| {
            self.mls.clear_pending_commit(provider.storage())?;
            Ok(((), Some(self)))
        })
    }

    /// Deletes everything that is stored of the group: this device has left it for good.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn forget(mut self, device: &Device<'_>) -> Result<WriteSet, Error> {
        device.run(|provider| Ok(self.mls.delete(provider.storage())?)).map(|((), writes)| writes)
    }

    /// The group's id.
    pub const fn id(&self) -> GroupId {
        self.id
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.mls.epoch().as_u64()
    }

    /// The policy, as every member has it.
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
    /// [`Error::Refused`] if one is not ours, which no check lets in.
    pub fn members(&self) -> Result<Vec<LeafView>, Error> {
        Ok(reading::members(self.mls.public_group())?)
    }

    /// Whether a commit of this device waits for its outcome.
    pub fn has_pending_commit(&self) -> bool {
        self.mls.pending_commit().is_some()
    }

    /// Whether members wait to leave: any member's next commit removes them, and until then nothing can be sent.
    pub fn has_pending_proposals(&self) -> bool {
        self.mls.has_pending_proposals()
    }

    /// The key that seals typing and presence in this epoch (`docs/decisions/0002-mls.md`).
    ///
    /// # Errors
    /// A failure of the library that has no known cause.
    pub fn ephemeral_key(&self, device: &Device<'_>) -> Result<Zeroizing<[u8; 32]>, Error> {
        let secret = self.mls.export_secret(device.crypto(), EPHEMERAL_EXPORTER, &[], 32).map_err(Error::invalid)?;
        let secret = Zeroizing::new(secret);
        secret.as_slice().try_into().map(Zeroizing::new).map_err(|_| Error::Refused(Refused::Malformed))
    }

    /// `MLSMessage` holding a GroupInfo of this epoch, without the tree, signed by this device.
    ///
    /// # Errors
    /// A failure of the library that has no known cause.
    pub fn group_info(&self, device: &Device<'_>) -> Result<Vec<u8>, Error> {
        let info = self.mls.export_group_info(device.crypto(), &device.signer(), false).map_err(Error::invalid)?;
        bytes(&info)
    }

    /// The ratchet tree of this epoch (RFC 9420 §12.4.3.3).
    ///
    /// # Errors
    /// As [`Group::members`].
    pub fn tree(&self) -> Result<Vec<u8>, Error> {
        bytes(&self.mls.export_ratchet_tree())
    }

    pub(crate) fn of(mls: MlsGroup) -> Result<Self, Error> {
        let id = reading::group_id(mls.group_id())?;
        let policy = reading::policy(mls.extensions())?;
        let suite = Suite::of(mls.ciphersuite())?;
        Ok(Self { mls, id, policy, suite })
    }

    /// The leaf at a place in the tree.
    pub(crate) fn leaf(&self, index: LeafNodeIndex) -> Result<LeafView, Error> {
        let node = self.mls.public_group().leaf(index).ok_or(Refused::Malformed)?;
        Ok(reading::leaf(index.u32(), node)?)
    }
}

pub(crate) fn mls_id(id: GroupId) -> MlsGroupId {
    MlsGroupId::from_slice(id.as_bytes())
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("id", &self.id).field("epoch", &self.epoch()).finish_non_exhaustive()
    }
}
