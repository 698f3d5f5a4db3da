//! Device chains, entry by entry, as they were signed.

use crate::sql::{sql, values};
use crate::{Error, Tx};
use wire::UserId;
use wire::request::SignedEntry;

impl Tx<'_> {
    /// Appends an entry at this place, from 0. `false` when the chain is not exactly that long: read it again.
    ///
    /// # Errors
    /// [`Error::Constraint`] when there is no such user, [`Error`] of the storage.
    pub fn append_chain_entry(&mut self, user: UserId, place: u32, entry: &SignedEntry) -> Result<bool, Error> {
        if self.chain_len(user)? != place {
            return Ok(false);
        }
        let entry = wire::encode(entry);
        let text = sql!(
            "insert into chain_entries (tenant, user_id, place, entry) values ($1, $2, $3, $4) on conflict do nothing"
        );
        Ok(self.session.execute(text, values![self.tenant, user, place, entry])? > 0)
    }

    /// The entries after the first `skip`.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn chain(&self, user: UserId, skip: u32) -> Result<Vec<SignedEntry>, Error> {
        let text =
            sql!("select entry from chain_entries where tenant = $1 and user_id = $2 and place >= $3 order by place");
        self.session.rows(text, values![self.tenant, user, skip], |row| {
            wire::decode(row.bytes(0)?).map(Some).map_err(|_| Error::Malformed)
        })
    }

    /// How many entries there are.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn chain_len(&self, user: UserId) -> Result<u32, Error> {
        let text = sql!("select coalesce(max(place) + 1, 0) from chain_entries where tenant = $1 and user_id = $2");
        Ok(self.session.row(text, values![self.tenant, user], |row| row.number(0))?.unwrap_or(0))
    }
}
