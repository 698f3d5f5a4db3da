//! Files: how far each is, and of which message.

use super::{ConversationState, damaged};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use wire::{BlobId, ConversationId, MessageId, Parts};

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// It is being prepared: no message announces it yet.
    Draft = 0,
    /// It is on its way to the server; its message follows it.
    Sending = 1,
    /// It is on its way to this device.
    Fetching = 2,
    /// It is on this device, whole.
    Here = 3,
    /// It did not arrive.
    Failed = 4,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRow {
    pub(crate) id: i64,
    pub(crate) blob: BlobId,
    pub(crate) parts: Parts,
    pub(crate) state: FileState,
    pub(crate) paused: bool,
    pub(crate) reason: Option<String>,
}

/// Which message announces a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) conversation: ConversationId,
    pub(crate) message: MessageId,
}

const COLUMNS: &str = "file.id, file.blob, file.bytes, file.state, file.paused, file.reason";

/// Begins a draft; its number.
pub(crate) fn begin(db: &Connection, blob: BlobId, parts: Parts) -> Result<i64> {
    let sql = "INSERT INTO file (blob, bytes, state) VALUES (?, ?, 0)";
    db.prepare_cached(sql)?.insert(params![blob.as_bytes(), bytes(parts)])
}

/// The file of a message is to come here: anew, if there was an attempt before.
pub(crate) fn fetch(db: &Connection, of: Announced, blob: BlobId, parts: Parts) -> Result<()> {
    let sql = "INSERT INTO file (message, blob, bytes, state)
               SELECT id, ?3, ?4, 2 FROM message WHERE conversation = ?1 AND message_id = ?2
               ON CONFLICT (message) DO UPDATE SET state = 2, paused = 0, reason = NULL";
    db.prepare_cached(sql)?
        .execute(params![of.conversation.as_bytes(), of.message.as_bytes(), blob.as_bytes(), bytes(parts)])
        .map(drop)
}

/// A draft is announced by a message, and sets out.
pub(crate) fn announce(db: &Connection, id: i64, of: Announced) -> Result<()> {
    let sql = "UPDATE file SET state = 1, message =
               (SELECT id FROM message WHERE conversation = ?2 AND message_id = ?3) WHERE id = ?1";
    db.prepare_cached(sql)?.execute(params![id, of.conversation.as_bytes(), of.message.as_bytes()]).map(drop)
}

pub(crate) fn by_id(db: &Connection, id: i64) -> Result<Option<FileRow>> {
    let sql = format!("SELECT {COLUMNS} FROM file WHERE id = ?");
    db.prepare_cached(&sql)?.query_row([id], read).optional()
}

/// The file of a message.
pub(crate) fn of(db: &Connection, of: Announced) -> Result<Option<FileRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM message JOIN file ON file.message = message.id WHERE conversation = ? AND message_id = ?"
    );
    db.prepare_cached(&sql)?.query_row([of.conversation.as_bytes(), of.message.as_bytes()], read).optional()
}

/// The message of a file.
pub(crate) fn announced(db: &Connection, id: i64) -> Result<Option<Announced>> {
    let sql = "SELECT conversation, message_id FROM file JOIN message ON message.id = file.message WHERE file.id = ?";
    let read = |row: &Row<'_>| {
        let conversation = ConversationId::from_bytes(row.get(0)?);
        Ok(Announced { conversation, message: MessageId::from_bytes(row.get(1)?) })
    };
    db.prepare_cached(sql)?.query_row([id], read).optional()
}

/// The file that is sent next: the smallest of those whose conversation this device is in.
pub(crate) fn next_to_send(db: &Connection) -> Result<Option<FileRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM file JOIN message ON message.id = file.message
         JOIN conversation ON conversation.id = message.conversation
         WHERE paused = 0 AND file.state = 1 AND conversation.state = ? ORDER BY file.bytes, file.id LIMIT 1"
    );
    db.prepare_cached(&sql)?.query_row([ConversationState::Active as i64], read).optional()
}

/// The file that is fetched next: the smallest.
pub(crate) fn next_to_fetch(db: &Connection) -> Result<Option<FileRow>> {
    let sql = format!("SELECT {COLUMNS} FROM file WHERE paused = 0 AND state = 2 ORDER BY bytes, id LIMIT 1");
    db.prepare_cached(&sql)?.query_row([], read).optional()
}

