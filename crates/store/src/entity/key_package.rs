//! Key packages (RFC 9420 §10): published by devices, handed out once, or as a last resort.

use crate::sql::{Row, sql, values};
use crate::{Error, Tx};
use rules::key_package::{CLAIMS_PER_PAIR_PER_DAY, QUOTA_WINDOW_MS, hand_out_after};
use trust::DeviceState;
use wire::request::{ClaimedKeyPackage, KeyPackagesHeld};
use wire::sabotage::{Defence, stands};
use wire::{DeviceId, UnixMillis, UserId, limits};

/// The same claim repeated within this time gets the same packages.
const CLAIM_KEPT_MS: u64 = 2 * 24 * 3_600_000;

/// A key package to be published, checked by `roster`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKeyPackage {
    /// Its hash reference (RFC 9420 §5.2).
    pub reference: Vec<u8>,
    /// The `MLSMessage`.
    pub package: Vec<u8>,
    /// End of its lifetime.
    pub not_after: UnixMillis,
}

/// A claim on the packages of a user's devices.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Whose quota it counts against.
    pub claimer: UserId,
    /// Which device asks.
    pub device: DeviceId,
    /// Whose packages.
    pub target: UserId,
    /// Only these devices; all active ones when empty.
    pub devices: &'a [DeviceId],
    /// The same key of the same device gets the same packages.
    pub key: [u8; 16],
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// One package of each device that has one; perhaps none.
    Packages(Vec<ClaimedKeyPackage>),
    /// The claimer has asked for this user too often today.
    QuotaExceeded,
    /// The key served a claim on another user.
    KeyReused,
}

