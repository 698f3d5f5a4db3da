//! `fetch_segments`: the caller's own segments of a conversation, the newest first. Who has left it keeps what they have read.

use crate::{
    gateway::{failure::Failure, state::Session},
    node::Node,
};
use std::sync::Arc;
use wire::{
    limits::SEGMENTS_MAX_BYTES,
    request::{FetchSegments, Segments},
};

pub(crate) async fn handle(_: Arc<Node>, session: Arc<Session>, fetch: FetchSegments) -> Result<Segments, Failure> {
    let (user, FetchSegments { conversation, before }) = (session.user, fetch);
    let segments = session
        .tenant
        .store
        .read(move |tx| Ok::<_, Failure>(tx.segments_before(user, conversation, before, SEGMENTS_MAX_BYTES)?));
    segments.await
}
