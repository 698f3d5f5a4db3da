//! `propose`: a member says that it leaves. The public tree keeps the proposal, so that the commit that carries it out can
//! name it; the log keeps it for the members, and for whoever brings the tree back.

use super::{
    membership,
    resupply::{self, Lost},
};
use crate::{
    gateway::{failure::Failure, state::Session},
    groups::Membership,
    node::Node,
};
use roster::{CheckedProposal, PublicTree, Refused, payload};
use rules::admit::{self, Situation};
use store::{Append, NewEntry, Tx};
use wire::{
    Entry, EntryKind, ErrorCode, GroupId,
    request::{Propose, RecordedAt},
};

pub(crate) async fn handle(node: &Node, session: &Session, propose: Propose) -> Result<RecordedAt, Failure> {
    session.may_record()?;
    let conversation = propose.conversation;
    let before = membership::of(node, session, conversation).await?.ok_or(ErrorCode::Forbidden)?;
    let member = before.has(session.device);
    admit::send(Situation { member, epoch: propose.epoch }, propose.epoch, propose.payload.len())?;
    let (group, _) = payload::place(&propose.payload).map_err(|_| ErrorCode::Malformed)?;
    // It may be a repeat of what was recorded in an earlier epoch or group, which only the store knows.
    if group != before.group_id {
        return repeat(session, group, propose).await;
    }
    match admit::send(Situation { member, epoch: before.epoch }, propose.epoch, propose.payload.len()) {
        Err(ErrorCode::StaleEpoch) => return repeat(session, group, propose).await,
        other => other?,
    }
    let tree = membership::tree(node, session, conversation).await?.ok_or(ErrorCode::Forbidden)?;
    let payload = propose.payload.clone();
    let checked = membership::blocking(move || {
        let checked = tree.check_proposal(&payload);
        (tree, checked)
    });
    let (tree, checked) = checked.await?;
    match checked {
        Ok(checked) if is_by_caller(session, &checked, &propose) => {
            let new = new_entry(session, tree.group_id(), propose);
            record(node, session, &before, tree, checked, new).await
        }
        refused => {
            node.groups.put_tree(session.tenant.id, conversation, tree);
            match refused {
                Ok(_) => Err(ErrorCode::InvalidCommit.into()),
                Err(Refused::Epoch { .. }) => Err(ErrorCode::StaleEpoch.into()),
                Err(error) => Err(membership::refused(&error)),
            }
        }
    }
}

fn is_by_caller(session: &Session, checked: &CheckedProposal, propose: &Propose) -> bool {
    let leaver = checked.leaver;
    leaver.device == session.device && leaver.user == session.user && checked.aad.message_id == propose.message_id
}

/// Only a repeat is answered: what was not checked must not be recorded, and an epoch that is over stays over.
async fn repeat(session: &Session, group: GroupId, propose: Propose) -> Result<RecordedAt, Failure> {
    let (conversation, epoch) = (propose.conversation, propose.epoch);
    let new = new_entry(session, group, propose);
    let outcome = session.tenant.store.write(move |tx: &mut Tx<'_>| match tx.conversation(conversation)? {
        Some(there) if (there.group, there.epoch) != (group, epoch) => Ok::<_, Failure>(Some(tx.append_entry(new)?)),
        _ => Ok(None),
    });
    match outcome.await? {
        Some(Append::Repeated(at)) => Ok(at),
        Some(Append::KeyReused) => Err(ErrorCode::KeyReused.into()),
        _ => Err(ErrorCode::StaleEpoch.into()),
    }
}

async fn record(
    node: &Node,
    session: &Session,
    before: &Membership,
    mut tree: PublicTree,
    checked: CheckedProposal,
    new: NewEntry,
) -> Result<RecordedAt, Failure> {
    let (tenant, conversation) = (session.tenant.id, new.conversation);
    // Kept before it is recorded, because the tree is this task's alone, and dropped unless the proposal is recorded.
    tree.keep_proposal(checked).map_err(Failure::internal)?;
    let outcome = session.tenant.store.write(move |tx: &mut Tx<'_>| Ok::<_, Failure>(tx.append_entry(new)?)).await?;
    match outcome {
        Append::Recorded { entry, generation: _ } => {
            // Another task may have brought back a tree of its own in between, which has not seen the proposal.
            node.groups.replace_tree(tenant, conversation, tree);
            Ok(resupply::tell(node, session, before, conversation, entry))
        }
        other => resupply::answer(node, session, conversation, other),
    }
}

/// One that a restore has lost.
pub(super) async fn supplied(
    node: &Node,
    session: &Session,
    before: &Membership,
    lost: Lost,
) -> Result<RecordedAt, Failure> {
    let tree = membership::tree(node, session, lost.conversation).await?.ok_or(ErrorCode::Forbidden)?;
    let checked = tree.check_proposal(&lost.entry.payload);
    let is_as_it_says = checked.as_ref().is_ok_and(|checked| {
        let is_own = checked.leaver.device == lost.entry.sender;
        is_own && (checked.aad.message_id, tree.epoch()) == (lost.entry.message_id, lost.entry.epoch)
    });
    match checked {
        Ok(checked) if is_as_it_says => {
            let (at, supplied, group) = (lost.at(session), Some(lost.place()), tree.group_id());
            let Entry { kind, epoch, sender, message_id, payload, .. } = lost.entry;
            let conversation = lost.conversation;
            let new = NewEntry { conversation, group, epoch, kind, sender, message_id, payload, at, supplied };
            record(node, session, before, tree, checked, new).await
        }
        refused => {
            node.groups.put_tree(session.tenant.id, lost.conversation, tree);
            match refused {
                Ok(_) => Err(ErrorCode::InvalidCommit.into()),
                Err(error) => Err(membership::refused(&error)),
            }
        }
    }
}

fn new_entry(session: &Session, group: GroupId, propose: Propose) -> NewEntry {
    NewEntry {
        conversation: propose.conversation,
        group,
        epoch: propose.epoch,
        kind: EntryKind::Proposal,
        sender: session.device,
        message_id: propose.message_id,
        payload: propose.payload,
        at: session.clock.now(),
        supplied: None,
    }
}
