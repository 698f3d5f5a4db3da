//! Every entity is written, read back, and out of another tenant's reach.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::*;
use mifeng_store as store;
use store::{
    Actor, Begun, BlobState, Claim, Claimed, CreateUser, Error, NewAuditEntry, NewBlob, NewInvite, NewKeyPackage,
    Store, UserState,
};
use trust::{DevicePublicKey, DeviceState};
use wire::request::{KeyPackagesHeld, SignedEntry};
use wire::{BlobId, DeviceId, InviteId, Parts, TenantId, UserId};

on_both! {
    tenants_are_unique_by_name_and_deleted_whole;
    secrets_return_and_are_replaced;
    users_are_unique_by_handle_and_id;
    invites_are_redeemed_as_often_as_they_say_and_not_after;
    the_last_use_of_an_invite_is_not_shared;
    devices_belong_to_a_user_and_are_seen_by_the_day;
    chains_grow_at_their_end_only_and_return_as_they_were_signed;
    audit_entries_are_numbered_in_each_tenant;
    b1_parallel_guesses_never_share_an_attempt;
    key_packages_are_handed_out_once_and_then_the_last_resort;
    key_packages_of_revoked_devices_and_old_ones_stay;
    a8_claims_of_a_pair_have_a_quota_for_the_day;
    a8_parallel_claims_never_share_a_package;
    b13_looking_people_up_has_a_quota_for_the_day;
    blobs_count_for_their_sender_until_they_are_destroyed;
    a_tenant_reaches_nothing_of_another;
    rotating_a_tenant_key_leaves_everything_readable;
}

const DAY_MS: u64 = 24 * 3_600_000;

async fn tenants_are_unique_by_name_and_deleted_whole(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    let operator = world.database.operator();
    let again = store::NewTenant {
        tenant: TenantId::from_bytes([3; 16]),
        name: "tulip-works",
        suite: 1,
        authority_key: trust::AuthorityPublicKey::from_bytes([9; 32]),
    };
    assert!(!operator.write(move |tx| tx.create_tenant(again, NOW)).await.unwrap());
    let found = operator.read(|tx| tx.tenant_named("tulip-works")).await.unwrap().unwrap();
    assert_eq!((found.tenant, found.suite, found.created_at), (TENANT, 0x004e, NOW));
    assert_eq!(world.store.read(|tx| tx.tenant()).await.unwrap(), Some(found));
    let names = |tenants: Vec<store::Tenant>| tenants.into_iter().map(|tenant| tenant.name).collect::<Vec<_>>();
    assert_eq!(names(operator.read(|tx| tx.tenants()).await.unwrap()), ["other-works", "tulip-works"]);

    assert!(operator.write(|tx| tx.delete_tenant(TENANT)).await.unwrap());
    assert!(!operator.write(|tx| tx.delete_tenant(TENANT)).await.unwrap());
    assert_eq!(names(operator.read(|tx| tx.tenants()).await.unwrap()), ["other-works"]);
    assert!(world.store.read(|tx| tx.conversation(TALK)).await.unwrap().is_none());
    let unkeyed = world.store.read(|tx| tx.user_by_handle("mei")).await;
    assert!(matches!(unkeyed, Err(Error::KeyGone)), "{unkeyed:?}");
}

