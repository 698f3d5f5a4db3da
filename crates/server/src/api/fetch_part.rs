//! `fetch_part`: a part of a file, for members of the conversation that it was sent into.

use super::membership;
use crate::{
    gateway::{failure::Failure, state::Session},
    node::Node,
};
use std::sync::Arc;
use store::BlobState;
use wire::sabotage::{Defence, stands};
use wire::{
    ErrorCode,
    request::{FetchPart, Part},
};

pub(crate) async fn handle(node: Arc<Node>, session: Arc<Session>, fetch: FetchPart) -> Result<Part, Failure> {
    let FetchPart { blob, part } = fetch;
    let there = session.tenant.store.read(move |tx| Ok::<_, Failure>(tx.blob(blob)?)).await?;
    let there = there.filter(|there| there.state == BlobState::Finished);
    let there = there.ok_or_else(|| missing(&session))?;
    let membership = membership::of(&node, &session, there.conversation).await?;
    if !membership.is_some_and(|membership| membership.has(session.device)) && stands(Defence::Membership) {
        // As if there were none: who is no member learns nothing of what is there.
        return Err(missing(&session));
    }
    if part >= there.parts.count() {
        return Err(ErrorCode::Malformed.into());
    }
    let sealed = node.blobs.get(session.tenant.id, blob, part).await?;
    let sealed = sealed.ok_or(ErrorCode::NotFound)?;
    let bytes = session.tenant.store.read(move |tx| Ok::<_, Failure>(tx.open_part(blob, part, &sealed)?)).await?;
    Ok(Part { bytes })
}

fn missing(session: &Session) -> Failure {
    // After a restore the membership may come back.
    session.may_record().err().map_or_else(|| ErrorCode::NotFound.into(), Failure::from)
}
