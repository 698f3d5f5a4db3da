//! A conversation in pages: its lines from any place, in either direction, at a cost that its length does not change.

use super::conversation::{optional, signed, unsigned};
use super::message::{COLUMNS, MessageRow, read};
use rusqlite::{Connection, Result, Row, params};
use std::fmt;
use std::str::FromStr;
use wire::{ConversationId, MessageId, UnixMillis};

/// Where a line stands among the others. The default is before all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// What the server has not recorded comes last.
    unrecorded: bool,
    generation: u64,
    seq: u64,
    row: i64,
}

/// No place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the place of a line")]
pub struct NotPlace;

/// For user interfaces that keep places as text; read again by [`Place::from_str`], and not meant for people.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unrecorded, generation, seq, row } = self;
        write!(f, "{}.{generation}.{seq}.{row}", u8::from(*unrecorded))
    }
}

impl FromStr for Place {
    type Err = NotPlace;

    fn from_str(text: &str) -> std::result::Result<Self, NotPlace> {
        let parts: Vec<&str> = text.splitn(5, '.').collect();
        let [unrecorded @ ("0" | "1"), generation, seq, row] = parts[..] else { return Err(NotPlace) };
        let number = |text: &str| text.parse::<u64>().map_err(|_| NotPlace);
        Ok(Self {
            unrecorded: unrecorded == "1",
            generation: number(generation)?,
            seq: number(seq)?,
            row: row.parse().map_err(|_| NotPlace)?,
        })
    }
}

/// A line as it is stored, where it stands, and when it expires.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) place: Place,
    pub(crate) expires_at: Option<UnixMillis>,
    pub(crate) line: MessageRow,
}

/// The last lines of a conversation, oldest first.
pub(crate) fn last(db: &Connection, conversation: ConversationId, limit: u32) -> Result<Vec<Placed>> {
    before(db, conversation, Place { unrecorded: true, generation: 0, seq: 0, row: i64::MAX }, limit)
}

/// The lines before a place, the nearest of them, oldest first.
pub(crate) fn before(db: &Connection, conversation: ConversationId, place: Place, limit: u32) -> Result<Vec<Placed>> {
    let mut lines = Vec::new();
    if place.unrecorded {
        let sql = "conversation = ?1 AND seq IS NULL AND line = 1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
        lines = select(db, sql, params![conversation.as_bytes(), place.row, limit])?;
    }
    let rest = limit.saturating_sub(u32::try_from(lines.len()).unwrap_or(u32::MAX));
    let (generation, seq) = if place.unrecorded { (u64::MAX, u64::MAX) } else { (place.generation, place.seq) };
    let sql = "conversation = ?1 AND line = 1 AND seq IS NOT NULL AND (generation, seq) < (?2, ?3)
               ORDER BY generation DESC, seq DESC LIMIT ?4";
    lines.extend(select(db, sql, params![conversation.as_bytes(), signed(generation), signed(seq), rest])?);
    lines.reverse();
    Ok(lines)
}

/// The lines after a place, the nearest of them, oldest first.
pub(crate) fn after(db: &Connection, conversation: ConversationId, place: Place, limit: u32) -> Result<Vec<Placed>> {
    let mut lines = Vec::new();
    if !place.unrecorded {
        let sql = "conversation = ?1 AND line = 1 AND seq IS NOT NULL AND (generation, seq) > (?2, ?3)
                   ORDER BY generation, seq LIMIT ?4";
        let after = params![conversation.as_bytes(), signed(place.generation), signed(place.seq), limit];
        lines = select(db, sql, after)?;
    }
    let row = if place.unrecorded { place.row } else { 0 };
    let rest = limit.saturating_sub(u32::try_from(lines.len()).unwrap_or(u32::MAX));
    let sql = "conversation = ?1 AND seq IS NULL AND line = 1 AND id > ?2 ORDER BY id LIMIT ?3";
    lines.extend(select(db, sql, params![conversation.as_bytes(), row, rest])?);
    Ok(lines)
}

/// Where a message stands, if it is a line.
pub(crate) fn place_of(db: &Connection, conversation: ConversationId, message: MessageId) -> Result<Option<Place>> {
    let sql = "conversation = ?1 AND message_id = ?2 AND line = 1";
    let found = select(db, sql, params![conversation.as_bytes(), message.as_bytes()])?;
    Ok(found.first().map(|placed| placed.place))
}

fn select(db: &Connection, filter: &str, parameters: impl rusqlite::Params) -> Result<Vec<Placed>> {
    let sql = format!("SELECT {COLUMNS}, generation, id, expires_at FROM message WHERE {filter}");
    db.prepare_cached(&sql)?.query_map(parameters, placed)?.collect()
}

fn placed(row: &Row<'_>) -> Result<Placed> {
    let line = read(row)?;
    let place = Place {
        unrecorded: line.seq.is_none(),
        generation: unsigned(row, 8)?,
        seq: line.seq.unwrap_or_default(),
        row: row.get(9)?,
    };
    Ok(Placed { place, expires_at: optional(row, 10)?, line })
}