async fn blobs_count_for_their_sender_until_they_are_destroyed(on: On) {
    let world = on.world().await;
    world.store.write(add_talk).await.unwrap();
    let used = async || world.store.read(|tx| tx.blob_bytes_of(MEI)).await.unwrap();
    assert_eq!(used().await, 0);
    let new = |byte, bytes| NewBlob {
        blob: BlobId::from_bytes([byte; 16]),
        conversation: TALK,
        user: MEI,
        parts: Parts::of(bytes).unwrap(),
        days: Some(30),
        expires_at: NOW + DAY_MS,
    };
    let largest = wire::limits::BLOB_MAX_BYTES;
    let [small, large] = [new(1, 700), new(2, largest)];
    for begun in [Begun::New, Begun::Repeated(BlobState::Begun)] {
        assert_eq!(world.store.write(move |tx| tx.begin_blob(small)).await.unwrap(), begun);
    }
    world.store.write(move |tx| tx.begin_blob(large)).await.unwrap();
    assert_eq!(world.store.write(move |tx| tx.begin_blob(new(1, 701))).await.unwrap(), Begun::IdTaken);
    assert_eq!(used().await, 700 + largest);
    world.store.write(move |tx| tx.finish_blob(large.blob, NOW + 30 * DAY_MS)).await.unwrap();
    let there = world.store.read(move |tx| tx.blob(large.blob)).await.unwrap().unwrap();
    assert_eq!((there.state, there.days, there.parts), (BlobState::Finished, Some(30), large.parts));
    let expired = async |at| world.store.read(move |tx| tx.expired_blobs(at, 9)).await.unwrap();
    assert_eq!((expired(NOW).await.len(), expired(NOW + DAY_MS).await), (0, vec![small.blob]));
    world.store.write(move |tx| tx.destroy_blob(small.blob)).await.unwrap();
    assert_eq!((used().await, expired(NOW + DAY_MS).await.len()), (largest, 0));
    assert_eq!(world.store.read(|tx| tx.destroyed_blobs(9)).await.unwrap(), [small.blob]);
    assert!(world.other.read(move |tx| tx.blob(large.blob)).await.unwrap().is_none());
    world.store.write(move |tx| tx.forget_blob(small.blob)).await.unwrap();
    world.store.write(move |tx| tx.forget_blob(large.blob)).await.unwrap();
    assert!(world.store.read(move |tx| tx.blob(small.blob)).await.unwrap().is_none());
    assert!(world.store.read(move |tx| tx.blob(large.blob)).await.unwrap().is_some(), "it is not destroyed");
}

async fn secrets_return_and_are_replaced(on: On) {
    let world = on.world().await;
    world.store.write(|tx| tx.put_secret("opaque", b"first")).await.unwrap();
    world.store.write(|tx| tx.put_secret("opaque", b"second")).await.unwrap();
    assert_eq!(world.store.read(|tx| tx.secret("opaque")).await.unwrap().unwrap().as_slice(), b"second");
    assert!(world.store.read(|tx| tx.secret("else")).await.unwrap().is_none());
    assert!(world.other.read(|tx| tx.secret("opaque")).await.unwrap().is_none());
}

async fn users_are_unique_by_handle_and_id(on: On) {
    let world = on.world().await;
    world.store.write(add_people).await.unwrap();
    let made = world.store.write(|tx| tx.create_user(new_user(UserId::from_bytes([13; 16]), "mei"), NOW)).await;
    assert_eq!(made.unwrap(), CreateUser::HandleTaken);
    assert_eq!(world.store.write(|tx| tx.create_user(new_user(MEI, "may"), NOW)).await.unwrap(), CreateUser::IdTaken);
    let mei = world.store.read(|tx| tx.user_by_handle("mei")).await.unwrap().unwrap();
    assert_eq!((mei.user, mei.handle.as_str(), mei.state), (MEI, "mei", UserState::Active));
    assert_eq!(mei.account_key.as_bytes(), &[11; 32]);
    assert!(world.store.read(|tx| tx.user_by_handle("Mei")).await.unwrap().is_none());
    assert_eq!(world.store.read(|tx| tx.opaque_record(MEI)).await.unwrap().unwrap().as_slice(), b"opaque record");
    assert!(world.store.write(|tx| tx.set_user_state(MEI, UserState::Closed)).await.unwrap());
    assert_eq!(world.store.read(|tx| tx.user(MEI)).await.unwrap().unwrap().state, UserState::Closed);
    assert!(!world.store.write(|tx| tx.set_user_state(UserId::from_bytes([99; 16]), UserState::Closed)).await.unwrap());
    assert!(!format!("{mei:?}").contains("mei"));
    // The same handle and id in another tenant is another user.
    assert_eq!(world.other.write(|tx| tx.create_user(new_user(MEI, "mei"), NOW)).await.unwrap(), CreateUser::Created);
}

