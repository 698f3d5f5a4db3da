//! Destroys the blobs whose time is over, and removes the parts of those that are destroyed.

use crate::{gateway::failure::Failure, node::Node};
use store::Tx;
use wire::{TenantId, UnixMillis};

/// Blobs in one transaction.
const PART: u32 = 64;

/// One round for a tenant.
pub(super) async fn sweep(node: &Node, tenant: TenantId, now: UnixMillis) -> Result<(), Failure> {
    let store = node.database.tenant(tenant);
    loop {
        let expire = move |tx: &mut Tx<'_>| {
            let expired = tx.expired_blobs(now, PART)?;
            expired.iter().try_for_each(|blob| tx.destroy_blob(*blob))?;
            Ok::<_, Failure>(expired.len())
        };
        if store.write(expire).await? < PART as usize {
            break;
        }
    }
    loop {
        let destroyed = store.read(|tx| Ok::<_, Failure>(tx.destroyed_blobs(PART)?)).await?;
        for blob in &destroyed {
            node.blobs.remove(tenant, *blob).await?;
        }
        let is_last = destroyed.len() < PART as usize;
        let forget = move |tx: &mut Tx<'_>| destroyed.iter().try_for_each(|blob| tx.forget_blob(*blob));
        store.write(move |tx| forget(tx).map_err(Failure::from)).await?;
        if is_last {
            return Ok(());
        }
    }
}
