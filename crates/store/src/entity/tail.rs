//! The ends of the logs to which the entries of one batch were appended, until they are written, once for all of them.
//!
//! What is here is ahead of the database, and only appending looks here. So it is written before any other job of the batch
//! runs and before the commit, and dropped when the batch is undone.

use super::append::Head;
use super::recent_sends::RecentSends;
use crate::Error;
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
        let Tails { logs, windows } = self.tails.take();
        for ((tenant, conversation), LogTail { head, .. }) in logs.iter().filter(|(_, log)| log.moved) {
            let text =
                sql!("update conversations set head_seq = $3, head_hash = $4 where tenant = $1 and conversation = $2");
            self.execute(text, values![*tenant, *conversation, head.seq, head.hash.0])?;
        }
        for ((tenant, conversation, device), window) in windows.iter().filter(|(_, window)| window.moved) {
            window.sends.write(self, *tenant, *conversation, *device)?;
        }
        Ok(())
    }
}
