//! Stable error codes. An error says whose fault it is and whether trying again can help.

use minicbor::{Decode, Encode};

/// Who has to change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The sender of the request.
    Caller,
    /// The state of things: it was fine when the request was made, or will be fine later.
    State,
    /// The server or what it stands on.
    Server,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $fault:ident;)*) => {
        /// Why a request was refused. Numbers and texts are stable: scripts and other clients rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $name = $number,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable text of the code.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The code with this number, if this version knows it.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// Who has to change something.
            pub const fn fault(self) -> Fault {
                match self { $(Self::$name => Fault::$fault,)* }
            }
        }
    };
}

codes! {
    /// The bytes are not what the protocol says.
    Malformed = 1, "malformed", Caller;
    /// The frame or a field is larger than allowed.
    TooLarge = 2, "too_large", Caller;
    /// The server does not speak this protocol version.
    UnsupportedVersion = 3, "unsupported_version", Caller;
    /// The server does not know this operation.
    UnknownOperation = 4, "unknown_operation", Caller;
    /// The operation needs a connection that has proved who it is.
    Unauthenticated = 5, "unauthenticated", Caller;
    /// The caller may not do this, or what it names does not exist for it.
    Forbidden = 6, "forbidden", Caller;
    /// What the request names does not exist, or not for the caller.
    NotFound = 7, "not_found", Caller;
    /// What the request would make exists already.
    AlreadyExists = 8, "already_exists", State;
    /// The same idempotency key came with another request.
    KeyReused = 9, "key_reused", Caller;
    /// Too many requests; try again later.
    RateLimited = 10, "rate_limited", State;
    /// A quota is used up.
    QuotaExceeded = 11, "quota_exceeded", State;
    /// The tenant is not known here.
    UnknownTenant = 20, "unknown_tenant", Caller;
    /// The invite is unknown, used or expired.
    InvalidInvite = 21, "invalid_invite", Caller;
    /// Handle or password are wrong; it does not say which.
    WrongCredentials = 22, "wrong_credentials", Caller;
    /// A signature, proof or chain does not verify.
    InvalidSignature = 23, "invalid_signature", Caller;
    /// The handle is not one that can be used.
    InvalidHandle = 24, "invalid_handle", Caller;
    /// The device was revoked or its user has left.
    Revoked = 25, "revoked", State;
    /// The device chain has grown meanwhile: fetch it, sign again.
    ChainMoved = 26, "chain_moved", State;
    /// The message was sealed in an epoch that is over: catch up, seal again, send again.
    StaleEpoch = 40, "stale_epoch", State;
    /// Another commit won the epoch: process it, make a new commit.
    EpochTaken = 41, "epoch_taken", State;
    /// The commit does not fit the group, or its policy forbids it.
    InvalidCommit = 42, "invalid_commit", Caller;
    /// A key package is unusable: wrong suite, owner, signature or lifetime.
    InvalidKeyPackage = 43, "invalid_key_package", Caller;
    /// The user has no key package left that may be handed out.
    NoKeyPackage = 44, "no_key_package", State;
    /// The cipher suite is not the tenant's.
    UnsupportedSuite = 45, "unsupported_suite", Caller;
    /// The generation of the log has changed: the server was restored from a backup.
    GenerationChanged = 46, "generation_changed", State;
    /// The server was restored from a backup, and the devices are giving back what it lost: try again when that is over.
    Restoring = 47, "restoring", State;
    /// The conversation is kept out of the archive.
    KeptOut = 48, "kept_out", State;
    /// The server is shutting down; connect again.
    Draining = 60, "draining", State;
    /// The server has too much to do; try again later.
    Overloaded = 61, "overloaded", State;
    /// The server failed; the reference finds it in its log. The outcome may be unknown: repeat with the same key.
    Internal = 62, "internal", Server;
    /// The server's storage is full or failing; nothing was recorded.
    StorageUnavailable = 63, "storage_unavailable", Server;
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refused request: the body of an answer whose status is not 0.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Refusal {
    /// The code's number, as in the status of the frame.
    #[n(0)]
    pub number: u16,
    /// For people, in English; never holds a secret or another user's data.
    #[n(1)]
    pub detail: Option<String>,
    /// Try again not before so many milliseconds.
    #[n(2)]
    pub retry_after_ms: Option<u32>,
}

impl Refusal {
    /// A refusal without further words.
    pub const fn new(code: ErrorCode) -> Self {
        Self { number: code as u16, detail: None, retry_after_ms: None }
    }

    /// A refusal with a sentence for people.
    pub fn with_detail(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::new(code) }
    }

    /// A refusal that says when to try again.
    pub const fn retry_after(code: ErrorCode, ms: u32) -> Self {
        Self { number: code as u16, detail: None, retry_after_ms: Some(ms) }
    }

    /// The code, if this version knows it.
    pub const fn code(&self) -> Option<ErrorCode> {
        ErrorCode::from_number(self.number)
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code() {
            Some(code) => f.write_str(code.as_str())?,
            None => write!(f, "error {}", self.number)?,
        }
        self.detail.iter().try_for_each(|detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_return() {
        let texts: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(*code as u16), Some(*code));
            assert_ne!(*code as u16, 0, "0 is success");
        }
    }
}
