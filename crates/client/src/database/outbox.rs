//! What has to reach the server. A row goes when its outcome is known; until then it is sent again after every connect.

use super::{conversation::signed, damaged, erasable};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use vault::{Entropy, RowKey};
use wire::{ConversationId, MessageId};

/// What a row asks for. Within a conversation the lower number goes first; from messages on, the older row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutboxKind {
    /// Tell the server that the device has joined, or will not.
    Accept = 0,
    /// Make the conversation known to the server.
    Create = 1,
    /// A commit that adds devices.
    Add = 2,
    /// An external commit that replaces the device's own leaf.
    Rejoin = 3,
    /// An application message; its content is in the message of the same id.
    Message = 4,
    /// A change to a group's membership that a person wants. In line with the messages, in the order in which they came.
    Wish = 5,
    /// A proposal to leave.
    Propose = 6,
    /// A change to a group's devices that this device makes by itself: those of its person that are missing come in, those
    /// that are gone go out. Before the messages, so that each is sealed to the right ones.
    Upkeep = 7,
    /// A group that is to take the place of the conversation's group. Before the messages too, and given up rather than let
    /// them wait.
    Succeed = 8,
}

/// Without `Debug`: the input may hold keys.
#[derive(Clone)]
pub(crate) struct OutboxRow {
    pub(crate) id: i64,
    pub(crate) conversation: ConversationId,
    pub(crate) kind: OutboxKind,
    pub(crate) message_id: MessageId,
    /// What the parameters are made from, if not a message.
    pub(crate) input: Option<Vec<u8>>,
    /// The encoded parameters, exactly as they are sent, and the epoch that they were made in.
    pub(crate) parameters: Option<Vec<u8>>,
    pub(crate) epoch: Option<u64>,
}

const COLUMNS: &str = "id, conversation, kind, message_id, input, parameters, epoch,
    (SELECT slot.key FROM erasure_slot slot WHERE slot.id = outbox.slot)";

pub(crate) fn insert(
    db: &Connection,
    conversation: ConversationId,
    kind: OutboxKind,
    message_id: MessageId,
    input: Option<&[u8]>,
    parameters: Option<&[u8]>,
) -> Result<()> {
    let sql = "INSERT INTO outbox (conversation, kind, message_id, input, parameters) VALUES (?, ?, ?, ?, ?)";
    db.prepare_cached(sql)?
        .execute(params![conversation.as_bytes(), kind as i64, message_id.as_bytes(), input, parameters])
        .map(|_| ())
}

/// A rejoin, made for this epoch, with what it has prepared: keys, which are gone with the row.
pub(crate) fn insert_rejoin(
    db: &Connection,
    (conversation, message_id): (ConversationId, MessageId),
    prepared: &[u8],
    (commit, epoch): (&[u8], u64),
    entropy: &mut dyn Entropy,
) -> Result<()> {
    let (key, sealed) = RowKey::seal(message_id.as_bytes(), prepared, entropy);
    let slot = erasable::take(db, &key)?;
    let sql = "INSERT INTO outbox (conversation, kind, message_id, input, parameters, epoch, slot)
               VALUES (?, ?, ?, ?, ?, ?, ?)";
    let (kind, epoch) = (OutboxKind::Rejoin as i64, signed(epoch));
    db.prepare_cached(sql)?
        .execute(params![conversation.as_bytes(), kind, message_id.as_bytes(), sealed, commit, epoch, slot])
        .map(drop)
}

/// Puts messages before those that wait, in their order.
pub(crate) fn insert_first(db: &Connection, conversation: ConversationId, messages: &[MessageId]) -> Result<()> {
    let sql = "INSERT INTO outbox (id, conversation, kind, message_id)
               VALUES ((SELECT coalesce(min(id), 0) - 1 FROM outbox), ?, ?, ?)";
    let mut insert = db.prepare_cached(sql)?;
    for message in messages.iter().rev() {
        insert.execute(params![conversation.as_bytes(), OutboxKind::Message as i64, message.as_bytes()])?;
    }
    Ok(())
}

/// The row of a conversation whose turn it is.
pub(crate) fn first(db: &Connection, conversation: ConversationId) -> Result<Option<OutboxRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM outbox WHERE conversation = ? ORDER BY CASE WHEN kind IN (7, 8) THEN 3 ELSE min(kind, 4) END, id LIMIT 1"
    );
    db.prepare_cached(&sql)?.query_row([conversation.as_bytes()], read).optional()
}

pub(crate) fn find(db: &Connection, conversation: ConversationId, message_id: MessageId) -> Result<Option<OutboxRow>> {
    let sql = format!("SELECT {COLUMNS} FROM outbox WHERE conversation = ? AND message_id = ?");
    db.prepare_cached(&sql)?.query_row([conversation.as_bytes(), message_id.as_bytes()], read).optional()
}

