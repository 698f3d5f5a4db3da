//! Destroys a tenant. Its keys are overwritten, so that what is left of its rows anywhere can no longer be opened.

use super::Endpoint;
use crate::{
    gateway::failure::{Chain, Failure},
    gateway::queue::Closed,
    node::Node,
};
use rules::admin::AdminOp;
use serde::{Deserialize, Serialize};
use store::{Actor, NewAuditEntry, OperatorTx};
use wire::{ErrorCode, Refusal};

/// Which one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteTenant {
    /// Its name.
    pub name: String,
}

/// It is gone.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Deleted {}

impl Endpoint for DeleteTenant {
    const OP: AdminOp = AdminOp::DeleteTenant;
    type Answer = Deleted;
}

pub(super) async fn act(node: &Node, request: DeleteTenant) -> Result<Deleted, Failure> {
    let (now, name) = (node.clock.now(), request.name.clone());
    let operator = node.database.operator();
    let deleted = operator.write(move |tx: &mut OperatorTx<'_>| {
        let Some(tenant) = tx.tenant_named(&name)? else { return Ok::<_, Failure>(None) };
        tx.delete_tenant(tenant.tenant)?;
        let operation = AdminOp::DeleteTenant.as_str();
        let objects = [*tenant.tenant.as_bytes()];
        tx.record_audit(NewAuditEntry {
            at: now,
            actor: Actor::Operator,
            operation,
            outcome: "ok",
            objects: &objects,
        })?;
        Ok(Some(tenant.tenant))
    });
    let Some(tenant) = deleted.await? else {
        return Err(Refusal::with_detail(ErrorCode::NotFound, format!("there is no tenant {}", request.name)).into());
    };
    node.tenants.forget(&request.name);
    node.groups.forget_tenant(tenant);
    node.hub.close_tenant(tenant, Closed::Revoked);
    if let Err(error) = node.blobs.remove_tenant(tenant).await {
        // Without the keys they are noise; the operator may want to remove them by hand.
        tracing::warn!(id = %tenant, error = %Chain(&error), "parts of blobs of a destroyed tenant are left");
    }
    tracing::info!(tenant = %request.name, id = %tenant, "tenant destroyed");
    Ok(Deleted {})
}
