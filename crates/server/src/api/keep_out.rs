//! `keep_out`: the caller keeps a conversation out of their archive. What there was of it is deleted when this is answered.

use super::archive;
use crate::gateway::{failure::Failure, state::Session};
use store::{Actor, Tx};
use wire::{
    Op,
    request::{Done, KeepOut},
};

pub(crate) async fn handle(session: &Session, keep: KeepOut) -> Result<Done, Failure> {
    session.may_record()?;
    let (now, user, device, conversation) = (session.clock.now(), session.user, session.device, keep.conversation);
    let kept = session.tenant.store.write(move |tx: &mut Tx<'_>| {
        archive::by_active(tx, user, device)?;
        archive::conversation(tx, user, conversation)?;
        if keep.out != tx.is_kept_out(user, conversation)? {
            tx.keep_out(user, conversation, keep.out)?;
            let objects = [*user.as_bytes(), *conversation.as_bytes()];
            super::audit(tx, now, Actor::Device(device), Op::KeepOut, "ok", &objects)?;
        }
        Ok::<_, Failure>(Done {})
    });
    kept.await
}
