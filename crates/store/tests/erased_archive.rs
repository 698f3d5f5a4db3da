//! What is left of an archive when a day, an account or a tenant is over: nothing that opens.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{archive::*, *};
use mifeng_store as store;
use store::{Database, Error, OpenedDay, SegmentOutcome, Store};
use wire::request::Segment;

on_both! {
    a_destroyed_day_is_gone_and_what_it_has_sealed_does_not_open_again;
    a_day_that_is_begun_again_has_another_key_that_lasts;
    days_that_are_over_are_destroyed_in_parts_whosesoever_they_are;
    an_archive_is_destroyed_whole_and_nobody_elses_with_it;
    a_user_and_a_tenant_reach_their_own_only;
    an_archive_goes_with_its_tenant;
    rotating_the_tenants_key_leaves_an_archive_readable;
}

/// Closes the database, does something behind its back, and opens it again.
async fn after(world: World, changes: &[&str]) -> (Database, Store, Place) {
    let World { database, place, store, other } = world;
    database.close();
    drop((database, store, other));
    changes.iter().for_each(|change| place.run(change));
    let database = place.open().unwrap();
    let store = database.tenant(TENANT);
    (database, store, place)
}

async fn destroy_before(store: &Store, day: u32, limit: u32) -> usize {
    store.write(move |tx| tx.destroy_days_before(day, limit)).await.unwrap()
}

/// What somebody has copied who holds the database files.
const COPY: [&str; 2] =
    ["create table stolen_days as select * from archive_days", "create table stolen as select * from archive_segments"];
const PUT_BACK: [&str; 5] = [
    "insert into archives select tenant, user_id, 0 from stolen_days where true on conflict do nothing",
    "insert into archive_days select * from stolen_days where true on conflict do nothing",
    "insert into archive_segments select * from stolen where true on conflict do nothing",
    "drop table stolen",
    "drop table stolen_days",
];

async fn a_destroyed_day_is_gone_and_what_it_has_sealed_does_not_open_again(on: On) {
    for what in ["a day", "an account"] {
        let world = reading(on).await;
        open(&world.store, MEI, &day(DAY + 1)).await;
        put(&world.store, MEI, &segment(1, 3)).await;
        let stays = Segment { day: DAY + 1, ..segment(4, 5) };
        put(&world.store, MEI, &stays).await;
        COPY.iter().for_each(|text| world.place.run(text));
        if what == "a day" {
            assert_eq!(destroy_before(&world.store, DAY + 1, 9).await, 2, "Tom has one too");
            assert_eq!(all(&world.store, MEI).await, std::slice::from_ref(&stays));
        } else {
            world.store.write(|tx| tx.destroy_archive(MEI)).await.unwrap();
            assert!(all(&world.store, MEI).await.is_empty());
        }
        let (database, store, _place) = after(world, &PUT_BACK).await;
        let opened = store.read(|tx| tx.segments_before(MEI, TALK, 4, 1_000)).await;
        assert!(matches!(opened, Err(Error::KeyGone)), "{what}: {opened:?}");
        let key = store.read(|tx| tx.archive_day(MEI, DAY)).await;
        assert!(matches!(key, Err(Error::KeyGone)), "{what}: {key:?}");
        let other = store.read(|tx| tx.archive_day(MEI, DAY + 1)).await;
        assert_eq!(other.is_ok(), what == "a day", "the control");
        database.close();
    }
}

async fn a_day_that_is_begun_again_has_another_key_that_lasts(on: On) {
    let world = reading(on).await;
    put(&world.store, MEI, &segment(1, 3)).await;
    assert_eq!(destroy_before(&world.store, u32::MAX, 9).await, 2);
    assert_eq!(put(&world.store, MEI, &segment(1, 3)).await, SegmentOutcome::NoDay);
    // Begun, destroyed and begun in one transaction, too: the cache of keys has not learnt of any of it.
    let rounds = world.store.write(|tx| {
        for _ in 0..3 {
            tx.destroy_days_before(u32::MAX, 9)?;
            assert_eq!(tx.open_day(MEI, &day(DAY))?, OpenedDay::New);
            assert_eq!(tx.put_segment(MEI, TALK, &segment(1, 3), TERMS)?, SegmentOutcome::Stored);
        }
        Ok::<_, Error>(())
    });
    rounds.await.unwrap();
    assert_eq!(all(&world.store, MEI).await, [segment(1, 3)]);
    let (database, store, _place) = after(world, &[]).await;
    assert_eq!(all(&store, MEI).await, [segment(1, 3)]);
    assert_eq!(bytes_of(&store, MEI).await, 6);
    database.close();
}

