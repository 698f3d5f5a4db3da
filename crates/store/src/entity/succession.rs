//! Recording that another group takes the place of a conversation's group: the log goes on, the epochs begin anew.

use super::append::Head;
use super::commit::outcome_of_repeat;
use super::restore::Supplied;
use super::welcome::Leads;
use crate::sql::{sql, values};
use crate::{CommitOutcome, Error, Tx};
use keyring::{DataKey, KeyUse};
use trust::EntryHash;
use wire::sabotage::{Defence, stands};
use wire::{ConversationId, DeviceId, Entry, EntryKind, GroupId, MessageId, UnixMillis};

/// The epoch in which a successor begins: its maker has added everybody else.
const FIRST_EPOCH: u64 = 1;

/// A group that `roster` has accepted in the place of the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSuccession {
    /// Where.
    pub conversation: ConversationId,
    /// The group that it ends; must be the current one.
    pub predecessor: GroupId,
    /// The epoch of that group; must be the current one.
    pub epoch: u64,
    /// The device that made it, as it was authenticated.
    pub sender: DeviceId,
    /// Idempotency key, per device and conversation.
    pub message_id: MessageId,
    /// The server's clock.
    pub at: UnixMillis,
    /// The new group.
    pub group: GroupId,
    /// `MLSMessage` holding its GroupInfo.
    pub group_info: Vec<u8>,
    /// Its policy.
    pub policy: Vec<u8>,
    /// Its ratchet tree.
    pub tree: Vec<u8>,
    /// `roster`'s view of it.
    pub public_group: Vec<u8>,
    /// `MLSMessage` holding the Welcome.
    pub welcome: Option<Vec<u8>>,
    /// Those whom it is for.
    pub welcomed: Vec<DeviceId>,
    /// Members of the group before who have no leaf in this one.
    pub left_out: Vec<DeviceId>,
    /// The place that it had before a restore, if it is not new. Its Welcome is lost then.
    pub supplied: Option<Supplied>,
}

impl Tx<'_> {
    /// Records a succession if group and epoch are still the current ones: of any number of these and of commits that race,
    /// exactly one is recorded. What waits for joiners of the group before stays: they come after it.
    ///
    /// # Errors
    /// [`Error::LogFull`], [`Error`] of the storage.
    pub fn record_succession(&mut self, new: &NewSuccession) -> Result<CommitOutcome, Error> {
        let conversation = new.conversation;
        let Some(head) = self.lock_head(conversation)? else { return Ok(CommitOutcome::NoConversation) };
        let entry = new.entry(&head);
        let mut recent = self.recent_sends(conversation, entry.sender)?;
        if let Some(before) = recent.find(entry.message_id) {
            return self.recorded_before(conversation, &head, &entry, before).map(outcome_of_repeat);
        }
        if !self.may_follow(conversation, &head, new.supplied)? {
            return Ok(CommitOutcome::OutOfPlace);
        }
        if !head.is_at(new.predecessor, new.epoch) && stands(Defence::EpochCompareAndSet) {
            return Ok(CommitOutcome::EpochTaken { current: head.epoch });
        }
        let key = self.key(KeyUse::Conversation, conversation.as_bytes())?;
        let hash = self.insert_entry(&key, conversation, &head, &entry)?;
        recent.push(&entry);
        recent.write(self.session, self.tenant, conversation, entry.sender)?;
        self.begin_group(new, &entry, hash)?;
        self.put_successor(&key, new, &entry, hash, &head)?;
        Ok(CommitOutcome::Recorded { entry, generation: head.generation })
    }

    fn begin_group(&mut self, new: &NewSuccession, entry: &Entry, hash: EntryHash) -> Result<(), Error> {
        let text = sql!(
            "update conversations set group_id = $3, epoch = $4, head_seq = $5, head_hash = $6, commit_seq = $5, \
             commit_hash = $6 where tenant = $1 and conversation = $2"
        );
        let values = values![self.tenant, new.conversation, new.group, FIRST_EPOCH, entry.seq, hash.0];
        self.session.execute(text, values).map(drop)
    }

    fn put_successor(
        &mut self,
        key: &DataKey,
        new: &NewSuccession,
        entry: &Entry,
        hash: EntryHash,
        head: &Head,
    ) -> Result<(), Error> {
        let (conversation, place) = (new.conversation, (new.group, FIRST_EPOCH));
        self.put_group(key, conversation, FIRST_EPOCH, &new.group_info, Some(&new.policy))?;
        for device in &new.left_out {
            self.remove_member(conversation, *device, entry.seq)?;
            self.withdraw_welcomes(conversation, *device)?;
        }
        if let Some(welcome) = &new.welcome {
            let leads = Leads { entry, hash, generation: head.generation, group: new.group, epoch: FIRST_EPOCH };
            self.put_welcome(key, conversation, &leads, welcome, new.welcomed.iter().copied())?;
        }
        self.put_tree(key, conversation, place, &new.tree)?;
        self.put_public_group(conversation, entry.seq, &new.public_group)?;
        self.drop_unneeded_trees(conversation, place)
    }
}

impl NewSuccession {
    fn entry(&self, head: &Head) -> Entry {
        Entry {
            seq: head.seq + 1,
            generation: head.generation_of(self.supplied),
            kind: EntryKind::Succession,
            epoch: self.epoch,
            sender: self.sender,
            message_id: self.message_id,
            at: self.at,
            payload: self.group_info.clone(),
        }
    }
}
