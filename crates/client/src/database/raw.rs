//! Entries as they came, for a server that was restored from a backup; and what is known of those that did not come back.

use super::conversation::{ConversationRow, signed};
use super::damaged;
use rusqlite::{Connection, OptionalExtension, Result, params};
use trust::{EntryHash, LeafIdentity};
use wire::{ConversationId, DeviceId, Entry, EntryKind, MessageId, UnixMillis, UserId};

/// So many recent entries of a conversation are kept, ...
const KEPT_ENTRIES: u64 = 2_048;
/// ... so many bytes of them, ...
const KEPT_BYTES: u64 = 8 << 20;
/// ... and for so long.
pub(crate) const KEPT_MS: u64 = 14 * 24 * 3_600_000;
/// Old ones are looked for once in so many entries.
const TIDY_EVERY: u64 = 64;

/// A leaf that a commit has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Removed {
    pub(crate) device: DeviceId,
    pub(crate) user: UserId,
}

impl From<&LeafIdentity> for Removed {
    fn from(leaf: &LeafIdentity) -> Self {
        Self { device: leaf.device, user: leaf.user }
    }
}

/// A part of a log, as it is remembered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// Whether the group changed in it.
    pub(crate) has_handshakes: bool,
    /// Who was removed in it; `None` when that is not known of all of it.
    pub(crate) removed: Option<Vec<Removed>>,
}

/// Keeps an entry that was processed.
pub(crate) fn keep(db: &Connection, id: ConversationId, entry: &Entry, now: UnixMillis) -> Result<()> {
    let sql = "INSERT INTO raw_entry (conversation, seq, entry, kept_at) VALUES (?, ?, ?, ?)
               ON CONFLICT (conversation, seq) DO UPDATE SET entry = excluded.entry, kept_at = excluded.kept_at";
    db.prepare_cached(sql)?.execute(params![id.as_bytes(), signed(entry.seq), wire::encode(entry), signed(now)])?;
    if entry.seq.is_multiple_of(TIDY_EVERY) {
        tidy(db, id, entry.seq)?;
    }
    Ok(())
}

/// Keeps the tree of the group that a succession begins beside its entry, which comes with [`keep`].
pub(crate) fn keep_tree(db: &Connection, id: ConversationId, seq: u64, tree: &[u8]) -> Result<()> {
    let sql = "INSERT INTO raw_entry (conversation, seq, entry, tree, kept_at) VALUES (?1, ?2, x'', ?3, 0)
               ON CONFLICT (conversation, seq) DO UPDATE SET tree = excluded.tree";
    db.prepare_cached(sql)?.execute(params![id.as_bytes(), signed(seq), tree]).map(|_| ())
}

/// The entry at a place, and the tree beside it, if they are still kept.
pub(crate) fn find(db: &Connection, id: ConversationId, seq: u64) -> Result<Option<(Entry, Option<Vec<u8>>)>> {
    let sql = "SELECT entry, tree FROM raw_entry WHERE conversation = ? AND seq = ? AND entry <> x''";
    let found = db
        .prepare_cached(sql)?
        .query_row(params![id.as_bytes(), signed(seq)], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?)))
        .optional()?;
    found.map(|(entry, tree)| Ok((wire::decode(&entry).map_err(|_| damaged())?, tree))).transpose()
}

/// Forgets what was kept for too long, of every conversation.
pub(crate) fn forget_old(db: &Connection, now: UnixMillis) -> Result<()> {
    let until = now.saturating_sub(KEPT_MS);
    db.prepare_cached("DELETE FROM raw_entry WHERE kept_at < ?")?.execute([signed(until)]).map(|_| ())
}

fn tidy(db: &Connection, id: ConversationId, head: u64) -> Result<()> {
    let sql = "DELETE FROM raw_entry WHERE conversation = ?1 AND (seq <= ?2 OR seq <= (
                   SELECT max(seq) FROM (SELECT seq, sum(length(entry) + coalesce(length(tree), 0))
                   OVER (ORDER BY seq DESC) AS bytes FROM raw_entry WHERE conversation = ?1) WHERE bytes > ?3))";
    let oldest = head.saturating_sub(KEPT_ENTRIES);
    db.prepare_cached(sql)?.execute(params![id.as_bytes(), signed(oldest), signed(KEPT_BYTES)]).map(|_| ())
}

/// Notes beside the hash of the entry at the row's cursor what it was and whom it removed.
pub(crate) fn note(db: &Connection, row: &ConversationRow, kind: EntryKind, removed: &[Removed]) -> Result<()> {
    let bytes: Vec<u8> =
        removed.iter().flat_map(|leaf| [*leaf.device.as_bytes(), *leaf.user.as_bytes()]).flatten().collect();
    let kind = i64::from(kind != EntryKind::Application);
    let sql = "UPDATE log_hash SET kind = ?4, removed = ?5 WHERE conversation = ?1 AND generation = ?2 AND seq = ?3";
    db.prepare_cached(sql)?
        .execute(params![row.id.as_bytes(), row.generation, signed(row.cursor), kind, bytes])
        .map(|_| ())
}

