//! What must be true at the end: every accepted message is read exactly once, in order, by every device that should read it,
//! and by no other; nothing is unreadable; nobody is stuck; all agree.

use crate::facts::{ConversationFacts, DeviceFacts, Facts, Line};
use crate::log::{Accepted, Log};
use crate::oracle::{Oracle, set};
use client::{ConversationState, MessageState};
use std::collections::BTreeSet;
use trust::Kind;
use wire::{ConversationId, EntryKind, MessageId};

/// What a check found, and how much it looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What is not as it must be.
    pub violations: Vec<String>,
    /// Readings that were expected and found.
    pub readings: u64,
    /// Readings by devices that came later, from the archive of their person.
    pub recalled: u64,
    /// Entries that are unreadable because their device was put back to an old copy.
    pub excused: u64,
    /// The server has lied: what it kept back may be missing, if that shows.
    pub lied: bool,
}

/// Compares what the devices hold with what the model expects.
pub fn check(oracle: &Oracle, facts: &Facts) -> Checked {
    let lied = oracle.lied_until.is_some();
    let mut checked = Checked { violations: oracle.violations.clone(), lied, ..Checked::default() };
    for device in &facts.devices {
        if device.unsent > 0 && !oracle.is_revoked(device.device) {
            checked.violations.push(format!("{} has {} things unsent", device.device, device.unsent));
        }
        for (id, log) in &oracle.logs {
            checked.device(oracle, device, *id, log);
        }
    }
    for (id, log) in &oracle.logs {
        checked.agreement(oracle, facts, *id, log);
        checked.lost(oracle, facts, *id, log);
    }
    checked
}

impl Checked {
    fn device(&mut self, oracle: &Oracle, device: &DeviceFacts, id: ConversationId, log: &Log) {
        // Who leaves a group in which nobody else is forgets it, and tells nobody.
        let is_in = log.now().is_some_and(|now| now.members.contains(&device.device));
        let alone = is_in && log.now().is_some_and(|now| oracle.people(&now.members).len() == 1);
        let is_member = is_in && !alone;
        let Some(facts) = device.conversations.get(&id) else {
            if is_member {
                self.violations.push(format!("{} is a member of {id} and does not know it", device.device));
            }
            return;
        };
        if !alone && !oracle.is_revoked(device.device) {
            self.state(device, id, facts, is_member);
        }
        self.order(device, id, log, facts);
        self.recorded(oracle, device, id, log, facts);
        self.readings(oracle, device, id, log, facts);
        self.unreadable(oracle, device, id, log, facts);
    }

    fn state(&mut self, device: &DeviceFacts, id: ConversationId, facts: &ConversationFacts, is_member: bool) {
        let right = match facts.state {
            ConversationState::Active => is_member,
            // A lying server can make a device believe that it was removed.
            ConversationState::Left => !is_member || self.lied,
            _ => false,
        };
        if !right {
            let member = if is_member { "a member" } else { "no member" };
            self.violations.push(format!("{} is {member} of {id} and stands at {:?}", device.device, facts.state));
        }
        if facts.forked && !self.lied {
            self.violations.push(format!("{} was told of a fork of {id}", device.device));
        }
    }

    /// What a restore of the server has lost was given back, or said again by whoever is still there to say it.
    fn lost(&mut self, oracle: &Oracle, facts: &Facts, id: ConversationId, log: &Log) {
        for lost in &log.lost {
            let (seq, Accepted { kind, message_id, sender, .. }) = (lost.seq, &lost.accepted);
            let (kind, message_id, sender) = (*kind, *message_id, *sender);
            let is_there = log.now().is_some_and(|now| now.members.contains(&sender));
            let was_put_back = oracle.restored.iter().any(|restored| restored.device == sender);
            let author = facts.devices.iter().find(|device| device.device == sender);
            // Who has left a group in which nobody else is says nothing there any more.
            let speaks = author.is_some_and(|author| {
                author.conversations.get(&id).is_none_or(|here| here.state != ConversationState::Left)
            });
            let deleted = oracle.said.values().any(|said| said.target == Some(message_id) && said.text.is_none());
            let excused = !is_there || was_put_back || !speaks || oracle.is_revoked(sender) || deleted;
            if kind == EntryKind::Application && !excused {
                self.violations.push(format!("{message_id} was at {seq} of {id}, was lost, and not said again"));
            }
        }
    }

