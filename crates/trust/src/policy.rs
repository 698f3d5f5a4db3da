//! The group's policy, which is part of the MLS group context, and the one place that says whether a commit is allowed.
//! Clients call it before they merge, the server before it records (`docs/decisions/0003-group-policy.md`).

use crate::LeafIdentity;
use minicbor::{Decode, Encode};
use wire::sabotage::{Defence, stands};
use wire::{ConversationId, GroupId, TenantId, UserId, limits};

/// The content of the `GROUP_POLICY` extension.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GroupPolicy {
    /// 1.
    #[n(0)]
    pub version: u8,
    /// The tenant.
    #[n(1)]
    pub tenant: TenantId,
    /// The conversation; the same in every successor.
    #[n(2)]
    pub conversation: ConversationId,
    /// What kind of conversation.
    #[n(3)]
    pub kind: Kind,
    /// How it is protected.
    #[n(4)]
    pub protection: Protection,
    /// Place in the chain of groups, 0 first.
    #[n(5)]
    pub ordinal: u32,
    /// The group before this one.
    #[n(6)]
    pub predecessor: Option<GroupId>,
    /// Direct only: the two users, sorted.
    #[n(7)]
    pub users: Vec<UserId>,
    /// Group only: sorted, at least one.
    #[n(8)]
    pub admins: Vec<UserId>,
    /// Group only.
    #[n(9)]
    pub who_may_add: WhoMayAdd,
}

/// What kind of conversation a group serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// Exactly two users.
    #[n(0)]
    Direct,
    /// Any number of users.
    #[n(1)]
    Group,
}

/// How a conversation is protected. There is no other way: a managed conversation is another kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Protection {
    /// End-to-end encrypted.
    #[n(1)]
    EndToEnd,
}

/// Who may add other users to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum WhoMayAdd {
    /// Admins.
    #[n(0)]
    Admins,
    /// Every member.
    #[n(1)]
    Members,
}

/// Who made a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committer {
    /// A member, from its leaf.
    Member(LeafIdentity),
    /// A joiner by external commit; `replaces` is the leaf that it removes.
    External {
        /// The new leaf.
        joiner: LeafIdentity,
        /// The old leaf, if one is removed.
        replaces: Option<LeafIdentity>,
    },
}

/// One effect of a commit, as both sides read it from the staged commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A device joins.
    Add(LeafIdentity),
    /// A device is removed by the committer.
    Remove(LeafIdentity),
    /// A device removes itself; the committer carries that out.
    SelfRemove(LeafIdentity),
    /// A leaf is replaced by one with this identity and whether its signature key stays.
    Update {
        /// Before.
        before: LeafIdentity,
        /// After.
        after: LeafIdentity,
        /// The signature key is the same.
        same_key: bool,
    },
    /// The group context's extensions are replaced; this is the new policy.
    Policy(GroupPolicy),
    /// Anything else: a PSK, a reinitialisation, an unknown proposal, an unknown extension.
    Other,
}

/// A commit as the policy sees it.
#[derive(Debug, Clone, Copy)]
pub struct CommitView<'a> {
    /// Who made it.
    pub committer: Committer,
    /// What it does.
    pub changes: &'a [Change],
    /// The members before it.
    pub members: &'a [LeafIdentity],
}

/// Why a commit or a policy is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyViolation {
    /// The policy itself is not a valid one.
    #[error("the group policy is invalid")]
    InvalidPolicy,
    /// The committer is no member.
    #[error("the committer is not a member")]
    NotMember,
    /// The committer may not add this device.
    #[error("the committer may not add this device")]
    Add,
    /// The committer may not remove this device.
    #[error("the committer may not remove this device")]
    Remove,
    /// A leaf would change its identity or key.
    #[error("a leaf would change its identity")]
    Update,
    /// The committer may not change the policy in this way.
    #[error("the committer may not change the policy in this way")]
    Policy,
    /// An external commit that is not a rejoin.
    #[error("an external commit may only rejoin")]
    External,
    /// The commit does something that is never allowed.
    #[error("the commit does something that is never allowed")]
    Other,
    /// The group would have too many devices.
    #[error("the group would have too many devices")]
    TooLarge,
}

impl GroupPolicy {
    /// The policy of a new direct conversation.
    pub fn direct(tenant: TenantId, conversation: ConversationId, one: UserId, other: UserId) -> Self {
        let users = if one <= other { vec![one, other] } else { vec![other, one] };
        Self::new(tenant, conversation, Kind::Direct, users, Vec::new())
    }

    /// The policy of a new group, whose creator is its admin.
    pub fn group(tenant: TenantId, conversation: ConversationId, creator: UserId) -> Self {
        Self::new(tenant, conversation, Kind::Group, Vec::new(), vec![creator])
    }

    fn new(
        tenant: TenantId,
        conversation: ConversationId,
        kind: Kind,
        users: Vec<UserId>,
        admins: Vec<UserId>,
    ) -> Self {
        Self {
            version: 1,
            tenant,
            conversation,
            kind,
            protection: Protection::EndToEnd,
            ordinal: 0,
            predecessor: None,
            users,
            admins,
            who_may_add: WhoMayAdd::Admins,
        }
    }

