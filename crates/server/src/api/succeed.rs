//! `succeed`: another group takes the place of the conversation's group. It is checked against the public tree of the group
//! before, outside the transaction; inside it, the compare-and-set on group and epoch decides.

use super::membership::{self, Vouching};
use crate::{
    gateway::{failure::Failure, state::Session},
    groups::Membership,
    node::Node,
};
use bytes::Bytes;
use roster::{PublicTree, Refused};
use std::sync::Arc;
use store::{Actor, CommitOutcome, NewSuccession, Tx};
use trust::LeafIdentity;
use wire::sabotage::{Defence, stands};
use wire::{
    ConversationId, DeviceId, Entry, ErrorCode, Event, Op,
    event::{Recorded, WelcomeWaiting},
    frame,
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
    let (old, checked) = check(session, old, &succeed).await?;
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

/// The old tree comes back as it was.
async fn check(
    session: &Session,
    mut old: PublicTree,
    succeed: &Arc<Succeed>,
) -> Result<(PublicTree, Result<PublicTree, Refused>), Failure> {
    let tenant = session.tenant.id;
    let maker = LeafIdentity { tenant, user: session.user, device: session.device };
    let mut vouching = Vouching::default();
    loop {
        let (succeed, known) = (Arc::clone(succeed), vouching.clone());
        let checked = membership::blocking(move || {
            let vouch = |leaf: &_, key: &_| known.vouch(tenant, leaf, key);
            let Succeed { group_info, tree, welcome, .. } = &*succeed;
            let next = old.successor(group_info, tree, welcome.as_deref(), &maker, &vouch);
            (old, next)
        });
        match checked.await? {
            (same, Err(Refused::NeedsIdentities(users))) => {
                old = same;
                vouching.learn(&session.tenant.store, users).await?;
            }
            done => return Ok(done),
        }
    }
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
    let outcome = session.tenant.store.write(move |tx: &mut Tx<'_>| match tx.conversation(conversation)? {
        // It was not checked, so it must not be recorded.
        Some(there) if (there.group, there.epoch) != (group, epoch) => {
            Ok::<_, Failure>(Some(tx.record_succession(&unchecked)?))
        }
        _ => Ok(None),
    });
    match outcome.await? {
        Some(CommitOutcome::Repeated(at)) => Ok(at),
        Some(CommitOutcome::KeyReused) => Err(ErrorCode::KeyReused.into()),
        Some(_) => Err(ErrorCode::EpochTaken.into()),
        None => {
            // The tree in memory was behind; the next try finds a fresh one.
            node.groups.forget(session.tenant.id, conversation);
            Err(ErrorCode::EpochTaken.into())
        }
    }
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
    let (tenant, conversation) = (session.tenant.id, new.conversation);
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
    match outcome.await? {
        CommitOutcome::Recorded { entry, generation } => {
            let after = membership::membership(next.group_id(), generation, (next.epoch(), entry.seq), members);
            node.groups.keep(tenant, conversation, Arc::new(after));
            node.groups.put_tree(tenant, conversation, next);
            Ok(tell(node, session, before, &welcomed, conversation, entry, generation))
        }
        CommitOutcome::Repeated(at) => Ok(at),
        CommitOutcome::EpochTaken { .. } => {
            node.groups.forget(tenant, conversation);
            Err(ErrorCode::EpochTaken.into())
        }
        CommitOutcome::KeyReused => Err(ErrorCode::KeyReused.into()),
        CommitOutcome::NoConversation => Err(ErrorCode::Forbidden.into()),
    }
}

/// Everybody who was a member gets the entry, also who is left out; a device that has not joined yet gets its Welcome.
fn tell(
    node: &Node,
    session: &Session,
    before: &Membership,
    welcomed: &[DeviceId],
    conversation: ConversationId,
    entry: Entry,
    generation: u32,
) -> RecordedAt {
    let at = RecordedAt { seq: entry.seq, at: entry.at, generation };
    let recorded = Bytes::from(frame::event(&Event::Recorded(Recorded { conversation, generation, entry })));
    let waiting = Bytes::from(frame::event(&Event::WelcomeWaiting(WelcomeWaiting { conversation })));
    let tenant = session.tenant.id;
    let told = node.hub.fan_out(tenant, &before.devices, Some(session.device), &recorded)
        + node.hub.fan_out(tenant, welcomed, None, &waiting);
    node.metrics.fanned_out(told);
    at
}
