//! Destroys the days of archives whose time is over.

use crate::{gateway::failure::Failure, node::Node};
use store::Tx;
use wire::{TenantId, UnixMillis};

/// Days in one transaction.
const PART: u32 = 16;

/// One round for a tenant.
pub(super) async fn sweep(node: &Node, tenant: TenantId, now: UnixMillis) -> Result<(), Failure> {
    let Some(first) = node.config.archive.terms().first_day(now) else { return Ok(()) };
    let store = node.database.tenant(tenant);
    loop {
        let destroy = move |tx: &mut Tx<'_>| Ok::<_, Failure>(tx.destroy_days_before(first, PART)?);
        if store.write(destroy).await? < PART as usize {
            return Ok(());
        }
    }
}
