//! A link under way, on the new device.

use super::conversation::{signed, unsigned};
use rusqlite::{Connection, OptionalExtension, Result, params};
use vault::DeviceKey;
use vault::link::LinkSecret;
use wire::{DeviceId, TenantId, UnixMillis, UserId};
use zeroize::Zeroizing;

/// What the new device has made, before it is anybody's.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    pub(crate) device_key: DeviceKey,
    pub(crate) secret: LinkSecret,
    /// As it was sealed: its bytes are part of the number and of the answer.
    pub(crate) offer: Vec<u8>,
    /// The length of the chain that it was made on.
    pub(crate) chain_len: u32,
    pub(crate) made_at: UnixMillis,
}

pub(crate) fn load(db: &Connection) -> Result<Option<Link>> {
    let sql = "SELECT tenant, user, device, device_key, secret, offer, chain_len, made_at FROM link";
    db.query_row(sql, [], |row| {
        Ok(Link {
            tenant: TenantId::from_bytes(row.get(0)?),
            user: UserId::from_bytes(row.get(1)?),
            device: DeviceId::from_bytes(row.get(2)?),
            device_key: DeviceKey::from_sealed_storage(&Zeroizing::new(row.get(3)?)),
            secret: LinkSecret::from_sealed_storage(&Zeroizing::new(row.get(4)?)),
            offer: row.get(5)?,
            chain_len: row.get(6)?,
            made_at: unsigned(row, 7)?,
        })
    })
    .optional()
}

pub(crate) fn save(db: &Connection, link: &Link) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO link VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)";
    db.execute(
        sql,
        params![
            link.tenant.as_bytes(),
            link.user.as_bytes(),
            link.device.as_bytes(),
            link.device_key.to_sealed_storage().as_slice(),
            link.secret.to_sealed_storage().as_slice(),
            link.offer,
            link.chain_len,
            signed(link.made_at),
        ],
    )
    .map(|_| ())
}

pub(crate) fn forget(db: &Connection) -> Result<()> {
    db.execute("DELETE FROM link", []).map(|_| ())
}
