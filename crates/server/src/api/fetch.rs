//! `fetch`: the part of the log that is the device's, from after it joined to when it was removed.

use crate::gateway::{failure::Failure, state::Session};
use wire::request::{Fetch, Fetched};

pub(crate) async fn handle(session: &Session, fetch: Fetch) -> Result<Fetched, Failure> {
    let device = session.device;
    let fetched = session
        .tenant
        .store
        .read(move |tx| Ok::<_, Failure>(tx.fetch_entries(fetch.conversation, device, fetch.after, fetch.limit)?));
    fetched.await?.ok_or_else(|| session.unknown().into())
}
