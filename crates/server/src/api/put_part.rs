//! `put_part`: a part of a file, as the device has sealed it; sealed once more, it is stored before it is answered.

use crate::{
    gateway::{failure::Failure, state::Session},
    node::Node,
};
use std::sync::Arc;
use store::BlobState;
use wire::{
    ErrorCode,
    request::{Done, PutPart},
};

pub(crate) async fn handle(node: Arc<Node>, session: Arc<Session>, put: PutPart) -> Result<Done, Failure> {
    session.may_record()?;
    let (user, blob, part) = (session.user, put.blob, put.part);
    let sealed = session.tenant.store.read(move |tx| {
        let there = tx.blob(blob)?.filter(|there| there.user == user).ok_or(ErrorCode::NotFound)?;
        if there.parts.len(part) != Some(put.bytes.len()) {
            return Err(ErrorCode::Malformed.into());
        }
        match there.state {
            BlobState::Begun => Ok::<_, Failure>(Some(tx.seal_part(blob, part, &put.bytes)?)),
            // What is whole stays as it is: this is a repeat that comes late.
            BlobState::Finished => Ok(None),
            BlobState::Destroyed => Err(ErrorCode::NotFound.into()),
        }
    });
    if let Some(sealed) = sealed.await? {
        node.blobs.put(session.tenant.id, blob, part, sealed).await?;
    }
    Ok(Done {})
}