    /// Lines stand in the order of the log, each place and each id once. What a restore has lost stays where it was.
    fn order(&mut self, device: &DeviceFacts, id: ConversationId, log: &Log, facts: &ConversationFacts) {
        let is_lost = |line: &Line| was_read_before(device, log, line);
        let recorded = facts.lines.iter().filter(|line| line.state == MessageState::Recorded && !is_lost(line));
        let seqs: Vec<u64> = recorded.clone().filter_map(|line| line.seq).collect();
        if !seqs.is_sorted_by(|one, next| one < next) {
            self.violations.push(format!("{} shows {id} out of order: {seqs:?}", device.device));
        }
        let ids: Vec<MessageId> = recorded.filter_map(|line| line.id).collect();
        if ids.iter().collect::<BTreeSet<_>>().len() != ids.len() {
            self.violations.push(format!("{} shows a message of {id} twice", device.device));
        }
    }

    /// What a device takes for recorded, the server has recorded there.
    fn recorded(
        &mut self,
        oracle: &Oracle,
        device: &DeviceFacts,
        id: ConversationId,
        log: &Log,
        facts: &ConversationFacts,
    ) {
        for line in facts.lines.iter().filter(|line| line.state == MessageState::Recorded) {
            let there = line.seq.and_then(|seq| log.entries.get(&seq)).map(|entry| entry.message_id);
            let is_forged = || line.author != Some(device.user) && !is_said(oracle, line);
            let is_wrong = (there.is_none() || there != line.id) && !was_read_before(device, log, line);
            if if self.lied { is_forged() } else { is_wrong } {
                self.violations.push(format!("{} shows {:?} of {id}, which was not accepted", device.device, line.seq));
            }
        }
    }

    fn readings(
        &mut self,
        oracle: &Oracle,
        device: &DeviceFacts,
        id: ConversationId,
        log: &Log,
        facts: &ConversationFacts,
    ) {
        for (seq, entry) in log.entries.iter().filter(|(_, entry)| entry.kind == EntryKind::Application) {
            let held = facts.held.get(&entry.message_id);
            let revoked = oracle.revoked.get(&device.device);
            if held.is_some() && revoked.is_some_and(|until| entry.order > *until) {
                self.violations.push(format!("{} reads {seq} of {id}, and was revoked before", device.device));
            } else if held.is_none() && revoked.is_some() && *seq > facts.position.cursor {
                // The server gives it nothing any more.
                self.excused += 1;
            } else if held.is_none() && had_forgotten(oracle, device, id, log, *seq) {
                self.excused += 1;
            } else if !log.is_reader(device.device, *seq) {
                let before = log.read_before.get(&entry.message_id);
                if held.is_some() && oracle.is_for_user(device.user, log, *seq, entry) {
                    self.recalled += 1;
                    self.words(oracle, device, log, facts, *seq);
                } else if held.is_some() && !before.is_some_and(|readers| readers.contains(&device.device)) {
                    self.violations.push(format!("{} reads {seq} of {id}, which is not for it", device.device));
                }
            } else if held.copied().flatten() == Some(*seq) {
                self.readings += 1;
                self.words(oracle, device, log, facts, *seq);
            } else if is_before_return(device, log, entry)
                || oracle.came_without_welcome(device.device, id, *seq)
                || oracle.never_joined(device.device, id, *seq)
                || self.is_visibly_missing(oracle, entry, facts)
            {
                self.excused += 1;
            } else if !is_excused(oracle, device, id, log, *seq, entry) {
                self.violations.push(format!("{} does not read {seq} of {id} ({held:?})", device.device));
            } else {
                self.excused += 1;
            }
        }
    }

