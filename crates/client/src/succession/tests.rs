use super::*;
use crate::Event;
use crate::content::Content;
use crate::database::conversation;
use crate::session::Phase;
use crate::testing::scene::{NEXT, Scene, now};
use crate::testing::{BOB, CONVERSATION, TENANT};
use e2ee::KeyPackageUse;
use trust::GroupPolicy;
use wire::request::{
    ClaimKeyPackages, ClaimedKeyPackage, ClaimedKeyPackages, Commit, CurrentGroup, Fetch, FetchStay, FetchTree,
    Fetched, Greeting, PendingWelcome, RecordedAt, Send, Stay, Succeed, Tree,
};
use wire::{ErrorCode, Op, Refusal, frame};

#[test]
fn an_honest_successor_is_followed_and_what_waits_is_sealed_anew_under_its_id() {
    let mut scene = Scene::new();
    let message = scene.alice.send(CONVERSATION, &Content::text("waits", 1), now()).unwrap();
    let (id, before) = scene.want::<Send>();
    assert_eq!((before.message_id, before.epoch), (message, 1));
    let policy = scene.policy();
    let made = scene.make(&policy);
    scene.alice.handle_frame(&frame::refused(id, &ErrorCode::StaleEpoch.into()), now()).unwrap();
    let (id, _) = scene.want::<Fetch>();
    scene.answer::<Fetch>(id, &Fetched { entries: Vec::new(), head: 1, generation: 0 });
    let (id, again) = scene.want::<Send>();
    assert_eq!(again.message_id, message);
    scene.alice.handle_frame(&frame::refused(id, &ErrorCode::StaleEpoch.into()), now()).unwrap();
    let (id, _) = scene.want::<Fetch>();
    scene.answer::<Fetch>(id, &Fetched { entries: vec![scene.entry(&made)], head: 2, generation: 0 });
    scene.bring(&made, true);
    assert_eq!(scene.state(), (ConversationState::Active, Some(NEXT)));
    assert_eq!(scene.groups(), 1, "the old group's keys are deleted");
    let (id, anew) = scene.want::<Send>();
    assert_eq!((anew.message_id, anew.epoch), (message, 1));
    assert_ne!(anew.payload, again.payload);
    scene.answer::<Send>(id, &RecordedAt { seq: 3, at: now(), generation: 0 });
    assert!(scene.events().iter().any(|event| matches!(event, Event::Sent { message: sent, .. } if *sent == message)));
    assert_eq!(scene.alice.unsent().unwrap(), 0);
}

#[test]
fn a2_a19_a_successor_that_may_not_be_is_refused_shown_and_not_let_in_by_another_door() {
    let mut scene = Scene::new();
    let policy = scene.policy();
    let far = GroupPolicy { ordinal: policy.ordinal + 1, ..policy };
    let made = scene.make(&far);
    scene.hear(&made, true);
    assert_eq!(scene.state(), (ConversationState::Repairing, Some(scene.group)), "the old one is kept");
    let shown = scene.events();
    let bob = scene.bob.device;
    let is_shown = |event: &Event| matches!(event, Event::SuccessorRefused { by, .. } if *by == bob);
    assert!(shown.iter().any(is_shown), "{shown:?}");
    scene.welcomes(Vec::new());
    scene.hand_out(&made);
    assert_eq!(scene.wants(), [], "no external commit into it");
    assert_eq!(scene.state(), (ConversationState::Repairing, Some(scene.group)));
}

#[test]
fn who_is_in_repair_holds_no_outdated_copy_against_a_successor_and_comes_in_from_outside() {
    let mut scene = Scene::new();
    scene
        .alice
        .turn(now(), |turn| {
            let row = turn.conversation(CONVERSATION)?;
            Ok(conversation::save(turn.db, &ConversationRow { state: ConversationState::Repairing, ..row })?)
        })
        .unwrap();
    let policy = scene.policy();
    // To somebody who has missed a succession in between, it looks as if one was left out.
    let made = scene.make(&GroupPolicy { ordinal: policy.ordinal + 1, ..policy });
    scene.hear(&made, true);
    let refused = |event: &Event| matches!(event, Event::SuccessorRefused { .. });
    assert!(!scene.events().iter().any(refused));
    scene.welcomes(Vec::new());
    scene.hand_out(&made);
    scene.want::<Commit>();
    assert_eq!(scene.state(), (ConversationState::Joining, Some(scene.group)));
}

