//! What everything that ends an epoch has in common, be it a commit or a succession: how it is checked, what a repeat is
//! answered, and what happens when it is recorded.

use super::membership::{self, Vouching};
use crate::{
    gateway::{failure::Failure, state::Session},
    groups::Membership,
    node::Node,
};
use bytes::Bytes;
use roster::{PublicTree, Refused, Vouch};
use std::sync::Arc;
use store::{CommitOutcome, Tx};
use wire::{
    ConversationId, DeviceId, Entry, ErrorCode, Event, GroupId,
    event::{Recorded, WelcomeWaiting},
    frame,
    request::RecordedAt,
};

/// The group after it, and who is in it.
pub(super) struct Next {
    pub(super) tree: PublicTree,
    pub(super) members: Vec<DeviceId>,
    /// Members that have to join first, by a Welcome.
    pub(super) welcomed: Vec<DeviceId>,
}

/// Checks something against the tree, again when it names users whose chains are not known. The tree comes back as it was.
pub(super) async fn judged<T: Send + 'static>(
    session: &Session,
    mut tree: PublicTree,
    check: impl Fn(&PublicTree, Vouch<'_>) -> Result<T, Refused> + Clone + Send + 'static,
) -> Result<(PublicTree, Result<T, Refused>), Failure> {
    let tenant = session.tenant.id;
    let mut vouching = Vouching::default();
    loop {
        let (check, known) = (check.clone(), vouching.clone());
        let judged = membership::blocking(move || {
            let vouch = |leaf: &_, key: &_| known.vouch(tenant, leaf, key);
            let judged = check(&tree, &vouch);
            (tree, judged)
        });
        match judged.await? {
            (same, Err(Refused::NeedsIdentities(users))) => {
                tree = same;
                vouching.learn(&session.tenant.store, users).await?;
            }
            done => return Ok(done),
        }
    }
}

/// One for an epoch that is not the current one may be a repeat of one that was recorded: then the answer is that of the first
/// time. `record` would record it, and is asked only where it cannot be: it was not checked.
pub(super) async fn repeated(
    node: &Node,
    session: &Session,
    conversation: ConversationId,
    place: (GroupId, u64),
    record: impl FnOnce(&mut Tx<'_>) -> Result<CommitOutcome, store::Error> + Send + 'static,
) -> Result<RecordedAt, Failure> {
    let outcome = session.tenant.store.write(move |tx: &mut Tx<'_>| match tx.conversation(conversation)? {
        Some(there) if (there.group, there.epoch) != place => Ok::<_, Failure>(Some(record(tx)?)),
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

/// Takes what the store made of it: the next epoch into memory, and to those whom it concerns.
pub(super) fn ended(
    node: &Node,
    session: &Session,
    conversation: ConversationId,
    before: &Membership,
    next: Next,
    outcome: CommitOutcome,
) -> Result<RecordedAt, Failure> {
    let tenant = session.tenant.id;
    match outcome {
        CommitOutcome::Recorded { entry, generation } => {
            let Next { tree, members, welcomed } = next;
            let after = membership::membership(tree.group_id(), generation, (tree.epoch(), entry.seq), members);
            node.groups.keep(tenant, conversation, Arc::new(after));
            node.groups.put_tree(tenant, conversation, tree);
            Ok(tell(node, session, before, &welcomed, conversation, entry, generation))
        }
        CommitOutcome::Repeated(at) => Ok(at),
        CommitOutcome::EpochTaken { .. } => {
            node.groups.forget(tenant, conversation);
            Err(ErrorCode::EpochTaken.into())
        }
        CommitOutcome::KeyReused => Err(ErrorCode::KeyReused.into()),
        CommitOutcome::OutOfPlace => {
            node.groups.forget(tenant, conversation);
            Err(ErrorCode::AlreadyExists.into())
        }
        CommitOutcome::NoConversation => Err(ErrorCode::Forbidden.into()),
    }
}

/// Everybody who was a member gets the entry, also who is not one any more; who has not joined yet gets a Welcome to fetch.
fn tell(
    node: &Node,
    session: &Session,
    before: &Membership,
    welcomed: &[DeviceId],
    conversation: ConversationId,
    entry: Entry,
    generation: u32,
) -> RecordedAt {
    let at = RecordedAt { seq: entry.seq, at: entry.at, generation: entry.generation };
    let recorded = Bytes::from(frame::event(&Event::Recorded(Recorded { conversation, generation, entry })));
    let waiting = Bytes::from(frame::event(&Event::WelcomeWaiting(WelcomeWaiting { conversation })));
    let tenant = session.tenant.id;
    let told = node.hub.fan_out(tenant, &before.devices, Some(session.device), &recorded)
        + node.hub.fan_out(tenant, welcomed, None, &waiting);
    node.metrics.fanned_out(told);
    at
}
