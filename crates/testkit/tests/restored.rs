//! A server that is put back to a backup: honest, and to bring somebody back.

#![allow(clippy::unwrap_used, reason = "a test's help fails the test")]

use client::{Client, ConversationState, Event};
use mifeng_testkit::decision::{Decision, Fault, Verb};
use mifeng_testkit::explore::{ROUNDS, finish};
use mifeng_testkit::template::{Shape, Template, scratch};
use mifeng_testkit::world::{Malice, World};
use tempfile::TempDir;
use wire::frame;
use wire::{ConversationId, Op, UserId};

/// People with a device each, in a group of all that the first has made.
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
    settle(world);
}

fn restore(world: &mut World) {
    assert!(world.apply(Decision::Fault(Fault::RestoreServer)), "the backup knows everybody");
}

fn nothing_is_wrong(world: &mut World) {
    let checked = finish(world).unwrap();
    assert_eq!(checked.violations, [""; 0], "{}", world.describe());
}

fn told(world: &World, device: usize, wanted: impl Fn(&Event) -> bool) -> bool {
    world.devices[device].heard.iter().any(wanted)
}

/// A server that says that it was restored, and takes nothing back.
struct Deaf;

impl Malice for Deaf {
    fn up(&mut self, _: usize, frame: Vec<u8>) -> Vec<Vec<u8>> {
        let is_supply = frame::read_request(&frame).is_ok_and(|request| request.known() == Some(Op::Resupply));
        if is_supply { Vec::new() } else { vec![frame] }
    }
}

#[test]
fn what_was_lost_is_whole_again_and_nobody_notices() {
    let (_folder, mut world) = world(3);
    everybody_says(&mut world);
    assert!(world.apply(Decision::Backup));
    everybody_says(&mut world);
    world.act(0, Verb::Rename, 0, 0);
    world.act(0, Verb::Promote, 0, 0);
    everybody_says(&mut world);
    restore(&mut world);
    settle(&mut world);
    assert!(world.tally.supplied >= 7, "{}", world.tally.supplied);
    for device in 0..3 {
        assert!(!told(&world, device, |event| matches!(event, Event::LogBranched { .. })), "{}", world.describe());
    }
    everybody_says(&mut world);
    assert_eq!(world.tally.repairs, 0);
    nothing_is_wrong(&mut world);
}

#[test]
fn what_nobody_gave_back_in_time_is_said_again_and_everybody_comes_together() {
    let (_folder, mut world) = world(3);
    everybody_says(&mut world);
    assert!(world.apply(Decision::Backup));
    everybody_says(&mut world);
    world.act(0, Verb::Promote, 0, 0);
    settle(&mut world);
    everybody_says(&mut world);
    world.beset(Some(Box::new(Deaf)));
    restore(&mut world);
    settle(&mut world);
    world.beset(None);
    world.oracle.lied_until = None;
    assert!(told(&world, 0, |event| matches!(event, Event::LogBranched { .. })));
    everybody_says(&mut world);
    nothing_is_wrong(&mut world);
}

fn client(world: &World, device: usize) -> &Client {
    world.devices[device].client.as_ref().unwrap()
}

fn the_group(world: &World) -> ConversationId {
    *world.oracle.logs.keys().next().unwrap()
}

fn texts(world: &World, device: usize) -> Vec<String> {
    let lines = client(world, device).lines(the_group(world), u32::MAX).unwrap();
    lines.iter().filter_map(|line| line.body.as_ref()?.words().map(str::to_owned)).collect()
}

fn members(world: &mut World, device: usize) -> Vec<UserId> {
    let (id, now) = (the_group(world), world.now);
    let client = world.devices[device].client.as_mut().unwrap();
    client.members(id, now).unwrap().into_iter().map(|member| member.user).collect()
}

/// Only these devices act, until nothing is left to do for so long.
fn only(world: &mut World, devices: &[usize], minutes: u64) {
    let until = world.now + minutes * 60_000;
    while world.now < until {
        let mut moved = true;
        while std::mem::take(&mut moved) {
            for device in devices {
                let steps = [Decision::Connect, Decision::Tick, Decision::Up, Decision::Down];
                steps.into_iter().for_each(|step| moved |= world.apply(step(*device)));
            }
        }
        world.apply(Decision::Pass(5_000));
    }
}

#[test]
fn a1_a_server_that_forgets_a_removal_brings_nobody_back() {
    let (_folder, mut world) = world(4);
    everybody_says(&mut world);
    assert!(world.apply(Decision::Backup));
    let removed = world.devices[3].user;
    assert!(world.act(0, Verb::Remove, 0, 2));
    settle(&mut world);
    assert!(!members(&mut world, 1).contains(&removed));
    (0..3).for_each(|device| assert!(world.act(device, Verb::Say, 0, 0)));
    settle(&mut world);
    let before = texts(&world, 3);

    // The admin's device is away: the others may not remove anybody, and say nothing where the removed one is.
    world.beset(Some(Box::new(Deaf)));
    restore(&mut world);
    assert!(world.apply(Decision::Fault(Fault::Crash(0))));
    (1..3).for_each(|device| assert!(world.act(device, Verb::Say, 0, 0)));
    only(&mut world, &[1, 2, 3], 30);
    for device in [1, 2] {
        let view = client(&world, device).conversation(the_group(&world)).unwrap().unwrap();
        assert_eq!(view.state, ConversationState::Repairing);
        assert!(client(&world, device).unsent().unwrap() > 0, "what is to be said waits");
        assert!(told(&world, device, |event| matches!(event, Event::Returned { users, .. } if *users == [removed])));
    }
    assert_eq!(texts(&world, 3), before, "nothing reaches them");

    // The admin removes them before anything else is said; then everybody goes on.
    world.beset(None);
    settle(&mut world);
    (0..3).for_each(|device| assert!(!members(&mut world, device).contains(&removed)));
    (0..3).for_each(|device| assert!(world.act(device, Verb::Say, 0, 0)));
    settle(&mut world);
    assert_eq!(texts(&world, 3), before);
    assert!(texts(&world, 1).len() > before.len());
    assert_eq!(world.oracle.violations, [""; 0]);
}
