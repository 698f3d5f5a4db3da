//! What comes out of the log: opened, checked against its envelope, and followed.

use crate::commit::{Committed, committed};
use crate::device::{Device, Provider, bytes};
use crate::group::{Changed, Group};
use crate::storage::Failed;
use crate::{Error, Refused};
use openmls::prelude::{
    ContentType, MlsMessageBodyIn, OpenMlsProvider, ProcessMessageError, ProcessedMessageContent, Proposal,
    ProtocolMessage, QueuedProposal, Sender, StageCommitError, StagedCommit,
};
use roster::reading::{self, LeafView, Strictness};
use roster::{Vouch, payload};
use std::fmt;
use trust::{Aad, LeafIdentity, PolicyViolation};
use wire::sabotage::{Defence, stands};
use wire::{DeviceId, Entry, EntryKind};
use zeroize::Zeroizing;

/// What a log entry held. The author is always the owner of the MLS leaf, whatever else is claimed.
pub enum Opened {
    /// An application message of another device.
    Message {
        /// Who sent it.
        sender: LeafView,
        /// Its authenticated data.
        aad: Aad,
        /// What was sealed.
        plaintext: Zeroizing<Vec<u8>>,
    },
    /// An application message that claims to be this device's own. MLS cannot open those, so that nothing in it is
    /// authenticated but the key that all members share: compare the payload with what this device sent. If it sent no
    /// such message, its state was copied, or a member lies.
    Own {
        /// The authenticated data, as claimed.
        aad: Aad,
    },
    /// A commit, which has taken effect.
    Commit {
        /// What it did.
        commit: Committed,
        /// Its authenticated data.
        aad: Aad,
    },
    /// A member wants to leave: commit before sending. The next commit of any member but the leaver removes it.
    Leaving {
        /// Who.
        leaver: LeafView,
        /// The authenticated data.
        aad: Aad,
    },
}

impl Group {
    /// Opens a log entry, and follows it if it is a commit: the next epoch begins, or the group ends for this device.
    ///
    /// The envelope is the server's word, and must say what MLS says: kind, epoch, sender and message id.
    ///
    /// # Errors
    /// [`Error`] says for each case what a client does. [`Error::NeedsIdentities`] is the only one after which the same
    /// call can succeed.
    pub fn open(mut self, device: &Device<'_>, entry: &Entry, vouch: Vouch<'_>) -> Result<Changed<Opened>, Error> {
        let message = self.message(entry)?;
        device.change(|provider| {
            let processed = self.mls.process_message(provider, message);
            let processed = processed.map_err(|error| self.refusal(provider, entry, error))?;
            let aad = payload::aad(processed.aad())?;
            if aad.message_id != entry.message_id && stands(Defence::EnvelopeId) {
                return Err(Error::Envelope);
            }
            let sender = processed.sender().clone();
            match processed.into_content() {
                ProcessedMessageContent::ApplicationMessage(content) => {
                    let sender = self.member(&sender)?;
                    let plaintext = Zeroizing::new(content.into_bytes());
                    check_sender(entry, sender.identity.device)?;
                    Ok((Opened::Message { sender, aad, plaintext }, Some(self)))
                }
                ProcessedMessageContent::OwnPrivateMessage => {
                    check_sender(entry, device.identity().device)?;
                    Ok((Opened::Own { aad }, Some(self)))
                }
                ProcessedMessageContent::OwnPendingCommit => {
                    check_sender(entry, device.identity().device)?;
                    let (commit, group) = self.merge_own(provider)?;
                    Ok((Opened::Commit { commit, aad }, Some(group)))
                }
                ProcessedMessageContent::StagedCommitMessage(staged) => {
                    let (commit, group) = self.follow(provider, entry, &sender, *staged, vouch)?;
                    Ok((Opened::Commit { commit, aad }, group))
                }
                ProcessedMessageContent::ProposalMessage(proposal) => {
                    let leaver = self.queue(provider, entry, *proposal)?;
                    Ok((Opened::Leaving { leaver, aad }, Some(self)))
                }
                ProcessedMessageContent::ExternalJoinProposalMessage(_) => Err(refused(PolicyViolation::Other)),
            }
        })
    }

    /// This device wants to leave: a SelfRemove proposal, `MLSMessage` holding a `PublicMessage`, that another member
    /// commits. Until then the device stays a member and sends nothing.
    ///
    /// # Errors
    /// [`Error::CommitPending`], [`Error::NotMember`], [`Error::Storage`].
    pub fn leave(mut self, device: &Device<'_>, aad: &Aad) -> Result<Changed<Vec<u8>>, Error> {
        if self.has_pending_commit() {
            return Err(Error::CommitPending);
        }
        device.change(|provider| {
            self.mls.set_aad(wire::encode(aad));
            let proposal = self.mls.leave_group_via_self_remove(provider, &device.signer()).map_err(Error::invalid)?;
            Ok((bytes(&proposal)?, Some(self)))
        })
    }

