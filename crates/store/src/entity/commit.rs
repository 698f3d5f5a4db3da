//! Recording a commit: the log entry, the new epoch, who joined and who left, in one transaction.

use super::append::{Append, Head};
use super::restore::Supplied;
use super::welcome::Leads;
use crate::sql::{sql, values};
use crate::{Error, Tx};
use keyring::{DataKey, KeyUse};
use trust::EntryHash;
use wire::request::RecordedAt;
use wire::sabotage::{Defence, stands};
use wire::{ConversationId, DeviceId, Entry, EntryKind, GroupId, MessageId, UnixMillis, UserId};

/// A commit that `roster` and the group's policy have accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommit {
    /// Where.
    pub conversation: ConversationId,
    /// The group that it is a commit of; must be the current one.
    pub group: GroupId,
    /// The epoch that it ends; must be the current one.
    pub epoch: u64,
    /// The device that sent it, as it was authenticated.
    pub sender: DeviceId,
    /// Idempotency key, per device and conversation.
    pub message_id: MessageId,
    /// `MLSMessage` holding the commit.
    pub commit: Vec<u8>,
    /// The server's clock.
    pub at: UnixMillis,
    /// `MLSMessage` holding the GroupInfo of the epoch that it begins.
    pub group_info: Vec<u8>,
    /// The group's policy from then on, if the commit changes it.
    pub policy: Option<Vec<u8>>,
    /// The leaves that it adds.
    pub joiners: Vec<Joiner>,
    /// The leaves that it removes. Whoever rejoins by external commit is in both lists.
    pub removed: Vec<DeviceId>,
    /// `MLSMessage` holding the Welcome, for the joiners that are welcomed.
    pub welcome: Option<Vec<u8>>,
    /// The ratchet tree of the epoch that it begins, when anybody will ask for it.
    pub tree: Option<Vec<u8>>,
    /// `roster`'s state after the commit, when it is time for a new snapshot.
    pub public_group: Option<Vec<u8>>,
    /// The place that it had before a restore, if it is not new. Its GroupInfo and its Welcome are lost then.
    pub supplied: Option<Supplied>,
}

/// A leaf that a commit adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joiner {
    /// The device.
    pub device: DeviceId,
    /// Whose.
    pub user: UserId,
    /// It joins by the Welcome; else it made the commit itself, from outside.
    pub welcomed: bool,
}

/// What came of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It won its epoch and is in the log.
    Recorded {
        /// The entry, as every member is to receive it.
        entry: Entry,
        /// The generation of the log.
        generation: u32,
    },
    /// It was in the log before; the answer is the same.
    Repeated(RecordedAt),
    /// Another commit won the epoch.
    EpochTaken {
        /// The current epoch.
        current: u64,
    },
    /// The id belongs to another entry.
    KeyReused,
    /// It is not new, and its place is taken, or is not the next, or its generation is over.
    OutOfPlace,
    /// There is no such conversation.
    NoConversation,
}

