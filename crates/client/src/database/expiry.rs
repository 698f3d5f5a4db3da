//! What is wiped: messages that were taken back, and those whose time is over. `secure_delete` overwrites what they said.

use super::conversation::{ConversationRow, optional, signed};
use super::{message, search};
use crate::content::{Content, Expiry};
use rusqlite::{Connection, Result, Row, params};
use wire::{ConversationId, MessageId, UnixMillis, UserId};

/// Notes when a message expires, or how long after reading. `read`: it counts as read now.
pub(crate) fn set(db: &Connection, id: i64, expiry: Option<Expiry>, read: bool, now: UnixMillis) -> Result<()> {
    let Some(expiry) = expiry.filter(|expiry| !expiry.is_never()) else { return Ok(()) };
    let lifetime = expiry.relative.then_some(expiry.seconds);
    let at = if expiry.relative { read.then(|| expiry.at(now)) } else { Some(expiry.at(now)) };
    db.prepare_cached("UPDATE message SET lifetime = ?2, expires_at = ?3 WHERE id = ?1")?
        .execute(params![id, lifetime, at.map(signed)])
        .map(|_| ())
}

/// Everything up to this place was read now: the time of what expires after reading begins.
pub(crate) fn read(db: &Connection, id: ConversationId, up_to: u64, now: UnixMillis) -> Result<()> {
    let sql = "UPDATE message SET expires_at = ?3 + lifetime * 1000
               WHERE conversation = ?1 AND seq <= ?2 AND lifetime IS NOT NULL AND expires_at IS NULL";
    db.prepare_cached(sql)?.execute(params![id.as_bytes(), signed(up_to), signed(now)]).map(|_| ())
}

/// A message of this person was recorded: its time begins.
pub(crate) fn recorded(db: &Connection, id: ConversationId, message: MessageId, now: UnixMillis) -> Result<()> {
    let sql = "UPDATE message SET expires_at = ?3 + lifetime * 1000
               WHERE conversation = ?1 AND message_id = ?2 AND lifetime IS NOT NULL AND expires_at IS NULL";
    db.prepare_cached(sql)?.execute(params![id.as_bytes(), message.as_bytes(), signed(now)]).map(|_| ())
}

/// When the next message expires. What is still to be sent does not.
pub(crate) fn next(db: &Connection) -> Result<Option<UnixMillis>> {
    let sql = "SELECT min(expires_at) FROM message WHERE expires_at IS NOT NULL AND state <> 0";
    db.prepare_cached(sql)?.query_row([], |row| optional(row, 0))
}

/// Wipes what a deleted message and its edits said. Whether there was anything.
pub(crate) fn wipe_deleted(db: &Connection, id: ConversationId, target: MessageId, author: UserId) -> Result<bool> {
    let sql = "SELECT id, content FROM message WHERE conversation = ?1 AND author = ?3
               AND (message_id = ?2 OR (target = ?2 AND kind = 3))";
    let said: Vec<Said> = db
        .prepare_cached(sql)?
        .query_map(params![id.as_bytes(), target.as_bytes(), author.as_bytes()], Said::read)?
        .collect::<Result<_>>()?;
    for said in &said {
        said.unindex(db)?;
        db.prepare_cached("UPDATE message SET content = x'' WHERE id = ?")?.execute([said.row])?;
    }
    Ok(!said.is_empty())
}

/// Wipes every message whose time is over, with its changes. What stays is that there was one: who, when, which id. Returns
/// the conversations.
pub(crate) fn wipe_expired(db: &Connection, now: UnixMillis) -> Result<Vec<ConversationId>> {
    let sql = "SELECT id, content, conversation, message_id FROM message WHERE expires_at <= ? AND state <> 0";
    let expired: Vec<(Said, ConversationId, Option<MessageId>)> = db
        .prepare_cached(sql)?
        .query_map([signed(now)], |row| {
            let conversation = ConversationId::from_bytes(row.get(2)?);
            Ok((Said::read(row)?, conversation, row.get::<_, Option<_>>(3)?.map(MessageId::from_bytes)))
        })?
        .collect::<Result<_>>()?;
    let mut conversations = Vec::new();
    for (said, conversation, message) in expired {
        said.unindex(db)?;
        message::set_expired(db, said.row)?;
        if let Some(message) = message {
            wipe_changes(db, conversation, message)?;
        }
        if !conversations.contains(&conversation) {
            conversations.push(conversation);
        }
    }
    Ok(conversations)
}

/// Deletes a message that was never sent, as if it had not been written.
pub(crate) fn forget(db: &Connection, id: ConversationId, message: MessageId) -> Result<()> {
    let sql = "SELECT id, content FROM message WHERE conversation = ? AND message_id = ? AND seq IS NULL";
    let said: Vec<Said> = db
        .prepare_cached(sql)?
        .query_map(params![id.as_bytes(), message.as_bytes()], Said::read)?
        .collect::<Result<_>>()?;
    for said in said {
        said.unindex(db)?;
        db.prepare_cached("DELETE FROM message WHERE id = ?")?.execute([said.row])?;
    }
    Ok(())
}

/// Deletes the recorded changes to a message that has expired. One that is still to be sent goes when it is recorded.
pub(crate) fn wipe_changes(db: &Connection, id: ConversationId, target: MessageId) -> Result<()> {
    let sql = "SELECT id, content FROM message WHERE conversation = ? AND target = ? AND state <> 0";
    let said: Vec<Said> = db
        .prepare_cached(sql)?
        .query_map(params![id.as_bytes(), target.as_bytes()], Said::read)?
        .collect::<Result<_>>()?;
    for said in said {
        said.unindex(db)?;
        db.prepare_cached("DELETE FROM message WHERE id = ?")?.execute([said.row])?;
    }
    Ok(())
}

pub(super) const PENDING_TIMER: &str = "SELECT content FROM message
    WHERE conversation = ? AND seq IS NULL AND kind = 10 AND state = 0 ORDER BY id DESC LIMIT 1";

/// The timer that this person has set and the server has not recorded yet, else the conversation's.
pub(crate) fn timer(db: &Connection, conversation: &ConversationRow) -> Result<u32> {
    let pending: Option<Vec<u8>> = db
        .prepare_cached(PENDING_TIMER)?
        .query_map([conversation.id.as_bytes()], |row| row.get(0))?
        .next()
        .transpose()?;
    let timer = pending.and_then(|bytes| Content::from_bytes(&bytes).ok()).and_then(|content| content.body.timer());
    Ok(timer.unwrap_or(conversation.timer))
}

/// What a row said.
struct Said {
    row: i64,
    content: Vec<u8>,
}

impl Said {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self { row: row.get(0)?, content: row.get(1)? })
    }

    fn unindex(&self, db: &Connection) -> Result<()> {
        let content = Content::from_bytes(&self.content).ok();
        match content.as_ref().and_then(|content| content.body.words()) {
            Some(words) => search::remove(db, self.row, words),
            None => Ok(()),
        }
    }
}
