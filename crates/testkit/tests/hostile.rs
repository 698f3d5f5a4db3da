//! A hostile server, and people in each other's way: nothing that is not noticed, and afterwards everybody is heard again.

#![allow(clippy::unwrap_used, reason = "a test's help fails the test")]

use client::MessageState;
use mifeng_testkit::decision::{Decision, Fault, Verb};
use mifeng_testkit::explore::{ROUNDS, Templates, explore, finish, is_hostile};
use mifeng_testkit::malice::Rule;
use mifeng_testkit::template::{Shape, Template, scratch};
use mifeng_testkit::world::World;
use tempfile::TempDir;
use wire::frame::{self, ServerFrame};
use wire::request::Greeting;
use wire::{EntryKind, Event};

fn world(people: usize) -> (TempDir, World) {
    let template = Template::found(Shape { people, devices: 1, post_quantum: false, spare: 0 }).unwrap();
    let folder = scratch().unwrap();
    let mut world = template.world(folder.path(), 1, 0).unwrap();
    world.act(0, Verb::Group, u16::MAX, 0);
    settle(&mut world);
    (folder, world)
}

fn settle(world: &mut World) {
    assert!(world.settle(ROUNDS), "{}", world.unsettled());
}

fn everybody_says(world: &mut World) {
    for device in 0..world.devices.len() {
        assert!(world.act(device, Verb::Say, 0, 0));
    }
}

fn nothing_is_wrong(world: &mut World) {
    let checked = finish(world).unwrap();
    assert_eq!(checked.violations, [""; 0], "{}", world.describe());
}

fn unreadable(world: &World, device: usize) -> usize {
    let client = world.devices[device].client.as_ref().unwrap();
    let id = client.conversations().unwrap()[0].id;
    let lines = client.lines(id, u32::MAX).unwrap();
    lines.iter().filter(|line| line.state == MessageState::Undecryptable).count()
}

#[test]
fn a13_a_server_that_mangles_drops_and_repeats_changes_nothing_unseen() {
    let templates = Templates::default();
    for seed in (9_003..9_083).step_by(10) {
        assert!(is_hostile(seed));
        let outcome = explore(&templates, seed).unwrap();
        assert_eq!(outcome.violations, [""; 0], "seed {seed}: {}", outcome.end);
    }
}

#[test]
fn a13_one_member_who_is_told_something_else_is_told_of_a_fork() {
    let (_folder, mut world) = world(3);
    let bent = |device: usize, frame: &[u8]| {
        let ServerFrame::Event { kind, body } = frame::read_server(frame).ok()? else { return None };
        let Event::Recorded(mut recorded) = Event::decode(kind, body).ok()?? else { return None };
        if device != 1 || recorded.entry.kind != EntryKind::Application {
            return None;
        }
        recorded.entry.payload[20] ^= 1;
        Some(vec![frame::event(&Event::Recorded(recorded))])
    };
    world.beset(Some(Box::new(Rule(bent))));
    everybody_says(&mut world);
    settle(&mut world);
    world.beset(None);
    everybody_says(&mut world);
    settle(&mut world);
    let forked = |device: usize| world.devices[device].client.as_ref().unwrap().conversations().unwrap()[0].forked;
    assert!(forked(1), "the one who was lied to sees that others saw something else");
    nothing_is_wrong(&mut world);
}

#[test]
fn a11_commits_of_everybody_at_once_leave_no_group_stuck() {
    let (_folder, mut world) = world(5);
    (1..4).for_each(|member| assert!(world.act(0, Verb::Promote, 0, member - 1)));
    settle(&mut world);
    for round in 0..6 {
        for device in 0..5 {
            world.apply(Decision::Fault(Fault::Cut(device)));
        }
        for device in 0..4 {
            world.act(device, Verb::Remove, 0, round + 1);
            world.act(device, Verb::Add, 0, round);
            world.act(device, Verb::Say, 0, 0);
        }
        settle(&mut world);
    }
    assert!(world.tally.commits > 10);
    nothing_is_wrong(&mut world);
}

#[test]
fn a16_a_device_that_is_put_back_is_noticed_rejoins_and_is_heard() {
    let (_folder, mut world) = world(3);
    everybody_says(&mut world);
    settle(&mut world);
    assert!(world.apply(Decision::PutAside(1)));
    for _ in 0..3 {
        everybody_says(&mut world);
        settle(&mut world);
    }
    assert!(world.apply(Decision::Fault(Fault::Restore(1))));
    settle(&mut world);
    assert_eq!(world.tally.repairs, 1, "its leaf is replaced");
    everybody_says(&mut world);
    nothing_is_wrong(&mut world);
    assert_eq!(
        [unreadable(&world, 0), unreadable(&world, 1), unreadable(&world, 2)],
        [0, 3, 0],
        "only its own of then"
    );
}

#[test]
fn a19_another_suite_in_the_greeting_changes_no_group() {
    let (_folder, mut world) = world(3);
    let other_suite = |_: usize, frame: &[u8]| {
        let ServerFrame::Answer { id, body } = frame::read_server(frame).ok()? else { return None };
        let greeting: Greeting = wire::decode(body).ok()?;
        Some(vec![frame::answer(id, &Greeting { suite: 0x004e, ..greeting })])
    };
    world.beset(Some(Box::new(Rule(other_suite))));
    (0..3).for_each(|device| assert!(world.apply(Decision::Fault(Fault::Cut(device)))));
    settle(&mut world);
    assert!(world.act(1, Verb::Group, 3, 0));
    settle(&mut world);
    everybody_says(&mut world);
    // The server makes no group of another suite than its tenant's, so that a client that had changed would be stuck.
    nothing_is_wrong(&mut world);
}
