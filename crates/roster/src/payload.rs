//! The outside of an application message: what the server reads of it without being able to open it.

use crate::{Refused, reading};
use openmls::prelude::{ContentType, MlsMessageBodyIn};
use trust::Aad;
use wire::GroupId;

/// The header of a `PrivateMessage` (RFC 9420 §6.3). MLS authenticates it to the members; to the server it is the sender's
/// claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationFacts {
    /// The group that it was sealed for.
    pub group_id: GroupId,
    /// The epoch in which it was sealed.
    pub epoch: u64,
    /// Its authenticated data.
    pub aad: Aad,
}

/// Reads the header of a sealed application message, so that nonsense is refused before it is recorded.
///
/// # Errors
/// [`Refused::Malformed`] when it is not a `PrivateMessage` with application content, [`Refused::Context`] when its group
/// id is not one, [`Refused::AuthenticatedData`].
pub fn check_application(bytes: &[u8]) -> Result<ApplicationFacts, Refused> {
    let MlsMessageBodyIn::PrivateMessage(message) = reading::message(bytes)? else { return Err(Refused::Malformed) };
    if message.content_type() != ContentType::Application {
        return Err(Refused::Malformed);
    }
    let group_id = reading::group_id(message.group_id())?;
    Ok(ApplicationFacts { group_id, epoch: message.epoch().as_u64(), aad: aad(message.aad())? })
}

/// The group and the epoch that a handshake message names.
///
/// # Errors
/// [`Refused::Malformed`] when it is not a `PublicMessage`, [`Refused::Context`] when its group id is not one.
pub fn place(bytes: &[u8]) -> Result<(GroupId, u64), Refused> {
    let MlsMessageBodyIn::PublicMessage(message) = reading::message(bytes)? else { return Err(Refused::Malformed) };
    Ok((reading::group_id(message.group_id())?, message.epoch().as_u64()))
}

/// Reads the authenticated data that every message carries.
///
/// # Errors
/// [`Refused::AuthenticatedData`] when it is not one of a version that is known.
pub fn aad(bytes: &[u8]) -> Result<Aad, Refused> {
    let aad: Aad = wire::decode(bytes).map_err(|_| Refused::AuthenticatedData)?;
    if aad.version == 1 { Ok(aad) } else { Err(Refused::AuthenticatedData) }
}