async fn invites_are_redeemed_as_often_as_they_say_and_not_after(on: On) {
    let world = on.world().await;
    let terms = rules::invite::terms(NOW, DAY_MS, 2).unwrap();
    let new = NewInvite { invite: InviteId::from_bytes([5; 16]), code: "correct-code", terms, created_by: None };
    assert!(world.store.write(move |tx| tx.create_invite(new, NOW)).await.unwrap());
    assert!(!world.store.write(move |tx| tx.create_invite(new, NOW)).await.unwrap());
    let redeem = async |store: &Store, code: &'static str, now| {
        store.write(move |tx| tx.redeem_invite(code, now)).await.unwrap()
    };
    assert!(!redeem(&world.store, "wrong-code", NOW).await);
    assert!(!redeem(&world.other, "correct-code", NOW).await);
    assert!(!redeem(&world.store, "correct-code", NOW + DAY_MS).await);
    assert!(redeem(&world.store, "correct-code", NOW + DAY_MS - 1).await);
    assert!(redeem(&world.store, "correct-code", NOW).await);
    assert!(!redeem(&world.store, "correct-code", NOW).await);
    let found = world.store.read(|tx| tx.invite_by_code("correct-code")).await.unwrap().unwrap();
    assert_eq!((found.terms.used, found.created_by), (2, None));
    assert_eq!(world.store.read(|tx| tx.invites()).await.unwrap(), [found]);
    assert!(world.store.write(move |tx| tx.delete_invite(found.invite)).await.unwrap());
    assert!(world.store.read(|tx| tx.invite_by_code("correct-code")).await.unwrap().is_none());
}

async fn the_last_use_of_an_invite_is_not_shared(on: On) {
    let world = on.world().await;
    let terms = rules::invite::terms(NOW, DAY_MS, 1).unwrap();
    let new = NewInvite { invite: InviteId::from_bytes([5; 16]), code: "correct-code", terms, created_by: Some(MEI) };
    world.store.write(move |tx| tx.create_invite(new, NOW)).await.unwrap();
    let redeemed = in_parallel(64, |_| {
        let store = world.store.clone();
        async move { store.write(|tx| tx.redeem_invite("correct-code", NOW)).await.unwrap() }
    });
    assert_eq!(redeemed.await.into_iter().filter(|redeemed| *redeemed).count(), 1);
}

async fn devices_belong_to_a_user_and_are_seen_by_the_day(on: On) {
    let world = on.world().await;
    world.store.write(add_people).await.unwrap();
    let key = DevicePublicKey::from_bytes([3; 32]);
    assert!(!world.store.write(move |tx| tx.add_device(MEI_PHONE, TOM, key, NOW)).await.unwrap());
    let orphan = world
        .store
        .write(move |tx| tx.add_device(DeviceId::from_bytes([77; 16]), UserId::from_bytes([99; 16]), key, NOW));
    assert!(matches!(orphan.await, Err(Error::Constraint(_))));
    let device = world.store.read(|tx| tx.device(MEI_PHONE)).await.unwrap().unwrap();
    assert_eq!(
        (device.user, device.key, device.state, device.last_seen_day),
        (MEI, key, DeviceState::Active, NOW / DAY_MS)
    );
    world.store.write(|tx| tx.touch_device(MEI_PHONE, NOW + 2 * DAY_MS)).await.unwrap();
    world.store.write(|tx| tx.touch_device(MEI_PHONE, NOW)).await.unwrap();
    for state in [DeviceState::Revoked, DeviceState::Closed] {
        assert!(world.store.write(move |tx| tx.set_device_state(MEI_PHONE, state)).await.unwrap());
        let device = world.store.read(|tx| tx.device(MEI_PHONE)).await.unwrap().unwrap();
        assert_eq!((device.state, device.last_seen_day), (state, NOW / DAY_MS + 2));
    }
    assert_eq!(world.store.read(|tx| tx.devices_of(MEI)).await.unwrap().len(), 2);
}

