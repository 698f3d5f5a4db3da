//! Link offers: what a new device and the device that confirms it leave for each other. Neither can be read here.

use crate::schema::{SealedColumn, sealed};
use crate::sql::{Row, sql, values};
use crate::{Error, Tx};
use keyring::KeyUse;
use rules::link::{ANSWER_LIFE_MS, OFFER_LIFE_MS, OFFERS_PER_USER, is_good};
use wire::{DeviceId, UnixMillis, UserId};

const OFFER: SealedColumn = sealed("link_offers", "offer");
const ANSWER: SealedColumn = sealed("link_offers", "answer");

/// What came of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It waits.
    Kept,
    /// It was answered already.
    Answered,
    /// Too many offers of the user wait.
    TooMany,
}

/// An offer that waits, or was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkOffer {
    /// As the new device sealed it.
    pub offer: Vec<u8>,
    /// As the device that confirmed sealed it.
    pub answer: Option<Vec<u8>>,
}

impl Tx<'_> {
    /// Keeps an offer, in place of an earlier one of the same id that nobody has answered.
    ///
    /// # Errors
    /// [`Error::Constraint`] when there is no such user, [`Error`] of the storage.
    pub fn offer_link(
        &mut self,
        user: UserId,
        lookup: &[u8; 32],
        offer: &[u8],
        now: UnixMillis,
    ) -> Result<Offered, Error> {
        let waiting = self.link_offer(user, lookup, now)?;
        if waiting.as_ref().is_some_and(|waiting| waiting.answer.is_some()) {
            return Ok(Offered::Answered);
        }
        if waiting.is_none() && self.offers_waiting(user, now)? >= OFFERS_PER_USER {
            return Ok(Offered::TooMany);
        }
        let key = self.key(KeyUse::User, user.as_bytes())?;
        let offer = self.seal(&key, OFFER, &row(user, lookup), offer)?;
        let text = sql!(
            "insert into link_offers (tenant, user_id, lookup, offer, expires_at) values ($1, $2, $3, $4, $5) \
             on conflict (tenant, user_id, lookup) do update set offer = excluded.offer, answer = null, device = null, \
             expires_at = excluded.expires_at"
        );
        let expires_at = now.saturating_add(OFFER_LIFE_MS);
        self.session.execute(text, values![self.tenant, user, *lookup, offer, expires_at])?;
        Ok(Offered::Kept)
    }

    /// The offer of a user's new device, while it is good.
    ///
    /// # Errors
    /// [`Error::Sealed`] when the row was tampered with, [`Error`] of the storage.
    pub fn link_offer(&self, user: UserId, lookup: &[u8; 32], now: UnixMillis) -> Result<Option<LinkOffer>, Error> {
        let text = sql!(
            "select offer, answer, expires_at from link_offers where tenant = $1 and user_id = $2 and lookup = $3"
        );
        let read = |row: &Row<'_>| {
            let answer = row.optional(1, |row| Ok(row.bytes(1)?.to_vec()))?;
            Ok((row.bytes(0)?.to_vec(), answer, row.number::<u64>(2)?))
        };
        let found = self.session.row(text, values![self.tenant, user, *lookup], read)?;
        let Some((offer, answer, _)) = found.filter(|(_, _, expires_at)| is_good(*expires_at, now)) else {
            return Ok(None);
        };
        let key = self.key(KeyUse::User, user.as_bytes())?;
        let place = row(user, lookup);
        let offer = self.open(&key, OFFER, &place, &offer)?;
        let answer = answer.map(|answer| self.open(&key, ANSWER, &place, &answer)).transpose()?;
        Ok(Some(LinkOffer { offer, answer }))
    }

    /// Leaves the answer for the new device; it waits longer than the offer would have. `false` without an offer.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn answer_link(
        &mut self,
        user: UserId,
        lookup: &[u8; 32],
        device: DeviceId,
        answer: &[u8],
        now: UnixMillis,
    ) -> Result<bool, Error> {
        let key = self.key(KeyUse::User, user.as_bytes())?;
        let answer = self.seal(&key, ANSWER, &row(user, lookup), answer)?;
        let text = sql!(
            "update link_offers set answer = $4, device = $5, expires_at = $6 \
             where tenant = $1 and user_id = $2 and lookup = $3"
        );
        let expires_at = now.saturating_add(ANSWER_LIFE_MS);
        Ok(self.session.execute(text, values![self.tenant, user, *lookup, answer, device, expires_at])? > 0)
    }

    /// Deletes the offer of a device: it has what it needs, or will not get it.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn finish_link(&mut self, device: DeviceId) -> Result<(), Error> {
        let text = sql!("delete from link_offers where tenant = $1 and device = $2");
        self.session.execute(text, values![self.tenant, device]).map(drop)
    }

    /// Deletes every offer of a user.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn withdraw_links(&mut self, user: UserId) -> Result<(), Error> {
        let text = sql!("delete from link_offers where tenant = $1 and user_id = $2");
        self.session.execute(text, values![self.tenant, user]).map(drop)
    }

    /// Deletes what is no longer good.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn expire_links(&mut self, now: UnixMillis) -> Result<usize, Error> {
        let text = sql!("delete from link_offers where tenant = $1 and expires_at <= $2");
        self.session.execute(text, values![self.tenant, now])
    }

    fn offers_waiting(&self, user: UserId, now: UnixMillis) -> Result<u32, Error> {
        let text = sql!(
            "select count(*) from link_offers where tenant = $1 and user_id = $2 and answer is null and expires_at > $3"
        );
        Ok(self.session.row(text, values![self.tenant, user, now], |row| row.number(0))?.unwrap_or(0))
    }
}

fn row(user: UserId, lookup: &[u8; 32]) -> [u8; 48] {
    let mut row = [0; 48];
    row[..16].copy_from_slice(user.as_bytes());
    row[16..].copy_from_slice(lookup);
    row
}
