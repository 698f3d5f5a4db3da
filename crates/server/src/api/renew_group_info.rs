//! `renew_group_info`: a GroupInfo in the place of one that a restore has lost. It is checked against the public tree.

use super::membership;
use crate::{
    gateway::{failure::Failure, state::Session},
    node::Node,
};
use store::Tx;
use trust::LeafIdentity;
use wire::{
    ErrorCode,
    request::{Done, RenewGroupInfo},
};

pub(crate) async fn handle(node: &Node, session: &Session, renew: RenewGroupInfo) -> Result<Done, Failure> {
    let conversation = renew.conversation;
    let membership = membership::of(node, session, conversation).await?.ok_or(ErrorCode::Forbidden)?;
    if !membership.has(session.device) {
        return Err(ErrorCode::Forbidden.into());
    }
    let tree = membership::tree(node, session, conversation).await?.ok_or(ErrorCode::Forbidden)?;
    let signer = LeafIdentity { tenant: session.tenant.id, user: session.user, device: session.device };
    let (epoch, checked) = (tree.epoch(), tree.check_renewed_group_info(&renew.group_info, &signer));
    node.groups.put_tree(session.tenant.id, conversation, tree);
    checked.map_err(|error| membership::refused(&error))?;
    let renewed = session
        .tenant
        .store
        .write(move |tx: &mut Tx<'_>| Ok::<_, Failure>(tx.renew_group_info(conversation, epoch, &renew.group_info)?));
    // One that nobody misses is as good as done.
    renewed.await.map(|_| Done {})
}
