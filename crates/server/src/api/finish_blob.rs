//! `finish_blob`: all parts of a file are there; from now on members may fetch it, and its time begins.

use crate::{
    gateway::{failure::Failure, state::Session},
    node::Node,
};
use store::{Actor, BlobState, Tx};
use wire::{
    ErrorCode, Op, Refusal,
    request::{Done, FinishBlob},
};

pub(crate) async fn handle(node: &Node, session: &Session, finish: FinishBlob) -> Result<Done, Failure> {
    session.may_record()?;
    let (user, blob) = (session.user, finish.blob);
    let there = session.tenant.store.read(move |tx| Ok::<_, Failure>(tx.blob(blob)?)).await?;
    let there = there.filter(|there| there.user == user).ok_or(ErrorCode::NotFound)?;
    match there.state {
        BlobState::Begun => {}
        BlobState::Finished => return Ok(Done {}),
        BlobState::Destroyed => return Err(ErrorCode::NotFound.into()),
    }
    let held = node.blobs.held(session.tenant.id, blob).await?;
    if held < there.parts.count() {
        let detail = format!("part {held} is missing");
        return Err(Refusal::with_detail(ErrorCode::Malformed, detail).into());
    }
    let (now, device) = (session.clock.now(), session.device);
    let expires_at = node.config.blobs.terms().end(there.days, now);
    let finished = session.tenant.store.write(move |tx: &mut Tx<'_>| {
        tx.finish_blob(blob, expires_at)?;
        super::audit(tx, now, Actor::Device(device), Op::FinishBlob, "ok", &[*blob.as_bytes()])
    });
    finished.await?;
    Ok(Done {})
}
