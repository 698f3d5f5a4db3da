//! `login_finish`: the person has proved the password, or has not.

use crate::gateway::{failure::Failure, state::Guest};
use store::{Actor, Tx};
use wire::{
    ErrorCode, Op,
    request::{LoggedIn, LoginFinish},
};

pub(crate) async fn handle(guest: &mut Guest, finish: LoginFinish) -> Result<LoggedIn, Failure> {
    let login = guest.login.take().ok_or(ErrorCode::WrongCredentials)?;
    let proved = login.pending.finish(&finish.ke3).ok().and(login.user);
    let (now, handle, claimed) = (guest.clock.now(), login.handle, login.user);
    guest
        .tenant
        .store
        .write(move |tx: &mut Tx<'_>| {
            if proved.is_some() {
                tx.forget_guesses(handle.as_str())?;
            }
            let actor = proved.map_or(Actor::Anonymous, Actor::User);
            let outcome = if proved.is_some() { "ok" } else { ErrorCode::WrongCredentials.as_str() };
            let objects: Vec<_> = claimed.iter().map(|user| *user.as_bytes()).collect();
            super::audit(tx, now, actor, Op::LoginFinish, outcome, &objects)
        })
        .await?;
    let user = proved.ok_or(ErrorCode::WrongCredentials)?;
    Ok(LoggedIn { user })
}
