//! `find_user`: a handle becomes a user and a device chain. The server's word for who has a handle is only the start; the
//! chain is what a contact checks and pins. Who asks for more people in a day than anybody knows is told nothing more.

use crate::gateway::{failure::Failure, state::Session};
use store::Actor;
use wire::{
    ErrorCode, Op,
    request::{FindUser, FoundUser},
};

pub(crate) async fn handle(session: &Session, find: FindUser) -> Result<FoundUser, Failure> {
    let handle = super::handle(&find.handle)?;
    let (now, device, seeker, quota) = (session.clock.now(), session.device, session.user, session.rates.lookups);
    let found = session.tenant.store.write(move |tx| {
        if !tx.count_lookup(seeker, quota, now)? {
            let outcome = ErrorCode::QuotaExceeded;
            super::audit(tx, now, Actor::Device(device), Op::FindUser, outcome.as_str(), &[])?;
            return Ok(Err(outcome));
        }
        let user = tx.user_by_handle(handle.as_str())?;
        let outcome = if user.is_some() { "ok" } else { ErrorCode::NotFound.as_str() };
        let objects: Vec<_> = user.iter().map(|user| *user.user.as_bytes()).collect();
        super::audit(tx, now, Actor::Device(device), Op::FindUser, outcome, &objects)?;
        let Some(user) = user else { return Ok(Err(ErrorCode::NotFound)) };
        let entries = tx.chain(user.user, 0)?;
        Ok::<_, Failure>(Ok(FoundUser { user: user.user, handle: user.handle, entries }))
    });
    found.await?.map_err(Failure::from)
}
