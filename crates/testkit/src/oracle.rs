//! The reference model. It hears every frame that the server answers, and so knows what was accepted, in which era, and who was
//! a member then. It decides nothing in the world.

use crate::log::{Accepted, Log};
use crate::server::Snapshot;
use client::Position;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use trust::{Action, Kind, chain, registry};
use wire::frame::{self, ServerFrame};
use wire::request::{Commit, CreateConversation, Propose, RecordedAt, Resupply, RevokeDevice, Send, Succeed};
use wire::{ConversationId, DeviceId, EntryKind, Event, GroupId, MessageId, Op, UserId};

/// What a person said, as they said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Who.
    pub author: UserId,
    /// The message that it changes.
    pub target: Option<MessageId>,
    /// The words; absent for a deletion.
    pub text: Option<String>,
}

/// A device that was put back to an old copy.
#[derive(Debug, Clone)]
pub struct Restored {
    /// Which.
    pub device: DeviceId,
    /// What had been accepted until then.
    pub order: u64,
    /// How far the copy had come in each conversation that it knew.
    pub cursors: HashMap<ConversationId, u64>,
}

/// How far a device had come in a log, and with which group.
type Stand = (u64, Option<GroupId>);

/// A request whose answer is awaited.
#[derive(Debug, Clone)]
pub enum Asked {
    /// Makes a conversation.
    Create(ConversationId),
    /// Revokes a device.
    Revoke(DeviceId),
    /// Gives back what a restore has lost.
    Supply {
        /// Where.
        conversation: ConversationId,
        /// What.
        accepted: Accepted,
    },
    /// Appends to a log.
    Append {
        /// Which.
        conversation: ConversationId,
        /// What.
        accepted: Accepted,
    },
}

/// What is there beside logs; a server that is put back must know all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    conversations: usize,
    devices: usize,
    revoked: usize,
    suite: Option<u16>,
}

/// The model.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    /// Every conversation that the server has.
    pub logs: BTreeMap<ConversationId, Log>,
    /// What people said, by message.
    pub said: HashMap<MessageId, Said>,
    /// Devices that were revoked, and what had been accepted until then.
    pub revoked: BTreeMap<DeviceId, u64>,
    /// Devices that were put back.
    pub restored: Vec<Restored>,
    /// What has gone wrong so far.
    pub violations: Vec<String>,
    /// The suite that the tenant was given; every group is to move to it.
    pub suite: Option<u16>,
    /// When the server has lied: what had been accepted until it was honest again.
    pub lied_until: Option<u64>,
    order: u64,
    serial: u64,
    cursors: HashMap<(DeviceId, ConversationId), (u32, u64)>,
    stood: HashMap<(DeviceId, ConversationId), BTreeSet<Stand>>,
    users: HashMap<DeviceId, UserId>,
}

impl Oracle {
    /// Whose device it is.
    pub fn knows(&mut self, device: DeviceId, user: UserId) {
        self.users.insert(device, user);
    }

    /// A number that nobody had before.
    pub const fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// What was accepted so far.
    pub const fn order(&self) -> u64 {
        self.order
    }

    /// Something is not as it must be.
    pub fn violated(&mut self, what: String) {
        self.violations.push(what);
    }

    /// A person has said something, and it is in their outbox.
    pub fn said(&mut self, id: MessageId, said: Said) {
        self.said.insert(id, said);
    }

    /// What a request of a device may lead to.
    pub fn asks(device: DeviceId, request: &[u8]) -> Option<(u32, Asked)> {
        let frame = frame::read_request(request).ok()?;
        let append = |conversation, kind, message_id, epoch| Asked::Append {
            conversation,
            accepted: Accepted { order: 0, kind, message_id, sender: device, epoch },
        };
        let asked = match frame.known()? {
            Op::CreateConversation => Asked::Create(wire::decode::<CreateConversation>(frame.body).ok()?.conversation),
            Op::RevokeDevice => {
                let revoke: RevokeDevice = wire::decode(frame.body).ok()?;
                match chain::decode(&revoke.entry).ok()?.action {
                    Action::Revoke { device } => Asked::Revoke(device),
                    _ => return None,
                }
            }
            Op::Send => {
                let send: Send = wire::decode(frame.body).ok()?;
                append(send.conversation, EntryKind::Application, send.message_id, Some(send.epoch))
            }
            Op::Commit => {
                let commit: Commit = wire::decode(frame.body).ok()?;
                append(commit.conversation, EntryKind::Commit, commit.message_id, None)
            }
            Op::Resupply => {
                let Resupply { conversation, entry, .. } = wire::decode(frame.body).ok()?;
                let (message_id, epoch) = (entry.message_id, Some(entry.epoch));
                let accepted = Accepted { order: 0, kind: entry.kind, message_id, sender: entry.sender, epoch };
                Asked::Supply { conversation, accepted }
            }
            Op::Succeed => {
                let succeed: Succeed = wire::decode(frame.body).ok()?;
                append(succeed.conversation, EntryKind::Succession, succeed.message_id, Some(succeed.epoch))
            }
            Op::Propose => {
                let propose: Propose = wire::decode(frame.body).ok()?;
                append(propose.conversation, EntryKind::Proposal, propose.message_id, Some(propose.epoch))
            }
            _ => return None,
        };
        Some((frame.id, asked))
    }

