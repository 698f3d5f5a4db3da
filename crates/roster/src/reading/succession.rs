//! Whether a group may take the place of another one.

use super::{LeafView, Suite, commit, group_id, members, policy};
use crate::{Refused, Vouch, Vouched};
use openmls::prelude::PublicGroup;
use trust::{GroupPolicy, GroupView, LeafIdentity, SuccessionViolation, succession};
use wire::GroupId;

/// Asks [`succession::check`], and the device chains about those who would be left out.
///
/// # Errors
/// [`Refused::Succession`]; [`Refused::NeedsIdentities`] when somebody would be left out whose chain may say why.
pub fn judge_succession(
    before: &PublicGroup,
    after: &PublicGroup,
    maker: &LeafIdentity,
    vouch: Vouch<'_>,
) -> Result<(), Refused> {
    let leaves = members(before)?;
    let (before, after) = (Seen::of(before)?, Seen::of(after)?);
    let opinions: Vec<(&LeafView, Vouched)> =
        leaves.iter().map(|leaf| (leaf, vouch(&leaf.identity, &leaf.key))).collect();
    let gone = |identity: &LeafIdentity| {
        opinions.iter().any(|(leaf, opinion)| leaf.identity == *identity && *opinion == Vouched::Gone)
    };
    succession::check(&before.view(), &after.view(), maker, gone).map_err(|violation| {
        let users = commit::unsure(&opinions, &[Vouched::Unknown, Vouched::Stale]);
        match violation {
            SuccessionViolation::LeftOut if !users.is_empty() => Refused::NeedsIdentities(users),
            violation => Refused::Succession(violation),
        }
    })
}

struct Seen {
    id: GroupId,
    policy: GroupPolicy,
    suite: u16,
    members: Vec<LeafIdentity>,
}

impl Seen {
    fn of(group: &PublicGroup) -> Result<Self, Refused> {
        Ok(Self {
            id: group_id(group.group_id())?,
            policy: policy(group.group_context().extensions())?,
            suite: Suite::of(group.ciphersuite())?.code(),
            members: members(group)?.into_iter().map(|leaf| leaf.identity).collect(),
        })
    }

    fn view(&self) -> GroupView<'_> {
        GroupView { id: self.id, policy: &self.policy, suite: self.suite, members: &self.members }
    }
}
