//! Saying that a store was put back from a backup (`docs/decisions/0070-restored-logs.md`).

use store::{Database, Error, Marked, OperatorTx, Tenant};
use wire::UnixMillis;

/// Marks every tenant, each in a transaction of its own. When it was interrupted it is done again: a generation that is raised
/// twice is as good as one that is raised once.
///
/// # Errors
/// When the store fails.
pub async fn mark(database: &Database, now: UnixMillis) -> Result<Vec<(Tenant, Marked)>, Error> {
    let operator = database.operator();
    let mut marked = Vec::new();
    for tenant in operator.read(|tx: &OperatorTx<'_>| tx.tenants()).await? {
        let id = tenant.tenant;
        let done = operator.write(move |tx: &mut OperatorTx<'_>| tx.mark_restored(id, now)).await?;
        marked.push((tenant, done));
    }
    Ok(marked)
}
