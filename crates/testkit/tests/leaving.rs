//! People with several devices who leave: all of their devices do.

#![allow(clippy::unwrap_used, reason = "a test's help fails the test")]

use client::ConversationState;
use mifeng_testkit::decision::Verb;
use mifeng_testkit::explore::{ROUNDS, finish};
use mifeng_testkit::template::{Shape, Template, scratch};
use mifeng_testkit::world::World;

fn settle(world: &mut World) {
    assert!(world.settle(ROUNDS), "{}", world.unsettled());
}

/// The states of the one group that everybody is in, device for device.
fn states(world: &World) -> Vec<ConversationState> {
    let of_device = |device: &mifeng_testkit::device::Device| {
        let client = device.client.as_ref()?;
        let standings = client.standings().unwrap();
        standings.iter().filter(|standing| !client.is_own_group(standing.id)).map(|standing| standing.state).next()
    };
    world.devices.iter().filter_map(of_device).collect()
}

#[test]
fn an_admin_with_two_devices_steps_down_takes_them_out_and_leaves() {
    let template = Template::found(Shape { people: 2, devices: 2, post_quantum: false, spare: 0 }).unwrap();
    let folder = scratch().unwrap();
    let mut world = template.world(folder.path(), 1, 0).unwrap();
    assert!(world.act(0, Verb::Group, u16::MAX, 0));
    settle(&mut world);
    assert!(world.act(0, Verb::Promote, 0, 0));
    settle(&mut world);
    assert!(world.act(0, Verb::Leave, 0, 0));
    settle(&mut world);
    let states = states(&world);
    let left = states.iter().filter(|state| **state == ConversationState::Left).count();
    assert_eq!((states.len(), left), (4, 2), "{states:?}");
    let checked = finish(&mut world).unwrap();
    assert_eq!(checked.violations, [""; 0], "{}", world.describe());
}
