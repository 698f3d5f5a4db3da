//! The ends of the logs to which the entries of one batch were appended, until they are written, once for all of them.
//!
//! What is here is ahead of the database, and only appending looks here. So it is written before any other job of the batch
//! runs and before the commit, and dropped when the batch is undone.

use super::append::{EntryRow, Head};
use super::recent_sends::RecentSends;
use crate::Error;
use crate::link::Link;
use crate::session::Session;
use crate::sql::{sql, values};
use keyring::DataKey;
use std::collections::HashMap;
use std::sync::Arc;
use wire::{ConversationId, DeviceId, TenantId};

#[derive(Default)]
pub(crate) struct Tails {
    pub(super) logs: HashMap<(TenantId, ConversationId), LogTail>,
    pub(super) windows: HashMap<(TenantId, ConversationId, DeviceId), Window>,
    /// Entries that PostgreSQL is to get together.
    pub(super) unwritten: Vec<EntryRow>,
    pub(super) unwritten_bytes: usize,
}

impl Tails {
    /// Entries that were appended and not yet written.
    pub(crate) fn unwritten(&self) -> u64 {
        self.unwritten.len() as u64
    }
}

/// A conversation's head and the key of its entries.
pub(super) struct LogTail {
    pub(super) head: Head,
    pub(super) key: Arc<DataKey>,
    pub(super) moved: bool,
}

/// The last sends of a device.
pub(super) struct Window {
    pub(super) sends: RecentSends,
    pub(super) moved: bool,
}

impl Session {
    /// Writes what appending has moved, and forgets all of it.
    pub(crate) fn write_tails(&self) -> Result<(), Error> {
        let tails = self.tails.take();
        match &self.link {
            Link::Sqlite(_) => self.write_one_by_one(&tails),
            Link::Postgres(connection) => self.noting(tails.write_together(connection)),
        }
    }

    fn write_one_by_one(&self, tails: &Tails) -> Result<(), Error> {
        for ((tenant, conversation), log) in tails.moved_logs() {
            // As `tail_batch::MOVE_HEADS`, which moves many.
            let text =
                sql!("update conversations set head_seq = $3, head_hash = $4 where tenant = $1 and conversation = $2");
            self.execute(text, values![*tenant, *conversation, log.head.seq, log.head.hash.0])?;
        }
        for ((tenant, conversation, device), window) in tails.moved_windows() {
            window.sends.write(self, *tenant, *conversation, *device)?;
        }
        Ok(())
    }
}

impl Tails {
    pub(super) fn moved_logs(&self) -> impl Iterator<Item = (&(TenantId, ConversationId), &LogTail)> {
        self.logs.iter().filter(|(_, log)| log.moved)
    }

    pub(super) fn moved_windows(&self) -> impl Iterator<Item = (&(TenantId, ConversationId, DeviceId), &Window)> {
        self.windows.iter().filter(|(_, window)| window.moved)
    }
}
