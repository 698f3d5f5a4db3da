//! What happened to a group's membership, as a line among the messages. Each device writes it for itself from the commit
//! that it has checked: nobody sends it, so that nobody can make it up.

use crate::Error;
use crate::Event;
use crate::content::fold;
use crate::database::conversation::ConversationRow;
use crate::database::message::{self, Place};
use crate::database::{MessageRow, MessageState};
use crate::turn::Turn;
use e2ee::Committed;
use minicbor::{Decode, Encode};
use trust::{Change, Committer, Kind, LeafIdentity};
use wire::{DeviceId, Entry, UnixMillis, UserId};

/// What a commit did to the people in a group. Its author is who committed it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Notice {
    /// Who came in.
    #[n(0)]
    pub added: Vec<UserId>,
    /// Who was removed.
    #[n(1)]
    pub removed: Vec<UserId>,
    /// Who left; the author only carried it out.
    #[n(2)]
    pub left: Vec<UserId>,
    /// Who became an admin.
    #[n(3)]
    pub promoted: Vec<UserId>,
    /// Who is an admin no longer, and still a member.
    #[n(4)]
    pub demoted: Vec<UserId>,
}

/// Where a notice stands.
pub(crate) struct At {
    pub(crate) seq: u64,
    pub(crate) device: DeviceId,
    pub(crate) at: UnixMillis,
}

impl At {
    pub(crate) const fn entry(entry: &Entry) -> Self {
        Self { seq: entry.seq, device: entry.sender, at: entry.at }
    }
}

impl Turn<'_> {
    /// The admins of a conversation's group; none in a direct conversation.
    pub(crate) fn admins(&mut self, row: &ConversationRow) -> Result<Vec<UserId>, Error> {
        if row.kind == Kind::Direct {
            return Ok(Vec::new());
        }
        Ok(self.peek(row, |group| Ok(group.policy().admins.clone()))?.unwrap_or_default())
    }

    /// Writes down what a commit did, if it did anything to people.
    pub(crate) fn note_commit(
        &mut self,
        row: &ConversationRow,
        entry: &Entry,
        commit: &Committed,
        admins_before: &[UserId],
    ) -> Result<(), Error> {
        let Committer::Member(by) = commit.committer else { return Ok(()) };
        if row.kind == Kind::Direct {
            return Ok(());
        }
        let leaves = self.peek(row, e2ee::Group::members)?.unwrap_or_default();
        let members: Vec<_> = leaves.into_iter().map(|leaf| leaf.identity).collect();
        let notice = Notice::of(by.user, &commit.changes, admins_before, &members);
        self.note(row, At::entry(entry), by.user, &notice)
    }

    pub(crate) fn note(&mut self, row: &ConversationRow, at: At, by: UserId, notice: &Notice) -> Result<(), Error> {
        if *notice == Notice::default() {
            return Ok(());
        }
        let message = MessageRow {
            seq: Some(at.seq),
            message_id: None,
            author: Some(by),
            device: at.device,
            at: at.at,
            state: MessageState::Notice,
            content: wire::encode(notice),
            reason: None,
        };
        message::insert(self.db, row, &message, Place { kind: 0, line: true, target: None })?;
        self.tell(Event::Line { conversation: row.id, line: fold(&message, &[]) });
        Ok(())
    }
}

impl Notice {
    /// What changes mean for people; `members` are those after them. A device that comes or goes beside another of the same
    /// person is not worth a line.
    fn of(by: UserId, changes: &[Change], admins_before: &[UserId], members: &[LeafIdentity]) -> Self {
        let is_new = |leaf: &LeafIdentity| changes.contains(&Change::Add(*leaf));
        let was_in = |user: UserId| members.iter().any(|leaf| leaf.user == user && !is_new(leaf));
        let is_in = |user: UserId| members.iter().any(|leaf| leaf.user == user);
        let mut notice = Self::default();
        for change in changes {
            match change {
                Change::Add(leaf) if leaf.user != by && !was_in(leaf.user) => push(&mut notice.added, leaf.user),
                Change::Remove(leaf) if leaf.user != by && !is_in(leaf.user) => push(&mut notice.removed, leaf.user),
                Change::SelfRemove(leaf) if !is_in(leaf.user) => push(&mut notice.left, leaf.user),
                _ => {}
            }
        }
        for change in changes {
            let Change::Policy(policy) = change else { continue };
            let is_gone = |user: &UserId| notice.removed.contains(user) || notice.left.contains(user);
            let promoted = policy.admins.iter().filter(|user| !admins_before.contains(user));
            let demoted = admins_before.iter().filter(|user| !policy.admins.contains(user) && !is_gone(user));
            let (promoted, demoted) = (promoted.copied().collect(), demoted.copied().collect());
            (notice.promoted, notice.demoted) = (promoted, demoted);
        }
        notice
    }
}

fn push(users: &mut Vec<UserId>, user: UserId) {
    if !users.contains(&user) {
        users.push(user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trust::GroupPolicy;
    use wire::{ConversationId, TenantId};

    const fn user(number: u8) -> UserId {
        UserId::from_bytes([number; 16])
    }

    fn leaf(number: u8, device: u8) -> LeafIdentity {
        let tenant = TenantId::from_bytes([9; 16]);
        LeafIdentity { tenant, user: user(number), device: DeviceId::from_bytes([device; 16]) }
    }

    #[test]
    fn people_are_named_once_and_own_devices_not_at_all() {
        let changes =
            [Change::Add(leaf(2, 1)), Change::Add(leaf(2, 2)), Change::Add(leaf(1, 3)), Change::Remove(leaf(1, 4))];
        let members = [leaf(1, 3), leaf(2, 1), leaf(2, 2)];
        assert_eq!(Notice::of(user(1), &changes, &[], &members), Notice { added: vec![user(2)], ..Notice::default() });
    }

    #[test]
    fn a_device_that_goes_or_comes_beside_another_of_its_person_is_no_news_of_the_person() {
        let members = [leaf(1, 1), leaf(2, 1), leaf(2, 3)];
        for change in [Change::Remove(leaf(2, 2)), Change::Add(leaf(2, 3))] {
            assert_eq!(Notice::of(user(1), &[change], &[], &members), Notice::default());
        }
        let gone = Notice::of(user(1), &[Change::Remove(leaf(3, 1))], &[], &members);
        assert_eq!(gone.removed, [user(3)], "the control");
    }

    #[test]
    fn an_admin_who_is_removed_is_not_told_to_be_demoted_too() {
        let policy = GroupPolicy::group(TenantId::from_bytes([9; 16]), ConversationId::from_bytes([8; 16]), user(3));
        let changes = [Change::Remove(leaf(2, 1)), Change::Policy(policy)];
        let notice = Notice::of(user(1), &changes, &[user(1), user(2)], &[leaf(1, 1), leaf(3, 1)]);
        let expected =
            Notice { removed: vec![user(2)], promoted: vec![user(3)], demoted: vec![user(1)], ..Notice::default() };
        assert_eq!(notice, expected);
    }
}
