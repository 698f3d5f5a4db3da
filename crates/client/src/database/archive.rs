//! What the person's archive on the server has, the keys for it, and what is still to be changed there.

use super::conversation::{signed, unsigned};
use super::message::{COLUMNS, MessageRow, Place, read};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use vault::{ArchiveKey, DayKey};
use wire::{ConversationId, MessageId, UnixMillis, UserId};
use zeroize::Zeroizing;

/// What belongs into the archive: read here, and neither for the person's devices only nor something that is to disappear.
const WORTHY: &str = "state IN (1, 5) AND kind NOT IN (6, 12) AND lifetime IS NULL AND expires_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM message AS target WHERE target.conversation = message.conversation AND target.message_id = message.target
    AND (target.lifetime IS NOT NULL OR target.expires_at IS NOT NULL OR target.state = 6))";

/// A message on its way into the archive, or out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archivable {
    pub(crate) row: MessageRow,
    pub(crate) place: Place,
    /// It belongs into the archive.
    pub(crate) worthy: bool,
    /// The archive has it.
    pub(crate) archived: bool,
}

/// The first message that belongs into the archive and is not there, of the conversations after this one.
pub(crate) fn first_missing(db: &Connection, after: Option<ConversationId>) -> Result<Option<(ConversationId, u64)>> {
    let sql = format!(
        "SELECT conversation, seq FROM message WHERE archived = 0 AND seq IS NOT NULL AND conversation > ? AND lost = 0
         AND {WORTHY} AND NOT EXISTS (
             SELECT 1 FROM archive_choice WHERE archive_choice.conversation = message.conversation AND out = 1)
         ORDER BY conversation, seq LIMIT 1"
    );
    let found = |row: &Row<'_>| Ok((ConversationId::from_bytes(row.get(0)?), unsigned(row, 1)?));
    let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
    db.prepare_cached(&sql)?.query_row([after], found).optional()
}

/// Messages from a place of the log on, in its order.
pub(crate) fn from(db: &Connection, id: ConversationId, seq: u64, limit: u32) -> Result<Vec<Archivable>> {
    let sql = format!(
        "SELECT {COLUMNS}, kind, line, target, archived, {WORTHY} FROM message
         WHERE conversation = ? AND seq >= ? AND lost = 0 ORDER BY seq LIMIT ?"
    );
    let found = |row: &Row<'_>| {
        let target = row.get::<_, Option<_>>(10)?.map(MessageId::from_bytes);
        let place = Place { kind: row.get(8)?, line: row.get(9)?, target };
        Ok(Archivable { row: read(row)?, place, archived: row.get(11)?, worthy: row.get(12)? })
    };
    db.prepare_cached(&sql)?.query_map(params![id.as_bytes(), signed(seq), limit], found)?.collect()
}

/// Whether this device has processed all entries between two places, both left out: else what is missing may be another
/// device's to archive.
pub(crate) fn has_processed(db: &Connection, id: ConversationId, after: u64, before: u64) -> Result<bool> {
    let between = before.saturating_sub(after).saturating_sub(1);
    if between == 0 {
        return Ok(true);
    }
    let sql = "SELECT count(DISTINCT seq) FROM log_hash WHERE conversation = ? AND seq > ? AND seq < ?";
    let count: i64 =
        db.prepare_cached(sql)?.query_row(params![id.as_bytes(), signed(after), signed(before)], |row| row.get(0))?;
    Ok(count == signed(between))
}

/// The archive has these places.
pub(crate) fn set_archived(db: &Connection, id: ConversationId, first: u64, last: u64) -> Result<()> {
    let sql =
        "UPDATE message SET archived = 1 WHERE conversation = ? AND seq BETWEEN ? AND ? AND archived = 0 AND lost = 0";
    db.prepare_cached(sql)?.execute(params![id.as_bytes(), signed(first), signed(last)]).map(drop)
}

/// The server was restored from a backup: what the archive has is to be seen anew.
pub(crate) fn forget_archived(db: &Connection, id: ConversationId) -> Result<()> {
    let sql = "UPDATE message SET archived = 0 WHERE conversation = ? AND archived = 1";
    db.prepare_cached(sql)?.execute([id.as_bytes()]).map(drop)
}

