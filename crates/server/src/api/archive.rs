//! What changes to a user's archive share: whose conversations it is of, and whose it may be.

use crate::gateway::failure::Failure;
use store::{Conversation, Tx, UserState};
use trust::DeviceState;
use wire::{ConversationId, DeviceId, ErrorCode, UserId};

/// The conversation, of which the user has read a part: a device of theirs is in it, or was.
///
/// # Errors
/// [`ErrorCode::NotFound`], as for one that does not exist.
pub(super) fn conversation(tx: &Tx<'_>, user: UserId, conversation: ConversationId) -> Result<Conversation, Failure> {
    let there = tx.conversation(conversation)?.ok_or(ErrorCode::NotFound)?;
    if tx.was_user_in(conversation, user)? { Ok(there) } else { Err(ErrorCode::NotFound.into()) }
}

/// A request that was under way does not slip in behind the closing of the account, which has destroyed the archive, nor
/// behind the revocation of the device, which must not put other keys in the place of those that its user has.
///
/// # Errors
/// [`ErrorCode::Revoked`].
pub(super) fn by_active(tx: &Tx<'_>, user: UserId, device: DeviceId) -> Result<(), Failure> {
    let user_is_active = tx.user(user)?.is_some_and(|user| user.state == UserState::Active);
    let device_is_active = tx.device(device)?.is_some_and(|device| device.state == DeviceState::Active);
    if user_is_active && device_is_active { Ok(()) } else { Err(ErrorCode::Revoked.into()) }
}