async fn chains_grow_at_their_end_only_and_return_as_they_were_signed(on: On) {
    let world = on.world().await;
    world.store.write(add_people).await.unwrap();
    let entry = |byte| SignedEntry { payload: vec![byte; 40], signature: [byte; 64], possession: Some([byte; 64]) };
    let append =
        async |place, byte| world.store.write(move |tx| tx.append_chain_entry(MEI, place, &entry(byte))).await.unwrap();
    assert!(!append(1, 1).await);
    assert!(append(0, 1).await);
    assert!(!append(0, 2).await);
    assert!(append(1, 2).await);
    assert_eq!(world.store.read(|tx| tx.chain(MEI, 0)).await.unwrap(), [entry(1), entry(2)]);
    assert_eq!(world.store.read(|tx| tx.chain(MEI, 1)).await.unwrap(), [entry(2)]);
    assert_eq!(world.store.read(|tx| tx.chain_len(MEI)).await.unwrap(), 2);
}

async fn audit_entries_are_numbered_in_each_tenant(on: On) {
    let world = on.world().await;
    let entry = |actor| NewAuditEntry {
        at: NOW,
        actor,
        operation: "create_tenant",
        outcome: "ok",
        objects: &[[7; 16], [8; 16]],
    };
    for (actor, seq) in
        [(Actor::User(MEI), 1), (Actor::Device(MEI_PHONE), 2), (Actor::Server, 3), (Actor::Anonymous, 4)]
    {
        assert_eq!(world.store.write(move |tx| tx.record_audit(entry(actor))).await.unwrap(), seq);
    }
    assert_eq!(world.other.write(move |tx| tx.record_audit(entry(Actor::Operator))).await.unwrap(), 1);
    let operator = world.database.operator();
    assert_eq!(operator.write(move |tx| tx.record_audit(entry(Actor::Operator))).await.unwrap(), 1);
    assert_eq!(operator.read(|tx| tx.audit_entries(0, 10)).await.unwrap().len(), 1);
    let rows = world.store.read(|tx| tx.audit_entries(1, 2)).await.unwrap();
    assert_eq!(
        rows.iter().map(|row| (row.seq, row.actor)).collect::<Vec<_>>(),
        [(2, Actor::Device(MEI_PHONE)), (3, Actor::Server)]
    );
    assert_eq!(rows[0].objects, [[7; 16], [8; 16]]);
}

async fn b1_parallel_guesses_never_share_an_attempt(on: On) {
    let world = on.world().await;
    let verdicts = in_parallel(256, |_| {
        let store = world.store.clone();
        async move { store.write(|tx| tx.count_guess("mei", NOW)).await.unwrap() }
    });
    let allowed =
        verdicts.await.into_iter().filter(|verdict| matches!(verdict, rules::attempts::Verdict::Allowed(_))).count();
    assert_eq!(allowed, rules::attempts::FREE as usize);
    let verdict = world.store.write(|tx| tx.count_guess("tom", NOW)).await.unwrap();
    assert!(matches!(verdict, rules::attempts::Verdict::Allowed(_)), "another handle has its own counter");
    world.store.write(|tx| tx.forget_guesses("mei")).await.unwrap();
    let verdict = world.store.write(|tx| tx.count_guess("mei", NOW)).await.unwrap();
    assert!(matches!(verdict, rules::attempts::Verdict::Allowed(now) if now.count == 1));
    assert_eq!(world.store.write(|tx| tx.expire_guesses(NOW + DAY_MS)).await.unwrap(), 2);
}

fn package(number: u8) -> NewKeyPackage {
    NewKeyPackage { reference: vec![number; 32], package: vec![number; 100], not_after: NOW + 120 * DAY_MS }
}

fn claim(key: u8) -> Claim<'static> {
    Claim { claimer: TOM, device: TOM_PHONE, target: MEI, devices: &[], key: [key; 16] }
}

fn bytes(claimed: Claimed) -> Vec<(DeviceId, u8)> {
    let Claimed::Packages(packages) = claimed else { panic!("{claimed:?}") };
    packages.into_iter().map(|package| (package.device, package.bytes[0])).collect()
}

async fn publish(store: &Store, device: DeviceId, numbers: std::ops::Range<u8>) {
    let packages: Vec<_> = numbers.map(package).collect();
    store.write(move |tx| tx.publish_key_packages(device, &packages, NOW)).await.unwrap();
}