    /// A text says what its author said, or last made of it as far as this device was told.
    fn words(&mut self, oracle: &Oracle, device: &DeviceFacts, log: &Log, facts: &ConversationFacts, seq: u64) {
        let Some(id) = log.entries.get(&seq).map(|entry| entry.message_id) else { return };
        let Some(said) = oracle.said.get(&id).filter(|said| said.target.is_none()) else { return };
        let mut text = said.text.clone();
        for later in log.entries.range(seq..).map(|(_, later)| later.message_id) {
            let change = oracle.said.get(&later).filter(|said| said.target == Some(id));
            if let Some(change) = change.filter(|_| facts.held.contains_key(&later) && text.is_some()) {
                text.clone_from(&change.text);
            }
        }
        // What a revoked device changes of its own, it changes for itself alone.
        if said.author == device.user && oracle.is_revoked(device.device) && device.unsent > 0 {
            return;
        }
        let line = facts.lines.iter().find(|line| line.id == Some(id));
        let shown = line.map(|line| (line.author, line.text.clone()));
        // What a sibling had taken out of the archive was never here, even if the taking back was not for this device.
        let is_taken_back = || {
            let mut later = log.entries.range(seq..).filter_map(|(_, later)| oracle.said.get(&later.message_id));
            later.any(|change| change.target == Some(id) && change.text.is_none())
        };
        if !log.is_reader(device.device, seq) && shown == Some((Some(said.author), None)) && is_taken_back() {
            return;
        }
        if shown != Some((Some(said.author), text.clone())) {
            self.violations.push(format!("{} shows {seq} as {shown:?}, not {text:?}", device.device));
        }
    }

    /// What a lying server has kept back may be missing, if the device shows that something is.
    fn is_visibly_missing(&self, oracle: &Oracle, entry: &Accepted, facts: &ConversationFacts) -> bool {
        let marked =
            facts.lines.iter().any(|line| matches!(line.state, MessageState::Undecryptable | MessageState::Failed));
        let before = oracle.lied_until.is_some_and(|until| entry.order <= until);
        self.lied && (facts.forked || (before && marked))
    }

    fn unreadable(
        &mut self,
        oracle: &Oracle,
        device: &DeviceFacts,
        id: ConversationId,
        log: &Log,
        facts: &ConversationFacts,
    ) {
        if self.lied {
            return;
        }
        let broken = |line: &&Line| {
            matches!(line.state, MessageState::Undecryptable | MessageState::Refused | MessageState::Failed)
        };
        for line in facts.lines.iter().filter(broken) {
            let entry = line.seq.and_then(|seq| log.entries.get(&seq).map(|entry| (seq, entry)));
            let excused = match entry {
                Some((seq, entry)) => {
                    let is_gap = line.id.is_none() && log.ends_gap(device.device, seq);
                    is_gap
                        || is_before_return(device, log, entry)
                        || oracle.came_without_welcome(device.device, id, seq)
                        || oracle.never_joined(device.device, id, seq)
                        || is_excused(oracle, device, id, log, seq, entry)
                }
                // A message that nobody accepted, because its author was removed first, says so.
                None => line.state == MessageState::Failed || is_marker(oracle, device, line),
            };
            if !excused {
                self.violations.push(format!("{} shows {:?} of {id} as {:?}", device.device, line.seq, line.state));
            }
        }
    }

    /// Whoever is a member at the end stands at the same place, with the same members and the same admins.
    fn agreement(&mut self, oracle: &Oracle, facts: &Facts, id: ConversationId, log: &Log) {
        let Some(now) = log.now() else { return };
        let head = log.entries.keys().next_back().copied().unwrap_or_default();
        let inside = facts.devices.iter().filter(|device| now.members.contains(&device.device));
        let standing: Vec<_> = inside.filter_map(|device| device.conversations.get(&id).map(|c| (device, c))).collect();
        for (device, here) in standing.iter().filter(|(_, here)| here.state != ConversationState::Left) {
            let position = &here.position;
            let (place, group) = ((position.cursor, position.epoch), position.group);
            let (want, is_there) = ((head, now.epoch), group == Some(now.group) && place.1 == Some(now.epoch));
            if !is_there || (place.0 != head && !self.lied) {
                self.violations.push(format!("{} stands at {place:?} of {id}, not at {want:?}", device.device));
            }
            if here.kind != now.policy.kind {
                self.violations.push(format!("{} takes {id} for a {:?}", device.device, here.kind));
            }
            if oracle.is_weak(id) || here.suite != Some(now.suite) {
                self.violations.push(format!("{} is in {id} of suite {:?}", device.device, here.suite));
            }
            if set(&here.members) != set(&now.members) {
                self.violations.push(format!("{} has other members of {id} than the server", device.device));
            }
            let expected: BTreeSet<_> = now.policy.admins.iter().collect();
            let seen: BTreeSet<_> = here.admins.iter().collect();
            if now.policy.kind == Kind::Group && !seen.is_subset(&expected) {
                self.violations.push(format!("{} has other admins of {id} than the server", device.device));
            }
        }
        if standing.iter().any(|(_, here)| here.state == ConversationState::Active) {
            self.violations.extend(oracle.out_of_place(id));
        }
        let standing: Vec<_> = standing.into_iter().filter(|(_, here)| here.state != ConversationState::Left).collect();
        if !self.lied && standing.windows(2).any(|pair| pair[0].1.position.hash != pair[1].1.position.hash) {
            self.violations.push(format!("the members of {id} have different logs"));
        }
        if standing.windows(2).any(|pair| pair[0].1.admins != pair[1].1.admins) {
            self.violations.push(format!("the members of {id} have different admins"));
        }
    }
}

