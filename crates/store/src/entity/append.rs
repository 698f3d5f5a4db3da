//! Appending to a conversation's log: the hot path.

use super::conversation::row;
use super::recent_sends::Send;
use super::restore::Supplied;
use super::tail::{LogTail, Tails, Window};
use crate::link::Link;
use crate::schema::{SealedColumn, sealed};
use crate::sql::{Row, sql, values};
use crate::{Error, Tx};
use keyring::{DataKey, KeyUse};
use sha2::{Digest, Sha256};
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;
use trust::EntryHash;
use wire::request::RecordedAt;
use wire::sabotage::{Defence, stands};
use wire::{ConversationId, DeviceId, Entry, EntryKind, GroupId, MessageId, UnixMillis};

pub(super) const PAYLOAD: SealedColumn = sealed("log_entries", "payload");

/// Entries of one log. A commit seals up to five values with the conversation's key, an application message one.
const ENTRIES_MAX: u64 = keyring::SEALS_MAX / 8;

/// An entry to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// Where.
    pub conversation: ConversationId,
    /// The group for which it was made; must be the current one.
    pub group: GroupId,
    /// The epoch in which it was made; must be the current one.
    pub epoch: u64,
    /// Application message or proposal.
    pub kind: EntryKind,
    /// The device that sent it, as it was authenticated.
    pub sender: DeviceId,
    /// Idempotency key, per device and conversation.
    pub message_id: MessageId,
    /// An `MLSMessage`.
    pub payload: Vec<u8>,
    /// The server's clock.
    pub at: UnixMillis,
    /// The place that it had before a restore, if it is not new.
    pub supplied: Option<Supplied>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Append {
    /// It is in the log. The entry is as every member is to receive it, and comes back so that nothing is read again.
    Recorded {
        /// The entry.
        entry: Entry,
        /// The generation of the log.
        generation: u32,
    },
    /// It was in the log before; the answer is the same. For an application message this holds however often it was
    /// sealed anew: its id is what counts.
    Repeated(RecordedAt),
    /// Another epoch is the current one, or another group.
    StaleEpoch {
        /// The epoch that is.
        current: u64,
    },
    /// The id belongs to an entry of another kind, or to another commit.
    KeyReused,
    /// It is not new, and its place is taken, or is not the next, or its generation is over.
    OutOfPlace,
    /// There is no such conversation.
    NoConversation,
}

/// What a conversation's row says of its log.
pub(super) struct Head {
    pub(super) group: GroupId,
    pub(super) epoch: u64,
    pub(super) seq: u64,
    pub(super) hash: EntryHash,
    pub(super) generation: u32,
}

/// An entry as the database keeps it.
pub(super) struct EntryRow {
    pub(super) conversation: ConversationId,
    pub(super) seq: u64,
    pub(super) generation: u32,
    pub(super) kind: u8,
    pub(super) epoch: u64,
    pub(super) sender: DeviceId,
    pub(super) message_id: MessageId,
    pub(super) at: UnixMillis,
    pub(super) digest: Option<[u8; 32]>,
    /// Sealed.
    pub(super) payload: Vec<u8>,
}

