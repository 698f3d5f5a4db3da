//! People whose safety number this person has compared.

use super::conversation::{signed, unsigned};
use rusqlite::{Connection, OptionalExtension, Result, params};
use wire::{UnixMillis, UserId};

/// What was compared.
pub(crate) struct Verified {
    pub(crate) account_key: Vec<u8>,
    /// Entries of the device chain at that time.
    pub(crate) chain_len: u64,
    pub(crate) at: UnixMillis,
}

pub(crate) fn find(db: &Connection, user: UserId) -> Result<Option<Verified>> {
    db.prepare_cached("SELECT account_key, chain_len, at FROM verified WHERE user = ?")?
        .query_row([user.as_bytes()], |row| {
            Ok(Verified { account_key: row.get(0)?, chain_len: unsigned(row, 1)?, at: unsigned(row, 2)? })
        })
        .optional()
}

pub(crate) fn save(db: &Connection, user: UserId, verified: &Verified) -> Result<()> {
    let Verified { account_key, chain_len, at } = verified;
    db.prepare_cached("INSERT OR REPLACE INTO verified (user, account_key, chain_len, at) VALUES (?, ?, ?, ?)")?
        .execute(params![user.as_bytes(), account_key, signed(*chain_len), signed(*at)])
        .map(|_| ())
}

pub(crate) fn delete(db: &Connection, user: UserId) -> Result<()> {
    db.prepare_cached("DELETE FROM verified WHERE user = ?")?.execute([user.as_bytes()]).map(|_| ())
}
