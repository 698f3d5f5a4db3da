//! Device chains, entry by entry, as they were signed.

use crate::sql::{sql, values};
use crate::{Error, Tx};
use wire::request::{ChainChanges, SignedEntry};
use wire::{DeviceId, UserId};

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

    /// Appends as [`Tx::append_chain_entry`] does to a chain that others know, who will learn of it by
    /// [`Tx::chain_changes`].
    ///
    /// # Errors
    /// As [`Tx::append_chain_entry`].
    pub fn extend_chain(&mut self, user: UserId, place: u32, entry: &SignedEntry) -> Result<bool, Error> {
        if !self.append_chain_entry(user, place, entry)? {
            return Ok(false);
        }
        let text = sql!(
            "insert into chain_changes (tenant, change, user_id) \
             select $1, coalesce(max(change), 0) + 1, $2 from chain_changes where tenant = $1"
        );
        self.session.execute(text, values![self.tenant, user])?;
        Ok(true)
    }

    /// Whose chains have grown since a mark, among the users who have a leaf in a conversation where this device has one.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn chain_changes(&self, device: DeviceId, after: u64, limit: u32) -> Result<ChainChanges, Error> {
        let text = sql!(
            "select c.change, c.user_id, case when exists ( \
             select 1 from members own join members other on other.tenant = own.tenant \
             and other.conversation = own.conversation and other.removed_seq is null and other.user_id = c.user_id \
             where own.tenant = $1 and own.device = $2 and own.removed_seq is null) then 1 else 0 end \
             from chain_changes c where c.tenant = $1 and c.change > $3 order by c.change limit $4"
        );
        let rows = self.session.rows(text, values![self.tenant, device, after, limit], |row| {
            Ok(Some((row.number::<u64>(0)?, row.id::<UserId>(1)?, row.number::<u8>(2)? == 1)))
        })?;
        let mark = rows.last().map_or(after, |(change, _, _)| *change);
        let more = rows.len() >= limit as usize;
        let mut users: Vec<UserId> =
            rows.into_iter().filter(|(_, _, shares)| *shares).map(|(_, user, _)| user).collect();
        users.sort_unstable();
        users.dedup();
        Ok(ChainChanges { users, mark, more })
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
