//! `fetch_group_info`: what an external commit needs, for devices of users who have a leaf in the group.

use crate::gateway::{failure::Failure, state::Session};
use wire::{
    ErrorCode,
    request::{CurrentGroup, FetchGroupInfo},
};

pub(crate) async fn handle(session: &Session, fetch: FetchGroupInfo) -> Result<CurrentGroup, Failure> {
    let user = session.user;
    let found = session.tenant.store.read(move |tx| {
        if !tx.is_user_in(fetch.conversation, user)? {
            return Ok(None);
        }
        Ok::<_, Failure>(tx.current_group(fetch.conversation)?)
    });
    found.await?.ok_or_else(|| ErrorCode::Forbidden.into())
}
