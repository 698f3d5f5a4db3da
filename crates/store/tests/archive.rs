//! Archives: days with a key each, and segments that share no place.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{archive::*, *};
use mifeng_store as store;
use rules::archive::Terms;
use std::collections::BTreeMap;
use store::{Error, OpenedDay, SegmentOutcome, Store};
use wire::UserId;
use wire::request::{ArchiveDay, Places, Segment, SegmentList};

on_both! {
    a_day_is_begun_once_and_days_are_listed_in_parts;
    a_day_takes_a_newer_key_only;
    no_two_segments_share_a_place;
    a_repeat_changes_nothing_and_revisions_follow_each_other;
    segments_come_the_newest_first_and_in_parts;
    places_are_put_together_and_listed_in_parts_without_a_gap;
    what_is_kept_out_is_gone_and_stays_out_until_it_is_let_in;
    a_full_archive_takes_what_makes_it_no_larger;
    what_was_put_and_deleted_is_what_a_plain_list_says;
}

async fn list(store: &Store, after: u64, limit: u32) -> SegmentList {
    store.read(move |tx| tx.segment_places(MEI, TALK, after, limit)).await.unwrap()
}

async fn a_day_is_begun_once_and_days_are_listed_in_parts(on: On) {
    let world = reading(on).await;
    let another = ArchiveDay { version: 7, wrapped: b"another".to_vec(), ..day(DAY) };
    assert_eq!(open(&world.store, MEI, &another).await, OpenedDay::There(day(DAY)));
    for later in [DAY + 9, DAY + 2, 0, u32::MAX] {
        assert_eq!(open(&world.store, MEI, &day(later)).await, OpenedDay::New);
    }
    let listed = async |after, limit| {
        let days = world.store.read(move |tx| tx.days_after(MEI, after, limit)).await.unwrap();
        (days.days.iter().map(|day| day.day).collect::<Vec<_>>(), days.more)
    };
    assert_eq!(listed(None, 5).await, (vec![0, DAY, DAY + 2, DAY + 9, u32::MAX], false));
    assert_eq!(listed(None, 2).await, (vec![0, DAY], true));
    assert_eq!(listed(Some(DAY), 2).await, (vec![DAY + 2, DAY + 9], true));
    assert_eq!(listed(Some(DAY + 9), 2).await, (vec![u32::MAX], false));
    assert_eq!(listed(Some(0), 9).await.0.len(), 4);
    assert_eq!(listed(Some(u32::MAX), 9).await, (vec![], false));
    let keys = world.store.read(|tx| tx.days_after(MEI, Some(0), 1)).await.unwrap();
    assert_eq!(keys.days, [day(DAY)]);
    let nobody = UserId::from_bytes([99; 16]);
    let orphan = world.store.write(move |tx| tx.open_day(nobody, &day(DAY))).await;
    assert!(matches!(orphan, Err(Error::Constraint(_))), "{orphan:?}");
}

async fn a_day_takes_a_newer_key_only(on: On) {
    let world = reading(on).await;
    let rewrap = async |user, version, number: u32| {
        let wrapped = format!("version {version}").into_bytes();
        let day = ArchiveDay { day: number, version, wrapped };
        world.store.write(move |tx| tx.rewrap_day(user, &day)).await.unwrap()
    };
    put(&world.store, MEI, &segment(1, 1)).await;
    for (version, taken) in [(1, false), (3, true), (3, false), (2, false), (4, true), (0, false)] {
        assert_eq!(rewrap(MEI, version, DAY).await, taken, "{version}");
    }
    assert!(!rewrap(MEI, 9, DAY + 1).await, "a day that is not there");
    assert!(!rewrap(UserId::from_bytes([99; 16]), 9, DAY).await);
    let now = world.store.read(|tx| tx.archive_day(MEI, DAY)).await.unwrap().unwrap();
    assert_eq!((now.version, now.wrapped.as_slice()), (4, b"version 4".as_slice()));
    assert_eq!(world.store.read(|tx| tx.archive_day(TOM, DAY)).await.unwrap(), Some(day(DAY)), "another's");
    assert_eq!(all(&world.store, MEI).await, [segment(1, 1)], "what it has sealed stays");
}

/// What came of something that was then undone.
#[derive(Debug)]
struct Undone(Option<SegmentOutcome>);

impl From<Error> for Undone {
    fn from(_: Error) -> Self {
        Self(None)
    }
}

