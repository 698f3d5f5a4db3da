//! Devices that join from outside: where they may, and where their part of the log begins.

use crate::sql::{sql, values};
use crate::{Error, Tx};
use trust::EntryHash;
use wire::request::Stay;
use wire::{ConversationId, DeviceId, UserId};

impl Tx<'_> {
    /// Conversations in which another device of the user has a leaf and this one has none, and no Welcome waits for it.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn joinable(&self, user: UserId, device: DeviceId, limit: u32) -> Result<Vec<ConversationId>, Error> {
        let text = sql!(
            "select distinct m.conversation from devices d \
             join members m on m.tenant = d.tenant and m.device = d.device and m.removed_seq is null \
             where d.tenant = $1 and d.user_id = $2 and d.device <> $3 \
             and not exists (select 1 from members own where own.tenant = $1 and own.conversation = m.conversation \
             and own.device = $3 and own.removed_seq is null) \
             order by m.conversation limit $4"
        );
        self.session.rows(text, values![self.tenant, user, device, limit], |row| row.id(0).map(Some))
    }

    /// Where the log of a device that joined from outside begins. `None` when it has no leaf, or came in by a Welcome.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn stay(&self, conversation: ConversationId, device: DeviceId) -> Result<Option<Stay>, Error> {
        let text = sql!(
            "select e.seq, c.generation, e.hash from entrances e \
             join conversations c on c.tenant = e.tenant and c.conversation = e.conversation \
             join members m on m.tenant = e.tenant and m.conversation = e.conversation and m.device = e.device \
             and m.joined_seq = e.seq and m.removed_seq is null \
             where e.tenant = $1 and e.conversation = $2 and e.device = $3"
        );
        self.session.row(text, values![self.tenant, conversation, device], |row| {
            Ok(Stay { seq: row.number(0)?, generation: row.number(1)?, entry_hash: row.array(2)? })
        })
    }

    pub(super) fn put_entrance(
        &mut self,
        conversation: ConversationId,
        device: DeviceId,
        seq: u64,
        hash: EntryHash,
    ) -> Result<(), Error> {
        let text = sql!(
            "insert into entrances (tenant, conversation, device, seq, hash) values ($1, $2, $3, $4, $5) \
             on conflict (tenant, conversation, device) do update set seq = excluded.seq, hash = excluded.hash"
        );
        self.session.execute(text, values![self.tenant, conversation, device, seq, hash.0]).map(drop)
    }
}
