//! Why something is refused, for both sides.

use trust::{LeafIdentity, PolicyViolation, SuccessionViolation};
use wire::{ErrorCode, UserId};

/// Why a message, a tree or a key package is refused. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Not an encoding of what it should be.
    #[error("malformed MLS object")]
    Malformed,
    /// A cipher suite that Mifeng does not speak, or not here.
    #[error("unsupported cipher suite")]
    Suite,
    /// It belongs to another group.
    #[error("the message belongs to another group")]
    WrongGroup,
    /// It was made in another epoch than the group's.
    #[error("the message was made in epoch {epoch}, the group is in epoch {current}")]
    Epoch {
        /// The message's.
        epoch: u64,
        /// The group's.
        current: u64,
    },
    /// It is not valid MLS: a signature, a tree hash, a proposal (RFC 9420 §12).
    #[error("the message is not valid")]
    Invalid(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The group context is not one of ours: its extensions, its group id.
    #[error("the group context is not one of ours")]
    Context,
    /// The group's policy forbids it.
    #[error("{0}")]
    Policy(#[from] PolicyViolation),
    /// A group may not take the place of the one before it.
    #[error("the group may not take the place of the one before it: {0}")]
    Succession(#[from] SuccessionViolation),
    /// A leaf's key is not certified by its user's device chain, or no longer.
    #[error("the key of {} is not certified by its user", .0.device)]
    NotVouched(LeafIdentity),
    /// The device chains of these users must be at hand first.
    #[error("device chains are missing")]
    NeedsIdentities(Vec<UserId>),
    /// The authenticated data is not what every message carries (`docs/decisions/0005-…`).
    #[error("the authenticated data is malformed")]
    AuthenticatedData,
    /// The GroupInfo does not belong to the commit, or is not signed by the committer.
    #[error("the GroupInfo does not belong to the commit")]
    GroupInfo,
    /// The Welcome is not for exactly those whom the commit adds.
    #[error("the Welcome does not belong to the commit")]
    Welcome,
    /// A key package is unusable.
    #[error("unusable key package: {0}")]
    KeyPackage(#[from] KeyPackageFault),
}

/// What is wrong with a key package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyPackageFault {
    /// A signature in it, or its structure, is not valid.
    #[error("it is not valid")]
    Invalid,
    /// Its leaf does not say whose it is.
    #[error("its credential is malformed")]
    Credential,
    /// It is not valid at this time.
    #[error("it is not valid at this time")]
    NotNow,
    /// It would be valid for longer than anyone accepts.
    #[error("its lifetime is too wide")]
    TooWide,
    /// Its leaf does not support what our groups require.
    #[error("its capabilities do not suffice")]
    Capabilities,
    /// It carries extensions that Mifeng does not use.
    #[error("it carries unknown extensions")]
    Extensions,
}

impl Refused {
    /// The code with which the server answers.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Malformed => ErrorCode::Malformed,
            Self::Suite => ErrorCode::UnsupportedSuite,
            Self::Epoch { .. } => ErrorCode::EpochTaken,
            Self::KeyPackage(_) => ErrorCode::InvalidKeyPackage,
            _ => ErrorCode::InvalidCommit,
        }
    }

    /// For errors of OpenMLS, whose types are many and say nothing that a caller could act on.
    pub fn invalid(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Invalid(Box::new(cause))
    }
}
