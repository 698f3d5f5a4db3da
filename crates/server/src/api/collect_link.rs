//! `collect_link`: whether another device has confirmed the new one. The answer stays until the new device has logged in.

use crate::gateway::{failure::Failure, state::Person};
use wire::{
    ErrorCode,
    request::{CollectLink, CollectedLink},
};

pub(crate) async fn handle(person: &Person, collect: CollectLink) -> Result<CollectedLink, Failure> {
    let (now, user) = (person.clock.now(), person.user);
    let collected = person.tenant.store.read(move |tx| {
        let Some(offer) = tx.link_offer(user, &collect.lookup, now)? else { return Ok(None) };
        Ok::<_, Failure>(Some(CollectedLink { answer: offer.answer, chain_len: tx.chain_len(user)? }))
    });
    collected.await?.ok_or_else(|| ErrorCode::NotFound.into())
}
