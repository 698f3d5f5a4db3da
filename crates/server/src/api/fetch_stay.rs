//! `fetch_stay`: where the log of a device that joined from outside begins.

use crate::gateway::{failure::Failure, state::Session};
use wire::{
    ErrorCode,
    request::{FetchStay, Stay},
};

pub(crate) async fn handle(session: &Session, fetch: FetchStay) -> Result<Stay, Failure> {
    let device = session.device;
    let found = session.tenant.store.read(move |tx| Ok::<_, Failure>(tx.stay(fetch.conversation, device)?));
    match found.await? {
        Some(stay) => Ok(stay),
        None => {
            // A commit that a restore has lost may come back.
            session.may_record()?;
            Err(ErrorCode::NotFound.into())
        }
    }
}