/// What is remembered of the entries after a place, up to the row's cursor.
pub(crate) fn part_after(db: &Connection, row: &ConversationRow, seq: u64) -> Result<Part> {
    let sql = "SELECT kind, removed FROM log_hash WHERE conversation = ? AND seq > ? ORDER BY seq";
    let mut statement = db.prepare_cached(sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)? != 0, row.get::<_, Option<Vec<u8>>>(1)?));
    let rows: Vec<(bool, Option<Vec<u8>>)> =
        statement.query_map(params![row.id.as_bytes(), signed(seq)], read)?.collect::<Result<_>>()?;
    let is_whole = u64::try_from(rows.len()).unwrap_or_default() >= row.cursor.saturating_sub(seq);
    let has_handshakes = !is_whole || rows.iter().any(|(handshake, _)| *handshake);
    let known = is_whole && rows.iter().all(|(handshake, removed)| removed.is_some() || !handshake);
    let removed = known.then(|| rows.iter().filter_map(|(_, removed)| removed.as_deref()).flat_map(leaves).collect());
    Ok(Part { has_handshakes, removed })
}

fn leaves(bytes: &[u8]) -> impl Iterator<Item = Removed> + '_ {
    let (chunks, _) = bytes.as_chunks::<32>();
    chunks.iter().filter_map(|chunk| {
        let (device, user) = (chunk.first_chunk()?, chunk.last_chunk()?);
        Some(Removed { device: DeviceId::from_bytes(*device), user: UserId::from_bytes(*user) })
    })
}

/// The log goes another way after this place: what is kept of the rest goes, but for the messages.
pub(crate) fn forget_after(db: &Connection, id: ConversationId, seq: u64) -> Result<()> {
    for sql in [
        "DELETE FROM raw_entry WHERE conversation = ? AND seq > ?",
        "DELETE FROM log_hash WHERE conversation = ? AND seq > ?",
    ] {
        db.prepare_cached(sql)?.execute(params![id.as_bytes(), signed(seq)])?;
    }
    let sql = "UPDATE receipt SET read_up_to = min(read_up_to, ?2) WHERE conversation = ?1";
    db.prepare_cached(sql)?.execute(params![id.as_bytes(), signed(seq)]).map(|_| ())
}

/// Messages of a device after a place that can be sent again, oldest first: they are pending from now on.
pub(crate) fn take_back(db: &Connection, id: ConversationId, device: DeviceId, seq: u64) -> Result<Vec<MessageId>> {
    let own =
        "conversation = ?1 AND device = ?2 AND seq > ?3 AND state = 1 AND message_id IS NOT NULL AND content <> x''";
    let values = params![id.as_bytes(), device.as_bytes(), signed(seq)];
    let ids = {
        let mut statement = db.prepare_cached(&format!("SELECT message_id FROM message WHERE {own} ORDER BY seq"))?;
        statement.query_map(values, |row| row.get(0).map(MessageId::from_bytes))?.collect::<Result<Vec<_>>>()?
    };
    db.prepare_cached(&format!("UPDATE message SET state = 0, seq = NULL WHERE {own}"))?.execute(values)?;
    Ok(ids)
}

/// Messages after a place did not come back. Returns how many.
pub(crate) fn mark_lost(db: &Connection, id: ConversationId, seq: u64) -> Result<u64> {
    let sql = "UPDATE message SET lost = 1 WHERE conversation = ? AND seq > ? AND state IN (1, 4, 6)";
    let rows = db.prepare_cached(sql)?.execute(params![id.as_bytes(), signed(seq)])?;
    Ok(u64::try_from(rows).unwrap_or(u64::MAX))
}

/// A message that did not come back was sent again by its author: it stands there now. `false` when there is none of this
/// device under that id.
pub(crate) fn found_again(db: &Connection, row: &ConversationRow, entry: &Entry) -> Result<bool> {
    let sql = "UPDATE message SET lost = 0, generation = ?4, seq = ?5, at = ?6
               WHERE conversation = ?1 AND message_id = ?2 AND device = ?3 AND lost = 1";
    let (place, at) = (signed(entry.seq), signed(entry.at));
    let (id, device) = (entry.message_id.as_bytes(), entry.sender.as_bytes());
    let found = db.prepare_cached(sql)?.execute(params![row.id.as_bytes(), id, device, row.generation, place, at])?;
    Ok(found > 0)
}

/// Notes leaves that were removed in a part that did not come back.
pub(crate) fn add_returned(db: &Connection, id: ConversationId, removed: &[Removed]) -> Result<()> {
    let mut statement =
        db.prepare_cached("INSERT OR REPLACE INTO returned (conversation, device, user) VALUES (?, ?, ?)")?;
    for leaf in removed {
        statement.execute([id.as_bytes(), leaf.device.as_bytes(), leaf.user.as_bytes()])?;
    }
    Ok(())
}

/// Who was removed in a part that did not come back, and was not let in again since.
pub(crate) fn returned(db: &Connection, id: ConversationId) -> Result<Vec<Removed>> {
    let mut statement = db.prepare_cached("SELECT device, user FROM returned WHERE conversation = ?")?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Removed { device: DeviceId::from_bytes(row.get(0)?), user: UserId::from_bytes(row.get(1)?) })
    };
    statement.query_map([id.as_bytes()], read)?.collect()
}

/// A device was let in by a commit that was checked here.
pub(crate) fn forget_returned(db: &Connection, id: ConversationId, device: DeviceId) -> Result<()> {
    let sql = "DELETE FROM returned WHERE conversation = ? AND device = ?";
    db.prepare_cached(sql)?.execute([id.as_bytes(), device.as_bytes()]).map(|_| ())
}

/// The hash of an entry of the log as this device follows it, whichever generation it was processed in.
pub(crate) fn hash_at(db: &Connection, id: ConversationId, seq: u64) -> Result<Option<EntryHash>> {
    db.prepare_cached("SELECT hash FROM log_hash WHERE conversation = ? AND seq = ? ORDER BY generation DESC LIMIT 1")?
        .query_row(params![id.as_bytes(), signed(seq)], |row| row.get(0).map(EntryHash))
        .optional()
}