    /// Reads the extension's content.
    ///
    /// # Errors
    /// [`PolicyViolation::InvalidPolicy`] when it is not a policy of a known version, or contradicts itself.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PolicyViolation> {
        let policy: Self = wire::decode(bytes).map_err(|_| PolicyViolation::InvalidPolicy)?;
        policy.validate().map(|()| policy)
    }

    /// The extension's content.
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Whether the policy is one at all.
    ///
    /// # Errors
    /// [`PolicyViolation::InvalidPolicy`].
    pub fn validate(&self) -> Result<(), PolicyViolation> {
        let valid = self.version == 1
            && (self.ordinal == 0) == self.predecessor.is_none()
            && match self.kind {
                Kind::Direct => self.users.len() == 2 && ascending(&self.users) && self.admins.is_empty(),
                Kind::Group => self.users.is_empty() && !self.admins.is_empty() && ascending(&self.admins),
            };
        if valid { Ok(()) } else { Err(PolicyViolation::InvalidPolicy) }
    }

    /// Whether a commit is allowed. `gone` says whether a device is revoked or closed in its user's chain.
    ///
    /// # Errors
    /// The first [`PolicyViolation`] found.
    pub fn check(&self, commit: &CommitView<'_>, gone: impl Fn(&LeafIdentity) -> bool) -> Result<(), PolicyViolation> {
        match commit.committer {
            Committer::Member(sender) => {
                if !commit.members.contains(&sender) {
                    return Err(PolicyViolation::NotMember);
                }
                commit.changes.iter().try_for_each(|change| self.check_change(&sender, change, commit, &gone))?;
            }
            Committer::External { joiner, replaces } => self.check_external(&joiner, replaces.as_ref(), commit)?,
        }
        self.check_size(commit)
    }

    fn check_change(
        &self,
        sender: &LeafIdentity,
        change: &Change,
        commit: &CommitView<'_>,
        gone: &impl Fn(&LeafIdentity) -> bool,
    ) -> Result<(), PolicyViolation> {
        let (allowed, violation) = match change {
            Change::Add(leaf) => (self.may_add(sender, leaf, commit.members) && !gone(leaf), PolicyViolation::Add),
            Change::Remove(leaf) => (self.may_remove(sender, leaf) || gone(leaf), PolicyViolation::Remove),
            Change::SelfRemove(leaf) => (commit.members.contains(leaf) && leaf != sender, PolicyViolation::Remove),
            Change::Update { before, after, same_key } => (before == after && *same_key, PolicyViolation::Update),
            Change::Policy(next) => (self.may_become(sender, next, commit), PolicyViolation::Policy),
            Change::Other => (false, PolicyViolation::Other),
        };
        if allowed || !stands(Defence::GroupPolicy) { Ok(()) } else { Err(violation) }
    }

    fn may_add(&self, sender: &LeafIdentity, leaf: &LeafIdentity, members: &[LeafIdentity]) -> bool {
        let fits = leaf.tenant == self.tenant && members.iter().all(|member| member.device != leaf.device);
        let own = leaf.user == sender.user;
        fits && match self.kind {
            Kind::Direct => self.users.contains(&leaf.user),
            Kind::Group => own || self.who_may_add == WhoMayAdd::Members || self.admins.contains(&sender.user),
        }
    }

    fn may_remove(&self, sender: &LeafIdentity, leaf: &LeafIdentity) -> bool {
        leaf.user == sender.user || (self.kind == Kind::Group && self.admins.contains(&sender.user))
    }

    fn may_become(&self, sender: &LeafIdentity, next: &Self, commit: &CommitView<'_>) -> bool {
        let same_frame = Self { admins: next.admins.clone(), who_may_add: next.who_may_add, ..self.clone() } == *next;
        let stays = |admin: &UserId| remaining(commit).any(|leaf| leaf.user == *admin);
        self.kind == Kind::Group
            && self.admins.contains(&sender.user)
            && next.validate().is_ok()
            && same_frame
            && next.admins.iter().all(stays)
    }

    fn check_external(
        &self,
        joiner: &LeafIdentity,
        replaces: Option<&LeafIdentity>,
        commit: &CommitView<'_>,
    ) -> Result<(), PolicyViolation> {
        let known = match replaces {
            Some(old) => old == joiner && commit.members.contains(old),
            None => {
                commit.members.iter().any(|member| member.user == joiner.user)
                    && commit.members.iter().all(|member| member.device != joiner.device)
            }
        };
        let only_rejoins =
            commit.changes.iter().all(|change| Some(change) == replaces.copied().map(Change::Remove).as_ref());
        let rejoins = known && only_rejoins && joiner.tenant == self.tenant;
        if rejoins || !stands(Defence::ExternalCommit) { Ok(()) } else { Err(PolicyViolation::External) }
    }

    fn check_size(&self, commit: &CommitView<'_>) -> Result<(), PolicyViolation> {
        let added = commit.changes.iter().filter(|change| matches!(change, Change::Add(_))).count();
        let fits = remaining(commit).count() + added <= limits::GROUP_MAX_DEVICES;
        if fits { Ok(()) } else { Err(PolicyViolation::TooLarge) }
    }
}

/// The members that a commit leaves in the group.
fn remaining<'a>(commit: &'a CommitView<'a>) -> impl Iterator<Item = &'a LeafIdentity> {
    commit.members.iter().filter(|member| {
        !commit
            .changes
            .iter()
            .any(|change| matches!(change, Change::Remove(leaf) | Change::SelfRemove(leaf) if leaf == *member))
    })
}

fn ascending(users: &[UserId]) -> bool {
    users.windows(2).all(|pair| pair[0] < pair[1])
}
