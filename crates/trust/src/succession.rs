//! Whether a group may take the place of another one. Clients ask before they let go of the old group, the server before it
//! records the new one (`docs/decisions/0060-successor-groups.md`).

use crate::{GroupPolicy, LeafIdentity, registry};
use wire::sabotage::{Defence, stands};
use wire::{GroupId, UserId};

/// A group as the rule sees it.
#[derive(Debug, Clone, Copy)]
pub struct GroupView<'a> {
    /// Its id.
    pub id: GroupId,
    /// Its policy.
    pub policy: &'a GroupPolicy,
    /// The code point of its cipher suite.
    pub suite: u16,
    /// Its leaves.
    pub members: &'a [LeafIdentity],
}

/// Why a group may not take the place of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SuccessionViolation {
    /// Its policy is not that of the group before, one place further in the chain.
    #[error("its policy is not that of the group before it")]
    Policy,
    /// Its cipher suite is weaker.
    #[error("its cipher suite is weaker")]
    Suite,
    /// Who made it was no member.
    #[error("it was not made by a member")]
    Maker,
    /// It has a leaf that the group before did not have.
    #[error("it would let somebody in")]
    Newcomer,
    /// A member whose devices are not gone has no leaf in it.
    #[error("it would leave somebody out")]
    LeftOut,
}

impl GroupPolicy {
    /// The policy of the group that takes the place of this policy's group.
    pub fn successor(&self, group: GroupId) -> Self {
        Self { ordinal: self.ordinal.saturating_add(1), predecessor: Some(group), ..self.clone() }
    }

    /// Whether a group of this policy can be further on in the chain of a group of `before`, with commits between. It serves
    /// the same conversation, of the same kind, under the same protection, for the same pair.
    pub fn descends_from(&self, before: &Self) -> bool {
        let frame = |policy: &Self| (policy.tenant, policy.conversation, policy.kind, policy.protection);
        frame(self) == frame(before) && self.users == before.users && self.ordinal > before.ordinal
    }
}

/// Whether `after`, which `maker` made, may take the place of `before`. `gone` says whether a device is revoked or closed in
/// its user's chain.
///
/// Further devices of a person may be missing: they rejoin from outside. A person may not.
///
/// # Errors
/// The first [`SuccessionViolation`] found.
pub fn check(
    before: &GroupView<'_>,
    after: &GroupView<'_>,
    maker: &LeafIdentity,
    gone: impl Fn(&LeafIdentity) -> bool,
) -> Result<(), SuccessionViolation> {
    if !stands(Defence::Succession) {
        return Ok(());
    }
    if before.id == after.id || *after.policy != before.policy.successor(before.id) {
        return Err(SuccessionViolation::Policy);
    }
    if !registry::is_as_strong(after.suite, before.suite) {
        return Err(SuccessionViolation::Suite);
    }
    if !before.members.contains(maker) || !after.members.contains(maker) {
        return Err(SuccessionViolation::Maker);
    }
    if !after.members.iter().all(|leaf| before.members.contains(leaf)) {
        return Err(SuccessionViolation::Newcomer);
    }
    let is_in = |user: UserId| after.members.iter().any(|leaf| leaf.user == user);
    let is_left_out = |leaf: &LeafIdentity| !is_in(leaf.user) && !gone(leaf);
    if before.members.iter().any(is_left_out) { Err(SuccessionViolation::LeftOut) } else { Ok(()) }
}
