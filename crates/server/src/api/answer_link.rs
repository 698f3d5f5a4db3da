//! `answer_link`: the chain grows by the new device, and what it needs waits for it. All of it, or nothing.

use super::devices::{self, Step};
use crate::{
    gateway::{failure::Failure, state::Session},
    node::Node,
};
use store::{Actor, Tx};
use trust::{Action, DevicePublicKey};
use wire::{
    DeviceId, ErrorCode, Op, UnixMillis, UserId, limits,
    request::{AnswerLink, Done},
};

pub(crate) async fn handle(node: &Node, session: &Session, link: AnswerLink) -> Result<Done, Failure> {
    if link.answer.len() > limits::LINK_ANSWER_MAX_BYTES {
        return Err(ErrorCode::TooLarge.into());
    }
    let (place, action) = match devices::step(&session.tenant, session.user, &link.entry).await? {
        Step::Repeat => return Ok(Done {}),
        Step::Next { place, action, .. } => (place, action),
    };
    let Action::Add { device, device_key } = action else { return Err(ErrorCode::Forbidden.into()) };
    let new = New { user: session.user, by: session.device, place, device, device_key, link };
    let now = session.clock.now();
    session.tenant.store.write(move |tx: &mut Tx<'_>| add(tx, now, &new)).await?;
    tracing::info!(tenant = %session.tenant.id, user = %session.user, %device, "device linked");
    devices::tell(node, &session.tenant, session.user, place + 1).await;
    Ok(Done {})
}

/// Everything about the new device, checked.
struct New {
    user: UserId,
    by: DeviceId,
    place: u32,
    device: DeviceId,
    device_key: DevicePublicKey,
    link: AnswerLink,
}

fn add(tx: &mut Tx<'_>, now: UnixMillis, new: &New) -> Result<(), Failure> {
    let offer = tx.link_offer(new.user, &new.link.lookup, now)?.ok_or(ErrorCode::NotFound)?;
    if offer.answer.is_some() {
        return Err(ErrorCode::AlreadyExists.into());
    }
    devices::extend(tx, new.user, new.by, new.place, &new.link.entry)?;
    if !tx.add_linked_device(new.device, new.user, new.device_key)? {
        return Err(ErrorCode::AlreadyExists.into());
    }
    if !tx.answer_link(new.user, &new.link.lookup, new.device, &new.link.answer, now)? {
        return Err(ErrorCode::NotFound.into());
    }
    let objects = [*new.user.as_bytes(), *new.device.as_bytes()];
    super::audit(tx, now, Actor::Device(new.by), Op::AnswerLink, "ok", &objects)
}
