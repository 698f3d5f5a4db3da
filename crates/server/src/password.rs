//! The server's half of OPAQUE (RFC 9807). The server never sees a password, nor anything that it could be guessed from
//! without the tenant's setup, which the keyring seals.

use crate::random::{self, NoRandomness, SystemRng};
use opaque_ke::{
    CredentialFinalization, CredentialRequest, RegistrationRequest, RegistrationUpload, ServerLogin,
    ServerLoginParameters, ServerRegistration, ServerSetup, errors::ProtocolError,
};
use rules::handle::Handle;
use std::fmt;
use trust::password::{Suite, context};
use wire::TenantId;
use zeroize::Zeroizing;

/// The password keeper of one tenant.
pub struct Passwords {
    tenant: TenantId,
    setup: ServerSetup<Suite>,
}

/// A login between its two halves.
pub struct PendingLogin {
    tenant: TenantId,
    state: Box<ServerLogin<Suite>>,
}

/// Why a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The message is not one of the protocol.
    #[error("not a message of the password protocol")]
    Protocol,
    /// Handle or password are wrong.
    #[error("handle or password are wrong")]
    Wrong,
    /// What the server stored is not usable.
    #[error("a stored password record or setup is damaged")]
    Damaged,
    /// Nothing random could be had.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl Passwords {
    /// Makes a tenant's setup. Losing it makes every password of the tenant useless; keeping it sealed is the caller's.
    ///
    /// # Errors
    /// [`PasswordError::NoRandomness`].
    pub fn create() -> Result<Zeroizing<Vec<u8>>, PasswordError> {
        let mut rng = SystemRng::default();
        let setup = ServerSetup::<Suite>::new(&mut rng);
        rng.finish()?;
        Ok(Zeroizing::new(setup.serialize().to_vec()))
    }

    /// A record that nobody's password opens, for handles that do not exist: in every respect as long as a real one, and as
    /// much work (RFC 9807 §10.9, ATTACKS B13).
    ///
    /// # Errors
    /// [`PasswordError`].
    pub fn fake_record(setup: &[u8]) -> Result<Vec<u8>, PasswordError> {
        let setup = ServerSetup::<Suite>::deserialize(setup).map_err(|_| PasswordError::Damaged)?;
        let mut record = setup.keypair().public().serialize().to_vec();
        // Masking key, and an envelope's nonce and tag.
        record.extend_from_slice(&random::bytes::<{ 64 + 32 + 64 }>()?);
        ServerRegistration::<Suite>::deserialize(&record).map_err(|_| PasswordError::Damaged)?;
        Ok(record)
    }

    /// Opens a tenant's setup.
    ///
    /// # Errors
    /// [`PasswordError::Damaged`].
    pub fn open(tenant: TenantId, setup: &[u8]) -> Result<Self, PasswordError> {
        let setup = ServerSetup::deserialize(setup).map_err(|_| PasswordError::Damaged)?;
        Ok(Self { tenant, setup })
    }

    /// Answers a registration request.
    ///
    /// # Errors
    /// [`PasswordError::Protocol`].
    pub fn register(&self, handle: &Handle, request: &[u8]) -> Result<Vec<u8>, PasswordError> {
        let request = RegistrationRequest::<Suite>::deserialize(request).map_err(|_| PasswordError::Protocol)?;
        let start = ServerRegistration::start(&self.setup, request, handle.as_str().as_bytes());
        Ok(start.map_err(|_| PasswordError::Protocol)?.message.serialize().to_vec())
    }

    /// The record to store for a registration upload.
    ///
    /// # Errors
    /// [`PasswordError::Protocol`].
    pub fn record(upload: &[u8]) -> Result<Vec<u8>, PasswordError> {
        let upload = RegistrationUpload::<Suite>::deserialize(upload).map_err(|_| PasswordError::Protocol)?;
        Ok(ServerRegistration::finish(upload).serialize().to_vec())
    }

    /// Answers a login's first half, from the handle's record or the fake one.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub fn login(&self, handle: &Handle, record: &[u8], ke1: &[u8]) -> Result<(PendingLogin, Vec<u8>), PasswordError> {
        let request = CredentialRequest::deserialize(ke1).map_err(|_| PasswordError::Protocol)?;
        let record = ServerRegistration::deserialize(record).map_err(|_| PasswordError::Damaged)?;
        let context = context(self.tenant);
        let params = ServerLoginParameters { context: Some(&context), ..ServerLoginParameters::default() };
        let mut rng = SystemRng::default();
        let handle = handle.as_str().as_bytes();
        let start = ServerLogin::start(&mut rng, &self.setup, Some(record), request, handle, params);
        let start = start.map_err(|_| PasswordError::Protocol)?;
        rng.finish()?;
        let pending = PendingLogin { tenant: self.tenant, state: Box::new(start.state) };
        Ok((pending, start.message.serialize().to_vec()))
    }
}

impl PendingLogin {
    /// Checks a login's second half.
    ///
    /// # Errors
    /// [`PasswordError::Wrong`], [`PasswordError::Protocol`].
    pub fn finish(self, ke3: &[u8]) -> Result<(), PasswordError> {
        let message = CredentialFinalization::deserialize(ke3).map_err(|_| PasswordError::Protocol)?;
        let context = context(self.tenant);
        let params = ServerLoginParameters { context: Some(&context), ..ServerLoginParameters::default() };
        match self.state.finish(message, params) {
            Ok(_session_key) => Ok(()),
            Err(ProtocolError::InvalidLoginError) => Err(PasswordError::Wrong),
            Err(_) => Err(PasswordError::Protocol),
        }
    }
}

impl fmt::Debug for Passwords {
    /// Whose.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl fmt::Debug for PendingLogin {
    /// Nothing about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingLogin").finish_non_exhaustive()
    }
}
