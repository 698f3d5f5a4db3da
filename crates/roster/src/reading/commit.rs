//! What a commit does, and whether it may.

use super::{LeafView, context, leaf, members};
use crate::{Refused, Vouch, Vouched, key_package};
use openmls::prelude::{Proposal, ProposalOrRefType, PublicGroup, QueuedProposal, Sender, StagedCommit};
use trust::{Change, CommitView, Committer, GroupPolicy, LeafIdentity, PolicyViolation};
use wire::UserId;
use wire::sabotage::{Defence, stands};

/// A commit as it was staged, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitReading {
    /// Who made it.
    pub committer: Committer,
    /// The committer's leaf after the commit.
    pub committer_leaf: LeafView,
    /// What it does.
    pub changes: Vec<Change>,
    /// The leaves whose keys it brings into the group. Their indices mean nothing.
    pub joining: Vec<LeafView>,
    /// The leaves that it removes, by whichever proposal.
    pub leaving: Vec<LeafView>,
}

/// How a device that is gone by now, and whom the commit adds, is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// It is refused: whoever makes or records the commit knows the order of things.
    Recording,
    /// It is reported: the device may have been revoked after the commit was recorded, and a member who refused then would
    /// be left behind. Its removal is the next commit.
    Following,
}

/// Reads a commit that OpenMLS has staged, against the group before it.
///
/// # Errors
/// [`Refused::Malformed`] for a leaf that is not ours, [`Refused::KeyPackage`] for an Add with a lifetime that is too wide.
/// What is merely not allowed becomes [`Change::Other`].
pub fn read(group: &PublicGroup, sender: &Sender, staged: &StagedCommit) -> Result<CommitReading, Refused> {
    let mut found = Found::default();
    let external = matches!(sender, Sender::NewMemberCommit);
    staged.queued_proposals().try_for_each(|proposal| found.take(group, proposal, external))?;
    // A commit without a path leaves the committer's old keys in place; ours always carry one.
    let path = staged.update_path_leaf_node().ok_or(Refused::Policy(PolicyViolation::Other))?;
    if !context::leaf_is_plain(path) {
        found.changes.push(Change::Other);
    }
    let (committer, committer_leaf) = match sender {
        Sender::Member(index) => {
            let before = group.leaf(*index).ok_or(Refused::Malformed).and_then(|node| leaf(index.u32(), node))?;
            let after = leaf(index.u32(), path)?;
            let same_key = before.key == after.key;
            found.changes.push(Change::Update { before: before.identity, after: after.identity, same_key });
            (Committer::Member(before.identity), after)
        }
        Sender::NewMemberCommit => {
            let index = group.ext_commit_sender_index(staged).map_err(Refused::invalid)?;
            let joiner = leaf(index.u32(), path)?;
            let replaces = found.leaving.first().map(|leaf| leaf.identity);
            found.joining.push(joiner);
            (Committer::External { joiner: joiner.identity, replaces }, joiner)
        }
        Sender::External(_) | Sender::NewMemberProposal => return Err(Refused::Policy(PolicyViolation::NotMember)),
    };
    let Found { changes, joining, leaving } = found;
    Ok(CommitReading { committer, committer_leaf, changes, joining, leaving })
}

#[derive(Default)]
struct Found {
    changes: Vec<Change>,
    joining: Vec<LeafView>,
    leaving: Vec<LeafView>,
}

impl Found {
    fn take(&mut self, group: &PublicGroup, queued: &QueuedProposal, external: bool) -> Result<(), Refused> {
        let by_reference = queued.proposal_or_ref_type() == ProposalOrRefType::Reference;
        let change = match (queued.proposal(), by_reference) {
            (Proposal::Add(add), false) => {
                let package = add.key_package();
                key_package::check_width(package)?;
                if !key_package::is_plain(package) {
                    self.changes.push(Change::Other);
                }
                let joiner = leaf(0, package.leaf_node())?;
                self.joining.push(joiner);
                Change::Add(joiner.identity)
            }
            (Proposal::Remove(remove), false) => Change::Remove(self.leave(group, remove.removed())?),
            (Proposal::SelfRemove, true) => match queued.sender() {
                Sender::Member(index) => Change::SelfRemove(self.leave(group, *index)?),
                _ => Change::Other,
            },
            (Proposal::GroupContextExtensions(next), false) => Change::Policy(context::policy(next.extensions())?),
            // Part of every external commit, whose effect is the joiner's leaf.
            (Proposal::ExternalInit(_), false) if external => return Ok(()),
            _ => Change::Other,
        };
        self.changes.push(change);
        Ok(())
    }