async fn key_packages_are_handed_out_once_and_then_the_last_resort(on: On) {
    let world = on.world().await;
    let store = &world.store;
    store.write(add_people).await.unwrap();
    publish(store, MEI_PHONE, 1..3).await;
    publish(store, MEI_LAPTOP, 3..4).await;
    store.write(|tx| tx.publish_last_resort(MEI_PHONE, &package(9), NOW)).await.unwrap();
    let held = async |device| store.read(move |tx| tx.key_packages_held(device, NOW)).await.unwrap();
    assert_eq!(held(MEI_PHONE).await, KeyPackagesHeld { one_time: 2, last_resort_used: false });
    assert_eq!(held(MEI_LAPTOP).await, KeyPackagesHeld { one_time: 1, last_resort_used: true });
    let ask = async |key, now| bytes(store.write(move |tx| tx.claim_key_packages(claim(key), now)).await.unwrap());

    assert_eq!(ask(1, NOW + 1).await, [(MEI_PHONE, 1), (MEI_LAPTOP, 3)]);
    assert_eq!(ask(1, NOW + 2).await, [(MEI_PHONE, 1), (MEI_LAPTOP, 3)], "a repeat gets the same");
    assert_eq!(ask(2, NOW + 3).await, [(MEI_PHONE, 2)], "a device without any is missing");
    publish(store, MEI_PHONE, 1..3).await;
    assert_eq!(held(MEI_PHONE).await.one_time, 0, "what was handed out cannot be published again");
    assert_eq!(ask(3, NOW + 4).await, [(MEI_PHONE, 9)]);
    assert_eq!(ask(4, NOW + 5).await, [(MEI_PHONE, 9)]);
    assert!(held(MEI_PHONE).await.last_resort_used);
    store.write(|tx| tx.publish_last_resort(MEI_PHONE, &package(10), NOW)).await.unwrap();
    store.write(|tx| tx.publish_last_resort(MEI_PHONE, &package(9), NOW)).await.unwrap();
    assert!(!held(MEI_PHONE).await.last_resort_used);
    assert_eq!(ask(5, NOW + 6).await, [(MEI_PHONE, 10)]);
    assert_eq!(ask(4, NOW + 7).await, [(MEI_PHONE, 9)], "a repeat gets the package that was replaced since");

    let other_target = store.write(|tx| tx.claim_key_packages(Claim { target: TOM, ..claim(1) }, NOW)).await.unwrap();
    assert_eq!(other_target, Claimed::KeyReused);
    let one_device = Claim { devices: &[MEI_LAPTOP], ..claim(6) };
    assert_eq!(bytes(store.write(move |tx| tx.claim_key_packages(one_device, NOW)).await.unwrap()), []);
}

async fn key_packages_of_revoked_devices_and_old_ones_stay(on: On) {
    let world = on.world().await;
    let store = &world.store;
    store.write(add_people).await.unwrap();
    publish(store, MEI_PHONE, 1..2).await;
    publish(store, MEI_LAPTOP, 2..3).await;
    store.write(|tx| tx.set_device_state(MEI_PHONE, DeviceState::Revoked)).await.unwrap();
    let late = store.write(|tx| tx.claim_key_packages(claim(1), NOW + 30 * DAY_MS)).await.unwrap();
    assert_eq!(bytes(late), []);
    let in_time = store.write(|tx| tx.claim_key_packages(claim(2), NOW + 30 * DAY_MS - 1)).await.unwrap();
    assert_eq!(bytes(in_time), [(MEI_LAPTOP, 2)]);

    store.write(|tx| tx.expire_key_packages(NOW + 60 * DAY_MS)).await.unwrap();
    publish(store, MEI_LAPTOP, 2..3).await;
    let held = store.read(|tx| tx.key_packages_held(MEI_LAPTOP, NOW)).await.unwrap();
    assert_eq!(held.one_time, 0, "its reference is remembered until its lifetime is over");
    store.write(|tx| tx.expire_key_packages(NOW + 120 * DAY_MS)).await.unwrap();
    publish(store, MEI_LAPTOP, 2..3).await;
    assert_eq!(store.read(|tx| tx.key_packages_held(MEI_LAPTOP, NOW)).await.unwrap().one_time, 1);
}

