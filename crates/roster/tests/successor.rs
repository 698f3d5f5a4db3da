//! The server's view of a successor: what clients would follow passes, what they would not is refused before it is recorded.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's help fails the test")]

extern crate mifeng_roster as roster;
#[path = "../../e2ee/tests/harness/mod.rs"]
mod harness;

use e2ee::Suite;
use harness::successor::{self, Made, Scene};
use roster::{PublicTree, Refused, Vouched};
use trust::SuccessionViolation;

/// The server's tree of the old group, in the epoch that everybody is in.
fn tree(scene: &Scene) -> PublicTree {
    // It was recorded before anybody was gone.
    let vouch = |_: &_, _: &_| Vouched::Yes;
    let mut tree = PublicTree::create(&scene.created.group_info, &scene.created.tree, &vouch).unwrap();
    let added = &scene.added.pending;
    let checked = tree.check(&added.commit, &added.group_info, added.welcome.as_deref(), &vouch).unwrap();
    tree.apply(checked).unwrap();
    tree
}

fn check(scene: &Scene, made: &Made, welcome: Option<&[u8]>) -> Result<PublicTree, Refused> {
    let succession = &made.succession;
    tree(scene).successor(&succession.group_info, &succession.tree, welcome, &made.maker, &scene.world.vouch())
}

#[test]
fn a2_a10_a19_the_server_records_no_successor_under_another_policy_or_with_other_people() {
    successor::run(&|scene, made, what, expected| {
        let checked = check(scene, made, made.succession.welcome.as_deref());
        match expected {
            None => {
                let next = checked.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!((next.epoch(), next.group_id()), (1, successor::NEXT), "{what}");
                let restored = PublicTree::restore(&next.snapshot().unwrap(), []).unwrap();
                assert_eq!(restored.tree_bytes().unwrap(), made.succession.tree, "{what}");
            }
            Some(expected) => {
                let refused = matches!(&checked, Err(Refused::Succession(why)) if *why == expected);
                assert!(refused, "{what}: {checked:?}");
            }
        }
    });
}

#[test]
fn a10_the_welcome_is_for_everybody_else_and_the_group_info_is_the_makers() {
    let scene = Scene::new(Suite::Classical);
    let made = scene.succeed(&scene.alice, Suite::Classical, &[&scene.bob, &scene.carol, &scene.tablet]).unwrap();
    let welcome = made.succession.welcome.as_deref();
    assert!(matches!(check(&scene, &made, None), Err(Refused::Welcome)), "nobody is welcomed");
    let fewer = scene.added.pending.welcome.as_deref();
    assert!(check(&scene, &made, fewer).is_ok(), "what a Welcome holds, only those see whom it is for");
    let in_anothers_name = Made { maker: scene.bob.identity, succession: made.succession.clone() };
    let refused = check(&scene, &in_anothers_name, welcome);
    assert!(matches!(refused, Err(Refused::Succession(SuccessionViolation::Maker))), "{refused:?}");
    let other = Scene::new(Suite::Classical);
    let others = other.succeed(&other.bob, Suite::Classical, &[&other.alice, &other.carol, &other.tablet]).unwrap();
    let mut mixed = made.succession.clone();
    mixed.tree = others.succession.tree;
    let mixed = Made { maker: scene.alice.identity, succession: mixed };
    assert!(check(&scene, &mixed, welcome).is_err(), "another group's tree");
    assert!(check(&scene, &made, welcome).is_ok(), "the control");
}

#[test]
fn a19_a_group_is_not_followed_by_one_that_is_older_than_its_first_epoch() {
    let scene = Scene::new(Suite::Classical);
    let alone =
        scene.alice.device().create(Suite::Classical, successor::NEXT, &scene.policy(), harness::now()).unwrap();
    let (info, alone_tree) = (&alone.output.group_info, &alone.output.tree);
    let refused = tree(&scene).successor(info, alone_tree, None, &scene.alice.identity, &scene.world.vouch());
    assert!(matches!(refused, Err(Refused::Context)), "{refused:?}");
}
