//! Closes the account of somebody who has left. The tenant's authority signs the last entry of their device chain, which is
//! all that it can do: members' clients check it and take the leaver's devices out of every conversation.

use super::Endpoint;
use crate::{
    api::devices,
    gateway::failure::Failure,
    node::Node,
    tenants::{AUTHORITY_KEY, Tenant},
};
use aws_lc_rs::signature::Ed25519KeyPair;
use rules::{admin::AdminOp, handle::Handle};
use serde::{Deserialize, Serialize};
use store::{Actor, NewAuditEntry, Tx, UserState};
use trust::{Action, DeviceChain, DeviceState, Label, signature_input};
use wire::{DeviceId, ErrorCode, Refusal, UnixMillis, UserId, request::SignedEntry};

/// Who.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseUser {
    /// The tenant's name.
    pub tenant: String,
    /// The person's handle.
    pub handle: String,
}

/// It is closed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClosedUser {
    /// The user's id.
    pub user: String,
    /// How many devices spoke for them until now.
    pub devices: usize,
}

impl Endpoint for CloseUser {
    const OP: AdminOp = AdminOp::CloseUser;
    type Answer = ClosedUser;
}

/// A device may be linked or revoked while the closing entry is signed; so often it is signed anew.
const ATTEMPTS: u8 = 5;

pub(super) async fn act(node: &Node, request: CloseUser) -> Result<ClosedUser, Failure> {
    let tenant = node.tenants.named(&request.tenant).await?.ok_or_else(|| {
        Refusal::with_detail(ErrorCode::UnknownTenant, format!("there is no tenant {}", request.tenant))
    })?;
    let handle = Handle::parse(&request.handle)
        .map_err(|error| Refusal::with_detail(ErrorCode::InvalidHandle, error.to_string()))?;
    let found = tenant.store.read(move |tx| Ok::<_, Failure>(tx.user_by_handle(handle.as_str())?)).await?;
    let user = found.ok_or_else(|| {
        Refusal::with_detail(ErrorCode::NotFound, format!("nobody at {} is called {}", request.tenant, request.handle))
    })?;
    if user.state == UserState::Closed {
        return Ok(ClosedUser { user: user.user.to_string(), devices: 0 });
    }
    let user = user.user;
    for _ in 0..ATTEMPTS {
        let chain = devices::chain(&tenant, user).await?;
        let entry = closing(&tenant, &chain).await?;
        let (place, now) = (chain.head().len, node.clock.now());
        if let Some(closed) = tenant.store.write(move |tx| close(tx, now, user, place, &entry)).await? {
            closed.iter().for_each(|device| node.hub.bar(tenant.id, *device));
            devices::tell(node, &tenant, user, place + 1).await;
            tracing::info!(tenant = %tenant.name, %user, devices = closed.len(), "user closed");
            return Ok(ClosedUser { user: user.to_string(), devices: closed.len() });
        }
    }
    Err(ErrorCode::ChainMoved.into())
}

/// The chain's last entry, signed by the tenant's authority.
async fn closing(tenant: &Tenant, chain: &DeviceChain) -> Result<SignedEntry, Failure> {
    let seed = tenant.store.read(|tx| Ok::<_, Failure>(tx.secret(AUTHORITY_KEY)?)).await?;
    let seed = seed.ok_or_else(|| Failure::internal("a tenant has no authority key"))?;
    let key = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| Failure::internal("no authority key"))?;
    let payload = wire::encode(&chain.next(Action::Close));
    let signature = key.sign(&signature_input(Label::ChainClosing, &payload));
    let signature = signature.as_ref().try_into().map_err(|_| Failure::internal("a signature of another length"))?;
    let entry = SignedEntry { payload, signature, possession: None };
    // What contacts would refuse must not become part of the chain.
    chain.clone().append(&entry, Some(&tenant.authority)).map_err(Failure::internal)?;
    Ok(entry)
}

/// The devices that were active; `None` when the chain has grown meanwhile.
fn close(
    tx: &mut Tx<'_>,
    now: UnixMillis,
    user: UserId,
    place: u32,
    entry: &SignedEntry,
) -> Result<Option<Vec<DeviceId>>, Failure> {
    if !tx.extend_chain(user, place, entry)? {
        return Ok(None);
    }
    tx.set_user_state(user, UserState::Closed)?;
    tx.withdraw_links(user)?;
    tx.destroy_archive(user)?;
    let mut closed = Vec::new();
    for device in tx.devices_of(user)?.iter().filter(|device| device.state == DeviceState::Active) {
        devices::retire(tx, device.device, DeviceState::Closed)?;
        closed.push(device.device);
    }
    let objects: Vec<_> =
        std::iter::once(*user.as_bytes()).chain(closed.iter().map(|device| *device.as_bytes())).collect();
    let operation = AdminOp::CloseUser.as_str();
    tx.record_audit(NewAuditEntry { at: now, actor: Actor::Operator, operation, outcome: "ok", objects: &objects })?;
    Ok(Some(closed))
}
