//! The last sends of a device in a conversation: how a repeated request is recognised.
//!
//! A client has at most [`limits::REQUESTS_IN_FLIGHT_MAX`] requests whose answers it does not know, and sends those again
//! before any newer one, so that the last [`KNOWN`] ids are enough. An index over the ids of all messages would cost a page
//! of its own for every message, because ids are random; this costs one page per sender, however much is stored.

use crate::session::Session;
use crate::sql::{Row, sql, values};
use crate::{Error, Tx};
use wire::{ConversationId, DeviceId, Entry, MessageId, TenantId, UnixMillis, limits};

/// Sends that are remembered.
const KNOWN: usize = 80;
/// Id, sequence number, time.
const SEND_BYTES: usize = 32;

const _: () = assert!(KNOWN >= limits::REQUESTS_IN_FLIGHT_MAX, "a client may repeat more than is remembered");

/// The sends of one device in one conversation, newest first.
#[derive(Default)]
pub(super) struct RecentSends(Vec<u8>);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Send {
    pub(super) seq: u64,
    pub(super) at: UnixMillis,
}

impl RecentSends {
    /// As the column holds them.
    pub(super) fn from_bytes(sends: &[u8]) -> Self {
        let mut with_room = Vec::with_capacity(sends.len() + SEND_BYTES);
        with_room.extend_from_slice(sends);
        Self(with_room)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn find(&self, id: MessageId) -> Option<Send> {
        let send = self.0.chunks_exact(SEND_BYTES).find(|send| send.starts_with(id.as_bytes()))?;
        let (_, rest) = send.split_first_chunk::<16>()?;
        let (seq, at) = rest.split_first_chunk()?;
        Some(Send { seq: u64::from_be_bytes(*seq), at: u64::from_be_bytes(*at.first_chunk()?) })
    }

    pub(super) fn push(&mut self, entry: &Entry) {
        self.0.truncate((KNOWN - 1) * SEND_BYTES);
        let (id, seq, at) = (entry.message_id.as_bytes(), entry.seq.to_be_bytes(), entry.at.to_be_bytes());
        self.0.splice(0..0, id.iter().chain(&seq).chain(&at).copied());
    }

    pub(super) fn write(
        &self,
        session: &Session,
        tenant: TenantId,
        conversation: ConversationId,
        device: DeviceId,
    ) -> Result<(), Error> {
        let text = sql!(
            "insert into recent_sends (tenant, conversation, device, sends) values ($1, $2, $3, $4) \
             on conflict (tenant, conversation, device) do update set sends = excluded.sends"
        );
        session.execute(text, values![tenant, conversation, device, self.0]).map(drop)
    }
}

impl Tx<'_> {
    pub(super) fn recent_sends(&self, conversation: ConversationId, device: DeviceId) -> Result<RecentSends, Error> {
        let text = sql!("select sends from recent_sends where tenant = $1 and conversation = $2 and device = $3");
        let read = |row: &Row<'_>| Ok(RecentSends::from_bytes(row.bytes(0)?));
        Ok(self.session.row(text, values![self.tenant, conversation, device], read)?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> MessageId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        MessageId::from_bytes(bytes)
    }

    fn entry(number: u64) -> Entry {
        Entry {
            seq: number,
            kind: wire::EntryKind::Application,
            epoch: 0,
            sender: DeviceId::from_bytes([1; 16]),
            message_id: id(number),
            at: number + 1_000,
            payload: Vec::new(),
            generation: 0,
        }
    }

    #[test]
    fn the_last_ones_are_known() {
        let mut recent = RecentSends(Vec::new());
        for number in 1..=500 {
            assert_eq!(recent.find(id(number)), None);
            recent.push(&entry(number));
            assert_eq!(recent.0.len(), SEND_BYTES * KNOWN.min(number as usize));
        }
        for number in 1..=500 {
            let known = (number > 500 - KNOWN as u64).then_some(Send { seq: number, at: number + 1_000 });
            assert_eq!(recent.find(id(number)), known, "{number}");
        }
    }
}
