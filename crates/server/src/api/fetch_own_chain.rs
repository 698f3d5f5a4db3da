//! `fetch_own_chain`: a person's own device chain, on which the new device bases the entry that would add it.

use crate::gateway::{failure::Failure, state::Person};
use wire::{
    ErrorCode,
    request::{FetchOwnChain, OwnChain},
};

pub(crate) async fn handle(person: &Person, FetchOwnChain {}: FetchOwnChain) -> Result<OwnChain, Failure> {
    let user = person.user;
    let found = person.tenant.store.read(move |tx| {
        let Some(user) = tx.user(user)? else { return Ok(None) };
        let entries = tx.chain(user.user, 0)?;
        Ok::<_, Failure>(Some(OwnChain { handle: user.handle, entries }))
    });
    found.await?.ok_or_else(|| ErrorCode::NotFound.into())
}
