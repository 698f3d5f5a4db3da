//! Rotating a tenant's key: every key below it is wrapped anew, and no data is touched.

use crate::scope::Lock;
use crate::sql::{sql, values};
use crate::{Error, OperatorTx};
use keyring::{KeyName, KeyUse};
use wire::{TenantId, UnixMillis};

impl OperatorTx<'_> {
    /// Gives the tenant a new key and destroys the old ones. Returns the new version.
    ///
    /// # Errors
    /// [`Error::KeyGone`] when there is no such tenant, [`Error`] of the storage.
    pub fn rotate_tenant_key(&mut self, tenant: TenantId, now: UnixMillis) -> Result<u32, Error> {
        self.on(tenant);
        self.session.link.lock(Lock::RotateKey(tenant));
        let version = self.session.current_tenant_key(tenant)?.version().checked_add(1).ok_or(Error::Malformed)?;
        let (new, wrapped_new) = self.session.keys.root.create_tenant_key(tenant, version)?;
        self.insert_tenant_key(&new, &wrapped_new, now)?;
        for (name, wrapped) in self.data_keys(tenant)? {
            let old = self.session.tenant_key(tenant, keyring::envelope::key_version(&wrapped)?)?;
            let wrapped = old.rewrap(&new, name, &wrapped)?;
            let text = sql!(
                "update data_keys set wrapped = $5 where tenant = $1 and key_use = $2 and object = $3 and version = $4"
            );
            let key_use = name.key_use.number();
            self.session.execute(text, values![tenant, key_use, name.object, name.version, wrapped])?;
        }
        let zeros = [0u8; 32 + keyring::envelope::OVERHEAD_BYTES];
        let text = sql!("update tenant_keys set wrapped = $3 where tenant = $1 and version < $2");
        self.session.execute(text, values![tenant, version, zeros])?;
        let text = sql!("delete from tenant_keys where tenant = $1 and version < $2");
        self.session.execute(text, values![tenant, version])?;
        Ok(version)
    }

    fn data_keys(&self, tenant: TenantId) -> Result<Vec<(KeyName, Vec<u8>)>, Error> {
        let text = sql!("select key_use, object, version, wrapped from data_keys where tenant = $1");
        self.session.rows(text, values![tenant], |row| {
            let key_use = match row.number(0)? {
                0 => KeyUse::Tenant,
                1 => KeyUse::User,
                2 => KeyUse::Conversation,
                3 => KeyUse::Index,
                4 => KeyUse::Blob,
                5 => KeyUse::Archive,
                _ => return Err(Error::Malformed),
            };
            let name = KeyName { tenant, key_use, object: row.array(1)?, version: row.number(2)? };
            Ok(Some((name, row.bytes(3)?.to_vec())))
        })
    }
}
