//! The same for PostgreSQL, where a statement costs a message to the database and its answer: what a run of appended entries
//! reads comes in one flight, and what it writes goes in one.

use super::append::Head;
use super::recent_sends::RecentSends;
use super::tail::{LogTail, Tails, Window};
use crate::Error;
use crate::link::Link;
use crate::postgres::{Connection, Parameter};
use crate::session::{Session, Tx};
use crate::sql::Row;
use std::collections::HashSet;
use std::collections::hash_map::Entry as Slot;
use wire::{ConversationId, DeviceId, TenantId};

/// In the order of their ids, so that two writers do not wait for each other.
const LOCK_HEADS: &str = "select epoch, head_seq, head_hash, generation, group_id, conversation from conversations \
    where tenant = $1 and conversation = any($2) order by conversation for update";

const READ_WINDOWS: &str = "select r.conversation, r.device, r.sends from \
    unnest($2::bytea[], $3::bytea[]) as n (conversation, device) \
    join recent_sends r on r.tenant = $1 and r.conversation = n.conversation and r.device = n.device";

pub(super) const INSERT_ENTRIES: &str = "insert into log_entries \
    (tenant, conversation, seq, generation, kind, epoch, sender, message_id, recorded_at, digest, payload) \
    select $1, * from unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[], \
    $8::bytea[], $9::bigint[], $10::bytea[], $11::bytea[])";

pub(super) const MOVE_HEADS: &str = "update conversations c set head_seq = n.seq, head_hash = n.hash \
    from unnest($2::bytea[], $3::bigint[], $4::bytea[]) as n (conversation, seq, hash) \
    where c.tenant = $1 and c.conversation = n.conversation";

const WRITE_WINDOWS: &str = "insert into recent_sends (tenant, conversation, device, sends) \
    select $1, * from unnest($2::bytea[], $3::bytea[], $4::bytea[]) \
    on conflict (tenant, conversation, device) do update set sends = excluded.sends";

/// What is written together at most; entries may be large.
const UNWRITTEN_BYTES: usize = 4 << 20;

