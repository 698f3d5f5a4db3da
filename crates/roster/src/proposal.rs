//! The only proposal that travels on its own: a member's SelfRemove.

use crate::tree::PublicTree;
use crate::{Refused, payload, reading};
use openmls::prelude::{
    ContentType, MlsMessageBodyIn, ProcessedMessageContent, Proposal, PublicMessageIn, QueuedProposal, Sender,
};
use trust::{Aad, LeafIdentity, PolicyViolation};

/// A proposal that is valid and allowed, not yet kept. It fits only the tree that checked it, in the epoch in which it did.
pub struct CheckedProposal {
    pub(crate) queued: Box<QueuedProposal>,
    pub(crate) base: Vec<u8>,
    /// Whose leaf leaves: the sender's own.
    pub leaver: LeafIdentity,
    /// Its authenticated data, with the message id.
    pub aad: Aad,
}

impl PublicTree {
    /// Checks a proposal against this epoch: that it is a SelfRemove, and that a member of this group in this epoch has
    /// signed it. The membership tag stays the sender's claim: only members can check it.
    ///
    /// # Errors
    /// [`Refused`]; [`Refused::Policy`] for every other proposal.
    pub fn check_proposal(&self, proposal: &[u8]) -> Result<CheckedProposal, Refused> {
        let (processed, sender) = self.process(public_proposal(proposal)?)?;
        let aad = payload::aad(processed.aad())?;
        let ProcessedMessageContent::ProposalMessage(queued) = processed.into_content() else {
            return Err(Refused::Policy(PolicyViolation::Other));
        };
        if !matches!(queued.proposal(), Proposal::SelfRemove) {
            return Err(Refused::Policy(PolicyViolation::Other));
        }
        let Sender::Member(index) = sender else { return Err(Refused::Policy(PolicyViolation::NotMember)) };
        let node = self.group.leaf(index).ok_or(Refused::Malformed)?;
        let leaver = reading::leaf(index.u32(), node)?.identity;
        Ok(CheckedProposal { queued, base: self.base(), leaver, aad })
    }

    /// Keeps a proposal that was recorded, for the commit that carries it out.
    ///
    /// # Errors
    /// [`Refused::Epoch`] when it was checked in another epoch, or against another group; nothing has changed.
    pub fn keep_proposal(&mut self, proposal: CheckedProposal) -> Result<(), Refused> {
        if proposal.base != self.base() {
            return Err(Refused::Epoch { epoch: self.epoch(), current: self.epoch() });
        }
        self.keep(*proposal.queued)
    }

    /// Keeps a proposal that was recorded before, without asking again who made it.
    pub(crate) fn replay_proposal(&mut self, message: PublicMessageIn) -> Result<(), Refused> {
        let (processed, _) = self.process(message)?;
        match processed.into_content() {
            ProcessedMessageContent::ProposalMessage(queued) => self.keep(*queued),
            _ => Err(Refused::Malformed),
        }
    }
}

fn public_proposal(bytes: &[u8]) -> Result<PublicMessageIn, Refused> {
    match reading::message(bytes)? {
        MlsMessageBodyIn::PublicMessage(message) if message.content_type() == ContentType::Proposal => Ok(message),
        _ => Err(Refused::Malformed),
    }
}

impl std::fmt::Debug for CheckedProposal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckedProposal").field("leaver", &self.leaver).finish_non_exhaustive()
    }
}
