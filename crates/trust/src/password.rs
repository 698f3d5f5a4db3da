//! The OPAQUE configuration (RFC 9807) that both sides must share: client half in `vault`, server half in `server`.
//!
//! The credential identifier is the normalised handle, client and server identities are left to their public keys, and
//! the context binds the exchange to Mifeng and the tenant.

use argon2::{Algorithm, Argon2, Params, Version};
use opaque_ke::{Ristretto255, TripleDh};
use wire::TenantId;

/// ristretto255, SHA-512, triple Diffie-Hellman, Argon2id.
#[derive(Debug, Clone, Copy)]
pub struct Suite;

impl opaque_ke::CipherSuite for Suite {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, sha2_010::Sha512>;
    type Ksf = Argon2<'static>;
}

/// Memory that stretching one password takes, in KiB.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;

/// The key stretching function, with parameters that are part of the registration and never change for a record:
/// Argon2id, 64 MiB, 3 passes, one lane. RFC 9807 suggests 2 GiB, which phones and browsers do not have.
pub fn stretching() -> Argon2<'static> {
    // These constants are in range, which a test checks; the default is what OPAQUE would otherwise use.
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The context of a login (RFC 9807 §6.4).
pub fn context(tenant: TenantId) -> Vec<u8> {
    [b"mifeng/v1 opaque ".as_slice(), tenant.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretching_has_the_parameters_we_say() {
        let stretching = stretching();
        let params = stretching.params();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (MEMORY_KIB, PASSES, 1));
    }
}