impl Tx<'_> {
    /// Keeps one-time packages, as many as there is room for; those that were ever published are passed over.
    ///
    /// # Errors
    /// [`Error::Constraint`] when there is no such device, [`Error`] of the storage.
    pub fn publish_key_packages(
        &mut self,
        device: DeviceId,
        new: &[NewKeyPackage],
        now: UnixMillis,
    ) -> Result<(), Error> {
        let held = self.key_packages_held(device, now)?.one_time as usize;
        for package in new.iter().take(limits::KEY_PACKAGES_MAX.saturating_sub(held)) {
            self.insert_key_package(device, package, false, now)?;
        }
        Ok(())
    }

    /// Puts a last-resort package in the place of the one before.
    ///
    /// # Errors
    /// [`Error::Constraint`] when there is no such device, [`Error`] of the storage.
    pub fn publish_last_resort(&mut self, device: DeviceId, new: &NewKeyPackage, now: UnixMillis) -> Result<(), Error> {
        if !self.insert_key_package(device, new, true, now)? {
            // It is a repeat: the one before was retired then.
            return Ok(());
        }
        let text = sql!(
            "update key_packages set retired_at = $4 \
             where tenant = $1 and device = $2 and last_resort = 1 and retired_at is null and reference <> $3"
        );
        self.session.execute(text, values![self.tenant, device, new.reference, now]).map(drop)
    }

    /// What can still be handed out. A last-resort package that may no longer be handed out counts as used: the device is
    /// to replace it.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn key_packages_held(&self, device: DeviceId, now: UnixMillis) -> Result<KeyPackagesHeld, Error> {
        let text = sql!(
            "select count(*) from key_packages where tenant = $1 and device = $2 and last_resort = 0 \
             and claimed_at is null and uploaded_at > $3 and not_after > $4"
        );
        let uploaded_after = hand_out_after(now);
        let values = values![self.tenant, device, uploaded_after, now];
        let one_time = self.session.row(text, values, |row| row.number(0))?.unwrap_or(0);
        let text = sql!(
            "select 1 from key_packages where tenant = $1 and device = $2 and last_resort = 1 \
             and claimed_at is null and retired_at is null and uploaded_at > $3 and not_after > $4"
        );
        let last_resort_used = self.session.row(text, values, |_| Ok(()))?.is_none();
        Ok(KeyPackagesHeld { one_time, last_resort_used })
    }

    /// Hands out one package of each device. No one-time package is ever handed out twice but to a repeat of its claim.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn claim_key_packages(&mut self, claim: Claim<'_>, now: UnixMillis) -> Result<Claimed, Error> {
        let text = sql!("select target from key_package_claims where tenant = $1 and device = $2 and claim_key = $3");
        let earlier =
            self.session.row(text, values![self.tenant, claim.device, claim.key], |row| row.id::<UserId>(0))?;
        match earlier {
            Some(target) if target == claim.target => return self.claimed_before(claim).map(Claimed::Packages),
            Some(_) => return Ok(Claimed::KeyReused),
            None => {}
        }
        if !self.count_claim(claim, now)? {
            return Ok(Claimed::QuotaExceeded);
        }
        let text = sql!(
            "insert into key_package_claims (tenant, device, claim_key, target, claimed_at) values ($1, $2, $3, $4, $5) \
             on conflict do nothing"
        );
        if self.session.execute(text, values![self.tenant, claim.device, claim.key, claim.target, now])? == 0 {
            // The same claim was made elsewhere at this moment, and is there now.
            return self.claim_key_packages(claim, now);
        }
        let mut packages = Vec::new();
        for device in self.devices_of(claim.target)? {
            let wanted = claim.devices.is_empty() || claim.devices.contains(&device.device);
            if wanted && device.state == DeviceState::Active {
                packages.extend(self.hand_out(claim, device.device, now)?);
            }
        }
        Ok(Claimed::Packages(packages))
    }

    /// Deletes every package of a device that no longer speaks for its user.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn withdraw_key_packages(&mut self, device: DeviceId) -> Result<usize, Error> {
        let text = sql!("delete from key_packages where tenant = $1 and device = $2");
        self.session.execute(text, values![self.tenant, device])
    }

    /// Deletes packages whose lifetime is over, old claims, and the content of packages that were handed out long ago;
    /// their references stay, so that they cannot be published again.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn expire_key_packages(&mut self, now: UnixMillis) -> Result<(), Error> {
        let old = now.saturating_sub(CLAIM_KEPT_MS);
        let text = sql!("delete from key_packages where tenant = $1 and not_after <= $2");
        self.session.execute(text, values![self.tenant, now])?;
        let text = sql!("delete from key_package_claims where tenant = $1 and claimed_at <= $2");
        self.session.execute(text, values![self.tenant, old])?;
        let text = sql!("delete from claim_quotas where tenant = $1 and window_start <= $2");
        self.session.execute(text, values![self.tenant, old])?;
        let text = sql!(
            "update key_packages set package = $3 where tenant = $1 and length(package) > 0 \
             and (last_resort = 0 and claimed_at <= $2 or retired_at <= $2)"
        );
        self.session.execute(text, values![self.tenant, old, [0u8; 0]])?;
        Ok(())
    }

    /// `false` when a package with this reference was ever published.
    fn insert_key_package(
        &mut self,
        device: DeviceId,
        new: &NewKeyPackage,
        last_resort: bool,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        let text = sql!(
            "insert into key_packages (tenant, reference, device, last_resort, package, uploaded_at, not_after) \
             values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing"
        );
        let last_resort = u8::from(last_resort);
        let values = values![self.tenant, new.reference, device, last_resort, new.package, now, new.not_after];
        Ok(self.session.execute(text, values)? > 0)
    }

    fn claimed_before(&self, claim: Claim<'_>) -> Result<Vec<ClaimedKeyPackage>, Error> {
        let text = sql!(
            "select i.target_device, p.package from key_package_claim_items i \
             join key_packages p on p.tenant = i.tenant and p.reference = i.reference \
             where i.tenant = $1 and i.device = $2 and i.claim_key = $3 order by i.target_device"
        );
        self.session.rows(text, values![self.tenant, claim.device, claim.key], |row| {
            Ok(Some(ClaimedKeyPackage { device: row.id(0)?, bytes: row.bytes(1)?.to_vec() }))
        })
    }

    fn count_claim(&mut self, claim: Claim<'_>, now: UnixMillis) -> Result<bool, Error> {
        let text = sql!(
            "insert into claim_quotas (tenant, claimer, target, window_start, claims) values ($1, $2, $3, $4, 1) \
             on conflict (tenant, claimer, target, window_start) do update set claims = claim_quotas.claims + 1 \
             where claim_quotas.claims < $5"
        );
        let window_start = now - now % QUOTA_WINDOW_MS;
        let values = values![self.tenant, claim.claimer, claim.target, window_start, CLAIMS_PER_PAIR_PER_DAY];
        Ok(self.session.execute(text, values)? > 0 || !stands(Defence::ClaimQuota))
    }

    fn hand_out(
        &mut self,
        claim: Claim<'_>,
        device: DeviceId,
        now: UnixMillis,
    ) -> Result<Option<ClaimedKeyPackage>, Error> {
        let one_time = sql!(
            "update key_packages set claimed_at = $4 where tenant = $1 and claimed_at is null and reference = ( \
             select reference from key_packages where tenant = $1 and device = $2 and last_resort = 0 \
             and claimed_at is null and uploaded_at > $3 and not_after > $4 \
             order by uploaded_at, reference limit 1 {for update skip locked}) \
             returning reference, package"
        );
        let last_resort = sql!(
            "update key_packages set claimed_at = coalesce(claimed_at, $4) where tenant = $1 and device = $2 \
             and last_resort = 1 and retired_at is null and uploaded_at > $3 and not_after > $4 \
             returning reference, package"
        );
        let uploaded_after = hand_out_after(now);
        let values = values![self.tenant, device, uploaded_after, now];
        let read = |row: &Row<'_>| Ok((row.bytes(0)?.to_vec(), row.bytes(1)?.to_vec()));
        let again = sql!(
            "select reference, package from key_packages where tenant = $1 and device = $2 and last_resort = 0 \
             and uploaded_at > $3 and not_after > $4 order by uploaded_at limit 1"
        );
        let one_time = if stands(Defence::ClaimOnce) { one_time } else { again };
        let package = match self.session.row(one_time, values, read)? {
            Some(package) => Some(package),
            None => self.session.row(last_resort, values, read)?,
        };
        let Some((reference, bytes)) = package else { return Ok(None) };
        let text = sql!(
            "insert into key_package_claim_items (tenant, device, claim_key, target_device, reference) \
             values ($1, $2, $3, $4, $5)"
        );
        self.session.execute(text, values![self.tenant, claim.device, claim.key, device, reference])?;
        Ok(Some(ClaimedKeyPackage { device, bytes }))
    }
}
