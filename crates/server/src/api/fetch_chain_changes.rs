//! `fetch_chain_changes`: whose device chains have grown while the device was away.

use crate::gateway::{failure::Failure, state::Session};
use wire::{
    limits,
    request::{ChainChanges, FetchChainChanges},
};

pub(crate) async fn handle(session: &Session, fetch: FetchChainChanges) -> Result<ChainChanges, Failure> {
    let device = session.device;
    let changes = session
        .tenant
        .store
        .read(move |tx| Ok::<_, Failure>(tx.chain_changes(device, fetch.after, limits::CHAIN_CHANGES_MAX)?));
    changes.await
}
