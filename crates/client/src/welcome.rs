//! Being added to a conversation.

use crate::database::conversation::{self, ConversationRow};
use crate::database::outbox::{self, OutboxKind};
use crate::departure::Departure;
use crate::group::{At, Notice};
use crate::repair::is_refused;
use crate::restore::branch;
use crate::session::Work;
use crate::turn::{Turn, is_transient};
use crate::{ConversationState, Error, Event};
use e2ee::{Group, Invitation};
use rusqlite::Connection;
use trust::{EntryHash, Kind};
use wire::request::{AcceptWelcome, FetchTree, FetchWelcomes, PendingWelcome, Tree, Welcomes};
use wire::sabotage::{Defence, stands};
use wire::{ErrorCode, MessageId, Refusal, UserId};

impl Turn<'_> {
    pub(crate) fn fetch_welcomes(&mut self) {
        if let Some(next) = self.memory.welcomes.front() {
            let tree = FetchTree { conversation: next.conversation, epoch: next.epoch, group: Some(next.group) };
            if !self.memory.session.is_busy(&Work::WelcomeTree, self.now) && self.memory.wanted.is_empty() {
                self.request(Work::WelcomeTree, &tree);
            }
        } else if self.memory.ask_for_welcomes && !self.memory.session.is_busy(&Work::FetchWelcomes, self.now) {
            self.memory.ask_for_welcomes = false;
            self.request(Work::FetchWelcomes, &FetchWelcomes {});
        }
    }

    /// Whether there may be Welcomes that this device has not tried yet.
    pub(crate) fn may_be_welcomed(&self) -> bool {
        let has_some = self.memory.ask_for_welcomes || !self.memory.welcomes.is_empty();
        has_some || self.memory.session.is_busy(&Work::FetchWelcomes, self.now)
    }

    /// A Welcome into a conversation that this device follows is left where it is: if the device was removed and added
    /// again, the log says so first, and then it is asked for again. One into a group that took another one's place is asked
    /// for when the log comes to that; if that one is gone, a later one into the same group does as well.
    pub(crate) fn fetched_welcomes(&mut self, welcomes: Welcomes) -> Result<(), Error> {
        for welcome in welcomes.welcomes {
            let is_new = !self.memory.welcomes.contains(&welcome);
            if is_new && !self.is_followed_here(&welcome)? {
                self.memory.welcomes.push_back(welcome);
            }
        }
        Ok(())
    }

    /// Not where only the server has spoken of it so far: what a Welcome opens need not be lost.
    fn is_followed_here(&self, welcome: &PendingWelcome) -> Result<bool, Error> {
        let row = conversation::find(self.db, welcome.conversation)?;
        let is_in = |row: &ConversationRow| row.state != ConversationState::Left && row.group.is_some();
        Ok(row.is_some_and(|row| is_in(&row) && !self.is_left_behind(&row, welcome)))
    }

    /// Whether the log has gone on in another group, into which the Welcome leads, and this device found no way so far.
    fn is_left_behind(&self, row: &ConversationRow, welcome: &PendingWelcome) -> bool {
        let is_elsewhere = row.group.is_some_and(|group| group != welcome.group) && welcome.seq > row.cursor;
        let repairs = row.state == ConversationState::Repairing && row.branched == branch::FOLLOWS;
        repairs && is_elsewhere && self.memory.left_behind.contains(&row.id)
    }

    pub(crate) fn welcome_tree_refused(&mut self, refusal: &Refusal) -> Result<(), Error> {
        // A stale one was withdrawn: there is no tree for it any more.
        if is_transient(refusal) && refusal.code() != Some(ErrorCode::StaleEpoch) {
            self.later(Work::WelcomeTree, refusal);
        } else if let Some(welcome) = self.memory.welcomes.pop_front() {
            self.decline(&welcome, &refusal.to_string());
        }
        Ok(())
    }

    pub(crate) fn fetched_welcome_tree(&mut self, tree: &Tree) -> Result<(), Error> {
        let Some(welcome) = self.memory.welcomes.pop_front() else { return Ok(()) };
        if self.is_followed_here(&welcome)? {
            return Ok(());
        }
        let account = self.account()?;
        let invitation = Invitation {
            tenant: account.tenant,
            conversation: welcome.conversation,
            epoch: welcome.epoch,
            message: &welcome.welcome,
            tree: &tree.tree,
        };
        let known = conversation::find(self.db, welcome.conversation)?;
        let behind = known.filter(|row| self.is_left_behind(row, &welcome));
        let (db, before) = (self.db, behind.as_ref().and_then(|row| row.group));
        let joined = self.act(|device, vouch| {
            let before = before.map(|id| Group::load(device, id)).transpose()?.flatten();
            let changed = match before {
                Some(before) => device.join_after(before, &invitation, vouch)?,
                None => device.join(&invitation, vouch)?,
            };
            match &changed.group {
                Some(group) if is_refused(db, group)? => Err(e2ee::Error::Envelope),
                Some(group) if !is_shadow(db, group, account.user)? => {
                    Ok((changed.group.map(|group| (group, changed.output)), changed.writes))
                }
                _ => Err(e2ee::Error::AlreadyMember),
            }
        })?;
        match joined {
            Ok(Some((group, joined))) => {
                if let Some(mut row) = behind {
                    self.moved_to(&mut row, group.id())?;
                    conversation::save(self.db, &row)?;
                }
                self.enter(&welcome, group, account.user)?;
                let mut row = self.conversation(welcome.conversation)?;
                joined.gone.iter().try_for_each(|leaf| self.sweep_soon(&mut row, leaf.user))?;
                conversation::save(self.db, &row)?;
                self.note_joining(&welcome, joined.inviter.identity.user)
            }
            Ok(None) => Ok(()),
            Err(e2ee::Error::NeedsIdentities(users)) => {
                self.memory.wanted.extend(users);
                self.memory.welcomes.push_front(welcome);
                Ok(())
            }
            Err(refused) => {
                if matches!(refused, e2ee::Error::NoKeyPackage) {
                    self.memory.unknown.insert(welcome.conversation);
                }
                self.decline(&welcome, &refused.to_string());
                Ok(())
            }
        }
    }

    fn enter(&mut self, welcome: &PendingWelcome, group: Group, own: UserId) -> Result<(), Error> {
        let id = welcome.conversation;
        let policy = group.policy().clone();
        let peer = peer(&group, own);
        let known = conversation::find(self.db, id)?;
        let row = known.unwrap_or_else(|| ConversationRow::new(id, policy.kind, ConversationState::Active));
        let row = ConversationRow {
            state: ConversationState::Active,
            kind: policy.kind,
            peer,
            group: Some(group.id()),
            generation: welcome.generation,
            cursor: welcome.seq,
            begins: welcome.seq,
            acknowledged: welcome.seq,
            entry_hash: EntryHash(welcome.entry_hash),
            renew_at: Some(self.soon()),
            branched: branch::FOLLOWS,
            ..row
        };
        conversation::save(self.db, &row)?;
        conversation::remember_hash(self.db, &row)?;
        self.taken_out_by_own(id, false)?;
        self.depart(id, Departure::None)?;
        self.memory.unknown.remove(&id);
        // A rejoin that is on its way may be recorded all the same: it stays until its outcome is known.
        self.memory.gaps.remove(&id);
        self.memory.repairs.remove(&id);
        self.keep(id, Some(group));
        let accept = AcceptWelcome { conversation: id, seq: welcome.seq };
        let key = MessageId::from_bytes(self.entropy.array());
        outbox::insert(self.db, id, OutboxKind::Accept, key, None, Some(&wire::encode(&accept)))?;
        if let Some(held) = &mut self.memory.held {
            held.one_time = held.one_time.saturating_sub(1);
        }
        self.memory.attention.insert(id);
        self.watch_renewal(&row);
        self.tell(Event::ConversationAdded(id));
        self.want_history(id, row.begins.saturating_add(1));
        self.add_siblings(&row)?;
        self.take_over(&row)
    }

    /// Who brought this device into a group is the first line there.
    fn note_joining(&mut self, welcome: &PendingWelcome, inviter: UserId) -> Result<(), Error> {
        let (row, own) = (self.conversation(welcome.conversation)?, self.account()?.user);
        if row.kind == Kind::Direct || inviter == own {
            return Ok(());
        }
        let at = At { seq: welcome.seq, device: welcome.sender, at: self.now };
        self.note(&row, at, inviter, &Notice { added: vec![own], ..Notice::default() })
    }

    /// What this person had begun with the same person moves here, unless the server may already know of it: then its
    /// answer decides.
    pub(crate) fn take_over(&mut self, row: &ConversationRow) -> Result<(), Error> {
        let Some(peer) = row.peer.filter(|_| row.kind == Kind::Direct) else { return Ok(()) };
        let mut from = conversation::superseded(self.db, peer)?;
        let begun =
            |other: &ConversationRow| other.peer == Some(peer) && other.kind == Kind::Direct && other.id != row.id;
        let claiming = |other: &ConversationRow| other.state == ConversationState::Claiming && other.group.is_none();
        from.extend(conversation::all(self.db)?.iter().filter(|o| begun(o) && claiming(o)).map(|other| other.id));
        from.into_iter().try_for_each(|from| self.replace(from, row.id))
    }

    fn decline(&mut self, welcome: &PendingWelcome, reason: &str) {
        let (conversation, seq) = (welcome.conversation, welcome.seq);
        self.request(Work::Decline(conversation), &AcceptWelcome { conversation, seq });
        // It may have been withdrawn, and another one be there.
        self.memory.ask_for_welcomes |= self.memory.unknown.contains(&conversation);
        self.tell(Event::WelcomeRefused { conversation, reason: reason.into() });
    }
}

