//! `join_start`: the holder of an invite chooses a handle and a password.

use crate::{
    gateway::{failure::Failure, state::Guest},
    password::PasswordError,
};
use wire::{
    ErrorCode,
    request::{JoinChallenge, JoinStart},
};

pub(crate) async fn handle(guest: &Guest, start: JoinStart) -> Result<JoinChallenge, Failure> {
    let handle = super::handle(&start.handle)?;
    let (now, code, wanted) = (guest.clock.now(), start.invite, handle.clone());
    guest
        .tenant
        .store
        .read(move |tx| {
            let invite = tx.invite_by_code(&code)?;
            if !invite.is_some_and(|invite| rules::invite::redeemable(invite.terms, now)) {
                return Err(Failure::from(ErrorCode::InvalidInvite));
            }
            // Only the holder of an invite learns that a handle is taken.
            match tx.user_by_handle(wanted.as_str())? {
                Some(_) => Err(ErrorCode::AlreadyExists.into()),
                None => Ok(()),
            }
        })
        .await?;
    let authority_key = *guest.tenant.authority.as_bytes();
    match guest.tenant.passwords.register(&handle, &start.registration_request) {
        Ok(registration_response) => Ok(JoinChallenge { registration_response, authority_key }),
        Err(PasswordError::Protocol) => Err(ErrorCode::Malformed.into()),
        Err(error) => Err(Failure::internal(error)),
    }
}
