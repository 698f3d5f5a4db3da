//! Guesses at a password, counted per handle, whether anybody has the handle or not.

use crate::sql::{sql, values};
use crate::{Error, Tx};
use rules::attempts::{Attempts, FORGOTTEN_AFTER_MS, Verdict, guess};
use wire::UnixMillis;

impl Tx<'_> {
    /// Asks for a guess at the password of this normalised handle, and counts it if it is allowed. The count is durable
    /// before the caller learns the verdict, and two guesses never share an attempt.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn count_guess(&mut self, normalised_handle: &str, now: UnixMillis) -> Result<Verdict, Error> {
        let subject = self.subject_index(normalised_handle)?;
        // The row exists before it is read, so that it can be locked.
        let text = sql!(
            "insert into attempts (tenant, subject_index, guesses, last_at) values ($1, $2, 0, 0) on conflict do nothing"
        );
        self.session.execute(text, values![self.tenant, subject])?;
        let text = sql!("select guesses, last_at from attempts where tenant = $1 and subject_index = $2 {for update}");
        let read = self.session.row(text, values![self.tenant, subject], |row| {
            Ok(Attempts { count: row.number(0)?, last: row.number(1)? })
        });
        let verdict = guess(read?.unwrap_or_default(), now);
        if let Verdict::Allowed(attempts) = verdict {
            let text = sql!("update attempts set guesses = $3, last_at = $4 where tenant = $1 and subject_index = $2");
            self.session.execute(text, values![self.tenant, subject, attempts.count, attempts.last])?;
        }
        Ok(verdict)
    }

    /// Forgets the guesses: the last one was right.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn forget_guesses(&mut self, normalised_handle: &str) -> Result<(), Error> {
        let subject = self.subject_index(normalised_handle)?;
        let text = sql!("delete from attempts where tenant = $1 and subject_index = $2");
        self.session.execute(text, values![self.tenant, subject]).map(drop)
    }

    /// Deletes counters that no longer count.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn expire_guesses(&mut self, now: UnixMillis) -> Result<usize, Error> {
        let text = sql!("delete from attempts where tenant = $1 and last_at <= $2");
        self.session.execute(text, values![self.tenant, now.saturating_sub(FORGOTTEN_AFTER_MS)])
    }

    fn subject_index(&self, normalised_handle: &str) -> Result<[u8; 32], Error> {
        self.blind("attempts", "subject_index", normalised_handle.as_bytes())
    }
}
