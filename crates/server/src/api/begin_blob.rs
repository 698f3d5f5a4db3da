//! `begin_blob`: a member of a conversation is about to send a file into it, or asks how far that has come.

use super::membership;
use crate::{
    gateway::{failure::Failure, state::Session},
    node::Node,
};
use rules::blob::UNFINISHED_LIFE_MS;
use store::{Actor, Begun, BlobState, NewBlob, Tx};
use wire::{
    ErrorCode, Op,
    request::{BeginBlob, BlobProgress},
};

pub(crate) async fn handle(node: &Node, session: &Session, begin: BeginBlob) -> Result<BlobProgress, Failure> {
    session.may_record()?;
    let membership = membership::of(node, session, begin.conversation).await?.ok_or(ErrorCode::Forbidden)?;
    if !membership.has(session.device) {
        return Err(ErrorCode::Forbidden.into());
    }
    let (now, user, device, terms) = (session.clock.now(), session.user, session.device, node.config.blobs.terms());
    let begun = session.tenant.store.write(move |tx: &mut Tx<'_>| {
        let used = match tx.blob(begin.blob)? {
            // It has its place in the quota already.
            Some(_) => 0,
            None => tx.blob_bytes_of(user)?,
        };
        let parts = terms.admit(begin.bytes, used)?;
        let expires_at = now.saturating_add(UNFINISHED_LIFE_MS);
        let new =
            NewBlob { blob: begin.blob, conversation: begin.conversation, user, parts, days: begin.days, expires_at };
        let begun = tx.begin_blob(new)?;
        if begun == Begun::New {
            let objects = [*begin.blob.as_bytes(), *begin.conversation.as_bytes()];
            super::audit(tx, now, Actor::Device(device), Op::BeginBlob, "ok", &objects)?;
        }
        Ok::<_, Failure>((begun, parts))
    });
    match begun.await? {
        (Begun::New, _) => Ok(BlobProgress { parts: 0 }),
        (Begun::Repeated(BlobState::Begun), _) => {
            let parts = node.blobs.held(session.tenant.id, begin.blob).await?;
            Ok(BlobProgress { parts })
        }
        (Begun::Repeated(BlobState::Finished), parts) => Ok(BlobProgress { parts: parts.count() }),
        (Begun::Repeated(BlobState::Destroyed), _) => Err(ErrorCode::NotFound.into()),
        (Begun::IdTaken, _) => Err(ErrorCode::KeyReused.into()),
    }
}
