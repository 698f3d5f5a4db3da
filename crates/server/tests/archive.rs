//! Archives, as far as the server has to do with them: bytes that it cannot read, of which places, for whom.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's help fails the test")]

mod harness;

use e2ee::Proposed;
use harness::{
    Server,
    line::Line,
    phone::{Pair, Phone, random},
};
use mifeng_server::{admin, admin::Suite, config::Config, jobs};
use trust::DeviceState;
use wire::{ConversationId, ErrorCode, Event, MessageId, Refusal, event::Archived, limits, request::*};

const DAY_MS: u64 = 24 * 3_600_000;
/// Entries of the log that all of them have read.
const HEAD: u64 = 12;

/// Alice and Bob have talked; Alice has a laptop.
struct World {
    server: Server,
    pair: Pair,
    laptop: Phone,
    to_laptop: Line,
}

impl World {
    async fn talking(change: impl FnOnce(&mut Config)) -> Self {
        let server = Server::with(change).await;
        server.tenant("acme", Suite::Classical).await;
        let mut pair = Pair::meet(&server, "acme").await;
        let (line, greeting) = Line::hello(&server, "acme").await;
        line.close().await;
        let mut laptop = Phone::new(&greeting, "acme", "alice");
        laptop.user = pair.alice.user;
        // How a device is linked is another test's.
        let (device, user, key) = (laptop.device, laptop.user, laptop.key.public());
        let store = server.node().database.tenant(pair.alice.tenant);
        assert!(store.write(move |tx| tx.add_linked_device(device, user, key)).await.unwrap());
        let to_laptop = laptop.connect(&server).await;
        for _ in 2..=HEAD {
            let sent = pair.alice.seal(pair.conversation, pair.group, b"x");
            pair.to_alice.call(&sent).await.unwrap();
            let Event::Recorded(_) = pair.to_bob.event().await else { panic!("not told") };
        }
        Self { server, pair, laptop, to_laptop }
    }

    fn today(&self) -> u32 {
        (self.server.node().clock.now() / DAY_MS) as u32
    }

    fn day(&self, before: u32) -> ArchiveDay {
        ArchiveDay { day: self.today() - before, version: 1, wrapped: vec![7; 60] }
    }

    async fn open(&mut self) -> ArchiveDay {
        let day = self.day(0);
        self.pair.to_alice.call(&OpenArchiveDay { day }).await.unwrap()
    }

    fn put(&self, first: u64, last: u64) -> PutSegment {
        let bytes = format!("sealed, {first} to {last}").into_bytes();
        let segment = Segment { first, last, day: self.today(), revision: 0, bytes };
        PutSegment { conversation: self.pair.conversation, generation: 0, segment }
    }

    /// What the laptop finds.
    async fn found(&mut self) -> Vec<Segment> {
        let fetch = FetchSegments { conversation: self.pair.conversation, before: u64::MAX };
        self.to_laptop.call(&fetch).await.unwrap().segments
    }

