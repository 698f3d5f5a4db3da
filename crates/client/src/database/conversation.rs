//! Conversations: how far their log was processed, and which MLS group serves them.

use super::damaged;
use crate::content::Body;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use trust::{EntryHash, Kind};
use wire::{ConversationId, GroupId, UnixMillis, UserId};

/// Where a conversation stands on this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConversationState {
    /// Started here; the key packages of the others are still to be claimed.
    Claiming = 0,
    /// Started here; the group exists, and is being made known to the server and the others.
    Creating = 1,
    /// Messages can be read and sent.
    Active = 2,
    /// The device lost its way and is rejoining.
    Repairing = 3,
    /// The other person's conversation came first: what is unsent moves there.
    Superseded = 4,
    /// The device is no longer a member.
    Left = 5,
    /// The device has said that it leaves; another member carries it out.
    Leaving = 6,
    /// Another device of the person is a member; this one joins from outside.
    Joining = 7,
}

#[derive(Debug, Clone)]
pub(crate) struct ConversationRow {
    pub(crate) id: ConversationId,
    pub(crate) state: ConversationState,
    pub(crate) kind: Kind,
    pub(crate) peer: Option<UserId>,
    pub(crate) group: Option<GroupId>,
    pub(crate) claim_key: Option<[u8; 16]>,
    pub(crate) generation: u32,
    pub(crate) cursor: u64,
    pub(crate) entry_hash: EntryHash,
    pub(crate) acknowledged: u64,
    pub(crate) begins: u64,
    pub(crate) read_up_to: u64,
    pub(crate) forked: bool,
    pub(crate) repaired_at: Option<UnixMillis>,
    pub(crate) renew_at: Option<UnixMillis>,
    pub(crate) sweep_at: Option<UnixMillis>,
    pub(crate) name: Option<String>,
    pub(crate) topic: Option<String>,
    /// Seconds after reading that new messages live; 0: for ever.
    pub(crate) timer: u32,
    /// Whether the device's group is of an epoch that did not come back after a restore ([`crate::restore`]).
    pub(crate) branched: u8,
}

const COLUMNS: &str = "id, state, kind, peer, group_id, claim_key, generation, cursor, entry_hash, acknowledged, begins, \
                       read_up_to, forked, repaired_at, renew_at, name, topic, sweep_at, timer, branched";
/// Hashes of so many recent entries are kept for every conversation.
const LOG_HASHES_KEPT: u64 = 4_096;

impl ConversationRow {
    pub(crate) const fn new(id: ConversationId, kind: Kind, state: ConversationState) -> Self {
        Self {
            id,
            state,
            kind,
            peer: None,
            group: None,
            claim_key: None,
            generation: 0,
            cursor: 0,
            entry_hash: EntryHash::GENESIS,
            acknowledged: 0,
            begins: 0,
            read_up_to: 0,
            forked: false,
            repaired_at: None,
            renew_at: None,
            name: None,
            topic: None,
            sweep_at: None,
            timer: 0,
            branched: 0,
        }
    }

    /// Whether a body says only what the conversation is called anyway: it is told again for those who join.
    pub(crate) fn says_already(&self, body: &Body) -> bool {
        match body {
            Body::Name(name) => self.name.as_ref() == Some(name),
            Body::Topic(topic) => self.topic.as_ref() == Some(topic),
            Body::Timer { seconds } => self.timer == *seconds,
            _ => false,
        }
    }

    /// Takes over what a body in the log says of the conversation.
    pub(crate) fn take_title(&mut self, body: &Body) {
        match body {
            Body::Name(name) => self.name = Some(name.clone()),
            Body::Topic(topic) => self.topic = Some(topic.clone()).filter(|topic| !topic.is_empty()),
            Body::Timer { seconds } => self.timer = *seconds,
            _ => {}
        }
    }
}

pub(crate) fn find(db: &Connection, id: ConversationId) -> Result<Option<ConversationRow>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM conversation WHERE id = ?"))?
        .query_row([id.as_bytes()], read)
        .optional()
}

/// The direct conversation with a person that is in use or will be.
pub(crate) fn find_direct(db: &Connection, peer: UserId) -> Result<Option<ConversationRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM conversation WHERE peer = ? AND kind = 0 AND (state <= 3 OR state = 7) ORDER BY state DESC"
    );
    db.prepare_cached(&sql)?.query_row([peer.as_bytes()], read).optional()
}

/// Conversations with a person that another one has superseded.
pub(crate) fn superseded(db: &Connection, peer: UserId) -> Result<Vec<ConversationId>> {
    let sql = "SELECT id FROM conversation WHERE peer = ? AND kind = 0 AND state = 4";
    db.prepare_cached(sql)?.query_map([peer.as_bytes()], |row| row.get(0).map(ConversationId::from_bytes))?.collect()
}

pub(crate) fn all(db: &Connection) -> Result<Vec<ConversationRow>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM conversation"))?.query_map([], read)?.collect()
}

