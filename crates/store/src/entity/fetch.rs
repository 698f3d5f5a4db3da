//! Reading a conversation's log.

use super::append::{PAYLOAD, kind};
use super::conversation::row;
use crate::sql::{sql, values};
use crate::{Error, Tx};
use keyring::{DataKey, KeyUse};
use wire::request::Fetched;
use wire::{ConversationId, DeviceId, Entry, limits};

/// Entries that are asked of the database at once: PostgreSQL sends them all before the first is looked at, and each may be
/// as large as a frame.
const PART: u32 = 16;

/// How much one answer may still hold.
struct Room {
    entries: u32,
    bytes: usize,
}

impl Tx<'_> {
    /// The entries after `after` that are the device's: after the commit that added it, up to the one that removed it. At
    /// most `limit`, and not more than the limits of the wire. `None` when the device never was a member.
    ///
    /// # Errors
    /// [`Error::Sealed`] when an entry was tampered with, [`Error`] of the storage.
    pub fn fetch_entries(
        &self,
        conversation: ConversationId,
        device: DeviceId,
        after: u64,
        limit: u32,
    ) -> Result<Option<Fetched>, Error> {
        let stays = self.stays(conversation, device)?;
        let (false, Some(head)) = (stays.is_empty(), self.head(conversation)?) else { return Ok(None) };
        let key = self.key(KeyUse::Conversation, conversation.as_bytes())?;
        let mut room = Room { entries: limit.min(limits::FETCH_MAX_ENTRIES), bytes: limits::FETCH_MAX_BYTES };
        let mut entries = Vec::new();
        let mut head_seq = 0;
        for stay in stays {
            head_seq = stay.removed_seq.unwrap_or(head.seq);
            let mut after = after.max(stay.joined_seq);
            while after < head_seq && room.entries > 0 {
                let part = self.entries_between(&key, conversation, after, head_seq, &mut room)?;
                let Some(last) = part.last() else { break };
                after = last.seq;
                entries.extend(part);
            }
        }
        Ok(Some(Fetched { entries, head: head_seq, generation: head.generation }))
    }

    /// The entry at a place, if it is there.
    ///
    /// # Errors
    /// [`Error::Sealed`] when it was tampered with, [`Error`] of the storage.
    pub fn entry_at(&self, conversation: ConversationId, seq: u64) -> Result<Option<Entry>, Error> {
        if self.head(conversation)?.is_none_or(|head| head.seq < seq) {
            return Ok(None);
        }
        let key = self.key(KeyUse::Conversation, conversation.as_bytes())?;
        let mut room = Room { entries: 1, bytes: limits::FETCH_MAX_BYTES };
        Ok(self.entries_between(&key, conversation, seq.saturating_sub(1), seq, &mut room)?.pop())
    }

    /// The commits and proposals after a place, oldest first: what `roster` replays on its last snapshot.
    ///
    /// # Errors
    /// [`Error::Sealed`] when a commit was tampered with, [`Error`] of the storage.
    pub fn commits_after(&self, conversation: ConversationId, seq: u64) -> Result<Vec<Vec<u8>>, Error> {
        let text = sql!(
            "select seq, payload from log_entries where tenant = $1 and conversation = $2 and seq > $3 and kind <> 0 \
             order by seq"
        );
        let key = self.key(KeyUse::Conversation, conversation.as_bytes())?;
        self.session.rows(text, values![self.tenant, conversation, seq], |read| {
            self.open(&key, PAYLOAD, &row(conversation, read.number(0)?), read.bytes(1)?).map(Some)
        })
    }

    fn entries_between(
        &self,
        key: &DataKey,
        conversation: ConversationId,
        after: u64,
        up_to: u64,
        room: &mut Room,
    ) -> Result<Vec<Entry>, Error> {
        let text = sql!(
            "select seq, kind, epoch, sender, message_id, recorded_at, payload, generation from log_entries \
             where tenant = $1 and conversation = $2 and seq > $3 and seq <= $4 order by seq limit $5"
        );
        let limit = room.entries.min(PART);
        let values = values![self.tenant, conversation, after, up_to, limit];
        let mut is_first = room.bytes == limits::FETCH_MAX_BYTES;
        self.session.rows(text, values, |read| {
            let sealed = read.bytes(6)?;
            if sealed.len() > room.bytes && !is_first {
                room.entries = 0;
                return Ok(None);
            }
            is_first = false;
            room.entries = room.entries.saturating_sub(1);
            room.bytes = room.bytes.saturating_sub(sealed.len());
            let seq = read.number(0)?;
            Ok(Some(Entry {
                seq,
                kind: kind(read.number(1)?)?,
                epoch: read.number(2)?,
                sender: read.id(3)?,
                message_id: read.id(4)?,
                at: read.number(5)?,
                payload: self.open(key, PAYLOAD, &row(conversation, seq), sealed)?,
                generation: read.number(7)?,
            }))
        })
    }
}
