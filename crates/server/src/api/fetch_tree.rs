//! `fetch_tree`: a ratchet tree, once for each joiner and not inside every Welcome.

use super::membership;
use crate::{
    gateway::{failure::Failure, state::Session},
    node::Node,
};
use store::Tx;
use wire::{
    ConversationId, DeviceId, ErrorCode, GroupId, UserId,
    request::{FetchTree, Tree},
};

/// What the store says to the request.
enum Found {
    Kept(Vec<u8>),
    /// The device may have it, and it has to be made.
    Current,
    /// A commit came between; the device asks for the new epoch.
    Stale,
    Nothing,
}

pub(crate) async fn handle(node: &Node, session: &Session, fetch: FetchTree) -> Result<Tree, Failure> {
    let (device, user) = (session.device, session.user);
    let (conversation, group, epoch) = (fetch.conversation, fetch.group, fetch.epoch);
    match session.tenant.store.read(move |tx| find(tx, conversation, (group, epoch), (device, user))).await? {
        Found::Kept(tree) => return Ok(Tree { tree }),
        Found::Nothing => return Err(ErrorCode::Forbidden.into()),
        Found::Stale => return Err(ErrorCode::StaleEpoch.into()),
        Found::Current => {}
    }
    let tree = membership::tree(node, session, conversation).await?.ok_or(ErrorCode::Forbidden)?;
    let is_asked = tree.epoch() == epoch && group.is_none_or(|group| group == tree.group_id());
    let bytes = is_asked.then(|| tree.tree_bytes());
    node.groups.put_tree(session.tenant.id, conversation, tree);
    match bytes {
        Some(bytes) => Ok(Tree { tree: bytes.map_err(Failure::internal)? }),
        None => Err(ErrorCode::StaleEpoch.into()),
    }
}

fn find(
    tx: &Tx<'_>,
    conversation: ConversationId,
    (group, epoch): (Option<GroupId>, u64),
    (device, user): (DeviceId, UserId),
) -> Result<Found, Failure> {
    let Some(there) = tx.conversation(conversation)? else { return Ok(Found::Nothing) };
    let group = group.unwrap_or(there.group);
    let awaits = tx.awaits_tree(conversation, device, group, epoch)?;
    // A device of a member's user needs the current tree to rejoin from outside.
    let may_have_current = tx.is_user_in(conversation, user)?;
    let is_current = (there.group, there.epoch) == (group, epoch);
    Ok(match (awaits, may_have_current) {
        (false, false) => Found::Nothing,
        (false, true) if !is_current => Found::Stale,
        _ => match tx.tree(conversation, group, epoch)? {
            Some(tree) => Found::Kept(tree),
            None if may_have_current && is_current => Found::Current,
            None => Found::Nothing,
        },
    })
}