impl Session {
    /// Reads what appending to these places will look at, so that it finds all of it in memory. Nothing on SQLite.
    pub(crate) fn load_tails(
        &self,
        tenant: TenantId,
        places: impl Iterator<Item = (ConversationId, DeviceId)>,
    ) -> Result<(), Error> {
        let Link::Postgres(connection) = &self.link else { return Ok(()) };
        let places: HashSet<_> = places.collect();
        let conversations: HashSet<_> = places.iter().map(|(conversation, _)| conversation.as_bytes()).collect();
        let conversations: Vec<&[u8]> = conversations.into_iter().map(|id| id.as_slice()).collect();
        let owner = tenant.as_bytes().as_slice();
        let heads: [Parameter<'_>; 2] = [&owner, &conversations];
        let in_conversations: Vec<&[u8]> = places.iter().map(|place| place.0.as_bytes().as_slice()).collect();
        let of_devices: Vec<&[u8]> = places.iter().map(|place| place.1.as_bytes().as_slice()).collect();
        let windows: [Parameter<'_>; 3] = [&owner, &in_conversations, &of_devices];
        let (heads, windows) = self.noting(connection.rows_of_two((LOCK_HEADS, &heads), (READ_WINDOWS, &windows)))?;
        self.keep_heads(tenant, &heads)?;
        let mut tails = self.tails.borrow_mut();
        for (conversation, device) in places {
            if tails.logs.contains_key(&(tenant, conversation)) {
                let window = Window { sends: RecentSends::default(), moved: false };
                tails.windows.insert((tenant, conversation, device), window);
            }
        }
        for row in windows.iter().map(Row::Postgres) {
            if let Slot::Occupied(mut window) = tails.windows.entry((tenant, row.id(0)?, row.id(1)?)) {
                window.get_mut().sends = RecentSends::from_bytes(row.bytes(2)?);
            }
        }
        Ok(())
    }

    fn keep_heads(&self, tenant: TenantId, rows: &[tokio_postgres::Row]) -> Result<(), Error> {
        for row in rows.iter().map(Row::Postgres) {
            let (head, conversation) = (Head::read(&row)?, row.id(5)?);
            match (Tx { session: self, tenant }).conversation_key(conversation) {
                Ok(key) => {
                    let log = LogTail { head, key, moved: false };
                    self.tails.borrow_mut().logs.insert((tenant, conversation), log);
                }
                Err(error @ (Error::Unavailable(_) | Error::Corrupt(_))) => return Err(error),
                // Whoever appends there is told.
                Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Tails {
    /// Whether so much waits to be written that it should be.
    pub(crate) fn is_heavy(&self) -> bool {
        self.unwritten_bytes > UNWRITTEN_BYTES
    }

    pub(super) fn write_together(&self, connection: &Connection) -> Result<(), Error> {
        let Some(tenant) = self.logs.keys().next().map(|(tenant, _)| tenant.as_bytes().as_slice()) else {
            return Ok(());
        };
        let tenant: Parameter<'_> = &tenant;
        let entries = EntryColumns::of(self);
        let heads = HeadColumns::of(self);
        let windows = WindowColumns::of(self);
        let mut all: Vec<(&'static str, &[Parameter<'_>])> = Vec::with_capacity(3);
        let entries = entries.parameters(tenant);
        let heads = heads.parameters(tenant);
        let windows = windows.parameters(tenant);
        if !self.unwritten.is_empty() {
            all.push((INSERT_ENTRIES, &entries));
        }
        if self.moved_logs().next().is_some() {
            all.push((MOVE_HEADS, &heads));
        }
        if self.moved_windows().next().is_some() {
            all.push((WRITE_WINDOWS, &windows));
        }
        if all.is_empty() { Ok(()) } else { connection.execute_all(&all) }
    }
}

/// A column each, as arrays are sent.
#[derive(Default)]
struct EntryColumns<'t> {
    conversation: Vec<&'t [u8]>,
    seq: Vec<i64>,
    generation: Vec<i64>,
    kind: Vec<i64>,
    epoch: Vec<i64>,
    sender: Vec<&'t [u8]>,
    message_id: Vec<&'t [u8]>,
    at: Vec<i64>,
    digest: Vec<Option<&'t [u8]>>,
    payload: Vec<&'t [u8]>,
}

impl<'t> EntryColumns<'t> {
    fn of(tails: &'t Tails) -> Self {
        let mut columns = Self::default();
        for row in &tails.unwritten {
            columns.conversation.push(row.conversation.as_bytes());
            columns.seq.push(bigint(row.seq));
            columns.generation.push(row.generation.into());
            columns.kind.push(row.kind.into());
            columns.epoch.push(bigint(row.epoch));
            columns.sender.push(row.sender.as_bytes());
            columns.message_id.push(row.message_id.as_bytes());
            columns.at.push(bigint(row.at));
            columns.digest.push(row.digest.as_ref().map(<[u8; 32]>::as_slice));
            columns.payload.push(&row.payload);
        }
        columns
    }

    fn parameters<'p>(&'p self, tenant: Parameter<'p>) -> [Parameter<'p>; 11] {
        [
            tenant,
            &self.conversation,
            &self.seq,
            &self.generation,
            &self.kind,
            &self.epoch,
            &self.sender,
            &self.message_id,
            &self.at,
            &self.digest,
            &self.payload,
        ]
    }
}

#[derive(Default)]
struct HeadColumns<'t> {
    conversation: Vec<&'t [u8]>,
    seq: Vec<i64>,
    hash: Vec<&'t [u8]>,
}

impl<'t> HeadColumns<'t> {
    fn of(tails: &'t Tails) -> Self {
        let mut columns = Self::default();
        for ((_, conversation), log) in tails.moved_logs() {
            columns.conversation.push(conversation.as_bytes());
            columns.seq.push(bigint(log.head.seq));
            columns.hash.push(&log.head.hash.0);
        }
        columns
    }

    fn parameters<'p>(&'p self, tenant: Parameter<'p>) -> [Parameter<'p>; 4] {
        [tenant, &self.conversation, &self.seq, &self.hash]
    }
}

#[derive(Default)]
struct WindowColumns<'t> {
    conversation: Vec<&'t [u8]>,
    device: Vec<&'t [u8]>,
    sends: Vec<&'t [u8]>,
}

impl<'t> WindowColumns<'t> {
    fn of(tails: &'t Tails) -> Self {
        let mut columns = Self::default();
        for ((_, conversation, device), window) in tails.moved_windows() {
            columns.conversation.push(conversation.as_bytes());
            columns.device.push(device.as_bytes());
            columns.sends.push(window.sends.as_bytes());
        }
        columns
    }

    fn parameters<'p>(&'p self, tenant: Parameter<'p>) -> [Parameter<'p>; 4] {
        [tenant, &self.conversation, &self.device, &self.sends]
    }
}

/// As a parameter of another statement would be ([`crate::sql::AsValue`]).
fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