/// Whether a line stands where the message was before a restore lost it: the device read it then, and nobody has said it again
/// since, or only in the device's gap.
fn was_read_before(device: &DeviceFacts, log: &Log, line: &Line) -> bool {
    let there = line.seq.and_then(|seq| log.entries.get(&seq)).map(|entry| entry.message_id);
    let readers = line.id.and_then(|id| log.read_before.get(&id));
    there != line.id && readers.is_some_and(|readers| readers.contains(&device.device))
}

/// Whether an entry was accepted after a restore by which a change of the group was lost, and before the device, whose keys were
/// of the group after that change, or which had its Welcome lost, came in again.
fn is_before_return(device: &DeviceFacts, log: &Log, entry: &Accepted) -> bool {
    let Some(put_back) = log.put_back.filter(|_| log.has_branched()) else { return false };
    let own = |other: &&Accepted| other.sender == device.device && other.kind == EntryKind::Commit;
    let returned = log.entries.values().filter(own).map(|other| other.order).find(|order| *order > put_back);
    entry.order > put_back && entry.order <= returned.unwrap_or(u64::MAX)
}

/// The only loss by design: a device that was put back to an old copy cannot read what it had itself sent since, and from
/// the first commit of its own that it does not know until it has rejoined, anything. The same for a conversation that the
/// copy did not know.
fn is_excused(
    oracle: &Oracle,
    device: &DeviceFacts,
    id: ConversationId,
    log: &Log,
    seq: u64,
    entry: &Accepted,
) -> bool {
    oracle.restored.iter().filter(|restored| restored.device == device.device).any(|restored| {
        let own = |(_, other): &(&u64, &Accepted)| other.sender == device.device && other.kind == EntryKind::Commit;
        let rejoined =
            log.entries.iter().filter(own).map(|(_, other)| other.order).find(|order| *order > restored.order);
        let before_rejoin = entry.order < rejoined.unwrap_or(u64::MAX);
        let Some(cursor) = restored.cursors.get(&id) else { return before_rejoin };
        let own_message = entry.sender == device.device && entry.order <= restored.order && seq > *cursor;
        let since = log.entries.range(cursor + 1..).take_while(|(place, _)| **place <= seq);
        let lost = since.filter(own).any(|(_, other)| other.order <= restored.order);
        own_message || (lost && before_rejoin)
    })
}

/// Whether a device had forgotten the conversation, which only its own person was in then, and had told nobody: a further device
/// of the person, which came in later, found its leaf there, and may have brought others in before it came back.
fn had_forgotten(oracle: &Oracle, device: &DeviceFacts, id: ConversationId, log: &Log, seq: u64) -> bool {
    let own = BTreeSet::from([device.user]);
    let is_own = |seq: u64| log.era_of(seq).is_some_and(|era| oracle.people(&era.members) == own);
    let stood = |seq: u64| oracle.has_stood_at(device.device, id, seq);
    let last = log.entries.range(..=seq).rev().map(|(seq, _)| *seq).find(|seq| stood(*seq)).unwrap_or_default();
    // Who has never been in has nothing to forget: but where only its own person is, a further device may come late.
    let since = if stood(last) { last + 1 } else { seq };
    log.entries.range(since..seq + 1).any(|(seq, _)| is_own(*seq))
}

/// A place holder for entries that the server had deleted before a device that was put back could see them.
fn is_marker(oracle: &Oracle, device: &DeviceFacts, line: &Line) -> bool {
    line.state == MessageState::Undecryptable && oracle.restored.iter().any(|restored| restored.device == device.device)
}

/// Whether somebody said that: an author's own words, whatever the server made of their place.
fn is_said(oracle: &Oracle, line: &Line) -> bool {
    let Some(said) = line.id.and_then(|id| oracle.said.get(&id)) else {
        // Names of groups and the like are said by the client itself.
        return line.text.as_deref().is_none_or(|text| !text.starts_with("message"));
    };
    Some(said.author) == line.author
}
