//! The client half of OPAQUE (RFC 9807): the server learns nothing from which the password could be read.
//!
//! Stretching takes 64 MiB and a good part of a second: call [`Registration::finish`] and [`Login::finish`] where that
//! does not freeze anything.

use crate::{Entropy, entropy::Rng};
use opaque_ke::{
    ClientLogin, ClientLoginFinishParameters, ClientRegistration, ClientRegistrationFinishParameters,
    CredentialResponse, Identifiers, RegistrationResponse,
};
use std::fmt;
use trust::password::{Suite, context, stretching};
use wire::TenantId;
use zeroize::Zeroizing;

/// Why a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The server's message is not one, or not from a server that keeps the protocol.
    #[error("the server's answer does not fit the password protocol")]
    Protocol,
    /// The password is wrong, or the handle does not exist; the two look the same.
    #[error("handle or password are wrong")]
    WrongPassword,
}

/// A registration that waits for the server's response.
pub struct Registration(ClientRegistration<Suite>);

/// A login that waits for the server's KE2.
pub struct Login(ClientLogin<Suite>);

/// What a finished exchange leaves on the client: a key that only this password gives, and the server never sees.
pub struct ExportKey(Zeroizing<[u8; 64]>);

impl Registration {
    /// Begins: the registration request to send.
    ///
    /// # Errors
    /// [`PasswordError::Protocol`] when the library cannot take the password.
    pub fn start(password: &[u8], entropy: &mut dyn Entropy) -> Result<(Self, Vec<u8>), PasswordError> {
        let start =
            ClientRegistration::<Suite>::start(&mut Rng(entropy), password).map_err(|_| PasswordError::Protocol)?;
        Ok((Self(start.state), start.message.serialize().to_vec()))
    }

    /// Finishes: the registration upload to send.
    ///
    /// # Errors
    /// [`PasswordError::Protocol`].
    pub fn finish(
        self,
        password: &[u8],
        response: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<(Vec<u8>, ExportKey), PasswordError> {
        let response = RegistrationResponse::deserialize(response).map_err(|_| PasswordError::Protocol)?;
        let stretching = stretching();
        let params = ClientRegistrationFinishParameters::new(Identifiers::default(), Some(&stretching));
        let finish =
            self.0.finish(&mut Rng(entropy), password, response, params).map_err(|_| PasswordError::Protocol)?;
        Ok((finish.message.serialize().to_vec(), ExportKey::new(&finish.export_key)))
    }
}

impl Login {
    /// Begins: the KE1 to send.
    ///
    /// # Errors
    /// [`PasswordError::Protocol`] when the library cannot take the password.
    pub fn start(password: &[u8], entropy: &mut dyn Entropy) -> Result<(Self, Vec<u8>), PasswordError> {
        let start = ClientLogin::<Suite>::start(&mut Rng(entropy), password).map_err(|_| PasswordError::Protocol)?;
        Ok((Self(start.state), start.message.serialize().to_vec()))
    }

    /// Finishes: the KE3 to send.
    ///
    /// # Errors
    /// [`PasswordError::WrongPassword`] also when the server lies about the record.
    pub fn finish(
        self,
        tenant: TenantId,
        password: &[u8],
        ke2: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<(Vec<u8>, ExportKey), PasswordError> {
        let ke2 = CredentialResponse::deserialize(ke2).map_err(|_| PasswordError::Protocol)?;
        let (stretching, context) = (stretching(), context(tenant));
        let params = ClientLoginFinishParameters::new(Some(&context), Identifiers::default(), Some(&stretching));
        let finish =
            self.0.finish(&mut Rng(entropy), password, ke2, params).map_err(|_| PasswordError::WrongPassword)?;
        Ok((finish.message.serialize().to_vec(), ExportKey::new(&finish.export_key)))
    }
}

impl ExportKey {
    fn new(bytes: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 64]);
        // SHA-512's output: the lengths are equal by the suite.
        key.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Self(key)
    }

    /// The key's 64 bytes.
    pub fn expose(&self) -> &[u8; 64] {
        &self.0
    }
}

macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
opaque_debug!(Registration, Login, ExportKey);