    /// The place that an answer gives to what was asked; `None` when it was refused.
    pub fn place(answer: &[u8]) -> Option<(u32, RecordedAt)> {
        match frame::read_server(answer).ok()? {
            ServerFrame::Answer { id, body } => wire::decode(body).ok().map(|at| (id, at)),
            _ => None,
        }
    }

    /// What is there now beside logs.
    pub fn mark(&self) -> Mark {
        let (conversations, devices, revoked) = (self.logs.len(), self.users.len(), self.revoked.len());
        Mark { conversations, devices, revoked, suite: self.suite }
    }

    /// The server was put back: its logs go up to here. What came after is lost, until it comes back.
    pub fn server_put_back(&mut self, heads: impl IntoIterator<Item = (ConversationId, u64)>) {
        let order = self.order;
        for (id, head) in heads {
            if let Some(log) = self.logs.get_mut(&id) {
                log.lose_after(head, order);
            }
        }
    }

    /// The server has taken back an entry. Says whether it was missing.
    pub fn supplied(&mut self, conversation: ConversationId, seq: u64, supplied: &Accepted) -> bool {
        let Some(log) = self.logs.get_mut(&conversation) else { return false };
        let same = |known: &Accepted| (known.message_id, known.sender) == (supplied.message_id, supplied.sender);
        if log.entries.get(&seq).is_some_and(same) {
            return false;
        }
        let is_back = !log.entries.contains_key(&seq) && log.come_back(seq, same);
        if !is_back {
            self.violations.push(format!("{conversation} took back something else at {seq}"));
        }
        is_back
    }

    /// A device speaks for nobody any more. Says whether that was news.
    pub fn revoke(&mut self, device: DeviceId) -> bool {
        let order = self.order;
        self.revoked.insert(device, order).is_none()
    }

    /// Whether a device was revoked.
    pub fn is_revoked(&self, device: DeviceId) -> bool {
        self.revoked.contains_key(&device)
    }

    /// Whether a device of this user was a member when an entry was accepted, or has read it before a restore lost it: then the
    /// user's other devices may have it from the archive.
    pub fn is_for_user(&self, user: UserId, log: &Log, seq: u64, entry: &Accepted) -> bool {
        let before = log.read_before.get(&entry.message_id);
        let reads =
            |device: &DeviceId| log.is_reader(*device, seq) || before.is_some_and(|readers| readers.contains(device));
        self.users.iter().any(|(device, of)| *of == user && reads(device))
    }