async fn no_two_segments_share_a_place(on: On) {
    let world = reading(on).await;
    for there in [segment(5, 7), segment(10, 14), segment(15, 15)] {
        assert_eq!(put(&world.store, MEI, &there).await, SegmentOutcome::Stored);
    }
    let taken = [5, 6, 7, 10, 11, 12, 13, 14, 15];
    for first in 1..=18 {
        for last in first..=18 {
            let attempt = Segment { bytes: b"other".to_vec(), ..segment(first, last) };
            let done = world.store.write::<(), _, _>(move |tx: &mut store::Tx<'_>| {
                Err(Undone(Some(tx.put_segment(MEI, TALK, &attempt, TERMS)?)))
            });
            let overlaps = taken.iter().any(|place| (first..=last).contains(place));
            let expected = if overlaps { SegmentOutcome::Overlaps } else { SegmentOutcome::Stored };
            assert_eq!(done.await.unwrap_err().0, Some(expected), "{first} to {last}");
        }
    }
    assert_eq!(all(&world.store, MEI).await, [segment(15, 15), segment(10, 14), segment(5, 7)]);
    assert_eq!(put_into(&world.store, MEI, GARDEN, &segment(5, 7), TERMS).await, SegmentOutcome::Stored, "elsewhere");
}

async fn a_repeat_changes_nothing_and_revisions_follow_each_other(on: On) {
    let world = reading(on).await;
    open(&world.store, MEI, &day(DAY + 1)).await;
    let there = segment(1, 5);
    for expected in [SegmentOutcome::Stored, SegmentOutcome::Repeated, SegmentOutcome::Repeated] {
        assert_eq!(put(&world.store, MEI, &there).await, expected);
    }
    let other = |revision, text: &str| Segment { revision, bytes: text.as_bytes().to_vec(), ..there.clone() };
    let other_day = Segment { day: DAY + 1, ..there.clone() };
    for (attempt, expected) in [
        (other(0, "other"), SegmentOutcome::Overlaps),
        (other_day, SegmentOutcome::Overlaps),
        (other(2, "too early"), SegmentOutcome::StaleRevision),
        (Segment { revision: 1, ..segment(1, 4) }, SegmentOutcome::Overlaps),
        (Segment { revision: 1, ..segment(2, 5) }, SegmentOutcome::Overlaps),
        (Segment { revision: 1, ..segment(7, 9) }, SegmentOutcome::StaleRevision),
        (Segment { day: DAY + 2, ..other(1, "no day") }, SegmentOutcome::NoDay),
        (Segment { day: DAY + 1, ..other(1, "a reaction") }, SegmentOutcome::Stored),
        (Segment { day: DAY + 1, ..other(1, "a reaction") }, SegmentOutcome::Repeated),
        (Segment { day: DAY + 1, ..other(1, "another device's") }, SegmentOutcome::StaleRevision),
        (there.clone(), SegmentOutcome::Overlaps),
        (other(2, "an edit"), SegmentOutcome::Stored),
        (Segment { day: DAY + 1, ..other(1, "a reaction") }, SegmentOutcome::StaleRevision),
        (Segment { day: DAY + 2, ..segment(6, 6) }, SegmentOutcome::NoDay),
    ] {
        assert_eq!(put(&world.store, MEI, &attempt).await, expected, "{attempt:?}");
    }
    assert_eq!(all(&world.store, MEI).await, [other(2, "an edit")]);
    assert_eq!(bytes_of(&world.store, MEI).await, 7);
    let nobody = UserId::from_bytes([99; 16]);
    assert_eq!(put(&world.store, nobody, &there).await, SegmentOutcome::NoDay);
}

