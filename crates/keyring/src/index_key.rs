//! Blind indexes: a keyed hash stands beside a sealed field, so that it can be found by its exact value and by nothing else.

use crate::envelope::{Error, Secret};
use aws_lc_rs::{hkdf, hmac};
use std::fmt;
use wire::TenantId;

/// Makes the blind indexes of one tenant (HMAC-SHA-256).
///
/// It is derived by HKDF from a secret that the tenant key wraps, not from the tenant key itself: else a rotation of the
/// tenant key would have to compute every index anew, and rotations touch no data.
pub struct IndexKey {
    tenant: TenantId,
    key: hmac::Key,
}

impl IndexKey {
    pub(crate) fn derive(tenant: TenantId, secret: &Secret) -> Result<Self, Error> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"mifeng/v1 blind index").extract(secret.as_slice());
        let info = [tenant.as_bytes().as_slice()];
        let okm = prk.expand(&info, hmac::HMAC_SHA256).map_err(|_| Error::Library)?;
        Ok(Self { tenant, key: hmac::Key::from(okm) })
    }

    /// The index of a value in a column. Equal values of one column and tenant have equal indexes, others have not.
    pub fn index(&self, table: &'static str, column: &'static str, value: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for name in [table, column] {
            context.update(&(name.len() as u16).to_be_bytes());
            context.update(name.as_bytes());
        }
        context.update(value);
        let mut index = [0; 32];
        // HMAC-SHA-256 has 32 bytes; zip cannot fail where copy_from_slice could.
        index.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        index
    }
}

impl fmt::Debug for IndexKey {
    /// Whose, never what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexKey").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