impl Tx<'_> {
    /// Records a commit if its epoch is still the current one: of any number that race, exactly one is recorded.
    ///
    /// # Errors
    /// [`Error::LogFull`], [`Error`] of the storage.
    pub fn record_commit(&mut self, new: NewCommit) -> Result<CommitOutcome, Error> {
        let Some(head) = self.lock_head(new.conversation)? else { return Ok(CommitOutcome::NoConversation) };
        let (group, supplied) = (new.group, new.supplied);
        let (entry, change) = new.split(&head);
        let conversation = change.conversation;
        let mut recent = self.recent_sends(conversation, entry.sender)?;
        if let Some(before) = recent.find(entry.message_id) {
            return self.recorded_before(conversation, &head, &entry, before).map(outcome_of_repeat);
        }
        if !self.may_follow(conversation, &head, supplied)? {
            return Ok(CommitOutcome::OutOfPlace);
        }
        if !head.is_at(group, entry.epoch) && stands(Defence::EpochCompareAndSet) {
            return Ok(CommitOutcome::EpochTaken { current: head.epoch });
        }
        let key = self.key(KeyUse::Conversation, conversation.as_bytes())?;
        let hash = self.insert_entry(&key, conversation, &head, &entry)?;
        recent.push(&entry);
        recent.write(self.session, self.tenant, conversation, entry.sender)?;
        if !self.begin_epoch(conversation, &entry, hash)? && stands(Defence::EpochCompareAndSet) {
            return Err(Error::Malformed);
        }
        self.apply(&key, &change, &entry, hash, &head)?;
        Ok(CommitOutcome::Recorded { entry, generation: head.generation })
    }

    /// The compare-and-set: `false` when the epoch has moved.
    fn begin_epoch(&mut self, conversation: ConversationId, entry: &Entry, hash: EntryHash) -> Result<bool, Error> {
        let text = sql!(
            "update conversations set epoch = epoch + 1, head_seq = $4, head_hash = $5, commit_seq = $4, commit_hash = $5 \
             where tenant = $1 and conversation = $2 and epoch = $3"
        );
        let values = values![self.tenant, conversation, entry.epoch, entry.seq, hash.0];
        Ok(self.session.execute(text, values)? > 0)
    }

    fn apply(
        &mut self,
        key: &DataKey,
        change: &Change,
        entry: &Entry,
        hash: EntryHash,
        head: &Head,
    ) -> Result<(), Error> {
        let (conversation, epoch) = (change.conversation, entry.epoch + 1);
        self.put_group(key, conversation, epoch, &change.group_info, change.policy.as_deref())?;
        for device in &change.removed {
            self.remove_member(conversation, *device, entry.seq)?;
            self.withdraw_welcomes(conversation, *device)?;
        }
        for joiner in &change.joiners {
            self.insert_member(conversation, joiner.device, joiner.user, entry.seq)?;
            if !joiner.welcomed {
                self.put_entrance(conversation, joiner.device, entry.seq, hash)?;
            }
        }
        if let Some(welcome) = &change.welcome {
            let recipients = change.joiners.iter().filter(|joiner| joiner.welcomed).map(|joiner| joiner.device);
            let leads = Leads { entry, hash, generation: head.generation, group: head.group, epoch };
            self.put_welcome(key, conversation, &leads, welcome, recipients)?;
        }
        if let Some(tree) = &change.tree {
            self.put_tree(key, conversation, (head.group, epoch), tree)?;
        }
        if let Some(state) = &change.public_group {
            self.put_public_group(conversation, entry.seq, state)?;
        }
        self.drop_unneeded_trees(conversation, (head.group, epoch))
    }
}

/// What a commit changes beside the log.
struct Change {
    conversation: ConversationId,
    group_info: Vec<u8>,
    policy: Option<Vec<u8>>,
    joiners: Vec<Joiner>,
    removed: Vec<DeviceId>,
    welcome: Option<Vec<u8>>,
    tree: Option<Vec<u8>>,
    public_group: Option<Vec<u8>>,
}

impl NewCommit {
    fn split(self, head: &Head) -> (Entry, Change) {
        let entry = Entry {
            seq: head.seq + 1,
            generation: head.generation_of(self.supplied),
            kind: EntryKind::Commit,
            epoch: self.epoch,
            sender: self.sender,
            message_id: self.message_id,
            at: self.at,
            payload: self.commit,
        };
        let change = Change {
            conversation: self.conversation,
            group_info: self.group_info,
            policy: self.policy,
            joiners: self.joiners,
            removed: self.removed,
            welcome: self.welcome,
            tree: self.tree,
            public_group: self.public_group,
        };
        (entry, change)
    }
}

pub(super) fn outcome_of_repeat(before: Append) -> CommitOutcome {
    match before {
        Append::Repeated(at) => CommitOutcome::Repeated(at),
        _ => CommitOutcome::KeyReused,
    }
}
