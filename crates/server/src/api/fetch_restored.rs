//! `fetch_restored`: up to where a log is the one that a device knew, after the server was restored from a backup.

use crate::gateway::{failure::Failure, state::Session};
use wire::request::{FetchRestored, Restored};

pub(crate) async fn handle(session: &Session, fetch: FetchRestored) -> Result<Restored, Failure> {
    let (conversation, device, user) = (fetch.conversation, session.device, session.user);
    let found = session.tenant.store.read(move |tx| {
        let may = tx.was_member(conversation, device)? || tx.is_user_in(conversation, user)?;
        let Some(survived) = tx.survived(conversation, fetch.generation)?.filter(|_| may) else { return Ok(None) };
        let lost = tx.current_group(conversation)?.is_some_and(|current| current.group_info.is_empty());
        Ok::<_, Failure>(Some((survived, lost)))
    });
    let (survived, wants_group_info) = found.await?.ok_or_else(|| session.unknown())?;
    Ok(Restored {
        generation: survived.generation,
        seq: survived.seq,
        entry_hash: survived.hash.0,
        head: survived.head,
        held_ms: session.tenant.held_ms(session.clock.now()),
        wants_group_info,
        head_hash: survived.head_hash.0,
    })
}
