//! The checker can fail: what is right is falsified, one thing at a time, and each must be found. A checker that finds
//! nothing here would find nothing anywhere.

#![allow(clippy::unwrap_used, reason = "a test's help fails the test")]

use client::ConversationState;
use client::MessageState;
use mifeng_testkit::check::check;
use mifeng_testkit::decision::{Decision, Verb};
use mifeng_testkit::explore::{ROUNDS, finish};
use mifeng_testkit::facts::{ConversationFacts, Facts, Line};
use mifeng_testkit::log::{Accepted, Lost};
use mifeng_testkit::oracle::Oracle;
use mifeng_testkit::server::Snapshot;
use mifeng_testkit::template::{Shape, Template, scratch};
use mifeng_testkit::world::World;
use tempfile::TempDir;
use trust::{Kind, registry};
use wire::request::RecordedAt;
use wire::{ConversationId, DeviceId, EntryKind, GroupId, MessageId, frame};

/// Three people, a group of all, a conversation of two, and what they say.
fn world() -> (TempDir, World) {
    let shape = Shape { people: 3, devices: 1, post_quantum: false, spare: 0 };
    let (template, folder) = (Template::found(shape).unwrap(), scratch().unwrap());
    let mut world = template.world(folder.path(), 1, 0).unwrap();
    world.act(0, Verb::Group, 3, 0);
    world.act(1, Verb::Direct, 0, 0);
    for _ in 0..2 {
        assert!(world.settle(ROUNDS), "{}", world.unsettled());
        (0..3).for_each(|device| assert!(world.act(device, Verb::Say, 0, 0)));
    }
    assert_eq!(finish(&mut world).unwrap().violations, [""; 0]);
    (folder, world)
}

fn group<'f>(facts: &'f mut Facts, oracle: &Oracle, device: usize) -> &'f mut ConversationFacts {
    let everybody = |id: &&ConversationId| oracle.logs[*id].now().unwrap().members.len() == 3;
    let id = *oracle.logs.keys().find(everybody).unwrap();
    facts.devices[device].conversations.get_mut(&id).unwrap()
}

/// Two lines that were recorded.
fn two(group: &ConversationFacts) -> [usize; 2] {
    let mut places = group.lines.iter().enumerate().filter(|(_, line)| line.state == MessageState::Recorded);
    [places.next().unwrap().0, places.next().unwrap().0]
}

#[test]
fn a_false_fact_is_found() {
    let (_folder, mut world) = world();
    let facts = Facts::of(&mut world).unwrap();
    type Falsify = fn(&mut ConversationFacts);
    let cases: [(&str, Falsify); 16] = [
        ("does not read", |group| {
            let [one, _] = two(group);
            let id = group.lines.remove(one).id.unwrap();
            group.held.remove(&id);
        }),
        ("twice", |group| {
            let [one, _] = two(group);
            group.lines.insert(one, group.lines[one].clone());
        }),
        ("out of order", |group| {
            let [one, other] = two(group);
            group.lines.swap(one, other);
        }),
        ("does not read", |group| {
            let [one, _] = two(group);
            let id = group.lines[one].id.unwrap();
            group.held.insert(id, Some(99));
        }),
        ("not Some", |group| {
            let said = |line: &&mut Line| line.text.as_deref().is_some_and(|text| text.starts_with("message"));
            group.lines.iter_mut().find(said).unwrap().text = Some("something else".into());
        }),
        ("was not accepted", |group| {
            let [one, _] = two(group);
            let invented = Line { id: Some(MessageId::from_bytes([7; 16])), seq: Some(99), ..group.lines[one].clone() };
            group.lines.push(invented);
        }),
        ("as Undecryptable", |group| {
            let [one, _] = two(group);
            group.lines[one].state = MessageState::Undecryptable;
        }),
        ("stands at Repairing", |group| group.state = ConversationState::Repairing),
        ("stands at Left", |group| group.state = ConversationState::Left),
        ("other members", |group| group.members.truncate(1)),
        ("different logs", |group| group.position.hash.0[0] ^= 1),
        ("stands at", |group| group.position.cursor -= 1),
        ("fork", |group| group.forked = true),
        ("stands at", |group| group.position.group = Some(GroupId::from_bytes([7; 16]))),
        ("takes", |group| group.kind = Kind::Direct),
        ("of suite", |group| group.suite = Some(registry::SUITE_XWING)),
    ];
    for (finding, falsify) in cases {
        let mut facts = facts.clone();
        falsify(group(&mut facts, &world.oracle, 1));
        let found = check(&world.oracle, &facts).violations;
        assert!(found.iter().any(|violation| violation.contains(finding)), "{finding}: {found:?}");
    }
    let mut unsent = facts.clone();
    unsent.devices[0].unsent = 1;
    assert!(check(&world.oracle, &unsent).violations[0].contains("unsent"));
    assert_eq!(check(&world.oracle, &facts).violations, [""; 0]);
}

