//! `login_finish`: the person has proved the password, or has not.

use crate::gateway::{
    failure::Failure,
    state::{Guest, Person},
};
use std::sync::Arc;
use store::{Actor, Tx, UserState};
use wire::{
    ErrorCode, Op,
    request::{LoggedIn, LoginFinish},
};

pub(crate) async fn handle(guest: &mut Guest, finish: LoginFinish) -> Result<(LoggedIn, Person), Failure> {
    let login = guest.login.take().ok_or(ErrorCode::WrongCredentials)?;
    let proved = login.pending.finish(&finish.ke3).ok().and(login.user);
    let (now, handle, claimed) = (guest.clock.now(), login.handle, login.user);
    let tenant = Arc::clone(&guest.tenant);
    let recorded = tenant
        .store
        .write(move |tx: &mut Tx<'_>| {
            // Who has been closed since the first half has no password any more.
            let state = proved.map(|user| tx.user(user)).transpose()?.flatten().map(|user| user.state);
            let proved = proved.filter(|_| state == Some(UserState::Active));
            if proved.is_some() {
                tx.forget_guesses(handle.as_str())?;
            }
            let actor = proved.map_or(Actor::Anonymous, Actor::User);
            let outcome = if proved.is_some() { "ok" } else { ErrorCode::WrongCredentials.as_str() };
            let objects: Vec<_> = claimed.iter().map(|user| *user.as_bytes()).collect();
            super::audit(tx, now, actor, Op::LoginFinish, outcome, &objects)?;
            Ok::<_, Failure>(proved)
        })
        .await?;
    let user = recorded.ok_or(ErrorCode::WrongCredentials)?;
    Ok((LoggedIn { user }, Person { tenant, user, clock: guest.clock.clone() }))
}
