//! `create_conversation`: a log with its first MLS group, whose only leaf is the caller.

use super::membership::{self, Vouching};
use crate::{
    gateway::{failure::Failure, state::Session},
    node::Node,
};
use roster::{PublicTree, Refused};
use std::sync::Arc;
use store::{Actor, CreateConversation as Outcome, NewConversation, Tx};
use trust::{GroupPolicy, Kind};
use wire::{
    ErrorCode, Op, Refusal, UnixMillis, UserId,
    request::{CreateConversation, Done},
};

pub(crate) async fn handle(node: &Node, session: &Session, create: CreateConversation) -> Result<Done, Failure> {
    let create = Arc::new(create);
    let tree = open(session, &create).await?;
    let policy = tree.policy().clone();
    check(session, &create, &tree, &policy)?;
    let pair = pair(&policy)?;
    let (conversation, group_id) = (create.conversation, tree.group_id());
    let snapshot = tree.snapshot().map_err(Failure::internal)?;
    let suite = tree.suite().code();
    let (now, device, user) = (session.clock.now(), session.device, session.user);
    let outcome = session.tenant.store.write(move |tx| {
        let new = NewConversation {
            conversation: create.conversation,
            kind: policy.kind,
            pair,
            group: group_id,
            creator: device,
            creator_user: user,
            group_info: &create.group_info,
            policy: &wire::encode(&policy),
            tree: &create.tree,
            public_group: Some(&snapshot),
        };
        record(tx, now, new, suite)
    });
    match outcome.await? {
        Outcome::Created => {
            let membership = membership::membership(group_id, 0, (0, 0), [device]);
            node.groups.keep(session.tenant.id, conversation, Arc::new(membership));
            node.groups.put_tree(session.tenant.id, conversation, tree);
            Ok(Done {})
        }
        Outcome::Repeated => Ok(Done {}),
        // The detail is for programs too: which conversation to use instead.
        Outcome::PairTaken(there) => Err(Refusal::with_detail(ErrorCode::AlreadyExists, there.to_string()).into()),
        Outcome::IdTaken => Err(ErrorCode::AlreadyExists.into()),
    }
}

async fn open(session: &Session, create: &Arc<CreateConversation>) -> Result<PublicTree, Failure> {
    let tenant = session.tenant.id;
    let mut vouching = Vouching::default();
    loop {
        let (create, known) = (Arc::clone(create), vouching.clone());
        let opened = membership::blocking(move || {
            PublicTree::create(&create.group_info, &create.tree, &|leaf, key| known.vouch(tenant, leaf, key))
        });
        match opened.await? {
            Err(Refused::NeedsIdentities(users)) => vouching.learn(&session.tenant.store, users).await?,
            opened => return opened.map_err(|error| membership::refused(&error)),
        }
    }
}

/// What the roster cannot know: that the group is this tenant's, this conversation's and this caller's.
fn check(
    session: &Session,
    create: &CreateConversation,
    tree: &PublicTree,
    policy: &GroupPolicy,
) -> Result<(), Failure> {
    let members = tree.members().map_err(|error| membership::refused(&error))?;
    let is_caller =
        members.iter().all(|leaf| leaf.identity.device == session.device && leaf.identity.user == session.user);
    let is_here = policy.tenant == session.tenant.id && policy.conversation == create.conversation;
    let is_first = policy.ordinal == 0 && policy.predecessor.is_none();
    if is_caller && is_here && is_first { Ok(()) } else { Err(ErrorCode::InvalidCommit.into()) }
}

fn pair(policy: &GroupPolicy) -> Result<Option<[UserId; 2]>, Failure> {
    match (policy.kind, policy.users.as_slice()) {
        (Kind::Direct, [one, other]) => Ok(Some([*one, *other])),
        (Kind::Direct, _) => Err(ErrorCode::InvalidCommit.into()),
        (Kind::Group, _) => Ok(None),
    }
}

fn record(tx: &mut Tx<'_>, now: UnixMillis, new: NewConversation<'_>, suite: u16) -> Result<Outcome, Failure> {
    // What was recorded before the tenant's suite changed is repeated like anything else.
    let is_new = tx.conversation(new.conversation)?.is_none();
    if is_new && tx.tenant()?.is_none_or(|tenant| tenant.suite != suite) {
        return Err(ErrorCode::UnsupportedSuite.into());
    }
    for user in new.pair.iter().flatten() {
        if tx.user(*user)?.is_none() {
            return Err(ErrorCode::NotFound.into());
        }
    }
    let outcome = tx.create_conversation(new, now)?;
    if outcome == Outcome::Created {
        let objects = [*new.conversation.as_bytes()];
        super::audit(tx, now, Actor::Device(new.creator), Op::CreateConversation, "ok", &objects)?;
    }
    Ok(outcome)
}