impl Tx<'_> {
    /// Records an entry of the current epoch. Who may send is decided before (`rules::admit`).
    ///
    /// # Errors
    /// [`Error::LogFull`], [`Error`] of the storage.
    pub fn append_entry(&mut self, new: NewEntry) -> Result<Append, Error> {
        let appended = self.append_to_tail(new);
        // Also after an error: nothing that this leaves behind may meet the job's next statement.
        self.session.write_tails().and(appended)
    }

    /// Records an entry and leaves the conversation's row and the sender's window to [`crate::session::Session::write_tails`],
    /// so that a batch writes them once, however many entries it holds. Everything that can refuse or fail, but for the
    /// storage itself, comes before the one statement that writes.
    pub(crate) fn append_to_tail(&mut self, new: NewEntry) -> Result<Append, Error> {
        let (session, conversation) = (self.session, new.conversation);
        let Tails { logs, windows, unwritten, unwritten_bytes } = &mut *session.tails.borrow_mut();
        let log = match logs.entry((self.tenant, conversation)) {
            Slot::Occupied(log) => log.into_mut(),
            Slot::Vacant(slot) => match self.lock_head(conversation)? {
                Some(head) => slot.insert(LogTail { head, key: self.conversation_key(conversation)?, moved: false }),
                None => return Ok(Append::NoConversation),
            },
        };
        let (group, supplied) = (new.group, new.supplied);
        let entry = new.into_entry(&log.head);
        let window = match windows.entry((self.tenant, conversation, entry.sender)) {
            Slot::Occupied(window) => window.into_mut(),
            Slot::Vacant(slot) => {
                slot.insert(Window { sends: self.recent_sends(conversation, entry.sender)?, moved: false })
            }
        };
        if let Some(before) = window.sends.find(entry.message_id) {
            return self.recorded_before(conversation, &log.head, &entry, before);
        }
        if !self.may_follow(conversation, &log.head, supplied)? {
            return Ok(Append::OutOfPlace);
        }
        if !log.head.is_at(group, entry.epoch) {
            return Ok(Append::StaleEpoch { current: log.head.epoch });
        }
        let row = self.seal_entry(&log.key, conversation, &entry)?;
        match &session.link {
            Link::Sqlite(_) => self.insert_row(&row)?,
            Link::Postgres(_) => {
                *unwritten_bytes += row.payload.len();
                unwritten.push(row);
            }
        }
        log.head.hash = log.head.hash.then(self.tenant, conversation, &entry);
        log.head.seq = entry.seq;
        window.sends.push(&entry);
        (log.moved, window.moved) = (true, true);
        Ok(Append::Recorded { entry, generation: log.head.generation })
    }

    pub(super) fn conversation_key(&self, conversation: ConversationId) -> Result<Arc<DataKey>, Error> {
        self.key(KeyUse::Conversation, conversation.as_bytes())
    }

    /// What was answered when this id was recorded.
    pub(super) fn recorded_before(
        &self,
        conversation: ConversationId,
        head: &Head,
        entry: &Entry,
        before: Send,
    ) -> Result<Append, Error> {
        let text = sql!(
            "select kind, digest, generation from log_entries where tenant = $1 and conversation = $2 and seq = $3"
        );
        let there = self.session.row(text, values![self.tenant, conversation, before.seq], |row| {
            let digest = row.optional(1, |row| row.array::<32>(1))?;
            let same = kind(row.number(0)?)? == entry.kind && digest == digest_of(entry);
            Ok((same, row.number(2)?))
        })?;
        // The entry itself may be gone, but only when its sender has acknowledged it; what was answered still holds.
        let (same, generation) = there.unwrap_or((true, head.generation));
        let answer = RecordedAt { seq: before.seq, at: before.at, generation };
        Ok(if same { Append::Repeated(answer) } else { Append::KeyReused })
    }

    pub(super) fn head(&self, conversation: ConversationId) -> Result<Option<Head>, Error> {
        let text = sql!(
            "select epoch, head_seq, head_hash, generation, group_id from conversations where tenant = $1 and conversation = $2"
        );
        self.session.row(text, values![self.tenant, conversation], Head::read)
    }

    /// As [`Tx::head`], and nobody else writes to the conversation until the end of the transaction.
    pub(super) fn lock_head(&mut self, conversation: ConversationId) -> Result<Option<Head>, Error> {
        let text = sql!(
            "select epoch, head_seq, head_hash, generation, group_id from conversations where tenant = $1 and conversation = $2 \
             {for update}"
        );
        self.session.row(text, values![self.tenant, conversation], Head::read)
    }

    /// Puts the entry after the head and returns its hash; the conversation's row is the caller's to move.
    pub(super) fn insert_entry(
        &mut self,
        key: &DataKey,
        conversation: ConversationId,
        head: &Head,
        entry: &Entry,
    ) -> Result<EntryHash, Error> {
        self.insert_row(&self.seal_entry(key, conversation, entry)?)?;
        Ok(head.hash.then(self.tenant, conversation, entry))
    }

    fn seal_entry(&self, key: &DataKey, conversation: ConversationId, entry: &Entry) -> Result<EntryRow, Error> {
        if entry.seq > ENTRIES_MAX {
            return Err(Error::LogFull);
        }
        Ok(EntryRow {
            conversation,
            seq: entry.seq,
            generation: entry.generation,
            kind: kind_number(entry.kind),
            epoch: entry.epoch,
            sender: entry.sender,
            message_id: entry.message_id,
            at: entry.at,
            digest: digest_of(entry),
            payload: self.seal(key, PAYLOAD, &row(conversation, entry.seq), &entry.payload)?,
        })
    }

    fn insert_row(&self, row: &EntryRow) -> Result<(), Error> {
        // As `tail_batch::INSERT_ENTRIES`, which inserts many.
        let text = sql!(
            "insert into log_entries \
             (tenant, conversation, seq, generation, kind, epoch, sender, message_id, recorded_at, digest, payload) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        );
        let values = values![
            self.tenant,
            row.conversation,
            row.seq,
            row.generation,
            row.kind,
            row.epoch,
            row.sender,
            row.message_id,
            row.at,
            row.digest,
            row.payload
        ];
        self.session.execute(text, values).map(drop)
    }
}

impl Head {
    /// Whether this group in this epoch serves the conversation. Epochs begin at 0 in every group.
    pub(super) fn is_at(&self, group: GroupId, epoch: u64) -> bool {
        self.epoch == epoch && (self.group == group || !stands(Defence::GroupOfConversation))
    }

    /// The generation of the entry that comes next.
    pub(super) fn generation_of(&self, supplied: Option<Supplied>) -> u32 {
        supplied.map_or(self.generation, |supplied| supplied.generation)
    }

    pub(super) fn read(row: &Row<'_>) -> Result<Self, Error> {
        let hash = EntryHash(row.array(2)?);
        let (epoch, seq, generation) = (row.number(0)?, row.number(1)?, row.number(3)?);
        Ok(Self { group: row.id(4)?, epoch, seq, hash, generation })
    }
}

impl NewEntry {
    fn into_entry(self, head: &Head) -> Entry {
        Entry {
            seq: head.seq + 1,
            generation: head.generation_of(self.supplied),
            kind: self.kind,
            epoch: self.epoch,
            sender: self.sender,
            message_id: self.message_id,
            at: self.at,
            payload: self.payload,
        }
    }
}

/// Commits and proposals keep a hash of their bytes, so that a repeat can be told from a reuse of the id.
fn digest_of(entry: &Entry) -> Option<[u8; 32]> {
    (entry.kind != EntryKind::Application).then(|| Sha256::digest(&entry.payload).into())
}

pub(super) fn kind(number: u8) -> Result<EntryKind, Error> {
    match number {
        0 => Ok(EntryKind::Application),
        1 => Ok(EntryKind::Commit),
        2 => Ok(EntryKind::Proposal),
        3 => Ok(EntryKind::Succession),
        _ => Err(Error::Malformed),
    }
}

const fn kind_number(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::Application => 0,
        EntryKind::Commit => 1,
        EntryKind::Proposal => 2,
        EntryKind::Succession => 3,
    }
}