async fn a8_claims_of_a_pair_have_a_quota_for_the_day(on: On) {
    let world = on.world().await;
    let store = &world.store;
    store.write(add_people).await.unwrap();
    let quota = rules::key_package::CLAIMS_PER_PAIR_PER_DAY as u8;
    for key in 0..quota {
        assert_eq!(bytes(store.write(move |tx| tx.claim_key_packages(claim(key), NOW)).await.unwrap()), []);
    }
    let ask =
        async |claim: Claim<'static>, now| store.write(move |tx| tx.claim_key_packages(claim, now)).await.unwrap();
    assert_eq!(ask(claim(quota), NOW).await, Claimed::QuotaExceeded);
    assert_eq!(bytes(ask(claim(0), NOW).await), [], "a repeat costs nothing");
    assert_eq!(bytes(ask(Claim { target: TOM, ..claim(quota) }, NOW).await), [], "another pair has its own");
    assert_eq!(bytes(ask(claim(quota + 1), NOW + DAY_MS).await), [], "so has another day");
}

async fn b13_looking_people_up_has_a_quota_for_the_day(on: On) {
    let world = on.world().await;
    let count = async |store: &store::Store, user, now| {
        store.write(move |tx| tx.count_lookup(user, LOOKUPS, now)).await.unwrap()
    };
    let parallel = in_parallel(32, |_| {
        let store = world.store.clone();
        async move { store.write(|tx| tx.count_lookup(MEI, LOOKUPS, NOW)).await.unwrap() }
    });
    let within = parallel.await.into_iter().filter(|within| *within).count();
    assert_eq!(within, LOOKUPS.user as usize, "however many ask at once");
    assert!(count(&world.store, TOM, NOW).await, "another user has their own");
    for number in 1..=LOOKUPS.tenant as u8 {
        let left = u32::from(number) + LOOKUPS.user < LOOKUPS.tenant;
        assert_eq!(count(&world.store, UserId::from_bytes([100 + number; 16]), NOW).await, left, "{number}");
    }
    assert!(count(&world.other, MEI, NOW).await, "another tenant has its own");
    assert!(count(&world.store, MEI, NOW + DAY_MS).await, "so has another day");
    let forgotten = async |now| world.store.write(move |tx| tx.expire_lookups(now)).await.unwrap();
    assert_eq!((forgotten(NOW).await, forgotten(NOW + DAY_MS).await > 0), (0, true));
    assert!(
        !world
            .store
            .write(|tx| tx.count_lookup(MEI, rules::lookup::Quota { user: 1, ..LOOKUPS }, NOW + DAY_MS))
            .await
            .unwrap()
    );
}

/// Fewer than anybody would configure.
const LOOKUPS: rules::lookup::Quota = rules::lookup::Quota { user: 5, tenant: 9 };

async fn a8_parallel_claims_never_share_a_package(on: On) {
    let world = on.world().await;
    world.store.write(add_people).await.unwrap();
    publish(&world.store, MEI_PHONE, 1..65).await;
    let claims = in_parallel(64, |number| {
        let store = world.store.clone();
        // A claimer of its own each, so that the quota of a pair is not what is tested.
        let claimer = UserId::from_bytes([100 + number; 16]);
        let claim = Claim { claimer, devices: &[MEI_PHONE], ..claim(number) };
        async move { bytes(store.write(move |tx| tx.claim_key_packages(claim, NOW)).await.unwrap()) }
    });
    let mut handed_out: Vec<u8> = claims.await.into_iter().flatten().map(|(_, number)| number).collect();
    handed_out.sort_unstable();
    assert_eq!(handed_out, (1..65).collect::<Vec<u8>>());
}