async fn segments_come_the_newest_first_and_in_parts(on: On) {
    let world = reading(on).await;
    open(&world.store, MEI, &day(DAY + 1)).await;
    let sizes = [(1, 3, 40), (4, 4, 50), (7, 9, 200), (10, 20, 10), (21, 30, 30)];
    let there: Vec<_> = sizes
        .iter()
        .map(|(first, last, bytes)| {
            let day = DAY + u32::from(*first == 10);
            Segment { bytes: vec![*first as u8; *bytes], day, ..segment(*first, *last) }
        })
        .collect();
    for segment in &there {
        assert_eq!(put(&world.store, MEI, segment).await, SegmentOutcome::Stored);
    }
    let part = async |before, bytes| {
        let part = fetch(&world.store, MEI, before, bytes).await;
        let days: Vec<_> = part.days.iter().map(|day| day.day).collect();
        (part.segments.iter().map(|segment| segment.first).collect::<Vec<_>>(), days, part.earlier)
    };
    assert_eq!(part(u64::MAX, 330).await, (vec![21, 10, 7, 4, 1], vec![DAY, DAY + 1], false));
    assert_eq!(part(u64::MAX, 329).await, (vec![21, 10, 7, 4], vec![DAY, DAY + 1], true));
    assert_eq!(part(u64::MAX, 40).await, (vec![21, 10], vec![DAY, DAY + 1], true));
    assert_eq!(part(21, 0).await, (vec![10], vec![DAY + 1], true), "one at least");
    assert_eq!(part(10, 100).await, (vec![7], vec![DAY], true), "which may be larger than all");
    assert_eq!(part(7, 90).await, (vec![4, 1], vec![DAY], false));
    assert_eq!(part(8, 1_000).await.0, [7, 4, 1], "it begins before");
    for before in [0, 1] {
        assert_eq!(part(before, 1_000).await, (vec![], vec![], false));
    }
    let (mut before, mut found) = (u64::MAX, Vec::new());
    loop {
        let part = fetch(&world.store, MEI, before, 60).await;
        before = part.segments.last().unwrap().first;
        found.extend(part.segments);
        if !part.earlier {
            break;
        }
    }
    found.reverse();
    assert_eq!(found, there, "part by part");
}

async fn places_are_put_together_and_listed_in_parts_without_a_gap(on: On) {
    let world = reading(on).await;
    let mut there = vec![(3, 3), (5, 9), (10, 10), (12, 15), (60, 70), (72, 72), (74, 74)];
    // More neighbours than are looked at for one range.
    there.extend((20..50).map(|place| (place, place)));
    for (first, last) in &there {
        assert_eq!(put(&world.store, MEI, &segment(*first, *last)).await, SegmentOutcome::Stored);
    }
    let has = |place: u64| there.iter().any(|(first, last)| (*first..=*last).contains(&place));
    let whole = list(&world.store, 0, 100).await;
    let ranges = [(3, 3), (5, 10), (12, 15), (20, 49), (60, 70), (72, 72), (74, 74)];
    assert_eq!(whole.places, ranges.map(|(first, last)| Places { first, last }));
    assert!(!whole.more && !whole.kept_out);
    assert!(!list(&world.store, 0, 7).await.more, "exactly so many");
    let six = list(&world.store, 0, 6).await;
    assert_eq!((six.places.len(), six.more), (6, true));
    for (limit, start) in (1..=8).flat_map(|limit| [0, 1, 3, 6, 13, 19, 30, 49, 65, 73].map(|start| (limit, start))) {
        let (mut after, mut found) = (start, Vec::new());
        loop {
            let part = list(&world.store, after, limit).await;
            assert!(part.places.len() <= limit as usize && part.places.iter().all(|places| places.first > after));
            let Some(last) = part.places.last() else { break };
            after = last.last;
            found.extend(part.places.iter().flat_map(|places| places.first..=places.last));
            if !part.more {
                break;
            }
        }
        let expected: Vec<_> = (start + 1..100).filter(|place| has(*place)).collect();
        assert_eq!(found, expected, "{limit} at once after {start}");
    }
    for beyond in [74, 75, u64::MAX] {
        assert_eq!(list(&world.store, beyond, 9).await.places, []);
    }
}

async fn what_is_kept_out_is_gone_and_stays_out_until_it_is_let_in(on: On) {
    let world = reading(on).await;
    for user in [MEI, TOM] {
        put(&world.store, user, &segment(1, 3)).await;
    }
    put_into(&world.store, MEI, GARDEN, &segment(1, 3), TERMS).await;
    let keep = async |out| world.store.write(move |tx| tx.keep_out(MEI, TALK, out)).await.unwrap();
    for _ in 0..2 {
        keep(true).await;
        assert_eq!(list(&world.store, 0, 9).await, SegmentList { places: vec![], more: false, kept_out: true });
        assert_eq!(put(&world.store, MEI, &segment(1, 3)).await, SegmentOutcome::KeptOut);
    }
    assert!(all(&world.store, MEI).await.is_empty());
    assert_eq!(bytes_of(&world.store, MEI).await, 6, "that of the other conversation");
    assert_eq!(all(&world.store, TOM).await, [segment(1, 3)], "another's");
    assert!(!world.store.read(|tx| tx.is_kept_out(TOM, TALK)).await.unwrap());
    for _ in 0..2 {
        keep(false).await;
    }
    assert!(!list(&world.store, 0, 9).await.kept_out);
    assert_eq!(put(&world.store, MEI, &segment(1, 3)).await, SegmentOutcome::Stored);
    let nobody = UserId::from_bytes([99; 16]);
    let orphan = world.store.write(move |tx| tx.keep_out(nobody, TALK, true)).await;
    assert!(matches!(orphan, Err(Error::Constraint(_))), "{orphan:?}");
}

