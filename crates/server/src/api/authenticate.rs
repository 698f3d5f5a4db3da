//! `authenticate`: a device signs the connection's challenge.

use crate::{
    gateway::{
        failure::Failure,
        queue::Queue,
        state::{Guest, Session},
    },
    node::Node,
};
use std::sync::Arc;
use store::{Actor, Device, Tx};
use trust::{DeviceState, login};
use wire::{
    ErrorCode, Op, UnixMillis,
    request::{Authenticate, Authenticated},
};

pub(crate) async fn handle(
    node: &Node,
    guest: &mut Guest,
    queue: Arc<Queue>,
    answer: Authenticate,
) -> Result<(Authenticated, Arc<Session>), Failure> {
    // Taken before anything is checked: whatever comes of it, it serves once.
    let challenge = guest.challenge.take().ok_or(ErrorCode::Unauthenticated)?;
    let tenant = Arc::clone(&guest.tenant);
    let device = answer.device;
    let known = tenant.store.read(move |tx| Ok::<_, Failure>(tx.device(device)?)).await?;
    // An unknown device and a wrong signature are the same to a stranger.
    let known = known.ok_or(ErrorCode::InvalidSignature)?;
    login::verify(&known.key, &challenge, tenant.id, device, &answer.signature)
        .map_err(|_| ErrorCode::InvalidSignature)?;
    let now = node.clock.now();
    let chain_len = tenant.store.write(move |tx| admit(tx, now, known)).await?;
    let session = Session {
        user: known.user,
        device,
        rates: node.rates.device(tenant.id, device, now),
        clock: node.clock.clone(),
        queue,
        acknowledgements: super::acknowledge::Acknowledgements::default(),
        tenant,
    };
    Ok((Authenticated { user: known.user, chain_len }, Arc::new(session)))
}

/// Asks again inside the transaction that records the login: a device revoked meanwhile does not get in.
fn admit(tx: &mut Tx<'_>, now: UnixMillis, known: Device) -> Result<u32, Failure> {
    let state = tx.device(known.device)?.map(|device| device.state);
    if state != Some(DeviceState::Active) {
        return Err(ErrorCode::Revoked.into());
    }
    if known.last_seen_day == 0 {
        // A linked device logs in for the first time: it has what was left for it, durably.
        tx.finish_link(known.device)?;
    }
    tx.touch_device(known.device, now)?;
    let objects = [*known.user.as_bytes()];
    super::audit(tx, now, Actor::Device(known.device), Op::Authenticate, "ok", &objects)?;
    Ok(tx.chain_len(known.user)?)
}
