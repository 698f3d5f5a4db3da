//! From a bare connection to a device that has proved itself.

use crate::{DeviceId, TenantId, UnixMillis, UserId};
use minicbor::{Decode, Encode};

/// The first request of every connection.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hello {
    /// The protocol version that the client speaks: 1.
    #[n(0)]
    pub version: u16,
    /// The tenant's name.
    #[n(1)]
    pub tenant: String,
    /// Program and version, for the operator.
    #[n(2)]
    pub agent: String,
}

/// The server's answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Greeting {
    /// The tenant's id.
    #[n(0)]
    pub tenant: TenantId,
    /// 32 random bytes of this connection, to be signed in [`Authenticate`]; good for one attempt.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub challenge: [u8; 32],
    /// The server's clock.
    #[n(2)]
    pub now: UnixMillis,
    /// The MLS cipher suite of the tenant's new groups (RFC 9420 §17.1).
    #[n(3)]
    pub suite: u16,
}

/// Redeems an invite, first half: OPAQUE registration (RFC 9807 §5).
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct JoinStart {
    /// The invite's code. A bearer secret.
    #[n(0)]
    pub invite: String,
    /// The handle that the person chose.
    #[n(1)]
    pub handle: String,
    /// OPAQUE `RegistrationRequest`.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub registration_request: Vec<u8>,
}

/// The answer to [`JoinStart`].
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct JoinChallenge {
    /// OPAQUE `RegistrationResponse`.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub registration_response: Vec<u8>,
    /// The public key with which the tenant closes the chains of leavers (Ed25519). The device pins it.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub authority_key: [u8; 32],
}

/// Redeems an invite, second half. Repeating it with the same device and user answers the same.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct JoinFinish {
    /// The invite's code.
    #[n(0)]
    pub invite: String,
    /// The handle, as in [`JoinStart`].
    #[n(1)]
    pub handle: String,
    /// OPAQUE `RegistrationUpload` (the record).
    #[cbor(n(2), with = "minicbor::bytes")]
    pub registration_upload: Vec<u8>,
    /// The chain's first entry, `Open`; it names user and device.
    #[n(3)]
    pub chain_entry: super::SignedEntry,
}

/// A device proves that it holds its key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Authenticate {
    /// Which device.
    #[n(0)]
    pub device: DeviceId,
    /// Ed25519 over the challenge with tenant and device (`trust::login`), 64 bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

/// The answer to [`Authenticate`]: events flow from here on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Authenticated {
    /// Whose device it is.
    #[n(0)]
    pub user: UserId,
    /// The length of the user's chain.
    #[n(1)]
    pub chain_len: u32,
}

/// A person proves the password, first half (OPAQUE, RFC 9807 §6).
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LoginStart {
    /// The person's handle.
    #[n(0)]
    pub handle: String,
    /// OPAQUE `CredentialRequest` with the key-exchange part (KE1).
    #[cbor(n(1), with = "minicbor::bytes")]
    pub ke1: Vec<u8>,
}

/// The answer to [`LoginStart`]; the same in form for handles that do not exist.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LoginChallenge {
    /// OPAQUE KE2.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub ke2: Vec<u8>,
}

/// A person proves the password, second half.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LoginFinish {
    /// OPAQUE KE3.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub ke3: Vec<u8>,
}

/// The person is who they say; the connection may now ask to link a device.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LoggedIn {
    /// Who.
    #[n(0)]
    pub user: UserId,
}

macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        /// Says only what it is: the fields are secrets or come close to one.
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
opaque_debug!(JoinStart, JoinChallenge, JoinFinish, LoginStart, LoginChallenge, LoginFinish);
