//! `fetch_archive_days`: the days of the caller's own archive, with their keys as a device has sealed them.

use crate::gateway::{failure::Failure, state::Session};
use wire::{
    limits,
    request::{ArchiveDays, FetchArchiveDays},
};

pub(crate) async fn handle(session: &Session, fetch: FetchArchiveDays) -> Result<ArchiveDays, Failure> {
    let user = session.user;
    let most = limits::ARCHIVE_DAYS_MAX as u32;
    session.tenant.store.read(move |tx| Ok::<_, Failure>(tx.days_after(user, fetch.after, most)?)).await
}
