//! `resupply`: an entry that a restore has lost comes back from a device that has it. It goes through the checks that it went
//! through when it was new; the store lets it in at its old place only, before anything of the new generation.
//!
//! Who supplies need not be who sent it: of an application message the server sees its outside only, and members see by its
//! signature whether it is what it says.

use super::{
    commit::{self, Made},
    epoch, membership, propose, succeed,
};
use crate::{
    gateway::{failure::Failure, state::Session},
    groups::Membership,
    node::Node,
};
use bytes::Bytes;
use roster::{PublicTree, Vouch, payload};
use rules::admit::{self, Situation};
use store::{Append, NewEntry, Supplied, Tx};
use trust::Committer;
use wire::{
    Entry, EntryKind, ErrorCode, Event, UnixMillis,
    event::Recorded,
    frame,
    request::{RecordedAt, Resupply},
};

/// What is given back, and where it stood.
pub(super) struct Lost {
    pub(super) conversation: wire::ConversationId,
    pub(super) entry: Entry,
    pub(super) tree: Option<Vec<u8>>,
}

impl Lost {
    pub(super) const fn place(&self) -> Supplied {
        Supplied { seq: self.entry.seq, generation: self.entry.generation }
    }

    /// When it was recorded, by the word of whoever supplies it; not in the future.
    pub(super) fn at(&self, session: &Session) -> UnixMillis {
        self.entry.at.min(session.clock.now())
    }
}

pub(crate) async fn handle(node: &Node, session: &Session, resupply: Resupply) -> Result<RecordedAt, Failure> {
    let Resupply { conversation, entry, tree } = resupply;
    let before = commit::admit(node, session, conversation).await?;
    if session.tenant.held_ms(session.clock.now()).is_none() || entry.generation >= before.generation {
        return Err(ErrorCode::GenerationChanged.into());
    }
    if let Some(at) = there_already(session, conversation, &entry).await? {
        return Ok(at);
    }
    let lost = Lost { conversation, entry, tree };
    match lost.entry.kind {
        EntryKind::Application => message(node, session, &before, lost).await,
        EntryKind::Commit => handshake(node, session, &before, lost).await,
        EntryKind::Proposal => propose::supplied(node, session, &before, lost).await,
        EntryKind::Succession => succeed::supplied(node, session, &before, lost).await,
    }
}

/// Another device may have been faster; when it was recorded counts as it was said first.
async fn there_already(
    session: &Session,
    conversation: wire::ConversationId,
    entry: &Entry,
) -> Result<Option<RecordedAt>, Failure> {
    let seq = entry.seq;
    let there = session.tenant.store.read(move |tx| Ok::<_, Failure>(tx.entry_at(conversation, seq)?)).await?;
    match there {
        None => Ok(None),
        Some(there) if (Entry { at: there.at, ..entry.clone() }) == there => {
            Ok(Some(RecordedAt { seq, at: there.at, generation: there.generation }))
        }
        Some(_) => Err(ErrorCode::AlreadyExists.into()),
    }
}

async fn message(node: &Node, session: &Session, before: &Membership, lost: Lost) -> Result<RecordedAt, Failure> {
    let (conversation, entry) = (lost.conversation, &lost.entry);
    let situation = Situation { member: before.has(entry.sender), epoch: before.epoch };
    let facts = payload::check_application(&entry.payload).map_err(|_| ErrorCode::Malformed)?;
    if facts.epoch != entry.epoch || facts.aad.message_id != entry.message_id {
        return Err(ErrorCode::Malformed.into());
    }
    let is_current = facts.group_id == before.group_id && entry.epoch == before.epoch;
    if is_current {
        admit::send(situation, entry.epoch, entry.payload.len())?;
    }
    let new = NewEntry {
        conversation,
        group: facts.group_id,
        epoch: entry.epoch,
        kind: entry.kind,
        sender: entry.sender,
        message_id: entry.message_id,
        at: lost.at(session),
        supplied: Some(lost.place()),
        payload: lost.entry.payload,
    };
    let appended = session.tenant.store.write(move |tx: &mut Tx<'_>| Ok::<_, Failure>(tx.append_entry(new)?)).await?;
    match appended {
        Append::Recorded { entry, generation: _ } => Ok(tell(node, session, before, conversation, entry)),
        other => answer(node, session, conversation, other),
    }
}

/// What is answered when nothing was recorded now.
pub(super) fn answer(
    node: &Node,
    session: &Session,
    conversation: wire::ConversationId,
    appended: Append,
) -> Result<RecordedAt, Failure> {
    match appended {
        Append::Repeated(at) => Ok(at),
        Append::StaleEpoch { .. } => {
            node.groups.forget(session.tenant.id, conversation);
            Err(ErrorCode::StaleEpoch.into())
        }
        Append::KeyReused => Err(ErrorCode::KeyReused.into()),
        Append::OutOfPlace => Err(ErrorCode::AlreadyExists.into()),
        Append::NoConversation | Append::Recorded { .. } => Err(ErrorCode::Forbidden.into()),
    }
}

/// The others get it as if it were new.
pub(super) fn tell(
    node: &Node,
    session: &Session,
    before: &Membership,
    conversation: wire::ConversationId,
    entry: Entry,
) -> RecordedAt {
    let at = RecordedAt { seq: entry.seq, at: entry.at, generation: entry.generation };
    let recorded = Recorded { conversation, generation: before.generation, entry };
    let frame = Bytes::from(frame::event(&Event::Recorded(recorded)));
    let told = node.hub.fan_out(session.tenant.id, &before.devices, Some(session.device), &frame);
    node.metrics.fanned_out(told);
    at
}

async fn handshake(node: &Node, session: &Session, before: &Membership, lost: Lost) -> Result<RecordedAt, Failure> {
    let conversation = lost.conversation;
    let tree = membership::tree(node, session, conversation).await?.ok_or(ErrorCode::Forbidden)?;
    let bytes = lost.entry.payload.clone();
    let judge = move |tree: &PublicTree, vouch: Vouch<'_>| tree.check_supplied(&bytes, vouch);
    let (tree, checked) = epoch::judged(session, tree, judge).await?;
    let is_as_it_says = checked.as_ref().is_ok_and(|checked| {
        let committer = match checked.committer {
            Committer::Member(leaf) => leaf,
            Committer::External { joiner, .. } => joiner,
        };
        let (id, epoch) = (checked.aad.message_id, checked.epoch.saturating_sub(1));
        committer.device == lost.entry.sender && (id, epoch) == (lost.entry.message_id, lost.entry.epoch)
    });
    match checked {
        Ok(checked) if is_as_it_says => {
            let made = Made {
                conversation,
                sender: lost.entry.sender,
                message_id: lost.entry.message_id,
                at: lost.at(session),
                supplied: Some(lost.place()),
                commit: lost.entry.payload,
                group_info: Vec::new(),
                welcome: None,
            };
            commit::record(node, session, before, tree, checked, made).await
        }
        refused => {
            node.groups.put_tree(session.tenant.id, conversation, tree);
            match refused {
                Ok(_) => Err(ErrorCode::InvalidCommit.into()),
                Err(error) => Err(membership::refused(&error)),
            }
        }
    }
}