#[test]
fn who_is_not_welcomed_rejoins_from_outside_and_is_shown_what_it_missed() {
    let mut scene = Scene::new();
    let policy = scene.policy();
    let made = scene.make(&policy);
    scene.hear(&made, false);
    assert_eq!(scene.state(), (ConversationState::Repairing, Some(scene.group)));
    scene.welcomes(Vec::new());
    scene.hand_out(&made);
    let (id, commit) = scene.want::<Commit>();
    assert_eq!(commit.conversation, CONVERSATION);
    assert_eq!(scene.state(), (ConversationState::Joining, Some(scene.group)), "the old one is kept until it is in");
    scene.alice.handle_frame(&frame::refused(id, &ErrorCode::EpochTaken.into()), now()).unwrap();
    assert_eq!(scene.state(), (ConversationState::Repairing, Some(scene.group)), "to hold the next one against it");
    scene.hand_out(&made);
    let (id, _) = scene.want::<Commit>();
    scene.answer::<Commit>(id, &RecordedAt { seq: 6, at: now(), generation: 0 });
    let (id, _) = scene.want::<FetchStay>();
    scene.answer::<FetchStay>(id, &Stay { seq: 6, generation: 0, entry_hash: [6; 32] });
    assert_eq!((scene.state(), scene.groups()), ((ConversationState::Active, Some(NEXT)), 1));
    let lines = scene.alice.lines(CONVERSATION, 10).unwrap();
    assert!(lines[0].reason.as_deref().unwrap().starts_with("3 entries"), "{lines:?}");
    assert!(scene.events().contains(&Event::Repaired(CONVERSATION)));
}

/// Alice cannot follow a succession at once, and has a Welcome into the new group later in the log.
fn welcomed_later(policy: impl FnOnce(GroupPolicy) -> GroupPolicy) -> Scene {
    let mut scene = Scene::new();
    let before = scene.policy();
    let made = scene.make(&policy(before));
    scene.hear(&made, false);
    scene.welcomes(vec![PendingWelcome {
        conversation: CONVERSATION,
        sender: scene.bob.device,
        seq: 4,
        generation: 0,
        entry_hash: [4; 32],
        epoch: 1,
        welcome: made.welcome.clone(),
        group: NEXT,
    }]);
    let (id, fetch) = scene.want::<FetchTree>();
    assert_eq!((fetch.group, fetch.epoch), (Some(NEXT), 1));
    scene.answer::<FetchTree>(id, &Tree { tree: made.tree });
    scene
}

#[test]
fn who_could_not_follow_takes_a_later_welcome_into_the_new_group() {
    let mut scene = welcomed_later(|policy| policy);
    assert_eq!((scene.state(), scene.groups()), ((ConversationState::Active, Some(NEXT)), 1));
    let entry = scene.said(NEXT, 5, "here");
    scene.tell(CONVERSATION, entry);
    let lines = scene.alice.lines(CONVERSATION, 10).unwrap();
    let last = lines.last().and_then(|line| line.body.as_ref()).and_then(crate::content::Body::words);
    assert_eq!(last, Some("here"), "{lines:?}");
}

#[test]
fn a2_a19_a_later_welcome_leads_into_no_group_that_may_not_take_the_place() {
    let mut scene = welcomed_later(|policy| GroupPolicy { ordinal: 0, predecessor: None, ..policy });
    assert_eq!(scene.state(), (ConversationState::Repairing, Some(scene.group)), "the old one is kept");
    let refused = |event: &Event| matches!(event, Event::WelcomeRefused { .. });
    assert!(scene.events().iter().any(refused));
}

#[test]
fn what_is_said_in_the_new_group_is_read() {
    let mut scene = Scene::new();
    let policy = scene.policy();
    let made = scene.make(&policy);
    scene.hear(&made, true);
    let entry = scene.said(NEXT, 3, "here");
    scene.tell(CONVERSATION, entry);
    let lines = scene.alice.lines(CONVERSATION, 10).unwrap();
    assert_eq!(lines[0].body.as_ref().and_then(crate::content::Body::words), Some("here"), "{lines:?}");
}

#[test]
fn a12_after_rejoins_in_vain_another_group_takes_the_place_of_one_that_nobody_can_enter() {
    let mut scene = Scene::new();
    let package = scene.device().key_package(Suite::Classical, KeyPackageUse::Once, now()).unwrap();
    scene.disk.apply(&package.writes);
    let start = now();
    scene.alice.turn(start, |turn| turn.conversation(CONVERSATION).and_then(|row| turn.start_repair(row))).unwrap();
    let mut at = start;
    let claim = loop {
        assert!(at - start < 60_000, "no other group within a minute");
        let Some(bytes) = scene.alice.poll_transmit() else {
            at = scene.alice.poll_timeout().unwrap().max(at + 1);
            scene.alice.handle_timeout(at).unwrap();
            continue;
        };
        let request = frame::read_request(&bytes).unwrap();
        let (group_info, tree) = (b"poisoned".to_vec(), b"poisoned".to_vec());
        let answer = match request.known().unwrap() {
            Op::FetchGroupInfo => frame::answer(
                request.id,
                &CurrentGroup { group_info, epoch: 7, seq: 1, generation: 0, entry_hash: [2; 32] },
            ),
            Op::FetchTree => frame::answer(request.id, &Tree { tree }),
            Op::ClaimKeyPackages => break request.id,
            other => panic!("{other:?}"),
        };
        scene.alice.handle_frame(&answer, at).unwrap();
    };
    let packages = vec![ClaimedKeyPackage { device: scene.bob.device, bytes: package.bytes }];
    scene.answer::<ClaimKeyPackages>(claim, &ClaimedKeyPackages { packages });
    let (id, succeed) = scene.want::<Succeed>();
    assert_eq!((succeed.predecessor, succeed.epoch), (scene.group, 7), "the epoch is the server's word");
    scene.answer::<Succeed>(id, &RecordedAt { seq: 2, at, generation: 0 });
    let next = e2ee::group_of(&succeed.group_info).unwrap();
    assert_eq!((scene.state(), scene.groups()), ((ConversationState::Active, Some(next)), 1));
}

