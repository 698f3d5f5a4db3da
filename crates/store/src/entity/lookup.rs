//! Look-ups of people, counted per user and for the whole tenant (ATTACKS B13).

use crate::sql::{sql, values};
use crate::{Error, Tx};
use rules::lookup::{Quota, WINDOW_MS};
use wire::sabotage::{Defence, stands};
use wire::{UnixMillis, UserId};

/// Stands for all users of a tenant together; no user has this id.
const EVERYBODY: UserId = UserId::from_bytes([0; 16]);

impl Tx<'_> {
    /// Counts a look-up; `false` when the user or the tenant has had theirs for the day.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn count_lookup(&mut self, user: UserId, quota: Quota, now: UnixMillis) -> Result<bool, Error> {
        let within = self.count_one(user, quota.user, now)? && self.count_one(EVERYBODY, quota.tenant, now)?;
        Ok(within || !stands(Defence::LookupQuota))
    }

    /// Deletes counts of days that are over.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn expire_lookups(&mut self, now: UnixMillis) -> Result<usize, Error> {
        let text = sql!("delete from lookup_quotas where tenant = $1 and window_start <= $2");
        self.session.execute(text, values![self.tenant, now.saturating_sub(WINDOW_MS)])
    }

    fn count_one(&mut self, user: UserId, most: u32, now: UnixMillis) -> Result<bool, Error> {
        let text = sql!(
            "insert into lookup_quotas (tenant, user_id, window_start, lookups) values ($1, $2, $3, 1) \
             on conflict (tenant, user_id, window_start) do update set lookups = lookup_quotas.lookups + 1 \
             where lookup_quotas.lookups < $4"
        );
        let window_start = now - now % WINDOW_MS;
        Ok(self.session.execute(text, values![self.tenant, user, window_start, most])? > 0)
    }
}
