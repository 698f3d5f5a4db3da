//! The rule of succession as a matrix, and against every pair of groups that chance comes up with.

#![cfg(test)]

use mifeng_trust::registry::{SUITE_CLASSICAL, SUITE_XWING, is_as_strong};
use mifeng_trust::{GroupPolicy, GroupView, LeafIdentity, SuccessionViolation, WhoMayAdd, succession};
use proptest::prelude::*;
use std::collections::BTreeSet;
use wire::{ConversationId, DeviceId, GroupId, TenantId, UserId};

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const CONVERSATION: ConversationId = ConversationId::from_bytes([2; 16]);
const OLD: GroupId = GroupId::from_bytes([3; 16]);
const NEW: GroupId = GroupId::from_bytes([4; 16]);

/// Three people with three devices each.
fn leaf(number: u8) -> LeafIdentity {
    let user = UserId::from_bytes([number / 3; 16]);
    LeafIdentity { tenant: TENANT, user, device: DeviceId::from_bytes([number; 16]) }
}

fn policy() -> GroupPolicy {
    GroupPolicy::group(TENANT, CONVERSATION, UserId::from_bytes([0; 16]))
}

fn leaves(numbers: &BTreeSet<u8>) -> Vec<LeafIdentity> {
    numbers.iter().copied().map(leaf).collect()
}

fn check(next: &GroupPolicy, suites: (u16, u16)) -> Result<(), SuccessionViolation> {
    let (policy, members) = (policy(), [leaf(0), leaf(3)]);
    let before = GroupView { id: OLD, policy: &policy, suite: suites.0, members: &members };
    let after = GroupView { id: NEW, policy: next, suite: suites.1, members: &members };
    succession::check(&before, &after, &leaf(3), |_| false)
}

#[test]
fn a2_a19_the_policy_stays_and_the_suite_does_not_become_weaker() {
    let same = (SUITE_CLASSICAL, SUITE_CLASSICAL);
    let next = policy().successor(OLD);
    assert_eq!(check(&next, same), Ok(()));
    type Change = fn(&mut GroupPolicy);
    let changes: [Change; 8] = [
        |policy| policy.tenant = TenantId::from_bytes([9; 16]),
        |policy| policy.conversation = ConversationId::from_bytes([9; 16]),
        |policy| policy.who_may_add = WhoMayAdd::Members,
        |policy| policy.admins = vec![UserId::from_bytes([1; 16])],
        |policy| policy.ordinal = 2,
        |policy| (policy.ordinal, policy.predecessor) = (0, None),
        |policy| policy.predecessor = Some(NEW),
        |policy| policy.users = vec![UserId::from_bytes([0; 16]), UserId::from_bytes([1; 16])],
    ];
    for (place, change) in changes.iter().enumerate() {
        let mut changed = next.clone();
        change(&mut changed);
        assert_eq!(check(&changed, same), Err(SuccessionViolation::Policy), "change {place}");
    }
    assert_eq!(check(&next, (SUITE_CLASSICAL, SUITE_XWING)), Ok(()));
    assert_eq!(check(&next, (SUITE_XWING, SUITE_CLASSICAL)), Err(SuccessionViolation::Suite));
    assert_eq!(check(&next, (SUITE_CLASSICAL, 0x0002)), Err(SuccessionViolation::Suite), "not one of ours");
    assert!(is_as_strong(SUITE_XWING, SUITE_XWING) && !is_as_strong(0, 0));
}

#[test]
fn a_descendant_is_further_on_in_the_chain_of_the_same_conversation() {
    let second = policy().successor(OLD);
    let third = second.successor(NEW);
    assert!(second.descends_from(&policy()) && third.descends_from(&policy()) && third.descends_from(&second));
    let demoted = GroupPolicy { admins: vec![UserId::from_bytes([1; 16])], ..third.clone() };
    assert!(demoted.descends_from(&policy()), "a commit in between may have changed who is an admin");
    assert!(!policy().descends_from(&second) && !second.descends_from(&second));
    let elsewhere = GroupPolicy { conversation: ConversationId::from_bytes([9; 16]), ..third.clone() };
    assert!(!elsewhere.descends_from(&policy()));
    let pair = GroupPolicy::direct(TENANT, CONVERSATION, UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
    assert!(!third.descends_from(&pair));
}

proptest! {
    /// Whatever is allowed: nobody came in, nobody who is there was thrown out, and a member made it.
    #[test]
    fn a2_a10_a_succession_neither_adds_nor_throws_out(
        before in proptest::collection::btree_set(0u8..9, 1..9), after in proptest::collection::btree_set(0u8..9, 1..9),
        gone in proptest::collection::btree_set(0u8..9, 0..4), maker in 0u8..9,
    ) {
        let (policy, next) = (policy(), policy().successor(OLD));
        let (old, new, left) = (leaves(&before), leaves(&after), leaves(&gone));
        let suite = SUITE_XWING;
        let view = GroupView { id: OLD, policy: &policy, suite, members: &old };
        let successor = GroupView { id: NEW, policy: &next, suite, members: &new };
        let verdict = succession::check(&view, &successor, &leaf(maker), |leaf| left.contains(leaf));
        let is_member = before.contains(&maker) && after.contains(&maker);
        let adds = !after.is_subset(&before);
        let users = |numbers: &BTreeSet<u8>| numbers.iter().map(|number| number / 3).collect::<BTreeSet<_>>();
        let staying: BTreeSet<u8> = before.difference(&gone).copied().collect();
        let throws_out = !users(&staying).is_subset(&users(&after));
        prop_assert_eq!(verdict.is_ok(), is_member && !adds && !throws_out, "{:?}", verdict);
    }
}
