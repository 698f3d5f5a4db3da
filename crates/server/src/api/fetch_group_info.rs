//! `fetch_group_info`: what an external commit needs, for devices of users who have a leaf in the group.

use crate::gateway::{failure::Failure, state::Session};
use wire::{
    ErrorCode, Refusal,
    request::{CurrentGroup, FetchGroupInfo},
};

const LOST_RETRY_MS: u32 = 10_000;

pub(crate) async fn handle(session: &Session, fetch: FetchGroupInfo) -> Result<CurrentGroup, Failure> {
    let user = session.user;
    let found = session.tenant.store.read(move |tx| {
        if !tx.is_user_in(fetch.conversation, user)? {
            return Ok(None);
        }
        Ok::<_, Failure>(tx.current_group(fetch.conversation)?)
    });
    match found.await? {
        // Lost in a restore: the next commit brings one, or a member who is asked for it.
        Some(current) if current.group_info.is_empty() => {
            Err(Refusal::retry_after(ErrorCode::Restoring, LOST_RETRY_MS).into())
        }
        Some(current) => Ok(current),
        None => Err(session.unknown().into()),
    }
}