#[test]
fn who_reads_what_is_not_for_them_is_found() {
    let (_folder, mut world) = world();
    let mut facts = Facts::of(&mut world).unwrap();
    let two = |id: &&ConversationId| world.oracle.logs[*id].now().unwrap().members.len() == 2;
    let direct = *world.oracle.logs.keys().find(two).unwrap();
    let inside = facts.devices.iter().find(|device| device.conversations.contains_key(&direct)).unwrap();
    let read = inside.conversations[&direct].clone();
    let outside = facts.devices.iter_mut().find(|device| !device.conversations.contains_key(&direct)).unwrap();
    outside.conversations.insert(direct, read);
    let found = check(&world.oracle, &facts).violations;
    assert!(found.iter().any(|violation| violation.contains("which is not for it")), "{found:?}");
}

#[test]
fn a_group_that_stays_behind_the_tenants_suite_is_found() {
    let (_folder, mut world) = world();
    let facts = Facts::of(&mut world).unwrap();
    world.oracle.suite = Some(registry::SUITE_XWING);
    let found = check(&world.oracle, &facts).violations;
    assert!(found.iter().any(|violation| violation.contains("of suite Some(1)")), "{found:?}");
}

#[test]
fn a_device_that_is_out_of_place_is_found() {
    let (_folder, mut world) = world();
    let facts = Facts::of(&mut world).unwrap();
    let finds = |world: &World, finding: &str| {
        let found = check(&world.oracle, &facts).violations;
        assert!(found.iter().any(|violation| violation.contains(finding)), "{finding}: {found:?}");
    };
    let (alice, revoked) = (world.devices[0].user, world.devices[1].id);
    let second = DeviceId::from_bytes([7; 16]);
    world.oracle.knows(second, alice);
    finds(&world, &format!(": {second}"));
    world.oracle.revoke(second);
    assert_eq!(check(&world.oracle, &facts).violations, [""; 0], "the control: it speaks for nobody");
    world.oracle.revoke(revoked);
    finds(&world, &format!(": {revoked}"));
    world.oracle.revoked.insert(revoked, 0);
    finds(&world, "and was revoked before");
}

#[test]
fn a_succession_that_lets_in_or_throws_out_is_found() {
    let (_folder, mut world) = world();
    let everybody = |id: &&ConversationId| world.oracle.logs[*id].now().unwrap().members.len() == 3;
    let id = *world.oracle.logs.keys().find(everybody).unwrap();
    let log = world.oracle.logs[&id].clone();
    let (seq, before) = (log.entries.keys().next_back().unwrap() + 1, log.now().unwrap().clone());
    let maker = world.devices[1].id;
    let group = GroupId::from_bytes([8; 16]);
    let honest = Snapshot { group, epoch: 1, policy: before.policy.successor(before.group), ..before.clone() };
    let mut finds = |epoch, after: Snapshot| {
        world.oracle.logs.insert(id, log.clone());
        let message_id = MessageId::from_bytes([7; 16]);
        let made = Accepted { order: 0, kind: EntryKind::Succession, message_id, sender: maker, epoch: Some(epoch) };
        world.oracle.accepted(id, &RecordedAt { seq, at: 1, generation: 0 }, made);
        world.oracle.committed(id, seq, after);
        std::mem::take(&mut world.oracle.violations).pop().unwrap_or_default()
    };
    assert_eq!(finds(before.epoch, honest.clone()), "", "the control");
    assert!(finds(before.epoch + 1, honest.clone()).contains("not Some"), "of another epoch");
    let mut crowded = honest.clone();
    crowded.members.push(DeviceId::from_bytes([9; 16]));
    assert!(finds(before.epoch, crowded).contains("somebody new"));
    let mut smaller = honest.clone();
    smaller.members.retain(|device| *device == maker);
    assert!(finds(before.epoch, smaller).contains("thrown out"));
    assert!(finds(before.epoch, Snapshot { policy: before.policy.clone(), ..honest.clone() }).contains("policy"));
    assert!(finds(before.epoch, Snapshot { suite: 0, ..honest }).contains("weaker"));
}

