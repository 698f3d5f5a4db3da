//! Makes a tenant: its keys, its password setup, the authority that closes the chains of leavers.

use super::Endpoint;
use crate::{
    gateway::failure::Failure,
    node::Node,
    password::Passwords,
    random,
    tenants::{AUTHORITY_KEY, FAKE_OPAQUE_RECORD, OPAQUE_SETUP},
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use rules::admin::AdminOp;
use serde::{Deserialize, Serialize};
use store::{Actor, NewAuditEntry, NewTenant, OperatorTx};
use trust::{AuthorityPublicKey, registry};
use wire::{ErrorCode, Refusal, TenantId, UnixMillis};
use zeroize::Zeroizing;

/// What to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    /// Its name.
    pub name: String,
    /// The suite of its groups.
    pub suite: Suite,
}

/// The suites by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Suite {
    /// 0x004E.
    PostQuantum,
    /// 0x0001.
    Classical,
}

/// What was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MadeTenant {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl Endpoint for CreateTenant {
    const OP: AdminOp = AdminOp::CreateTenant;
    type Answer = MadeTenant;
}

impl Suite {
    /// The code point.
    pub const fn number(self) -> u16 {
        match self {
            Self::PostQuantum => registry::SUITE_XWING,
            Self::Classical => registry::SUITE_CLASSICAL,
        }
    }

    /// The name of a code point, for people.
    pub const fn name(number: u16) -> &'static str {
        match number {
            registry::SUITE_XWING => "post-quantum",
            registry::SUITE_CLASSICAL => "classical",
            _ => "unknown",
        }
    }
}

/// A tenant's secrets, made before the transaction.
struct Secrets {
    setup: Zeroizing<Vec<u8>>,
    fake_record: Vec<u8>,
    authority: Zeroizing<Vec<u8>>,
    authority_key: AuthorityPublicKey,
}

/// Makes it.
///
/// # Errors
/// When the name is none or taken, or the store fails.
pub async fn act(node: &Node, request: CreateTenant) -> Result<MadeTenant, Failure> {
    if !rules::tenant::is_name(&request.name) {
        let detail = "a tenant's name has a-z, 0-9 and -, begins with a letter and has at most 63 characters";
        return Err(Refusal::with_detail(ErrorCode::Malformed, detail).into());
    }
    let tenant = TenantId::from_bytes(random::bytes()?);
    let (secrets, now) = (secrets()?, node.clock.now());
    let name = request.name.clone();
    let suite = request.suite.number();
    let made = node.database.operator().write(move |tx| make(tx, now, tenant, &name, suite, &secrets)).await?;
    if !made {
        return Err(
            Refusal::with_detail(ErrorCode::AlreadyExists, format!("there is a tenant {}", request.name)).into()
        );
    }
    tracing::info!(tenant = %request.name, id = %tenant, "tenant made");
    Ok(MadeTenant { id: tenant.to_string(), name: request.name })
}

fn make(
    tx: &mut OperatorTx<'_>,
    now: UnixMillis,
    tenant: TenantId,
    name: &str,
    suite: u16,
    secrets: &Secrets,
) -> Result<bool, Failure> {
    if !tx.create_tenant(NewTenant { tenant, name, suite, authority_key: secrets.authority_key }, now)? {
        return Ok(false);
    }
    let mut inside = tx.inside(tenant);
    inside.put_secret(OPAQUE_SETUP, &secrets.setup)?;
    inside.put_secret(FAKE_OPAQUE_RECORD, &secrets.fake_record)?;
    inside.put_secret(AUTHORITY_KEY, &secrets.authority)?;
    let operation = AdminOp::CreateTenant.as_str();
    let objects = [*tenant.as_bytes()];
    tx.record_audit(NewAuditEntry { at: now, actor: Actor::Operator, operation, outcome: "ok", objects: &objects })?;
    Ok(true)
}

fn secrets() -> Result<Secrets, Failure> {
    let failed = |_| Failure::internal("no key can be made");
    let setup = Passwords::create().map_err(Failure::internal)?;
    let fake_record = Passwords::fake_record(&setup).map_err(Failure::internal)?;
    let seed = Zeroizing::new(random::bytes::<32>()?);
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(failed)?;
    let public: [u8; 32] =
        pair.public_key().as_ref().try_into().map_err(|_| Failure::internal("a key of another length"))?;
    let authority = Zeroizing::new(seed.to_vec());
    Ok(Secrets { setup, fake_record, authority, authority_key: AuthorityPublicKey::from_bytes(public) })
}
