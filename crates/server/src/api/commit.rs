//! `commit`: one of any number of racing commits ends the epoch. It is checked against the public tree outside the
//! transaction; inside it, the compare-and-set on the epoch decides.

use super::{
    epoch::{self, Next},
    membership,
};
use crate::{
    gateway::{failure::Failure, state::Session},
    groups::Membership,
    node::Node,
};
use roster::{CheckedCommit, PublicTree, Refused, Vouch};
use std::sync::Arc;
use store::{Joiner, NewCommit, Supplied, Tx};
use trust::{Change, Committer};
use wire::sabotage::{Defence, stands};
use wire::{
    ConversationId, DeviceId, ErrorCode, GroupId, MessageId, UnixMillis,
    request::{Commit, RecordedAt},
};

/// A snapshot of the public tree is written with every so many commits; the commits since are replayed on it. One is also
/// written with every commit that adds, because a replayed Add meets the real clock, and key packages expire.
const SNAPSHOT_EVERY: u64 = 16;

pub(crate) async fn handle(node: &Node, session: &Session, commit: Commit) -> Result<RecordedAt, Failure> {
    session.may_record()?;
    let conversation = commit.conversation;
    let before = admit(node, session, conversation).await?;
    let commit = Arc::new(commit);
    let tree = membership::tree(node, session, conversation).await?.ok_or(ErrorCode::Forbidden)?;
    let judge = {
        let commit = Arc::clone(&commit);
        move |tree: &PublicTree, vouch: Vouch<'_>| {
            tree.check(&commit.commit, &commit.group_info, commit.welcome.as_deref(), vouch)
        }
    };
    let (tree, checked) = epoch::judged(session, tree, judge).await?;
    let checked = match checked {
        Ok(checked) => checked,
        Err(error) => {
            node.groups.put_tree(session.tenant.id, conversation, tree);
            return refused(node, session, &commit, error).await;
        }
    };
    if !is_by_caller(session, &checked) || checked.aad.message_id != commit.message_id {
        node.groups.put_tree(session.tenant.id, conversation, tree);
        return Err(ErrorCode::InvalidCommit.into());
    }
    let made = Made {
        conversation,
        sender: session.device,
        message_id: commit.message_id,
        commit: commit.commit.clone(),
        group_info: commit.group_info.clone(),
        welcome: commit.welcome.clone(),
        at: session.clock.now(),
        supplied: None,
    };
    record(node, session, &before, tree, checked, made).await
}

/// A commit that was checked, and what comes with it.
pub(super) struct Made {
    pub(super) conversation: ConversationId,
    pub(super) sender: DeviceId,
    pub(super) message_id: MessageId,
    pub(super) commit: Vec<u8>,
    pub(super) group_info: Vec<u8>,
    pub(super) welcome: Option<Vec<u8>>,
    pub(super) at: UnixMillis,
    pub(super) supplied: Option<Supplied>,
}

/// Who may try at all: a member, or another device of a member's user, which may rejoin from outside.
pub(super) async fn admit(
    node: &Node,
    session: &Session,
    conversation: ConversationId,
) -> Result<Arc<Membership>, Failure> {
    let membership = membership::of(node, session, conversation).await?.ok_or_else(|| session.unknown())?;
    if membership.has(session.device) {
        return Ok(membership);
    }
    let user = session.user;
    let shares = session.tenant.store.read(move |tx| Ok::<_, Failure>(tx.is_user_in(conversation, user)?)).await?;
    if shares { Ok(membership) } else { Err(session.unknown().into()) }
}

/// A commit for another epoch, or another group, may be a repeat of one that was recorded: then the answer is that of the first time.
async fn refused(node: &Node, session: &Session, commit: &Commit, error: Refused) -> Result<RecordedAt, Failure> {
    if !matches!(error, Refused::Epoch { .. } | Refused::WrongGroup) {
        return Err(membership::refused(&error));
    }
    let (group, epoch) = roster::payload::place(&commit.commit).map_err(|error| membership::refused(&error))?;
    let repeat = NewCommit {
        conversation: commit.conversation,
        group,
        epoch,
        sender: session.device,
        message_id: commit.message_id,
        commit: commit.commit.clone(),
        at: session.clock.now(),
        group_info: Vec::new(),
        policy: None,
        joiners: Vec::new(),
        removed: Vec::new(),
        welcome: None,
        tree: None,
        public_group: None,
        supplied: None,
    };
    epoch::repeated(node, session, commit.conversation, (group, epoch), move |tx| tx.record_commit(repeat)).await
}

fn is_by_caller(session: &Session, checked: &CheckedCommit) -> bool {
    let committer = match checked.committer {
        Committer::Member(leaf) => leaf,
        Committer::External { joiner, .. } => joiner,
    };
    let own = committer.device == session.device && committer.user == session.user;
    own || !stands(Defence::CommitOfCaller)
}

pub(super) async fn record(
    node: &Node,
    session: &Session,
    before: &Membership,
    mut tree: PublicTree,
    checked: CheckedCommit,
    made: Made,
) -> Result<RecordedAt, Failure> {
    let conversation = made.conversation;
    // What a restore has lost of the Welcome, nobody waits for: whoever has not joined comes in from outside.
    let has_welcome = made.welcome.is_some();
    let added: Vec<DeviceId> = checked.added.iter().map(|leaf| leaf.device).collect();
    let members: Vec<DeviceId> = checked.members.iter().map(|leaf| leaf.device).collect();
    let mut new = new_commit(made, tree.group_id(), &checked);
    // Applied before it is recorded, because joiners need the new tree in the same transaction. The tree is this task's
    // alone, and is dropped unless the commit is recorded.
    tree.apply(checked).map_err(Failure::internal)?;
    new.tree = (!added.is_empty()).then(|| tree.tree_bytes()).transpose().map_err(Failure::internal)?;
    let with_snapshot = !added.is_empty() || tree.epoch().is_multiple_of(SNAPSHOT_EVERY);
    new.public_group = with_snapshot.then(|| tree.snapshot()).transpose().map_err(Failure::internal)?;
    let outcome = session.tenant.store.write(move |tx: &mut Tx<'_>| Ok::<_, Failure>(tx.record_commit(new)?)).await?;
    let welcomed = if has_welcome { added } else { Vec::new() };
    epoch::ended(node, session, conversation, before, Next { tree, members, welcomed }, outcome)
}

fn new_commit(made: Made, group: GroupId, checked: &CheckedCommit) -> NewCommit {
    let mut joiners: Vec<_> =
        checked.added.iter().map(|leaf| Joiner { device: leaf.device, user: leaf.user, welcomed: true }).collect();
    let mut removed: Vec<_> = checked.removed.iter().map(|leaf| leaf.device).collect();
    if let Committer::External { joiner, replaces } = checked.committer {
        joiners.push(Joiner { device: joiner.device, user: joiner.user, welcomed: false });
        let replaced = replaces.map(|leaf| leaf.device).filter(|device| !removed.contains(device));
        removed.extend(replaced);
    }
    let policy = checked.changes.iter().rev().find_map(|change| match change {
        Change::Policy(policy) => Some(wire::encode(policy)),
        _ => None,
    });
    NewCommit {
        conversation: made.conversation,
        group,
        epoch: checked.epoch.saturating_sub(1),
        sender: made.sender,
        message_id: made.message_id,
        commit: made.commit,
        at: made.at,
        group_info: made.group_info,
        policy,
        joiners,
        removed,
        welcome: made.welcome,
        tree: None,
        public_group: None,
        supplied: made.supplied,
    }
}
