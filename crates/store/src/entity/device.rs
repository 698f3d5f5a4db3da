//! Devices: what a login needs. What a device *is* stands in its user's chain.

use crate::sql::{Row, sql, values};
use crate::{Error, Tx};
use trust::{DevicePublicKey, DeviceState};
use wire::{DeviceId, UnixMillis, UserId};

const DAY_MS: u64 = 24 * 3_600_000;

/// A device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Id.
    pub device: DeviceId,
    /// Whose.
    pub user: UserId,
    /// What it logs in with.
    pub key: DevicePublicKey,
    /// Whether it speaks for its user.
    pub state: DeviceState,
    /// Days since the Unix epoch; 0 for a linked device that has not logged in yet.
    pub last_seen_day: u64,
}

impl Tx<'_> {
    /// Adds an active device. `false` when the id is taken.
    ///
    /// # Errors
    /// [`Error::Constraint`] when there is no such user, [`Error`] of the storage.
    pub fn add_device(
        &mut self,
        device: DeviceId,
        user: UserId,
        key: DevicePublicKey,
        now: UnixMillis,
    ) -> Result<bool, Error> {
        let text = sql!(
            "insert into devices (tenant, device, user_id, device_key, state, last_seen_day) \
             values ($1, $2, $3, $4, 0, $5) on conflict do nothing"
        );
        Ok(self.session.execute(text, values![self.tenant, device, user, key, now / DAY_MS])? > 0)
    }

    /// Adds an active device that was linked, and has not been seen yet. `false` when the id is taken.
    ///
    /// # Errors
    /// As [`Tx::add_device`].
    pub fn add_linked_device(&mut self, device: DeviceId, user: UserId, key: DevicePublicKey) -> Result<bool, Error> {
        self.add_device(device, user, key, 0)
    }

    /// The device with this id.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn device(&self, device: DeviceId) -> Result<Option<Device>, Error> {
        let text = sql!(
            "select device, user_id, device_key, state, last_seen_day from devices where tenant = $1 and device = $2"
        );
        self.session.row(text, values![self.tenant, device], read)
    }

    /// Every device of a user, in whatever state.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn devices_of(&self, user: UserId) -> Result<Vec<Device>, Error> {
        let text = sql!(
            "select device, user_id, device_key, state, last_seen_day from devices \
             where tenant = $1 and user_id = $2 order by device"
        );
        self.session.rows(text, values![self.tenant, user], |row| read(row).map(Some))
    }

    /// Changes whether a device speaks for its user. `false` when there is none.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn set_device_state(&mut self, device: DeviceId, state: DeviceState) -> Result<bool, Error> {
        let number: u8 = match state {
            DeviceState::Active => 0,
            DeviceState::Revoked => 1,
            DeviceState::Closed => 2,
        };
        let text = sql!("update devices set state = $3 where tenant = $1 and device = $2");
        Ok(self.session.execute(text, values![self.tenant, device, number])? > 0)
    }

    /// Notes the day on which a device was seen. Writes at most once a day.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn touch_device(&mut self, device: DeviceId, now: UnixMillis) -> Result<(), Error> {
        let text =
            sql!("update devices set last_seen_day = $3 where tenant = $1 and device = $2 and last_seen_day < $3");
        self.session.execute(text, values![self.tenant, device, now / DAY_MS]).map(drop)
    }
}

fn read(row: &Row<'_>) -> Result<Device, Error> {
    let state = match row.number(3)? {
        0 => DeviceState::Active,
        1 => DeviceState::Revoked,
        2 => DeviceState::Closed,
        _ => return Err(Error::Malformed),
    };
    let key = DevicePublicKey::from_bytes(row.array(2)?);
    Ok(Device { device: row.id(0)?, user: row.id(1)?, key, state, last_seen_day: row.number(4)? })
}
