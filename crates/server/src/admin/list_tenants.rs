//! Lists the tenants: names, ids and suites, nothing inside them.

use super::{Endpoint, Suite};
use crate::{gateway::failure::Failure, node::Node};
use rules::admin::AdminOp;
use serde::{Deserialize, Serialize};

/// Asks for the list.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListTenants {}

/// The list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListedTenants {
    /// By name.
    pub tenants: Vec<ListedTenant>,
}

/// One tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListedTenant {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its suite's name.
    pub suite: String,
}

impl Endpoint for ListTenants {
    const OP: AdminOp = AdminOp::ListTenants;
    type Answer = ListedTenants;
}

pub(super) async fn act(node: &Node, ListTenants {}: ListTenants) -> Result<ListedTenants, Failure> {
    let all = node.database.operator().read(|tx| Ok::<_, Failure>(tx.tenants()?)).await?;
    let listed = |tenant: store::Tenant| ListedTenant {
        id: tenant.tenant.to_string(),
        name: tenant.name,
        suite: Suite::name(tenant.suite).into(),
    };
    Ok(ListedTenants { tenants: all.into_iter().map(listed).collect() })
}
