//! What a user's devices have read, sealed by them: its days, each with a data key of its own, and what is kept out of it.
//! Its parts are in [`super::segment`].
//!
//! Whoever changes an archive has locked its row in `archives`, which counts what its segments take together: to add them up
//! for each one that comes would take the one writer the longer the more of them there are.

use crate::schema::{SealedColumn, sealed};
use crate::sql::{Row, sql, values};
use crate::{Error, Tx};
use keyring::KeyUse;
use sha2::{Digest, Sha256};
use wire::request::{ArchiveDay, ArchiveDays};
use wire::{ConversationId, UserId};

const WRAPPED: SealedColumn = sealed("archive_days", "wrapped");

/// What came of beginning a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenedDay {
    /// It is new, with a data key of its own.
    New,
    /// It was begun before, and is this one.
    There(ArchiveDay),
}

impl Tx<'_> {
    /// Begins a day of a user's archive, unless there is one. Which days may be begun is decided before (`rules::archive`).
    ///
    /// # Errors
    /// [`Error::Constraint`] when there is no such user, [`Error::Sealed`] when the day that is there was tampered with,
    /// [`Error`] of the storage.
    pub fn open_day(&mut self, user: UserId, new: &ArchiveDay) -> Result<OpenedDay, Error> {
        self.make_archive(user)?;
        if let Some(there) = self.archive_day(user, new.day)? {
            return Ok(OpenedDay::There(there));
        }
        // Not the one that the cache may still have, of a day that was destroyed.
        let key = self.session.create_data_key((self.tenant, KeyUse::Archive, object(user, new.day)))?;
        let wrapped = self.seal(&key, WRAPPED, &row(user, new.day, new.version), &new.wrapped)?;
        let text =
            sql!("insert into archive_days (tenant, user_id, day, version, wrapped) values ($1, $2, $3, $4, $5)");
        self.session.execute(text, values![self.tenant, user, new.day, new.version, wrapped])?;
        Ok(OpenedDay::New)
    }

    /// A day of a user's archive.
    ///
    /// # Errors
    /// [`Error::Sealed`] when it was tampered with, [`Error`] of the storage.
    pub fn archive_day(&self, user: UserId, day: u32) -> Result<Option<ArchiveDay>, Error> {
        let text =
            sql!("select day, version, wrapped from archive_days where tenant = $1 and user_id = $2 and day = $3");
        let found = self.session.row(text, values![self.tenant, user, day], read)?;
        found.map(|sealed| self.open_archive_day(user, sealed)).transpose()
    }

    /// The days of a user's archive after one of them, oldest first.
    ///
    /// # Errors
    /// As [`Tx::archive_day`].
    pub fn days_after(&self, user: UserId, after: Option<u32>, limit: u32) -> Result<ArchiveDays, Error> {
        let text = sql!(
            "select day, version, wrapped from archive_days where tenant = $1 and user_id = $2 and day > $3 \
             order by day limit $4"
        );
        let (after, and_one) = (after.map_or(-1, i64::from), limit.saturating_add(1));
        let found = self.session.rows(text, values![self.tenant, user, after, and_one], |row| read(row).map(Some))?;
        let more = found.len() > limit as usize;
        let days = found.into_iter().take(limit as usize).map(|sealed| self.open_archive_day(user, sealed));
        Ok(ArchiveDays { days: days.collect::<Result<_, _>>()?, more })
    }

    /// Puts a day's key that is sealed under a newer archive key in the place of the one before. `false` when the day is not
    /// there, or has a key of this version or a newer one.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn rewrap_day(&mut self, user: UserId, day: &ArchiveDay) -> Result<bool, Error> {
        self.lock_archive(user)?;
        let text = sql!("select 1 from archive_days where tenant = $1 and user_id = $2 and day = $3 and version < $4");
        if self.session.row(text, values![self.tenant, user, day.day, day.version], |_| Ok(()))?.is_none() {
            return Ok(false);
        }
        let key = self.key(KeyUse::Archive, &object(user, day.day))?;
        let wrapped = self.seal(&key, WRAPPED, &row(user, day.day, day.version), &day.wrapped)?;
        let text =
            sql!("update archive_days set version = $4, wrapped = $5 where tenant = $1 and user_id = $2 and day = $3");
        self.session.execute(text, values![self.tenant, user, day.day, day.version, wrapped])?;
        Ok(true)
    }

    /// Bytes of the segments of a user, as their devices have sealed them.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn archive_bytes_of(&self, user: UserId) -> Result<u64, Error> {
        let text = sql!("select bytes from archives where tenant = $1 and user_id = $2");
        Ok(self.session.row(text, values![self.tenant, user], |row| row.number(0))?.unwrap_or(0))
    }

    /// Keeps a conversation out of a user's archive, and deletes what there is of it; or lets it in again.
    ///
    /// # Errors
    /// [`Error::Constraint`] when there is no such user, [`Error`] of the storage.
    pub fn keep_out(&mut self, user: UserId, conversation: ConversationId, out: bool) -> Result<(), Error> {
        self.make_archive(user)?;
        if !out {
            let text = sql!("delete from archive_kept_out where tenant = $1 and user_id = $2 and conversation = $3");
            return self.session.execute(text, values![self.tenant, user, conversation]).map(drop);
        }
        for text in [
            sql!(
                "insert into archive_kept_out (tenant, user_id, conversation) values ($1, $2, $3) on conflict do nothing"
            ),
            sql!(
                "update archives set bytes = bytes - (select cast(coalesce(sum(s.bytes), 0) as bigint) \
                 from archive_segments s where s.tenant = $1 and s.user_id = $2 and s.conversation = $3) \
                 where tenant = $1 and user_id = $2"
            ),
            sql!("delete from archive_segments where tenant = $1 and user_id = $2 and conversation = $3"),
        ] {
            self.session.execute(text, values![self.tenant, user, conversation])?;
        }
        Ok(())
    }

    /// Whether a user keeps a conversation out of their archive.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn is_kept_out(&self, user: UserId, conversation: ConversationId) -> Result<bool, Error> {
        let text = sql!("select 1 from archive_kept_out where tenant = $1 and user_id = $2 and conversation = $3");
        Ok(self.session.row(text, values![self.tenant, user, conversation], |_| Ok(()))?.is_some())
    }

    /// Destroys days of the tenant that are before this one, whosesoever they are, so many at most: their keys, and with them
    /// what they have sealed, wherever it lies. Returns how many.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn destroy_days_before(&mut self, first: u32, limit: u32) -> Result<usize, Error> {
        let text =
            sql!("select user_id, day from archive_days where tenant = $1 and day < $2 order by user_id, day limit $3");
        let over = self.session.rows(text, values![self.tenant, first, limit], |row| {
            Ok(Some((row.id::<UserId>(0)?, row.number::<u32>(1)?)))
        })?;
        over.iter().try_for_each(|(user, day)| self.destroy_day(*user, *day))?;
        Ok(over.len())
    }

    /// Destroys the whole archive of a user.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn destroy_archive(&mut self, user: UserId) -> Result<(), Error> {
        self.lock_archive(user)?;
        let text = sql!("select day from archive_days where tenant = $1 and user_id = $2");
        let days: Vec<u32> = self.session.rows(text, values![self.tenant, user], |row| row.number(0).map(Some))?;
        days.iter().try_for_each(|day| self.destroy_key(KeyUse::Archive, &object(user, *day)))?;
        // Days, segments and what is kept out go with it.
        let text = sql!("delete from archives where tenant = $1 and user_id = $2");
        self.session.execute(text, values![self.tenant, user]).map(drop)
    }

    fn destroy_day(&mut self, user: UserId, day: u32) -> Result<(), Error> {
        self.lock_archive(user)?;
        self.destroy_key(KeyUse::Archive, &object(user, day))?;
        for text in [
            sql!(
                "update archives set bytes = bytes - (select cast(coalesce(sum(s.bytes), 0) as bigint) \
                 from archive_segments s where s.tenant = $1 and s.user_id = $2 and s.day = $3) \
                 where tenant = $1 and user_id = $2"
            ),
            // Its segments go with it.
            sql!("delete from archive_days where tenant = $1 and user_id = $2 and day = $3"),
        ] {
            self.session.execute(text, values![self.tenant, user, day])?;
        }
        Ok(())
    }

    /// Makes a user's archive if there is none, and locks it.
    fn make_archive(&mut self, user: UserId) -> Result<(), Error> {
        let text = sql!("insert into archives (tenant, user_id, bytes) values ($1, $2, 0) on conflict do nothing");
        self.session.execute(text, values![self.tenant, user])?;
        self.lock_archive(user).map(drop)
    }

    /// What the segments of a user take together, if there is an archive. Nobody else changes it until the end of the
    /// transaction.
    pub(super) fn lock_archive(&mut self, user: UserId) -> Result<Option<u64>, Error> {
        let text = sql!("select bytes from archives where tenant = $1 and user_id = $2 {for update}");
        self.session.row(text, values![self.tenant, user], |row| row.number(0))
    }

    fn open_archive_day(&self, user: UserId, sealed: ArchiveDay) -> Result<ArchiveDay, Error> {
        let key = self.key(KeyUse::Archive, &object(user, sealed.day))?;
        let wrapped = self.open(&key, WRAPPED, &row(user, sealed.day, sealed.version), &sealed.wrapped)?;
        Ok(ArchiveDay { wrapped, ..sealed })
    }
}

/// What the data key of a day belongs to. It is derived, so that no device chooses it: there is one for each user and day, and
/// none that two share.
pub(super) fn object(user: UserId, day: u32) -> [u8; 16] {
    let digest: [u8; 32] =
        Sha256::new().chain_update(user.as_bytes()).chain_update(day.to_be_bytes()).finalize().into();
    let (object, _) = digest.split_at(16);
    object.try_into().unwrap_or_default()
}

/// What a day's key is sealed for: its row, and which version it is there.
fn row(user: UserId, day: u32, version: u32) -> Vec<u8> {
    [user.as_bytes().as_slice(), &day.to_be_bytes(), &version.to_be_bytes()].concat()
}

/// As it is stored: sealed once more.
fn read(row: &Row<'_>) -> Result<ArchiveDay, Error> {
    Ok(ArchiveDay { day: row.number(0)?, version: row.number(1)?, wrapped: row.bytes(2)?.to_vec() })
}