    async fn list(&mut self) -> SegmentList {
        self.to_laptop.call(&ListSegments { conversation: self.pair.conversation, after: 0 }).await.unwrap()
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> ErrorCode {
    result.unwrap_err().code().unwrap()
}

/// What a device has been told until now.
async fn told(line: &mut Line) -> Vec<Event> {
    line.call(&Sync {}).await.unwrap();
    line.events.drain(..).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_device_has_put_another_of_the_same_user_is_told_of_and_fetches() {
    let mut world = World::talking(|_| {}).await;
    let day = world.open().await;
    let other = ArchiveDay { wrapped: vec![8; 60], ..day.clone() };
    assert_eq!(world.to_laptop.call(&OpenArchiveDay { day: other }).await.unwrap(), day, "the first one's counts");
    let [first, second] = [world.put(1, 5), world.put(6, HEAD)];
    for put in [&first, &second, &first] {
        world.pair.to_alice.call(put).await.unwrap();
    }
    let conversation = world.pair.conversation;
    let events = [(1, 5), (6, HEAD)].map(|(first, last)| Event::Archived(Archived { conversation, first, last }));
    assert_eq!(told(&mut world.to_laptop).await, events, "once each");
    assert_eq!(told(&mut world.pair.to_alice).await, [], "the sender knows");
    assert_eq!(told(&mut world.pair.to_bob).await, [], "nobody else is concerned");
    let fetch = FetchSegments { conversation, before: u64::MAX };
    let found = world.to_laptop.call(&fetch).await.unwrap();
    assert_eq!(
        found,
        Segments { segments: vec![second.segment, first.segment], days: vec![day.clone()], earlier: false }
    );
    let whole = SegmentList { places: vec![Places { first: 1, last: HEAD }], more: false, kept_out: false };
    assert_eq!(world.list().await, whole);
    let days = world.to_laptop.call(&FetchArchiveDays { after: None }).await.unwrap();
    assert_eq!(days, ArchiveDays { days: vec![day], more: false });
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_nobody_reaches_anothers_archive_or_puts_what_is_not_theirs_to_read() {
    let mut world = World::talking(|_| {}).await;
    let (day, put) = (world.open().await, world.put(1, 5));
    let conversation = put.conversation;
    world.pair.to_alice.call(&put).await.unwrap();
    let (fetch, list) = (FetchSegments { conversation, before: u64::MAX }, ListSegments { conversation, after: 0 });
    let eve = Phone::join(&world.server, "acme", "eve").await;
    let mut to_eve = eve.connect(&world.server).await;
    for line in [&mut world.pair.to_bob, &mut to_eve] {
        let nothing = Segments { segments: vec![], days: vec![], earlier: false };
        assert_eq!(line.call(&fetch).await.unwrap(), nothing);
        assert!(line.call(&list).await.unwrap().places.is_empty());
        assert!(line.call(&FetchArchiveDays { after: None }).await.unwrap().days.is_empty());
        let newer = ArchiveDay { version: 9, ..day.clone() };
        line.call(&RewrapArchiveDays { days: vec![newer.clone()] }).await.unwrap();
        assert_eq!(line.call(&OpenArchiveDay { day: newer.clone() }).await.unwrap(), newer, "a day of their own");
    }
    let nowhere = ConversationId::from_bytes(random());
    for conversation in [conversation, nowhere] {
        let put = PutSegment { conversation, ..put.clone() };
        assert_eq!(code(to_eve.call(&put).await), ErrorCode::NotFound);
        assert_eq!(code(to_eve.call(&KeepOut { conversation, out: true }).await), ErrorCode::NotFound);
    }
    world.pair.to_bob.call(&put).await.unwrap();
    world.pair.to_bob.call(&KeepOut { conversation, out: true }).await.unwrap();
    assert_eq!(world.found().await, [put.segment], "Alice's is as it was");
    let days = world.to_laptop.call(&FetchArchiveDays { after: None }).await.unwrap().days;
    assert_eq!(days, [day]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_of_the_log_and_of_a_day_that_was_begun() {
    let mut world = World::talking(|_| {}).await;
    let put = world.put(1, 5);
    assert_eq!(code(world.pair.to_alice.call(&put).await), ErrorCode::NotFound, "the day was not begun");
    world.open().await;
    let other = |change: &dyn Fn(&mut Segment)| {
        let mut put = put.clone();
        change(&mut put.segment);
        put
    };
    let large = vec![1; limits::SEGMENT_MAX_BYTES + 1];
    for (put, expected) in [
        (PutSegment { generation: 1, ..put.clone() }, ErrorCode::GenerationChanged),
        (other(&|segment| segment.first = 0), ErrorCode::Malformed),
        (other(&|segment| segment.first = 6), ErrorCode::Malformed),
        (other(&|segment| segment.last = HEAD + 1), ErrorCode::Malformed),
        (other(&|segment| (segment.first, segment.last) = (u64::MAX, u64::MAX)), ErrorCode::Malformed),
        (other(&|segment| segment.bytes.clear()), ErrorCode::Malformed),
        (other(&|segment| segment.bytes = large.clone()), ErrorCode::TooLarge),
        (other(&|segment| segment.revision = 1), ErrorCode::AlreadyExists),
        (other(&|segment| segment.day += 1), ErrorCode::NotFound),
    ] {
        assert_eq!(code(world.pair.to_alice.call(&put).await), expected);
    }
    assert!(world.found().await.is_empty());
    world.pair.to_alice.call(&put).await.unwrap();
    assert_eq!(code(world.to_laptop.call(&world.put(5, 6)).await), ErrorCode::AlreadyExists);
    let next = other(&|segment| (segment.revision, segment.bytes) = (1, vec![9; limits::SEGMENT_MAX_BYTES]));
    world.to_laptop.call(&next).await.unwrap();
    assert_eq!(code(world.pair.to_alice.call(&put).await), ErrorCode::AlreadyExists, "the one before");
    assert_eq!(world.found().await, [next.segment]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_day_is_small_has_a_version_and_only_gets_newer() {
    let mut world = World::talking(|_| {}).await;
    let day = world.day(0);
    for (bad, expected) in [
        (ArchiveDay { version: 0, ..day.clone() }, ErrorCode::Malformed),
        (ArchiveDay { wrapped: vec![], ..day.clone() }, ErrorCode::Malformed),
        (ArchiveDay { wrapped: vec![1; limits::DAY_KEY_MAX_BYTES + 1], ..day.clone() }, ErrorCode::TooLarge),
        (ArchiveDay { day: day.day + 3, ..day.clone() }, ErrorCode::Malformed),
    ] {
        assert_eq!(code(world.pair.to_alice.call(&OpenArchiveDay { day: bad.clone() }).await), expected);
        if bad.day == day.day {
            let rewrap = RewrapArchiveDays { days: vec![day.clone(), bad] };
            assert_eq!(code(world.pair.to_alice.call(&rewrap).await), expected);
        }
    }
    let many = RewrapArchiveDays { days: vec![day.clone(); limits::ARCHIVE_DAYS_MAX + 1] };
    assert_eq!(code(world.pair.to_alice.call(&many).await), ErrorCode::TooLarge);
    world.open().await;
    let version = |version: u32| ArchiveDay { version, wrapped: vec![version as u8; 60], ..day.clone() };
    let missing = ArchiveDay { version: 5, ..world.day(3) };
    world.pair.to_alice.call(&RewrapArchiveDays { days: vec![version(3), missing] }).await.unwrap();
    world.to_laptop.call(&RewrapArchiveDays { days: vec![version(2)] }).await.unwrap();
    let days = world.to_laptop.call(&FetchArchiveDays { after: None }).await.unwrap().days;
    assert_eq!(days, [version(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_out_is_gone_and_refused_until_it_is_let_in() {
    let mut world = World::talking(|_| {}).await;
    world.open().await;
    let put = world.put(1, 5);
    let conversation = put.conversation;
    world.pair.to_alice.call(&put).await.unwrap();
    for _ in 0..2 {
        world.pair.to_alice.call(&KeepOut { conversation, out: true }).await.unwrap();
        assert_eq!(world.list().await, SegmentList { places: vec![], more: false, kept_out: true });
        assert!(world.found().await.is_empty());
        assert_eq!(code(world.to_laptop.call(&put).await), ErrorCode::KeptOut);
    }
    world.to_laptop.call(&KeepOut { conversation, out: false }).await.unwrap();
    world.to_laptop.call(&put).await.unwrap();
    assert_eq!(world.found().await, [put.segment]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_keeps_more_than_their_share_of_an_archive() {
    let mut world = World::talking(|config| config.archive.user_bytes = limits::SEGMENT_MAX_BYTES as u64).await;
    world.open().await;
    let sized = |first, bytes| {
        let mut put = world.put(first, first);
        put.segment.bytes = vec![1; bytes];
        put
    };
    let [large, rest, one] = [sized(1, 100_000), sized(2, 31_072), sized(3, 1)];
    world.pair.to_alice.call(&large).await.unwrap();
    world.to_laptop.call(&rest).await.unwrap();
    assert_eq!(code(world.pair.to_alice.call(&one).await), ErrorCode::QuotaExceeded);
    world.pair.to_alice.call(&large).await.unwrap();
    assert_eq!(world.found().await, [rest.segment, large.segment]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_left_keeps_what_they_have_read_and_may_still_put_it() {
    let mut world = World::talking(|_| {}).await;
    let (day, [before, after]) = (world.day(0), [world.put(1, 5), world.put(6, HEAD)]);
    let pair = &mut world.pair;
    pair.to_bob.call(&OpenArchiveDay { day }).await.unwrap();
    pair.to_bob.call(&before).await.unwrap();
    let leave = pair.bob.leave(pair.conversation, pair.group);
    let recorded = pair.to_bob.call(&leave).await.unwrap();
    let Event::Recorded(told) = pair.to_alice.event().await else { panic!("not told") };
    pair.alice.open(pair.group, &told.entry);
    let commit = pair.alice.commit(pair.conversation, pair.group, &Proposed::default(), recorded.seq);
    pair.to_alice.call(&commit).await.unwrap();
    let (conversation, message_id) = (pair.conversation, MessageId::from_bytes(random()));
    let send = Send { conversation, epoch: 2, message_id, payload: vec![1] };
    assert_eq!(code(pair.to_bob.call(&send).await), ErrorCode::Forbidden, "he is gone");
    pair.to_bob.call(&after).await.unwrap();
    let fetch = FetchSegments { conversation: pair.conversation, before: u64::MAX };
    assert_eq!(pair.to_bob.call(&fetch).await.unwrap().segments, [after.segment, before.segment]);
    pair.to_bob.call(&KeepOut { conversation: pair.conversation, out: true }).await.unwrap();
    assert!(pair.to_bob.call(&fetch).await.unwrap().segments.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_are_over_are_destroyed_and_with_no_end_none_is() {
    for days in [30, 0] {
        let mut world = World::talking(|config| config.archive.days = days).await;
        let (old, older) = (world.day(30), world.day(31));
        let too_old = world.pair.to_alice.call(&OpenArchiveDay { day: older.clone() }).await;
        assert_eq!(too_old.map_err(|refusal| refusal.code()).err().flatten().is_some(), days > 0);
        world.pair.to_alice.call(&OpenArchiveDay { day: old.clone() }).await.unwrap();
        world.open().await;
        let (mut put, young) = (world.put(1, 5), world.put(6, 9));
        put.segment.day = old.day;
        for put in [&put, &young] {
            world.pair.to_alice.call(put).await.unwrap();
        }
        let (node, now) = (world.server.node(), world.server.node().clock.now());
        jobs::prune_at(node, now).await.unwrap();
        assert_eq!(world.found().await.len(), 2, "its last day");
        jobs::prune_at(world.server.node(), now + DAY_MS).await.unwrap();
        if days > 0 {
            assert_eq!(world.found().await, std::slice::from_ref(&young.segment));
            assert_eq!(code(world.pair.to_alice.call(&put).await), ErrorCode::NotFound);
            jobs::prune_at(world.server.node(), now + 31 * DAY_MS).await.unwrap();
            assert!(world.found().await.is_empty());
        } else {
            jobs::prune_at(world.server.node(), now + 40_000 * DAY_MS).await.unwrap();
            assert_eq!(world.found().await, [young.segment, put.segment]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_account_leaves_no_archive_behind() {
    let mut world = World::talking(|_| {}).await;
    let (day, put) = (world.open().await, world.put(1, 5));
    let (user, bob, conversation) = (world.pair.alice.user, world.pair.bob.user, put.conversation);
    world.pair.to_alice.call(&put).await.unwrap();
    world.pair.to_bob.call(&OpenArchiveDay { day }).await.unwrap();
    world.pair.to_bob.call(&put).await.unwrap();
    let close = admin::CloseUser { tenant: "acme".into(), handle: "alice".into() };
    world.server.admin().call_async(&close).await.unwrap();
    let store = world.server.node().database.tenant(world.pair.alice.tenant);
    let left = async |user| {
        let days = store.read(move |tx| tx.days_after(user, None, 9)).await.unwrap().days.len();
        let segments = store.read(move |tx| tx.segments_before(user, conversation, u64::MAX, 9)).await.unwrap();
        (days, segments.segments.len(), store.read(move |tx| tx.archive_bytes_of(user)).await.unwrap())
    };
    assert_eq!(left(user).await, (0, 0, 0));
    assert_eq!(left(bob).await, (1, 1, put.segment.bytes.len() as u64), "another's stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_does_not_slip_in_behind_a_revocation_or_a_closing() {
    let mut world = World::talking(|_| {}).await;
    let (day, conversation) = (world.open().await, world.pair.conversation);
    let (user, device) = (world.laptop.user, world.laptop.device);
    let store = world.server.node().database.tenant(world.laptop.tenant);
    let newer = RewrapArchiveDays { days: vec![ArchiveDay { version: 9, ..day.clone() }] };
    let open = OpenArchiveDay { day: world.day(1) };
    let keep = KeepOut { conversation, out: true };
    // The connection is still there, as it is for the moment between the change and its end.
    store.write(move |tx| tx.set_device_state(device, DeviceState::Revoked)).await.unwrap();
    assert_eq!(code(world.to_laptop.call(&newer).await), ErrorCode::Revoked);
    assert_eq!(code(world.to_laptop.call(&open).await), ErrorCode::Revoked);
    assert_eq!(code(world.to_laptop.call(&keep).await), ErrorCode::Revoked);
    assert_eq!(world.pair.to_alice.call(&FetchArchiveDays { after: None }).await.unwrap().days, [day]);
    store.write(move |tx| tx.set_user_state(user, store::UserState::Closed)).await.unwrap();
    assert_eq!(code(world.pair.to_alice.call(&open).await), ErrorCode::Revoked);
    store.write(move |tx| tx.set_user_state(user, store::UserState::Active)).await.unwrap();
    world.pair.to_alice.call(&open).await.unwrap();
}