pub(crate) fn find_kind(db: &Connection, conversation: ConversationId, kind: OutboxKind) -> Result<Option<OutboxRow>> {
    let sql = format!("SELECT {COLUMNS} FROM outbox WHERE conversation = ? AND kind = ? ORDER BY id LIMIT 1");
    db.prepare_cached(&sql)?.query_row(params![conversation.as_bytes(), kind as i64], read).optional()
}

/// Every row of a conversation that is made from an input of this kind.
pub(crate) fn all_of_kind(db: &Connection, conversation: ConversationId, kind: OutboxKind) -> Result<Vec<OutboxRow>> {
    let sql = format!("SELECT {COLUMNS} FROM outbox WHERE conversation = ? AND kind = ? ORDER BY id");
    db.prepare_cached(&sql)?.query_map(params![conversation.as_bytes(), kind as i64], read)?.collect()
}

/// Conversations with anything unsent.
pub(crate) fn conversations(db: &Connection) -> Result<Vec<ConversationId>> {
    db.prepare_cached("SELECT DISTINCT conversation FROM outbox")?
        .query_map([], |row| row.get(0).map(ConversationId::from_bytes))?
        .collect()
}

/// Rows of any kind.
pub(crate) fn len(db: &Connection) -> Result<u64> {
    let count: i64 = db.prepare_cached("SELECT count(*) FROM outbox")?.query_row([], |row| row.get(0))?;
    u64::try_from(count).map_err(|_| damaged())
}

pub(crate) fn set_sealed(db: &Connection, id: i64, parameters: Option<&[u8]>, epoch: Option<u64>) -> Result<()> {
    db.prepare_cached("UPDATE outbox SET parameters = ?2, epoch = ?3 WHERE id = ?1")?
        .execute(params![id, parameters, epoch.map(signed)])
        .map(|_| ())
}

/// What was made in a group that no longer serves the conversation is made anew.
pub(crate) fn unseal(db: &Connection, conversation: ConversationId) -> Result<()> {
    let sql = "UPDATE outbox SET parameters = NULL, epoch = NULL WHERE conversation = ? AND kind IN (2, 4, 5, 6, 7)";
    db.prepare_cached(sql)?.execute([conversation.as_bytes()]).map(|_| ())
}

pub(crate) fn set_input(db: &Connection, id: i64, input: &[u8]) -> Result<()> {
    db.prepare_cached("UPDATE outbox SET input = ?2 WHERE id = ?1")?.execute(params![id, input]).map(|_| ())
}

pub(crate) fn delete(db: &Connection, conversation: ConversationId, message_id: MessageId) -> Result<bool> {
    db.prepare_cached("DELETE FROM outbox WHERE conversation = ? AND message_id = ?")?
        .execute([conversation.as_bytes(), message_id.as_bytes()])
        .map(|rows| rows > 0)
}

pub(crate) fn delete_kind(db: &Connection, conversation: ConversationId, kind: OutboxKind) -> Result<()> {
    db.prepare_cached("DELETE FROM outbox WHERE conversation = ? AND kind = ?")?
        .execute(params![conversation.as_bytes(), kind as i64])
        .map(|_| ())
}

/// Moves unsent messages to another conversation, where they are sealed anew; everything else of `from` is dropped.
pub(crate) fn move_messages(db: &Connection, from: ConversationId, to: ConversationId) -> Result<()> {
    db.execute("DELETE FROM outbox WHERE conversation = ? AND kind <> 4", [from.as_bytes()])?;
    db.execute(
        "UPDATE outbox SET conversation = ?2, parameters = NULL, epoch = NULL WHERE conversation = ?1",
        [from.as_bytes(), to.as_bytes()],
    )?;
    db.execute("UPDATE message SET conversation = ?2 WHERE conversation = ?1", [from.as_bytes(), to.as_bytes()])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<OutboxRow> {
    use OutboxKind::{Accept, Add, Create, Message, Propose, Rejoin, Succeed, Upkeep, Wish};
    let kind: i64 = row.get(2)?;
    let message_id = MessageId::from_bytes(row.get(3)?);
    let (mut input, key): (Option<Vec<u8>>, Option<[u8; 32]>) = (row.get(4)?, row.get(7)?);
    if let Some(key) = key {
        let opened = RowKey::from_bytes(key).open(message_id.as_bytes(), input.as_deref().unwrap_or_default());
        input = Some(opened.ok_or_else(damaged)?.to_vec());
    }
    Ok(OutboxRow {
        id: row.get(0)?,
        conversation: ConversationId::from_bytes(row.get(1)?),
        kind: [Accept, Create, Add, Rejoin, Message, Wish, Propose, Upkeep, Succeed]
            .into_iter()
            .find(|k| *k as i64 == kind)
            .ok_or_else(damaged)?,
        message_id,
        input,
        parameters: row.get(5)?,
        epoch: row.get::<_, Option<i64>>(6)?.map(|epoch| u64::try_from(epoch).map_err(|_| damaged())).transpose()?,
    })
}
