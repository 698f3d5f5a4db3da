//! Who this device is.

use super::damaged;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use trust::AuthorityPublicKey;
use vault::{AccountKey, DeviceKey};
use wire::{ConversationId, DeviceId, TenantId, UserId};
use zeroize::Zeroizing;

/// The account of this device and its secret keys.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) tenant: TenantId,
    pub(crate) tenant_name: String,
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    pub(crate) handle: String,
    pub(crate) account_key: AccountKey,
    pub(crate) device_key: DeviceKey,
    /// The encoded request that finishes joining, until the server has confirmed it.
    pub(crate) join_finish: Option<Zeroizing<Vec<u8>>>,
    /// The MLS cipher suite of the tenant's new groups.
    pub(crate) suite: u16,
    /// The tenant's authority, which can close the chains of leavers; pinned when this device joined or was linked.
    pub(crate) authority: Option<AuthorityPublicKey>,
}

impl Account {
    /// The group of the person's own devices.
    pub(crate) fn own_group(&self) -> ConversationId {
        self.account_key.own_group(self.tenant, self.user)
    }
}

pub(crate) fn load(db: &Connection) -> Result<Option<Account>> {
    let columns = "SELECT tenant, tenant_name, user, device, handle, account_key, device_key, join_finish, suite, \
                   authority_key FROM account";
    db.query_row(columns, [], read).optional()
}

pub(crate) fn save(db: &Connection, account: &Account) -> Result<()> {
    let mut statement = db.prepare_cached("INSERT OR REPLACE INTO account VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    statement.execute(params![
        account.tenant.as_bytes(),
        account.tenant_name,
        account.user.as_bytes(),
        account.device.as_bytes(),
        account.handle,
        account.account_key.to_sealed_storage().as_slice(),
        account.device_key.to_sealed_storage().as_slice(),
        account.join_finish.as_deref(),
        account.suite,
        account.authority.as_ref().map(AuthorityPublicKey::as_bytes),
    ])?;
    Ok(())
}

/// Forgets an account that never came to be: the invite was refused.
pub(crate) fn forget(db: &Connection) -> Result<()> {
    db.execute("DELETE FROM account", []).map(|_| ())
}

fn read(row: &Row<'_>) -> Result<Account> {
    let key = |bytes: [u8; 32]| Zeroizing::new(bytes);
    Ok(Account {
        tenant: TenantId::from_bytes(row.get(0)?),
        tenant_name: row.get(1)?,
        user: UserId::from_bytes(row.get(2)?),
        device: DeviceId::from_bytes(row.get(3)?),
        handle: row.get(4)?,
        account_key: AccountKey::from_sealed_storage(&key(row.get(5)?)),
        device_key: DeviceKey::from_sealed_storage(&key(row.get(6)?)),
        join_finish: row.get::<_, Option<Vec<u8>>>(7)?.map(Zeroizing::new),
        suite: u16::try_from(row.get::<_, i64>(8)?).map_err(|_| damaged())?,
        authority: row.get::<_, Option<_>>(9)?.map(AuthorityPublicKey::from_bytes),
    })
}
