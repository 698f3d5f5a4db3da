//! What a person is told when something did not work: a kind for scripts, a sentence, and what to do next.

use crate::output::for_terminal;
use client::{DatabaseError, Error as ClientError};
use runtime::{ConnectError, ShellError};
use serde_json::json;
use std::error::Error;
use std::fmt::Display;
use wire::{ErrorCode, Refusal};

/// Whose turn it is. Each kind has its own exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The person asked for what cannot be.
    Usage,
    /// The server cannot be reached; what was asked waits in the outbox.
    Offline,
    /// The server said no.
    Refused,
    /// This device's own files.
    Storage,
    /// A defect.
    Internal,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Offline => "offline",
            Self::Refused => "refused",
            Self::Storage => "storage",
            Self::Internal => "internal",
        }
    }

    /// The process's exit status. 2 is what the argument parser uses for its own refusals.
    pub(crate) const fn exit_status(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Offline => 3,
            Self::Refused => 4,
            Self::Storage => 5,
            Self::Internal => 70,
        }
    }
}

/// A command that did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// The server's code, if the server said no.
    code: Option<&'static str>,
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into(), hint: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// The server lets this device in no more.
    pub(crate) fn is_revoked(&self) -> bool {
        self.code == Some(ErrorCode::Revoked.as_str())
    }

    /// Adds what to do next.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// An error with all its causes in one sentence.
    fn caused(kind: Kind, error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            message = format!("{message}: {next}");
            cause = next.source();
        }
        Self::new(kind, message)
    }

    /// Whether going on makes no sense: this device's own files, or a defect.
    pub(crate) const fn is_fatal(&self) -> bool {
        matches!(self.kind, Kind::Internal)
    }

    /// For standard error: one line of JSON, or one or two lines for people.
    pub(crate) fn text(&self, as_json: bool) -> String {
        if as_json {
            let Self { kind, code, message, hint } = self;
            return json!({"error": {"kind": kind.as_str(), "code": code, "message": message, "hint": hint}})
                .to_string();
        }
        let hint = self.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        // A server chooses some of the words.
        format!("error: {}{hint}", for_terminal(&self.message))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let code = refusal.code();
        let failure = Self { code: code.map(ErrorCode::as_str), ..Self::new(Kind::Refused, sentence(&refusal)) };
        match code.and_then(next_step) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

fn sentence(refusal: &Refusal) -> String {
    match &refusal.detail {
        Some(detail) => format!("the server refused: {detail} ({})", Stem(refusal)),
        None => format!("the server refused: {refusal}"),
    }
}

/// A refusal's code without its detail.
struct Stem<'a>(&'a Refusal);

impl Display for Stem<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.code() {
            Some(code) => code.fmt(f),
            None => write!(f, "error {}", self.0.number),
        }
    }
}

const fn next_step(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::InvalidInvite => "ask for a new invite: each has an expiry and a number of uses",
        ErrorCode::UnknownTenant => "check the invite line; the tenant may have been deleted",
        ErrorCode::AlreadyExists => "choose another handle",
        ErrorCode::InvalidHandle => "use letters, digits, dot, dash or underscore",
        ErrorCode::Revoked => {
            "this device no longer speaks for its person; what it has stays readable: `mifeng tail --offline`"
        }
        ErrorCode::RateLimited | ErrorCode::Overloaded => "wait a moment and try again",
        ErrorCode::UnsupportedVersion => "this program and the server are of different versions; update the older one",
        _ => return None,
    })
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Database(cause) => Self::caused(Kind::Storage, &error).hint(storage_hint(cause)),
            ClientError::NotJoined => Self::caused(Kind::Usage, &error)
                .hint("begin with `mifeng join LINE --handle NAME`, or `mifeng link` for a further device"),
            ClientError::AlreadyJoined => {
                Self::caused(Kind::Usage, &error).hint("choose another --profile for another person")
            }
            error if error.is_usage() => Self::caused(Kind::Usage, error),
            error => Self::caused(Kind::Internal, error),
        }
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        Self::caused(Kind::Storage, &error).hint(storage_hint(&error))
    }
}

const fn storage_hint(error: &DatabaseError) -> &'static str {
    match error {
        DatabaseError::WrongKey => "is device.key the one that belongs to device.db?",
        DatabaseError::Damaged => {
            "move the profile away and join again with a new device; the server still has what is undelivered"
        }
        DatabaseError::TooNew { .. } => "use the newer program that wrote it",
        DatabaseError::Busy => "another mifeng is running on this profile; end it first",
        DatabaseError::Full => "free some space; nothing was lost",
        DatabaseError::Sqlite(_) => "check the disk and the permissions of the profile's directory",
    }
}

impl From<ShellError> for Failure {
    fn from(error: ShellError) -> Self {
        match error {
            ShellError::Client(error) => error.into(),
            error @ ShellError::TimedOut(_) => Self::caused(Kind::Offline, &error)
                .hint("what you sent waits on this device and goes out with the next command"),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::caused(Kind::Offline, &error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::caused(Kind::Storage, &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_own_status() {
        let kinds = [Kind::Usage, Kind::Offline, Kind::Refused, Kind::Storage, Kind::Internal];
        let mut statuses: Vec<_> = kinds.map(Kind::exit_status).to_vec();
        statuses.sort_unstable();
        statuses.dedup();
        assert_eq!(statuses.len(), kinds.len());
        assert!(!statuses.contains(&0));
    }

    #[test]
    fn a_refusal_keeps_its_code_and_says_what_to_do() {
        let text = Failure::from(Refusal::new(ErrorCode::InvalidInvite)).text(true);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["error"]["code"], "invalid_invite");
        assert!(value["error"]["hint"].as_str().unwrap().contains("new invite"));
    }
}