async fn days_that_are_over_are_destroyed_in_parts_whosesoever_they_are(on: On) {
    let world = reading(on).await;
    world.other.write(add_talk).await.unwrap();
    open(&world.other, MEI, &day(DAY)).await;
    for later in 1..=4 {
        open(&world.store, MEI, &day(DAY + later)).await;
    }
    assert_eq!(destroy_before(&world.store, DAY, 9).await, 0, "none is that old");
    let mut parts = Vec::new();
    while parts.last() != Some(&0) {
        parts.push(destroy_before(&world.store, DAY + 4, 2).await);
    }
    assert_eq!(parts, [2, 2, 1, 0], "four of Mei's and one of Tom's");
    let left = world.store.read(|tx| tx.days_after(MEI, None, 9)).await.unwrap().days;
    assert_eq!(left, [day(DAY + 4)]);
    assert_eq!(world.other.read(|tx| tx.archive_day(MEI, DAY)).await.unwrap(), Some(day(DAY)), "another tenant's");
}

async fn an_archive_is_destroyed_whole_and_nobody_elses_with_it(on: On) {
    let world = reading(on).await;
    for user in [MEI, TOM] {
        put(&world.store, user, &segment(1, 3)).await;
        world.store.write(move |tx| tx.keep_out(user, GARDEN, true)).await.unwrap();
    }
    for _ in 0..2 {
        world.store.write(|tx| tx.destroy_archive(MEI)).await.unwrap();
        let (days, kept_out) = world
            .store
            .read(|tx| Ok::<_, Error>((tx.days_after(MEI, None, 9)?.days, tx.is_kept_out(MEI, GARDEN)?)))
            .await
            .unwrap();
        assert_eq!((days, kept_out, bytes_of(&world.store, MEI).await), (vec![], false, 0));
        assert!(all(&world.store, MEI).await.is_empty());
    }
    assert_eq!(all(&world.store, TOM).await, [segment(1, 3)]);
    assert!(world.store.read(|tx| tx.is_kept_out(TOM, GARDEN)).await.unwrap());
}

async fn a_user_and_a_tenant_reach_their_own_only(on: On) {
    let world = reading(on).await;
    world.other.write(add_talk).await.unwrap();
    open(&world.other, MEI, &day(DAY)).await;
    let of = |text: &str| Segment { bytes: text.as_bytes().to_vec(), ..segment(1, 3) };
    for (store, user, text) in [(&world.store, MEI, "Mei's"), (&world.store, TOM, "Tom's"), (&world.other, MEI, "far")]
    {
        assert_eq!(put(store, user, &of(text)).await, SegmentOutcome::Stored, "{text}");
    }
    assert_eq!(all(&world.store, MEI).await, [of("Mei's")]);
    assert_eq!(all(&world.store, TOM).await, [of("Tom's")]);
    assert_eq!(all(&world.other, MEI).await, [of("far")]);
    assert!(all(&world.other, TOM).await.is_empty());
    assert_eq!(bytes_of(&world.other, MEI).await, 3);
    world.other.write(|tx| tx.destroy_archive(MEI)).await.unwrap();
    assert_eq!(all(&world.store, MEI).await, [of("Mei's")]);
}

async fn an_archive_goes_with_its_tenant(on: On) {
    let world = reading(on).await;
    world.other.write(add_talk).await.unwrap();
    open(&world.other, MEI, &day(DAY)).await;
    for (store, user) in [(&world.store, MEI), (&world.other, MEI)] {
        put(store, user, &segment(1, 3)).await;
        store.write(move |tx| tx.keep_out(user, GARDEN, true)).await.unwrap();
    }
    assert!(world.database.operator().write(|tx| tx.delete_tenant(TENANT)).await.unwrap());
    assert_eq!(all(&world.other, MEI).await, [segment(1, 3)], "another tenant's");
    let (database, _, place) = after(world, &[]).await;
    database.close();
    for table in ["archive_kept_out", "archive_segments", "archive_days", "archives"] {
        let left = place.change(&format!("delete from {table}"));
        assert_eq!(left, 1, "{table}: the other tenant's");
    }
}

async fn rotating_the_tenants_key_leaves_an_archive_readable(on: On) {
    let world = reading(on).await;
    put(&world.store, MEI, &segment(1, 3)).await;
    assert_eq!(world.database.operator().write(|tx| tx.rotate_tenant_key(TENANT, NOW)).await.unwrap(), 2);
    let (database, store, _place) = after(world, &[]).await;
    assert_eq!(all(&store, MEI).await, [segment(1, 3)]);
    assert_eq!(store.read(|tx| tx.archive_day(MEI, DAY)).await.unwrap(), Some(day(DAY)));
    database.close();
}