/// Files that are announced in a conversation by messages that wait to reach the server, or whose file did not.
pub(crate) fn unsent(db: &Connection, conversation: ConversationId) -> Result<Vec<(FileRow, MessageId)>> {
    let sql = format!(
        "SELECT {COLUMNS}, message_id FROM message JOIN file ON file.message = message.id
         WHERE conversation = ? AND seq IS NULL AND (message.state = 0 OR file.state = 4)"
    );
    let read = |row: &Row<'_>| Ok((read(row)?, MessageId::from_bytes(row.get(6)?)));
    db.prepare_cached(&sql)?.query_map([conversation.as_bytes()], read)?.collect()
}

/// A file is another blob from now on: one that the server has sets out anew.
pub(crate) fn set_blob(db: &Connection, id: i64, blob: BlobId) -> Result<()> {
    let sql = "UPDATE file SET blob = ?2, state = iif(state = 3, 1, state) WHERE id = ?1";
    db.prepare_cached(sql)?.execute(params![id, blob.as_bytes()]).map(drop)
}

/// How many wait to reach the server.
pub(crate) fn sending(db: &Connection) -> Result<u64> {
    let sql =
        "SELECT (SELECT count(*) FROM file WHERE state = 1 AND paused = 0) + (SELECT count(*) FROM unwanted_blob)";
    let count: i64 = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    u64::try_from(count).map_err(|_| damaged())
}

pub(crate) fn set_state(db: &Connection, id: i64, state: FileState, reason: Option<&str>) -> Result<()> {
    let sql = "UPDATE file SET state = ?2, reason = ?3 WHERE id = ?1";
    db.prepare_cached(sql)?.execute(params![id, state as i64, reason]).map(drop)
}

pub(crate) fn set_paused(db: &Connection, id: i64, paused: bool) -> Result<()> {
    db.prepare_cached("UPDATE file SET paused = ?2 WHERE id = ?1")?.execute(params![id, paused]).map(drop)
}

pub(crate) fn delete(db: &Connection, id: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM file WHERE id = ?")?.execute([id]).map(drop)
}

/// Deletes drafts of before, and files whose messages say nothing any more. Whether there was one.
pub(crate) fn sweep(db: &Connection, drafts: bool) -> Result<bool> {
    let sql = "DELETE FROM file WHERE (message IS NULL AND ?)
               OR message IN (SELECT id FROM message WHERE content = x'' AND id IN (SELECT message FROM file))";
    Ok(db.prepare_cached(sql)?.execute([drafts])? > 0)
}

/// The server is to destroy a blob.
pub(crate) fn unwant(db: &Connection, blob: BlobId) -> Result<()> {
    db.prepare_cached("INSERT OR IGNORE INTO unwanted_blob VALUES (?)")?.execute([blob.as_bytes()]).map(drop)
}

/// A blob that the server is to destroy.
pub(crate) fn unwanted(db: &Connection) -> Result<Option<BlobId>> {
    db.prepare_cached("SELECT blob FROM unwanted_blob LIMIT 1")?
        .query_row([], |row| row.get(0).map(BlobId::from_bytes))
        .optional()
}

/// It has destroyed it, or never will.
pub(crate) fn forget_unwanted(db: &Connection, blob: BlobId) -> Result<()> {
    db.prepare_cached("DELETE FROM unwanted_blob WHERE blob = ?")?.execute([blob.as_bytes()]).map(drop)
}

fn bytes(parts: Parts) -> i64 {
    // At most some gibibytes.
    parts.bytes().try_into().unwrap_or(i64::MAX)
}

fn read(row: &Row<'_>) -> Result<FileRow> {
    use FileState::{Draft, Failed, Fetching, Here, Sending};
    let (bytes, state): (i64, i64) = (row.get(2)?, row.get(3)?);
    let parts = u64::try_from(bytes).ok().and_then(Parts::of).ok_or_else(damaged)?;
    Ok(FileRow {
        id: row.get(0)?,
        blob: BlobId::from_bytes(row.get(1)?),
        parts,
        state: [Draft, Sending, Fetching, Here, Failed].into_iter().find(|s| *s as i64 == state).ok_or_else(damaged)?,
        paused: row.get(4)?,
        reason: row.get(5)?,
    })
}
