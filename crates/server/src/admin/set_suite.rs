//! Gives a tenant a stronger cipher suite. Its clients connect again, publish key packages of that suite, and move their
//! groups to it.

use super::{Endpoint, Suite};
use crate::{gateway::failure::Failure, gateway::queue::Closed, node::Node};
use rules::admin::AdminOp;
use serde::{Deserialize, Serialize};
use store::{Actor, NewAuditEntry, OperatorTx};
use trust::registry;
use wire::sabotage::{Defence, stands};
use wire::{ErrorCode, Refusal};

/// Which one, and to what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetSuite {
    /// The tenant's name.
    pub name: String,
    /// The suite from now on; never a weaker one than before.
    pub suite: Suite,
}

/// It is so.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetTo {
    /// The name of the suite.
    pub suite: String,
    /// Whether it was another one before.
    pub changed: bool,
}

impl Endpoint for SetSuite {
    const OP: AdminOp = AdminOp::SetSuite;
    type Answer = SetTo;
}

/// Sets it, with an audit row.
///
/// # Errors
/// [`ErrorCode::NotFound`], [`ErrorCode::UnsupportedSuite`], or what the store says.
pub async fn act(node: &Node, request: SetSuite) -> Result<SetTo, Failure> {
    let (now, name, suite) = (node.clock.now(), request.name.clone(), request.suite.number());
    let operator = node.database.operator();
    let changed = operator.write(move |tx: &mut OperatorTx<'_>| {
        let Some(tenant) = tx.tenant_named(&name)? else {
            return Err(Failure::from(Refusal::with_detail(ErrorCode::NotFound, format!("there is no tenant {name}"))));
        };
        if !registry::is_as_strong(suite, tenant.suite) && stands(Defence::SuiteOnlyStronger) {
            let detail = "a tenant's cipher suite only becomes stronger: its clients would refuse a weaker one";
            return Err(Refusal::with_detail(ErrorCode::UnsupportedSuite, detail).into());
        }
        let changed = suite != tenant.suite;
        if changed {
            tx.set_suite(tenant.tenant, suite)?;
        }
        let operation = AdminOp::SetSuite.as_str();
        let objects = [*tenant.tenant.as_bytes()];
        tx.record_audit(NewAuditEntry {
            at: now,
            actor: Actor::Operator,
            operation,
            outcome: "ok",
            objects: &objects,
        })?;
        Ok(changed.then_some(tenant.tenant))
    });
    let changed = changed.await?;
    if let Some(tenant) = changed {
        // Who connects again is greeted with the new suite.
        node.tenants.forget(&request.name);
        node.hub.close_tenant(tenant, Closed::Draining);
        tracing::info!(tenant = %request.name, suite = Suite::name(suite), "cipher suite changed");
    }
    Ok(SetTo { suite: Suite::name(suite).into(), changed: changed.is_some() })
}