async fn a_tenant_reaches_nothing_of_another(on: On) {
    let world = on.world().await;
    let other = &world.other;
    world.store.write(add_talk).await.unwrap();
    publish(&world.store, MEI_PHONE, 1..2).await;
    world.store.write(|tx| tx.append_entry(message(0, 1, b"text"))).await.unwrap();
    assert!(other.read(|tx| tx.user(MEI)).await.unwrap().is_none());
    assert!(other.read(|tx| tx.user_by_handle("mei")).await.unwrap().is_none());
    assert!(other.read(|tx| tx.opaque_record(MEI)).await.unwrap().is_none());
    assert!(other.read(|tx| tx.device(MEI_PHONE)).await.unwrap().is_none());
    assert!(other.read(|tx| tx.devices_of(MEI)).await.unwrap().is_empty());
    assert_eq!(other.read(|tx| tx.chain_len(MEI)).await.unwrap(), 0);
    assert_eq!(other.read(|tx| tx.key_packages_held(MEI_PHONE, NOW)).await.unwrap().one_time, 0);
    assert!(other.read(|tx| tx.conversation(TALK)).await.unwrap().is_none());
    assert!(other.read(|tx| tx.conversations_after(None, 10)).await.unwrap().is_empty());
    assert!(other.read(|tx| tx.direct_conversation([MEI, TOM])).await.unwrap().is_none());
    assert!(other.read(|tx| tx.current_group(TALK)).await.unwrap().is_none());
    assert!(other.read(|tx| tx.group_policy(TALK)).await.unwrap().is_none());
    assert!(other.read(|tx| tx.tree(TALK, GROUP, 0)).await.unwrap().is_none());
    assert!(other.read(|tx| tx.public_group(TALK)).await.unwrap().is_none());
    assert!(other.read(|tx| tx.members(TALK)).await.unwrap().is_empty());
    assert!(other.read(|tx| tx.heads(MEI_PHONE)).await.unwrap().is_empty());
    assert!(other.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 0, 10)).await.unwrap().is_none());
    assert_eq!(other.write(|tx| tx.append_entry(message(0, 2, b"text"))).await.unwrap(), store::Append::NoConversation);
    assert!(!other.write(|tx| tx.set_device_state(MEI_PHONE, DeviceState::Revoked)).await.unwrap());
    assert!(world.store.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 0, 10)).await.unwrap().is_some(), "control");
}

async fn rotating_a_tenant_key_leaves_everything_readable(on: On) {
    let world = on.lasting_world().await;
    world.store.write(add_talk).await.unwrap();
    world.store.write(|tx| tx.put_secret("opaque", b"secret")).await.unwrap();
    world.store.write(|tx| tx.append_entry(message(0, 1, b"before"))).await.unwrap();
    assert_eq!(world.database.operator().write(|tx| tx.rotate_tenant_key(TENANT, NOW)).await.unwrap(), 2);
    assert_eq!(world.database.operator().write(|tx| tx.rotate_tenant_key(TENANT, NOW)).await.unwrap(), 3);
    world.database.close();
    let database = world.place.open().unwrap();
    let store = database.tenant(TENANT);
    assert_eq!(store.read(|tx| tx.user_by_handle("mei")).await.unwrap().unwrap().user, MEI);
    assert_eq!(store.read(|tx| tx.secret("opaque")).await.unwrap().unwrap().as_slice(), b"secret");
    store.write(|tx| tx.append_entry(message(0, 2, b"after"))).await.unwrap();
    let fetched = store.read(|tx| tx.fetch_entries(TALK, MEI_PHONE, 0, 10)).await.unwrap().unwrap();
    assert_eq!(
        fetched.entries.iter().map(|entry| entry.payload.as_slice()).collect::<Vec<_>>(),
        [b"before".as_slice(), b"after"]
    );
    let missing = database.operator().write(|tx| tx.rotate_tenant_key(TenantId::from_bytes([9; 16]), NOW)).await;
    assert!(matches!(missing, Err(Error::KeyGone)));
}

async fn in_parallel<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    tasks: u16,
    task: impl Fn(u8) -> F,
) -> Vec<T> {
    let tasks: Vec<_> = (0..tasks).map(|number| tokio::spawn(task(number.to_be_bytes()[1]))).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}