    fn leave(&mut self, group: &PublicGroup, index: openmls::prelude::LeafNodeIndex) -> Result<LeafIdentity, Refused> {
        let node = group.leaf(index).ok_or(Refused::Malformed)?;
        let leaver = leaf(index.u32(), node)?;
        self.leaving.push(leaver);
        Ok(leaver.identity)
    }
}

/// Whether a commit is allowed: by the policy, and by the device chains of those who join. Returns the devices that join
/// although they are gone, under [`Strictness::Following`].
///
/// # Errors
/// [`Refused::Policy`], [`Refused::NotVouched`] or [`Refused::NeedsIdentities`].
pub fn judge(
    policy: &GroupPolicy,
    group: &PublicGroup,
    reading: &CommitReading,
    vouch: Vouch<'_>,
    strictness: Strictness,
) -> Result<Vec<LeafIdentity>, Refused> {
    let before: Vec<LeafIdentity> = members(group)?.iter().map(|leaf| leaf.identity).collect();
    let view = CommitView { committer: reading.committer, changes: &reading.changes, members: &before };
    let opinions: Vec<_> = reading.leaving.iter().map(|leaf| (leaf, vouch(&leaf.identity, &leaf.key))).collect();
    let gone = |identity: &LeafIdentity| {
        opinions.iter().any(|(leaf, opinion)| leaf.identity == *identity && *opinion == Vouched::Gone)
    };
    policy.check(&view, gone).map_err(|violation| match unsure(&opinions, &[Vouched::Unknown, Vouched::Stale]) {
        users if violation == PolicyViolation::Remove && !users.is_empty() => Refused::NeedsIdentities(users),
        _ => Refused::Policy(violation),
    })?;
    admit(&reading.joining, vouch, strictness)
}

/// Whether every leaf is vouched for. Returns those that are gone, under [`Strictness::Following`].
///
/// # Errors
/// [`Refused::NotVouched`] or [`Refused::NeedsIdentities`].
pub fn admit(leaves: &[LeafView], vouch: Vouch<'_>, strictness: Strictness) -> Result<Vec<LeafIdentity>, Refused> {
    if !stands(Defence::Vouching) {
        return Ok(Vec::new());
    }
    let opinions: Vec<_> = leaves.iter().map(|leaf| (leaf, vouch(&leaf.identity, &leaf.key))).collect();
    let refused = |opinion: Vouched| match opinion {
        Vouched::No => true,
        Vouched::Gone => strictness == Strictness::Recording,
        Vouched::Yes | Vouched::Stale | Vouched::Unknown => false,
    };
    if let Some((leaf, _)) = opinions.iter().find(|(_, opinion)| refused(*opinion)) {
        return Err(Refused::NotVouched(leaf.identity));
    }
    let users = unsure(&opinions, &[Vouched::Unknown]);
    if !users.is_empty() {
        return Err(Refused::NeedsIdentities(users));
    }
    Ok(opinions.iter().filter(|(_, opinion)| *opinion == Vouched::Gone).map(|(leaf, _)| leaf.identity).collect())
}

/// The users of those leaves of which no more than this is known.
fn unsure(opinions: &[(&LeafView, Vouched)], answers: &[Vouched]) -> Vec<UserId> {
    let unsure = opinions.iter().filter(|(_, opinion)| answers.contains(opinion));
    let mut users: Vec<UserId> = unsure.map(|(leaf, _)| leaf.identity.user).collect();
    users.sort_unstable();
    users.dedup();
    users
}
