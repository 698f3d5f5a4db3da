//! Messages: one row for every application message of the log, and for those that are still to be sent.

use super::conversation::{ConversationRow, signed};
use super::damaged;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use wire::{ConversationId, DeviceId, MessageId, UnixMillis, UserId};

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
    /// Written here, not yet known to be recorded by the server.
    Pending = 0,
    /// In the conversation's log.
    Recorded = 1,
    /// The server refused it for good.
    Failed = 2,
    /// It could not be decrypted.
    Undecryptable = 3,
    /// It was decrypted, and breaks a rule: another's id, a change to another's message, a false commitment.
    Refused = 4,
    /// Nobody sent it: this device notes what a commit did to the members ([`crate::Notice`]).
    Notice = 5,
    /// Its time is over: only that there was one is left.
    Expired = 6,
}

/// A message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// Place in the log, once recorded.
    pub seq: Option<u64>,
    /// Its id, if it could be read and is its own.
    pub message_id: Option<MessageId>,
    /// From the MLS leaf; absent if it could not be read.
    pub author: Option<UserId>,
    /// The device that sent it.
    pub device: DeviceId,
    /// The server's clock once recorded, else this device's.
    pub at: UnixMillis,
    /// Where it is.
    pub state: MessageState,
    /// The encoded content, exactly as it was sealed; empty if it could not be read or was deleted.
    pub content: Vec<u8>,
    /// Why it failed, could not be read or was refused.
    pub reason: Option<String>,
}

/// What is stored beside the row to find it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: u16,
    pub(crate) line: bool,
    pub(crate) target: Option<MessageId>,
}

pub(super) const COLUMNS: &str = "seq, message_id, author, device, at, state, content, reason";
/// Recorded lines in the order of the log, then those that wait, in the order in which they were written.
const ORDER: &str = "seq IS NULL, generation, seq, id";

impl MessageRow {
    pub(crate) const fn takes_effect(&self) -> bool {
        matches!(self.state, MessageState::Pending | MessageState::Recorded)
    }
}

/// Stores a message and returns its row number.
pub(crate) fn insert(db: &Connection, conversation: &ConversationRow, row: &MessageRow, place: Place) -> Result<i64> {
    let sql = format!(
        "INSERT INTO message (conversation, generation, kind, line, target, {COLUMNS})
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    );
    db.prepare_cached(&sql)?.insert(params![
        conversation.id.as_bytes(),
        conversation.generation,
        place.kind,
        place.line,
        place.target.as_ref().map(MessageId::as_bytes),
        row.seq.map(signed),
        row.message_id.as_ref().map(MessageId::as_bytes),
        row.author.as_ref().map(UserId::as_bytes),
        row.device.as_bytes(),
        signed(row.at),
        row.state as i64,
        row.content,
        row.reason,
    ])
}

/// The line at a place in the log.
pub(crate) fn at_seq(db: &Connection, conversation: ConversationId, seq: u64) -> Result<Option<MessageRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM message WHERE conversation = ? AND seq = ? AND line = 1 ORDER BY generation DESC LIMIT 1"
    );
    db.prepare_cached(&sql)?.query_row(params![conversation.as_bytes(), signed(seq)], read).optional()
}

pub(crate) fn find(db: &Connection, conversation: ConversationId, id: MessageId) -> Result<Option<MessageRow>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM message WHERE conversation = ? AND message_id = ?"))?
        .query_row([conversation.as_bytes(), id.as_bytes()], read)
        .optional()
}

/// The server has recorded a message of this device. Returns whether that was news.
pub(crate) fn set_recorded(
    db: &Connection,
    conversation: &ConversationRow,
    id: MessageId,
    seq: u64,
    at: UnixMillis,
) -> Result<bool> {
    let sql = "UPDATE message SET state = 1, seq = ?3, at = ?4, generation = ?5, reason = NULL
               WHERE conversation = ?1 AND message_id = ?2 AND state IN (0, 2)";
    db.prepare_cached(sql)?
        .execute(params![conversation.id.as_bytes(), id.as_bytes(), signed(seq), signed(at), conversation.generation])
        .map(|rows| rows > 0)
}

pub(crate) fn set_failed(db: &Connection, conversation: ConversationId, id: MessageId, reason: &str) -> Result<()> {
    db.prepare_cached("UPDATE message SET state = 2, reason = ?3 WHERE conversation = ?1 AND message_id = ?2")?
        .execute(params![conversation.as_bytes(), id.as_bytes(), reason])
        .map(|_| ())
}

/// What failed is to be sent after all.
pub(crate) fn set_pending(db: &Connection, conversation: ConversationId, id: MessageId) -> Result<()> {
    let sql = "UPDATE message SET state = 0, reason = NULL WHERE conversation = ?1 AND message_id = ?2 AND state = 2";
    db.prepare_cached(sql)?.execute([conversation.as_bytes(), id.as_bytes()]).map(drop)
}

/// Puts another content in the place of one that was not sealed yet.
pub(crate) fn set_content(db: &Connection, conversation: ConversationId, id: MessageId, content: &[u8]) -> Result<()> {
    let sql = "UPDATE message SET content = ?3 WHERE conversation = ?1 AND message_id = ?2 AND seq IS NULL";
    db.prepare_cached(sql)?.execute(params![conversation.as_bytes(), id.as_bytes(), content]).map(drop)
}

