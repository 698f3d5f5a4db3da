//! Welcomes that wait for their joiners: stored once for all joiners of a commit.

use super::conversation::row;
use crate::schema::{SealedColumn, sealed};
use crate::sql::{sql, values};
use crate::{Error, Tx};
use keyring::{DataKey, KeyUse};
use trust::EntryHash;
use wire::request::PendingWelcome;
use wire::{ConversationId, DeviceId, Entry, GroupId};

const WELCOME: SealedColumn = sealed("welcomes", "welcome");

/// Where a Welcome leads: the entry that it belongs to, and the epoch that this has begun.
pub(super) struct Leads<'e> {
    pub(super) entry: &'e Entry,
    pub(super) hash: EntryHash,
    pub(super) generation: u32,
    pub(super) group: GroupId,
    pub(super) epoch: u64,
}

impl Tx<'_> {
    /// The Welcomes that wait for a device, oldest first.
    ///
    /// # Errors
    /// [`Error::Sealed`] when one was tampered with, [`Error`] of the storage.
    pub fn welcomes(&self, device: DeviceId, limit: u32) -> Result<Vec<PendingWelcome>, Error> {
        let text = sql!(
            "select w.conversation, w.sender, w.seq, w.generation, w.entry_hash, w.epoch, w.welcome, w.group_id \
             from welcome_recipients r join welcomes w \
             on w.tenant = r.tenant and w.conversation = r.conversation and w.seq = r.seq \
             where r.tenant = $1 and r.device = $2 order by w.conversation, w.seq limit $3"
        );
        let mut waiting = self.session.rows(text, values![self.tenant, device, limit], |row| {
            Ok(Some(PendingWelcome {
                conversation: row.id(0)?,
                sender: row.id(1)?,
                seq: row.number(2)?,
                generation: row.number(3)?,
                entry_hash: row.array(4)?,
                epoch: row.number(5)?,
                welcome: row.bytes(6)?.to_vec(),
                group: row.id(7)?,
            }))
        })?;
        for welcome in &mut waiting {
            let key = self.key(KeyUse::Conversation, welcome.conversation.as_bytes())?;
            welcome.welcome = self.open(&key, WELCOME, &row(welcome.conversation, welcome.seq), &welcome.welcome)?;
        }
        Ok(waiting)
    }

    /// How many Welcomes wait for a device.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn welcomes_waiting(&self, device: DeviceId) -> Result<u32, Error> {
        let text = sql!("select count(*) from welcome_recipients where tenant = $1 and device = $2");
        Ok(self.session.row(text, values![self.tenant, device], |row| row.number(0))?.unwrap_or(0))
    }

    /// Whether a Welcome that waits for the device needs the tree of this epoch of this group.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn awaits_tree(
        &self,
        conversation: ConversationId,
        device: DeviceId,
        group: GroupId,
        epoch: u64,
    ) -> Result<bool, Error> {
        let text = sql!(
            "select 1 from welcome_recipients r join welcomes w \
             on w.tenant = r.tenant and w.conversation = r.conversation and w.seq = r.seq \
             where r.tenant = $1 and r.device = $2 and r.conversation = $3 and w.epoch = $4 and w.group_id = $5"
        );
        let values = values![self.tenant, device, conversation, epoch, group];
        Ok(self.session.row(text, values, |_| Ok(()))?.is_some())
    }

    /// The device needs the Welcome no more. `false` when none waited, as for a repeat.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn accept_welcome(&mut self, device: DeviceId, conversation: ConversationId, seq: u64) -> Result<bool, Error> {
        // Of the last two to accept, one has to see that it is the last.
        self.lock_head(conversation)?;
        let text =
            sql!("delete from welcome_recipients where tenant = $1 and device = $2 and conversation = $3 and seq = $4");
        let waited = self.session.execute(text, values![self.tenant, device, conversation, seq])? > 0;
        if waited {
            self.drop_unneeded_welcomes(conversation)?;
        }
        Ok(waited)
    }

    /// Takes back every Welcome of a device that no longer speaks for its user.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn withdraw_all_welcomes(&mut self, device: DeviceId) -> Result<(), Error> {
        let text = sql!("select distinct conversation from welcome_recipients where tenant = $1 and device = $2");
        let waiting: Vec<ConversationId> =
            self.session.rows(text, values![self.tenant, device], |row| row.id(0).map(Some))?;
        waiting.into_iter().try_for_each(|conversation| self.withdraw_welcomes(conversation, device))
    }

    pub(super) fn put_welcome(
        &mut self,
        key: &DataKey,
        conversation: ConversationId,
        leads: &Leads<'_>,
        welcome: &[u8],
        recipients: impl Iterator<Item = DeviceId>,
    ) -> Result<(), Error> {
        let Leads { entry, hash, generation, group, epoch } = leads;
        let sealed = self.seal(key, WELCOME, &row(conversation, entry.seq), welcome)?;
        let text = sql!(
            "insert into welcomes (tenant, conversation, seq, sender, generation, entry_hash, epoch, welcome, group_id) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        );
        let (seq, sender) = (entry.seq, entry.sender);
        let values = values![self.tenant, conversation, seq, sender, *generation, hash.0, *epoch, sealed, *group];
        self.session.execute(text, values)?;
        for device in recipients {
            let text =
                sql!("insert into welcome_recipients (tenant, device, conversation, seq) values ($1, $2, $3, $4)");
            self.session.execute(text, values![self.tenant, device, conversation, entry.seq])?;
        }
        Ok(())
    }

    /// Takes back what a device that was removed has not accepted yet.
    pub(super) fn withdraw_welcomes(&mut self, conversation: ConversationId, device: DeviceId) -> Result<(), Error> {
        let text = sql!("delete from welcome_recipients where tenant = $1 and device = $2 and conversation = $3");
        if self.session.execute(text, values![self.tenant, device, conversation])? > 0 {
            self.drop_unneeded_welcomes(conversation)?;
        }
        Ok(())
    }

    /// Deletes Welcomes for which nobody waits, and the trees that only they needed.
    fn drop_unneeded_welcomes(&mut self, conversation: ConversationId) -> Result<(), Error> {
        let text = sql!(
            "delete from welcomes where tenant = $1 and conversation = $2 and not exists ( \
             select 1 from welcome_recipients r \
             where r.tenant = $1 and r.conversation = $2 and r.seq = welcomes.seq)"
        );
        self.session.execute(text, values![self.tenant, conversation])?;
        let Some(head) = self.head(conversation)? else { return Ok(()) };
        self.drop_unneeded_trees(conversation, (head.group, head.epoch))
    }
}
