//! `fetch_chain`: how a user's device chain goes on.

use crate::gateway::{failure::Failure, state::Session};
use wire::{
    ErrorCode,
    request::{Chain, FetchChain},
};

pub(crate) async fn handle(session: &Session, fetch: FetchChain) -> Result<Chain, Failure> {
    let found = session.tenant.store.read(move |tx| {
        let Some(user) = tx.user(fetch.user)? else { return Ok(None) };
        let entries = tx.chain(fetch.user, fetch.skip)?;
        Ok::<_, Failure>(Some(Chain { handle: user.handle, entries }))
    });
    found.await?.ok_or_else(|| ErrorCode::NotFound.into())
}
