//! What a person wants of a conversation on this device.

use rusqlite::{Connection, OptionalExtension, Result, params};
use wire::ConversationId;

/// The default is what holds for a conversation without a row.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) pinned: bool,
    pub(crate) muted: bool,
    pub(crate) draft: String,
}

pub(crate) fn find(db: &Connection, conversation: ConversationId) -> Result<Local> {
    let read = |row: &rusqlite::Row<'_>| Ok(Local { pinned: row.get(0)?, muted: row.get(1)?, draft: row.get(2)? });
    db.prepare_cached("SELECT pinned, muted, draft FROM local WHERE conversation = ?")?
        .query_row([conversation.as_bytes()], read)
        .optional()
        .map(Option::unwrap_or_default)
}

pub(crate) fn save(db: &Connection, conversation: ConversationId, local: &Local) -> Result<()> {
    let Local { pinned, muted, draft } = local;
    db.prepare_cached("INSERT OR REPLACE INTO local (conversation, pinned, muted, draft) VALUES (?, ?, ?, ?)")?
        .execute(params![conversation.as_bytes(), pinned, muted, draft])
        .map(|_| ())
}

/// What holds for a conversation holds for the one that takes its place, unless something holds for that already.
pub(crate) fn inherit(db: &Connection, from: ConversationId, to: ConversationId) -> Result<()> {
    let sql = "INSERT INTO local (conversation, pinned, muted, draft)
               SELECT ?2, pinned, muted, draft FROM local WHERE conversation = ?1
               ON CONFLICT (conversation) DO UPDATE SET
               pinned = max(pinned, excluded.pinned), muted = max(muted, excluded.muted),
               draft = iif(draft = '', excluded.draft, draft)";
    db.prepare_cached(sql)?.execute([from.as_bytes(), to.as_bytes()]).map(|_| ())
}
