//! Why an operation did not happen: a refusal, which the caller understands, or a failure of the server, which it can only
//! report by a reference that is in the log.

use crate::random;
use std::error::Error;
use wire::{ErrorCode, Refusal};

/// What an operation returns instead of an answer.
#[derive(Debug)]
pub enum Failure {
    /// The caller, or the state of things, is in the way.
    Refused(Refusal),
    /// The server failed.
    Internal(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// A failure of the server.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// What the caller is told. A failure of the server is written to the log here, with a reference.
    pub fn into_refusal(self, op: &'static str) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Internal(cause) => {
                let reference = reference();
                tracing::error!(op, reference, error = %Chain(cause.as_ref()), "internal failure");
                Refusal::with_detail(ErrorCode::Internal, format!("the server failed; reference {reference}"))
            }
        }
    }
}

/// An error and its causes on one line.
pub struct Chain<'e>(pub &'e (dyn Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(code.into())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        match error.code() {
            ErrorCode::Internal => Self::internal(error),
            code => Self::Refused(code.into()),
        }
    }
}

impl From<object_store::Error> for Failure {
    /// The folder or the bucket of files is not to be had now; why is in the log only.
    fn from(error: object_store::Error) -> Self {
        tracing::error!(error = %Chain(&error), "the store of files fails");
        ErrorCode::StorageUnavailable.into()
    }
}

impl From<random::NoRandomness> for Failure {
    fn from(error: random::NoRandomness) -> Self {
        Self::internal(error)
    }
}

fn reference() -> String {
    let bytes: [u8; 6] = random::bytes().unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