/// Leaves only that there was a message.
pub(crate) fn set_expired(db: &Connection, row: i64) -> Result<()> {
    let sql =
        "UPDATE message SET state = 6, line = 0, content = x'', reason = NULL, lifetime = NULL, expires_at = NULL,
               names_me = 0 WHERE id = ?";
    db.prepare_cached(sql)?.execute([row]).map(|_| ())
}

/// It names the person whose device this is.
pub(crate) fn set_naming(db: &Connection, row: i64) -> Result<()> {
    db.prepare_cached("UPDATE message SET names_me = 1 WHERE id = ?")?.execute([row]).map(|_| ())
}

/// What changes a message, in order.
pub(crate) fn changes(db: &Connection, conversation: ConversationId, target: MessageId) -> Result<Vec<MessageRow>> {
    let sql = format!("SELECT {COLUMNS} FROM message WHERE conversation = ? AND target = ? ORDER BY {ORDER}");
    let mut statement = db.prepare_cached(&sql)?;
    statement.query_map([conversation.as_bytes(), target.as_bytes()], read)?.collect()
}

/// Lines of others after what was read.
pub(crate) fn unread(db: &Connection, conversation: &ConversationRow, own: UserId) -> Result<u64> {
    let sql = "SELECT count(*) FROM message WHERE conversation = ? AND line = 1 AND seq > ? AND author IS NOT ? AND state <> 5";
    let count: i64 = db
        .prepare_cached(sql)?
        .query_row(params![conversation.id.as_bytes(), signed(conversation.read_up_to), own.as_bytes()], |r| {
            r.get(0)
        })?;
    u64::try_from(count).map_err(|_| damaged())
}

/// Lines after what was read that name the person whose device this is.
pub(crate) fn unread_naming(db: &Connection, conversation: &ConversationRow) -> Result<u64> {
    let sql = "SELECT count(*) FROM message WHERE conversation = ? AND names_me = 1 AND seq > ?";
    let count: i64 = db
        .prepare_cached(sql)?
        .query_row(params![conversation.id.as_bytes(), signed(conversation.read_up_to)], |row| row.get(0))?;
    u64::try_from(count).map_err(|_| damaged())
}

/// The place in the log of a person's last message; 0 without one.
pub(crate) fn last_of(db: &Connection, conversation: ConversationId, author: UserId) -> Result<u64> {
    let sql = "SELECT coalesce(max(seq), 0) FROM message WHERE conversation = ? AND author = ?";
    let seq: i64 = db.prepare_cached(sql)?.query_row([conversation.as_bytes(), author.as_bytes()], |row| row.get(0))?;
    u64::try_from(seq).map_err(|_| damaged())
}

pub(super) const UNDECRYPTABLE: &str = "SELECT count(*) FROM message WHERE conversation = ? AND state = 3";

/// How many messages of a conversation could not be decrypted.
pub(crate) fn undecryptable(db: &Connection, conversation: ConversationId) -> Result<u64> {
    let count: i64 = db.prepare_cached(UNDECRYPTABLE)?.query_row([conversation.as_bytes()], |row| row.get(0))?;
    u64::try_from(count).map_err(|_| damaged())
}

/// Whether there is a message at a place in the log.
pub(crate) fn is_at(db: &Connection, conversation: &ConversationRow, seq: u64) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE conversation = ? AND generation = ? AND seq = ?)";
    let place = params![conversation.id.as_bytes(), conversation.generation, signed(seq)];
    db.prepare_cached(sql)?.query_row(place, |row| row.get(0))
}

/// Whether a message of this device waits to be sent.
pub(crate) fn is_waiting(db: &Connection, conversation: ConversationId) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE conversation = ? AND seq IS NULL AND state = 0)";
    db.prepare_cached(sql)?.query_row([conversation.as_bytes()], |row| row.get(0))
}

/// Whether a conversation has no message at all.
pub(crate) fn is_empty(db: &Connection, conversation: ConversationId) -> Result<bool> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM message WHERE conversation = ?)";
    db.prepare_cached(sql)?.query_row([conversation.as_bytes()], |row| row.get(0))
}

/// A message by its row number, and its conversation.
pub(crate) fn by_row(db: &Connection, id: i64) -> Result<Option<(ConversationId, MessageRow)>> {
    let sql = format!("SELECT {COLUMNS}, conversation FROM message WHERE id = ?");
    db.prepare_cached(&sql)?.query_row([id], |row| Ok((ConversationId::from_bytes(row.get(8)?), read(row)?))).optional()
}

pub(super) fn read(row: &Row<'_>) -> Result<MessageRow> {
    use MessageState::{Expired, Failed, Notice, Pending, Recorded, Refused, Undecryptable};
    let number = |column| match row.get::<_, Option<i64>>(column)? {
        Some(number) => u64::try_from(number).map(Some).map_err(|_| damaged()),
        None => Ok(None),
    };
    let state: i64 = row.get(5)?;
    Ok(MessageRow {
        seq: number(0)?,
        message_id: row.get::<_, Option<_>>(1)?.map(MessageId::from_bytes),
        author: row.get::<_, Option<_>>(2)?.map(UserId::from_bytes),
        device: DeviceId::from_bytes(row.get(3)?),
        at: number(4)?.unwrap_or_default(),
        state: [Pending, Recorded, Failed, Undecryptable, Refused, Notice, Expired]
            .into_iter()
            .find(|known| *known as i64 == state)
            .ok_or_else(damaged)?,
        content: row.get(6)?,
        reason: row.get(7)?,
    })
}
