//! `send`: one sealed message into the log. The path that everything else makes room for: one decision in memory, one entry
//! in the next batch of the store, and from its completion the answer and the event, encoded once for all.

use super::membership;
use crate::{
    gateway::{
        failure::Failure,
        state::{Session, refuse},
    },
    groups::Membership,
    metrics::Outcome,
    node::Node,
};
use bytes::Bytes;
use roster::payload::check_application;
use rules::admit::{self, Situation};
use std::sync::Arc;
use store::{Append, NewEntry};
use tokio::sync::OwnedSemaphorePermit;
use wire::{
    Entry, EntryKind, ErrorCode, Event, GroupId, Op,
    event::Recorded,
    frame,
    request::{RecordedAt, Send},
};

/// Begins; the answer comes when the entry is durable.
pub(crate) async fn begin(
    node: &Arc<Node>,
    session: &Arc<Session>,
    permit: OwnedSemaphorePermit,
    id: u32,
    send: Send,
) -> Result<(), Failure> {
    session.may_record()?;
    let membership = membership::of(node, session, send.conversation).await?.ok_or(ErrorCode::Forbidden)?;
    let Place { group, stale } = decide(session, &membership, &send)?;
    let new = NewEntry {
        conversation: send.conversation,
        group,
        epoch: send.epoch,
        kind: EntryKind::Application,
        sender: session.device,
        message_id: send.message_id,
        payload: send.payload,
        at: session.clock.now(),
        supplied: None,
    };
    let completion = Completion { node: Arc::clone(node), session: Arc::clone(session), membership, id };
    let conversation = send.conversation;
    session.tenant.store.submit_entry(new, move |appended| {
        match appended {
            Ok(Append::Recorded { entry, generation }) => completion.recorded(conversation, entry, generation),
            Ok(Append::Repeated(at)) => completion.answer(&at),
            Ok(Append::StaleEpoch { .. }) => {
                if !stale {
                    completion.node.groups.forget(completion.session.tenant.id, conversation);
                }
                completion.refuse(ErrorCode::StaleEpoch.into());
            }
            Ok(Append::KeyReused) => completion.refuse(ErrorCode::KeyReused.into()),
            Ok(Append::NoConversation | Append::OutOfPlace) => completion.refuse(ErrorCode::Forbidden.into()),
            Err(error) => completion.refuse(error.into()),
        }
        drop(permit);
    });
    Ok(())
}

/// For which group a message was sealed, and whether its time is over: then it may be a repeat of what was accepted before,
/// which only the store knows.
struct Place {
    group: GroupId,
    stale: bool,
}

/// Whether the message may be recorded, as far as it shows on its outside.
fn decide(session: &Session, membership: &Membership, send: &Send) -> Result<Place, ErrorCode> {
    let member = membership.has(session.device);
    admit::send(Situation { member, epoch: send.epoch }, send.epoch, send.payload.len())?;
    let facts = check_application(&send.payload).map_err(|_| ErrorCode::Malformed)?;
    if facts.epoch != send.epoch || facts.aad.message_id != send.message_id {
        return Err(ErrorCode::Malformed);
    }
    if facts.group_id != membership.group_id {
        return Ok(Place { group: facts.group_id, stale: true });
    }
    let admitted = admit::send(Situation { member, epoch: membership.epoch }, send.epoch, send.payload.len());
    match admitted {
        Ok(()) => Ok(Place { group: facts.group_id, stale: false }),
        Err(ErrorCode::StaleEpoch) => Ok(Place { group: facts.group_id, stale: true }),
        Err(code) => Err(code),
    }
}

/// What is to be done when the entry is durable. It runs on the store's thread, so it only encodes and queues.
struct Completion {
    node: Arc<Node>,
    session: Arc<Session>,
    membership: Arc<Membership>,
    id: u32,
}

impl Completion {
    /// Tells the sender and the members, on the store's thread: their writers are woken when the whole batch is told.
    fn recorded(&self, conversation: wire::ConversationId, entry: Entry, generation: u32) {
        self.answer(&RecordedAt { seq: entry.seq, at: entry.at, generation });
        let event = Event::Recorded(Recorded { conversation, generation, entry });
        let frame = Bytes::from(frame::event(&event));
        let (tenant, sender) = (self.session.tenant.id, Some(self.session.device));
        let queued = self.node.hub.fan_out_in_batch(tenant, &self.membership.devices, sender, &frame);
        self.node.metrics.fanned_out(queued);
    }

    fn answer(&self, at: &RecordedAt) {
        self.node.metrics.request(Op::Send, Outcome::Answered);
        self.node.hub.push_in_batch(&self.session.queue, frame::answer(self.id, at).into());
    }

    fn refuse(&self, failure: Failure) {
        refuse(&self.node, &self.session.queue, Op::Send, self.id, failure);
    }
}
