//! `succeed`: another group takes the place of the conversation's group. It is checked against the public tree of the group
//! before, outside the transaction; inside it, the compare-and-set on group and epoch decides.

use super::{
    epoch::{self, Next},
    membership,
    resupply::Lost,
};
use crate::{
    gateway::{failure::Failure, state::Session},
    groups::Membership,
    node::Node,
};
use roster::{PublicTree, Refused, Vouch, reading::LeafView};
use std::sync::Arc;
use store::{Actor, CommitOutcome, NewSuccession, Tx};
use trust::LeafIdentity;
use wire::sabotage::{Defence, stands};
use wire::{
    DeviceId, ErrorCode, Op,
    request::{RecordedAt, Succeed},
};

pub(crate) async fn handle(node: &Node, session: &Session, succeed: Succeed) -> Result<RecordedAt, Failure> {
    session.may_record()?;
    let conversation = succeed.conversation;
    let before = membership::of(node, session, conversation).await?.ok_or(ErrorCode::Forbidden)?;
    if !before.has(session.device) {
        return Err(ErrorCode::Forbidden.into());
    }
    let old = membership::tree(node, session, conversation).await?.ok_or(ErrorCode::Forbidden)?;
    if (old.group_id(), old.epoch()) != (succeed.predecessor, succeed.epoch) && stands(Defence::EpochCompareAndSet) {
        node.groups.put_tree(session.tenant.id, conversation, old);
        return repeat(node, session, &succeed).await;
    }
    let succeed = Arc::new(succeed);
    let judge = {
        let succeed = Arc::clone(&succeed);
        let maker = LeafIdentity { tenant: session.tenant.id, user: session.user, device: session.device };
        move |old: &PublicTree, vouch: Vouch<'_>| {
            let Succeed { group_info, tree, welcome, .. } = &*succeed;
            old.successor(group_info, tree, welcome.as_deref(), &maker, vouch)
        }
    };
    let (old, checked) = epoch::judged(session, old, judge).await?;
    let members = old.members();
    node.groups.put_tree(session.tenant.id, conversation, old);
    let next = checked.map_err(|error| membership::refused(&error))?;
    if next.suite().code() != session.tenant.suite && stands(Defence::SuiteOfTenant) {
        return Err(ErrorCode::UnsupportedSuite.into());
    }
    let members = members.map_err(|error| membership::refused(&error))?;
    let devices = devices(&next)?;
    let (group, policy) = (next.group_id(), wire::encode(next.policy()));
    let new = NewSuccession {
        conversation,
        predecessor: succeed.predecessor,
        epoch: succeed.epoch,
        sender: session.device,
        message_id: succeed.message_id,
        at: session.clock.now(),
        group,
        group_info: succeed.group_info.clone(),
        policy,
        tree: succeed.tree.clone(),
        public_group: next.snapshot().map_err(Failure::internal)?,
        welcome: succeed.welcome.clone(),
        left_out: left_out(&members, &devices),
        welcomed: devices.iter().copied().filter(|device| *device != session.device).collect(),
        supplied: None,
    };
    let welcomed = new.welcomed.clone();
    record(node, session, &before, Next { tree: next, members: devices, welcomed }, new).await
}

/// One that a restore has lost. Whoever has not followed it yet comes in from outside: its Welcome was lost with it.
pub(super) async fn supplied(
    node: &Node,
    session: &Session,
    before: &Membership,
    lost: Lost,
) -> Result<RecordedAt, Failure> {
    let Lost { conversation, entry, tree } = &lost;
    let (conversation, tree) = (*conversation, tree.clone().ok_or(ErrorCode::InvalidCommit)?);
    let old = membership::tree(node, session, conversation).await?.ok_or(ErrorCode::Forbidden)?;
    let (predecessor, epoch) = (old.group_id(), old.epoch());
    let members = old.members().map_err(|error| membership::refused(&error))?;
    let maker = members.iter().map(|leaf| leaf.identity).find(|leaf| leaf.device == entry.sender);
    let judge = {
        let (group_info, tree) = (entry.payload.clone(), tree.clone());
        move |old: &PublicTree, vouch: Vouch<'_>| {
            let maker = maker.ok_or(Refused::Malformed)?;
            old.supplied_successor(&group_info, &tree, &maker, vouch)
        }
    };
    let (old, checked) = epoch::judged(session, old, judge).await?;
    node.groups.put_tree(session.tenant.id, conversation, old);
    let next = checked.map_err(|error| membership::refused(&error))?;
    let devices = devices(&next)?;
    let new = NewSuccession {
        conversation,
        predecessor,
        epoch,
        sender: entry.sender,
        message_id: entry.message_id,
        at: lost.at(session),
        group: next.group_id(),
        group_info: entry.payload.clone(),
        policy: wire::encode(next.policy()),
        tree,
        public_group: next.snapshot().map_err(Failure::internal)?,
        welcome: None,
        left_out: left_out(&members, &devices),
        welcomed: Vec::new(),
        supplied: Some(lost.place()),
    };
    record(node, session, before, Next { tree: next, members: devices, welcomed: Vec::new() }, new).await
}

fn devices(group: &PublicTree) -> Result<Vec<DeviceId>, Failure> {
    let leaves = group.members().map_err(|error| membership::refused(&error))?;
    Ok(leaves.iter().map(|leaf| leaf.identity.device).collect())
}

fn left_out(before: &[LeafView], after: &[DeviceId]) -> Vec<DeviceId> {
    before.iter().map(|leaf| leaf.identity.device).filter(|device| !after.contains(device)).collect()
}

/// One for another epoch may be a repeat of one that was recorded: then the answer is that of the first time.
async fn repeat(node: &Node, session: &Session, succeed: &Succeed) -> Result<RecordedAt, Failure> {
    let (conversation, group, epoch) = (succeed.conversation, succeed.predecessor, succeed.epoch);
    let unchecked = NewSuccession {
        conversation,
        predecessor: group,
        epoch,
        sender: session.device,
        message_id: succeed.message_id,
        at: session.clock.now(),
        group,
        group_info: succeed.group_info.clone(),
        policy: Vec::new(),
        tree: Vec::new(),
        public_group: Vec::new(),
        welcome: None,
        welcomed: Vec::new(),
        left_out: Vec::new(),
        supplied: None,
    };
    epoch::repeated(node, session, conversation, (group, epoch), move |tx| tx.record_succession(&unchecked)).await
}

async fn record(
    node: &Node,
    session: &Session,
    before: &Membership,
    next: Next,
    new: NewSuccession,
) -> Result<RecordedAt, Failure> {
    let conversation = new.conversation;
    let outcome = session.tenant.store.write(move |tx: &mut Tx<'_>| {
        let outcome = tx.record_succession(&new)?;
        // What is supplied again has its record already, or lost it to the same restore.
        if let (CommitOutcome::Recorded { entry, .. }, None) = (&outcome, new.supplied) {
            let objects = [*new.conversation.as_bytes(), *new.group.as_bytes()];
            super::audit(tx, entry.at, Actor::Device(new.sender), Op::Succeed, "ok", &objects)?;
        }
        Ok::<_, Failure>(outcome)
    });
    epoch::ended(node, session, conversation, before, next, outcome.await?)
}
