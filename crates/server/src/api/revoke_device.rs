//! `revoke_device`: the device no longer speaks for its user. In one transaction it loses its login, its key packages and its
//! Welcomes; right after it, its connection.

use super::devices::{self, Step};
use crate::{
    gateway::{failure::Failure, state::Session},
    node::Node,
};
use store::{Actor, Tx};
use trust::{Action, DeviceState};
use wire::{
    ErrorCode, Op, Refusal,
    request::{Done, RevokeDevice},
};

pub(crate) async fn handle(node: &Node, session: &Session, revoke: RevokeDevice) -> Result<Done, Failure> {
    let (place, action, leaves_a_device) = match devices::step(&session.tenant, session.user, &revoke.entry).await? {
        Step::Repeat => return Ok(Done {}),
        Step::Next { place, action, leaves_a_device } => (place, action, leaves_a_device),
    };
    let Action::Revoke { device } = action else { return Err(ErrorCode::Forbidden.into()) };
    if !leaves_a_device {
        let detail = "it is the only device: nobody could get in again";
        return Err(Refusal::with_detail(ErrorCode::Forbidden, detail).into());
    }
    let (now, user, by) = (session.clock.now(), session.user, session.device);
    let revoked = session.tenant.store.write(move |tx: &mut Tx<'_>| {
        devices::extend(tx, user, by, place, &revoke.entry)?;
        devices::retire(tx, device, DeviceState::Revoked)?;
        super::audit(tx, now, Actor::Device(by), Op::RevokeDevice, "ok", &[*user.as_bytes(), *device.as_bytes()])
    });
    revoked.await?;
    node.hub.bar(session.tenant.id, device);
    tracing::info!(tenant = %session.tenant.id, %user, %device, "device revoked");
    devices::tell(node, &session.tenant, user, place + 1).await;
    Ok(Done {})
}