/// A second direct conversation with the same person beside one that is in use: only a server or a member that wants to
/// split what is said would make it.
pub(crate) fn is_shadow(db: &Connection, group: &Group, own: UserId) -> Result<bool, e2ee::Error> {
    let Some(peer) = peer(group, own) else { return Ok(false) };
    let other = conversation::find_direct(db, peer).map_err(|error| e2ee::StorageFailure::Read(Box::new(error)))?;
    let in_use = |row: &ConversationRow| matches!(row.state, ConversationState::Active | ConversationState::Repairing);
    let shadow = other.is_some_and(|row| in_use(&row) && row.id != group.policy().conversation);
    Ok(shadow && stands(Defence::ShadowConversation))
}

pub(crate) fn peer(group: &Group, own: UserId) -> Option<UserId> {
    let policy = group.policy();
    policy.users.iter().find(|user| **user != own).copied().filter(|_| policy.kind == Kind::Direct)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ALICE, BOB, CONVERSATION, Counter, TENANT, live_in_conversation};
    use e2ee::{Device, Entries, StorageFailure, Suite};
    use trust::{GroupPolicy, LeafIdentity};
    use vault::DeviceKey;
    use wire::{ConversationId, DeviceId, GroupId};
    use zeroize::Zeroizing;

    struct Empty;
    impl Entries for Empty {
        fn entry(&self, _: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StorageFailure> {
            Ok(None)
        }
    }

    /// A group that somebody else has made.
    fn group(policy: &GroupPolicy) -> Group {
        let key = DeviceKey::generate(&mut Counter::default());
        let identity = LeafIdentity { tenant: TENANT, user: BOB, device: DeviceId::from_bytes([8; 16]) };
        let device = Device::new(identity, &key, &Empty);
        let changed = device.create(Suite::Classical, GroupId::from_bytes([7; 16]), policy, 1_800_000_000_000).unwrap();
        changed.group.unwrap()
    }

    #[test]
    fn a10_a_second_direct_conversation_beside_one_in_use_is_a_shadow() {
        let (_folder, mut client) = live_in_conversation();
        let mut shadow = |policy: &GroupPolicy, state| {
            let group = group(policy);
            client
                .turn(1_000, |turn| {
                    let row = turn.conversation(CONVERSATION)?;
                    conversation::save(turn.db, &ConversationRow { state, ..row })?;
                    Ok(is_shadow(turn.db, &group, ALICE)?)
                })
                .unwrap()
        };
        let elsewhere = ConversationId::from_bytes([9; 16]);
        let carol = UserId::from_bytes([10; 16]);
        let second = GroupPolicy::direct(TENANT, elsewhere, ALICE, BOB);
        assert!(shadow(&second, ConversationState::Active));
        assert!(shadow(&second, ConversationState::Repairing));
        assert!(!shadow(&second, ConversationState::Superseded), "the other's came first");
        assert!(!shadow(&second, ConversationState::Left));
        assert!(!shadow(&GroupPolicy::direct(TENANT, CONVERSATION, ALICE, BOB), ConversationState::Active));
        assert!(!shadow(&GroupPolicy::direct(TENANT, elsewhere, ALICE, carol), ConversationState::Active));
        assert!(!shadow(&GroupPolicy::group(TENANT, elsewhere, BOB), ConversationState::Active));
    }

    #[test]
    fn a10_a_welcome_into_a_conversation_that_is_followed_is_not_taken() {
        let (_folder, mut client) = live_in_conversation();
        let welcome = PendingWelcome {
            conversation: CONVERSATION,
            sender: DeviceId::from_bytes([8; 16]),
            seq: 1,
            generation: 0,
            entry_hash: [0; 32],
            epoch: 1,
            welcome: Vec::new(),
            group: GroupId::from_bytes([7; 16]),
        };
        let elsewhere = PendingWelcome { conversation: ConversationId::from_bytes([9; 16]), ..welcome.clone() };
        client
            .turn(1_000, |turn| {
                turn.fetched_welcomes(Welcomes { welcomes: vec![welcome, elsewhere.clone()] })?;
                assert_eq!(turn.memory.welcomes, [elsewhere]);
                Ok(())
            })
            .unwrap();
    }
}
