//! `fetch_joinable`: the conversations of the device's user in which this device has no leaf.

use crate::gateway::{failure::Failure, state::Session};
use wire::{
    limits,
    request::{FetchJoinable, Joinable},
};

pub(crate) async fn handle(session: &Session, FetchJoinable {}: FetchJoinable) -> Result<Joinable, Failure> {
    let (user, device) = (session.user, session.device);
    let found =
        session.tenant.store.read(move |tx| Ok::<_, Failure>(tx.joinable(user, device, limits::JOINABLE_MAX)?));
    Ok(Joinable { conversations: found.await? })
}