async fn a_full_archive_takes_what_makes_it_no_larger(on: On) {
    let world = reading(on).await;
    let terms = Terms { user_bytes: 100, days: 0 };
    let sized = |first, revision, bytes| Segment { revision, bytes: vec![9; bytes], ..segment(first, first) };
    for (conversation, attempt, expected, used) in [
        (TALK, sized(1, 0, 101), SegmentOutcome::Full, 0),
        (TALK, sized(1, 0, 60), SegmentOutcome::Stored, 60),
        (GARDEN, sized(1, 0, 41), SegmentOutcome::Full, 60),
        (GARDEN, sized(1, 0, 40), SegmentOutcome::Stored, 100),
        (TALK, sized(2, 0, 1), SegmentOutcome::Full, 100),
        (TALK, sized(1, 0, 60), SegmentOutcome::Repeated, 100),
        (TALK, sized(1, 1, 61), SegmentOutcome::Full, 100),
        (TALK, sized(1, 1, 60), SegmentOutcome::Stored, 100),
        (TALK, sized(1, 2, 10), SegmentOutcome::Stored, 50),
        (TALK, sized(2, 0, 50), SegmentOutcome::Stored, 100),
    ] {
        assert_eq!(put_into(&world.store, MEI, conversation, &attempt, terms).await, expected, "{attempt:?}");
        assert_eq!(bytes_of(&world.store, MEI).await, used, "{attempt:?}");
    }
    assert_eq!(put_into(&world.store, TOM, TALK, &sized(1, 0, 100), terms).await, SegmentOutcome::Stored);
}

/// Numbers without a pattern, the same in every run.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

async fn what_was_put_and_deleted_is_what_a_plain_list_says(on: On) {
    let world = reading(on).await;
    for number in 1..4 {
        open(&world.store, MEI, &day(DAY + number)).await;
    }
    let (mut state, mut plain, mut outcomes) = (7, Vec::<Segment>::new(), BTreeMap::new());
    for step in 0..400 {
        let first = 1 + draw(&mut state, 60);
        let last = first + draw(&mut state, 4);
        let bytes = vec![1; 1 + draw(&mut state, 9) as usize];
        let revision = draw(&mut state, 3) as u32;
        let attempt = Segment { first, last, day: DAY + draw(&mut state, 4) as u32, revision, bytes };
        let same = plain.iter().position(|there| (there.first, there.last) == (first, last));
        let expected = match same {
            Some(index) if plain[index] == attempt => SegmentOutcome::Repeated,
            Some(index) if plain[index].revision + 1 == revision => {
                plain[index] = attempt.clone();
                SegmentOutcome::Stored
            }
            Some(_) if revision > 0 => SegmentOutcome::StaleRevision,
            Some(_) => SegmentOutcome::Overlaps,
            None if plain.iter().any(|there| there.first <= last && there.last >= first) => SegmentOutcome::Overlaps,
            None if revision > 0 => SegmentOutcome::StaleRevision,
            None => {
                plain.push(attempt.clone());
                SegmentOutcome::Stored
            }
        };
        assert_eq!(put(&world.store, MEI, &attempt).await, expected, "{step}: {attempt:?}");
        *outcomes.entry(format!("{expected:?}")).or_insert(0) += 1;
    }
    let destroyed = world.store.write(|tx| tx.destroy_days_before(DAY + 2, 99)).await.unwrap();
    assert_eq!(destroyed, 3, "two of Mei's, one of Tom's");
    plain.retain(|there| there.day >= DAY + 2);
    plain.sort_by_key(|there| std::cmp::Reverse(there.first));
    assert_eq!(all(&world.store, MEI).await, plain);
    assert!(!plain.is_empty() && outcomes.len() >= 3, "{outcomes:?}");
    let sum: usize = plain.iter().map(|there| there.bytes.len()).sum();
    assert_eq!(bytes_of(&world.store, MEI).await, sum as u64);
}
