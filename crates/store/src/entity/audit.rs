//! The record of who did what. Written in the transaction that did it.

use crate::scope::Lock;
use crate::sql::{Row, Value, sql, values};
use crate::{Error, OperatorTx, Tx};
use wire::{DeviceId, TenantId, UnixMillis, UserId};

/// The operator's own record, which belongs to no tenant.
const NOBODY: TenantId = TenantId::from_bytes([0; 16]);

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// The operator, on the server itself.
    Operator,
    /// A person who has proved a password.
    User(UserId),
    /// A device that has proved its key.
    Device(DeviceId),
    /// The server by itself.
    Server,
    /// Nobody has proved anything.
    Anonymous,
}

/// What is to be recorded.
#[derive(Debug, Clone, Copy)]
pub struct NewAuditEntry<'a> {
    /// When.
    pub at: UnixMillis,
    /// Who.
    pub actor: Actor,
    /// What; the operation's stable name.
    pub operation: &'a str,
    /// With what result; `ok` or an error code's stable text.
    pub outcome: &'a str,
    /// Ids of what it was done to. Ids only.
    pub objects: &'a [[u8; 16]],
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Order, dense from 1 in each tenant.
    pub seq: u64,
    /// When.
    pub at: UnixMillis,
    /// Who.
    pub actor: Actor,
    /// What.
    pub operation: String,
    /// With what result.
    pub outcome: String,
    /// Ids of what it was done to.
    pub objects: Vec<[u8; 16]>,
}

impl Tx<'_> {
    /// Records something that was done in the tenant. Returns its number.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn record_audit(&mut self, entry: NewAuditEntry<'_>) -> Result<u64, Error> {
        record(self.session, self.tenant, entry)
    }

    /// Records after a number, oldest first.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn audit_entries(&self, after: u64, limit: u32) -> Result<Vec<AuditEntry>, Error> {
        entries(self.session, self.tenant, after, limit)
    }
}

impl OperatorTx<'_> {
    /// Records something that belongs to no tenant. Returns its number.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn record_audit(&mut self, entry: NewAuditEntry<'_>) -> Result<u64, Error> {
        self.on(NOBODY);
        record(self.session, NOBODY, entry)
    }

    /// Records that belong to no tenant, after a number, oldest first.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn audit_entries(&self, after: u64, limit: u32) -> Result<Vec<AuditEntry>, Error> {
        self.on(NOBODY);
        entries(self.session, NOBODY, after, limit)
    }
}

fn record(session: &crate::session::Session, tenant: TenantId, entry: NewAuditEntry<'_>) -> Result<u64, Error> {
    let (kind, id): (u8, Option<[u8; 16]>) = match entry.actor {
        Actor::Operator => (0, None),
        Actor::User(user) => (1, Some(*user.as_bytes())),
        Actor::Device(device) => (2, Some(*device.as_bytes())),
        Actor::Server => (3, None),
        Actor::Anonymous => (4, None),
    };
    let objects = entry.objects.concat();
    session.link.lock(Lock::Audit(tenant));
    let text = sql!(
        "insert into audit_entries (tenant, seq, recorded_at, actor_kind, actor, operation, outcome, objects) \
         select $1, coalesce(max(seq), 0) + 1, $2, $3, $4, $5, $6, $7 from audit_entries where tenant = $1 returning seq"
    );
    let values = values![tenant, entry.at, kind, id, entry.operation, entry.outcome, objects];
    session.row(text, values, |row| row.number(0))?.ok_or(Error::Malformed)
}

fn entries(
    session: &crate::session::Session,
    tenant: TenantId,
    after: u64,
    limit: u32,
) -> Result<Vec<AuditEntry>, Error> {
    let text = sql!(
        "select seq, recorded_at, actor_kind, actor, operation, outcome, objects from audit_entries \
         where tenant = $1 and seq > $2 order by seq limit $3"
    );
    let values: &[Value<'_>] = values![tenant, after, limit];
    session.rows(text, values, |row| {
        let objects = row.bytes(6)?.chunks(16).map(|id| id.try_into().map_err(|_| Error::Malformed));
        Ok(Some(AuditEntry {
            seq: row.number(0)?,
            at: row.number(1)?,
            actor: actor(row)?,
            operation: row.text(4)?.to_owned(),
            outcome: row.text(5)?.to_owned(),
            objects: objects.collect::<Result<_, _>>()?,
        }))
    })
}

fn actor(row: &Row<'_>) -> Result<Actor, Error> {
    Ok(match row.number(2)? {
        0 => Actor::Operator,
        1 => Actor::User(row.id(3)?),
        2 => Actor::Device(row.id(3)?),
        3 => Actor::Server,
        4 => Actor::Anonymous,
        _ => return Err(Error::Malformed),
    })
}
