//! `fetch_stay`: where the log of a device that joined from outside begins.

use crate::gateway::{failure::Failure, state::Session};
use wire::{
    ErrorCode,
    request::{FetchStay, Stay},
};

pub(crate) async fn handle(session: &Session, fetch: FetchStay) -> Result<Stay, Failure> {
    let device = session.device;
    let found = session.tenant.store.read(move |tx| Ok::<_, Failure>(tx.stay(fetch.conversation, device)?));
    found.await?.ok_or_else(|| ErrorCode::NotFound.into())
}