#[test]
fn nobody_is_thrown_out_what_is_refused_is_forgotten_and_tried_again_later() {
    let mut scene = Scene::new();
    scene
        .alice
        .turn(now(), |turn| {
            let row = turn.conversation(CONVERSATION)?;
            turn.begin_succession(&row, None)
        })
        .unwrap();
    scene.alice.handle_timeout(now()).unwrap();
    let (id, claim) = scene.want::<ClaimKeyPackages>();
    assert_eq!((claim.user, claim.devices.as_slice()), (BOB, [scene.bob.device].as_slice()));
    scene.alice.handle_frame(&frame::refused(id, &ErrorCode::NoKeyPackage.into()), now()).unwrap();
    assert_eq!((scene.alice.unsent().unwrap(), scene.groups()), (0, 1), "it waits for Bob, and nothing waits for it");
    let package = scene.device().key_package(Suite::Classical, KeyPackageUse::Once, now()).unwrap();
    scene.disk.apply(&package.writes);
    scene
        .alice
        .turn(now(), |turn| {
            let row = turn.conversation(CONVERSATION)?;
            turn.begin_succession(&row, None)
        })
        .unwrap();
    let (id, _) = scene.want::<ClaimKeyPackages>();
    let packages = vec![ClaimedKeyPackage { device: scene.bob.device, bytes: package.bytes }];
    scene.answer::<ClaimKeyPackages>(id, &ClaimedKeyPackages { packages });
    let (id, _) = scene.want::<Succeed>();
    assert_eq!(scene.groups(), 2);
    scene.alice.handle_frame(&frame::refused(id, &Refusal::new(ErrorCode::InvalidCommit)), now()).unwrap();
    assert_eq!((scene.alice.unsent().unwrap(), scene.groups()), (0, 1));
    assert_eq!(scene.state(), (ConversationState::Active, Some(scene.group)), "the conversation goes on");
}

#[test]
fn a19_a_tenants_suite_becomes_stronger_and_never_weaker() {
    let greeting = |suite| Greeting { tenant: TENANT, challenge: [7; 32], now: 1, suite };
    let mut scene = Scene::new();
    let greet = |alice: &mut Client, suite| alice.turn(now(), |turn| turn.greeted(greeting(suite)));
    greet(&mut scene.alice, 0x004e).unwrap();
    let suite = scene.alice.turn(now(), |turn| Ok(turn.account()?.suite)).unwrap();
    assert_eq!(suite, 0x004e);
    let weaker = greet(&mut scene.alice, 0x0001);
    assert!(matches!(weaker, Err(Error::Protocol(why)) if why.contains("weaker")), "{weaker:?}");
    assert!(greet(&mut scene.alice, 0x1234).is_err(), "not one of ours");
    assert_eq!(scene.alice.turn(now(), |turn| Ok(turn.account()?.suite)).unwrap(), 0x004e);
}

#[test]
fn a_group_of_a_weaker_suite_is_moved_by_its_members_after_a_pause_of_chance() {
    let mut scene = Scene::new();
    let start = now();
    scene
        .alice
        .turn(start, |turn| {
            turn.greeted(Greeting { tenant: TENANT, challenge: [7; 32], now: 1, suite: 0x004e })?;
            turn.memory.session.phase = Phase::Live;
            turn.memory.attention.insert(CONVERSATION);
            Ok(())
        })
        .unwrap();
    scene.alice.handle_timeout(start).unwrap();
    scene.wants();
    assert_eq!(scene.alice.unsent().unwrap(), 0, "not at once");
    scene.alice.handle_timeout(start + 3 * FIRST_MS + 1).unwrap();
    assert_eq!(scene.alice.unsent().unwrap(), 1);
    assert_eq!(scene.alice.suite(CONVERSATION, now()).unwrap(), Some(Suite::Classical));
}
