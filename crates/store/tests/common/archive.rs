//! Archives of Mei and Tom.

use super::*;
use mifeng_store::{OpenedDay, SegmentOutcome};
use rules::archive::Terms;
use wire::request::{ArchiveDay, Segment, Segments};

pub const DAY: u32 = 20_000;
pub const GARDEN: ConversationId = ConversationId::from_bytes([32; 16]);
pub const TERMS: Terms = Terms { user_bytes: 1 << 30, days: 0 };

pub fn day(day: u32) -> ArchiveDay {
    ArchiveDay { day, version: 1, wrapped: format!("key of {day}").into_bytes() }
}

pub fn segment(first: u64, last: u64) -> Segment {
    Segment { first, last, day: DAY, revision: 0, bytes: format!("{first} to {last}").into_bytes() }
}

/// Mei, Tom and their conversation; each has begun a day.
pub async fn reading(on: On) -> World {
    let world = on.lasting_world().await;
    world.store.write(add_talk).await.unwrap();
    for user in [MEI, TOM] {
        assert_eq!(open(&world.store, user, &day(DAY)).await, OpenedDay::New);
    }
    world
}

pub async fn open(store: &Store, user: UserId, day: &ArchiveDay) -> OpenedDay {
    let day = day.clone();
    store.write(move |tx| tx.open_day(user, &day)).await.unwrap()
}

pub async fn put(store: &Store, user: UserId, segment: &Segment) -> SegmentOutcome {
    put_into(store, user, TALK, segment, TERMS).await
}

pub async fn put_into(
    store: &Store,
    user: UserId,
    conversation: ConversationId,
    segment: &Segment,
    terms: Terms,
) -> SegmentOutcome {
    let segment = segment.clone();
    store.write(move |tx| tx.put_segment(user, conversation, &segment, terms)).await.unwrap()
}

pub async fn fetch(store: &Store, user: UserId, before: u64, max_bytes: usize) -> Segments {
    store.read(move |tx| tx.segments_before(user, TALK, before, max_bytes)).await.unwrap()
}

pub async fn all(store: &Store, user: UserId) -> Vec<Segment> {
    let found = fetch(store, user, u64::MAX, usize::MAX).await;
    assert!(!found.earlier);
    found.segments
}

pub async fn bytes_of(store: &Store, user: UserId) -> u64 {
    store.read(move |tx| tx.archive_bytes_of(user)).await.unwrap()
}
