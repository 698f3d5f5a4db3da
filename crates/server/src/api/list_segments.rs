//! `list_segments`: which places of a conversation the caller's own archive has.

use crate::gateway::{failure::Failure, state::Session};
use wire::{
    limits::SEGMENT_PLACES_MAX,
    request::{ListSegments, SegmentList},
};

pub(crate) async fn handle(session: &Session, list: ListSegments) -> Result<SegmentList, Failure> {
    let (user, ListSegments { conversation, after }) = (session.user, list);
    let most = SEGMENT_PLACES_MAX as u32;
    let places =
        session.tenant.store.read(move |tx| Ok::<_, Failure>(tx.segment_places(user, conversation, after, most)?));
    places.await
}
