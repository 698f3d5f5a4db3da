//! What the writer does about a PostgreSQL database between batches: notice that it is gone, and come back to it.

use super::{Connection, safety, try_to_serve};
use crate::writer::Shared;
use crate::{Cause, Error, Health, OpenError};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio_postgres::error::SqlState;

/// How often a quiet connection is asked whether it is there.
const ASK_EVERY: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Keeps one connection.
pub(crate) struct Keeper {
    next_try: Instant,
    pause: Duration,
}

impl Keeper {
    pub(crate) fn new() -> Self {
        Self { next_try: Instant::now(), pause: FIRST_PAUSE }
    }

    /// How long the writer may wait for work.
    pub(crate) fn patience(&self, health: Health) -> Option<Duration> {
        match health {
            Health::Ready | Health::Failed => Some(ASK_EVERY),
            Health::Full => Some(FIRST_PAUSE * 10),
            Health::Lost => Some(self.next_try.saturating_duration_since(Instant::now())),
        }
    }

    /// Before a batch, and when there is none: connects again when it is time.
    pub(crate) fn tend(&mut self, connection: &Connection, shared: &Shared) {
        if shared.health() != Health::Lost {
            if connection.is_connected() {
                return;
            }
            self.lose(connection, shared, None);
        }
        if Instant::now() < self.next_try {
            return;
        }
        match come_back(connection) {
            Ok(()) => {
                tracing::info!("connected to the database again");
                shared.reconnects.fetch_add(1, Ordering::Relaxed);
                shared.set_health(Health::Ready);
                *self = Self::new();
            }
            Err(error) => {
                connection.disconnect();
                self.next_try = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                tracing::warn!(%error, cause = std::error::Error::source(&error).map(tracing::field::display), "the database is not back yet");
            }
        }
    }

    /// When nothing came for a while: asks whether the other side is there.
    pub(crate) fn ask(&mut self, connection: &Connection, shared: &Shared) {
        if shared.health() == Health::Ready
            && let Err(error) = connection.plain("select 1")
        {
            let _ = self.recover(connection, shared, error);
        }
    }

    /// After a batch that was undone because of the storage. Returns what its jobs are told.
    pub(crate) fn recover(&mut self, connection: &Connection, shared: &Shared, error: Error) -> Error {
        let cause = match &error {
            Error::Unavailable(cause) => cause.clone(),
            Error::Statement(cause) | Error::Corrupt(cause) | Error::Constraint(cause) => Some(cause.clone()),
            _ => None,
        };
        if connection.is_in_transaction() && connection.rollback().is_err() {
            connection.disconnect();
        }
        if matches!(error, Error::Corrupt(_)) {
            tracing::error!(%error, "the database is damaged; nothing more is written until a restart");
            shared.set_health(Health::Failed);
            return error;
        }
        if !connection.is_connected() {
            self.lose(connection, shared, cause.as_ref());
        } else if cause.as_ref().and_then(Cause::sql_state) == Some(&SqlState::DISK_FULL) {
            tracing::error!("the storage is full; writes are refused until there is room");
            shared.set_health(Health::Full);
        } else {
            tracing::error!(%error, cause = cause.as_ref().map(tracing::field::display), "a batch of writes was undone");
        }
        Error::Unavailable(cause)
    }

    fn lose(&mut self, connection: &Connection, shared: &Shared, cause: Option<&Cause>) {
        connection.disconnect();
        if shared.health() != Health::Lost {
            let cause = cause.map(tracing::field::display);
            tracing::error!(cause, "the connection to the database is lost; writes are refused until it is back");
            shared.set_health(Health::Lost);
            *self = Self::new();
        }
    }
}

/// Connects and makes sure of everything again: it may be another server that answers now.
fn come_back(connection: &Connection) -> Result<(), OpenError> {
    connection.connect()?;
    safety::check(connection)?;
    crate::migration::check_postgres(connection)?;
    if try_to_serve(connection)? { Ok(()) } else { Err(OpenError::Served { owner: super::who_serves(connection)? }) }
}
