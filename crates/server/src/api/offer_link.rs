//! `offer_link`: a new device leaves what it has to say to the person's other devices. The server cannot read it, and it ends
//! after a few minutes.

use crate::gateway::{failure::Failure, state::Person};
use store::{Actor, Offered, Tx, UserState};
use wire::{
    ErrorCode, Op, limits,
    request::{Done, OfferLink},
};

pub(crate) async fn handle(person: &Person, offer: OfferLink) -> Result<Done, Failure> {
    if offer.offer.len() > limits::LINK_OFFER_MAX_BYTES {
        return Err(ErrorCode::TooLarge.into());
    }
    let (now, user) = (person.clock.now(), person.user);
    let offered = person.tenant.store.write(move |tx: &mut Tx<'_>| {
        // The password may have been proved before the account was closed.
        if tx.user(user)?.is_none_or(|user| user.state != UserState::Active) {
            return Err(Failure::from(ErrorCode::Revoked));
        }
        let offered = tx.offer_link(user, &offer.lookup, &offer.offer, now)?;
        super::audit(tx, now, Actor::User(user), Op::OfferLink, outcome(offered), &[*user.as_bytes()])?;
        Ok(offered)
    });
    match offered.await? {
        Offered::Kept => Ok(Done {}),
        Offered::Answered => Err(ErrorCode::AlreadyExists.into()),
        Offered::TooMany => Err(ErrorCode::QuotaExceeded.into()),
    }
}

const fn outcome(offered: Offered) -> &'static str {
    match offered {
        Offered::Kept => "ok",
        Offered::Answered => ErrorCode::AlreadyExists.as_str(),
        Offered::TooMany => ErrorCode::QuotaExceeded.as_str(),
    }
}
