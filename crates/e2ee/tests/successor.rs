//! The chain of groups: a successor is followed if it may take the old group's place, and not otherwise.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's help fails the test")]

extern crate mifeng_e2ee as e2ee;
mod harness;

use e2ee::{Error, Group, Opened, Refused, Suite};
use harness::successor::{self, NEXT, Scene};
use harness::{CONVERSATION, GROUP, Phone, TENANT, aad};
use trust::SuccessionViolation;
use wire::{EntryKind, GroupId};

fn next(phone: &Phone) -> Group {
    Group::load(&phone.device(), NEXT).unwrap().unwrap()
}

/// Whether the old group is untouched and no other one is stored.
fn stays(phone: &Phone) -> bool {
    phone.loaded().is_some() && Group::load(&phone.device(), NEXT).unwrap().is_none()
}

#[test]
fn a2_a10_a19_a_successor_under_another_policy_or_with_other_people_is_not_followed() {
    successor::run(&|scene, made, what, expected| {
        let follower = scene.follower(made.maker.device);
        let expected_policy = follower.group().policy().successor(GROUP);
        let followed = scene.follow(follower, made);
        match expected {
            None => {
                followed.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(follower.loaded().is_none(), "{what}: the old group's keys are deleted");
                assert_eq!((next(follower).epoch(), next(follower).policy()), (1, &expected_policy), "{what}");
            }
            // The invitation itself says which conversation.
            Some(SuccessionViolation::Policy) if what == "of another conversation" => {
                assert!(matches!(followed, Err(Error::Envelope)), "{what}: {followed:?}");
            }
            Some(expected) => {
                let refused = matches!(&followed, Err(Error::Refused(Refused::Succession(why))) if *why == expected);
                assert!(refused, "{what}: {followed:?}");
                assert!(stays(follower), "{what}");
            }
        }
    });
}

#[test]
fn nobody_makes_a_successor_that_others_would_not_follow() {
    let scene = Scene::new(Suite::XWing);
    let weaker = scene.succeed(&scene.alice, Suite::Classical, &[&scene.bob, &scene.carol, &scene.tablet]);
    assert!(matches!(weaker, Err(Error::Refused(Refused::Succession(SuccessionViolation::Suite)))));
    let left_out = scene.succeed(&scene.alice, Suite::XWing, &[&scene.bob]);
    assert!(matches!(left_out, Err(Error::Refused(Refused::Succession(SuccessionViolation::LeftOut)))));
    assert!(stays(&scene.alice), "nothing is left behind");
}

#[test]
fn a10_a_welcome_into_another_group_than_the_log_names_is_not_followed() {
    let scene = Scene::new(Suite::Classical);
    let made = scene.succeed(&scene.alice, Suite::Classical, &[&scene.bob, &scene.carol, &scene.tablet]).unwrap();
    let elsewhere = scene.follow_as(&scene.bob, &made, GroupId::from_bytes([7; 16]), made.maker.device);
    assert!(matches!(elsewhere, Err(Error::Envelope)), "{elsewhere:?}");
    let by_another = scene.follow_as(&scene.bob, &made, NEXT, scene.carol.identity.device);
    assert!(matches!(by_another, Err(Error::Envelope)), "{by_another:?}");
    assert!(stays(&scene.bob));
    scene.follow(&scene.bob, &made).unwrap();
}

#[test]
fn everybody_goes_on_talking_in_the_new_group() {
    let scene = Scene::new(Suite::Classical);
    let made = scene.succeed(&scene.alice, Suite::XWing, &[&scene.bob, &scene.carol, &scene.tablet]).unwrap();
    for phone in [&scene.bob, &scene.carol, &scene.tablet] {
        scene.follow(phone, &made).unwrap();
    }
    let groups = |phone: &Phone| phone.disk.keys().iter().filter(|label| *label == "epoch").count();
    assert_eq!(groups(&scene.alice), 2, "the maker has both, until it is recorded");
    let writes = scene.alice.group().forget(&scene.alice.device()).unwrap();
    scene.alice.disk.apply(&writes);
    let id = scene.world.message_id();
    let sealed = next(&scene.alice).seal(&scene.alice.device(), &aad(id), b"here").unwrap();
    scene.alice.disk.apply(&sealed.writes);
    let maker = scene.alice.identity.device;
    let entry = scene.world.entry(EntryKind::Application, 1, maker, id, &sealed.output);
    for phone in [&scene.bob, &scene.carol, &scene.tablet] {
        let opened = next(phone).open(&phone.device(), &entry, &scene.world.vouch()).unwrap();
        let Opened::Message { plaintext, .. } = opened.output else { panic!("no message") };
        assert_eq!(plaintext.as_slice(), b"here");
    }
    assert_eq!([groups(&scene.alice), groups(&scene.bob)], [1, 1], "no key of the old group is left");
}

#[test]
fn a19_who_rejoins_from_outside_is_not_led_into_a_weaker_group_either() {
    type Change = fn(&mut trust::GroupPolicy);
    let cases: [(&str, Suite, Suite, Change, bool); 4] = [
        ("honest", Suite::Classical, Suite::XWing, |_| {}, true),
        ("further on", Suite::Classical, Suite::Classical, |policy| policy.ordinal += 1, true),
        ("weaker", Suite::XWing, Suite::Classical, |_| {}, false),
        (
            "first again",
            Suite::Classical,
            Suite::Classical,
            |policy| {
                (policy.ordinal, policy.predecessor) = (0, None);
            },
            false,
        ),
    ];
    for (what, before, after, change, allowed) in cases {
        let scene = Scene::new(before);
        let mut policy = scene.policy();
        change(&mut policy);
        let made = scene.forge(&scene.alice, after, &policy, &[&scene.bob, &scene.carol]);
        let (message, tree) = (&made.succession.group_info, &made.succession.tree);
        let invitation = e2ee::Invitation { tenant: TENANT, conversation: CONVERSATION, epoch: 1, message, tree };
        let (tablet, vouch) = (&scene.tablet, scene.world.vouch());
        let aad = aad(scene.world.message_id());
        let rejoined = tablet.device().rejoin(&invitation, tablet.loaded(), &aad, &vouch);
        assert_eq!(rejoined.is_ok(), allowed, "{what}: {:?}", rejoined.err());
        assert!(tablet.device().rejoin(&invitation, None, &aad, &vouch).is_ok(), "the control: {what}");
    }
}