/// Whether a message is here, by its id or its place.
pub(crate) fn is_here(db: &Connection, id: ConversationId, message: Option<MessageId>, seq: u64) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE conversation = ?1 AND state <> 3 AND (seq = ?3 OR message_id = ?2))";
    let message = message.as_ref().map(MessageId::as_bytes);
    db.prepare_cached(sql)?.query_row(params![id.as_bytes(), message, signed(seq)], |row| row.get(0))
}

/// Whether there is something between two places that could not be read here.
pub(crate) fn has_unreadable(db: &Connection, id: ConversationId, first: u64, last: u64) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE conversation = ? AND seq BETWEEN ? AND ? AND state = 3)";
    db.prepare_cached(sql)?.query_row(params![id.as_bytes(), signed(first), signed(last)], |row| row.get(0))
}

/// Takes away what says that the message at a place could not be read here: it was found.
pub(crate) fn drop_unreadable(db: &Connection, id: ConversationId, seq: u64) -> Result<()> {
    let sql = "DELETE FROM message WHERE conversation = ? AND seq = ? AND state = 3";
    db.prepare_cached(sql)?.execute(params![id.as_bytes(), signed(seq)]).map(drop)
}

/// The generation under which a place stands in the right order among what is here.
pub(crate) fn generation_at(db: &Connection, id: ConversationId, seq: u64) -> Result<u32> {
    let sql = "SELECT coalesce(
                   (SELECT max(generation) FROM message WHERE conversation = ?1 AND seq < ?2),
                   (SELECT min(generation) FROM message WHERE conversation = ?1 AND seq > ?2), 0)";
    db.prepare_cached(sql)?.query_row(params![id.as_bytes(), signed(seq)], |row| row.get(0))
}

/// Whether its author has taken a message back.
pub(crate) fn is_taken_back(db: &Connection, id: ConversationId, message: MessageId, author: UserId) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE conversation = ? AND target = ? AND author = ? AND kind = 4
               AND state = 1)";
    let values = params![id.as_bytes(), message.as_bytes(), author.as_bytes()];
    db.prepare_cached(sql)?.query_row(values, |row| row.get(0))
}

/// A message is taken back: what it and its edits said is to leave the archive, if it is there.
pub(crate) fn blank(db: &Connection, id: ConversationId, message: MessageId, author: UserId) -> Result<()> {
    let sql = "INSERT OR IGNORE INTO archive_blank (conversation, seq) SELECT conversation, seq FROM message
               WHERE conversation = ?1 AND author = ?3 AND (message_id = ?2 OR (target = ?2 AND kind = 3)) AND archived = 1
               AND seq IS NOT NULL";
    let values = params![id.as_bytes(), message.as_bytes(), author.as_bytes()];
    db.prepare_cached(sql)?.execute(values).map(drop)
}

/// A place whose words are to leave the archive.
pub(crate) fn first_blank(db: &Connection) -> Result<Option<(ConversationId, u64)>> {
    let found = |row: &Row<'_>| Ok((ConversationId::from_bytes(row.get(0)?), unsigned(row, 1)?));
    db.prepare_cached("SELECT conversation, seq FROM archive_blank LIMIT 1")?.query_row([], found).optional()
}

/// Places of a conversation whose words are to leave the archive.
pub(crate) fn blanks(db: &Connection, id: ConversationId, first: u64, last: u64) -> Result<Vec<u64>> {
    let mut statement =
        db.prepare_cached("SELECT seq FROM archive_blank WHERE conversation = ? AND seq BETWEEN ? AND ?")?;
    statement.query_map(params![id.as_bytes(), signed(first), signed(last)], |row| unsigned(row, 0))?.collect()
}

/// Their words have left it.
pub(crate) fn blanked(db: &Connection, id: ConversationId, first: u64, last: u64) -> Result<()> {
    let sql = "DELETE FROM archive_blank WHERE conversation = ? AND seq BETWEEN ? AND ?";
    db.prepare_cached(sql)?.execute(params![id.as_bytes(), signed(first), signed(last)]).map(drop)
}

