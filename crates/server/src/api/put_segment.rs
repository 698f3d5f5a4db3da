//! `put_segment`: a device has read a part of a conversation, and keeps it for those of the same user that come later.

use super::archive;
use crate::{
    gateway::{failure::Failure, state::Session},
    node::Node,
};
use bytes::Bytes;
use rules::archive::admit_segment;
use std::sync::Arc;
use store::{SegmentOutcome, Tx};
use trust::DeviceState;
use wire::{
    ErrorCode, Event,
    event::Archived,
    frame,
    request::{Done, PutSegment},
};

pub(crate) async fn handle(node: Arc<Node>, session: Arc<Session>, put: PutSegment) -> Result<Done, Failure> {
    session.may_record()?;
    let (user, terms) = (session.user, node.config.archive.terms());
    let PutSegment { conversation, generation, segment } = put;
    let archived = Archived { conversation, first: segment.first, last: segment.last };
    let stored = session.tenant.store.write(move |tx: &mut Tx<'_>| {
        let there = archive::conversation(tx, user, conversation)?;
        if generation != there.generation {
            return Err(Failure::from(ErrorCode::GenerationChanged));
        }
        admit_segment(&segment, there.head_seq)?;
        match tx.put_segment(user, conversation, &segment, terms)? {
            SegmentOutcome::Stored => Ok(tx.devices_of(user)?),
            // They were told when it was new.
            SegmentOutcome::Repeated => Ok(Vec::new()),
            SegmentOutcome::Overlaps | SegmentOutcome::StaleRevision => Err(ErrorCode::AlreadyExists.into()),
            SegmentOutcome::NoDay => Err(ErrorCode::NotFound.into()),
            SegmentOutcome::KeptOut => Err(ErrorCode::KeptOut.into()),
            SegmentOutcome::Full => Err(ErrorCode::QuotaExceeded.into()),
        }
    });
    let devices = stored.await?;
    let devices = devices.iter().filter(|device| device.state == DeviceState::Active).map(|device| &device.device);
    let frame = Bytes::from(frame::event(&Event::Archived(archived)));
    node.metrics.fanned_out(node.hub.fan_out(session.tenant.id, devices, Some(session.device), &frame));
    Ok(Done {})
}
