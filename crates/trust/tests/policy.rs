//! The policy as a matrix: every change, by every role, in every kind of conversation.

#![cfg(test)]

use mifeng_trust::policy::Protection;
use mifeng_trust::{Change, CommitView, Committer, GroupPolicy, LeafIdentity, PolicyViolation, WhoMayAdd};
use proptest::prelude::*;
use wire::{ConversationId, DeviceId, GroupId, TenantId, UserId};

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const CONVERSATION: ConversationId = ConversationId::from_bytes([2; 16]);

fn user(number: u8) -> UserId {
    UserId::from_bytes([number; 16])
}

fn leaf(user_number: u8, device: u8) -> LeafIdentity {
    LeafIdentity {
        tenant: TENANT,
        user: user(user_number),
        device: DeviceId::from_bytes([user_number * 16 + device; 16]),
    }
}

fn members() -> Vec<LeafIdentity> {
    vec![leaf(1, 1), leaf(1, 2), leaf(2, 1), leaf(3, 1)]
}

fn group() -> GroupPolicy {
    GroupPolicy::group(TENANT, CONVERSATION, user(1))
}

fn check(policy: &GroupPolicy, committer: Committer, changes: &[Change]) -> Result<(), PolicyViolation> {
    policy.check(&CommitView { committer, changes, members: &members() }, |leaf| leaf.device == gone().device)
}

/// A member whose device is revoked in its user's chain.
fn gone() -> LeafIdentity {
    leaf(3, 1)
}

fn by(user: u8) -> Committer {
    Committer::Member(leaf(user, 1))
}

#[test]
fn a2_members_add_only_what_the_policy_lets_them() {
    let stranger = || vec![Change::Add(leaf(5, 1))];
    assert_eq!(check(&group(), by(1), &stranger()), Ok(()));
    assert_eq!(check(&group(), by(2), &stranger()), Err(PolicyViolation::Add));
    assert_eq!(check(&GroupPolicy { who_may_add: WhoMayAdd::Members, ..group() }, by(2), &stranger()), Ok(()));
    assert_eq!(check(&group(), by(2), &[Change::Add(leaf(2, 7))]), Ok(()), "one's own further device");
    assert_eq!(check(&group(), by(1), &[Change::Add(leaf(2, 1))]), Err(PolicyViolation::Add), "a device that is in");
    assert_eq!(check(&group(), by(1), &[Change::Add(gone())]), Err(PolicyViolation::Add), "a revoked device");
    let foreign = LeafIdentity { tenant: TenantId::from_bytes([9; 16]), ..leaf(5, 1) };
    assert_eq!(check(&group(), by(1), &[Change::Add(foreign)]), Err(PolicyViolation::Add), "another tenant's");
}

#[test]
fn a2_members_remove_only_what_the_policy_lets_them() {
    assert_eq!(check(&group(), by(1), &[Change::Remove(leaf(2, 1))]), Ok(()));
    assert_eq!(check(&group(), by(2), &[Change::Remove(leaf(1, 2))]), Err(PolicyViolation::Remove));
    assert_eq!(check(&group(), by(2), &[Change::Remove(gone())]), Ok(()), "a revoked device, by anyone");
    assert_eq!(check(&group(), by(1), &[Change::Remove(leaf(1, 2))]), Ok(()), "one's own other device");
    assert_eq!(check(&group(), by(2), &[Change::SelfRemove(leaf(1, 2))]), Ok(()), "a leaver's own wish");
    assert_eq!(
        check(&group(), by(1), &[Change::SelfRemove(leaf(1, 1))]),
        Err(PolicyViolation::Remove),
        "nobody commits their own"
    );
}

#[test]
fn a2_only_admins_change_the_policy_and_only_what_may_change() {
    let next = GroupPolicy { admins: vec![user(1), user(2)], ..group() };
    assert_eq!(check(&group(), by(1), &[Change::Policy(next.clone())]), Ok(()));
    assert_eq!(check(&group(), by(2), &[Change::Policy(next)]), Err(PolicyViolation::Policy));
    for wrong in [
        GroupPolicy { admins: vec![], ..group() },
        GroupPolicy { admins: vec![user(2), user(1)], ..group() },
        GroupPolicy { admins: vec![user(5)], ..group() },
        GroupPolicy { tenant: TenantId::from_bytes([9; 16]), ..group() },
        GroupPolicy { conversation: ConversationId::from_bytes([9; 16]), ..group() },
        GroupPolicy { ordinal: 1, predecessor: Some(GroupId::from_bytes([9; 16])), ..group() },
        GroupPolicy { version: 2, ..group() },
        GroupPolicy::direct(TENANT, CONVERSATION, user(1), user(2)),
    ] {
        assert_eq!(check(&group(), by(1), &[Change::Policy(wrong.clone())]), Err(PolicyViolation::Policy), "{wrong:?}");
    }
    let leaves = [Change::SelfRemove(leaf(2, 1)), Change::Policy(GroupPolicy { admins: vec![user(2)], ..group() })];
    assert_eq!(check(&group(), by(1), &leaves), Err(PolicyViolation::Policy), "the only admin would be leaving");
}