/// The archive keys that this device has, oldest first.
pub(crate) fn keys(db: &Connection) -> Result<Vec<ArchiveKey>> {
    let mut statement = db.prepare_cached("SELECT key FROM archive_key ORDER BY version, id")?;
    statement.query_map([], |row| Ok(ArchiveKey::from_sealed_storage(&Zeroizing::new(row.get(0)?))))?.collect()
}

pub(crate) fn save_key(db: &Connection, key: &ArchiveKey) -> Result<()> {
    db.prepare_cached("INSERT OR IGNORE INTO archive_key (version, key) VALUES (?, ?)")?
        .execute(params![key.version(), key.to_sealed_storage().as_slice()])
        .map(drop)
}

pub(crate) fn day(db: &Connection, day: u32) -> Result<Option<DayKey>> {
    db.prepare_cached("SELECT key FROM archive_day WHERE day = ?")?
        .query_row([day], |row| Ok(DayKey::from_sealed_storage(&Zeroizing::new(row.get(0)?))))
        .optional()
}

pub(crate) fn save_day(db: &Connection, day: u32, key: &DayKey) -> Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO archive_day (day, key) VALUES (?, ?)")?
        .execute(params![day, key.to_sealed_storage().as_slice()])
        .map(drop)
}

/// The server does not have this day any more.
pub(crate) fn forget_day(db: &Connection, day: u32) -> Result<()> {
    db.prepare_cached("DELETE FROM archive_day WHERE day = ?")?.execute([day]).map(drop)
}

/// How far back the archive was read, if it was.
pub(crate) fn read_before(db: &Connection, id: ConversationId) -> Result<Option<u64>> {
    db.prepare_cached("SELECT before FROM history WHERE conversation = ?")?
        .query_row([id.as_bytes()], |row| unsigned(row, 0))
        .optional()
}

pub(crate) fn set_read_before(db: &Connection, id: ConversationId, before: u64, now: UnixMillis) -> Result<()> {
    let sql = "INSERT INTO history (conversation, before, top, since) VALUES (?1, ?2, 0, ?3)
               ON CONFLICT (conversation) DO UPDATE SET before = excluded.before";
    db.prepare_cached(sql)?.execute(params![id.as_bytes(), signed(before), signed(now)]).map(drop)
}

/// The archive has this place, from before the device came.
pub(crate) fn raise_top(db: &Connection, id: ConversationId, top: u64) -> Result<()> {
    let sql = "UPDATE history SET top = max(top, ?2) WHERE conversation = ?1";
    db.prepare_cached(sql)?.execute(params![id.as_bytes(), signed(top)]).map(drop)
}

/// Conversations into which this device came lately, and of which the archive did not have everything yet up to there: with
/// the last place that it had.
pub(crate) fn holes(db: &Connection, since: UnixMillis) -> Result<Vec<(ConversationId, u64)>> {
    let sql =
        "SELECT history.conversation, top FROM history JOIN conversation ON conversation.id = history.conversation
               WHERE since > ? AND top + 1 < begins";
    let found = |row: &Row<'_>| Ok((ConversationId::from_bytes(row.get(0)?), unsigned(row, 1)?));
    db.prepare_cached(sql)?.query_map([signed(since)], found)?.collect()
}

/// Whether the person keeps a conversation out of the archive.
pub(crate) fn is_kept_out(db: &Connection, id: ConversationId) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM archive_choice WHERE conversation = ? AND out = 1)";
    db.prepare_cached(sql)?.query_row([id.as_bytes()], |row| row.get(0))
}

pub(crate) fn choose(db: &Connection, id: ConversationId, out: bool, told: bool) -> Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO archive_choice (conversation, out, told) VALUES (?, ?, ?)")?
        .execute(params![id.as_bytes(), out, told])
        .map(drop)
}

/// A choice of the person that the server does not know.
pub(crate) fn untold(db: &Connection) -> Result<Option<(ConversationId, bool)>> {
    let found = |row: &Row<'_>| Ok((ConversationId::from_bytes(row.get(0)?), row.get(1)?));
    db.prepare_cached("SELECT conversation, out FROM archive_choice WHERE told = 0 LIMIT 1")?
        .query_row([], found)
        .optional()
}
