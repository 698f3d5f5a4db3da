//! `sync`: what there is, after a connect.

use crate::gateway::{failure::Failure, state::Session};
use wire::request::{Sync, Synced};

pub(crate) async fn handle(session: &Session, Sync {}: Sync) -> Result<Synced, Failure> {
    let (now, device) = (session.clock.now(), session.device);
    let synced = session.tenant.store.read(move |tx| {
        Ok::<_, Failure>(Synced {
            heads: tx.heads(device)?,
            welcomes: tx.welcomes_waiting(device)?,
            key_packages: tx.key_packages_held(device, now)?,
        })
    });
    synced.await
}