#[test]
fn a_direct_conversation_stays_with_its_two() {
    let direct = GroupPolicy::direct(TENANT, CONVERSATION, user(2), user(1));
    assert_eq!(direct.users, [user(1), user(2)]);
    let members = [leaf(1, 1), leaf(2, 1)];
    let check =
        |committer, changes: &[Change]| direct.check(&CommitView { committer, changes, members: &members }, |_| false);
    assert_eq!(check(by(1), &[Change::Add(leaf(2, 7))]), Ok(()));
    assert_eq!(check(by(1), &[Change::Add(leaf(3, 1))]), Err(PolicyViolation::Add));
    assert_eq!(check(by(1), &[Change::Remove(leaf(2, 1))]), Err(PolicyViolation::Remove));
    assert_eq!(check(by(1), &[Change::Policy(direct.clone())]), Err(PolicyViolation::Policy));
    assert_eq!(check(by(1), &[Change::Other]), Err(PolicyViolation::Other));
}

#[test]
fn a1_an_external_commit_only_rejoins() {
    let external = |joiner, replaces| Committer::External { joiner, replaces };
    let (member, stranger) = (leaf(2, 1), leaf(5, 1));
    assert_eq!(check(&group(), external(member, Some(member)), &[Change::Remove(member)]), Ok(()));
    assert_eq!(check(&group(), external(leaf(2, 7), None), &[]), Ok(()), "a member's further device");
    for (committer, changes) in [
        (external(stranger, None), vec![]),
        (external(stranger, Some(stranger)), vec![Change::Remove(stranger)]),
        (external(stranger, Some(member)), vec![Change::Remove(member)]),
        (external(member, None), vec![]),
        (external(member, Some(member)), vec![Change::Remove(member), Change::Remove(leaf(1, 1))]),
        (external(member, Some(member)), vec![Change::Remove(member), Change::Add(stranger)]),
        (external(member, Some(member)), vec![Change::Remove(member), Change::Other]),
    ] {
        assert_eq!(check(&group(), committer, &changes), Err(PolicyViolation::External), "{committer:?} {changes:?}");
    }
}

#[test]
fn a_committer_must_be_a_member() {
    assert_eq!(check(&group(), by(5), &[]), Err(PolicyViolation::NotMember));
    assert_eq!(check(&group(), Committer::Member(leaf(1, 7)), &[]), Err(PolicyViolation::NotMember));
}

#[test]
fn a19_there_is_no_protection_but_end_to_end() {
    let bytes = group().to_bytes();
    assert_eq!(GroupPolicy::from_bytes(&bytes), Ok(GroupPolicy { protection: Protection::EndToEnd, ..group() }));
    let place = bytes.windows(2).position(|pair| pair == [4, 1]).expect("key 4, value 1") + 1;
    for value in (0..24).filter(|value| *value != 1) {
        let mut changed = bytes.clone();
        changed[place] = value;
        assert_eq!(GroupPolicy::from_bytes(&changed), Err(PolicyViolation::InvalidPolicy), "{value}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_policy_or_an_error(bytes: Vec<u8>) {
        let _ = GroupPolicy::from_bytes(&bytes);
        let _ = LeafIdentity::from_bytes(&bytes);
    }

    /// Whatever a member who is no admin commits, no other user's active device comes or goes by it.
    #[test]
    fn a2_no_commit_of_a_plain_member_touches_others(add in 1_u8..8, add_device in 1_u8..4, remove in 0_usize..4) {
        let changes = [Change::Add(leaf(add, add_device)), Change::Remove(members()[remove])];
        if check(&group(), by(2), &changes).is_ok() {
            prop_assert_eq!(add, 2);
            prop_assert!(members()[remove].user == user(2) || members()[remove] == gone());
        }
    }
}
