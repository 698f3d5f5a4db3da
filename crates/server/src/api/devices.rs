//! What changes to a user's devices share: the chain as it is, whether an entry continues it, and who is told.

use super::membership::blocking;
use crate::{gateway::failure::Failure, node::Node, tenants::Tenant};
use bytes::Bytes;
use store::{Tx, UserState};
use trust::{Action, DeviceChain, DeviceState, chain::decode};
use wire::{DeviceId, ErrorCode, Event, UserId, event::ChainChanged, frame, request::SignedEntry};

/// What an entry is to a chain.
pub(crate) enum Step {
    /// It continues it.
    Next {
        /// Its place.
        place: u32,
        /// What it does.
        action: Action,
        /// Whether any device speaks for the user after it.
        leaves_a_device: bool,
    },
    /// It is part of it already: the answer was lost, the act was not.
    Repeat,
}

/// The chain of a user. A chain has up to a thousand entries: it is checked outside of any transaction, and since it only
/// grows, whoever extends it in a transaction needs to compare no more than its length.
pub(crate) async fn chain(tenant: &Tenant, user: UserId) -> Result<DeviceChain, Failure> {
    let entries = tenant.store.read(move |tx| Ok::<_, Failure>(tx.chain(user, 0)?)).await?;
    verified(tenant, user, entries).await
}

async fn verified(tenant: &Tenant, user: UserId, entries: Vec<SignedEntry>) -> Result<DeviceChain, Failure> {
    let (id, authority) = (tenant.id, tenant.authority);
    blocking(move || DeviceChain::verify(id, user, &entries, Some(&authority))).await?.map_err(Failure::internal)
}

/// What an entry is to the chain of a user.
///
/// # Errors
/// [`ErrorCode::ChainMoved`] when the chain is longer than its signer knew, [`ErrorCode::InvalidSignature`] for every entry
/// that a contact would refuse.
pub(crate) async fn step(tenant: &Tenant, user: UserId, entry: &SignedEntry) -> Result<Step, Failure> {
    let claimed = decode(entry).map_err(|_| ErrorCode::Malformed)?;
    let entries = tenant.store.read(move |tx| Ok::<_, Failure>(tx.chain(user, 0)?)).await?;
    match entries.get(claimed.index as usize) {
        Some(there) if there == entry => return Ok(Step::Repeat),
        Some(_) => return Err(ErrorCode::ChainMoved.into()),
        None => {}
    }
    let mut chain = verified(tenant, user, entries).await?;
    chain.append(entry, None).map_err(|_| ErrorCode::InvalidSignature)?;
    let leaves_a_device = chain.devices().any(|(_, device)| device.state == DeviceState::Active);
    Ok(Step::Next { place: claimed.index, action: claimed.action, leaves_a_device })
}

/// Appends an entry that was found to be the next, by a device that still speaks for its user.
///
/// # Errors
/// [`ErrorCode::Revoked`], [`ErrorCode::ChainMoved`].
pub(crate) fn extend(
    tx: &mut Tx<'_>,
    user: UserId,
    by: DeviceId,
    place: u32,
    entry: &SignedEntry,
) -> Result<(), Failure> {
    let user_is_active = tx.user(user)?.is_some_and(|user| user.state == UserState::Active);
    let device_is_active = tx.device(by)?.is_some_and(|device| device.state == DeviceState::Active);
    if !user_is_active || !device_is_active {
        return Err(ErrorCode::Revoked.into());
    }
    if tx.extend_chain(user, place, entry)? { Ok(()) } else { Err(ErrorCode::ChainMoved.into()) }
}

/// From here on the device does not speak for its user: nobody can add it, nothing waits for it.
pub(crate) fn retire(tx: &mut Tx<'_>, device: DeviceId, state: DeviceState) -> Result<(), Failure> {
    tx.set_device_state(device, state)?;
    tx.withdraw_key_packages(device)?;
    tx.withdraw_all_welcomes(device)?;
    tx.finish_link(device)?;
    Ok(())
}

/// Tells the user's other devices and everybody who shares a conversation with the user that the chain has grown. The change
/// is durable already: whoever is not told now asks for it after the next connect.
pub(crate) async fn tell(node: &Node, tenant: &Tenant, user: UserId, len: u32) {
    let devices = tenant.store.read(move |tx| {
        let mut devices = tx.devices_sharing_with(user)?;
        devices.extend(tx.devices_of(user)?.iter().map(|device| device.device));
        devices.sort_unstable();
        devices.dedup();
        Ok::<_, Failure>(devices)
    });
    match devices.await {
        Ok(devices) => {
            let frame = Bytes::from(frame::event(&Event::ChainChanged(ChainChanged { user, len })));
            node.metrics.fanned_out(node.hub.fan_out(tenant.id, &devices, None, &frame));
        }
        Err(failure) => {
            failure.into_refusal("tell_chain_changed");
        }
    }
}
