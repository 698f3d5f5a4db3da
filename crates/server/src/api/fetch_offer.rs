//! `fetch_offer`: what a device that wants to be linked has to say. Only the same user's devices find it.

use crate::gateway::{failure::Failure, state::Session};
use store::{Actor, Tx};
use wire::{
    ErrorCode, Op,
    request::{FetchOffer, FetchedOffer},
};

pub(crate) async fn handle(session: &Session, fetch: FetchOffer) -> Result<FetchedOffer, Failure> {
    let (now, user, device) = (session.clock.now(), session.user, session.device);
    let found = session.tenant.store.write(move |tx: &mut Tx<'_>| {
        let found = tx.link_offer(user, &fetch.lookup, now)?;
        let outcome = if found.is_some() { "ok" } else { ErrorCode::NotFound.as_str() };
        super::audit(tx, now, Actor::Device(device), Op::FetchOffer, outcome, &[*user.as_bytes()])?;
        Ok::<_, Failure>(found)
    });
    let found = found.await?.ok_or(ErrorCode::NotFound)?;
    Ok(FetchedOffer { offer: found.offer })
}
