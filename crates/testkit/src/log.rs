//! One conversation as the model has it: what was accepted, and its eras. An epoch's number does not say which group it is of,
//! so that who may read is asked of eras: each commit and each succession ends one and begins the next.

use crate::oracle::set;
use crate::server::Snapshot;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use trust::EntryHash;
use wire::{DeviceId, Entry, EntryKind, GroupId, MessageId};

/// An entry that the server has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its place among everything that was accepted.
    pub order: u64,
    /// What it is.
    pub kind: EntryKind,
    /// Its id.
    pub message_id: MessageId,
    /// The device that sent it.
    pub sender: DeviceId,
    /// The epoch for which it was made, as its sender says; a commit's does not say.
    pub epoch: Option<u64>,
}

/// An entry that a restore of the server has lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Where it stood.
    pub seq: u64,
    /// The entry.
    pub accepted: Accepted,
    /// The era that it began, if it did.
    pub era: Option<Snapshot>,
}

/// One conversation's log and who was in its eras.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// By sequence number.
    pub entries: BTreeMap<u64, Accepted>,
    /// As the server had it when the era began, by the entry that began it; 0 is the making of the conversation.
    pub eras: BTreeMap<u64, Snapshot>,
    /// What a restore of the server has lost and nobody has given back or said again.
    pub lost: Vec<Lost>,
    /// Who could read a message before it was lost.
    pub(crate) read_before: HashMap<MessageId, BTreeSet<DeviceId>>,
    /// What had been accepted when the server was put back.
    pub(crate) put_back: Option<u64>,
    pub(crate) hashes: HashMap<(u32, u64), EntryHash>,
    pub(crate) shown: HashMap<(u32, u64), Entry>,
}

impl Log {
    /// The era in which an entry was accepted: the one that was current then.
    pub fn era_of(&self, seq: u64) -> Option<&Snapshot> {
        self.eras.range(..seq.max(1)).next_back().map(|(_, era)| era)
    }

    /// As it is now.
    pub fn now(&self) -> Option<&Snapshot> {
        self.eras.values().next_back()
    }

    /// The eras in which a group was at an epoch: one, but for those that a restore has lost.
    pub fn eras_at(&self, group: GroupId, epoch: u64) -> impl Iterator<Item = &Snapshot> {
        let all = self.eras.values().chain(self.lost.iter().filter_map(|lost| lost.era.as_ref()));
        all.filter(move |era| (era.group, era.epoch) == (group, epoch))
    }

    /// A restore has lost what came after an entry.
    pub(crate) fn lose_after(&mut self, head: u64, order: u64) {
        let gone: Vec<u64> = self.entries.range(head + 1..).map(|(seq, _)| *seq).collect();
        for seq in &gone {
            let readers = self.era_of(*seq).map(|era| set(&era.members)).unwrap_or_default();
            if let Some(accepted) = self.entries.get(seq) {
                self.read_before.entry(accepted.message_id).or_default().extend(&readers);
            }
        }
        for seq in gone {
            let (accepted, era) = (self.entries.remove(&seq), self.eras.remove(&seq));
            self.lost.extend(accepted.map(|accepted| Lost { seq, accepted, era }));
        }
        self.put_back = Some(order);
    }

    /// An entry that was lost is back at its place. Says whether there was one.
    pub(crate) fn come_back(&mut self, seq: u64, is_it: impl Fn(&Accepted) -> bool) -> bool {
        let Some(place) = self.lost.iter().position(|lost| lost.seq == seq && is_it(&lost.accepted)) else {
            return false;
        };
        let Lost { accepted, era, .. } = self.lost.remove(place);
        self.entries.insert(seq, accepted);
        if let Some(era) = era {
            self.eras.insert(seq, era);
        }
        true
    }

    /// Its author has sent a message again that was lost.
    pub(crate) fn said_again(&mut self, again: &Accepted) {
        let is_it = |known: &Accepted| (known.message_id, known.sender) == (again.message_id, again.sender);
        self.lost.retain(|lost| lost.era.is_some() || !is_it(&lost.accepted));
    }

    /// Whether the group changed in what is lost: who was in it then has to come in again from outside.
    pub(crate) fn has_branched(&self) -> bool {
        self.lost.iter().any(|lost| lost.era.is_some())
    }

    /// The entry since which a group has served the conversation.
    pub(crate) fn beginning_of(&self, group: GroupId) -> u64 {
        self.eras.iter().find(|(_, era)| era.group == group).map_or(0, |(since, _)| *since)
    }

    /// Whether a device was a member when an entry was accepted: those, and no others, may read it.
    pub fn is_reader(&self, device: DeviceId, seq: u64) -> bool {
        self.era_of(seq).is_some_and(|era| era.members.contains(&device))
    }

    /// Whether this entry is the commit by which a device came in that had no leaf before: there it may show a gap.
    pub fn ends_gap(&self, device: DeviceId, seq: u64) -> bool {
        let is_own = |entry: &Accepted| entry.sender == device && entry.kind == EntryKind::Commit;
        self.entries.get(&seq).is_some_and(is_own) && !self.is_reader(device, seq)
    }

    /// Devices that had said before this entry, in the same era, that they leave.
    pub(crate) fn leavers(&self, seq: u64) -> std::collections::BTreeSet<DeviceId> {
        let since = self.eras.range(..seq).next_back().map_or(0, |(since, _)| *since);
        let before = self.entries.range(since + 1..seq.max(since + 1));
        let leavers: Vec<DeviceId> =
            before.filter(|(_, entry)| entry.kind == EntryKind::Proposal).map(|(_, entry)| entry.sender).collect();
        set(&leavers)
    }

    /// The stay of a device during which an entry was accepted: the last entry before it, and the first after it, since
    /// when the device was no member. 0 where it always was; `None` where it still is.
    pub(crate) fn stay(&self, device: DeviceId, seq: u64) -> (u64, Option<u64>) {
        let outside = |(_, era): &(&u64, &Snapshot)| !era.members.contains(&device);
        let before = self.eras.range(..seq).rev().find(outside).map_or(0, |(since, _)| *since);
        let after = self.eras.range(seq..).find(outside).map(|(since, _)| *since);
        (before, after)
    }
}