    /// Whose devices they are.
    pub fn people<'d>(&self, devices: impl IntoIterator<Item = &'d DeviceId>) -> BTreeSet<UserId> {
        devices.into_iter().filter_map(|device| self.users.get(device)).copied().collect()
    }

    /// Devices that are in a conversation and should not be, or should be and are not: all that speak for a member belong
    /// there, and none that was revoked.
    pub fn out_of_place(&self, id: ConversationId) -> Option<String> {
        let now = self.logs.get(&id)?.now()?;
        let people = self.people(&now.members);
        let belongs = |device: &&DeviceId| !self.is_revoked(**device) && people.contains(&self.users[*device]);
        let wanted: BTreeSet<DeviceId> = self.users.keys().filter(belongs).copied().collect();
        let odd: Vec<String> =
            wanted.symmetric_difference(&set(&now.members)).map(|device| device.to_string()).collect();
        (!odd.is_empty()).then(|| format!("out of place in {id}: {}", odd.join(", ")))
    }

    /// The server has a new conversation, in this state.
    pub fn created(&mut self, conversation: ConversationId, snapshot: Snapshot) {
        self.logs.entry(conversation).or_default().eras.entry(0).or_insert(snapshot);
    }

    /// The server has accepted an entry. Says whether that was news.
    pub fn accepted(&mut self, conversation: ConversationId, at: &RecordedAt, mut accepted: Accepted) -> bool {
        let log = self.logs.entry(conversation).or_default();
        let elsewhere = log.entries.iter().any(|(seq, entry)| {
            *seq != at.seq && entry.message_id == accepted.message_id && entry.sender == accepted.sender
        });
        if elsewhere {
            self.violations.push(format!("{} was accepted twice in {conversation}", accepted.message_id));
        }
        if let Some(known) = log.entries.get(&at.seq) {
            if (known.message_id, known.sender) != (accepted.message_id, accepted.sender) {
                self.violations.push(format!("two entries have place {} in {conversation}", at.seq));
            }
            return false;
        }
        let current = log.era_of(at.seq).map(|era| era.epoch);
        if accepted.epoch.is_some_and(|made_for| current != Some(made_for)) {
            let made_for = accepted.epoch;
            self.violations.push(format!("entry {} of {conversation} is of {made_for:?}, not {current:?}", at.seq));
        }
        self.order += 1;
        accepted.order = self.order;
        log.said_again(&accepted);
        log.entries.insert(at.seq, accepted);
        true
    }

    /// A commit or a succession was accepted, and this is what the server has since: another era.
    pub fn committed(&mut self, conversation: ConversationId, seq: u64, after: Snapshot) {
        let Some(log) = self.logs.get(&conversation) else { return };
        let (Some(entry), Some(before)) = (log.entries.get(&seq), log.era_of(seq)) else { return };
        let objection = match entry.kind {
            EntryKind::Succession => self.objection_to_succession(before, &after, entry.sender),
            _ => self.objection(before, &after, entry.sender, &log.leavers(seq)),
        };
        if let Some(objection) = objection {
            self.violations
                .push(format!("the {:?} at {seq} of {conversation}: {objection}", entry.kind).to_lowercase());
        }
        if let Some(log) = self.logs.get_mut(&conversation) {
            log.eras.insert(seq, after);
        }
    }

    /// Why the committer may not have done this, if not.
    fn objection(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        sender: DeviceId,
        leavers: &BTreeSet<DeviceId>,
    ) -> Option<String> {
        let (was, is) = (set(&before.members), set(&after.members));
        let by = self.users.get(&sender)?;
        let is_admin = before.policy.admins.contains(by);
        let may_remove = |device: &DeviceId| {
            leavers.contains(device) || self.is_revoked(*device) || self.users.get(device) == Some(by)
        };
        let removed = was.difference(&is).any(|device| !may_remove(device));
        let added = is.difference(&was).any(|device| self.users.get(device) != Some(by));
        let direct = before.policy.kind == Kind::Direct;
        let added_whom = is.difference(&was).filter_map(|device| self.users.get(device));
        if direct && added_whom.into_iter().any(|user| !before.policy.users.contains(user)) {
            return Some("a third person is in a direct conversation".into());
        }
        if !direct && !is_admin && (removed || added || before.policy != after.policy) {
            return Some(format!("{by} is no admin and changed the members or the policy"));
        }
        None
    }

    /// Why the maker of a group may not have put it in the place of the one before, if not.
    fn objection_to_succession(&self, before: &Snapshot, after: &Snapshot, maker: DeviceId) -> Option<String> {
        let (was, is) = (set(&before.members), set(&after.members));
        if before.group == after.group || after.policy != before.policy.successor(before.group) {
            return Some("its policy is not that of the group before".into());
        }
        if !registry::is_as_strong(after.suite, before.suite) {
            return Some("its suite is weaker".into());
        }
        if !is.is_subset(&was) || !is.contains(&maker) {
            return Some("somebody new is in it".into());
        }
        // Of a person whose devices are all gone, none can come along.
        let here: BTreeSet<DeviceId> = was.into_iter().filter(|device| !self.is_revoked(*device)).collect();
        if !self.people(&here).is_subset(&self.people(&is)) {
            return Some("somebody was thrown out".into());
        }
        None
    }

    /// The server has shown a frame to somebody: the same entry is the same for everybody.
    pub fn shown(&mut self, frame: &[u8]) {
        let Ok(ServerFrame::Event { kind, body }) = frame::read_server(frame) else { return };
        let Ok(Some(Event::Recorded(recorded))) = Event::decode(kind, body) else { return };
        let log = self.logs.entry(recorded.conversation).or_default();
        let place = (recorded.generation, recorded.entry.seq);
        let first = log.shown.entry(place).or_insert_with(|| recorded.entry.clone());
        if *first != recorded.entry {
            self.violations.push(format!("entry {} of {} has two forms", recorded.entry.seq, recorded.conversation));
        }
    }

    /// Whether a device has ever stood at this entry.
    pub fn has_stood_at(&self, device: DeviceId, id: ConversationId, seq: u64) -> bool {
        self.stood.get(&(device, id)).is_some_and(|stood| stood.iter().any(|(cursor, _)| *cursor == seq))
    }

    /// A device stands there, with these members: as everybody who ever stood there.
    pub fn stands(&mut self, device: DeviceId, id: ConversationId, position: Position, members: &[DeviceId]) {
        let place = (position.generation, position.cursor);
        // Without a group it follows nothing yet: a Welcome may lead to an earlier place than the server's word did.
        let last = match position.group {
            Some(_) => self.cursors.insert((device, id), place).unwrap_or_default(),
            None => self.cursors.get(&(device, id)).copied().unwrap_or_default(),
        };
        if place < last {
            self.violations.push(format!("the cursor of {device} in {id} went from {last:?} back to {place:?}"));
        }
        // Who comes in from outside has the group before it knows where its part of the log begins.
        let is_ahead =
            self.logs.get(&id).zip(position.group).zip(position.epoch).is_some_and(|((log, group), epoch)| {
                let later = log.eras.range(position.cursor + 1..);
                later.into_iter().any(|(_, era)| (era.group, era.epoch) == (group, epoch))
            });
        let follows = position.group.filter(|_| !is_ahead);
        self.stood.entry((device, id)).or_default().insert((position.cursor, follows));
        let Some(log) = self.logs.get_mut(&id) else { return };
        if *log.hashes.entry(place).or_insert(position.hash) != position.hash && self.lied_until.is_none() {
            self.violations.push(format!("{device} has another log of {id} up to {place:?}"));
        }
        let Some((group, epoch)) = position.group.zip(position.epoch).filter(|_| !members.is_empty()) else { return };
        let mut eras = log.eras_at(group, epoch).peekable();
        match eras.peek().is_some() {
            true if eras.any(|there| set(&there.members) == set(members)) => {}
            false if self.lied_until.is_some() => {}
            _ => self
                .violations
                .push(format!("{device} sees other members of {id} in epoch {epoch} of {group} than the server")),
        }
    }

    /// Whether the device was removed again before it had taken up the Welcome into the group, or the place in it, in which
    /// this entry was made: the server then withdraws the Welcome, and nobody can read for that device.
    pub fn never_joined(&self, device: DeviceId, id: ConversationId, seq: u64) -> bool {
        let Some((log, era)) = self.logs.get(&id).and_then(|log| Some((log, log.era_of(seq)?))) else { return false };
        let (outside, Some(removed)) = log.stay(device, seq) else { return false };
        let joined = log.beginning_of(era.group).max(outside + 1);
        let stood = self.stood.get(&(device, id)).into_iter().flatten();
        !stood.into_iter().any(|(cursor, group)| (joined..removed).contains(cursor) && *group == Some(era.group))
    }

    /// Whether a restore of the server has lost the Welcome by which a device was to come in, so that it came in from outside,
    /// after this entry.
    pub fn came_without_welcome(&self, device: DeviceId, id: ConversationId, seq: u64) -> bool {
        let Some(log) = self.logs.get(&id).filter(|log| log.put_back.is_some()) else { return false };
        let (outside, _) = log.stay(device, seq);
        let own = |(_, entry): &(&u64, &Accepted)| entry.sender == device && entry.kind == EntryKind::Commit;
        let came = log.entries.range(outside + 1..).find(own).map_or(u64::MAX, |(place, _)| *place);
        let mut stood = self.stood.get(&(device, id)).into_iter().flatten();
        let was_in = stood.any(|(cursor, group)| group.is_some() && (outside..came.saturating_sub(1)).contains(cursor));
        seq <= came && !was_in
    }

    /// Whether a conversation's group is of a weaker suite than the tenant was given.
    pub fn is_weak(&self, id: ConversationId) -> bool {
        let now = self.logs.get(&id).and_then(Log::now);
        now.is_some_and(|now| self.suite.is_some_and(|suite| !registry::is_as_strong(now.suite, suite)))
    }

    /// A device is put back to a copy that stood there.
    pub fn put_back(&mut self, device: DeviceId, cursors: HashMap<ConversationId, u64>) {
        self.cursors.retain(|(whose, _), _| *whose != device);
        self.restored.push(Restored { device, order: self.order, cursors });
    }
}

/// A list of devices, for comparing.
pub fn set(devices: &[DeviceId]) -> BTreeSet<DeviceId> {
    devices.iter().copied().collect()
}
