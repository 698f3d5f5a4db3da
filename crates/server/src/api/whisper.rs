//! `whisper`: typing and presence, to whoever is online, and then forgotten.

use super::membership;
use crate::{
    gateway::{failure::Failure, state::Session},
    node::Node,
};
use bytes::Bytes;
use rules::admit::{self, Situation};
use wire::{
    ErrorCode, Event,
    event::Whispered,
    frame,
    request::{Done, Whisper},
};

pub(crate) async fn handle(node: &Node, session: &Session, whisper: Whisper) -> Result<Done, Failure> {
    let membership = membership::of(node, session, whisper.conversation).await?.ok_or(ErrorCode::Forbidden)?;
    let situation = Situation { member: membership.has(session.device), epoch: membership.epoch };
    admit::whisper(situation, whisper.epoch, whisper.payload.len())?;
    let event = Event::Whispered(Whispered {
        conversation: whisper.conversation,
        epoch: whisper.epoch,
        sender: session.device,
        payload: whisper.payload,
    });
    let frame = Bytes::from(frame::event(&event));
    let told = node.hub.fan_out(session.tenant.id, &membership.devices, Some(session.device), &frame);
    node.metrics.fanned_out(told);
    Ok(Done {})
}
