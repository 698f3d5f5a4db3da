//! Why a call did not happen.

use crate::database::DatabaseError;
use e2ee::StorageFailure;

/// Why a call did not happen. Nothing has changed on the disk; what was in memory is read again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device's database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// What MLS has stored cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageFailure),
    /// MLS refuses something that this device itself wants to do.
    #[error("the group refuses what this device wants to do")]
    Mls(#[source] Box<e2ee::Error>),
    /// The password protocol failed.
    #[error(transparent)]
    Password(#[from] vault::password::PasswordError),
    /// A link code or what was left under it is not what it should be.
    #[error(transparent)]
    Link(#[from] vault::link::LinkError),
    /// Nothing was offered that could be confirmed.
    #[error("no device waits to be confirmed: give its code first")]
    NoLinkOffer,
    /// Empty, too long, or with control characters.
    #[error("a device's name has 1 to 64 characters")]
    InvalidDeviceName,
    /// The person has no such device.
    #[error("you have no such device")]
    UnknownDevice,
    /// The device does not speak for the person any more.
    #[error("this device is revoked already")]
    DeviceGone,
    /// A device does not revoke itself: the person would stand before a locked door.
    #[error("this is the device that you are using: revoke it from another one")]
    OwnDevice,
    /// This profile has not joined a tenant.
    #[error("this profile has not joined a tenant")]
    NotJoined,
    /// This profile has joined already.
    #[error("this profile has joined already")]
    AlreadyJoined,
    /// There is no such conversation.
    #[error("no such conversation")]
    UnknownConversation,
    /// The person is not known to this device: look them up first.
    #[error("this person is not known to this device")]
    UnknownContact,
    /// There is no such message in the conversation.
    #[error("no such message")]
    UnknownMessage,
    /// Only the author may edit or delete a message.
    #[error("only its author may change a message")]
    NotAuthor,
    /// A direct conversation needs two people.
    #[error("a direct conversation needs another person")]
    Alone,
    /// The content is larger than a message may be.
    #[error("the message is too large")]
    TooLarge,
    /// No such file is being prepared here: it was sent or given up, or the program has been started anew since.
    #[error("no such file is being prepared")]
    UnknownFile,
    /// More than a file may have, or a part of another length than the file's size asks for.
    #[error("the file is too large, or its size has changed meanwhile")]
    FileSize,
    /// The message has no file, or it is not on this device.
    #[error("the file is not on this device")]
    FileNotHere,
    /// What is kept of the file is not what its message names.
    #[error("the file is damaged")]
    FileDamaged,
    /// The device is not a member of the conversation any more.
    #[error("this device is not a member of the conversation any more")]
    NotMember,
    /// The conversation is between two people, whose members do not change.
    #[error("this is not a group")]
    NotGroup,
    /// Empty, too long, with control characters, or like a handle.
    #[error("a name has 1 to 100 characters and does not begin with @")]
    InvalidName,
    /// Too long, or with control characters.
    #[error("a topic has at most 300 characters, on one line")]
    InvalidTopic,
    /// The group does not allow it.
    #[error(transparent)]
    Membership(#[from] crate::Obstacle),
    /// The server does not keep the protocol. The connection is given up and made again.
    #[error("the server does not keep the protocol: {0}")]
    Protocol(&'static str),
}

impl Error {
    /// Whether a person asked for what cannot be, rather than something having gone wrong underneath.
    pub const fn is_usage(&self) -> bool {
        !matches!(self, Self::Database(_) | Self::Storage(_) | Self::Mls(_) | Self::Protocol(_))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<e2ee::Error> for Error {
    fn from(error: e2ee::Error) -> Self {
        match error {
            e2ee::Error::Storage(failure) => Self::Storage(failure),
            error => Self::Mls(Box::new(error)),
        }
    }
}
