//! Which devices have a leaf in a conversation's group, and which part of the log is theirs.

use crate::sql::{Row, sql, values};
use crate::{Error, Tx};
use wire::request::Cursor;
use wire::{ConversationId, DeviceId, UserId};

/// One stay of a device in a conversation. A device that was removed and came back has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The device.
    pub device: DeviceId,
    /// Whose.
    pub user: UserId,
    /// The commit that added it; its log begins after that. 0 for the creator.
    pub joined_seq: u64,
    /// The commit that removed it, the last entry that it receives.
    pub removed_seq: Option<u64>,
}

impl Tx<'_> {
    /// The devices that have a leaf now.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn members(&self, conversation: ConversationId) -> Result<Vec<Member>, Error> {
        let text = sql!(
            "select device, user_id, joined_seq, removed_seq from members \
             where tenant = $1 and conversation = $2 and removed_seq is null order by device"
        );
        self.session.rows(text, values![self.tenant, conversation], |row| read(row).map(Some))
    }

    /// Whether the device has a leaf now.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn is_member(&self, conversation: ConversationId, device: DeviceId) -> Result<bool, Error> {
        Ok(self.stays(conversation, device)?.iter().any(|stay| stay.removed_seq.is_none()))
    }

    /// Whether the device has or had a leaf: then a part of the log is its own.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn was_member(&self, conversation: ConversationId, device: DeviceId) -> Result<bool, Error> {
        Ok(!self.stays(conversation, device)?.is_empty())
    }

    /// Whether a device of the user has a leaf now.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn is_user_in(&self, conversation: ConversationId, user: UserId) -> Result<bool, Error> {
        let text = sql!(
            "select 1 from members where tenant = $1 and conversation = $2 and user_id = $3 and removed_seq is null limit 1"
        );
        Ok(self.session.row(text, values![self.tenant, conversation, user], |_| Ok(()))?.is_some())
    }

    /// Whether a device of the user has or had a leaf.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn was_user_in(&self, conversation: ConversationId, user: UserId) -> Result<bool, Error> {
        let text = sql!("select 1 from members where tenant = $1 and conversation = $2 and user_id = $3 limit 1");
        Ok(self.session.row(text, values![self.tenant, conversation, user], |_| Ok(()))?.is_some())
    }

    /// The conversations in which the device has a leaf, and how far their logs go.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn heads(&self, device: DeviceId) -> Result<Vec<Cursor>, Error> {
        let text = sql!(
            "select m.conversation, c.generation, c.head_seq from members m \
             join conversations c on c.tenant = m.tenant and c.conversation = m.conversation \
             where m.tenant = $1 and m.device = $2 and m.removed_seq is null order by m.conversation"
        );
        self.session.rows(text, values![self.tenant, device], |row| {
            Ok(Some(Cursor { conversation: row.id(0)?, generation: row.number(1)?, seq: row.number(2)? }))
        })
    }

    /// Every device that has a leaf in a conversation where a device of this user has one: who wants to know of a change of
    /// the user's chain.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn devices_sharing_with(&self, user: UserId) -> Result<Vec<DeviceId>, Error> {
        let text = sql!(
            "select distinct other.device from devices d \
             join members own on own.tenant = d.tenant and own.device = d.device and own.removed_seq is null \
             join members other on other.tenant = own.tenant and other.conversation = own.conversation \
             and other.removed_seq is null \
             where d.tenant = $1 and d.user_id = $2 order by other.device"
        );
        self.session.rows(text, values![self.tenant, user], |row| row.id(0).map(Some))
    }

    /// Every stay of a device, oldest first.
    pub(super) fn stays(&self, conversation: ConversationId, device: DeviceId) -> Result<Vec<Member>, Error> {
        let text = sql!(
            "select device, user_id, joined_seq, removed_seq from members \
             where tenant = $1 and conversation = $2 and device = $3 order by joined_seq"
        );
        self.session.rows(text, values![self.tenant, conversation, device], |row| read(row).map(Some))
    }

    pub(super) fn insert_member(
        &mut self,
        conversation: ConversationId,
        device: DeviceId,
        user: UserId,
        joined_seq: u64,
    ) -> Result<(), Error> {
        let text =
            sql!("insert into members (tenant, conversation, device, user_id, joined_seq) values ($1, $2, $3, $4, $5)");
        self.session.execute(text, values![self.tenant, conversation, device, user, joined_seq]).map(drop)
    }

    pub(super) fn remove_member(
        &mut self,
        conversation: ConversationId,
        device: DeviceId,
        seq: u64,
    ) -> Result<(), Error> {
        let text = sql!(
            "update members set removed_seq = $4 \
             where tenant = $1 and conversation = $2 and device = $3 and removed_seq is null"
        );
        self.session.execute(text, values![self.tenant, conversation, device, seq]).map(drop)
    }
}

fn read(row: &Row<'_>) -> Result<Member, Error> {
    let removed_seq = row.optional(3, |row| row.number(3))?;
    Ok(Member { device: row.id(0)?, user: row.id(1)?, joined_seq: row.number(2)?, removed_seq })
}