    /// The entry's payload, of the kind, group and epoch that the entry says.
    fn message(&self, entry: &Entry) -> Result<ProtocolMessage, Error> {
        let message = match reading::message(&entry.payload)? {
            MlsMessageBodyIn::PublicMessage(message) => ProtocolMessage::from(message),
            MlsMessageBodyIn::PrivateMessage(message) => ProtocolMessage::from(message),
            _ => return Err(Refused::Malformed.into()),
        };
        let kind = match message.content_type() {
            ContentType::Application => EntryKind::Application,
            ContentType::Commit => EntryKind::Commit,
            ContentType::Proposal => EntryKind::Proposal,
        };
        if message.group_id().as_slice() != self.id.as_bytes() {
            return Err(Refused::WrongGroup.into());
        }
        let (epoch, current) = (message.epoch().as_u64(), self.epoch());
        match epoch.cmp(&current) {
            _ if kind != entry.kind || epoch != entry.epoch => Err(Error::Envelope),
            std::cmp::Ordering::Less => Err(Error::PastEpoch { epoch, current }),
            std::cmp::Ordering::Greater => Err(Error::FutureEpoch { epoch, current }),
            std::cmp::Ordering::Equal => Ok(message),
        }
    }

    /// Why it is not followed. If nobody but a member can see what is wrong with a commit, its author has made it so: what is
    /// sealed in its path is signed. Its confirmation tag is not, but by the membership tag, which a commit from outside does not
    /// have: there the server could have changed it.
    fn refusal(&self, provider: &Provider<'_>, entry: &Entry, error: ProcessMessageError<Failed>) -> Error {
        use StageCommitError::{ConfirmationTagMismatch, MissingDecryptionKey, UpdatePathError};
        let author = match &error {
            ProcessMessageError::InvalidCommit(UpdatePathError(_) | MissingDecryptionKey) => {
                self.author(provider, entry, true)
            }
            ProcessMessageError::InvalidCommit(ConfirmationTagMismatch) => self.author(provider, entry, false),
            _ => None,
        };
        author.filter(|_| stands(Defence::PoisonerNamed)).map_or_else(|| Error::processing(error), Error::Poisoned)
    }

    /// Whose leaf has signed a commit that was refused only after its signature had been checked.
    fn author(&self, provider: &Provider<'_>, entry: &Entry, outside_too: bool) -> Option<LeafIdentity> {
        let MlsMessageBodyIn::PublicMessage(message) = reading::message(&entry.payload).ok()? else { return None };
        let sender = message.sender().clone();
        if let Sender::Member(index) = sender {
            return self.leaf(index).ok().map(|leaf| leaf.identity);
        }
        let group = self.mls.public_group();
        let processed = group.process_message(provider.crypto(), ProtocolMessage::from(message)).ok()?;
        match processed.into_content() {
            ProcessedMessageContent::StagedCommitMessage(staged) if outside_too => {
                reading::read(group, &sender, &staged).ok().map(|reading| reading.committer_leaf.identity)
            }
            _ => None,
        }
    }

    fn follow(
        mut self,
        provider: &Provider<'_>,
        entry: &Entry,
        sender: &Sender,
        staged: StagedCommit,
        vouch: Vouch<'_>,
    ) -> Result<(Committed, Option<Self>), Error> {
        let reading = reading::read(self.mls.public_group(), sender, &staged)?;
        check_sender(entry, reading.committer_leaf.identity.device)?;
        let gone = reading::judge(&self.policy, self.mls.public_group(), &reading, vouch, Strictness::Following)?;
        let (epoch, self_removed) = (staged.epoch().as_u64(), staged.self_removed());
        let commit = committed(reading, epoch, gone, false, self_removed);
        if self_removed {
            // Not merged first: OpenMLS would then look for this epoch's keys under the next epoch, and leave them behind.
            self.mls.delete(provider.storage())?;
            return Ok((commit, None));
        }
        self.mls.merge_staged_commit(provider, staged).map_err(Error::invalid)?;
        Ok((commit, Some(Self::of(self.mls)?)))
    }

    fn queue(&mut self, provider: &Provider<'_>, entry: &Entry, proposal: QueuedProposal) -> Result<LeafView, Error> {
        if !matches!(proposal.proposal(), Proposal::SelfRemove) {
            return Err(refused(PolicyViolation::Other));
        }
        let leaver = self.member(proposal.sender())?;
        check_sender(entry, leaver.identity.device)?;
        // It may come twice, and a leaver has its own already.
        let mut queued = self.mls.pending_proposals();
        let known = queued.any(|queued| queued.proposal_reference_ref() == proposal.proposal_reference_ref());
        drop(queued);
        if !known {
            self.mls.store_pending_proposal(provider.storage(), proposal)?;
        }
        Ok(leaver)
    }

    fn member(&self, sender: &Sender) -> Result<LeafView, Error> {
        match sender {
            Sender::Member(index) => self.leaf(*index),
            _ => Err(refused(PolicyViolation::NotMember)),
        }
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { sender, aad, .. } => f
                .debug_struct("Message")
                .field("sender", &sender.identity)
                .field("id", &aad.message_id)
                .finish_non_exhaustive(),
            Self::Own { aad } => f.debug_struct("Own").field("id", &aad.message_id).finish(),
            Self::Commit { commit, aad } => {
                f.debug_struct("Commit").field("commit", commit).field("id", &aad.message_id).finish()
            }
            Self::Leaving { leaver, aad } => {
                f.debug_struct("Leaving").field("leaver", &leaver.identity).field("id", &aad.message_id).finish()
            }
        }
    }
}

fn check_sender(entry: &Entry, device: DeviceId) -> Result<(), Error> {
    if entry.sender == device || !stands(Defence::EnvelopeSender) { Ok(()) } else { Err(Error::Envelope) }
}

fn refused(violation: PolicyViolation) -> Error {
    Error::Refused(Refused::Policy(violation))
}