pub(crate) fn save(db: &Connection, row: &ConversationRow) -> Result<()> {
    let sql = format!(
        "INSERT INTO conversation ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, kind = excluded.kind, peer = excluded.peer,
         group_id = excluded.group_id,
         claim_key = excluded.claim_key, generation = excluded.generation, cursor = excluded.cursor,
         entry_hash = excluded.entry_hash, acknowledged = excluded.acknowledged, begins = excluded.begins,
         read_up_to = excluded.read_up_to, forked = excluded.forked, repaired_at = excluded.repaired_at,
         renew_at = excluded.renew_at,
         name = excluded.name, topic = excluded.topic, sweep_at = excluded.sweep_at, timer = excluded.timer,
         branched = excluded.branched"
    );
    db.prepare_cached(&sql)?.execute(params![
        row.id.as_bytes(),
        row.state as i64,
        row.kind as i64,
        row.peer.as_ref().map(UserId::as_bytes),
        row.group.as_ref().map(GroupId::as_bytes),
        row.claim_key,
        row.generation,
        signed(row.cursor),
        row.entry_hash.0,
        signed(row.acknowledged),
        signed(row.begins),
        signed(row.read_up_to),
        row.forked,
        row.repaired_at.map(signed),
        row.renew_at.map(signed),
        row.name,
        row.topic,
        row.sweep_at.map(signed),
        row.timer,
        row.branched,
    ])?;
    Ok(())
}

pub(crate) fn delete(db: &Connection, id: ConversationId) -> Result<()> {
    db.prepare_cached("DELETE FROM conversation WHERE id = ?")?.execute([id.as_bytes()]).map(|_| ())
}

/// Remembers the hash of the entry that the row's cursor now names, and forgets old ones.
pub(crate) fn remember_hash(db: &Connection, row: &ConversationRow) -> Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO log_hash (conversation, generation, seq, hash) VALUES (?, ?, ?, ?)")?
        .execute(params![row.id.as_bytes(), row.generation, signed(row.cursor), row.entry_hash.0])?;
    if row.cursor.is_multiple_of(64) {
        db.prepare_cached("DELETE FROM log_hash WHERE conversation = ? AND seq < ?")?
            .execute(params![row.id.as_bytes(), signed(row.cursor.saturating_sub(LOG_HASHES_KEPT))])?;
    }
    Ok(())
}

pub(crate) fn save_receipt(db: &Connection, id: ConversationId, user: UserId, read_up_to: u64) -> Result<()> {
    let sql = "INSERT INTO receipt (conversation, user, read_up_to) VALUES (?, ?, ?)
               ON CONFLICT (conversation, user) DO UPDATE SET read_up_to = max(read_up_to, excluded.read_up_to)";
    db.prepare_cached(sql)?.execute(params![id.as_bytes(), user.as_bytes(), signed(read_up_to)]).map(|_| ())
}

pub(crate) fn receipts(db: &Connection, id: ConversationId) -> Result<Vec<(UserId, u64)>> {
    let mut statement = db.prepare_cached("SELECT user, read_up_to FROM receipt WHERE conversation = ?")?;
    let read = |row: &Row<'_>| Ok((UserId::from_bytes(row.get(0)?), unsigned(row, 1)?));
    statement.query_map([id.as_bytes()], read)?.collect()
}

/// SQLite's integers are signed. A number beyond their range comes only from a server that makes it up; it then sorts last.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| damaged())
}

pub(super) fn optional(row: &Row<'_>, column: usize) -> Result<Option<u64>> {
    row.get::<_, Option<i64>>(column)?.map(|number| u64::try_from(number).map_err(|_| damaged())).transpose()
}

fn read(row: &Row<'_>) -> Result<ConversationRow> {
    Ok(ConversationRow {
        id: ConversationId::from_bytes(row.get(0)?),
        state: state(row.get(1)?)?,
        kind: if row.get::<_, i64>(2)? == 0 { Kind::Direct } else { Kind::Group },
        peer: row.get::<_, Option<_>>(3)?.map(UserId::from_bytes),
        group: row.get::<_, Option<_>>(4)?.map(GroupId::from_bytes),
        claim_key: row.get(5)?,
        generation: row.get(6)?,
        cursor: unsigned(row, 7)?,
        entry_hash: EntryHash(row.get(8)?),
        acknowledged: unsigned(row, 9)?,
        begins: unsigned(row, 10)?,
        read_up_to: unsigned(row, 11)?,
        forked: row.get(12)?,
        repaired_at: optional(row, 13)?,
        renew_at: optional(row, 14)?,
        name: row.get(15)?,
        topic: row.get(16)?,
        sweep_at: optional(row, 17)?,
        timer: row.get(18)?,
        branched: row.get(19)?,
    })
}

fn state(number: i64) -> Result<ConversationState> {
    use ConversationState::{Active, Claiming, Creating, Joining, Leaving, Left, Repairing, Superseded};
    [Claiming, Creating, Active, Repairing, Superseded, Left, Leaving, Joining]
        .into_iter()
        .find(|state| *state as i64 == number)
        .ok_or_else(damaged)
}
