//! `succeed`: another group takes the place of the conversation's group. It is checked against the public tree of the group
//! before, outside the transaction; inside it, the compare-and-set on group and epoch decides.

use super::{
    epoch::{self, Next},
    membership,
};
use crate::{
    gateway::{failure::Failure, state::Session},
    groups::Membership,
    node::Node,
};
use roster::{PublicTree, Vouch};
use std::sync::Arc;
use store::{Actor, CommitOutcome, NewSuccession, Tx};
use trust::LeafIdentity;
use wire::sabotage::{Defence, stands};
use wire::{
    DeviceId, ErrorCode, Op,
    request::{RecordedAt, Succeed},
};

pub(crate) async fn handle(node: &Node, session: &Session, succeed: Succeed) -> Result<RecordedAt, Failure> {
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
    let new = new_succession(session, &succeed, &next, members.iter().map(|leaf| leaf.identity.device))?;
    record(node, session, &before, next, new).await
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
    };
    epoch::repeated(node, session, conversation, (group, epoch), move |tx| tx.record_succession(&unchecked)).await
}

fn new_succession(
    session: &Session,
    succeed: &Succeed,
    next: &PublicTree,
    before: impl Iterator<Item = DeviceId>,
) -> Result<NewSuccession, Failure> {
    let leaves = next.members().map_err(|error| membership::refused(&error))?;
    let members: Vec<DeviceId> = leaves.iter().map(|leaf| leaf.identity.device).collect();
    Ok(NewSuccession {
        conversation: succeed.conversation,
        predecessor: succeed.predecessor,
        epoch: succeed.epoch,
        sender: session.device,
        message_id: succeed.message_id,
        at: session.clock.now(),
        group: next.group_id(),
        group_info: succeed.group_info.clone(),
        policy: wire::encode(next.policy()),
        tree: succeed.tree.clone(),
        public_group: next.snapshot().map_err(Failure::internal)?,
        welcome: succeed.welcome.clone(),
        left_out: before.filter(|device| !members.contains(device)).collect(),
        welcomed: members.into_iter().filter(|device| *device != session.device).collect(),
    })
}

async fn record(
    node: &Node,
    session: &Session,
    before: &Membership,
    next: PublicTree,
    new: NewSuccession,
) -> Result<RecordedAt, Failure> {
    let conversation = new.conversation;
    let welcomed = new.welcomed.clone();
    let members: Vec<DeviceId> = welcomed.iter().copied().chain([session.device]).collect();
    let outcome = session.tenant.store.write(move |tx: &mut Tx<'_>| {
        let outcome = tx.record_succession(&new)?;
        if let CommitOutcome::Recorded { entry, .. } = &outcome {
            let objects = [*new.conversation.as_bytes(), *new.group.as_bytes()];
            super::audit(tx, entry.at, Actor::Device(new.sender), Op::Succeed, "ok", &objects)?;
        }
        Ok::<_, Failure>(outcome)
    });
    epoch::ended(node, session, conversation, before, Next { tree: next, members, welcomed }, outcome.await?)
}
