//! Whether a message may enter a conversation's log, on cached membership. The store decides again under the row lock,
//! where the epoch cannot move; this is the cheap no.

use wire::{ErrorCode, limits};

/// The largest whisper, in bytes.
pub const WHISPER_MAX_BYTES: usize = 256;

/// What the server knows of a conversation when a message arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// The sending device has a leaf in the group.
    pub member: bool,
    /// The group's epoch.
    pub epoch: u64,
}

/// Whether an application message of this size, sealed in this epoch, may be recorded.
///
/// # Errors
/// [`ErrorCode::Forbidden`] for who is no member (before anything else, so that an outsider learns nothing),
/// [`ErrorCode::TooLarge`], [`ErrorCode::Malformed`] for an empty one or an epoch yet to come, [`ErrorCode::StaleEpoch`].
pub const fn send(situation: Situation, epoch: u64, payload_bytes: usize) -> Result<(), ErrorCode> {
    sealed(situation, epoch, payload_bytes, limits::PAYLOAD_MAX_BYTES)
}

/// Whether a whisper may be passed on.
///
/// # Errors
/// As [`send`].
pub const fn whisper(situation: Situation, epoch: u64, payload_bytes: usize) -> Result<(), ErrorCode> {
    sealed(situation, epoch, payload_bytes, WHISPER_MAX_BYTES)
}

const fn sealed(situation: Situation, epoch: u64, bytes: usize, max_bytes: usize) -> Result<(), ErrorCode> {
    if !situation.member {
        Err(ErrorCode::Forbidden)
    } else if bytes > max_bytes {
        Err(ErrorCode::TooLarge)
    } else if bytes == 0 || epoch > situation.epoch {
        Err(ErrorCode::Malformed)
    } else if epoch < situation.epoch {
        Err(ErrorCode::StaleEpoch)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_outsider_learns_nothing(current: u64, epoch: u64, bytes in 0usize..200_000) {
            let verdict = send(Situation { member: false, epoch: current }, epoch, bytes);
            prop_assert_eq!(verdict, Err(ErrorCode::Forbidden));
        }

        #[test]
        fn only_the_current_epoch_and_a_fair_size_get_in(current in 0u64..9, epoch in 0u64..9, bytes in 0usize..70_000) {
            let verdict = send(Situation { member: true, epoch: current }, epoch, bytes);
            let fair = (1..=limits::PAYLOAD_MAX_BYTES).contains(&bytes);
            prop_assert_eq!(verdict.is_ok(), epoch == current && fair);
            prop_assert_eq!(verdict == Err(ErrorCode::StaleEpoch), epoch < current && fair);
        }
    }

    #[test]
    fn a_whisper_is_short() {
        let here = Situation { member: true, epoch: 1 };
        assert_eq!(whisper(here, 1, WHISPER_MAX_BYTES), Ok(()));
        assert_eq!(whisper(here, 1, WHISPER_MAX_BYTES + 1), Err(ErrorCode::TooLarge));
    }
}
