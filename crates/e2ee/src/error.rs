//! Why an operation did not happen.

use crate::StorageFailure;
use crate::storage::Failed;
use openmls::framing::errors::{MessageDecryptionError, SecretTreeError};
use openmls::prelude::{MlsGroupStateError, ProcessMessageError, StageCommitError, ValidationError};
use roster::Refused;
use trust::LeafIdentity;
use wire::UserId;

/// Why an operation did not happen. Nothing has changed, on disk; the group is to be loaded again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device chains of these users must be at hand: fetch them and try again.
    #[error("device chains are missing")]
    NeedsIdentities(Vec<UserId>),
    /// The bytes, the commit, the tree, the key package: not valid, or not allowed. It stays so.
    #[error("refused: {0}")]
    Refused(#[source] Refused),
    /// The envelope says something else than what it holds: another sender, message id, epoch or kind.
    #[error("the log entry does not say what its payload says")]
    Envelope,
    /// A commit that its author has signed and that is valid in everything that the server can see, and that this device
    /// cannot follow all the same: the author has sealed rubbish for it. Join again.
    #[error("{} has made a commit that this device cannot follow", .0.device)]
    Poisoned(LeafIdentity),
    /// The entry belongs to an epoch that this device has left behind: it was processed, or is older than the joining.
    #[error("epoch {epoch} is over, the group is in epoch {current}")]
    PastEpoch {
        /// The entry's.
        epoch: u64,
        /// The group's.
        current: u64,
    },
    /// The entry belongs to an epoch that this device has not reached: entries are missing. Fetch them, or join again.
    #[error("epoch {epoch} has not begun, the group is in epoch {current}")]
    FutureEpoch {
        /// The entry's.
        epoch: u64,
        /// The group's.
        current: u64,
    },
    /// The message was opened before; its key is deleted.
    #[error("the message was opened before")]
    AlreadySeen,
    /// The message is further behind its sender's last one than keys are kept: it was opened before, or is lost.
    #[error("the message is too old to be opened")]
    TooOld,
    /// The message is further ahead than this device follows: join again.
    #[error("the message is too far ahead to be opened")]
    TooFarAhead,
    /// A commit of this very device that it does not know: its state was copied or restored. Join again.
    #[error("this device's state was copied or restored: it made a commit that it does not know")]
    UnknownOwnCommit,
    /// A commit of this device waits for its outcome: merge or discard it first.
    #[error("a commit is pending")]
    CommitPending,
    /// There is no commit to merge.
    #[error("no commit is pending")]
    NoCommitPending,
    /// Members wait to leave: commit first, then send (RFC 9420 §12.4).
    #[error("proposals are pending")]
    ProposalsPending,
    /// The device is not, or no longer, a member.
    #[error("this device is not a member of the group")]
    NotMember,
    /// The device is a member, and not behind what the Welcome leads to.
    #[error("this device is a member already")]
    AlreadyMember,
    /// The Welcome is for a key package that this device does not have, or no longer.
    #[error("the Welcome is for no key package of this device")]
    NoKeyPackage,
    /// The device to remove is not in the group.
    #[error("{} is not in the group", .0.device)]
    NotInGroup(LeafIdentity),
    /// The sealed message would be larger than one may be.
    #[error("the message is too large")]
    TooLarge,
    /// The stored state.
    #[error("{0}")]
    Storage(#[from] StorageFailure),
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NeedsIdentities(users) => Self::NeedsIdentities(users),
            refused => Self::Refused(refused),
        }
    }
}

impl From<Failed> for Error {
    /// The operation's end puts what happened in its place.
    fn from(Failed: Failed) -> Self {
        Self::Storage(StorageFailure::Damaged)
    }
}

impl Error {
    pub(crate) fn invalid(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Refused(Refused::invalid(cause))
    }

    /// What OpenMLS says about a message, told apart as far as the client acts on it.
    pub(crate) fn processing(error: ProcessMessageError<Failed>) -> Self {
        match error {
            ProcessMessageError::StorageError(failure) => failure.into(),
            ProcessMessageError::GroupStateError(MlsGroupStateError::UseAfterEviction) => Self::NotMember,
            ProcessMessageError::InvalidCommit(StageCommitError::OwnCommitMismatch) => Self::UnknownOwnCommit,
            ProcessMessageError::ValidationError(ValidationError::UnableToDecrypt(
                MessageDecryptionError::SecretTreeError(cause),
            )) => match cause {
                SecretTreeError::SecretReuseError => Self::AlreadySeen,
                SecretTreeError::TooDistantInThePast => Self::TooOld,
                SecretTreeError::TooDistantInTheFuture => Self::TooFarAhead,
                cause => Self::invalid(cause),
            },
            cause => Self::invalid(cause),
        }
    }
}