#[test]
fn a_server_that_contradicts_itself_is_found() {
    let (_folder, mut world) = world();
    let (id, log) = world.oracle.logs.iter().next().map(|(id, log)| (*id, log.clone())).unwrap();
    let (seq, entry) = log.entries.iter().next_back().map(|(seq, entry)| (*seq, entry.clone())).unwrap();
    let at = |seq| RecordedAt { seq, at: 1, generation: 0 };
    let mut finds = |seq, accepted: Accepted, finding: &str| {
        world.oracle.accepted(id, &at(seq), accepted);
        let found = std::mem::take(&mut world.oracle.violations);
        assert!(found.iter().any(|violation| violation.contains(finding)), "{finding}: {found:?}");
    };
    finds(seq + 1, entry.clone(), "accepted twice");
    finds(seq, Accepted { message_id: MessageId::from_bytes([7; 16]), ..entry }, "two entries have place");
}

#[test]
fn a_commit_that_the_policy_does_not_allow_is_found() {
    let (_folder, mut world) = world();
    let everybody = |id: &&ConversationId| world.oracle.logs[*id].now().unwrap().members.len() == 3;
    let id = *world.oracle.logs.keys().find(everybody).unwrap();
    let log = &world.oracle.logs[&id];
    let (seq, before) = (log.entries.keys().next_back().unwrap() + 1, log.now().unwrap().clone());
    let (plain, admin) = (world.devices[1].id, world.devices[0].id);
    let mut after = before.clone();
    after.epoch += 1;
    after.members.retain(|device| *device != admin);
    let commit = Accepted {
        order: 0,
        kind: EntryKind::Commit,
        message_id: MessageId::from_bytes([7; 16]),
        sender: plain,
        epoch: None,
    };
    world.oracle.accepted(id, &RecordedAt { seq, at: 1, generation: 0 }, commit);
    world.oracle.committed(id, seq, after);
    assert!(world.oracle.violations[0].contains("is no admin"), "{:?}", world.oracle.violations);
}

#[test]
fn a_server_that_acknowledges_and_forgets_is_found() {
    let (_folder, mut world) = world();
    assert!(world.act(0, Verb::Say, 0, 0));
    let link = world.devices[0].link.as_mut().unwrap();
    let request = link.up.pop_back().unwrap();
    let frame = frame::read_request(&request).unwrap();
    let send: wire::request::Send = wire::decode(frame.body).unwrap();
    let head = *world.oracle.logs[&send.conversation].entries.keys().next_back().unwrap();
    link.down.push_back(frame::answer(frame.id, &RecordedAt { seq: head + 1, at: world.now, generation: 0 }));
    assert!(world.apply(Decision::Down(0)));
    let found = finish(&mut world).unwrap().violations;
    assert!(found.iter().any(|violation| violation.contains("was not accepted")), "{found:?}");
}

#[test]
fn what_a_restore_has_lost_and_nobody_says_again_is_found() {
    let (_folder, mut world) = world();
    let facts = Facts::of(&mut world).unwrap();
    let everybody = |id: &&ConversationId| world.oracle.logs[*id].now().unwrap().members.len() == 3;
    let id = *world.oracle.logs.keys().find(everybody).unwrap();
    let log = world.oracle.logs.get_mut(&id).unwrap();
    let is_message = |(_, entry): &(&u64, &Accepted)| entry.kind == EntryKind::Application;
    let (seq, accepted) = log.entries.iter().rfind(is_message).map(|(seq, entry)| (*seq, entry.clone())).unwrap();
    let honest = log.clone();
    log.entries.remove(&seq);
    log.lost.push(Lost { seq, accepted: accepted.clone(), era: None });
    let found = check(&world.oracle, &facts).violations;
    assert!(found.iter().any(|violation| violation.contains("was lost, and not said again")), "{found:?}");
    let another = Accepted { message_id: MessageId::from_bytes([7; 16]), ..accepted.clone() };
    assert!(!world.oracle.supplied(id, seq, &another));
    assert!(world.oracle.violations.pop().unwrap().contains("took back something else"));
    assert!(world.oracle.supplied(id, seq, &accepted), "the control");
    *world.oracle.logs.get_mut(&id).unwrap() = honest;
    assert_eq!(check(&world.oracle, &facts).violations, [""; 0]);
}
